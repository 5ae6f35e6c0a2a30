//! Ansible's acme modules (community.crypto), driven by the playbooks in `peers/ansible`. Each task is a process of its
//! own, so there are few.

use std::path::PathBuf;
use std::process::Command;

use cairn_testkit::seen::What;
use cairn_testkit::{places, soak, test_path};
use serde_json::{Value, json};

use super::stand::{
    ADDRESS, Client, Key, Said, Stand, Tried, beside_cairn, beside_pebble, pairs, said, serial,
};
use crate::operation::asked;
use crate::other_root;

const CHALLENGES: [What; 3] = [What::Http01, What::Dns01, What::TlsAlpn01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// The collection's folder, below the one that Ansible is told.
const COLLECTION: &str = "ansible_collections/community/crypto";

/// One playbook with these variables.
fn play(stand: &Stand, book: &str, mut variables: Value) -> Said {
    variables["directory"] = json!(stand.directory());
    variables["ansible_python_interpreter"] = json!(places::peers().join("bin/python"));
    let mut ansible: Command = stand.peer("ansible-playbook");
    ansible
        .env("ALPN", stand.folder().join("alpn"))
        .env("ANSIBLE_COLLECTIONS_PATH", places::peers().join("ansible"))
        // One process a task in place of three; nothing to become.
        .env("ANSIBLE_PIPELINING", "true")
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .env("ANSIBLE_INVENTORY_UNPARSED_WARNING", "false")
        .args(["--inventory", "localhost,", "--extra-vars"])
        .arg(variables.to_string())
        .arg(format!(
            "{}/peers/ansible/{book}.yml",
            env!("CARGO_MANIFEST_DIR")
        ));
    said(&mut ansible)
}

/// An account's key, a certificate's and its chain.
struct Obtained {
    account: PathBuf,
    key: PathBuf,
    chain: PathBuf,
}

fn obtains(client: &Client<'_>, (how, key): (What, Key), names: &[&str]) -> Obtained {
    let stand = client.stand;
    let (account, private) = (stand.key(key), stand.key(key));
    let got = Obtained {
        account,
        chain: private.with_extension("chain.pem"),
        key: private,
    };
    order(client, &got, how, names, Further::default()).expect_good(how.title());
    client.obtained(&got.chain, names, how, key);
    client.does(key.account());
    got
}

/// What an order may say beside its names.
#[derive(Default)]
struct Further {
    /// What it replaces.
    replacing: bool,
    /// The operator's key, with which its account is opened.
    binding: Option<(String, String)>,
    /// The chains that it prefers, as `select_chain` has them.
    select: Vec<Value>,
}

fn order(
    client: &Client<'_>,
    files: &Obtained,
    how: What,
    names: &[&str],
    further: Further,
) -> Said {
    let kind = |name: &&str| match name.parse::<std::net::IpAddr>() {
        Ok(_) => format!("IP:{name}"),
        Err(_) => format!("DNS:{name}"),
    };
    let mut variables = json!({
        "account": files.account,
        "key": files.key,
        "chain": files.chain,
        "challenge": how.title(),
        "names": names.iter().map(kind).collect::<Vec<_>>(),
        "replacing": further.replacing,
        "select": further.select,
    });
    if let Some((id, secret)) = further.binding {
        variables["binding"] = json!({ "kid": id, "key": secret, "alg": "HS256" });
    }
    play(client.stand, "obtain", variables)
}

fn client(stand: &Stand) -> Client<'_> {
    let manifest = places::peers()
        .join("ansible")
        .join(COLLECTION)
        .join("MANIFEST.json");
    let text = std::fs::read_to_string(manifest).expect("the collection: run `make peers`");
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let version = manifest["collection_info"]["version"].as_str().unwrap();
    stand.client("Ansible community.crypto", version)
}

/// One order, whatever becomes of it.
pub(crate) fn tries(stand: &Stand) -> Tried<'_> {
    let client = client(stand);
    let _web = stand.serve_webroot();
    let key = stand.key(Key::P256);
    let files = Obtained {
        account: stand.key(Key::P256),
        chain: key.with_extension("chain.pem"),
        key,
    };
    let names = ["a.ansible.test"];
    let tried = order(&client, &files, What::Http01, &names, Further::default());
    (client, tried.is_good())
}

