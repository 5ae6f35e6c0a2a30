//! Debian's Pebble and a test CA that behaves as it: the same exchanges, and what either answers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use cairn_ca::dev::{Conduct, Ports, RetryAfter, Settings, TestCa};
use cairn_testkit::{
    acme::{Client, Response, csr},
    block_on, dns,
    http::Responder,
    netns::Namespace,
    pebble, test_path,
};
use serde_json::{Value, json};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
const TERMS: &str = "data:text/plain,Do%20what%20thou%20wilt";

/// What both say, by the exchange's name: status, media type, where Location and links lead, members, status, problem.
type Told = BTreeMap<&'static str, String>;

/// Where they differ, and why that is meant.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "directory",
        "2.10 has renewalInfo and says which CAA records name it",
    ),
    ("no terms", "RFC 8555 has userActionRequired for it"),
    (
        "account",
        "the key is not shown, the contacts are (8555-7.1.2)",
    ),
    ("account again", "as account"),
    ("account fetched", "as account"),
    ("order", "2.10 names the profile"),
    ("order pending", "as order"),
    ("order ready", "as order"),
    ("order valid", "as order"),
    ("finalize", "as order"),
    ("challenge answered", "2.10 has it in processing"),
    (
        "challenge of a valid one",
        "its state is no fault of the client's",
    ),
    ("no order", "a problem document says which"),
    ("no resource", "a problem document says so"),
    ("deactivated", "as account"),
    ("after it", "an account that is gone is 401 (8555-7.3.6-2)"),
];

/// The folder that a URL leads to: its path without ids.
fn folder(url: &str) -> String {
    let path = url.splitn(4, '/').nth(3).unwrap_or(url);
    match path.split_once('/') {
        Some((folder, rest)) if rest.contains("/page/") => format!("/{folder}/ID/page/N"),
        Some((folder, _)) => format!("/{folder}/ID"),
        None => format!("/{path}"),
    }
}

fn link(text: &str) -> String {
    let (url, relation) = text.split_once('>').unwrap();
    let url = url.trim_start_matches('<');
    let target = if url.starts_with("https:") {
        folder(url)
    } else {
        url.to_owned()
    };
    format!("{target}{relation}")
}

/// What an answer comes to.
fn shape(answer: &Response) -> String {
    let mut links: Vec<_> = answer.links().into_iter().map(link).collect();
    links.sort();
    let media = answer.header("content-type").unwrap_or("none").to_owned();
    let location = answer.header("location").map(folder);
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let members: BTreeMap<_, _> = body
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) if text.starts_with("https://") => (name, folder(text)),
            Value::Array(items) => {
                let texts = items.iter().filter_map(Value::as_str).map(folder);
                let mut all: Vec<_> = texts.collect();
                all.dedup();
                (name, all.join(" "))
            }
            Value::String(text) if name == "status" || name == "type" => (name, text.clone()),
            _ => (name, String::new()),
        })
        .collect();
    let wait = answer.header("retry-after").is_some();
    format!(
        "{} {media} {location:?} {links:?} {members:?} retry-after: {wait}",
        answer.status
    )
}

