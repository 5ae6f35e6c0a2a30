//! dns-01, tls-alpn-01 and addresses against the real binary on real ports: what gets a certificate, and what each fault
//! is told with. 198.41.0.4 stands for a public address.

mod texts;

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use cairn_testkit::{
    acme::{Client, Obtained},
    block_on,
    ca::{RESOLVER, TestCa},
    dns::{self, Behaviour, RecordType},
    http::Responder,
    issued, peers, test_path,
    tls_alpn::{Answer, TlsServer, acme_identifier},
};
use rcgen::{CustomExtension, SanType};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PUBLIC: [u8; 4] = [198, 41, 0, 4];
/// Global, on this host, and nobody listens.
const DEAD: [u8; 4] = [198, 41, 0, 5];
/// Global, and something that is no TLS listens at 443.
const PLAIN: [u8; 4] = [198, 41, 0, 6];
/// Global, with servers at 443 that speak old TLS, nothing, and far too much.
const OLD: [u8; 4] = [198, 41, 0, 7];
const SILENT: [u8; 4] = [198, 41, 0, 8];
const ENDLESS: [u8; 4] = [198, 41, 0, 9];
const PUBLIC6: &str = "2001:503:ba3e::2:30";
const DEAD6: &str = "2001:503:ba3e::2:31";
const INSIDE: &str = "10.1.2.3";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A CA that may reach 10.0.0.0/8 for addresses, in a world with public and inside ones.
fn scene(path: &str, body: impl FnOnce(TestCa, dns::Server)) {
    let mut namespace = TestCa::namespace()
        .address(PUBLIC)
        .address(DEAD)
        .address(PLAIN)
        .address(OLD)
        .address(SILENT)
        .address(ENDLESS);
    for address in [PUBLIC6, DEAD6, INSIDE] {
        namespace = namespace.address(ip(address));
    }
    namespace.run(path, || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_address("ca.test", [127, 0, 0, 1])
            .add_txt("public.test", "x");
        let ca = TestCa::builder()
            .tables("[[addresses]]\nrange = \"10.0.0.0/8\"")
            .start();
        body(ca, dns);
    });
}

/// What arranges the answer to a challenge.
type Arrange<'a> = &'a dyn Fn(&cairn_testkit::acme::Challenge);

/// Orders, answers every authorization by this challenge, and collects the certificate.
async fn obtain(
    client: &Client,
    identifiers: &[(&str, &str)],
    kind: &str,
    arrange: Arrange<'_>,
) -> Obtained {
    let placed = client.new_order_of(identifiers).await.expect(201);
    let authorizations = placed.json()["authorizations"].as_array().unwrap().clone();
    let mut challenges = Vec::new();
    for authorization in &authorizations {
        let challenge = client
            .challenge(authorization.as_str().unwrap(), kind)
            .await;
        arrange(&challenge);
        challenges.push(challenge);
    }
    for challenge in challenges {
        client.post(&challenge.url, &json!({})).await.expect(200);
    }
    let url = placed.location();
    let order = client.poll(&url, &["pending"]).await;
    let names: Vec<&str> = identifiers.iter().map(|(_, value)| *value).collect();
    let got = client.collect(&url, order, &names).await;
    issued::keep_chain(&got.chain);
    got
}

