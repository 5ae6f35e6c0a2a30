//! lacme and its lacme-accountd (Debian): http-01 alone, an RSA account key, keys that openssl made.

use std::path::{Path, PathBuf};

use cairn_testkit::seen::What;
use cairn_testkit::{peers, test_path};

use super::stand::{ADDRESS, Client, Key, Said, Stand, Tried, beside_cairn, beside_pebble, said};

const NAME: &str = "lacme";

/// Its folder with its configuration; no rights are given up, since the test's user has none that matter.
struct Lacme<'a> {
    stand: &'a Stand,
    folder: PathBuf,
}

impl<'a> Lacme<'a> {
    fn new(stand: &'a Stand, account: &Path) -> Self {
        let folder = stand.folder().join("lacme");
        std::fs::create_dir_all(&folder).unwrap();
        let lacme = Self { stand, folder };
        let webroot = stand.webroot().join(".well-known/acme-challenge");
        let (place, webroot) = (lacme.folder.display(), webroot.display());
        let directory = stand.directory();
        lacme.write("lacme.conf", &format!(
            "config-certs = {place}/certs.conf\n[client]\nserver = {directory}\nuser =\ngroup =\n\
             [webserver]\nlisten =\nchallenge-directory = {webroot}\nuser =\ngroup =\n\
             [accountd]\nconfig = {place}/accountd.conf\n"
        ));
        lacme.write(
            "accountd.conf",
            &format!("privkey = file:{}\n", account.display()),
        );
        lacme
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    fn run(&self, words: &[&str]) -> Said {
        let mut lacme = self.stand.system("/usr/sbin/lacme");
        lacme.arg("--config").arg(self.folder.join("lacme.conf"));
        said(lacme.args(words))
    }

    /// Orders a certificate for these names, as they stand in its configuration.
    fn order(&self, key: &Path, names: &[&str]) -> (PathBuf, Said) {
        let chain = self.folder.join("chain.pem");
        let kind = |name: &&str| match name.parse::<std::net::IpAddr>() {
            Ok(_) => format!("IP:{name}"),
            Err(_) => format!("DNS:{name}"),
        };
        let alternatives: Vec<_> = names.iter().map(kind).collect();
        // Without a validation of its own: Pebble's root is not known here.
        self.write("certs.conf", &format!(
            "[it]\nCAfile =\ncertificate-key = {}\ncertificate-chain = {}\nsubject = /CN={}\nsubjectAltName = {}\n",
            key.display(), chain.display(), names[0], alternatives.join(","),
        ));
        let said = self.run(&["newOrder", "--force", "it"]);
        (chain, said)
    }

    fn obtains(&self, client: &Client<'_>, key: Key, names: &[&str]) -> PathBuf {
        let (chain, said) = self.order(&self.stand.key(key), names);
        said.expect_good("newOrder");
        client.obtained(&chain, names, What::Http01, key);
        chain
    }
}

fn client(stand: &Stand) -> Client<'_> {
    stand.client(NAME, &peers::debian_version("lacme"))
}

const REGISTER: [&str; 4] = [
    "account",
    "--register",
    "--tos-agreed",
    "mailto:one@example.org",
];

