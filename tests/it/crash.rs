//! Kill -9 under load: after each restart all that was acknowledged is there, no serial is used twice, every order goes on
//! or ends with a reason (T-CA-50). What the test knows is only what the server told it before it died.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::{Client, Key, Response, csr, encode},
    block_on,
    ca::HOST,
    http::Responder,
    issued, soak, test_path,
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    operation::asked,
    world::{World, inside_within},
};

const CLIENTS: usize = 16;

/// How long a running server may turn a client away.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server has acknowledged in all its lives; each URL with the number of its account.
#[derive(Debug, Default)]
struct Told {
    /// Order URL → the furthest status told.
    orders: BTreeMap<String, (usize, String)>,
    /// Authorization URL → a final status.
    authorizations: BTreeMap<String, (usize, String)>,
    /// Certificate URL → chain.
    certificates: BTreeMap<String, (usize, String)>,
    /// Serial within a chain → its certificate's URL.
    serials: BTreeMap<String, String>,
    /// The URLs told of since the last kill.
    fresh: BTreeSet<String>,
}

/// How far a status is; none goes back (8555-7.1.6-6).
fn rank(status: &str) -> u8 {
    match status {
        "pending" => 0,
        "ready" => 1,
        "processing" => 2,
        _ => 3,
    }
}

impl Told {
    fn order(&mut self, account: usize, url: &str, order: &Value) {
        let status = order["status"].as_str().unwrap_or_default().to_owned();
        if let Some((_, before)) = self.orders.get(url) {
            assert!(
                rank(before) < rank(&status) || *before == status,
                "{url} was {before}, then {status}"
            );
        }
        if status == "invalid" {
            assert!(
                order["error"]["detail"].is_string(),
                "{url} ended without a reason: {order}"
            );
        }
        self.fresh.insert(url.to_owned());
        self.orders.insert(url.to_owned(), (account, status));
    }

    fn authorization(&mut self, account: usize, url: &str, object: &Value) {
        let status = object["status"].as_str().unwrap_or_default().to_owned();
        if let Some((_, before)) = self.authorizations.get(url) {
            assert_eq!(*before, status, "{url} changed");
        }
        self.fresh.insert(url.to_owned());
        self.authorizations
            .insert(url.to_owned(), (account, status));
    }

    fn certificate(&mut self, account: usize, url: &str, chain: String) {
        let serial = issued::serial(&chain).expect("a certificate's serial");
        let owner = self.serials.entry(serial.clone()).or_insert(url.to_owned());
        assert_eq!(owner, url, "serial {serial} has two certificates");
        if let Some((_, before)) = self.certificates.get(url) {
            assert_eq!(*before, chain, "{url} changed");
        }
        self.fresh.insert(url.to_owned());
        self.certificates.insert(url.to_owned(), (account, chain));
    }

    /// What of this map was told since the last kill, for one account.
    fn fresh_of(&self, map: &BTreeMap<String, (usize, String)>, account: usize) -> Vec<String> {
        let fresh = self.fresh.iter().filter(|url| {
            map.get(url.as_str())
                .is_some_and(|(number, _)| *number == account)
        });
        fresh.cloned().collect()
    }
}

/// Requests answered since the last restart, and the number at which the server is killed.
#[derive(Debug, Default)]
struct Fuse {
    answered: AtomicU64,
    burns_at: AtomicU64,
    burnt: Notify,
}

impl Fuse {
    fn answered(&self) {
        if self.answered.fetch_add(1, Ordering::SeqCst) + 1 == self.burns_at.load(Ordering::SeqCst)
        {
            self.burnt.notify_one();
        }
    }
}

/// One subscriber; stops at the first request without an answer.
struct Subscriber {
    number: usize,
    client: Client,
    told: Arc<Mutex<Told>>,
    fuse: Arc<Fuse>,
    web: Arc<Responder>,
}