/// The subject alternative names as openssl prints them.
fn names_of(chain: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), chain).unwrap();
    let mut openssl = peers::system("openssl");
    openssl.args(["x509", "-noout", "-ext", "subjectAltName", "-in"]);
    let output = openssl.arg(file.path()).output().expect("openssl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn each_challenge_on_its_real_port_gets_a_certificate_for_names_wildcards_and_addresses() {
    // 8555-8.4-2
    // 8737-3-5
    // 8737-3-6
    // 8738-3-2
    // 8738-4-1
    // 8738-5-1
    // 8738-6-1
    // 8738-9-1
    // T-CA-76
    // T-CA-78
    scene(test_path!(), |ca, dns| {
        let (web, web6) = (
            Responder::start((PUBLIC, 80)),
            Responder::start((ip(PUBLIC6), 80)),
        );
        let inside = Responder::start((ip(INSIDE), 80));
        let (tls, tls6) = (
            TlsServer::start((PUBLIC, 443)),
            TlsServer::start((ip(PUBLIC6), 443)),
        );
        let tls_inside = TlsServer::start((ip(INSIDE), 443));
        block_on(async {
            let client = ca.subscriber().await;
            // Delegated by a CNAME, two values at one name, the answer whole over TCP alone.
            let asked = "_acme-challenge.wild.public.test";
            dns.add_cname(asked, "wild.validation.public.test").behave(
                asked,
                RecordType::TXT,
                Behaviour::Truncate,
            );
            let names = [("dns", "wild.public.test"), ("dns", "*.wild.public.test")];
            let got = obtain(&client, &names, "dns-01", &|challenge| {
                dns.add_txt("wild.validation.public.test", &challenge.txt_value());
            })
            .await;
            let said = names_of(&got.chain);
            assert!(
                said.contains("DNS:wild.public.test, DNS:*.wild.public.test"),
                "{said}"
            );
            assert!(dns.log().iter().any(|q| q.name == asked && q.tcp));

            // By name: IPv6 first, and IPv4 where IPv6 leads nowhere.
            dns.add_address("alpn.public.test", PUBLIC)
                .add_address("alpn.public.test", ip(PUBLIC6))
                .add_address("four.public.test", ip(DEAD6))
                .add_address("four.public.test", PUBLIC);
            let names = [("dns", "alpn.public.test"), ("dns", "four.public.test")];
            obtain(&client, &names, "tls-alpn-01", &|challenge| {
                let name = challenge.identifier.as_str();
                let server = if name.starts_with("alpn") {
                    &tls6
                } else {
                    &tls
                };
                server.present(name, Answer::challenge(name, &challenge.key_authorization));
            })
            .await;
            assert_eq!(tls6.log().len(), 1);

            // CAA is asked for names, and from here on for nothing.
            let caa = || {
                dns.log()
                    .iter()
                    .filter(|q| q.kind == RecordType::CAA)
                    .count()
            };
            assert!(caa() >= 4, "{}", caa());
            dns.clear_log();

            // By address, over both challenges that it has.
            let addresses = [
                ("ip", "198.41.0.4", "4.0.41.198.in-addr.arpa", &web, &tls),
                (
                    "ip",
                    PUBLIC6,
                    "0.3.0.0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.3.a.b.3.0.5.0.1.0.0.2.ip6.arpa",
                    &web6,
                    &tls6,
                ),
                ("ip", INSIDE, "3.2.1.10.in-addr.arpa", &inside, &tls_inside),
            ];
            let identifiers = addresses.map(|(kind, value, ..)| (kind, value));
            let of = |value: &str| addresses.iter().find(|a| a.1 == value).unwrap();
            let got = obtain(&client, &identifiers, "http-01", &|challenge| {
                let (.., web, _) = of(&challenge.identifier);
                web.token(&challenge.token, &challenge.key_authorization);
            })
            .await;
            let said = names_of(&got.chain);
            for text in [
                "IP Address:198.41.0.4",
                "IP Address:2001:503:BA3E",
                "IP Address:10.1.2.3",
            ] {
                assert!(said.contains(text), "{text}: {said}");
            }
            assert!(!said.contains("DNS:"), "{said}");
            let hosts: Vec<String> = [&web, &web6, &inside]
                .map(|w| w.log()[0].host.clone())
                .into();
            assert_eq!(hosts, ["198.41.0.4", "[2001:503:ba3e::2:30]", INSIDE]);
            // Another account, so that nothing is shown already.
            let client = ca.subscriber().await;
            obtain(&client, &identifiers, "tls-alpn-01", &|challenge| {
                let (_, value, name, _, tls) = of(&challenge.identifier);
                tls.present(name, Answer::challenge(value, &challenge.key_authorization));
            })
            .await;
            for (_, _, name, _, tls) in addresses {
                assert_eq!(tls.log().pop().unwrap().name.as_deref(), Some(name));
                assert_eq!(tls.octets_after(), 0, "{name}");
            }
            assert_eq!(caa(), 0, "{:?}", dns.log());
            // What no rule opens is refused before anybody connects.
            let refused = client
                .new_order_of(&[("ip", "192.168.7.7"), ("ip", "127.0.0.1")])
                .await
                .expect(400);
            assert_eq!(refused.problem(), "rejectedIdentifier");
            assert_eq!(refused.json()["subproblems"].as_array().unwrap().len(), 2);
        });
    });
}

