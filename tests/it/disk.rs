//! A full disk under load: reads go on, writes are told to come again, nothing acknowledged is lost, and issuance goes on
//! by itself once there is room.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::{Client, Key, Response, csr, encode},
    block_on,
    ca::{self, HOST, PUBLICATION, RESOLVER, TestCa},
    dns,
    http::Responder,
    issued,
    netns::small_disk,
    test_path, wait_for,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The disk: room for a database and its log, and some certificates.
const DISK: u64 = 24 << 20;
const CLIENTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server has acknowledged: order → furthest status, certificate → chain.
#[derive(Debug, Default, Clone)]
struct Told {
    orders: BTreeMap<String, (usize, String)>,
    certificates: BTreeMap<String, (usize, String)>,
}

/// One account's orders.
struct Subscriber {
    number: usize,
    client: Client,
    web: Arc<Responder>,
    told: Arc<Mutex<Told>>,
    full: Arc<AtomicBool>,
}

/// The first refusal that says: come again.
struct ComeAgain;

impl Subscriber {
    /// An answer that is none of the full disk's; that one is looked at.
    async fn ask(&self, url: &str, payload: Option<Value>) -> Result<Response, ComeAgain> {
        let answer = match payload {
            Some(payload) => self.client.post(url, &payload).await,
            None => self.client.fetch(url).await,
        };
        if answer.status == 503 {
            assert_comes_again(&answer);
            return Err(ComeAgain);
        }
        Ok(answer)
    }

    fn note(&self, url: &str, order: &Value) {
        let status = order["status"].as_str().unwrap().to_owned();
        let mut told = self.told.lock().unwrap();
        told.orders.insert(url.to_owned(), (self.number, status));
    }

    async fn place(&self, name: &str) -> Result<(), ComeAgain> {
        let identifiers = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        let placed = self
            .ask(&self.client.url("newOrder"), Some(identifiers))
            .await?;
        let placed = placed.expect(201);
        self.note(&placed.location(), &placed.json());
        self.finish(&placed.location()).await
    }

    /// From wherever the order is to its certificate.
    async fn finish(&self, url: &str) -> Result<(), ComeAgain> {
        let mut order = self.ask(url, None).await?.expect(200).json();
        self.note(url, &order);
        let name = order["identifiers"][0]["value"]
            .as_str()
            .unwrap()
            .to_owned();
        loop {
            match order["status"].as_str().unwrap() {
                "pending" => {
                    let authorization = order["authorizations"][0].as_str().unwrap();
                    let object = self.ask(authorization, None).await?.expect(200).json();
                    if object["status"] != "pending" {
                        // It was validated since the order was read; the next reading shows that.
                        assert_eq!(object["status"], "valid", "{object}");
                        order = self.ask(url, None).await?.expect(200).json();
                        continue;
                    }
                    let challenge = object["challenges"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(|c| c["type"] == "http-01");
                    let challenge = challenge.unwrap();
                    let token = challenge["token"].as_str().unwrap();
                    self.web.token(token, &self.client.key.authorization(token));
                    self.ask(challenge["url"].as_str().unwrap(), Some(json!({})))
                        .await?
                        .expect(200);
                }
                "ready" => {
                    let (der, _) = csr(&[&name]);
                    let finalize = order["finalize"].as_str().unwrap();
                    self.ask(finalize, Some(json!({ "csr": encode(&der) })))
                        .await?
                        .expect(200);
                }
                // Its signature waits for room; others want to be told, too.
                "processing" if self.full.load(Ordering::SeqCst) => return Err(ComeAgain),
                "processing" => {}
                "valid" => break,
                other => panic!("{url} ended {other}: {order}"),
            }
            order = self.ask(url, None).await?.expect(200).json();
            self.note(url, &order);
        }
        let certificate = order["certificate"].as_str().unwrap();
        let chain = self.ask(certificate, None).await?.expect(200).text();
        let mut told = self.told.lock().unwrap();
        told.certificates
            .insert(certificate.to_owned(), (self.number, chain));
        Ok(())
    }
}

fn assert_comes_again(answer: &Response) {
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "serverInternal"),
        "{}",
        answer.text()
    );
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait), "{wait}");
    // 8555-6.7-5: no path, no errno.
    for secret in ["SQLITE", "sqlite", "/tmp", "disk"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
}

/// A file that takes all the room that is left.
struct Ballast(PathBuf);

impl Ballast {
    fn drop_on(disk: &Path) -> Self {
        let path = disk.join("ballast");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Self(path)
    }

    fn lift(self) {
        std::fs::remove_file(self.0).unwrap();
    }
}

struct Scene {
    subscribers: Vec<Subscriber>,
    told: Arc<Mutex<Told>>,
    full: Arc<AtomicBool>,
}