impl Subscriber {
    async fn ask(&self, url: &str, payload: Option<Value>) -> Option<Response> {
        let end = Instant::now() + PATIENCE;
        loop {
            let bytes = payload
                .as_ref()
                .map_or_else(Vec::new, |p| p.to_string().into_bytes());
            let draft = self.client.try_draft_bytes(url, bytes).await.ok()?;
            let answer = self.client.try_send(&draft).await.ok()?;
            self.fuse.answered();
            match (answer.status, answer.problem().as_str()) {
                (_, "badNonce") => {}
                (503, _) => {
                    assert!(Instant::now() < end, "{url}: {}", answer.text());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => return Some(answer),
            }
        }
    }

    async fn order(&self, name: &str) -> Option<()> {
        let new_order = self.client.url("newOrder");
        let wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        let placed = self.ask(&new_order, Some(wanted)).await?.expect(201);
        let url = placed.location();
        self.note(&url, &placed.json());
        let ended = self.finish(&url).await?;
        assert_eq!(ended["status"], "valid", "{url}: {ended}");
        Some(())
    }

    fn note(&self, url: &str, order: &Value) {
        self.told.lock().unwrap().order(self.number, url, order);
    }

    async fn read(&self, url: &str) -> Option<Value> {
        let order = self.ask(url, None).await?.expect(200).json();
        self.note(url, &order);
        Some(order)
    }

    /// From wherever an order is to its end, and its certificate.
    async fn finish(&self, url: &str) -> Option<Value> {
        let mut order = self.read(url).await?;
        let name = order["identifiers"][0]["value"]
            .as_str()
            .unwrap()
            .to_owned();
        loop {
            match order["status"].as_str().unwrap() {
                "pending" => {
                    for authorization in order["authorizations"].as_array().unwrap() {
                        self.authorize(authorization.as_str().unwrap()).await?;
                    }
                }
                "ready" => {
                    let (der, _) = csr(&[&name]);
                    let finalize = order["finalize"].as_str().unwrap();
                    let answer = self.ask(finalize, Some(json!({ "csr": encode(&der) })));
                    self.note(url, &answer.await?.expect(200).json());
                }
                "processing" => {}
                "valid" => break,
                _ => return Some(order),
            }
            order = self.read(url).await?;
        }
        let certificate = order["certificate"].as_str().unwrap();
        let chain = self.ask(certificate, None).await?.expect(200).text();
        let mut told = self.told.lock().unwrap();
        told.certificate(self.number, certificate, chain);
        Some(order)
    }

    /// Answers the challenge, and asks until the authorization has ended.
    async fn authorize(&self, url: &str) -> Option<()> {
        let object = self.ask(url, None).await?.expect(200).json();
        let challenges = object["challenges"].as_array().unwrap();
        let challenge = challenges.iter().find(|c| c["type"] == "http-01").unwrap();
        let token = challenge["token"].as_str().unwrap();
        self.web.token(token, &self.client.key.authorization(token));
        if object["status"] == "pending" {
            self.ask(challenge["url"].as_str().unwrap(), Some(json!({})))
                .await?
                .expect(200);
        }
        loop {
            let object = self.ask(url, None).await?.expect(200).json();
            if object["status"] != "pending" {
                let mut told = self.told.lock().unwrap();
                told.authorization(self.number, url, &object);
                break;
            }
        }
        self.web.remove_token(token);
        Some(())
    }

    /// Everything acknowledged since the last kill is as it was, or further; then every order is brought to its end.
    async fn compare(&self) {
        let (orders, authorizations, certificates) = {
            let told = self.told.lock().unwrap();
            (
                told.fresh_of(&told.orders, self.number),
                told.fresh_of(&told.authorizations, self.number),
                told.fresh_of(&told.certificates, self.number),
            )
        };
        let read = async |url: &str| {
            let answer = self.ask(url, None).await;
            answer.unwrap_or_else(|| panic!("{url}: no answer of a running server"))
        };
        for url in certificates {
            let chain = read(&url).await.expect(200).text();
            let mut told = self.told.lock().unwrap();
            told.certificate(self.number, &url, chain);
        }
        for url in authorizations {
            let object = read(&url).await.expect(200).json();
            let mut told = self.told.lock().unwrap();
            told.authorization(self.number, &url, &object);
        }
        for url in orders {
            let ended = self.finish(&url).await;
            ended.unwrap_or_else(|| panic!("{url}: no answer of a running server"));
        }
    }
}

/// A small generator, so that the seed in the output tells the run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn kills_under_load_lose_nothing_and_repeat_no_serial() {
    // T-CA-50
    // 8555-7.1.6-6
    inside_within(900, test_path!(), |mut world| {
        let rounds = if soak() { 1_000 } else { 50 };
        let mut seed = 0x00ca_1e12_u64;
        let web = Arc::new(Responder::start((HOST, 80)));
        let root = world.ca.root();
        let told = Arc::new(Mutex::new(Told::default()));
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
            let each = clients.iter().enumerate();
            each.map(|(number, client)| Subscriber {
                number,
                client: client.apart(&root),
                told: Arc::clone(&told),
                fuse: Arc::clone(fuse),
                web: Arc::clone(&web),
            })
            .collect()
        };
        for round in 0..rounds {
            let fuse = Arc::new(Fuse::default());
            fuse.burns_at
                .store(20 + next(&mut seed) % 180, Ordering::SeqCst);
            block_on(load_until_the_kill(
                &mut world,
                round,
                subscribers(&fuse),
                &fuse,
            ));
            world.ca.start();
            block_on(async {
                let unburnt = Arc::new(Fuse::default());
                let mut compared = JoinSet::new();
                for subscriber in subscribers(&unburnt) {
                    compared.spawn(async move { subscriber.compare().await });
                }
                while let Some(ended) = compared.join_next().await {
                    ended.unwrap();
                }
            });
            told.lock().unwrap().fresh.clear();
        }
        let told = told.lock().unwrap();
        audit(&world, &told);
        let invalid = told.orders.values().filter(|(_, s)| s == "invalid").count();
        eprintln!(
            "{rounds} kills, {} orders, {invalid} of them invalid, {} certificates",
            told.orders.len(),
            told.certificates.len()
        );
    });
}

