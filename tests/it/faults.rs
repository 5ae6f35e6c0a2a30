//! The catalogue of faults (docs/explained.md): each is set up for real, with real ports in a namespace, and what the
//! subscriber or the operator is told of it is read: the cause, the evidence with the real values, the remedy.
//! A text that could be written without looking does not count, so every row wants values that only its set-up has.

mod accounts;
mod caa;
mod connections;
mod dns;
mod operator;
mod orders;
mod tls;
mod web;

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::Arc,
};

use cairn_testkit::{
    acme::{Client, txt_value},
    block_on,
    ca::{RESOLVER, TestCa},
    dns::Server as Dns,
    full_queue::FullQueue,
    http::Responder,
    test_path,
    tls_alpn::TlsServer,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A web server at 80 and a TLS server at 443.
const PUBLIC: [u8; 4] = [198, 41, 0, 4];
/// Global, on this host, and nobody listens.
const DEAD: [u8; 4] = [198, 41, 0, 5];
/// Something that is no TLS listens at 443.
const PLAIN: [u8; 4] = [198, 41, 0, 6];
/// Two name servers of their own; the first host also has a web server at 80 and nothing at 443.
const NS1: [u8; 4] = [198, 41, 0, 7];
const NS2: [u8; 4] = [198, 41, 0, 8];
/// Whose packets to port 80 vanish.
const DROPS: [u8; 4] = [198, 41, 0, 9];
const PUBLIC6: &str = "2001:503:ba3e::2:30";
const DEAD6: &str = "2001:503:ba3e::2:31";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// All that a row may arrange.
struct Scene {
    /// What the CA asks.
    dns: Dns,
    ns1: Dns,
    ns2: Dns,
    web: Responder,
    web6: Responder,
    /// At [`NS1`].
    bare: Responder,
    tls: TlsServer,
}

/// One name with its challenge.
struct Case {
    /// Without `*.`.
    name: String,
    path: String,
    key_authorization: String,
    thumbprint: String,
    account: String,
}

type Arrange = Box<dyn Fn(&Scene, &Case) + Send + Sync>;

/// A fault, its set-up, and what is said of it; no type is success.
struct Row {
    /// Its number, and which of several set-ups.
    fault: &'static str,
    name: &'static str,
    challenge: &'static str,
    arrange: Arrange,
    kind: &'static str,
    says: &'static [&'static str],
}

fn row(
    fault: &'static str,
    name: &'static str,
    challenge: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    arrange: impl Fn(&Scene, &Case) + Send + Sync + 'static,
) -> Row {
    Row {
        fault,
        name,
        challenge,
        arrange: Box::new(arrange),
        kind,
        says,
    }
}

impl Scene {
    /// A zone with two name servers, known to the CA's resolver; their content is the row's.
    fn zone(&self, zone: &str) {
        self.dns.add_zone(zone, 7);
        for (server, dns, address) in [("ns1", &self.ns1, NS1), ("ns2", &self.ns2, NS2)] {
            let server = format!("{server}.{zone}");
            self.dns.add_ns(zone, &server).add_address(&server, address);
            dns.add_zone(zone, 7).add_txt(zone, "apex");
        }
    }
}

impl Case {
    /// The words of a row with the real values in place of `{name}` and so on.
    fn fill(&self, words: &str) -> String {
        let length = self.key_authorization.len();
        words
            .replace("{name}", &self.name)
            .replace("{length}", &length.to_string())
            .replace("{more}", &(length + 1).to_string())
            .replace("{dot}", &(length - self.thumbprint.len()).to_string())
            .replace("{7}", &self.thumbprint[..7])
            .replace("{8}", &self.thumbprint[..8])
            .replace("{url}", &format!("http://{}{}", self.name, self.path))
            .replace("{path}", &self.path)
            .replace("{value}", &txt_value(&self.key_authorization))
            .replace("{thumbprint}", &self.thumbprint)
            .replace("{account}", &self.account)
    }

    /// The zone's apex: the last two labels.
    fn zone(&self) -> &str {
        let at = self.name.rmatch_indices('.').nth(1);
        at.map_or(&self.name, |(at, _)| &self.name[at + 1..])
    }
}

