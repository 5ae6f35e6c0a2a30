//! Bounds: each refuses with the time to come again, hurts nobody else, and gives back what it took.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::{Client, Key, csr},
    block_on,
    ca::{self, HOST, PUBLICATION, RESOLVER, SUBSCRIBERS, TestCa},
    dns,
    http::{Reply, Responder},
    netns::many_descriptors,
    soak, test_path, wait_for,
};
use serde_json::json;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

/// A CA with these settings, and DNS that leads every name below `test` to [`HOST`].
fn with(path: &str, settings: &[(&str, &str)], body: impl FnOnce(TestCa)) {
    let settings: Vec<(String, String)> = settings
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect();
    TestCa::namespace().run(path, || {
        many_descriptors();
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        dns.add_wildcard("slow.test", [127, 0, 0, 3]);
        let mut builder = TestCa::builder();
        for (key, value) in settings {
            builder = builder.set(&key, &value);
        }
        body(builder.start());
    });
}

/// The seconds that an answer names.
fn wait_of(answer: &cairn_testkit::acme::Response) -> u64 {
    answer
        .header("retry-after")
        .unwrap_or_else(|| panic!("no Retry-After: {}", answer.text()))
        .parse()
        .unwrap()
}

/// The `share`th of a hundred, slowest last.
fn percentile(times: &mut [Duration], share: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * share / 100).min(times.len() - 1)]
}

#[test]
fn bad_signatures_make_one_address_wait_and_no_other() {
    // 8555-6.6-1
    // T-CA-112
    with(
        test_path!(),
        // Slow enough that no machine sends its requests slower than the bound grants them.
        &[("limits.bad_signatures_per_minute", "5")],
        |ca| {
            block_on(async {
                let client = ca.subscriber().await;
                let bad = async |client: &Client| {
                    let mut draft = client
                        .draft(&client.url("newOrder"), &json!({ "identifiers": [] }))
                        .await;
                    draft.signature = Some(vec![7; 64]);
                    client.send(&draft).await
                };
                let mut refused = None;
                for _ in 0..40 {
                    let answer = bad(&client).await;
                    if answer.status == 429 {
                        refused = Some(answer);
                        break;
                    }
                    assert_eq!(
                        (answer.status, answer.problem().as_str()),
                        (400, "malformed"),
                        "{}",
                        answer.text()
                    );
                }
                let refused = refused.expect("five bad signatures are bounded");
                let told = Instant::now();
                assert_eq!(refused.problem(), "rateLimited");
                let detail = refused.json()["detail"].as_str().unwrap().to_owned();
                assert!(
                    detail.contains("127.0.0.1") && detail.contains('5'),
                    "{detail}"
                );
                let wait = wait_of(&refused);
                assert!((1..=12).contains(&wait), "{wait}");
                // A right signature of that address is not verified either; the same account elsewhere is served.
                assert_eq!(client.new_order(&["a.limit.test"]).await.status, 429);
                let elsewhere = client.apart_from(&ca.root(), [127, 0, 0, 9]);
                elsewhere.new_order(&["a.limit.test"]).await.expect(201);
                // What needs no signature goes on, here too.
                client.plain("GET", &ca.directory()).await.expect(200);
                // Retry-After is honest (T-CA-111): at that second it works.
                let until = told + Duration::from_secs(wait);
                let answer = loop {
                    let sent = Instant::now();
                    let answer = client.new_order(&["b.limit.test"]).await;
                    if answer.status != 429 || sent > until + Duration::from_secs(1) {
                        break answer;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                };
                answer.expect(201);
            });
        },
    );
}

#[test]
fn unfinished_orders_and_authorizations_of_an_account_are_bounded_and_given_back() {
    // 8555-6.6-1
    // 8555-10.3-1
    // T-CA-115
    let settings = [
        ("limits.pending_orders", "20"),
        ("limits.pending_authorizations", "24"),
        ("orders.names_max", "10"),
    ];
    with(test_path!(), &settings, |ca| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = ca.subscriber().await;
            let mut orders = Vec::new();
            for n in 0..20 {
                orders.push(
                    client
                        .new_order(&[&format!("n{n}.limit.test")])
                        .await
                        .expect(201)
                        .json(),
                );
            }
            for _ in 0..100 {
                let refused = client.new_order(&["more.limit.test"]).await.expect(429);
                assert_eq!(refused.problem(), "rateLimited");
                assert!(wait_of(&refused) >= 1);
                assert!(
                    refused.text().contains("20 unfinished orders"),
                    "{}",
                    refused.text()
                );
            }
            let mut other = client.with_key(Key::es256());
            other.new_account().await.expect(201);
            other.new_order(&["more.limit.test"]).await.expect(201);
            // An order that ends makes room for one.
            let (authorization, finalize) =
                (orders[0]["authorizations"][0].as_str().unwrap(), &orders[0]);
            client
                .answer(authorization, &web)
                .await
                .unwrap()
                .expect(200);
            assert_eq!(
                client.poll(authorization, &["pending", "processing"]).await["status"],
                "valid"
            );
            client
                .finalize(finalize, &csr(&["n0.limit.test"]).0)
                .await
                .expect(200);
            let end = Instant::now() + PATIENCE;
            while client.new_order(&["more.limit.test"]).await.status != 201 {
                assert!(Instant::now() < end, "a finished order still counts");
            }
            client.new_order(&["yet.limit.test"]).await.expect(429);
            // Names count as well: 20 are pending, four more may be.
            other.new_account().await.expect(200);
            let five = [
                "a.l.test", "b.l.test", "c.l.test", "d.l.test", "e.l.test", "f.l.test", "g.l.test",
                "h.l.test",
            ];
            other.new_order(&five).await.expect(201);
            let second: Vec<String> = five.iter().map(|name| format!("x{name}")).collect();
            other
                .new_order(&second.iter().map(String::as_str).collect::<Vec<_>>())
                .await
                .expect(201);
            let third: Vec<String> = five.iter().map(|name| format!("y{name}")).collect();
            let refused = other
                .new_order(&third.iter().map(String::as_str).collect::<Vec<_>>())
                .await
                .expect(429);
            assert!(
                refused.text().contains("24 pending authorizations"),
                "{}",
                refused.text()
            );
        });
        let (status, out, _) = ca.command(&["status", "--json"]);
        assert!(status.success());
        let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
        // 21 of the first account, 3 of the second, the CA's own.
        assert_eq!(rows["rows"]["orders"], 25, "{rows}");
    });
}

