//! Real faults of a subscriber's DNS and web server, and what the subscriber is told about each: what failed, the evidence
//! with its real values, the remedy. 198.41.0.4 stands for a public address; the names have no rule that would grant
//! any other.

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
    dns::{self, Behaviour, RecordType, ResponseCode},
    http::{Reply, Responder},
    test_path, wait_for,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PUBLIC: [u8; 4] = [198, 41, 0, 4];
/// Global, on this host, and nobody listens.
const DEAD: [u8; 4] = [198, 41, 0, 5];
const PUBLIC6: &str = "2001:503:ba3e::2:30";
const DEAD6: &str = "2001:503:ba3e::2:31";
/// Where nothing may ever connect to; somebody listens at each, and would give the right answer.
const INSIDE: [&str; 6] = ["10.1.2.3", "127.0.0.2", "169.254.169.254", "192.168.7.7", "100.64.0.9", "fd00:ec2::254"];
/// No address of a server that a stranger may name (T-CA-64).
const FORBIDDEN: [&str; 29] = [
    "127.0.0.1", "127.0.0.2", "10.1.2.3", "192.168.7.7", "172.16.0.1", "100.64.0.9", "169.254.169.254", "0.0.0.0",
    "192.0.0.192", "198.18.0.1", "203.0.113.5", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1",
    "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::",
    "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1",
];

/// One name with its challenge.
struct Host {
    name: String,
    path: String,
    key_authorization: String,
}

/// All that a row may arrange.
struct Scene {
    dns: dns::Server,
    web: Responder,
    web6: Responder,
}

type Arrange = Box<dyn Fn(&Scene, &Host) + Send + Sync>;

/// A fault and what is said of it; no type is success.
struct Row {
    label: String,
    suffix: &'static str,
    arrange: Arrange,
    kind: &'static str,
    says: Vec<&'static str>,
}

fn row(
    label: &str,
    kind: &'static str,
    says: &[&'static str],
    arrange: impl Fn(&Scene, &Host) + Send + Sync + 'static,
) -> Row {
    Row { label: label.to_owned(), suffix: "public.test", arrange: Box::new(arrange), kind, says: says.to_vec() }
}

/// A row whose name leads to [`PUBLIC`], where this is the reply to the challenge's path.
fn reply(label: &str, kind: &'static str, says: &[&'static str], reply: impl Fn(&Host) -> Reply + Send + Sync + 'static) -> Row {
    row(label, kind, says, move |scene, host| {
        scene.dns.add_address(&host.name, PUBLIC);
        scene.web.on_host(&host.name, &host.path, reply(host));
    })
}

/// A row that redirects to a Location, in which `{}` is the name.
fn redirect(label: &str, kind: &'static str, says: &[&'static str], location: &'static str) -> Row {
    reply(label, kind, says, move |host| Reply::Redirect(302, location.replace("{}", &host.name)))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn dns_rows() -> Vec<Row> {
    vec![
        row("nxdomain", "dns", &["has no DNS entry: the answer was NXDOMAIN", "Add an A or AAAA record"], |_, _| {}),
        row("nodata", "dns", &["neither an A nor an AAAA record. Add one"], |scene, host| {
            scene.dns.add_txt(&host.name, "x");
        }),
        row("servfail", "dns", &["records of {name} failed: SERVFAIL", "DNSSEC"], |scene, host| {
            scene.dns.behave(&host.name, None, Behaviour::Code(ResponseCode::ServFail));
        }),
        row("dns-silent", "dns", &["no answer in time", "try again later"], |scene, host| {
            scene.dns.behave(&host.name, None, Behaviour::Drop);
        }),
        // T-CA-77
        row("cname-loop", "dns", &["a loop of CNAME records", "Correct the CNAME records"], |scene, host| {
            let other = format!("b.{}", host.name);
            scene.dns.add_cname(&host.name, &other).add_cname(&other, &host.name);
        }),
        row("cname-chain", "dns", &["CNAME records", "Correct the CNAME records"], |scene, host| {
            let link = |n: usize| if n == 0 { host.name.clone() } else { format!("l{n}.{}", host.name) };
            for n in 0..100 {
                scene.dns.add_cname(&link(n), &link(n + 1));
            }
            scene.dns.add_address(&link(100), PUBLIC);
        }),
    ]
}