/// Renewal, revocation by the account and by the certificate's key; contact and end of an account of its own.
fn lives_on(client: &Client<'_>, lacme: &Lacme<'_>) {
    let stand = client.stand;
    let name = ["r.lacme.test"];
    let before = std::fs::read(lacme.obtains(client, Key::P256, &name)).unwrap();
    let chain = lacme.obtains(client, Key::P256, &name);
    assert_ne!(before, std::fs::read(&chain).unwrap(), "a new certificate");
    client.does(What::Renewal);
    stand.assert_revoked(&chain, false);
    lacme
        .run(&["revokeCert", chain.to_str().unwrap()])
        .expect_good("revokeCert");
    stand.assert_revoked(&chain, true);
    client.does(What::Revocation);

    // Its account key may be the certificate's.
    let key = stand.key(Key::Rsa2048);
    let (chain, ordered) = lacme.order(&key, &["k.lacme.test"]);
    ordered.expect_good("newOrder");
    let other = Lacme::new(stand, &key);
    other
        .run(&["revokeCert", chain.to_str().unwrap()])
        .expect_good("revokeCert");
    stand.assert_revoked(&chain, true);
    client.does(What::RevocationByKey);

    let lacme = Lacme::new(stand, &stand.key(Key::Rsa2048));
    lacme.run(&REGISTER).expect_good("account");
    let shown = lacme
        .run(&["account", "mailto:two@example.org"])
        .expect_good("account");
    assert!(shown.contains("two@example.org"), "{shown}");
    client.does(What::Update);
    // Not in its manual.
    lacme
        .run(&["account", "--deactivate"])
        .expect_good("--deactivate");
    let (_, ordered) = lacme.order(&stand.key(Key::P256), &["d.lacme.test"]);
    ordered.expect_bad("an order of a deactivated account");
    client.does(What::Deactivation);
}

/// An account and one order, whatever becomes of them.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let _web = stand.serve_webroot();
    let lacme = Lacme::new(stand, &stand.key(Key::Rsa2048));
    lacme.run(&REGISTER);
    let (_, tried) = lacme.order(&stand.key(Key::P256), &["a.lacme.test"]);
    (client(stand), tried.is_good())
}

#[test]
fn lacme_obtains_with_every_key_and_renews_and_revokes() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        let _web = stand.serve_webroot();
        let lacme = Lacme::new(stand, &stand.key(Key::Rsa2048));
        lacme.run(&REGISTER).expect_good("account");
        client.does(What::AccountRsa);
        for (number, key) in [Key::P256, Key::Rsa2048, Key::P384].into_iter().enumerate() {
            let names = [
                format!("a{number}.lacme.test"),
                format!("b{number}.lacme.test"),
            ];
            lacme.obtains(&client, key, &[&names[0], &names[1]]);
        }
        lives_on(&client, &lacme);

        let lacme = Lacme::new(stand, &stand.key(Key::Rsa2048));
        lacme.run(&REGISTER).expect_good("account");
        let key = stand.key(Key::P256);
        let (_, wild) = lacme.order(&key, &["*.w.lacme.test"]);
        client.fails(
            What::Wildcard,
            &wild,
            "invalid domain",
            "it takes no wildcard for a domain",
        );
        let (_, address) = lacme.order(&key, &["i.lacme.test", ADDRESS]);
        client.fails(
            What::Address,
            &address,
            "beside the order",
            "it orders DNS names alone",
        );
        for (what, kind) in [
            (What::AccountP256, Key::P256),
            (What::AccountP384, Key::P384),
        ] {
            let refused = Lacme::new(stand, &stand.key(kind)).run(&REGISTER);
            client.fails(
                what,
                &refused,
                "expecting an rsa key",
                "it reads RSA keys alone",
            );
        }
        // Its help is the way to its manual; its programs are text.
        let read = |path: &str| std::fs::read_to_string(path).unwrap();
        let text = read("/usr/sbin/lacme") + &read("/usr/libexec/lacme/client");
        for (what, word) in [
            (What::Dns01, "dns-01"),
            (What::TlsAlpn01, "tls-alpn-01"),
            (What::ExternalAccount, "externalAccountBinding"),
            (What::KeyChange, "rollover"),
            (What::RenewalInfo, "renewalInfo"),
            (What::AlternateChain, "alternate"),
        ] {
            client.lacks(what, &text, word);
        }
    });
}

#[test]
fn lacme_obtains_and_lives_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let _web = stand.serve_webroot();
        let lacme = Lacme::new(stand, &stand.key(Key::Rsa2048));
        lacme.run(&REGISTER).expect_good("account");
        lacme.obtains(&client, Key::P256, &["a.lacme.test", "b.lacme.test"]);
        lives_on(&client, &lacme);
    });
}
