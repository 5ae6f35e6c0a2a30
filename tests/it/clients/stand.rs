//! What every client's test has: a server, DNS, a web root, a hook, and a book of what was seen.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use cairn_testkit::ca::{RESOLVER, TestCa};
use cairn_testkit::judged::{Judged, Judgement};
use cairn_testkit::pebble::{self, Pebble, Program};
use cairn_testkit::process::Process;
use cairn_testkit::seen::{self, Outcome, Record, What};
use cairn_testkit::{dns, issued, netns, peers, soak};
use serde_json::Value;
use tempfile::TempDir;

use crate::operation::asked;
use crate::other_root;

/// Where every name below `test` leads and clients listen: a global address, so that it may be ordered too.
pub(crate) const ADDRESS: &str = "198.41.0.4";

/// The hook that every client can call; see its head.
pub(crate) const HOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/hook.sh");

/// Whom the client talks to.
enum Server {
    Cairn(TestCa),
    /// Debian's, or Cairn in its place.
    Pebble(Pebble),
    /// `cairn ca dev`.
    Dev(Judged),
}

/// One client's world, inside its namespace.
pub(crate) struct Stand {
    server: Server,
    pub(crate) dns: dns::Server,
    folder: TempDir,
}

/// A certificate's key, as clients offer them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Rsa2048,
    P256,
    P384,
}

/// A client, and what is seen of it.
#[derive(Clone)]
pub(crate) struct Client<'a> {
    pub(crate) stand: &'a Stand,
    name: &'static str,
    version: String,
}

/// A client, and whether it obtained what it was to.
pub(crate) type Tried<'a> = (Client<'a>, bool);

/// Runs a test against Cairn.
pub(crate) fn beside_cairn(path: &str, body: impl FnOnce(&Stand)) {
    beside_cairn_with("", path, body);
}

/// The same with further tables of `cairn.toml`.
pub(crate) fn beside_cairn_with(tables: &str, path: &str, body: impl FnOnce(&Stand)) {
    // Who shows a key of the operator is bound to it; nobody has to.
    let builder = TestCa::builder().set("accounts.external", "\"optional\"");
    let start = |folder: &Path| {
        let mut ca = builder.tables(tables).init();
        other_root::cross_sign(&ca, folder);
        ca.start();
        Server::Cairn(ca)
    };
    inside(TestCa::namespace(), path, start, body);
}

/// Runs a test against Debian's Pebble, and then, unchanged, against Cairn called by that name.
pub(crate) fn beside_pebble(path: &str, body: impl Fn(&Stand)) {
    for (program, part) in [(Program::Debian, "Debian"), (Program::Cairn, "Cairn")] {
        let namespace = netns::Namespace::new().host([127, 0, 0, 1], pebble::NAME);
        // Some clients don't come again after a refused nonce, which is not what is looked at.
        let start = |folder: &Path| Server::Pebble(Pebble::start_as(program, folder, 0));
        inside(namespace.part(part), path, start, &body);
    }
}

/// Runs a client at `cairn ca dev` with these faults, which judges it, as one part of a test.
pub(crate) fn judged(
    part: &'static str,
    path: &str,
    faults: &[&str],
    body: impl FnOnce(&Stand),
    verdict: impl FnOnce(Judgement),
) {
    let start = |folder: &Path| Server::Dev(Judged::start(folder, faults));
    let body = |stand: &mut Stand| {
        body(stand);
        let Server::Dev(ca) = &mut stand.server else {
            return;
        };
        verdict(ca.end());
    };
    inside_to_the_end(TestCa::namespace().part(part), path, start, body);
}

fn inside(
    namespace: netns::Namespace,
    path: &str,
    start: impl FnOnce(&Path) -> Server,
    body: impl FnOnce(&Stand),
) {
    inside_to_the_end(namespace, path, start, |stand| body(stand));
}

