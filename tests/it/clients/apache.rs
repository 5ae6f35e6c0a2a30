//! Apache with mod_md (Debian): every challenge, profiles, renewal as the CA says. What it obtained is served after its
//! next graceful restart, for which it has a message. It shows its certificate for tls-alpn-01 only where the domain's one
//! key is RSA, as its log tells (`Load challenge: cert acme-tls-alpn-01-pubcert.pem`), so that is what it is asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cairn_testkit::process::{Process, Signal};
use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::served::{MINUTE, account, renews_when_told, serves, shows};
use super::stand::{
    ADDRESS, Client, HOOK, Key, Stand, Tried, beside_cairn_with, beside_pebble, pairs, said,
};

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::P384, Key::Rsa2048];

/// A managed domain and its site.
struct Site {
    names: Vec<String>,
    how: What,
    key: Key,
    profile: Option<&'static str>,
    /// The operator's key, by id and secret.
    external: Option<(String, String)>,
}

impl Site {
    fn new(how: What, key: Key, names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            how,
            key,
            profile: None,
            external: None,
        }
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn text(&self) -> String {
        let key = match self.key {
            Key::Rsa2048 => "RSA 2048",
            Key::P256 => "secp256r1",
            Key::P384 => "secp384r1",
        };
        let profile = self.profile.map(|name| format!("MDProfile {name}\n"));
        let external = self
            .external
            .as_ref()
            .map(|(id, secret)| format!("MDExternalAccountBinding {id} {secret}\n"));
        format!(
            "<MDomain {all}>\nMDCAChallenges {how}\nMDPrivateKeys {key}\n{profile}{external}</MDomain>\n\
             <VirtualHost *:443>\nServerName {first}\nServerAlias {all}\nSSLEngine on\n</VirtualHost>\n",
            all = self.names.join(" "),
            first = self.names[0],
            how = self.how.title(),
            profile = profile.unwrap_or_default(),
            external = external.unwrap_or_default(),
        )
    }
}

/// A running Apache, and who restarts it when there is something new to show, as its users' timers do.
struct Apache<'a> {
    client: Client<'a>,
    process: Process,
    _restarts: Process,
}

/// Restarts the process `$1` gracefully whenever the log `$0` has one more such message.
const RESTARTS: &str = "seen=0; while sleep 1; do \
    now=$(grep -c AH10059 \"$0\"); [ \"$now\" = \"$seen\" ] || kill -USR1 \"$1\"; seen=$now; done";

