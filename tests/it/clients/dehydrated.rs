//! dehydrated (Debian): a shell script over openssl and curl. It lays tokens and certificates of challenges into folders
//! and leaves it to others to show them; its account key is RSA.

use std::path::{Path, PathBuf};

use cairn_testkit::seen::What;
use cairn_testkit::{peers, test_path};

use super::stand::{
    ADDRESS, Client, HOOK, Key, Said, Stand, Tried, beside_cairn, beside_pebble, pairs, said,
};
use crate::other_root;

const NAME: &str = "dehydrated";

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// Writes its configuration and registers.
fn register(stand: &Stand) {
    let folder = home(stand);
    configure(stand, &folder, "");
    dehydrated(stand, What::Http01, &["--register", "--accept-terms"]).expect_good("--register");
}

fn configure(stand: &Stand, folder: &Path, more: &str) {
    let webroot = stand.webroot();
    std::fs::create_dir_all(folder.join("alpn")).unwrap();
    let config = format!(
        "CA={}\nBASEDIR={folder}\nWELLKNOWN={}/.well-known/acme-challenge\nALPNCERTDIR={folder}/alpn\n\
         HOOK={HOOK}\nCONTACT_EMAIL=one@example.org\nKEYSIZE=2048\nACCOUNT_KEYSIZE=2048\n{more}",
        stand.directory(),
        webroot.display(),
        folder = folder.display(),
    );
    std::fs::write(folder.join("config"), config).unwrap();
}

fn home(stand: &Stand) -> PathBuf {
    stand.folder().join("dehydrated")
}

fn dehydrated(stand: &Stand, how: What, words: &[&str]) -> Said {
    let mut dehydrated = stand.system("dehydrated");
    dehydrated.arg("--config").arg(home(stand).join("config"));
    dehydrated.env("CHALLENGE", how.title());
    said(dehydrated.args(words))
}

/// Orders a certificate under a name of its own.
fn order(stand: &Stand, how: What, key: Key, names: &[&str], alias: &str) -> Said {
    let algorithm = match key {
        Key::Rsa2048 => "rsa",
        Key::P256 => "prime256v1",
        Key::P384 => "secp384r1",
    };
    let names = names.join(" ");
    let words = [
        ["--cron", "--force", "--domain", &names, "--alias", alias],
        [
            "--challenge",
            how.title(),
            "--algo",
            algorithm,
            "--ipv4",
            "--no-lock",
        ],
    ];
    dehydrated(stand, how, &words.concat())
}

fn obtains(client: &Client<'_>, how: What, key: Key, names: &[&str]) -> PathBuf {
    let alias = names[0].trim_start_matches("*.");
    order(client.stand, how, key, names, alias).expect_good(how.title());
    let chain = home(client.stand)
        .join("certs")
        .join(alias)
        .join("fullchain.pem");
    client.obtained(&chain, names, how, key);
    chain
}

fn client(stand: &Stand) -> Client<'_> {
    stand.client(NAME, &peers::debian_version("dehydrated"))
}

fn account_key(stand: &Stand) -> PathBuf {
    let accounts = std::fs::read_dir(home(stand).join("accounts")).unwrap();
    let account = accounts.flatten().next().unwrap().path();
    account.join("account_key.pem")
}

fn revoke(stand: &Stand, chain: &Path, words: &[&str]) -> Said {
    let file = chain.with_file_name("cert.pem");
    let words = [&["--revoke", file.to_str().unwrap()], words].concat();
    dehydrated(stand, What::Http01, &words)
}

/// It revokes by its account alone.
fn renews_and_revokes(client: &Client<'_>) {
    let stand = client.stand;
    let wild = ["*.w.dehydrated.test", "w.dehydrated.test"];
    let chain = obtains(client, What::Dns01, Key::P256, &wild);
    let before = std::fs::read(&chain).unwrap();
    let chain = obtains(client, What::Dns01, Key::P256, &wild);
    assert_ne!(before, std::fs::read(&chain).unwrap(), "a new certificate");
    client.does(What::Renewal);

    let kept = chain.with_file_name("kept.pem");
    std::fs::copy(&chain, &kept).unwrap();
    stand.assert_revoked(&kept, false);
    revoke(stand, &chain, &[]).expect_good("--revoke");
    stand.assert_revoked(&kept, true);
    client.does(What::Revocation);
}

