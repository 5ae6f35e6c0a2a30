//! How a test CA goes about its work: what it waits for, what it takes over, what it asks the DNS, and what goes by chance.

use std::time::{Duration, Instant};

use cairn_ca::{
    dev::{Conduct, Layout, RetryAfter},
    store::Filter,
};
use cairn_testkit::{
    acme::{Client, csr},
    free_port,
    http::{CHALLENGES, Reply},
};
use cairn_x509::{certificate::Certificate, csr::Csr};
use serde_json::Value;

use crate::site::{Site, finalize, first};

/// Answers nobody waits for.
fn unheld() -> Conduct {
    Conduct {
        holds: false,
        ..Conduct::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_shown_so_and_says_when_to_look_again() {
    let site = Site::behaving(Conduct {
        finalize_processing: true,
        retry_after: Some(RetryAfter {
            authorization: Some(3),
            order: Some(5),
        }),
        ..unheld()
    })
    .await;
    let client = site.subscriber().await;
    let placed = client.new_order(&["a.pace.test"]).await.expect(201);
    let authorization = first(&placed.json());
    let challenge = client.challenge(&authorization, "http-01").await;
    // The validation lasts while it is looked at.
    let reply = Reply::Body(challenge.key_authorization.clone().into_bytes());
    let late = Reply::Delay(Duration::from_secs(3), Box::new(reply));
    site.web
        .on(&format!("{CHALLENGES}{}", challenge.token), late);
    let answer = client.post(&challenge.url, &serde_json::json!({})).await;
    let answer = answer.expect(200);
    assert_eq!(answer.json()["status"], "processing");
    assert_eq!(answer.header("retry-after"), None);
    let seen = client.fetch(&authorization).await.expect(200);
    assert_eq!(seen.json()["status"], "pending");
    assert!(
        seen.header("retry-after")
            .is_some_and(|wait| wait == "3" || wait.ends_with("GMT"))
    );
    let order = client.poll(&placed.location(), &["pending"]).await;
    assert_eq!(order["status"], "ready");
    let valid = client.fetch(&authorization).await.expect(200);
    assert_eq!(valid.header("retry-after"), None);
    let done = finalize(&client, &order, "a.pace.test").await.expect(200);
    assert_eq!(done.json()["status"], "processing");
    assert!(done.json()["certificate"].is_null());
    assert!(
        done.header("retry-after")
            .is_some_and(|wait| wait == "5" || wait.ends_with("GMT"))
    );
    let order = client.poll(&placed.location(), &["processing"]).await;
    assert_eq!(order["status"], "valid");
    client
        .fetch(order["certificate"].as_str().unwrap())
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_that_could_be_tried_again_is_tried_once() {
    let nobody = free_port().port();
    let site = Site::tuned(|settings, mut ports| {
        ports.http = nobody;
        settings.conduct = Conduct {
            open: Some(ports),
            retries: false,
            ..Conduct::default()
        };
    })
    .await;
    let client = site.subscriber().await;
    let placed = client.new_order(&["a.once.test"]).await.expect(201);
    client.answer(&first(&placed.json()), &site.web).await;
    let ended = client.poll(&first(&placed.json()), &["pending"]).await;
    assert_eq!(ended["status"], "invalid", "{ended}");
    let counters = site.node().validation.validator().counters();
    let attempts = counters.failed.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(attempts, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_waits_whole_seconds_drawn_from_the_seed() {
    // Of the first draws below three, one is two.
    let site = Site::tuned(|settings, _| {
        settings.conduct.validation_pause = 3;
    })
    .await;
    let client = site.subscriber().await;
    let mut longest = Duration::ZERO;
    for n in 0..8 {
        let began = Instant::now();
        site.ready(&client, &format!("n{n}.pause.test")).await;
        longest = longest.max(began.elapsed());
        if longest >= Duration::from_secs(2) {
            return;
        }
    }
    panic!("no validation waited: {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_always_believed_needs_neither_dns_nor_server() {
    let site = Site::behaving(Conduct {
        always_valid: true,
        ..Conduct::default()
    })
    .await;
    site.dns.add_caa("a.believed.test", 0, "issue", ";");
    let client = site.subscriber().await;
    let placed = client
        .new_order(&["a.believed.test", "*.a.believed.test"])
        .await
        .expect(201);
    for authorization in placed.json()["authorizations"].as_array().unwrap() {
        let challenge = client
            .challenge(authorization.as_str().unwrap(), "dns-01")
            .await;
        let answer = client.post(&challenge.url, &serde_json::json!({})).await;
        answer.expect(200);
    }
    let order = client.poll(&placed.location(), &["pending"]).await;
    let names = ["a.believed.test", "*.a.believed.test"];
    client.collect(&placed.location(), order, &names).await;
    assert!(site.dns.log().is_empty(), "{:?}", site.dns.log());
    assert!(site.web.log().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caa_records_are_looked_up_and_obeyed_unless_the_conduct_says_not() {
    for caa in [true, false] {
        let site = Site::behaving(Conduct {
            caa,
            ..Conduct::default()
        })
        .await;
        site.dns
            .add_caa("a.caa.test", 0, "issue", "other.test")
            .add_address("a.caa.test", std::net::Ipv4Addr::LOCALHOST);
        let client = site.subscriber().await;
        let placed = client.new_order(&["a.caa.test"]).await.expect(201);
        client.answer(&first(&placed.json()), &site.web).await;
        let order = client.poll(&placed.location(), &["pending"]).await;
        if caa {
            assert_eq!(order["status"], "invalid", "{order}");
            continue;
        }
        client
            .collect(&placed.location(), order, &["a.caa.test"])
            .await;
        let asked = site.dns.log();
        let caa = asked.iter().any(|q| format!("{q:?}").contains("CAA"));
        assert!(!caa && !asked.is_empty(), "{asked:?}");
    }
}

async fn arrangements(seed: u32) -> Vec<Vec<String>> {
    let site = Site::tuned(|settings, _| {
        settings.scenario.seed = seed;
        settings.conduct.shuffles = true;
    })
    .await;
    let client = site.subscriber().await;
    let names = ["a", "b", "c", "d", "e"].map(|n| format!("{n}.shuffled.test"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let placed = client.new_order(&names).await.expect(201);
    let mut seen = Vec::new();
    let (mut authorizations, mut kinds) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let order = client.fetch(&placed.location()).await.expect(200).json();
        let identifiers = order["identifiers"].as_array().unwrap();
        let values = identifiers.iter().map(|i| i["value"].to_string());
        seen.push(values.collect());
        authorizations.push(order["authorizations"].clone());
        let first = client.fetch(&first(&placed.json())).await.json();
        let all = first["challenges"].as_array().unwrap();
        kinds.push(all.iter().map(|c| c["type"].clone()).collect::<Vec<_>>());
    }
    for lists in [
        &authorizations,
        &kinds.into_iter().map(Value::from).collect(),
    ] {
        assert!(lists.iter().any(|list| *list != lists[0]), "{lists:?}");
        let sorted = |list: &Value| {
            let mut items: Vec<_> = list
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            items.sort();
            items
        };
        assert!(lists.iter().all(|list| sorted(list) == sorted(&lists[0])));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_stand_in_another_order_in_each_answer_and_the_same_by_the_same_seed() {
    let (one, again) = (arrangements(7).await, arrangements(7).await);
    assert_eq!(one, again);
    assert!(one.iter().any(|list| *list != one[0]), "{one:?}");
}

/// How many of these orders began with an authorization that was valid, and how many orders there were.
async fn taken_over(reuse: Option<u8>, orders: usize) -> (usize, usize) {
    let site = Site::tuned(|settings, _| settings.conduct.reuse = reuse).await;
    let client = site.subscriber().await;
    client.obtain(&["a.reuse.test"], &site.web).await;
    let mut taken = 0;
    let mut urls = std::collections::BTreeSet::new();
    for _ in 0..orders {
        let placed = client.new_order(&["a.reuse.test"]).await.expect(201);
        taken += usize::from(placed.json()["status"] == "ready");
        urls.insert(placed.location());
    }
    (taken, urls.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valid_authorizations_are_taken_over_as_often_as_it_is_said() {
    assert_eq!(taken_over(Some(0), 12).await, (0, 12));
    assert_eq!(taken_over(Some(100), 12).await, (12, 12));
    let (taken, orders) = taken_over(Some(50), 24).await;
    assert!((4..=20).contains(&taken) && orders == 24, "{taken}");
    // As a CA in earnest: the same order, and its valid authorization.
    assert_eq!(taken_over(None, 12).await, (12, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_orders_has_pages_of_the_size_that_is_said() {
    let site = Site::behaving(Conduct {
        layout: Layout::Pebble,
        orders_per_page: Some(3),
        ..Conduct::default()
    })
    .await;
    let mut client = site.stranger().await;
    let account = client.new_account().await.expect(201).json();
    let mut placed = Vec::new();
    for n in 0..7 {
        let order = client.new_order(&[&format!("n{n}.pages.test")]).await;
        placed.push(order.expect(201).location());
    }
    let mut url = account["orders"].as_str().unwrap().to_owned();
    let (mut listed, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let page = client.fetch(&url).await.expect(200);
        let orders = page.json()["orders"].as_array().unwrap().clone();
        sizes.push(orders.len());
        listed.extend(orders.iter().map(|o| o.as_str().unwrap().to_owned()));
        let next = page.links().into_iter().find_map(|link| {
            let next = link.strip_suffix(">;rel=\"next\"")?;
            next.strip_prefix('<').map(str::to_owned)
        });
        match next {
            Some(next) => url = next,
            None => break,
        }
        assert!(url.contains("/page/"), "{url}");
    }
    assert_eq!(sizes, [3, 3, 1]);
    listed.sort();
    placed.sort();
    assert_eq!(listed, placed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_dns_server_names_of_the_hosts_file_are_found() {
    let site = Site::tuned(|settings, ports| {
        settings.config.dns.servers = Vec::new();
        settings.conduct = Conduct {
            open: Some(ports),
            caa: false,
            ..Conduct::default()
        };
    })
    .await;
    let client = site.subscriber().await;
    // The one is in every hosts file, the other in none.
    client
        .obtain(&["localhost", "below.localhost"], &site.web)
        .await;
    let hosts: Vec<_> = site.web.log().into_iter().map(|r| r.host).collect();
    assert!(hosts.iter().any(|host| host.starts_with("localhost")));
    assert!(site.dns.log().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_dns_server_that_alone_is_asked_for_localhost_too() {
    let site = Site::tuned(|settings, ports| {
        settings.conduct.open = Some(ports);
    })
    .await;
    site.dns
        .add_address("localhost", std::net::Ipv4Addr::LOCALHOST);
    let client = site.subscriber().await;
    client.obtain(&["localhost"], &site.web).await;
    let asked = site.dns.log();
    assert!(asked.iter().any(|q| format!("{q:?}").contains("localhost")));
}

/// A CSR that has its name as common name alone.
fn common_name_alone(name: &str) -> Vec<u8> {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(rcgen::DnType::CommonName, name);
    parameters.distinguished_name = subject;
    let csr = parameters.serialize_request(&key).unwrap();
    csr.der().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_csr_may_have_the_orders_name_as_common_name_alone() {
    let site = Site::start().await;
    let client = site.subscriber().await;
    let (url, order) = site.ready(&client, "a.common.test").await;
    let refused = client
        .finalize(&order, &common_name_alone("b.common.test"))
        .await
        .expect(400);
    assert_eq!(refused.problem(), "badCSR");
    let csr = common_name_alone("a.common.test");
    assert!(Csr::parse(&csr).unwrap().dns_names().is_empty());
    client.finalize(&order, &csr).await.expect(200);
    let order = client.poll(&url, &["processing"]).await;
    let chain = client.fetch(order["certificate"].as_str().unwrap()).await;
    let leaf = cairn_testkit::issued::leaf(&chain.text()).to_vec();
    let names = Certificate::parse(&leaf).unwrap();
    assert_eq!(names.dns_names(), ["a.common.test"]);
}

async fn under_way(client: &Client, order: &Value, name: &str) -> String {
    let done = client.finalize(order, &csr(&[name]).0).await.expect(200);
    done.json()["status"].as_str().unwrap().to_owned()
}

/// Fired from the table.
pub(crate) async fn slow_signing(site: &Site) {
    let client = site.subscriber().await;
    let fault = site.fault("slow-signing=1s once");
    let (url, order) = site.ready(&client, "a.slow.test").await;
    let began = Instant::now();
    under_way(&client, &order, "a.slow.test").await;
    let order = client.poll(&url, &["processing"]).await;
    assert_eq!(order["status"], "valid");
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(site.counts(fault), (1, 1));
    // One that struck a request that came to no signature does not strike the next.
    let fault = site.fault("slow-signing=45s once");
    let (url, order) = site.ready(&client, "b.slow.test").await;
    client.finalize(&order, b"none").await.expect(400);
    assert_eq!(site.counts(fault), (1, 1));
    under_way(&client, &order, "b.slow.test").await;
    client.poll(&url, &["processing"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_certificate_is_signed_slowly_is_in_processing_for_that_time() {
    let site = Site::behaving(unheld()).await;
    let client = site.subscriber().await;
    site.fault("slow-signing=3s");
    let (url, order) = site.ready(&client, "a.slow.test").await;
    let began = Instant::now();
    let status = under_way(&client, &order, "a.slow.test").await;
    assert_eq!(status, "processing");
    let order = client.poll(&url, &["processing"]).await;
    assert_eq!(order["status"], "valid");
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_that_passes_while_a_certificate_is_signed_costs_no_second_serial() {
    let site = Site::behaving(unheld()).await;
    let client = site.subscriber().await;
    site.fault("slow-signing=2s");
    let (url, order) = site.ready(&client, "a.leap.test").await;
    assert_eq!(
        under_way(&client, &order, "a.leap.test").await,
        "processing"
    );
    site.ca.doors().clock().advance(Duration::from_secs(600));
    let order = client.poll(&url, &["processing"]).await;
    assert_eq!(order["status"], "valid");
    let all = Filter {
        limit: 10,
        ..Filter::default()
    };
    let listed = site.node().store.list_certificates(all).await.unwrap();
    assert_eq!(listed.items.len(), 1, "{listed:?}");
}
