//! acmetool (Debian): a folder of wishes, one pass over them. It serves tokens itself, checks them itself, and tries each
//! challenge that it knows in turn; dns-01 is its hooks' business.

use std::fs;
use std::path::PathBuf;

use cairn_testkit::seen::What;
use cairn_testkit::{peers, test_path};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::stand::{
    ADDRESS, Client, HOOK, Key, Said, Stand, Tried, beside_cairn, beside_pebble, pairs, said,
    serial,
};

const NAME: &str = "acmetool";

const CHALLENGES: [What; 2] = [What::Http01, What::Dns01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// Its folder, one for each challenge: what is in it decides which is taken.
fn home(stand: &Stand, how: What) -> PathBuf {
    stand.folder().join(format!("acmetool-{how:?}"))
}

/// Answers to what it asks a person, and the hook where dns-01 is wanted; else no hook.
fn prepare(stand: &Stand, how: What) {
    let home = home(stand, how);
    for folder in ["state/conf", "state/desired", "hooks"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    // Terms are agreed to by their URL; Pebble's is a text.
    let terms = match stand.is_pebble() {
        true => "data:text/plain,Do%20what%20thou%20wilt",
        false => "",
    };
    let answers =
        format!("\"acme-enter-email\": one@example.org\n\"acme-agreement:{terms}\": true\n");
    fs::write(home.join("state/conf/responses"), answers).unwrap();
    if how == What::Dns01 {
        fs::copy(HOOK, home.join("hooks/hook")).unwrap();
    }
}

fn acmetool(stand: &Stand, how: What, words: &[&str]) -> Said {
    let mut acmetool = stand.system("acmetool");
    acmetool.args(["--batch", "--xlog.severity=info", "--state"]);
    acmetool.arg(home(stand, how).join("state"));
    acmetool.arg("--hooks").arg(home(stand, how).join("hooks"));
    said(acmetool.args(words))
}

/// Wishes for a certificate and makes one pass.
fn reconcile(stand: &Stand, how: What, key: Key, names: &[&str]) -> Said {
    let key = match key {
        Key::Rsa2048 => "type: rsa\n    rsa-size: 2048",
        Key::P256 => "type: ecdsa\n    ecdsa-curve: nistp256",
        Key::P384 => "type: ecdsa\n    ecdsa-curve: nistp384",
    };
    let webroot = stand.webroot().join(".well-known/acme-challenge");
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("    - '{name}'\n"))
        .collect();
    let target = format!(
        "satisfy:\n  names:\n{}request:\n  provider: {}\n  key:\n    {key}\n  challenge:\n    webroot-paths:\n      - {}\n",
        names.concat(),
        stand.directory(),
        webroot.display(),
    );
    let desired = home(stand, how).join("state/desired");
    // One wish at a time: a pass is over all.
    for old in fs::read_dir(&desired).unwrap().flatten() {
        fs::remove_file(old.path()).unwrap();
    }
    fs::write(desired.join("wish"), target).unwrap();
    acmetool(stand, how, &["reconcile"])
}

fn chain(stand: &Stand, how: What, name: &str) -> PathBuf {
    home(stand, how)
        .join("state/live")
        .join(name)
        .join("fullchain")
}

fn obtains(client: &Client<'_>, how: What, key: Key, names: &[&str]) -> PathBuf {
    let stand = client.stand;
    reconcile(stand, how, key, names).expect_good(how.title());
    let chain = chain(stand, how, names[0]);
    client.obtained(&chain, names, how, key);
    chain
}

fn client(stand: &Stand) -> Client<'_> {
    stand.client(NAME, &peers::debian_version("acmetool"))
}

