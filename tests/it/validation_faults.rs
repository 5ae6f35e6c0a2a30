//! Real faults of a subscriber's DNS and web server, and what the subscriber is told about each: what failed, the evidence
//! with its real values, the remedy. 198.41.0.4 stands for a public address; the names have no rule that would grant
//! any other.

mod rows;

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::Client,
    block_on,
    ca::{RESOLVER, TestCa},
    dns::{self, RecordType},
    http::{Reply, Responder},
    test_path, wait_for,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::told::judge;

const PUBLIC: [u8; 4] = [198, 41, 0, 4];
/// Global, on this host, and nobody listens.
const DEAD: [u8; 4] = [198, 41, 0, 5];
const PUBLIC6: &str = "2001:503:ba3e::2:30";
const DEAD6: &str = "2001:503:ba3e::2:31";
/// Where nothing may ever connect to; somebody listens at each, and would give the right answer.
const INSIDE: [&str; 6] = [
    "10.1.2.3",
    "127.0.0.2",
    "169.254.169.254",
    "192.168.7.7",
    "100.64.0.9",
    "fd00:ec2::254",
];
/// The challenge of one name.
struct Host {
    path: String,
    key_authorization: String,
}

/// All that a row may arrange.
struct Scene {
    dns: dns::Server,
    web: Responder,
    web6: Responder,
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Places an order for one name and arranges its fault; the order's and the authorization's URL, and the host.
async fn place(client: &Client, name: &str) -> (String, String, String, Host) {
    let placed = client.new_order(&[name]).await.expect(201);
    let authorization = placed.json()["authorizations"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let object = client.fetch(&authorization).await.expect(200).json();
    let challenge = object["challenges"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == "http-01")
        .unwrap();
    let token = challenge["token"].as_str().unwrap();
    // 8555-8.3-1
    assert!(
        token.len() >= 22
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
        "{token}"
    );
    let host = Host {
        path: format!("/.well-known/acme-challenge/{token}"),
        key_authorization: client.key.authorization(token),
    };
    (
        placed.location(),
        authorization,
        challenge["url"].as_str().unwrap().to_owned(),
        host,
    )
}

#[test]
fn every_fault_of_a_subscribers_server_is_told_with_its_evidence_and_its_remedy() {
    // T-CA-64
    // T-CA-66
    // T-CA-67
    // T-CA-68
    // T-CA-69
    // T-CA-70
    // T-CA-71
    // T-CA-77
    // 8555-8.3-3
    // 8555-8.3-4
    // 8555-8.3-5
    // 8555-6.7-4
    // 8555-10.4-1
    //
    scene(test_path!(), |ca, scene| {
        let guards: Vec<Responder> = INSIDE
            .iter()
            .map(|address| Responder::start((ip(address), 80)))
            .collect();
        let proxy = Responder::start(([127, 0, 0, 9], 3128));
        let no_tls = std::net::TcpListener::bind((Ipv4Addr::from(PUBLIC), 443)).unwrap();
        std::thread::spawn(move || {
            for stream in no_tls.incoming() {
                stream
                    .unwrap()
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .ok();
            }
        });
        let scene = Arc::new(scene);
        let wrong = block_on(async {
            let client = ca.subscriber().await;
            for guard in guards.iter().chain([&proxy]) {
                guard.answer_for(&client.key.thumbprint());
            }
            let rows = [
                rows::dns_rows(),
                rows::connection_rows(),
                rows::content_rows(),
                rows::redirect_rows(),
                rows::address_rows(),
            ];
            let mut running = JoinSet::new();
            let mut count = 0;
            for row in rows.into_iter().flatten() {
                count += 1;
                running.spawn(judge(client.apart(&ca.root()), Arc::clone(&scene), row));
            }
            let wrong: Vec<String> = running
                .join_all()
                .await
                .into_iter()
                .filter_map(Result::err)
                .collect();
            eprintln!("{count} faults");
            wrong
        });
        assert!(
            wrong.is_empty(),
            "{} rows:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        for (guard, address) in guards.iter().zip(INSIDE) {
            assert_eq!(guard.most_open(), 0, "something connected to {address}");
        }
        assert_eq!(proxy.most_open(), 0, "HTTP_PROXY was obeyed");
        // the path and the port are never the requester's choice, and nothing personal is sent along.
        for request in scene.web.log() {
            let of_ours = request.target.starts_with("/.well-known/acme-challenge/")
                || request.target.starts_with("/hop");
            assert!(of_ours || request.target == "/", "{request:?}");
            assert!(!request.host.contains(':'), "{request:?}");
            let secret = |(name, _): &(String, String)| {
                matches!(name.as_str(), "cookie" | "authorization" | "referer")
            };
            assert!(!request.headers.iter().any(secret), "{request:?}");
            let coding = request
                .headers
                .iter()
                .find(|(name, _)| name == "accept-encoding");
            assert_eq!(coding.unwrap().1, "identity");
        }
        let (status, out, _) = ca.command(&["list", "certificates", "--json"]);
        assert!(status.success());
        let listed: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            listed["certificates"].as_array().unwrap().len(),
            1,
            "only the CA's own"
        );
    });
}

#[test]
fn a_name_is_looked_up_once_a_hop_and_each_hop_is_judged_anew() {
    // T-CA-65
    scene(test_path!(), |ca, scene| {
        let inside = Responder::start((ip("127.0.0.2"), 80));
        block_on(async {
            let client = ca.subscriber().await;
            inside.answer_for(&client.key.thumbprint());
            let late = |reply| Reply::Delay(Duration::from_millis(500), Box::new(reply));
            for (name, redirects) in [("once.public.test", false), ("twice.public.test", true)] {
                let (_, authorization, challenge, host) = place(&client, name).await;
                scene.dns.add_address(name, PUBLIC);
                let right = Reply::Body(host.key_authorization.clone().into_bytes());
                scene.web.on_host(
                    name,
                    &host.path,
                    late(if redirects {
                        Reply::Redirect(302, String::from("/again"))
                    } else {
                        right.clone()
                    }),
                );
                scene.web.on_host(name, "/again", right);
                let asked = {
                    let client = client.clone();
                    tokio::spawn(async move {
                        client.post(&challenge, &json!({})).await.expect(200);
                    })
                };
                // Once the first address is taken, the name leads inside.
                let connected = wait_for(Duration::from_secs(10), || {
                    scene.web.log().iter().any(|r| r.host == name).then_some(())
                });
                assert!(connected.is_some());
                scene.dns.clear(name).add_address(name, ip("127.0.0.2"));
                asked.await.unwrap();
                let object = client.poll(&authorization, &["pending"]).await;
                if redirects {
                    assert_eq!(object["status"], "invalid", "{object}");
                    let detail = object["challenges"][0]["error"]["detail"].as_str().unwrap();
                    assert!(detail.contains("leads to 127.0.0.2 (loopback"), "{detail}");
                } else {
                    assert_eq!(object["status"], "valid", "{object}");
                    assert_eq!(
                        scene.dns.count(name, RecordType::A),
                        1,
                        "a second look-up could have been another's"
                    );
                }
            }
        });
        assert_eq!(inside.most_open(), 0, "a rebound name led inside");
    });
}

#[test]
fn a_failed_attempt_is_shown_while_the_server_tries_again() {
    // 8555-8.2-2
    // 8555-8.3-3
    scene(test_path!(), |ca, scene| {
        let (order, name) = block_on(async {
            let client = ca.subscriber().await;
            let name = "later.public.test";
            let (order, authorization, challenge, host) = place(&client, name).await;
            scene
                .dns
                .add_address(name, ip(DEAD6))
                .add_address(name, PUBLIC);
            scene
                .web
                .on_host(name, &host.path, Reply::Times(1, Box::new(Reply::Reset)));
            let token = host.path.rsplit('/').next().unwrap();
            scene.web.token(token, &host.key_authorization);
            client.post(&challenge, &json!({})).await.expect(200);
            let end = Instant::now() + Duration::from_secs(20);
            let shown = loop {
                let shown = client.fetch(&challenge).await.expect(200);
                if shown.json()["error"].is_object() || Instant::now() > end {
                    break shown;
                }
            };
            let object = shown.json();
            assert_eq!(object["status"], "processing", "{object}");
            assert_eq!(
                object["error"]["type"], "urn:ietf:params:acme:error:connection",
                "{object}"
            );
            assert!(
                object["error"]["detail"]
                    .as_str()
                    .unwrap()
                    .contains("tries again in"),
                "{object}"
            );
            let wait: u64 = shown.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=10).contains(&wait), "{wait}");
            // The client may answer again; it changes nothing.
            client.post(&challenge, &json!({})).await.expect(200);
            let waiting = client.fetch(&authorization).await.expect(200);
            if waiting.json()["status"] == "pending" {
                assert!(waiting.header("retry-after").is_some());
            }
            let done = client.poll(&authorization, &["pending"]).await;
            assert_eq!(done["status"], "valid", "{done}");
            assert!(done["challenges"][0]["validated"].is_string(), "{done}");
            assert_eq!(client.poll(&order, &["pending"]).await["status"], "ready");
            let asked: Vec<_> = scene
                .web
                .log()
                .into_iter()
                .filter(|r| r.host == name)
                .collect();
            assert_eq!(asked.len(), 2, "one failed attempt, one good one");
            assert!(
                asked[1].at - asked[0].at >= Duration::from_secs(4),
                "tried again too soon"
            );
            // Control of a name below is no control of the name above.
            let above = client.new_order(&["public.test"]).await.expect(201).json();
            let object = client
                .fetch(above["authorizations"][0].as_str().unwrap())
                .await
                .expect(200)
                .json();
            assert_eq!(object["status"], "pending", "{object}");
            (order, name)
        });
        // The operator sees every step: both addresses, what was fetched, in order.
        let (status, out, err) = ca.command(&["show", &order, "--json"]);
        assert!(status.success(), "{err}");
        for part in [
            name,
            DEAD6,
            "198.41.0.4",
            "acme-challenge",
            "refused the connection",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
    });
}

/// A CA whose environment names a proxy, in a world with some public and some inside addresses.
fn scene(path: &str, body: impl FnOnce(TestCa, Scene)) {
    let mut namespace = TestCa::namespace().address(PUBLIC).address(DEAD);
    for address in [
        PUBLIC6,
        DEAD6,
        "10.1.2.3",
        "169.254.169.254",
        "192.168.7.7",
        "100.64.0.9",
        "fd00:ec2::254",
    ] {
        namespace = namespace.address(ip(address));
    }
    namespace.run(path, || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_address("ca.test", [127, 0, 0, 1])
            .add_txt("public.test", "x");
        let mut builder = TestCa::builder()
            .tables("[[names]]\nsuffix = \"public.test\"\n[[names]]\nsuffix = \"elsewhere.test\"")
            .set("limits.holds_per_account", "4");
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
            builder = builder.environment(name, "http://127.0.0.9:3128");
        }
        let ca = builder.start();
        let (web, web6) = (
            Responder::start((PUBLIC, 80)),
            Responder::start((ip(PUBLIC6), 80)),
        );
        body(ca, Scene { dns, web, web6 });
    });
}
