//! Kill -9 under load: after each restart all that was acknowledged is there, no serial is used twice, every order goes on
//! or ends with a reason (T-CA-50). What the test knows is only what the server told it before it died.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use cairn_testkit::{
    acme::{Client, csr, encode},
    block_on,
    ca::HOST,
    http::Responder,
    issued, soak, test_path,
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

use crate::world::inside;

const CLIENTS: usize = 16;

/// What the server has acknowledged.
#[derive(Debug, Default)]
struct Told {
    /// Order URL → the furthest status told.
    orders: BTreeMap<String, String>,
    /// Certificate URL → chain.
    certificates: BTreeMap<String, String>,
    /// Authorization URL → a final status.
    authorizations: BTreeMap<String, String>,
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
    fn order(&mut self, url: &str, order: &Value) {
        let status = order["status"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = self.orders.get(url) {
            assert!(
                rank(before) < rank(&status)
                    || *before == status
                    || (rank(before) < 3 && status == "invalid"),
                "{url} was {before}, then {status}"
            );
        }
        self.orders.insert(url.to_owned(), status);
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
    client: Client,
    told: Arc<Mutex<Told>>,
    fuse: Arc<Fuse>,
}

impl Subscriber {
    async fn ask(
        &self,
        url: &str,
        payload: Option<Value>,
    ) -> Option<cairn_testkit::acme::Response> {
        for _ in 0..10 {
            let bytes = payload
                .as_ref()
                .map_or_else(Vec::new, |p| p.to_string().into_bytes());
            let draft = self.client.try_draft_bytes(url, bytes).await.ok()?;
            let answer = self.client.try_send(&draft).await.ok()?;
            self.fuse.answered();
            if answer.problem() != "badNonce" && answer.status != 503 {
                return Some(answer);
            }
        }
        None
    }

    async fn order(&self, name: &str, web: &Responder) -> Option<()> {
        let new_order = self.client.url("newOrder");
        let placed = self
            .ask(
                &new_order,
                Some(json!({ "identifiers": [{ "type": "dns", "value": name }] })),
            )
            .await?;
        let placed = placed.expect(201);
        let url = placed.location();
        let order = placed.json();
        self.told.lock().unwrap().order(&url, &order);
        for authorization in order["authorizations"].as_array().unwrap() {
            let authorization = authorization.as_str().unwrap();
            let object = self.ask(authorization, None).await?.json();
            let challenge = object["challenges"]
                .as_array()
                .unwrap()
                .iter()
                .find(|c| c["type"] == "http-01")
                .unwrap();
            let token = challenge["token"].as_str().unwrap();
            web.token(token, &self.client.key.authorization(token));
            self.ask(challenge["url"].as_str().unwrap(), Some(json!({})))
                .await?;
            loop {
                let object = self.ask(authorization, None).await?.json();
                let status = object["status"].as_str().unwrap().to_owned();
                if status != "pending" {
                    self.told
                        .lock()
                        .unwrap()
                        .authorizations
                        .insert(authorization.to_owned(), status);
                    break;
                }
            }
            web.remove_token(token);
        }
        let (der, _) = csr(&[name]);
        let finalize = order["finalize"].as_str().unwrap();
        let mut order = self
            .ask(finalize, Some(json!({ "csr": encode(&der) })))
            .await?
            .expect(200)
            .json();
        loop {
            self.told.lock().unwrap().order(&url, &order);
            match order["status"].as_str().unwrap() {
                "processing" => order = self.ask(&url, None).await?.expect(200).json(),
                "valid" => break,
                other => panic!("{url} ended {other}: {order}"),
            }
        }
        let certificate = order["certificate"].as_str().unwrap();
        let chain = self.ask(certificate, None).await?.expect(200).text();
        self.told
            .lock()
            .unwrap()
            .certificates
            .insert(certificate.to_owned(), chain);
        Some(())
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
    inside(test_path!(), |mut world| {
        let rounds = if soak() { 1_000 } else { 50 };
        let mut seed = 0x00ca_1e12_u64;
        let web = Arc::new(Responder::start((HOST, 80)));
        let root = world.ca.root();
        let told = Arc::new(Mutex::new(Told::default()));
        let mut clients: Vec<Client> = block_on(async {
            let first = world.ca.client().await;
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                let mut client = first.with_key(cairn_testkit::acme::Key::es256());
                client.new_account().await.expect(201);
                clients.push(client);
            }
            clients
        });
        for round in 0..rounds {
            let fuse = Arc::new(Fuse::default());
            fuse.burns_at
                .store(20 + next(&mut seed) % 180, Ordering::SeqCst);
            block_on(async {
                let mut subscribers = JoinSet::new();
                for (number, client) in clients.iter().enumerate() {
                    let subscriber = Subscriber {
                        client: client.clone(),
                        told: Arc::clone(&told),
                        fuse: Arc::clone(&fuse),
                    };
                    let web = Arc::clone(&web);
                    subscribers.spawn(async move {
                        let mut count = 0;
                        while subscriber
                            .order(&format!("r{round}c{number}n{count}.crash.test"), &web)
                            .await
                            .is_some()
                        {
                            count += 1;
                        }
                    });
                }
                fuse.burnt.notified().await;
                world.ca.crash();
                while let Some(ended) = subscribers.join_next().await {
                    ended.unwrap();
                }
            });
            for client in &mut clients {
                *client = client.apart(&root);
            }
            block_on(after_a_restart(&clients, &told));
        }
        let told = told.lock().unwrap();
        audit(&world.ca, &told);
        eprintln!(
            "{rounds} kills, {} orders, {} certificates",
            told.orders.len(),
            told.certificates.len()
        );
    });
}

/// Everything acknowledged is as it was, or further.
async fn after_a_restart(clients: &[Client], told: &Mutex<Told>) {
    let (orders, certificates, authorizations) = {
        let mut told = told.lock().unwrap();
        // Ended orders were compared once after their kill; what still moves is asked for every time.
        let open: Vec<String> = told
            .orders
            .iter()
            .filter(|(_, s)| rank(s) < 3)
            .map(|(u, _)| u.clone())
            .collect();
        (
            open,
            told.certificates.clone(),
            std::mem::take(&mut told.authorizations),
        )
    };
    for url in orders {
        let order = fetch(clients, &url)
            .await
            .unwrap_or_else(|| panic!("{url} is lost"))
            .json();
        told.lock().unwrap().order(&url, &order);
        if order["status"] == "invalid" {
            assert!(
                order["error"]["detail"].is_string(),
                "{url} ended without a reason: {order}"
            );
        }
    }
    for (url, status) in authorizations {
        let object = fetch(clients, &url)
            .await
            .unwrap_or_else(|| panic!("{url} is lost"))
            .json();
        assert_eq!(object["status"], status.as_str(), "{url} went back");
    }
    let newest: Vec<_> = certificates.iter().rev().take(32).collect();
    for (url, chain) in newest {
        let again = fetch(clients, url)
            .await
            .unwrap_or_else(|| panic!("{url} is lost"))
            .text();
        assert_eq!(again, *chain, "{url} changed");
    }
}

/// The object, asked for by whichever account owns it.
async fn fetch(clients: &[Client], url: &str) -> Option<cairn_testkit::acme::Response> {
    for client in clients {
        let answer = client.fetch(url).await;
        if answer.status == 200 {
            return Some(answer);
        }
    }
    None
}

/// The operator's view at the end: every certificate told of is listed, no serial twice, no order left processing.
fn audit(ca: &cairn_testkit::ca::TestCa, told: &Told) {
    let (status, out, err) = ca.command(&["list", "certificates", "--json"]);
    assert!(status.success(), "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    let rows = listed["certificates"].as_array().unwrap();
    let serials: Vec<&str> = rows.iter().map(|r| r["serial"].as_str().unwrap()).collect();
    let distinct: BTreeSet<&str> = serials.iter().copied().collect();
    assert_eq!(serials.len(), distinct.len(), "a serial stands twice");
    for (url, chain) in &told.certificates {
        let serial = url.rsplit('/').next().unwrap();
        assert!(
            distinct.contains(serial),
            "{serial} was delivered and is not listed"
        );
        issued::keep_chain(chain);
    }
    for row in rows {
        let state = row["state"].as_str().unwrap();
        assert!(matches!(state, "issued" | "unconfirmed"), "{row}");
    }
    let (status, out, _) = ca.command(&["list", "certificates", "--unconfirmed", "--json"]);
    assert!(status.success());
    let unconfirmed: Value = serde_json::from_str(&out).unwrap();
    let counted = rows.iter().filter(|r| r["state"] == "unconfirmed").count();
    assert_eq!(
        unconfirmed["certificates"].as_array().unwrap().len(),
        counted
    );
}