/// What is wrong with what is told of a row, if something is.
async fn judge(client: Client, scene: Arc<Scene>, row: Row) -> Result<(), String> {
    let placed = client.new_order(&[row.name]).await.expect(201).json();
    let authorization = placed["authorizations"][0].as_str().unwrap().to_owned();
    let challenge = client.challenge(&authorization, row.challenge).await;
    let case = Case {
        name: row.name.trim_start_matches("*.").to_owned(),
        path: format!("/.well-known/acme-challenge/{}", challenge.token),
        key_authorization: challenge.key_authorization.clone(),
        thumbprint: client.key.thumbprint(),
        account: client.kid.clone().unwrap(),
    };
    (row.arrange)(&scene, &case);
    client.post(&challenge.url, &json!({})).await.expect(200);
    let object = client.poll(&authorization, &["pending"]).await;
    let fail = |what: &str| Err(format!("{}: {what}: {object:#}", row.fault));
    if row.kind.is_empty() {
        return match object["status"] == "valid" {
            true => Ok(()),
            false => fail("not valid"),
        };
    }
    let status = match row.kind {
        "unauthorized" | "caa" => 403,
        _ => 400,
    };
    let error = &object["challenges"][0]["error"];
    if object["status"] != "invalid"
        || error["type"] != format!("urn:ietf:params:acme:error:{}", row.kind)
        || error["status"] != status
    {
        return fail("another outcome");
    }
    let detail = error["detail"].as_str().unwrap_or_default();
    eprintln!("{}: {detail}", row.fault);
    let fit = detail.starts_with(&format!("{}: ", row.name))
        && detail.len() <= 1300
        && !detail.chars().any(char::is_control);
    if !fit {
        return fail("an unfit detail");
    }
    let missing: Vec<String> = row
        .says
        .iter()
        .map(|words| case.fill(words))
        .filter(|words| !detail.contains(words))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => fail(&format!("does not say {missing:#?}")),
    }
}

/// A CA in a world with all that the rows need; every row is judged, and every wrong one reported.
fn judge_all(path: &str, rows: impl FnOnce() -> Vec<Row>) {
    let mut namespace = TestCa::namespace();
    for address in [PUBLIC, DEAD, PLAIN, NS1, NS2, DROPS] {
        namespace = namespace.address(address);
    }
    for address in [PUBLIC6, DEAD6] {
        namespace = namespace.address(ip(address));
    }
    namespace.run(path, || {
        let dns = Dns::start(RESOLVER);
        dns.add_address("ca.test", [127, 0, 0, 1]);
        let scene = Arc::new(Scene {
            dns,
            ns1: Dns::start((NS1, 53)),
            ns2: Dns::start((NS2, 53)),
            web: Responder::start((PUBLIC, 80)),
            web6: Responder::start((ip(PUBLIC6), 80)),
            bare: Responder::start((NS1, 80)),
            tls: TlsServer::start((PUBLIC, 443)),
        });
        scene.ns1.authoritative(true);
        scene.ns2.authoritative(true);
        let plain = TcpListener::bind((Ipv4Addr::from(PLAIN), 443)).unwrap();
        std::thread::spawn(move || {
            for stream in plain.incoming() {
                stream
                    .unwrap()
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .ok();
            }
        });
        let _full = FullQueue::start((Ipv4Addr::from(DROPS), 80));
        let ca = TestCa::builder().start();
        let wrong: Vec<String> = block_on(async {
            let client = ca.subscriber().await;
            let mut running = JoinSet::new();
            for row in rows() {
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
    });
}

/// A problem document: its type, its status, and words that it says.
fn assert_says(fault: &str, problem: &Value, kind: &str, status: u16, says: &[&str]) {
    assert_eq!(
        (
            problem["type"].as_str().unwrap_or_default(),
            problem["status"].as_u64().unwrap_or_default()
        ),
        (
            format!("urn:ietf:params:acme:error:{kind}").as_str(),
            u64::from(status)
        ),
        "{fault}: {problem:#}"
    );
    let text = problem.to_string().replace("\\\"", "\"");
    for words in says {
        assert!(
            text.contains(words),
            "{fault}: {words:?} is not in {problem:#}"
        );
    }
}

#[test]
fn faults_of_the_dns_are_told_with_what_its_servers_say() {
    // F-01 F-02 F-03 F-04 F-05 F-06 F-08 F-11 F-12 F-15 F-16
    judge_all(test_path!(), dns::rows);
}

#[test]
fn faults_of_caa_are_told_with_the_record_and_the_line_that_would_help() {
    // F-20 F-21 F-22 F-23 F-24 F-25 F-26 F-27
    judge_all(test_path!(), caa::rows);
}

#[test]
fn faults_of_the_network_are_told_by_the_layer_that_broke() {
    // F-28 F-29 F-30 F-31 F-32 F-33 F-37
    judge_all(test_path!(), connections::rows);
}

#[test]
fn faults_of_a_web_server_are_told_with_what_it_answered() {
    // F-07 F-38 F-39 F-40 F-41 F-42 F-43 F-44 F-45 F-46 F-48 F-49 F-50 F-51 F-131 F-132
    judge_all(test_path!(), web::rows);
}

#[test]
fn faults_of_a_tls_server_are_told_with_what_it_showed() {
    // F-55 F-56 F-57 F-58
    judge_all(test_path!(), tls::rows);
}