/// Arranges a wrong answer for a name and a key authorization.
type Wrong = Box<dyn Fn(&Scene, &str, &str) + Send + Sync>;

/// A wrong answer to a challenge and what is said of it; no type is success.
struct Row {
    label: &'static str,
    challenge: &'static str,
    arrange: Wrong,
    kind: &'static str,
    says: &'static [&'static str],
}

struct Scene {
    dns: dns::Server,
    tls: TlsServer,
}

/// A row whose TLS server shows a certificate made of the name and the key authorization.
fn shows(
    label: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static,
) -> Row {
    Row {
        label,
        challenge: "tls-alpn-01",
        arrange: Box::new(move |scene, name, key_authorization| {
            scene.dns.add_address(name, PUBLIC);
            scene.tls.present(name, answer(name, key_authorization));
        }),
        kind,
        says,
    }
}

/// A row whose name leads to an address, where nothing answers the challenge.
fn leads(
    label: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    address: [u8; 4],
) -> Row {
    Row {
        label,
        challenge: "tls-alpn-01",
        arrange: Box::new(move |scene, name, _| {
            scene.dns.add_address(name, address);
        }),
        kind,
        says,
    }
}

fn name(text: &str) -> SanType {
    SanType::DnsName(text.to_owned().try_into().unwrap())
}

/// acmeIdentifier with other parts than it has.
fn odd(id: &[u64], critical: bool, octets: &[u8]) -> CustomExtension {
    let mut value = vec![4, u8::try_from(octets.len()).unwrap()];
    value.extend(octets);
    let mut extension = CustomExtension::from_oid_content(id, value);
    extension.set_criticality(critical);
    extension
}

const IDENTIFIER: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 31];