#[test]
fn ansible_obtains_by_every_challenge_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        let client = client(stand);
        let alpn = stand.folder().join("alpn");
        std::fs::create_dir(&alpn).unwrap();
        let _servers = [stand.serve_webroot(), stand.serve_alpn(&alpn)];
        let mut all = Vec::new();
        for (number, pair) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let name = format!("n{number}.ansible.test");
            let wild = format!("*.{name}");
            let second = match pair.0 {
                What::Dns01 => &*wild,
                _ => ADDRESS,
            };
            all.push(obtains(&client, pair, &[&name, second]));
        }
        let [first, other, ..] = &*all else {
            panic!("not a certificate for each key")
        };
        let old = serial(&first.chain);
        let names = ["n0.ansible.test", ADDRESS];
        let replacing = Further {
            replacing: true,
            ..Further::default()
        };
        order(&client, first, What::Http01, &names, replacing).expect_good("a renewal");
        client.obtained(&first.chain, &names, What::Http01, Key::P256);
        let new = serial(&first.chain);
        assert_ne!(old, new, "a new certificate");
        client.does(What::Renewal);
        assert!(replaces(stand, &new), "{new} replaces nothing");

        // One order for two things that it can say.
        let (id, secret) = stand.external_key();
        let private = stand.key(Key::P256);
        let bound = Obtained {
            account: stand.key(Key::P256),
            chain: private.with_extension("chain.pem"),
            key: private,
        };
        let further = Further {
            binding: Some((id.clone(), secret)),
            select: vec![json!({
                "test_certificates": "last",
                "issuer": { "CN": other_root::NAME },
            })],
            ..Further::default()
        };
        let name = "bound.ansible.test";
        order(&client, &bound, What::Http01, &[name], further).expect_good("an order");
        client.opened_with(&id);
        client.prefers(&bound.chain, name);

        lives_on(&client, first, other);
    });
}

/// What else there is to an account and two certificates of its own and of another.
fn lives_on(client: &Client<'_>, first: &Obtained, other: &Obtained) {
    let stand = client.stand;
    for one in [first, other] {
        stand.assert_revoked(&one.chain, false);
    }
    let said = play(
        stand,
        "life",
        json!({
            "account": first.account,
            "new_account": stand.key(Key::P384),
            "chain": first.chain,
            "other_chain": other.chain,
            "other_key": other.key,
            "contact": "mailto:two@example.org",
        }),
    );
    let said = said.expect_good("life");
    // Debian's Pebble has no renewal information.
    let known = if stand.is_pebble() { "False" } else { "True" };
    assert!(
        said.contains(&format!("renewal information: {known}")),
        "{said}"
    );
    if !stand.is_pebble() {
        client.does(What::RenewalInfo);
    }
    for what in [What::Update, What::KeyChange, What::Deactivation] {
        client.does(what);
    }
    for (chain, what) in [
        (&first.chain, What::Revocation),
        (&other.chain, What::RevocationByKey),
    ] {
        stand.assert_revoked(chain, true);
        client.does(what);
    }
}

/// Whether the order of this certificate said which it replaces.
fn replaces(stand: &Stand, serial: &str) -> bool {
    let shown = asked(stand.cairn(), &["show", serial, "--json"]);
    let order = shown["order"].as_str().unwrap();
    asked(stand.cairn(), &["show", order, "--json"])["replaces"].is_string()
}

#[test]
fn ansible_obtains_from_pebble() {
    beside_pebble(test_path!(), |stand| {
        let client = client(stand);
        let alpn = stand.folder().join("alpn");
        std::fs::create_dir(&alpn).unwrap();
        let _servers = [stand.serve_webroot(), stand.serve_alpn(&alpn)];
        let count = if soak() { CHALLENGES.len() } else { 1 };
        let mut all = Vec::new();
        for how in CHALLENGES.into_iter().take(count) {
            let name = format!("{how:?}.ansible.test").to_lowercase();
            all.push(obtains(&client, (how, Key::P256), &[&name]));
        }
        if let [first, other, ..] = &*all {
            lives_on(&client, first, other);
        }
    });
}