/// An order's whole way and some ways to fail.
async fn walk(directory: &str, root: &str, web: &Responder) -> Told {
    let mut told = Told::new();
    let mut note = |name, answer: &Response| {
        told.insert(name, shape(answer));
    };
    let mut client = Client::connect(directory, root).await.unjudged();
    let base = directory.strip_suffix("/dir").unwrap();
    let get = async |path: &str| client.plain("GET", &format!("{base}{path}")).await;
    note("directory", &get("/dir").await);
    note("nonce", &get("/nonce-plz").await);
    note("order by GET", &get("/order-plz").await);
    note("no resource", &get("/nowhere").await);
    let terms = json!({"termsOfServiceAgreed": false});
    note("no terms", &client.new_account_with(terms).await);
    note("account", &client.new_account().await);
    let kid = client.kid.clone().unwrap();
    let again = json!({"onlyReturnExisting": true});
    note("account again", &client.new_account_with(again).await);
    let account = client.fetch(&kid).await;
    note("account fetched", &account);
    let name = "a.debian.test";
    let placed = client.new_order(&[name]).await;
    note("order", &placed);
    let (url, order) = (placed.location(), placed.json());
    let authorization = crate::site::first(&order);
    note("authorization", &client.fetch(&authorization).await);
    let early = crate::site::finalize(&client, &order, name).await;
    note("finalize too early", &early);
    note("order pending", &client.fetch(&url).await);
    note("order by {}", &client.post(&url, &json!({})).await);
    let challenge = client.challenge(&authorization, "http-01").await;
    let odd = client.post(&challenge.url, &json!({"a": 1})).await;
    note("challenge answered with more", &odd);
    web.token(&challenge.token, &challenge.key_authorization);
    let answered = client.post(&challenge.url, &json!({})).await;
    note("challenge answered", &answered);
    client.poll(&url, &["pending"]).await;
    note("order ready", &client.fetch(&url).await);
    note("authorization valid", &client.fetch(&authorization).await);
    note(
        "challenge of a valid one",
        &client.post(&challenge.url, &json!({})).await,
    );
    let other = client.finalize(&order, &csr(&["b.debian.test"]).0).await;
    assert!(other.status >= 400);
    let done = crate::site::finalize(&client, &order, name).await;
    note("finalize", &done);
    client.poll(&url, &["processing"]).await;
    let valid = client.fetch(&url).await;
    note("order valid", &valid);
    let certificate = valid.json()["certificate"].as_str().unwrap().to_owned();
    let chain = client.fetch(&certificate).await;
    note("certificate", &chain);
    let leaf = cairn_testkit::issued::leaf(&chain.text()).to_vec();
    let payload = json!({"certificate": cairn_acme::base64url::encode(&leaf)});
    let revoke = client.url("revokeCert");
    note("revoked", &client.post(&revoke, &payload).await);
    note("revoked again", &client.post(&revoke, &payload).await);
    // Three of them fit a page.
    for _ in 0..3 {
        client.new_order(&[name]).await.expect(201);
    }
    let orders = account.json()["orders"].as_str().unwrap().to_owned();
    let page = client.fetch(&orders).await;
    assert_eq!(page.json()["orders"].as_array().unwrap().len(), 3);
    note("orders", &page);
    let none = format!("{base}/my-order/none");
    note("no order", &client.fetch(&none).await);
    let mut draft = client.draft(&url, &json!({})).await;
    draft.protect("nonce", "AAAA");
    note("bad nonce", &client.send(&draft).await);
    let gone = json!({"status": "deactivated"});
    note("deactivated", &client.post(&kid, &gone).await);
    note("after it", &client.fetch(&url).await);
    told
}

#[test]
fn as_pebble_a_test_ca_answers_as_debians_but_where_it_is_meant_to_differ() {
    let namespace = Namespace::new().host(IpAddr::from(LOCAL), pebble::NAME);
    namespace.run(test_path!(), || {
        let dns = dns::Server::start(SocketAddr::from((LOCAL, 53)));
        dns.add_wildcard("test", LOCAL);
        let web = Responder::start(SocketAddr::from((LOCAL, 80)));
        let folder = tempfile::tempdir().unwrap();
        let debians = pebble::Pebble::start(folder.path(), 0);
        let root = std::fs::read_to_string(debians.root_path()).unwrap();
        let want = block_on(walk(&debians.directory(), &root, &web));
        let got = block_on(async {
            let ca = start(&dns).await;
            walk(ca.directory(), ca.root_pem(), &web).await
        });
        let meant: Vec<_> = DIFFERENCES.iter().map(|(name, _)| *name).collect();
        let mut wrong: Vec<_> = meant
            .iter()
            .filter(|name| !want.contains_key(*name))
            .map(|name| format!("{name} is no exchange"))
            .collect();
        for (name, want) in &want {
            let got = &got[name];
            if (got == want) == meant.contains(name) {
                wrong.push(format!("{name}\n  {want}\n  {got}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

async fn start(dns: &dns::Server) -> TestCa {
    let at = |port| SocketAddr::from((LOCAL, port));
    let mut settings = Settings::local(at(14443), at(14480)).unwrap();
    settings.config.dns.servers = vec![dns.address()];
    settings.config.accounts.terms = Some(TERMS.to_owned());
    settings.conduct = Conduct {
        // As it is started: without dice, and 2.4 knows no Retry-After and asks for no User-Agent.
        validation_pause: 0,
        nonces_refused: 0,
        reuse: Some(0),
        wants_agent: false,
        strict: true,
        retry_after: Some(RetryAfter {
            authorization: None,
            order: None,
        }),
        ..Conduct::pebble(Ports { http: 80, tls: 443 })
    };
    TestCa::start(settings).await.unwrap()
}
