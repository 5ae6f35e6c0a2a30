//! lego (Debian). It makes the account's key of the same type as the certificate's, and listens itself for http-01 and
//! tls-alpn-01.

use std::path::PathBuf;
use std::process::Command;

use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::stand::{
    ADDRESS, Client, HOOK, Key, Said, Stand, Tried, beside_cairn, beside_pebble, pairs, said,
};
use crate::other_root;

const NAME: &str = "lego";

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// An account for each type of key, in a folder of its own.
fn command(stand: &Stand, key: Key) -> Command {
    let mut lego = stand.system("lego");
    let kind = match key {
        Key::Rsa2048 => "rsa2048",
        Key::P256 => "ec256",
        Key::P384 => "ec384",
    };
    lego.args(["--server", &stand.directory(), "--accept-tos"]);
    lego.args(["--email", "one@example.org", "--key-type", kind, "--path"]);
    lego.arg(home(stand, key));
    lego.env("EXEC_PATH", HOOK)
        .env("EXEC_POLLING_INTERVAL", "1")
        .env("EXEC_SEQUENCE_INTERVAL", "1");
    lego
}

fn home(stand: &Stand, key: Key) -> PathBuf {
    stand.folder().join(format!("lego-{key:?}"))
}

fn challenge(lego: &mut Command, challenge: What) {
    match challenge {
        What::Http01 => lego.args(["--http", "--http.port", &format!("{ADDRESS}:80")]),
        What::TlsAlpn01 => lego.args(["--tls", "--tls.port", &format!("{ADDRESS}:443")]),
        _ => lego.args([
            "--dns",
            "exec",
            "--dns.disable-cp",
            "--dns.resolvers",
            "127.0.0.1:53",
        ]),
    };
}

/// `lego run`, or another of its commands with its words.
fn lego(stand: &Stand, how: What, key: Key, names: &[&str], words: &[&str]) -> Said {
    let mut lego = command(stand, key);
    challenge(&mut lego, how);
    for name in names {
        lego.args(["--domains", name]);
    }
    said(lego.args(words))
}

fn chain(stand: &Stand, key: Key, name: &str) -> PathBuf {
    let file = format!("certificates/{}.crt", name.replace('*', "_"));
    home(stand, key).join(file)
}

fn obtains(client: &Client<'_>, how: What, key: Key, names: &[&str]) -> PathBuf {
    let stand = client.stand;
    let what = format!("{how:?} with {key:?}");
    lego(stand, how, key, names, &["run"]).expect_good(&what);
    let chain = chain(stand, key, names[0]);
    client.obtained(&chain, names, how, key);
    chain
}

/// It revokes by its account alone.
fn renews_and_revokes(client: &Client<'_>) {
    let stand = client.stand;
    let name = ["r.lego.test"];
    let file = obtains(client, What::Http01, Key::P256, &name);
    let before = std::fs::read(&file).unwrap();
    let renew = ["renew", "--days", "9999", "--no-random-sleep"];
    lego(stand, What::Http01, Key::P256, &name, &renew).expect_good("renew");
    assert_ne!(before, std::fs::read(&file).unwrap(), "a new certificate");
    client.obtained(&file, &name, What::Http01, Key::P256);
    client.does(What::Renewal);

    let kept = stand.folder().join("revoked.pem");
    std::fs::copy(&file, &kept).unwrap();
    stand.assert_revoked(&kept, false);
    lego(
        stand,
        What::Http01,
        Key::P256,
        &name,
        &["revoke", "--reason", "4"],
    )
    .expect_good("revoke");
    stand.assert_revoked(&kept, true);
    client.does(What::Revocation);
}

/// Debian's build does not know its version.
fn version() -> String {
    cairn_testkit::peers::debian_version("lego")
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let tried = lego(stand, What::Http01, Key::P256, &["a.lego.test"], &["run"]);
    (stand.client(NAME, &version()), tried.is_good())
}

#[test]
fn lego_obtains_by_every_challenge_with_every_key_and_renews_and_revokes() {
    beside_cairn(test_path!(), |stand| {
        let client = stand.client(NAME, &version());
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let names = [
                format!("a{number}.lego.test"),
                format!("b{number}.lego.test"),
            ];
            obtains(&client, how, key, &[&names[0], &names[1]]);
            let accounts = home(stand, key).join("accounts/ca.test/one@example.org/keys");
            stand.assert_key(&accounts.join("one@example.org.key"), key);
            client.does(key.account());
        }
        let wild = ["*.w.lego.test", "w.lego.test"];
        obtains(&client, What::Dns01, Key::P256, &wild);

        let (name, preferred) = (
            "other.lego.test",
            ["run", "--preferred-chain", other_root::NAME],
        );
        lego(stand, What::Http01, Key::P256, &[name], &preferred).expect_good("--preferred-chain");
        client.prefers(&chain(stand, Key::P256, name), name);

        renews_and_revokes(&client);

        let (id, secret) = stand.external_key();
        let mut bound = command(stand, Key::P256);
        challenge(&mut bound, What::Http01);
        bound.args(["--path", "bound", "--eab", "--kid", &id, "--hmac", &secret]);
        said(bound.args(["--domains", "e.lego.test", "run"])).expect_good("run with --eab");
        client.opened_with(&id);

        let address = lego(stand, What::Http01, Key::P256, &[ADDRESS], &["run"]);
        client.fails(
            What::Address,
            &address,
            "rejectedIdentifier",
            "it orders addresses as DNS names",
        );

        let help = |words: &[&str]| said(stand.system("lego").args(words)).text;
        let help = [
            help(&["--help"]),
            help(&["renew", "--help"]),
            help(&["revoke", "--help"]),
        ]
        .concat();
        client.lacks(What::RenewalInfo, &help, "--ari");
        client.lacks(What::RevocationByKey, &help, "--cert-key");
        client.lacks(What::Update, &help, "update");
        client.lacks(What::KeyChange, &help, "rollover");
        client.lacks(What::Deactivation, &help, "deactivate account");
    });
}

#[test]
fn lego_obtains_by_every_challenge_and_renews_and_revokes_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = stand.client(NAME, &version());
        for (how, key) in CHALLENGES.into_iter().zip(KEYS) {
            let name = format!("{how:?}.lego.test").to_lowercase();
            obtains(&client, how, key, &[&name]);
        }
        renews_and_revokes(&client);
    });
}
