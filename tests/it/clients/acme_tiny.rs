//! acme-tiny (Debian): http-01 alone, an RSA account key that openssl made, a CSR that openssl made.

use std::path::{Path, PathBuf};

use cairn_testkit::seen::What;
use cairn_testkit::{peers, test_path};

use super::stand::{Client, Key, Said, Stand, Tried, beside_cairn, beside_pebble, said};

const NAME: &str = "acme-tiny";

fn acme_tiny(stand: &Stand, account: &Path, csr: &Path) -> Said {
    let mut tiny = stand.system("acme-tiny");
    tiny.args(["--directory-url", &stand.directory(), "--account-key"]);
    tiny.arg(account).arg("--csr").arg(csr);
    tiny.arg("--acme-dir")
        .arg(stand.webroot().join(".well-known/acme-challenge"));
    said(tiny.args(["--contact", "mailto:one@example.org"]))
}

/// The chain is printed among what it tells of its progress.
fn obtains(client: &Client<'_>, account: &Path, key: Key, names: &[&str]) -> PathBuf {
    let stand = client.stand;
    let csr = stand.csr(&stand.key(key), names);
    let text = acme_tiny(stand, account, &csr).expect_good("acme-tiny");
    let chain = stand.folder().join(format!("{}.pem", names[0]));
    let start = text.find("-----BEGIN CERTIFICATE").unwrap();
    let end = text.rfind("-----END CERTIFICATE-----\n").unwrap() + 26;
    std::fs::write(&chain, &text[start..end]).unwrap();
    client.obtained(&chain, names, What::Http01, key);
    chain
}

fn client(stand: &Stand) -> Client<'_> {
    stand.client(NAME, &peers::debian_version("acme-tiny"))
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let _web = stand.serve_webroot();
    let csr = stand.csr(&stand.key(Key::P256), &["a.tiny.test"]);
    let tried = acme_tiny(stand, &stand.key(Key::Rsa2048), &csr);
    (client(stand), tried.is_good())
}

#[test]
fn acme_tiny_obtains_with_every_key_and_again() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        let _web = stand.serve_webroot();
        let account = stand.key(Key::Rsa2048);
        for (number, key) in [Key::P256, Key::Rsa2048, Key::P384].into_iter().enumerate() {
            let names = [
                format!("a{number}.tiny.test"),
                format!("b{number}.tiny.test"),
            ];
            obtains(&client, &account, key, &[&names[0], &names[1]]);
        }
        client.does(What::AccountRsa);
        // To renew is to call it again; the account is found by its key.
        let before = obtains(&client, &account, Key::P256, &["r.tiny.test"]);
        let before = std::fs::read(before).unwrap();
        let after = obtains(&client, &account, Key::P256, &["r.tiny.test"]);
        assert_ne!(before, std::fs::read(after).unwrap(), "a new certificate");
        client.does(What::Renewal);

        let key = stand.key(Key::P256);
        let tried =
            |account: &Path, name: &str| acme_tiny(stand, account, &stand.csr(&key, &[name]));
        let wild = tried(&account, "*.w.tiny.test");
        client.fails(
            What::Wildcard,
            &wild,
            "http-01",
            "it looks for http-01, which no wildcard has",
        );
        let address = tried(&account, super::stand::ADDRESS);
        client.fails(
            What::Address,
            &address,
            "names no identifier",
            "it reads DNS names of a CSR alone",
        );
        for (what, kind) in [
            (What::AccountP256, Key::P256),
            (What::AccountP384, Key::P384),
        ] {
            let refused = tried(&stand.key(kind), "e.tiny.test");
            client.fails(what, &refused, "Not an RSA key", "it reads RSA keys alone");
        }
        let help = said(stand.system("acme-tiny").arg("--help")).text;
        for (what, word) in [
            (What::Dns01, "dns"),
            (What::TlsAlpn01, "alpn"),
            (What::KeyChange, "rollover"),
            (What::ExternalAccount, "external"),
            (What::Update, "update"),
            (What::Deactivation, "deactivate"),
            (What::RenewalInfo, "renewal"),
            (What::AlternateChain, "preferred"),
            (What::Revocation, "revoke"),
            (What::RevocationByKey, "revoke"),
        ] {
            client.lacks(what, &help, word);
        }
    });
}

#[test]
fn acme_tiny_obtains_from_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let _web = stand.serve_webroot();
        let account = stand.key(Key::Rsa2048);
        obtains(
            &client,
            &account,
            Key::P256,
            &["a.tiny.test", "b.tiny.test"],
        );
    });
}
