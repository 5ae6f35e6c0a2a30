//! Every row of the table of faults, fired at a client over TCP. A row without a case fails.

use std::{pin::Pin, sync::Arc};

use cairn_ca::dev::FAULTS;

use crate::{answers, conduct, connections, site::Site};

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Case = (&'static str, fn(Arc<Site>) -> Running);

macro_rules! cases {
    ($($name:literal => $case:path;)+) => {
        &[$(($name, |site| Box::pin(async move { $case(&site).await }))),+]
    };
}

const CASES: &[Case] = cases! {
    "bad-nonce" => answers::bad_nonce;
    "refuse" => answers::refuse;
    "delay" => answers::delay;
    "slow-signing" => conduct::slow_signing;
    "advance" => answers::advance;
    "end-authorization" => answers::end_authorization;
    "end-order" => answers::end_order;
    "status" => answers::status;
    "header" => answers::header;
    "no-header" => answers::no_header;
    "json" => answers::json;
    "no-json" => answers::no_json;
    "body" => answers::body;
    "pad" => answers::pad;
    "processing" => answers::processing;
    "chain" => answers::chain;
    "window" => answers::window;
    "cut" => connections::cut;
    "lost" => connections::lost;
    "down" => connections::down;
    "cut-after" => connections::cut_after;
    "drip" => connections::drip;
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_the_table_does_what_it_says_to_a_client_over_tcp() {
    let site = Arc::new(Site::start().await);
    let mut wrong = Vec::new();
    for row in FAULTS {
        let Some((name, case)) = CASES.iter().find(|(name, _)| *name == row.name) else {
            wrong.push(format!("{} has no case", row.name));
            continue;
        };
        if let Err(panic) = tokio::spawn(case(Arc::clone(&site))).await {
            wrong.push(format!("{name}: {panic}"));
        }
        site.ca.doors().clear();
        // Whatever struck, the next client is served.
        site.subscriber().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fault_in_force_a_test_ca_issues_from_memory_under_keys_that_say_test() {
    let site = Site::start().await;
    let client = site.subscriber().await;
    let got = client.obtain(&["a.plain.test"], &site.web).await;
    let leaf = cairn_x509::certificate::Certificate::parse(&got.leaf()).unwrap();
    assert_eq!(leaf.dns_names(), ["a.plain.test"]);
    let issuer = &site.node().issuance.issuers().first().certificate;
    leaf.verify_issued_by(issuer).unwrap();
    assert!(issuer.common_name().unwrap().contains("TEST"));
    // Nothing of the CA lies in a file but what its listener and its operator's door need.
    assert!(format!("{:?}", site.node().store).contains("Memory"));
    site.ca.shutdown().await;
}
