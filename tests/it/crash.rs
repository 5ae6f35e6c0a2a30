//! Kill -9 under load: after each restart all that was acknowledged is there, no serial is used twice, every order goes on
//! or ends with a reason, every revocation stands, no CRL number names two lists (T-CA-50). What the test knows is only
//! what the server told it before it died.

mod subscriber;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, atomic::Ordering},
};

use cairn_testkit::{
    acme::{Client, Key},
    block_on,
    ca::{self, HOST, PUBLICATION},
    http::Responder,
    issued, places, soak, test_path,
};
use serde_json::json;
use tokio::task::JoinSet;

use self::{
    subscriber::{Fuse, Subscriber},
    told::{Told, rank, serial_of},
};
use crate::{
    openssl::openssl,
    operation::asked,
    world::{World, inside_within},
};

const CLIENTS: usize = 16;

/// A small generator, so that the seed in the output tells the run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn kills_under_load_lose_nothing_and_repeat_no_serial() {
    // T-CA-50 T-CA-103
    // 8555-7.1.6-6
    inside_within(900, test_path!(), |mut world| {
        let rounds = if soak() { 1_000 } else { 50 };
        let mut seed = 0x00ca_1e12_u64;
        let web = Arc::new(Responder::start((HOST, 80)));
        let root = world.ca.root();
        let told = Arc::new(Mutex::new(Told::default()));
        let list = list_path(&world);
        let clients: Vec<Client> = block_on(async {
            let first = world.ca.client().await;
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                let mut client = first.with_key(Key::es256());
                client.new_account().await.expect(201);
                clients.push(client);
            }
            clients
        });
        // New connections each: those of another runtime are dead, and so are those to a killed server.
        let subscribers = |fuse: &Arc<Fuse>| -> Vec<Subscriber> {
            let keys = &told.lock().unwrap().keys;
            let each = clients.iter().enumerate();
            each.map(|(number, client)| {
                let mut client = client.apart(&root);
                if let Some(keys) = keys.get(&number) {
                    client.key = Arc::clone(&keys.current);
                }
                Subscriber {
                    number,
                    client,
                    told: Arc::clone(&told),
                    fuse: Arc::clone(fuse),
                    web: Arc::clone(&web),
                }
            })
            .collect()
        };
        let mut numbers = Numbers::default();
        for round in 0..rounds {
            let fuse = Arc::new(Fuse::default());
            fuse.burns_at
                .store(20 + next(&mut seed) % 180, Ordering::SeqCst);
            let operator = Operator::new(&world, &told, &list);
            block_on(load_until_the_kill(
                &mut world,
                round,
                subscribers(&fuse),
                &fuse,
                operator,
            ));
            world.ca.start();
            numbers.see(&list, &told);
            block_on(async {
                let unburnt = Arc::new(Fuse::default());
                let mut compared = JoinSet::new();
                for mut subscriber in subscribers(&unburnt) {
                    compared.spawn(async move { subscriber.compare().await });
                }
                while let Some(ended) = compared.join_next().await {
                    ended.unwrap();
                }
            });
            told.lock().unwrap().fresh.clear();
        }
        let told = told.lock().unwrap();
        let unconfirmed = audit(&world, &told);
        // What nobody was told of is revoked too, and all of it is listed at once.
        let revoked = asked(&world.ca, &["revoke", "--unconfirmed", "--yes", "--json"]);
        assert_eq!(revoked["changed"], !unconfirmed.is_empty(), "{revoked}");
        let listed = lists_serials(&list);
        for serial in told.revoked().iter().chain(&unconfirmed) {
            assert!(listed.contains(&serial.to_uppercase()), "{serial}");
        }
        let invalid = told.orders.values().filter(|(_, s)| s == "invalid").count();
        eprintln!(
            "{rounds} kills, {} orders, {invalid} of them invalid, {} certificates, {} revoked, {} unconfirmed, {} keys \
             changed, {} authorized before, {} lists",
            told.orders.len(),
            told.certificates.len(),
            told.revoked().len(),
            unconfirmed.len(),
            told.key_changes,
            told.new_authorizations,
            numbers.0.len(),
        );
        // The load was all of it.
        assert!(!told.revoked().is_empty() && told.key_changes > 0 && told.new_authorizations > 0);
        assert!(numbers.0.len() > 1, "no CRL was signed under the load");
    });
}

/// Where the one CRL is published.
fn list_path(world: &World) -> String {
    let status = asked(&world.ca, &["status", "--json"]);
    let issuer = status["issuers"][0]["id"].as_str().unwrap().to_owned();
    format!("/crl/{issuer}/0.crl")
}

/// The published list; `None` while nobody answers.
fn published(path: &str) -> Option<Vec<u8>> {
    let (code, der) = ca::get(PUBLICATION, path)?;
    (code == 200).then_some(der)
}

fn lists_serials(path: &str) -> String {
    let der = published(path).unwrap();
    issued::keep_crl(&der);
    let (done, said) = openssl(&["crl", "-inform", "DER", "-noout", "-text"], &der);
    assert!(done, "{said}");
    said
}

/// CRL numbers, each with its list: none names two, none goes back.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<u64, Vec<u8>>);

