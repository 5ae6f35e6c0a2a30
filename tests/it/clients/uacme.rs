//! uacme and its responder ualpn (Debian). It offers challenges to its hook in the server's order and takes the first that
//! is not declined; the account's key is of the type that `new` was given.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cairn_testkit::process::Process;
use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::stand::{
    ADDRESS, Client, HOOK, Key, Said, Stand, Tried, beside_cairn, beside_pebble, pairs, said,
};

const NAME: &str = "uacme";

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// Its folder, one for each type of the account's key.
fn home(stand: &Stand, account: Key) -> PathBuf {
    stand.folder().join(format!("uacme-{account:?}"))
}

fn typed(uacme: &mut Command, key: Key) {
    let (kind, bits) = match key {
        Key::Rsa2048 => ("RSA", "2048"),
        Key::P256 => ("EC", "256"),
        Key::P384 => ("EC", "384"),
    };
    uacme.args(["--type", kind, "--bits", bits]);
}

fn uacme(stand: &Stand, account: Key, how: What, key: Key, words: &[&str]) -> Said {
    let mut uacme = stand.system("uacme");
    uacme.args([
        "-v",
        "--yes",
        "--acme-url",
        &stand.directory(),
        "--hook",
        HOOK,
    ]);
    uacme.arg("--confdir").arg(home(stand, account));
    typed(&mut uacme, key);
    uacme
        .env("CHALLENGE", how.title())
        .env("UALPN", stand.folder().join("ualpn.sock"));
    said(uacme.args(words))
}

/// The account is made with a key of this type.
fn registers(client: &Client<'_>, account: Key) {
    let words = ["new", "one@example.org"];
    uacme(client.stand, account, What::Http01, account, &words).expect_good("new");
    let file = home(client.stand, account).join("private/key.pem");
    client.stand.assert_key(&file, account);
    client.does(account.account());
}

fn obtains(client: &Client<'_>, account: Key, how: What, key: Key, names: &[&str]) -> PathBuf {
    let stand = client.stand;
    let words = [&["issue"], names].concat();
    uacme(stand, account, how, key, &words).expect_good(how.title());
    let folder = names[0].trim_start_matches("*.");
    let chain = home(stand, account).join(folder).join("cert.pem");
    client.obtained(&chain, names, how, key);
    chain
}

/// Answers tls-alpn-01 at the real port, and hands all else to a server that is not there.
fn ualpn(stand: &Stand) -> Process {
    let socket = stand.folder().join("ualpn.sock");
    let mut ualpn = stand.system("ualpn");
    ualpn.args(["--bind", ADDRESS, "--connect", "127.0.0.9", "-v", "--sock"]);
    ualpn.arg(&socket);
    ualpn.arg("--pidfile").arg(stand.folder().join("ualpn.pid"));
    let process = Process::start("ualpn", &mut ualpn);
    let up = || std::os::unix::net::UnixStream::connect(&socket).ok();
    cairn_testkit::wait_for(Duration::from_secs(30), up).expect("ualpn listens");
    process
}

/// Renewal, and revocation by the account and by the certificate's key.
fn renews_and_revokes(client: &Client<'_>, account: Key) {
    let stand = client.stand;
    let go = |words: &[&str]| uacme(stand, account, What::Http01, Key::P256, words);
    let name = ["r.uacme.test"];
    let file = obtains(client, account, What::Http01, Key::P256, &name);
    let before = std::fs::read(&file).unwrap();
    go(&["--force", "issue", name[0]]).expect_good("renewal");
    assert_ne!(before, std::fs::read(&file).unwrap(), "a new certificate");
    client.obtained(&file, &name, What::Http01, Key::P256);
    client.does(What::Renewal);

    for (what, by_key) in [(What::Revocation, false), (What::RevocationByKey, true)] {
        let name = format!("{what:?}.uacme.test").to_lowercase();
        let file = obtains(client, account, What::Http01, Key::P256, &[&name]);
        let kept = stand.folder().join("revoked.pem");
        std::fs::copy(&file, &kept).unwrap();
        stand.assert_revoked(&kept, false);
        let key = home(stand, account).join(format!("private/{name}/key.pem"));
        let mut words = vec!["revoke", file.to_str().unwrap()];
        if by_key {
            words.push(key.to_str().unwrap());
        }
        go(&words).expect_good("revoke");
        stand.assert_revoked(&kept, true);
        client.does(what);
    }
}