fn connection_rows() -> Vec<Row> {
    vec![
        row("refused", "connection", &["no connection. 198.41.0.5:80 refused the connection", "web server listens there"], |scene, host| {
            scene.dns.add_address(&host.name, DEAD);
        }),
        row("unreachable", "connection", &["198.41.0.99:80 could not be reached", "firewall"], |scene, host| {
            scene.dns.add_address(&host.name, [198, 41, 0, 99]);
        }),
        row("both-dead", "connection", &["[2001:503:ba3e::2:31]:80 refused the connection; 198.41.0.5:80 refused", "IPv6 is tried first"], |scene, host| {
            scene.dns.add_address(&host.name, DEAD).add_address(&host.name, ip(DEAD6));
        }),
        row("v6-dead-v4-404", "unauthorized", &["[2001:503:ba3e::2:31]:80 refused the connection; 198.41.0.4:80 answered 404"], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC).add_address(&host.name, ip(DEAD6));
        }),
        row("v6-first", "", &[], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC).add_address(&host.name, ip(PUBLIC6));
            scene.web6.on_host(&host.name, &host.path, Reply::Body(host.key_authorization.clone().into_bytes()));
        }),
        row("v6-dead-v4-works", "", &[], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC).add_address(&host.name, ip(DEAD6));
            scene.web.on_host(&host.name, &host.path, Reply::Body(host.key_authorization.clone().into_bytes()));
        }),
        reply("reset", "connection", &["at 198.41.0.4:80 there was no complete answer", "{url}"], |_| Reply::Reset),
        reply("closed", "connection", &["at 198.41.0.4:80 there was no complete answer: the connection ended early"], |_| Reply::Close),
        reply("silent", "connection", &["at 198.41.0.4:80 there was no complete answer in time", "within 10 seconds"], |_| Reply::Hang),
        reply("a-byte-a-second", "connection", &["no complete answer in time"], |host| {
            Reply::Slow(host.key_authorization.clone().into_bytes(), Duration::from_secs(1))
        }),
        reply("endless-headers", "connection", &["an HTTP head of more than"], |_| Reply::EndlessHeaders),
        reply("endless-body", "unauthorized", &["the file has other content", "more than 1024 octets that begin with"], |_| Reply::EndlessBody),
        reply("gzip", "connection", &["content coding, though none was offered"], |_| {
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00".to_vec())
        }),
        reply("http-0.9", "connection", &["no HTTP/1 answer but"], |host| Reply::Raw(host.key_authorization.clone().into_bytes())),
        reply("h2", "connection", &["no HTTP/1 answer but"], |_| Reply::Raw(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d".to_vec())),
        reply("interim-flood", "connection", &["interim answers"], |_| Reply::Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000))),
        reply("huge-length", "unauthorized", &["other content"], |_| {
            let mut raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n".to_vec();
            raw.resize(4096, b'x');
            Reply::Raw(raw)
        }),
    ]
}

fn content_rows() -> Vec<Row> {
    let status = |label: &str, status: u16, says: &'static str| {
        reply(label, "unauthorized", &[says, "198.41.0.4:80 answered", "{url}"], move |host| {
            Reply::Status(status, host.key_authorization.clone())
        })
    };
    let body = |label: &str, change: fn(&str) -> String| {
        reply(label, "unauthorized", &["the file has other content", "Serve the key authorization of this challenge"], move |host| {
            Reply::Body(change(&host.key_authorization).into_bytes())
        })
    };
    vec![
        row("404", "unauthorized", &["the file was not there. 198.41.0.4:80 answered 404 for {url}", "Put the challenge where that server looks"], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC);
        }),
        // T-CA-70
        status("status-201", 201, "could not be fetched"),
        status("status-206", 206, "could not be fetched"),
        status("status-404-right-body", 404, "was not there"),
        status("status-500", 500, "could not be fetched"),
        body("prefix", |ka| format!("x{ka}")),
        body("suffix", |ka| format!("{ka}x")),
        body("token-only", |ka| ka.split('.').next().unwrap().to_owned()),
        body("other-thumbprint", |ka| format!("{}.{}", ka.split('.').next().unwrap(), "A".repeat(43))),
        body("leading-space", |ka| format!(" {ka}")),
        body("upper-case", |ka| ka.to_ascii_uppercase()),
        body("empty", |_| String::new()),
        reply("trailing-space", "", &[], |host| Reply::Body(format!("{}\r\n \t", host.key_authorization).into_bytes())),
        // T-CA-69
        reply("html-and-ansi", "unauthorized", &["\"\\x3chtml\\x3e\\x1b[2J", "…"], |_| {
            let mut page = b"<html>\x1b[2J\x00<svg onload=alert(1)>".to_vec();
            page.resize(80, b'.');
            page.extend(b"CANARY-SECRET");
            Reply::Body(page)
        }),
        reply("evidence", "unauthorized", &["answered 503", "nginx/9.9", "retry after 120", "realm inside"], |_| {
            Reply::Raw(
                b"HTTP/1.1 503 No\r\nServer: nginx/9.9\r\nRetry-After: 120\r\nX-Secret: CANARY-SECRET\r\n\
                  WWW-Authenticate: Digest realm=\"inside\", nonce=\"CANARY-SECRET\"\r\nContent-Length: 0\r\n\r\n"
                    .to_vec(),
            )
        }),
    ]
}