impl<'a> Apache<'a> {
    /// Apache with these sites. It gives up its rights: its folders and the zone's are open to all.
    fn start(stand: &'a Stand, sites: &str) -> Self {
        let folder = stand.folder();
        for folder in [folder, &folder.join("zone")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::copy(stand.root(), folder.join("root.pem")).unwrap();
        fs::write(folder.join("sites.conf"), sites).unwrap();
        contact(stand, "one@example.org");
        let mut apache = stand.system("apache2");
        apache
            .arg("-DFOREGROUND")
            .args([
                "-f",
                concat!(env!("CARGO_MANIFEST_DIR"), "/peers/httpd.conf"),
            ])
            .env("FOLDER", folder)
            .env("ADDRESS", ADDRESS)
            .env("DIRECTORY", stand.directory())
            .env("HOOK", HOOK);
        let process = Process::start("apache2", &mut apache);
        let mut restarts = stand.system("sh");
        restarts
            .args(["-c", RESTARTS])
            .arg(folder.join("error.log"));
        restarts.arg(process.id().to_string());
        let version = said(stand.system("apache2").arg("-v")).expect_good("-v");
        let version = version.split_once("Apache/").map_or("", |(_, rest)| rest);
        let version = version.split_whitespace().next().unwrap_or_default();
        Self {
            client: stand.client("Apache mod_md", version),
            _restarts: Process::start("restarts", &mut restarts),
            process,
        }
    }

    /// What it said since its start; mod_md says it all there.
    fn log(&self) -> String {
        let file = self.client.stand.folder().join("error.log");
        fs::read_to_string(file).unwrap_or_default()
    }

    fn obtains(&self, site: &Site) {
        for name in &site.names {
            let chain = serves(self.client.stand, &name.replace('*', "any"), |_| true);
            self.client
                .obtained(&chain, &site.names(), site.how, site.key);
        }
    }
}

impl Drop for Apache<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Whom the CA shall write to; read at the next restart.
fn contact(stand: &Stand, address: &str) {
    let line = format!("MDContactEmail {address}\n");
    fs::write(stand.folder().join("contact.conf"), line).unwrap();
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let name = "a.apache.test";
    let apache = Apache::start(
        stand,
        &Site::new(What::Http01, Key::Rsa2048, &[name]).text(),
    );
    let good = shows(stand, name, || apache.log().contains("AH10056"));
    (apache.client.clone(), good)
}

#[test]
fn apache_serves_what_it_obtained_by_itself_and_renews_it_when_told() {
    beside_cairn_with(MINUTE, test_path!(), |stand| {
        let mut sites = Vec::new();
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let name = format!("n{number}.apache.test");
            let wild = format!("*.{name}");
            match (how, key) {
                (What::TlsAlpn01, Key::P256 | Key::P384) => {}
                (What::Dns01, _) => sites.push(Site::new(how, key, &[&name, &wild])),
                _ => sites.push(Site::new(how, key, &[&name])),
            }
        }
        let key = stand.external_key();
        let mut bound = Site::new(What::Http01, Key::P256, &["bound.apache.test"]);
        bound.external = Some(key.clone());
        sites.push(bound);
        let name = "short.apache.test";
        let mut short = Site::new(What::Http01, Key::P256, &[name]);
        short.profile = Some("minute");
        sites.push(short);
        let mut all: String = sites.iter().map(Site::text).collect();
        all += &Site::new(What::Http01, Key::P256, &[ADDRESS]).text();
        let apache = Apache::start(stand, &all);
        let client = &apache.client;
        for site in &sites {
            apache.obtains(site);
        }
        client.opened_with(&key.0);
        let first = serves(stand, name, |_| true);
        let told = account(stand, &first);
        assert_eq!(told["key"]["algorithm"], "RS256");
        client.does(What::AccountRsa);

        contact(stand, "two@example.org");
        apache.process.signal(Signal::USR1);
        let kept = stand.folder().join("first.pem");
        fs::copy(&first, &kept).unwrap();
        let chain = renews_when_told(client, name, &kept, true);
        client.obtained(&chain, &[name], What::Http01, Key::P256);
        client.stumbles(
            What::Update,
            &account(stand, &chain)["contacts"].to_string(),
            "one@example.org",
            "another MDContactEmail does not reach the account that it has",
        );
        client.stumbles(
            What::Address,
            &apache.log(),
            "an IP address is not a DNS name; order it with type ip",
            "it orders the address as a DNS name, which RFC 8738 §3 does not allow",
        );

        // Its directives: all that it can be told.
        let module = fs::read("/usr/lib/apache2/modules/mod_md.so").unwrap();
        let words: Vec<_> = module
            .split(|byte| !byte.is_ascii_graphic())
            .map(String::from_utf8_lossy)
            .filter(|word| word.starts_with("MD"))
            .collect();
        let words = words.join(" ");
        for (what, word) in [
            (What::AccountP256, "AccountKey"),
            (What::AccountP384, "AccountKey"),
            (What::KeyChange, "KeyChange"),
            (What::AlternateChain, "Chain"),
            (What::Deactivation, "Deactiv"),
            (What::Revocation, "Revo"),
            (What::RevocationByKey, "Revo"),
        ] {
            client.lacks(what, &words, word);
        }
    });
}

#[test]
fn apache_serves_what_it_obtained_from_pebble() {
    beside_pebble(test_path!(), |stand| {
        let sites: Vec<_> = CHALLENGES
            .into_iter()
            .map(|how| {
                let name = format!("{how:?}.apache.test").to_lowercase();
                Site::new(how, Key::Rsa2048, &[&name])
            })
            .collect();
        let text: String = sites.iter().map(Site::text).collect();
        let apache = Apache::start(stand, &text);
        for site in &sites {
            apache.obtains(site);
        }
    });
}