/// Contact, key, and last the account's end.
fn account_ends(client: &Client<'_>, account: Key) {
    let stand = client.stand;
    let go = |words: &[&str]| uacme(stand, account, What::Http01, Key::P256, words);
    go(&["update", "two@example.org"]).expect_good("update");
    client.does(What::Update);
    let key = home(stand, account).join("private/key.pem");
    let before = std::fs::read(&key).unwrap();
    go(&["newkey"]).expect_good("newkey");
    assert_ne!(before, std::fs::read(&key).unwrap(), "another key");
    obtains(client, account, What::Http01, Key::P256, &["k.uacme.test"]);
    client.does(What::KeyChange);
    go(&["deactivate"]).expect_good("deactivate");
    go(&["issue", "d.uacme.test"]).expect_bad("an order of a deactivated account");
    client.does(What::Deactivation);
}

fn version(stand: &Stand) -> String {
    // It calls that a failure.
    let text = said(stand.system("uacme").arg("--version")).text;
    let first = text.lines().next().unwrap_or_default();
    first.rsplit(' ').next().unwrap_or_default().to_owned()
}

/// An account and one order, whatever becomes of them.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let _web = stand.serve_webroot();
    let go = |words: &[&str]| uacme(stand, Key::P256, What::Http01, Key::P256, words);
    go(&["new", "one@example.org"]);
    let tried = go(&["issue", "a.uacme.test"]);
    (stand.client(NAME, &version(stand)), tried.is_good())
}

#[test]
fn uacme_obtains_by_every_challenge_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        let client = stand.client(NAME, &version(stand));
        let _web = stand.serve_webroot();
        let _tls = ualpn(stand);
        for account in KEYS {
            registers(&client, account);
        }
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let names = [
                format!("a{number}.uacme.test"),
                format!("b{number}.uacme.test"),
            ];
            obtains(&client, key, how, key, &[&names[0], &names[1]]);
        }
        let account = Key::P256;
        let go = |words: &[&str]| uacme(stand, account, What::Http01, Key::P256, words);
        obtains(
            &client,
            account,
            What::Dns01,
            Key::P256,
            &["*.w.uacme.test", "w.uacme.test"],
        );
        obtains(&client, account, What::TlsAlpn01, Key::P256, &[ADDRESS]);

        let name = "other.uacme.test";
        go(&["--alternate", "1", "issue", name]).expect_good("--alternate");
        client.prefers(&home(stand, account).join(name).join("cert.pem"), name);

        renews_and_revokes(&client, account);

        let (id, secret) = stand.external_key();
        let bound = format!("{id}:{secret}");
        go(&["--confdir", "bound", "--eab", &bound, "new"]).expect_good("new with --eab");
        client.opened_with(&id);

        account_ends(&client, account);
        let help = said(stand.system("uacme").arg("--help")).text;
        client.lacks(What::RenewalInfo, &help, "ari");
    });
}

#[test]
fn uacme_obtains_by_every_challenge_and_lives_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = stand.client(NAME, &version(stand));
        let _web = stand.serve_webroot();
        let _tls = ualpn(stand);
        for (how, key) in CHALLENGES.into_iter().zip(KEYS) {
            registers(&client, key);
            let name = format!("{how:?}.uacme.test").to_lowercase();
            obtains(&client, key, how, key, &[&name]);
        }
        renews_and_revokes(&client, Key::P256);
        account_ends(&client, Key::P256);
    });
}