/// `accounts/DIRECTORY/ACCOUNT/privkey`.
fn account_key(stand: &Stand) -> PathBuf {
    let first = |folder: PathBuf| {
        let mut entries = fs::read_dir(folder).unwrap().flatten();
        entries.next().unwrap().path()
    };
    let accounts = home(stand, What::Http01).join("state/accounts");
    first(first(accounts)).join("privkey")
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    prepare(stand, What::Http01);
    let _web = stand.serve_webroot();
    let tried = reconcile(stand, What::Http01, Key::P256, &["a.acmetool.test"]);
    (client(stand), tried.is_good())
}

#[test]
fn acmetool_obtains_by_every_challenge_with_every_key_and_renews_and_revokes() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        for how in CHALLENGES {
            prepare(stand, how);
        }
        // Where its own check of a token fails, it takes the next challenge: without a web server, dns-01.
        let (dns, http): (Vec<_>, Vec<_>) = pairs(&CHALLENGES, &KEYS)
            .into_iter()
            .partition(|(how, _)| *how == What::Dns01);
        for (number, (how, key)) in dns.into_iter().enumerate() {
            obtains(&client, how, key, &[&format!("*.w{number}.acmetool.test")]);
        }
        let _web = stand.serve_webroot();
        for (number, (how, key)) in http.into_iter().enumerate() {
            let names = [
                format!("a{number}.acmetool.test"),
                format!("b{number}.acmetool.test"),
            ];
            obtains(&client, how, key, &[&names[0], &names[1]]);
        }
        let file = account_key(stand);
        stand.assert_key(&file, Key::Rsa2048);
        client.does(What::AccountRsa);

        let name = ["r.acmetool.test"];
        let file = obtains(&client, What::Http01, Key::P256, &name);
        // It renews when a third of the life is left: one that is over lies in its place.
        let before = serial(&file);
        let mut over = CertificateParams::new(name.map(str::to_owned)).unwrap();
        (over.not_before, over.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2019, 4, 1));
        let over = over.self_signed(&KeyPair::generate().unwrap()).unwrap();
        fs::write(&file, over.pem()).unwrap();
        reconcile(stand, What::Http01, Key::P256, &name).expect_good("a pass");
        assert_ne!(before, serial(&file), "a new certificate");
        client.obtained(&file, &name, What::Http01, Key::P256);
        client.does(What::Renewal);

        let folder = fs::canonicalize(file.parent().unwrap()).unwrap();
        let id = folder.file_name().unwrap().to_str().unwrap();
        acmetool(stand, What::Http01, &["revoke", id]).expect_good("revoke");
        acmetool(stand, What::Http01, &["reconcile"]).expect_good("a pass");
        stand.assert_revoked(&file, false);
        client.feigns(
            What::Revocation,
            "`revoke` marks the certificate in its folder and asks no CA",
        );

        let address = reconcile(stand, What::Http01, Key::P256, &[ADDRESS]);
        client.fails(
            What::Address,
            &address,
            "rejectedIdentifier",
            "it orders an address as a DNS name (RFC 8738 section 3: type `ip`)",
        );
        let help = said(stand.system("acmetool").arg("--help-long")).text;
        for (what, word) in [
            (What::AccountP256, "account-key"),
            (What::AccountP384, "account-key"),
            (What::TlsAlpn01, "alpn"),
            (What::KeyChange, "rollover"),
            (What::ExternalAccount, "external"),
            (What::Update, "contact"),
            (What::Deactivation, "deactivate"),
            (What::RenewalInfo, "renewal info"),
            (What::AlternateChain, "alternate"),
            (What::RevocationByKey, "revoke-by-key"),
        ] {
            client.lacks(what, &help, word);
        }
    });
}

#[test]
fn acmetool_obtains_by_every_challenge_from_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        for how in CHALLENGES {
            prepare(stand, how);
        }
        obtains(&client, What::Dns01, Key::P256, &["*.w.acmetool.test"]);
        let _web = stand.serve_webroot();
        obtains(
            &client,
            What::Http01,
            Key::P256,
            &["a.acmetool.test", "b.acmetool.test"],
        );
    });
}