#[test]
fn an_overloaded_server_sheds_early_and_recovers() {
    with(test_path!(), &[("limits.requests_in_flight", "1")], |ca| {
        let (served, shed) = block_on(async {
            let first = ca.subscriber().await;
            let names: Vec<String> = (0..20).map(|n| format!("n{n}.shed.test")).collect();
            let names = Arc::new(names);
            let mut load = JoinSet::new();
            for number in 0..24 {
                let (client, names) = (first.apart(&ca.root()), Arc::clone(&names));
                load.spawn(async move {
                    let (mut served, mut shed) = (0, 0);
                    for round in 0..8 {
                        let names: Vec<String> = names
                            .iter()
                            .map(|n| format!("c{number}r{round}{n}"))
                            .collect();
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        let answer = client.new_order(&names).await;
                        match answer.status {
                            201 => served += 1,
                            503 => {
                                assert_eq!(answer.problem(), "serverInternal");
                                assert!((1..=60).contains(&wait_of(&answer)));
                                assert!(answer.header("replay-nonce").is_some());
                                shed += 1;
                            }
                            429 => {}
                            _ => panic!("{}", answer.text()),
                        }
                    }
                    (served, shed)
                });
            }
            // What needs no admission answers all the time.
            for _ in 0..50 {
                first
                    .plain("HEAD", &first.url("newNonce"))
                    .await
                    .expect(200);
                first.plain("GET", &ca.directory()).await.expect(200);
                assert!(
                    tokio::task::block_in_place(|| ca::get(PUBLICATION, "/health/live")).is_some()
                );
            }
            let ended = load.join_all().await;
            let sums = ended.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
            let mut after = first.with_key(Key::es256());
            after.new_account().await.expect(201);
            sums
        });
        assert!(served > 0 && shed > 0, "{served} served, {shed} shed");
        let metrics = String::from_utf8(ca.operator("/metrics").unwrap().1).unwrap();
        assert!(
            metrics
                .lines()
                .any(|line| line == format!("cairn_shed_total {shed}")),
            "{metrics}"
        );
    });
}