fn tls_rows() -> Vec<Row> {
    let right = |n: &str, k: &str| Answer::challenge(n, k);
    let with = |names: fn(&str) -> Vec<SanType>| {
        move |n: &str, k: &str| Answer::with(names(n), vec![acme_identifier(k)])
    };
    let extended = |extension: CustomExtension| {
        move |n: &str, _: &str| Answer::with(vec![name(n)], vec![extension.clone()])
    };
    vec![
        shows("right", "", &[], right),
        shows(
            "upper-case",
            "",
            &[],
            with(|n| vec![name(&n.to_ascii_uppercase())]),
        ),
        // T-CA-73
        shows(
            "no-alpn",
            "unauthorized",
            &[
                "did not select the protocol acme-tls/1",
                "or use another challenge",
            ],
            move |n, k| right(n, k).protocols(&[]),
        ),
        shows(
            "h2",
            "tls",
            &["refused the protocol acme-tls/1 (alert 120, no_application_protocol)"],
            move |n, k| right(n, k).protocols(&[b"h2"]),
        ),
        shows(
            "http11",
            "tls",
            &["refused the protocol acme-tls/1"],
            move |n, k| right(n, k).protocols(&[b"http/1.1"]),
        ),
        leads(
            "no-answer",
            "tls",
            &["at 198.41.0.4:443 the TLS server refused the server name no-answer.public.test"],
            PUBLIC,
        ),
        leads(
            "no-tls",
            "tls",
            &["at 198.41.0.6:443 the TLS handshake failed: the answer was not TLS"],
            PLAIN,
        ),
        // T-CA-75
        leads(
            "old-tls",
            "tls",
            &[
                "at 198.41.0.7:443 the TLS handshake failed: ",
                "no version or cipher of TLS 1.2 or newer",
            ],
            OLD,
        ),
        leads(
            "silent-tls",
            "tls",
            &["at 198.41.0.8:443 the TLS handshake did not end in time"],
            SILENT,
        ),
        leads(
            "endless",
            "tls",
            &[
                "at 198.41.0.9:443 the TLS handshake was larger than any answer to a challenge. See what listens there.",
            ],
            ENDLESS,
        ),
        leads(
            "refused",
            "connection",
            &["198.41.0.5:443 refused the connection. See that a TLS server listens there"],
            DEAD,
        ),
        leads(
            "inside",
            "dns",
            &[
                "leads to 10.1.2.3 (private use",
                "where this CA may not connect",
            ],
            [10, 1, 2, 3],
        ),
        // T-CA-74
        shows(
            "draft-oid",
            "unauthorized",
            &["acmeIdentifier extension of the drafts (1.3.6.1.5.5.7.1.30.1)"],
            extended(odd(&[1, 3, 6, 1, 5, 5, 7, 1, 30, 1], true, &[7; 32])),
        ),
        shows(
            "not-critical",
            "unauthorized",
            &["acmeIdentifier extension is not critical"],
            extended(odd(&IDENTIFIER, false, &[7; 32])),
        ),
        shows(
            "short",
            "unauthorized",
            &["no DER OCTET STRING of 32 octets"],
            extended(odd(&IDENTIFIER, true, &[7; 31])),
        ),
        shows(
            "long",
            "unauthorized",
            &["no DER OCTET STRING of 32 octets"],
            extended(odd(&IDENTIFIER, true, &[7; 33])),
        ),
        shows(
            "other-digest",
            "unauthorized",
            &[
                "has another digest, 0707",
                "has to be the SHA-256 of this challenge's key authorization, ",
            ],
            extended(odd(&IDENTIFIER, true, &[7; 32])),
        ),
        shows(
            "none",
            "unauthorized",
            &["no acmeIdentifier extension (1.3.6.1.5.5.7.1.31)"],
            |n, _| Answer::with(vec![name(n)], vec![]),
        ),
        shows(
            "second-name",
            "unauthorized",
            &["is not the one dNSName second-name.public.test alone"],
            with(|n| vec![name(n), name("evil.test")]),
        ),
        shows(
            "email",
            "unauthorized",
            &["a name of another type"],
            with(|n| vec![name(n), SanType::Rfc822Name("a@b.test".try_into().unwrap())]),
        ),
        shows(
            "uri",
            "unauthorized",
            &["a name of another type"],
            with(|n| vec![name(n), SanType::URI("https://a.test".try_into().unwrap())]),
        ),
        shows(
            "wildcard",
            "unauthorized",
            &["it has \"*.public.test\""],
            with(|_| vec![name("*.public.test")]),
        ),
        shows(
            "other-name",
            "unauthorized",
            &["it has \"evil.test\""],
            with(|_| vec![name("evil.test")]),
        ),
        shows(
            "no-name",
            "unauthorized",
            &["it has no subject alternative name"],
            with(|_| vec![]),
        ),
    ]
}

/// The value of the TXT record for a key authorization.
fn value(key_authorization: &str) -> String {
    cairn_testkit::acme::txt_value(key_authorization)
}