/// T-CA-67
fn redirect_rows() -> Vec<Row> {
    let not = "the redirect was not followed";
    vec![
        redirect("to-address", "connection", &[not, "addresses are not followed", "302 to \"http://10.1.2.3/\""], "http://10.1.2.3/"),
        redirect("to-v6-address", "connection", &[not, "addresses are not followed"], "http://[::1]/"),
        redirect("to-number", "connection", &[not, "host name"], "http://2130706433/"),
        redirect("user", "connection", &[not, "user name"], "http://a@10.1.2.3/"),
        redirect("other-port", "connection", &[not, "a port that validation does not use"], "http://{}:22/"),
        redirect("gopher", "connection", &[not, "neither an http or https URL"], "gopher://{}/"),
        redirect("file", "connection", &[not, "neither an http or https URL"], "file:///etc/passwd"),
        redirect("relative", "connection", &[not, "neither an http or https URL nor a path"], "../x"),
        redirect("backslash", "connection", &[not, "characters that no URL has"], "http://x\\@{}/"),
        reply("loop", "connection", &[not, "leads back to a URL that was asked before"], |host| Reply::Redirect(301, host.path.clone())),
        reply("no-location", "connection", &[not, "no Location"], |_| Reply::Raw(b"HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n".to_vec())),
        reply("long-location", "connection", &[], |_| Reply::Redirect(302, format!("/{}", "a".repeat(65_000)))),
        reply("status-303", "unauthorized", &["answered 303"], |_| Reply::Redirect(303, String::from("/x"))),
        row("eleven-hops", "connection", &[not, "more than 10 redirects"], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC);
            scene.web.on_host(&host.name, &host.path, Reply::Redirect(302, String::from("/hop1")));
            for hop in 1..=11 {
                scene.web.on_host(&host.name, &format!("/hop{hop}"), Reply::Redirect(307, format!("/hop{}", hop + 1)));
            }
        }),
        row("ten-hops", "", &[], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC);
            scene.web.on_host(&host.name, &host.path, Reply::Redirect(302, String::from("/hop1")));
            for hop in 1..10 {
                scene.web.on_host(&host.name, &format!("/hop{hop}"), Reply::Redirect(308, format!("http://{}/hop{}", host.name, hop + 1)));
            }
            scene.web.on_host(&host.name, "/hop10", Reply::Body(host.key_authorization.clone().into_bytes()));
        }),
        row("to-tls-that-is-none", "tls", &["198.41.0.4:443", "the TLS handshake failed: the answer was not TLS", "after a redirect to https://{name}/"], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC);
            scene.web.on_host(&host.name, &host.path, Reply::Redirect(302, format!("https://{}/", host.name)));
        }),
        // Under the subscriber's own name it is told what is wrong; elsewhere nothing can be learned.
        row("to-inside-of-its-own", "dns", &["leads to 10.1.2.3 (private", "where this CA may not connect"], |scene, host| {
            let inner = format!("inner.{}", host.name);
            scene.dns.add_address(&host.name, PUBLIC).add_address(&inner, ip("10.1.2.3"));
            scene.web.on_host(&host.name, &host.path, Reply::Redirect(302, format!("http://{inner}/")));
        }),
        row("to-inside-elsewhere", "connection", &["was not reachable, not permitted, or did not have the file"], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC).add_address("secret.elsewhere.test", ip("10.1.2.3"));
            scene.web.on_host(&host.name, &host.path, Reply::Redirect(302, String::from("http://secret.elsewhere.test/")));
        }),
        row("to-dead-elsewhere", "connection", &["was not reachable, not permitted, or did not have the file"], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC).add_address("dead.elsewhere.test", DEAD);
            scene.web.on_host(&host.name, &host.path, Reply::Redirect(302, String::from("http://dead.elsewhere.test/")));
        }),
    ]
}