#[test]
fn slow_and_idle_connections_are_bounded_and_given_back() {
    // T-CA-113
    with(test_path!(), &[], |mut ca| {
        let before = ca.process().descriptors();
        // One address may have 1,024 connections; what it opens beyond is closed at once.
        let hoard: Vec<TcpStream> = (0..1100)
            .map(|_| TcpStream::connect(SUBSCRIBERS).unwrap())
            .collect();
        let closed = |stream: &TcpStream| {
            stream.set_nonblocking(true).unwrap();
            let mut byte = [0];
            matches!((&*stream).read(&mut byte), Ok(0))
                || matches!((&*stream).read(&mut byte), Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset)
        };
        let over = wait_for(PATIENCE, || {
            let over = hoard.iter().filter(|stream| closed(stream)).count();
            (over >= 1100 - 1024).then_some(over)
        });
        assert!(
            over.is_some(),
            "nobody bounds the connections of an address"
        );
        // Others are served meanwhile, a byte at a time or not.
        block_on(async {
            let root = ca.root();
            let honest = connect_from(&ca, &root, 9).await;
            let mut honest = honest.with_key(Key::es256());
            honest.new_account().await.expect(201);
        });
        let held = ca.process().descriptors();
        assert!(held <= before + 1024 + 16, "{held} descriptors");
        // Ten seconds are the handshake's bound.
        let process = ca.process();
        let given_back = wait_for(PATIENCE, || {
            (process.descriptors() <= before + 16).then_some(())
        });
        assert!(
            given_back.is_some(),
            "{} descriptors, {before} before",
            process.descriptors()
        );
        drop(hoard);

        // Heads without end on the plain listener: refused with 431 or the connection's end, within bounds.
        let mut flood = TcpStream::connect(PUBLICATION).unwrap();
        flood.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut sent = 0;
        write!(flood, "GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
        while sent < 8 << 20 {
            let line = format!("X-{sent}: {}\r\n", "a".repeat(1000));
            if flood.write_all(line.as_bytes()).is_err() {
                break;
            }
            sent += line.len();
        }
        assert!(sent < 8 << 20, "a head without end is read without end");
    });
}

async fn connect_from(ca: &TestCa, root: &str, last: u8) -> Client {
    Client::connect_from(&ca.directory(), root, [127, 0, 0, last]).await
}

#[test]
fn a_flood_of_new_nonce_evicts_nobody_and_writes_nothing() {
    // T-CA-25
    with(test_path!(), &[], |mut ca| {
        let count = if soak() { 1_000_000 } else { 4_000 };
        let transactions = |ca: &TestCa| {
            let metrics = String::from_utf8(ca.operator("/metrics").unwrap().1).unwrap();
            // The CA's own upkeep goes on meanwhile and is nobody's request.
            let lines = metrics.lines().filter(|line| {
                line.starts_with("cairn_transactions_total") && !line.contains("take_over")
            });
            lines
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>()
        };
        let client = block_on(ca.subscriber());
        let root = ca.root();
        let (writes, memory) = (transactions(&ca), ca.process().memory());
        block_on(async {
            let old = client.apart(&root);
            let nonce = old.nonce().await;
            let mut flood = JoinSet::new();
            for _ in 0..8 {
                let client = client.apart(&root);
                flood.spawn(async move {
                    let url = client.url("newNonce");
                    for _ in 0..count / 8 {
                        // Not through the client's own store of nonces, which would keep them all.
                        let nonces = client.head_quietly(&url).await.unwrap();
                        assert_eq!(nonces.status, 200);
                    }
                });
            }
            flood.join_all().await;
            let mut draft = old.draft(&old.kid.clone().unwrap(), &json!({})).await;
            draft.protect("nonce", nonce.as_str());
            old.send(&draft).await.expect(200);
            old.send(&draft).await.expect(400);
        });
        // The two requests above are the only ones that may have written.
        assert!(transactions(&ca) - writes <= 2.0, "newNonce writes");
        let grown = ca.process().memory().saturating_sub(memory);
        assert!(grown < 16 << 20, "{grown} bytes more");
    });
}

#[test]
fn validators_stuck_on_slow_responders_slow_nothing_else() {
    // T-CA-116
    // T-CA-72
    with(test_path!(), &[], |ca| {
        let slow = Responder::start(([127, 0, 0, 3], 80));
        slow.otherwise(Reply::Hang);
        let web = Responder::start((HOST, 80));
        block_on(async {
            let root = ca.root();
            let client = ca.subscriber().await;
            let honest = {
                let mut honest = client.with_key(Key::es256()).apart(&root);
                honest.new_account().await.expect(201);
                honest
            };
            // More validations than there are places for them, all of which hang.
            let mut stuck = JoinSet::new();
            for order in 0..11 {
                let client = client.apart(&root);
                stuck.spawn(async move {
                    let names: Vec<String> = (0..100)
                        .map(|n| format!("o{order}n{n}.slow.test"))
                        .collect();
                    let names: Vec<&str> = names.iter().map(String::as_str).collect();
                    let order = client.new_order(&names).await.expect(201).json();
                    for authorization in order["authorizations"].as_array().unwrap() {
                        let object = client
                            .fetch(authorization.as_str().unwrap())
                            .await
                            .expect(200)
                            .json();
                        let challenge = object["challenges"][0]["url"].as_str().unwrap().to_owned();
                        client.post(&challenge, &json!({})).await.expect(200);
                    }
                });
            }
            let mut times = Vec::new();
            let mut crls = Vec::new();
            while !stuck.is_empty() || times.len() < 100 {
                let began = Instant::now();
                honest
                    .plain("HEAD", &honest.url("newNonce"))
                    .await
                    .expect(200);
                times.push(began.elapsed());
                let began = Instant::now();
                let live = tokio::task::block_in_place(|| ca::get(PUBLICATION, "/root.crt"));
                assert_eq!(live.unwrap().0, 200);
                crls.push(began.elapsed());
                while let Some(ended) = stuck.try_join_next() {
                    ended.unwrap();
                }
            }
            let (nonce, crl) = (percentile(&mut times, 95), percentile(&mut crls, 95));
            assert!(
                nonce < Duration::from_secs(1) && crl < Duration::from_secs(1),
                "{nonce:?} {crl:?}"
            );
            // A target sees few connections at once, whatever the number of names and accounts.
            assert!(
                slow.most_open() <= 64,
                "{} connections to one host",
                slow.most_open()
            );
            // And another's validation is done as soon as there is a place; hung ones end within their bound.
            honest.obtain(&["honest.limit.test"], &web).await;
        });
    });
}

#[test]
fn bad_signatures_do_not_slow_honest_requests() {
    // T-CA-112
    let count = if soak() { 2_000 } else { 200 };
    with(
        test_path!(),
        &[("limits.bad_signatures_per_minute", "100000")],
        |ca| {
            block_on(async {
                let client = ca.subscriber().await;
                let honest = client.apart_from(&ca.root(), [127, 0, 0, 9]);
                let measure = async || {
                    let mut times = Vec::new();
                    for _ in 0..100 {
                        let began = Instant::now();
                        honest.fetch(client.kid.as_ref().unwrap()).await.expect(200);
                        times.push(began.elapsed());
                    }
                    percentile(&mut times, if soak() { 99 } else { 50 })
                };
                let idle = measure().await;
                let mut flood = JoinSet::new();
                for _ in 0..2 {
                    let client = client.apart(&ca.root());
                    flood.spawn(async move {
                        for _ in 0..count / 2 {
                            let mut draft = client
                                .draft(&client.url("newOrder"), &json!({ "identifiers": [] }))
                                .await;
                            draft.signature = Some(vec![7; 64]);
                            assert_eq!(client.send(&draft).await.status, 400);
                        }
                    });
                }
                let loaded = measure().await;
                flood.join_all().await;
                // On a shared machine only the order of magnitude is a fact.
                assert!(
                    loaded < idle * 10 + Duration::from_millis(100),
                    "{idle:?} idle, {loaded:?} under load"
                );
            });
        },
    );
}