/// What is wrong with the outcome, if something is.
async fn judge(client: Client, scene: Arc<Scene>, row: Row) -> Result<(), String> {
    let name = format!("{}.public.test", row.label);
    let placed = client.new_order(&[&name]).await.expect(201).json();
    let authorization = placed["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.challenge(&authorization, row.challenge).await;
    (row.arrange)(&scene, &name, &challenge.key_authorization);
    client.post(&challenge.url, &json!({})).await.expect(200);
    let object = client.poll(&authorization, &["pending"]).await;
    let fail = |what: &str, object: &Value| Err(format!("{}: {what}: {object:#}", row.label));
    if row.kind.is_empty() {
        return match object["status"] == "valid" {
            true => Ok(()),
            false => fail("not valid", &object),
        };
    }
    let error = &object["challenges"][0]["error"];
    let status = if row.kind == "unauthorized" { 403 } else { 400 };
    if object["status"] != "invalid"
        || error["type"] != format!("urn:ietf:params:acme:error:{}", row.kind)
        || error["status"] != status
    {
        return fail("another outcome", &object);
    }
    let detail = error["detail"].as_str().unwrap_or_default();
    let fit = detail.starts_with(&format!("{name}: "))
        && detail.len() <= 1000
        && !detail.chars().any(char::is_control)
        && !detail.contains("<svg");
    if !fit {
        return fail("an unfit detail", error);
    }
    match row.says.iter().find(|part| !detail.contains(**part)) {
        Some(part) => fail(&format!("does not say {part:?}"), error),
        None => Ok(()),
    }
}

/// A server at port 443 that reads a hello, sends this, and then stays silent.
fn send(address: [u8; 4], octets: Vec<u8>) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::from(address), 443)).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(&octets).ok();
            held.push(stream);
        }
    });
}

/// A ServerHello of TLS 1.1.
fn server_hello_1_1() -> Vec<u8> {
    let hello = [&[3, 2], [7; 32].as_slice(), &[0, 0xc0, 0x2f, 0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let head = [0x16, 3, 2, 0, length + 4, 2, 0, 0, length];
    [head.as_slice(), &hello].concat()
}

/// A handshake message that says that it has 16 MiB of certificates, in records of 16 KiB.
fn certificates_of_16_mib() -> Vec<u8> {
    let mut records = [&[0x16, 3, 3, 0x40, 0], vec![0; 16 * 1024].as_slice()]
        .concat()
        .repeat(1024);
    records[5..9].copy_from_slice(&[0x0b, 0xff, 0xff, 0xfc]);
    records
}

#[test]
fn every_wrong_answer_to_the_two_challenges_is_told_with_its_evidence_and_its_remedy() {
    // 8555-8.4-2
    // 8737-3-6
    // 8737-3-7
    // T-CA-73
    // T-CA-74
    // T-CA-75
    // T-CA-77
    // T-CA-78
    // T-CA-79
    // T-CA-81
    // T-CA-85
    // the OID of the drafts.
    // `no-alpn` shows any certificate to any name, the right one too, and ignores the protocol.
    scene(test_path!(), |ca, dns| {
        send(PLAIN, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
        send(OLD, server_hello_1_1());
        send(SILENT, Vec::new());
        send(ENDLESS, certificates_of_16_mib());
        let scene = Arc::new(Scene {
            dns,
            tls: TlsServer::start((PUBLIC, 443)),
        });
        let wrong: Vec<String> = block_on(async {
            let client = ca.subscriber().await;
            let mut running = JoinSet::new();
            for row in tls_rows().into_iter().chain(texts::rows()) {
                running.spawn(judge(client.apart(&ca.root()), Arc::clone(&scene), row));
            }
            let outcomes = running.join_all().await;
            outcomes.into_iter().filter_map(Result::err).collect()
        });
        assert!(
            wrong.is_empty(),
            "{} rows:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert_eq!(
            scene.tls.octets_after(),
            0,
            "something was sent after a handshake"
        );
        // T-CA-79: what could be forged is asked again over TCP.
        for label in ["other-case", "no-question-once"] {
            let at = format!("_acme-challenge.{label}.public.test");
            assert!(
                scene.dns.log().iter().any(|q| q.name == at && q.tcp),
                "{at}"
            );
        }
    });
}