/// T-CA-64, T-CA-66
fn address_rows() -> Vec<Row> {
    let mut rows: Vec<Row> = FORBIDDEN
        .iter()
        .enumerate()
        .map(|(number, address)| {
            let label = format!("forbidden-{number}");
            row(&label, "dns", &["leads to", "where this CA may not connect for this name", "ask its operator"], move |scene, host| {
                scene.dns.add_address(&host.name, ip(address));
            })
        })
        .collect();
    for (label, order) in [("mixed-inside-first", ["10.1.2.3", "198.41.0.4"]), ("mixed-inside-last", ["198.41.0.4", "10.1.2.3"])] {
        rows.push(row(label, "", &[], move |scene, host| {
            for address in order {
                scene.dns.add_address(&host.name, ip(address));
            }
            scene.web.on_host(&host.name, &host.path, Reply::Body(host.key_authorization.clone().into_bytes()));
        }));
    }
    // The fallback to the other family is judged as well.
    rows.push(row("v6-dead-v4-inside", "connection", &["[2001:503:ba3e::2:31]:80 refused"], |scene, host| {
        scene.dns.add_address(&host.name, ip("10.1.2.3")).add_address(&host.name, ip(DEAD6));
    }));
    rows.push(Row {
        suffix: "granted.test",
        ..row("own-listener", "dns", &["leads to 127.0.0.1 (own listener)"], |scene, host| {
            scene.dns.add_address(&host.name, ip("127.0.0.1"));
        })
    });
    rows
}