impl Numbers {
    /// Sees what was published now, and before it what the load saw.
    fn see(&mut self, path: &str, told: &Mutex<Told>) {
        let mut lists = std::mem::take(&mut told.lock().unwrap().lists);
        let now = published(path).unwrap();
        lists.insert(now.clone());
        for list in lists {
            let number = number(&list);
            let known = self.0.entry(number).or_insert_with(|| list.clone());
            assert_eq!(*known, list, "two lists have the number {number}");
        }
        let last = self.0.last_key_value().map(|(_, list)| list);
        assert_eq!(last, Some(&now), "an older list is published");
    }
}

fn number(list: &[u8]) -> u64 {
    let (done, said) = openssl(&["crl", "-inform", "DER", "-noout", "-crlnumber"], list);
    assert!(done, "{said}");
    let number = said.trim().trim_start_matches("crlNumber=0x");
    u64::from_str_radix(number, 16).unwrap_or_else(|_| panic!("{said}"))
}

/// The operator, who revokes one certificate under the load, and looks at the list that is signed for it.
struct Operator {
    dir: PathBuf,
    list: String,
    certificate: Option<(usize, String)>,
    told: Arc<Mutex<Told>>,
}

impl Operator {
    fn new(world: &World, told: &Arc<Mutex<Told>>, list: &str) -> Self {
        let known = told.lock().unwrap();
        let open = known
            .certificates
            .iter()
            .find(|(url, _)| !known.revocations.contains_key(*url));
        Self {
            dir: world.ca.dir(),
            list: list.to_owned(),
            certificate: open.map(|(url, (account, _))| (*account, url.clone())),
            told: Arc::clone(told),
        }
    }

    fn act(self) {
        let Some((account, url)) = self.certificate else {
            return;
        };
        let note = |acknowledged| {
            let mut told = self.told.lock().unwrap();
            told.revocation(account, &url, acknowledged);
        };
        note(false);
        let mut command = Command::new(places::cairn());
        command.args(["ca", "revoke", serial_of(&url), "--yes", "--json", "--dir"]);
        command.arg(&self.dir);
        // The server may be killed meanwhile.
        let done = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if done {
            note(true);
        }
        if let Some(list) = published(&self.list) {
            self.told.lock().unwrap().lists.insert(list);
        }
    }
}

/// All subscribers order until the fuse burns; then the server is killed, and each stops without an answer.
async fn load_until_the_kill(
    world: &mut World,
    round: usize,
    subscribers: Vec<Subscriber>,
    fuse: &Fuse,
    operator: Operator,
) {
    let operator = tokio::task::spawn_blocking(move || operator.act());
    let mut load = JoinSet::new();
    for mut subscriber in subscribers {
        load.spawn(async move {
            let mut count = 0;
            let number = subscriber.number;
            let name = |count| format!("r{round}c{number}n{count}.crash.test");
            while let Some(()) = subscriber.turn(round + number + count, &name(count)).await {
                count += 1;
            }
        });
    }
    tokio::select! {
        () = fuse.burnt.notified() => {}
        ended = load.join_next() => panic!("a subscriber ended before the kill: {ended:?}"),
    }
    world.ca.kill();
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    operator.await.unwrap();
}

/// The operator's view at the end: every certificate told of is listed once, and no order is left on its way. The
/// serials that nobody was told of.
fn audit(world: &World, told: &Told) -> BTreeSet<String> {
    let listed = asked(&world.ca, &["list", "certificates", "--json"]);
    let rows = listed["certificates"].as_array().unwrap();
    let state: BTreeMap<&str, &str> = rows
        .iter()
        .map(|r| (r["serial"].as_str().unwrap(), r["state"].as_str().unwrap()))
        .collect();
    assert_eq!(state.len(), rows.len(), "a serial is listed twice");
    let revoked = told.revoked();
    for (url, (_, chain)) in &told.certificates {
        let serial = serial_of(url);
        let wanted = match revoked.contains(serial) {
            true => "revoked",
            false => "issued",
        };
        assert_eq!(state.get(serial), Some(&wanted), "{serial}");
        issued::keep_chain(chain);
    }
    let of = |wanted: &str| -> BTreeSet<String> {
        let all = state.iter().filter(|(_, state)| **state == wanted);
        all.map(|(serial, _)| (*serial).to_owned()).collect()
    };
    // Each issuance that ended is one certificate that somebody was told of, but for the server's own.
    assert_eq!(
        of("issued").len() + of("revoked").len(),
        told.certificates.len() + 1
    );
    let unconfirmed = of("unconfirmed");
    assert_eq!(
        of("issued").len() + of("revoked").len() + unconfirmed.len(),
        rows.len(),
        "{state:?}"
    );
    let counted = asked(
        &world.ca,
        &["list", "certificates", "--unconfirmed", "--json"],
    );
    assert_eq!(
        counted["certificates"].as_array().unwrap().len(),
        unconfirmed.len()
    );
    // One that nobody was told of may be open for ever; none is being signed for ever.
    let left = asked(
        &world.ca,
        &["list", "orders", "--state", "processing", "--json"],
    );
    assert_eq!(left["orders"], json!([]));
    for (url, (_, status)) in &told.orders {
        assert!(rank(status) == 3, "{url} is {status}");
    }
    unconfirmed
}
