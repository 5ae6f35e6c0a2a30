//! The catalogue of faults (docs/explained.md): each is set up for real, with real ports in a namespace, and what the
//! subscriber or the operator is told of it is read: the cause, the evidence with the real values, the remedy.
//! A text that could be written without looking does not count, so every row wants values that only its set-up has.

mod accounts;
mod caa;
mod connections;
mod dns;
mod operator;
mod orders;
mod servers;
mod tls;
mod web;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

use cairn_testkit::{
    block_on,
    ca::{RESOLVER, TestCa},
    dns::Server as Dns,
    full_queue::FullQueue,
    http::Responder,
    process::Process,
    test_path,
    tls_alpn::TlsServer,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::told::{self, Case, judge};

/// A web server at 80 and a TLS server at 443.
const PUBLIC: [u8; 4] = [198, 41, 0, 4];
/// Global, on this host, and nobody listens.
const DEAD: [u8; 4] = [198, 41, 0, 5];
/// Two name servers of their own; the first host may have a web server at 80, and has nothing at 443.
const NS1: [u8; 4] = [198, 41, 0, 7];
const NS2: [u8; 4] = [198, 41, 0, 8];
/// Whose packets to port 80 vanish.
const DROPS: [u8; 4] = [198, 41, 0, 9];
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
    tls: TlsServer,
    /// TLS at 80, of [`servers::RUSTLS`].
    _tls80: TlsServer,
    /// What the real servers read.
    folder: TempDir,
}

type Row = told::Row<Scene>;

fn row(
    fault: &'static str,
    name: &'static str,
    challenge: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    arrange: impl Fn(&Scene, &Case) + Send + Sync + 'static,
) -> Row {
    Row {
        label: fault.to_owned(),
        name: name.to_owned(),
        challenge,
        arrange: Box::new(arrange),
        kind,
        says: says.to_vec(),
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

/// A CA in a world with all that the rows need; every row is judged, and every wrong one reported.
fn judge_all(
    path: &str,
    rows: impl FnOnce() -> Vec<Row>,
    servers: impl FnOnce(&Path) -> Vec<Process>,
) {
    let mut namespace = TestCa::namespace();
    for address in [PUBLIC, DEAD, NS1, NS2, DROPS]
        .into_iter()
        .chain(servers::ALL)
    {
        namespace = namespace.address(address);
    }
    for address in [DEAD6, servers::NGINX6] {
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
            tls: TlsServer::start((PUBLIC, 443)),
            _tls80: TlsServer::start((servers::RUSTLS, 80)),
            folder: tempfile::tempdir().unwrap(),
        });
        let _servers = servers(scene.folder.path());
        scene.ns1.authoritative(true);
        scene.ns2.authoritative(true);
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
    judge_all(test_path!(), dns::rows, |_| Vec::new());
}

#[test]
fn faults_of_caa_are_told_with_the_record_and_the_line_that_would_help() {
    // F-20 F-21 F-22 F-23 F-24 F-25 F-26 F-27
    judge_all(test_path!(), caa::rows, |_| Vec::new());
}

#[test]
fn faults_of_the_network_are_told_by_the_layer_that_broke() {
    // F-28 F-29 F-30 F-31 F-32 F-33 F-37
    judge_all(test_path!(), connections::rows, servers::of_the_network);
}

#[test]
fn faults_of_a_web_server_are_told_with_what_it_answered() {
    // T-CA-67
    // F-07 F-38 F-39 F-40 F-41 F-42 F-43 F-44 F-45 F-46 F-48 F-49 F-50 F-51 F-131 F-132
    judge_all(test_path!(), web::rows, servers::of_the_web);
}

#[test]
fn faults_of_a_tls_server_are_told_with_what_it_showed() {
    // F-55 F-56 F-57 F-58
    judge_all(test_path!(), tls::rows, servers::of_tls);
}