/// Its contact is sent again, which is all that it has; then its account's end.
fn account_ends(client: &Client<'_>) {
    let stand = client.stand;
    dehydrated(stand, What::Http01, &["--account"]).expect_good("--account");
    client.does(What::Update);
    dehydrated(stand, What::Http01, &["--deactivate"]).expect_good("--deactivate");
    order(stand, What::Http01, Key::P256, &["d.dehydrated.test"], "d").expect_bad("an order");
    client.does(What::Deactivation);
}

/// An account and one order, whatever becomes of them.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let _web = stand.serve_webroot();
    configure(stand, &home(stand), "");
    dehydrated(stand, What::Http01, &["--register", "--accept-terms"]);
    let name = "a.dehydrated.test";
    let tried = order(stand, What::Http01, Key::P256, &[name], name);
    (client(stand), tried.is_good())
}

#[test]
fn dehydrated_obtains_by_every_challenge_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        register(stand);
        stand.assert_key(&account_key(stand), Key::Rsa2048);
        client.does(What::AccountRsa);
        let _web = stand.serve_webroot();
        let _tls = stand.serve_alpn(&home(stand).join("alpn"));
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let name = format!("a{number}.dehydrated.test");
            obtains(&client, how, key, &[&name]);
        }
        renews_and_revokes(&client);

        let name = "other.dehydrated.test";
        let words = [
            "--cron",
            "--domain",
            name,
            "--preferred-chain",
            other_root::NAME,
        ];
        dehydrated(stand, What::Http01, &words).expect_good("--preferred-chain");
        let other = home(stand).join("certs").join(name).join("fullchain.pem");
        client.prefers(&other, name);

        // It takes the key in place of the account's.
        let chain = obtains(&client, What::Http01, Key::Rsa2048, &["k.dehydrated.test"]);
        let key = chain.with_file_name("privkey.pem");
        client.fails(
            What::RevocationByKey,
            &revoke(stand, &chain, &["--privkey", key.to_str().unwrap()]),
            "accountDoesNotExist",
            "it wants an account of the certificate's key, where RFC 8555 section 7.6 asks for none",
        );

        let address = order(stand, What::Http01, Key::P256, &[ADDRESS], "address");
        client.fails(
            What::Address,
            &address,
            "rejectedIdentifier",
            "it orders an address as a DNS name (RFC 8738 section 3: type `ip`)",
        );
        account_ends(&client);
        let (id, secret) = stand.external_key();
        let bound = stand.folder().join("bound");
        let key = format!("EAB_KID={id}\nEAB_HMAC_KEY={secret}\n");
        configure(stand, &bound, &key);
        let mut register = stand.system("dehydrated");
        register.arg("--config").arg(bound.join("config"));
        said(register.args(["--register", "--accept-terms"])).expect_good("--register");
        client.opened_with(&id);

        let help = said(stand.system("dehydrated").arg("--help")).text;
        let script = std::fs::read_to_string("/usr/bin/dehydrated").unwrap();
        client.lacks(What::KeyChange, &help, "rollover");
        client.lacks(What::RenewalInfo, &script, "renewalInfo");
        client.lacks(What::AccountP256, &script, "ES256");
        client.lacks(What::AccountP384, &script, "ES384");
    });
}

#[test]
fn dehydrated_obtains_by_every_challenge_and_lives_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        register(stand);
        let _web = stand.serve_webroot();
        let _tls = stand.serve_alpn(&home(stand).join("alpn"));
        for (how, key) in CHALLENGES.into_iter().zip(KEYS) {
            let name = format!("{how:?}.dehydrated.test").to_lowercase();
            obtains(&client, how, key, &[&name]);
        }
        renews_and_revokes(&client);
        account_ends(&client);
    });
}