impl Scene {
    fn new(ca: &TestCa, web: &Arc<Responder>) -> Self {
        let (told, full) = (Arc::<Mutex<Told>>::default(), Arc::<AtomicBool>::default());
        let first = block_on(ca.client());
        let subscribers = (0..CLIENTS).map(|number| {
            let mut client = first.with_key(Key::es256());
            block_on(client.new_account()).expect(201);
            Subscriber {
                number,
                client,
                web: Arc::clone(web),
                told: Arc::clone(&told),
                full: Arc::clone(&full),
            }
        });
        Self {
            subscribers: subscribers.collect(),
            told,
            full,
        }
    }

    /// New connections, after a restart or another runtime.
    fn reconnect(&mut self, root: &str) {
        for subscriber in &mut self.subscribers {
            subscriber.client = subscriber.client.apart(root);
        }
    }

    /// All clients order until each was told to come again; the disk fills once `enough` certificates are there.
    fn fill_under_load(&mut self, round: &str, disk: &Path, enough: usize) -> Ballast {
        let (told, full) = (Arc::clone(&self.told), Arc::clone(&self.full));
        let before = told.lock().unwrap().certificates.len();
        let (ballast, back) = block_on(async {
            let mut load = JoinSet::new();
            for subscriber in self.subscribers.drain(..) {
                let round = round.to_owned();
                load.spawn(async move {
                    let mut count = 0;
                    let number = subscriber.number;
                    while subscriber
                        .place(&format!("{round}c{number}n{count}.disk.test"))
                        .await
                        .is_ok()
                    {
                        count += 1;
                    }
                    subscriber
                });
            }
            let disk = disk.to_owned();
            let ballast = tokio::task::spawn_blocking(move || {
                let reached = wait_for(PATIENCE, || {
                    (told.lock().unwrap().certificates.len() >= before + enough).then_some(())
                });
                assert!(reached.is_some(), "no certificates under load");
                let ballast = Ballast::drop_on(&disk);
                full.store(true, Ordering::SeqCst);
                ballast
            });
            let ballast = ballast.await.unwrap();
            (ballast, load.join_all().await)
        });
        self.subscribers = back;
        self.subscribers.sort_by_key(|subscriber| subscriber.number);
        ballast
    }

    /// Everything told of is still there, unchanged or further.
    fn assert_all_there(&self) {
        let told = self.told.lock().unwrap().clone();
        block_on(async {
            for (url, (number, before)) in &told.orders {
                let answer = self.subscribers[*number].client.fetch(url).await;
                let order = answer.expect(200).json();
                let now = order["status"].as_str().unwrap();
                assert!(rank(before) <= rank(now), "{url} was {before}, then {now}");
                assert_ne!(now, "invalid", "{order}");
            }
            for (url, (number, chain)) in &told.certificates {
                let again = self.subscribers[*number]
                    .client
                    .fetch(url)
                    .await
                    .expect(200);
                assert_eq!(again.text(), *chain, "{url} changed");
            }
        });
    }

    /// Every order that was told of ends with a certificate.
    fn finish_all(&self) {
        self.full.store(false, Ordering::SeqCst);
        block_on(async {
            let orders: Vec<_> = self
                .told
                .lock()
                .unwrap()
                .orders
                .clone()
                .into_iter()
                .collect();
            for (url, (number, _)) in orders {
                let finished = self.subscribers[number].finish(&url).await;
                assert!(finished.is_ok(), "{url} is refused though there is room");
            }
        });
    }
}

fn rank(status: &str) -> u8 {
    ["pending", "ready", "processing", "valid"]
        .iter()
        .position(|s| *s == status)
        .unwrap_or(9) as u8
}

/// What must work without a byte of room, and what must be refused.
fn assert_reads_go_on_and_writes_are_refused(ca: &TestCa, scene: &Scene) {
    scene.assert_all_there();
    block_on(async {
        let client = &scene.subscribers[0].client;
        client.plain("GET", &ca.directory()).await.expect(200);
        let nonce = client
            .plain("HEAD", &client.url("newNonce"))
            .await
            .expect(200);
        assert!(nonce.header("replay-nonce").is_some());
        assert_comes_again(&client.new_order(&["full.disk.test"]).await);
        let mut stranger = client.with_key(Key::es256());
        assert_comes_again(&stranger.new_account().await);
        let kid = client.kid.clone().unwrap();
        assert_comes_again(
            &client
                .post(&kid, &json!({ "contact": ["mailto:a@disk.test"] }))
                .await,
        );
        // A refusal carries the nonce for the next try.
        assert!(
            client
                .new_order(&["full.disk.test"])
                .await
                .header("replay-nonce")
                .is_some()
        );
    });
    assert_eq!(ca::get(PUBLICATION, "/health/live").unwrap().0, 200);
    assert_eq!(ca::get(PUBLICATION, "/health/ready").unwrap().0, 503);
    let (status, ready) = ca.operator("/health/ready").unwrap();
    let ready: Value = serde_json::from_slice(&ready).unwrap();
    assert_eq!(
        (status, &ready["faults"][0]["part"]),
        (503, &json!("store")),
        "{ready}"
    );
    for url in issued::crl_urls() {
        let path = url.strip_prefix("http://ca.test").unwrap();
        assert_eq!(ca::get(PUBLICATION, path).unwrap().0, 200, "{path}");
    }
    let (status, out, err) = ca.command(&["status", "--json"]);
    assert!(status.success(), "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert!(
        said["read_only"]
            .as_str()
            .is_some_and(|why| why.contains("full")),
        "{said}"
    );
}