fn inside_to_the_end(
    namespace: netns::Namespace,
    path: &str,
    start: impl FnOnce(&Path) -> Server,
    body: impl FnOnce(&mut Stand),
) {
    let address: Ipv4Addr = ADDRESS.parse().unwrap();
    namespace.address(address).run(path, || {
        let folder = tempfile::tempdir().unwrap();
        for name in ["zone", "www/.well-known/acme-challenge"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        // What clients lay there is this test's alone.
        netns::small_disk(Path::new("/run"), 1 << 20);
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", address)
            .add_address("ca.test", [127, 0, 0, 1])
            .add_address(pebble::NAME, [127, 0, 0, 1])
            .txt_folder(&folder.path().join("zone"));
        let mut stand = Stand {
            server: start(folder.path()),
            dns,
            folder,
        };
        netns::trust(&stand.root());
        body(&mut stand);
    });
}

impl Stand {
    /// The test's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's directory.
    pub(crate) fn directory(&self) -> String {
        match &self.server {
            Server::Cairn(ca) => ca.directory(),
            Server::Pebble(pebble) => pebble.directory(),
            Server::Dev(ca) => ca.directory().to_owned(),
        }
    }

    /// What the server's own certificate is checked with.
    pub(crate) fn root(&self) -> PathBuf {
        match &self.server {
            Server::Cairn(ca) => ca.root_path(),
            Server::Pebble(pebble) => pebble.root_path().to_owned(),
            Server::Dev(ca) => ca.root_path().to_owned(),
        }
    }

    /// The other root to which each of Cairn's certificates has a chain.
    pub(crate) fn other_root(&self) -> PathBuf {
        other_root::path(self.folder())
    }

    /// Cairn, where the test is about it.
    pub(crate) fn cairn(&self) -> &TestCa {
        match &self.server {
            Server::Cairn(ca) => ca,
            Server::Pebble(_) | Server::Dev(_) => panic!("this is asked of Cairn alone"),
        }
    }

    /// A key that the operator gives out: its id and its secret.
    pub(crate) fn external_key(&self) -> (String, String) {
        let made = asked(self.cairn(), &["eab", "add", "--owner", "a team", "--json"]);
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        (text("id"), text("hmac_key"))
    }

    /// Whether the server is Pebble, or stands in its place.
    pub(crate) fn is_pebble(&self) -> bool {
        matches!(self.server, Server::Pebble(_))
    }

    /// A client, by its name and what it says of its version.
    pub(crate) fn client(&self, name: &'static str, version: &str) -> Client<'_> {
        Client {
            stand: self,
            name,
            version: version.to_owned(),
        }
    }

    /// One of Debian's programs as a user of this test: its home, its trust, and what the hook reads.
    pub(crate) fn system(&self, program: &str) -> Command {
        self.at_home(peers::system(program))
    }

    /// The same with a program of the peers' Python environment.
    pub(crate) fn peer(&self, program: &str) -> Command {
        self.at_home(peers::command(program))
    }

    fn at_home(&self, mut command: Command) -> Command {
        let folder = self.folder();
        command
            .current_dir(folder)
            .env("HOME", folder)
            .env("ZONE", folder.join("zone"))
            .env("WEBROOT", self.webroot());
        for name in [
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "LEGO_CA_CERTIFICATES",
            "NODE_EXTRA_CA_CERTS",
        ] {
            command.env(name, self.root());
        }
        command
    }

    /// What [`serve_webroot`](Self::serve_webroot) serves; challenges lie in `.well-known/acme-challenge`.
    pub(crate) fn webroot(&self) -> PathBuf {
        self.folder().join("www")
    }

    /// Serves the web root at port 80 until it is dropped.
    pub(crate) fn serve_webroot(&self) -> Process {
        let mut server = peers::command("python");
        server.args(["-u", "-m", "http.server", "--bind", ADDRESS, "--directory"]);
        server.arg(self.webroot()).arg("80");
        serving("http.server", &mut server)
    }

    /// Serves the certificates of tls-alpn-01 challenges that a client lays into this folder.
    pub(crate) fn serve_alpn(&self, folder: &Path) -> Process {
        let mut server = peers::command("python");
        server.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/peers/alpn_responder.py"
        ));
        serving("alpn_responder", server.arg(ADDRESS).arg(folder))
    }

    /// A chain is good for these names, its leaf has a key of this type, and each name was shown by this challenge; it is
    /// kept for the judges.
    fn assert_chain(&self, chain: &Path, names: &[&str], how: What, key: Key) {
        for name in names {
            let mut openssl = peers::system("openssl");
            openssl.args(["verify", "-purpose", "sslserver", "-untrusted"]);
            openssl.arg(chain);
            match name.parse::<IpAddr>() {
                Ok(_) => openssl.args(["-verify_ip", name]),
                Err(_) => openssl.args(["-verify_hostname", &name.replace('*', "any")]),
            };
            match &self.server {
                Server::Cairn(ca) => openssl
                    .args(["-x509_strict", "-CAfile"])
                    .arg(ca.root_path()),
                // It makes a new root at each start and shows it elsewhere: names and purpose are looked at.
                Server::Pebble(_) => openssl.args(["-partial_chain", "-CAfile"]).arg(chain),
                Server::Dev(ca) => openssl
                    .args(["-x509_strict", "-CAfile"])
                    .arg(ca.root_path()),
            };
            said(openssl.arg(chain)).expect_good("openssl verify");
        }
        let mut openssl = peers::system("openssl");
        openssl.args(["x509", "-noout", "-text", "-in"]).arg(chain);
        let text = said(&mut openssl).expect_good("openssl x509");
        assert!(text.contains(key.words()), "{key:?}: {text}");
        let Server::Cairn(ca) = &self.server else {
            return;
        };
        issued::keep_chain(&std::fs::read_to_string(chain).unwrap());
        let shown = asked(ca, &["show", &serial(chain), "--json"]);
        let evidence = shown["evidence"]["names"].as_array().unwrap();
        let by = |one: &Value| one["shown"]["method"]["challenge"] == how.title();
        assert!(
            evidence.len() == names.len() && evidence.iter().all(by),
            "not all by {how:?}: {shown}"
        );
    }

    /// A new private key of this type from openssl.
    pub(crate) fn key(&self, key: Key) -> PathBuf {
        let file = self.new_file("key.pem");
        let mut openssl = peers::system("openssl");
        openssl.arg("genpkey");
        match key {
            Key::Rsa2048 => openssl.args(["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
            Key::P256 => openssl.args(["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            Key::P384 => openssl.args(["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        };
        said(openssl.arg("-out").arg(&file)).expect_good("openssl genpkey");
        file
    }

    /// A CSR for these names from openssl, without a subject.
    pub(crate) fn csr(&self, key: &Path, names: &[&str]) -> PathBuf {
        let file = self.new_file("csr.pem");
        let kind = |name: &&str| match name.parse::<IpAddr>() {
            Ok(_) => format!("IP:{name}"),
            Err(_) => format!("DNS:{name}"),
        };
        let names: Vec<_> = names.iter().map(kind).collect();
        let mut openssl = peers::system("openssl");
        openssl.args(["req", "-new", "-subj", "/", "-addext"]);
        openssl.arg(format!("subjectAltName={}", names.join(",")));
        openssl.arg("-key").arg(key).arg("-out").arg(&file);
        said(&mut openssl).expect_good("openssl req");
        file
    }

    /// A path in the test's folder that nothing has yet.
    fn new_file(&self, name: &str) -> PathBuf {
        let free = |number: &u32| !self.folder().join(format!("{number}.{name}")).exists();
        let number = (0..).find(free).unwrap();
        self.folder().join(format!("{number}.{name}"))
    }

    /// A PEM file holds a private key of this type.
    pub(crate) fn assert_key(&self, file: &Path, key: Key) {
        let mut openssl = peers::system("openssl");
        openssl.args(["pkey", "-noout", "-text", "-in"]).arg(file);
        let text = said(&mut openssl).expect_good("openssl pkey");
        assert!(text.contains(key.words()), "{key:?}: {text}");
    }

    /// The server says that the chain's first certificate is revoked, or that it is not.
    pub(crate) fn assert_revoked(&self, chain: &Path, revoked: bool) {
        let serial = serial(chain);
        let (shown, said) = match &self.server {
            Server::Cairn(ca) => {
                let shown = asked(ca, &["show", &serial, "--json"]);
                let said = shown["revoked_at"].is_string();
                (shown, said)
            }
            Server::Dev(_) => panic!("nothing is revoked there"),
            Server::Pebble(_) => {
                let text = self.of_pebble(&format!("cert-status-by-serial/{serial}"));
                let shown: Value = serde_json::from_str(&text).expect("a status");
                let said = match shown["Status"].as_str() {
                    Some("Revoked") => true,
                    Some("Valid") => false,
                    _ => panic!("no status: {shown}"),
                };
                (shown, said)
            }
        };
        assert_eq!(said, revoked, "{shown}");
    }

    /// What Pebble's operator reads at this path.
    pub(crate) fn of_pebble(&self, path: &str) -> String {
        let mut curl = self.system("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"]);
        curl.arg(self.root());
        curl.arg(format!("https://{}:15000/{path}", pebble::NAME));
        said(&mut curl).expect_good(path)
    }
}

impl Key {
    /// How openssl prints it.
    fn words(self) -> &'static str {
        match self {
            Self::Rsa2048 => "(2048 bit",
            Self::P256 => "ASN1 OID: prime256v1",
            Self::P384 => "ASN1 OID: secp384r1",
        }
    }

    /// A certificate of such a key was obtained.
    fn certified(self) -> What {
        match self {
            Self::Rsa2048 => What::Rsa2048,
            Self::P256 => What::P256,
            Self::P384 => What::P384,
        }
    }

    /// An account with such a key was made.
    pub(crate) fn account(self) -> What {
        match self {
            Self::Rsa2048 => What::AccountRsa,
            Self::P256 => What::AccountP256,
            Self::P384 => What::AccountP384,
        }
    }
}

impl Client<'_> {
    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// It was seen to do this.
    pub(crate) fn does(&self, what: What) {
        self.keep(what, Outcome::Done);
    }

    /// It obtained this chain, for these names, by this challenge, with such a key.
    pub(crate) fn obtained(&self, chain: &Path, names: &[&str], how: What, key: Key) {
        self.stand.assert_chain(chain, names, how, key);
        self.does(how);
        self.does(key.certified());
        if names.iter().any(|name| name.starts_with("*.")) {
            self.does(What::Wildcard);
        }
        if names.iter().any(|name| name.parse::<IpAddr>().is_ok()) {
            self.does(What::Address);
        }
    }

    /// It was told to prefer the chain that ends at the other root, and has that one.
    pub(crate) fn prefers(&self, chain: &Path, name: &str) {
        let verify = |root: &Path| {
            let mut openssl = peers::system("openssl");
            openssl.args(["verify", "-x509_strict", "-verify_hostname", name]);
            openssl.arg("-CAfile").arg(root).arg("-untrusted");
            said(openssl.arg(chain).arg(chain))
        };
        verify(&self.stand.other_root()).expect_good("openssl verify");
        verify(&self.stand.root()).expect_bad("openssl verify with the usual root");
        issued::keep_chain(&std::fs::read_to_string(chain).unwrap());
        self.does(What::AlternateChain);
    }

    /// It has no such thing: its own help, or the text of a script, does not have this word.
    pub(crate) fn lacks(&self, what: What, help: &str, word: &str) {
        assert!(help.len() > 100, "this is no help: {help}");
        assert!(
            !help.to_lowercase().contains(&word.to_lowercase()),
            "{} knows {word} now: show that it works",
            self.name
        );
        self.keep(what, Outcome::Lacks(word.to_owned()));
    }

    /// It opened an account with this key of the operator's.
    pub(crate) fn opened_with(&self, key_id: &str) {
        let list = asked(self.stand.cairn(), &["eab", "list", "--json"]);
        let keys = list["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["id"] == key_id).unwrap();
        assert!(
            key["state"] == "used" && key["account"].is_string(),
            "{key}"
        );
        self.does(What::ExternalAccount);
    }

    /// The library of a test that is compiled with it has no such function.
    pub(crate) fn has_no(&self, what: What) {
        self.keep(
            what,
            Outcome::Lacks("the library has no function".to_owned()),
        );
    }

    /// It was asked and could not; what it said has these words.
    pub(crate) fn fails(&self, what: What, said: &Said, words: &str, why: &str) {
        assert!(!said.good, "{} does this now: {}", self.name, said.text);
        self.stumbles(what, &said.text, words, why);
    }

    /// It runs on and could not; its log has these words.
    pub(crate) fn stumbles(&self, what: What, log: &str, words: &str, why: &str) {
        assert!(log.contains(words), "«{words}» is not in: {log}");
        self.keep(what, Outcome::Fails(why.to_owned()));
    }

    /// It says that it did this, and the test has shown that it did not; why.
    pub(crate) fn feigns(&self, what: What, why: &str) {
        self.keep(what, Outcome::Fails(why.to_owned()));
    }

    fn keep(&self, what: What, outcome: Outcome) {
        let server = match &self.stand.server {
            Server::Cairn(_) => seen::CAIRN,
            Server::Pebble(pebble) if pebble.program() == Program::Debian => seen::PEBBLE,
            // Cairn has its own records, and the script's judge is Debian's.
            Server::Pebble(_) | Server::Dev(_) => return,
        };
        seen::keep(&Record {
            client: self.name.to_owned(),
            version: self.version.clone(),
            server: server.to_owned(),
            what,
            outcome,
        });
    }
}

/// How a program ended, and all that it printed.
pub(crate) struct Said {
    good: bool,
    pub(crate) text: String,
}

impl Said {
    /// Whether it succeeded.
    pub(crate) fn is_good(&self) -> bool {
        self.good
    }

    /// It succeeded; what it printed.
    pub(crate) fn expect_good(self, what: &str) -> String {
        assert!(self.good, "{what}: {}", self.text);
        self.text
    }

    /// It failed; what it printed.
    pub(crate) fn expect_bad(self, what: &str) -> String {
        assert!(!self.good, "{what} succeeded: {}", self.text);
        self.text
    }
}

/// Runs a program to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = peers::run(command);
    let text = [stdout, stderr].concat();
    Said {
        good: status.success(),
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// The serial of a chain's first certificate.
pub(crate) fn serial(chain: &Path) -> String {
    let text = std::fs::read_to_string(chain).expect("a chain");
    issued::serial(&text).expect("a certificate")
}

/// Starts a server that prints `Serving` when it does.
fn serving(name: &str, command: &mut Command) -> Process {
    let process = Process::start(name, command);
    let line = process.wait_line(Duration::from_secs(30), |line| line.contains("Serving"));
    assert!(line.is_some(), "{name} does not serve");
    process
}

/// Every pair in the long form of the tests, else as many as have each challenge and each key once.
pub(crate) fn pairs<A: Copy, B: Copy>(challenges: &[A], keys: &[B]) -> Vec<(A, B)> {
    if soak() {
        let with =
            |challenge: &A| -> Vec<(A, B)> { keys.iter().map(|key| (*challenge, *key)).collect() };
        return challenges.iter().flat_map(with).collect();
    }
    let count = challenges.len().max(keys.len());
    let challenges = challenges.iter().copied().cycle();
    challenges
        .zip(keys.iter().copied().cycle())
        .take(count)
        .collect()
}
