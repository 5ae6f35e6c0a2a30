//! The `acme` library (PyPI) that certbot stands on, driven by `peers/acme_client.py`: account keys of its own choice,
//! http-01 and dns-01, addresses, renewal information.

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::stand::{ADDRESS, Client, Key, Stand, Tried, beside_cairn, beside_pebble, said, serial};
use crate::other_root;
use crate::world::names;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/acme_client.py");

/// What the script does in a life beside its certificate; the test sees that it was revoked.
const LIFE: [What; 5] = [
    What::Revocation,
    What::RevocationByKey,
    What::Update,
    What::Deactivation,
    What::Renewal,
];

fn client(stand: &Stand) -> Client<'_> {
    let version = "import importlib.metadata as m; print(m.version('acme'))";
    let version = said(stand.peer("python").args(["-c", version])).expect_good("its version");
    stand.client("acme (PyPI library)", version.trim())
}

fn script(stand: &Stand, words: &[&str]) -> String {
    script_with(stand, words, &[])
}

/// The same with variables of its environment.
fn script_with(stand: &Stand, words: &[&str], variables: &[(&str, &str)]) -> String {
    let mut python = command(stand, words);
    said(python.envs(variables.iter().copied())).expect_good(&words[..2].join(" "))
}

fn command(stand: &Stand, words: &[&str]) -> Command {
    let mut python = stand.peer("python");
    python.arg(SCRIPT).arg(stand.directory()).args(words);
    python.env("ADDRESS", ADDRESS);
    python
}

/// A whole life of an account with one certificate, which the given one revokes.
fn life(
    client: &Client<'_>,
    account: Key,
    how: What,
    key: Key,
    revoker: &str,
    names: &[&str],
) -> PathBuf {
    let chain = client
        .stand
        .folder()
        .join(format!("{account:?}-{how:?}-{revoker}.pem"));
    let algorithm = match account {
        Key::Rsa2048 => "rs256",
        Key::P256 => "es256",
        Key::P384 => "es384",
    };
    let kind = format!("{key:?}").to_lowercase();
    let words = [
        "life",
        algorithm,
        how.title(),
        &kind,
        revoker,
        chain.to_str().unwrap(),
    ];
    script(client.stand, &[&words, names].concat());
    client.obtained(&chain, names, how, key);
    client.does(account.account());
    chain
}

/// An account's life with one order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let chain = stand.folder().join("chain.pem");
    let file = chain.to_str().unwrap();
    let name = "a.library.test";
    let words = ["life", "es256", "http-01", "p256", "none", file, name];
    let tried = said(&mut command(stand, &words));
    (client(stand), tried.is_good())
}

#[test]
fn the_python_library_lives_an_accounts_life_with_every_key_type() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        let hundred = names(100, "library");
        let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
        let chain = life(
            &client,
            Key::Rsa2048,
            What::Http01,
            Key::Rsa2048,
            "none",
            &hundred,
        );
        stand.assert_revoked(&chain, false);

        // Moved by the operator, it is due now; before it is not.
        let due = || -> u64 {
            let when = script(stand, &["renewal", chain.to_str().unwrap()]);
            when.trim().parse::<f64>().unwrap() as u64
        };
        let now = || {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        assert!(due() > now(), "a new certificate is due");
        let (status, out, err) = stand.cairn().command(&["ari", "move", &serial(&chain)]);
        assert!(status.success(), "{out}{err}");
        assert!(due() <= now(), "a moved certificate is not due");
        client.does(What::RenewalInfo);
        // To renew is to order again, whatever the account.
        let wild = ["*.w.library.test", "w.library.test"];
        let chain = life(&client, Key::P384, What::Dns01, Key::P384, "account", &wild);
        stand.assert_revoked(&chain, true);
        let both = ["ip.library.test", ADDRESS];
        let chain = life(&client, Key::P256, What::Http01, Key::P256, "key", &both);
        stand.assert_revoked(&chain, true);
        for what in LIFE {
            client.does(what);
        }
        let list =
            "import acme.client, acme.challenges as c; print(dir(acme.client.ClientV2), dir(c))";
        let list = said(stand.peer("python").args(["-c", list])).expect_good("its functions");
        let chain = stand.folder().join("with.pem");
        let with = |name: &str, variables: &[(&str, &str)]| {
            let file = chain.to_str().unwrap();
            let words = ["life", "es256", "http-01", "p256", "none", file, name];
            script_with(stand, &words, variables);
        };
        with("other.library.test", &[("PREFERRED", other_root::NAME)]);
        client.prefers(&chain, "other.library.test");
        let (id, secret) = stand.external_key();
        let key = [("EAB_KID", &*id), ("EAB_HMAC_KEY", &*secret)];
        with("bound.library.test", &key);
        client.opened_with(&id);
        client.lacks(What::TlsAlpn01, &list, "alpn");
        client.lacks(What::KeyChange, &list, "key_change");
    });
}

#[test]
fn the_python_library_lives_an_accounts_life_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let one = ["a.library.test"];
        let chain = life(&client, Key::P256, What::Http01, Key::P256, "none", &one);
        stand.assert_revoked(&chain, false);
        let http = (What::Http01, "account");
        let dns = (What::Dns01, "key");
        for ((how, revoker), name) in [(http, one[0]), (dns, "*.w.library.test")] {
            let chain = life(&client, Key::Rsa2048, how, Key::P256, revoker, &[name]);
            stand.assert_revoked(&chain, true);
        }
        for what in LIFE {
            client.does(what);
        }
    });
}