#[test]
fn a_full_disk_stops_writes_alone_and_issuance_goes_on_once_there_is_room() {
    // T-CA-50
    // 8555-6.7-5
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let web = Arc::new(Responder::start((HOST, 80)));
        let disk = tempfile::tempdir().unwrap();
        small_disk(disk.path(), DISK);
        let mut ca = TestCa::builder().place(disk.path()).start();
        let root = ca.root();
        let mut scene = Scene::new(&ca, &web);

        scene.reconnect(&root);
        let ballast = scene.fill_under_load("a", disk.path(), 40);
        scene.reconnect(&root);
        assert_reads_go_on_and_writes_are_refused(&ca, &scene);
        let said = ca
            .process()
            .wait_line(PATIENCE, |line| line.contains("takes no writes"));
        let said = said.expect("the operator is told");
        assert!(said.contains("error ") && said.contains("full"), "{said}");

        ballast.lift();
        scene.reconnect(&root);
        let again = block_on(async {
            let end = tokio::time::Instant::now() + PATIENCE;
            loop {
                let answer = scene.subscribers[0]
                    .client
                    .new_order(&["again.disk.test"])
                    .await;
                if answer.status != 503 || tokio::time::Instant::now() > end {
                    break answer;
                }
            }
        });
        again.expect(201);
        scene.reconnect(&root);
        scene.finish_all();
        assert_eq!(ca::get(PUBLICATION, "/health/ready").unwrap().0, 200);

        // Killed while full: whether it starts or not, nothing is lost, and with room it serves.
        scene.reconnect(&root);
        let ballast = scene.fill_under_load("b", disk.path(), 20);
        ca.kill();
        ballast.lift();
        ca.start();
        scene.reconnect(&root);
        scene.assert_all_there();
        scene.reconnect(&root);
        scene.finish_all();
        audit(&ca, &scene.told.lock().unwrap());
    });
}

fn audit(ca: &TestCa, told: &Told) {
    let (status, out, err) = ca.command(&["list", "certificates", "--json"]);
    assert!(status.success(), "{err}");
    let listed: Value = serde_json::from_str(&out).unwrap();
    let rows = listed["certificates"].as_array().unwrap();
    let mut serials: Vec<&str> = rows
        .iter()
        .map(|row| row["serial"].as_str().unwrap())
        .collect();
    let count = serials.len();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), count, "a serial stands twice");
    for (url, (_, chain)) in &told.certificates {
        let serial = url.rsplit('/').next().unwrap();
        assert!(
            serials.binary_search(&serial).is_ok(),
            "{serial} was delivered and is not listed"
        );
        issued::keep_chain(chain);
    }
}

#[test]
fn a_server_that_is_started_on_a_full_disk_serves_what_it_has() {
    TestCa::namespace().run(test_path!(), || {
        let disk = tempfile::tempdir().unwrap();
        small_disk(disk.path(), DISK);
        let mut ca = TestCa::builder().place(disk.path()).start();
        let client = block_on(ca.subscriber());
        let root = ca.root();
        ca.kill();
        let ballast = Ballast::drop_on(disk.path());
        assert!(ca.try_start_unready(), "{:#?}", ca.log());
        let account = client.kid.clone().unwrap();
        block_on(async {
            let client = client.apart(&root);
            client.fetch(&account).await.expect(200);
            assert_comes_again(&client.new_order(&["full.disk.test"]).await);
        });
        let told = ca
            .process()
            .wait_line(PATIENCE, |line| line.contains("takes no writes"));
        assert!(told.is_some(), "{:#?}", ca.log());
        ballast.lift();
        block_on(async {
            let client = client.apart(&root);
            let end = Instant::now() + PATIENCE;
            loop {
                let answer = client.new_order(&["room.disk.test"]).await;
                if answer.status != 503 || Instant::now() > end {
                    answer.expect(201);
                    break;
                }
            }
        });
    });
}