/// All subscribers order until the fuse burns; then the server is killed, and each stops without an answer.
async fn load_until_the_kill(
    world: &mut World,
    round: usize,
    subscribers: Vec<Subscriber>,
    fuse: &Fuse,
) {
    let mut load = JoinSet::new();
    for subscriber in subscribers {
        load.spawn(async move {
            let mut count = 0;
            let number = subscriber.number;
            let name = |count| format!("r{round}c{number}n{count}.crash.test");
            while subscriber.order(&name(count)).await.is_some() {
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
}

/// The operator's view at the end: every certificate told of is listed once, and no order is left on its way.
fn audit(world: &World, told: &Told) {
    let listed = asked(&world.ca, &["list", "certificates", "--json"]);
    let rows = listed["certificates"].as_array().unwrap();
    let serials: BTreeSet<&str> = rows.iter().map(|r| r["serial"].as_str().unwrap()).collect();
    for (url, (_, chain)) in &told.certificates {
        let serial = url.rsplit('/').next().unwrap();
        assert!(
            serials.contains(serial),
            "{serial} was delivered and is not listed"
        );
        issued::keep_chain(chain);
    }
    // Each issuance that ended is one certificate that somebody was told of, but for the server's own.
    let issued = rows.iter().filter(|r| r["state"] == "issued").count();
    assert_eq!(issued, told.certificates.len() + 1);
    for row in rows {
        let state = row["state"].as_str().unwrap();
        assert!(matches!(state, "issued" | "unconfirmed"), "{row}");
    }
    let unconfirmed = asked(
        &world.ca,
        &["list", "certificates", "--unconfirmed", "--json"],
    );
    let counted = rows.iter().filter(|r| r["state"] == "unconfirmed").count();
    assert_eq!(
        unconfirmed["certificates"].as_array().unwrap().len(),
        counted
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
}