/// Places an order for one name and arranges its fault; the order's and the authorization's URL, and the host.
async fn place(client: &Client, name: &str) -> (String, String, String, Host) {
    let placed = client.new_order(&[name]).await.expect(201);
    let authorization = placed.json()["authorizations"][0].as_str().unwrap().to_owned();
    let object = client.fetch(&authorization).await.expect(200).json();
    let challenge = object["challenges"].as_array().unwrap().iter().find(|c| c["type"] == "http-01").unwrap();
    let token = challenge["token"].as_str().unwrap();
    // 8555-8.3-1
    assert!(token.len() >= 22 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{token}");
    let host = Host {
        name: name.to_owned(),
        path: format!("/.well-known/acme-challenge/{token}"),
        key_authorization: client.key.authorization(token),
    };
    (placed.location(), authorization, challenge["url"].as_str().unwrap().to_owned(), host)
}

/// What is wrong with the outcome, if something is.
async fn judge(client: Client, scene: Arc<Scene>, row: Row) -> Result<(), String> {
    let name = format!("{}.{}", row.label, row.suffix);
    let (order, authorization, challenge, host) = place(&client, &name).await;
    (row.arrange)(&scene, &host);
    client.post(&challenge, &json!({})).await.expect(200);
    let object = client.poll(&authorization, &["pending"]).await;
    let fail = |what: &str, object: &Value| Err(format!("{}: {what}: {object:#}", row.label));
    if row.kind.is_empty() {
        return if object["status"] == "valid" { Ok(()) } else { fail("not valid", &object) };
    }
    if object["status"] != "invalid" {
        return fail("not invalid", &object);
    }
    let shown = &object["challenges"][0];
    let (error, status) = (&shown["error"], if row.kind == "unauthorized" { 403 } else { 400 });
    if shown["status"] != "invalid" || error["type"] != format!("urn:ietf:params:acme:error:{}", row.kind) || error["status"] != status {
        return fail("another problem", &object);
    }
    let detail = error["detail"].as_str().unwrap_or_default();
    if !detail.starts_with(&format!("{name}: ")) || detail.len() > 1000 || detail.chars().any(char::is_control) {
        return fail("an unfit detail", error);
    }
    let url = format!("http://{name}{}", host.path);
    for part in &row.says {
        if !detail.contains(&part.replace("{name}", &name).replace("{url}", &url)) {
            return fail(&format!("does not say {part:?}"), error);
        }
    }
    if detail.contains("SECRET") || detail.contains("<svg") {
        return fail("repeats what it should not", error);
    }
    // The order ends with the same words.
    let order = client.fetch(&order).await.expect(200).json();
    if order["status"] != "invalid" || !order["error"].to_string().contains(&name) {
        return fail("the order does not say why", &order);
    }
    Ok(())
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
        let guards: Vec<Responder> = INSIDE.iter().map(|address| Responder::start((ip(address), 80))).collect();
        let proxy = Responder::start(([127, 0, 0, 9], 3128));
        let no_tls = std::net::TcpListener::bind((Ipv4Addr::from(PUBLIC), 443)).unwrap();
        std::thread::spawn(move || {
            for stream in no_tls.incoming() {
                stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
            }
        });
        let scene = Arc::new(scene);
        let wrong = block_on(async {
            let client = ca.subscriber().await;
            for guard in guards.iter().chain([&proxy]) {
                guard.answer_for(&client.key.thumbprint());
            }
            let rows = [dns_rows(), connection_rows(), content_rows(), redirect_rows(), address_rows()];
            let mut running = JoinSet::new();
            let mut count = 0;
            for row in rows.into_iter().flatten() {
                count += 1;
                running.spawn(judge(client.apart(&ca.root()), Arc::clone(&scene), row));
            }
            let wrong: Vec<String> = running.join_all().await.into_iter().filter_map(Result::err).collect();
            eprintln!("{count} faults");
            wrong
        });
        assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
        for (guard, address) in guards.iter().zip(INSIDE) {
            assert_eq!(guard.most_open(), 0, "something connected to {address}");
        }
        assert_eq!(proxy.most_open(), 0, "HTTP_PROXY was obeyed");
        // the path and the port are never the requester's choice, and nothing personal is sent along.
        for request in scene.web.log() {
            let of_ours = request.target.starts_with("/.well-known/acme-challenge/") || request.target.starts_with("/hop");
            assert!(of_ours || request.target == "/", "{request:?}");
            assert!(!request.host.contains(':'), "{request:?}");
            let secret = |(name, _): &(String, String)| matches!(name.as_str(), "cookie" | "authorization" | "referer");
            assert!(!request.headers.iter().any(secret), "{request:?}");
            let coding = request.headers.iter().find(|(name, _)| name == "accept-encoding");
            assert_eq!(coding.unwrap().1, "identity");
        }
        let (status, out, _) = ca.command(&["list", "certificates", "--json"]);
        assert!(status.success());
        let listed: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(listed["certificates"].as_array().unwrap().len(), 1, "only the CA's own");
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
                scene.web.on_host(name, &host.path, late(if redirects { Reply::Redirect(302, String::from("/again")) } else { right.clone() }));
                scene.web.on_host(name, "/again", right);
                let asked = { let client = client.clone(); tokio::spawn(async move { client.post(&challenge, &json!({})).await.expect(200); }) };
                // Once the first address is taken, the name leads inside.
                let connected = wait_for(Duration::from_secs(10), || scene.web.log().iter().any(|r| r.host == name).then_some(()));
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
                    assert_eq!(scene.dns.count(name, RecordType::A), 1, "a second look-up could have been another's");
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
            scene.dns.add_address(name, ip(DEAD6)).add_address(name, PUBLIC);
            scene.web.on_host(name, &host.path, Reply::Times(1, Box::new(Reply::Reset)));
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
            assert_eq!(object["error"]["type"], "urn:ietf:params:acme:error:connection", "{object}");
            assert!(object["error"]["detail"].as_str().unwrap().contains("tries again in"), "{object}");
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
            let asked: Vec<_> = scene.web.log().into_iter().filter(|r| r.host == name).collect();
            assert_eq!(asked.len(), 2, "one failed attempt, one good one");
            assert!(asked[1].at - asked[0].at >= Duration::from_secs(4), "tried again too soon");
            // Control of a name below is no control of the name above.
            let above = client.new_order(&["public.test"]).await.expect(201).json();
            let object = client.fetch(above["authorizations"][0].as_str().unwrap()).await.expect(200).json();
            assert_eq!(object["status"], "pending", "{object}");
            (order, name)
        });
        // The operator sees every step: both addresses, what was fetched, in order.
        let (status, out, err) = ca.command(&["show", &order, "--json"]);
        assert!(status.success(), "{err}");
        for part in [name, DEAD6, "198.41.0.4", "acme-challenge", "refused the connection"] {
            assert!(out.contains(part), "{part}: {out}");
        }
    });
}

/// A CA whose environment names a proxy, in a world with some public and some inside addresses.
fn scene(path: &str, body: impl FnOnce(TestCa, Scene)) {
    let mut namespace = TestCa::namespace().address(PUBLIC).address(DEAD);
    for address in [PUBLIC6, DEAD6, "10.1.2.3", "169.254.169.254", "192.168.7.7", "100.64.0.9", "fd00:ec2::254"] {
        namespace = namespace.address(ip(address));
    }
    namespace.run(path, || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_address("ca.test", [127, 0, 0, 1]).add_txt("public.test", "x");
        let mut builder = TestCa::builder()
            .tables("[[names]]\nsuffix = \"public.test\"\n[[names]]\nsuffix = \"elsewhere.test\"")
            .set("limits.holds_per_account", "4");
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
            builder = builder.environment(name, "http://127.0.0.9:3128");
        }
        let ca = builder.start();
        let (web, web6) = (Responder::start((PUBLIC, 80)), Responder::start((ip(PUBLIC6), 80)));
        body(ca, Scene { dns, web, web6 });
    });
}
