//! What a server under load and at its end owes to whom: places to those who use them, ends to what was begun.

use std::{path::Path, sync::Arc, time::Duration};

use cairn_ca::{
    config::{LogLevel, Span},
    frontend::{Bounds, listen_within},
    issuance::signer::{Signable, Signer, Signing},
    model::CertificateState,
    store::Filter,
};
use cairn_testkit::{
    acme::{Client, csr},
    http::Reply,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    time::timeout,
};

use crate::{
    listener::connect,
    steps::{challenge, ready, until},
    world::World,
};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_its_answers_loses_its_connection_and_another_gets_the_place() {
    // T-CA-113
    let world = World::start().await;
    let (_stop, stopped) = watch::channel(false);
    let bounds = Bounds {
        connections: 1,
        per_network: 2,
        write: Duration::from_millis(300),
        ..Bounds::default()
    };
    let (address, _) = listen_within(
        Arc::clone(world.ca()),
        "127.0.0.1:0".parse().unwrap(),
        world.certificate(),
        stopped,
        bounds,
    )
    .unwrap();
    let mut deaf = connect(address, &world.root()).await.unwrap();
    let request = b"GET /directory HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let many = request.repeat(100);
    // The answers fill the buffers between the two; then the server takes no more requests, and ends the connection.
    let ended = timeout(PATIENCE, async {
        while deaf.write_all(&many).await.is_ok() && deaf.flush().await.is_ok() {}
    });
    assert!(ended.await.is_ok(), "the connection is kept for ever");
    let next = timeout(PATIENCE, async {
        let mut next = connect(address, &world.root()).await.unwrap();
        next.write_all(request).await.unwrap();
        let mut start = [0; 12];
        next.read_exact(&mut start).await.unwrap();
        start
    });
    assert_eq!(&next.await.unwrap(), b"HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_at_its_bound_still_finds_the_order_that_it_has() {
    // T-CA-115 8555-7.4-6
    let world = World::with(|config| config.limits.pending_orders = 1).await;
    let client = world.subscriber().await;
    let first = client.new_order(&["a.found.test"]).await.expect(201);
    let again = client.new_order(&["a.found.test"]).await.expect(201);
    assert_eq!(again.location(), first.location());
    let refused = client.new_order(&["b.found.test"]).await.expect(429);
    assert_eq!(refused.problem(), "rateLimited");
    assert!(refused.header("retry-after").is_some());
}

/// A signer that takes its time.
struct Slow(Arc<dyn Signer>);

impl Signer for Slow {
    fn sign(&self, bytes: Signable, deadline: Duration) -> Signing<'_> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            self.0.sign(bytes, deadline).await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_waits_for_signatures_under_way() {
    // T-CA-50
    let world = World::with_parts(
        |config| config.limits.hold = Span::from_millis(0),
        |parts| parts.issuer.signer = Arc::new(Slow(Arc::clone(&parts.issuer.signer))),
    )
    .await;
    let client = world.subscriber().await;
    let names = ["late.serving.test"];
    let (url, order) = ready(&world, &client, &names).await;
    let answer = client.finalize(&order, &csr(&names).0).await.expect(200);
    assert_eq!(answer.json()["status"], "processing");
    let world = world.restarted(|_| {}).await;
    let all = Filter {
        limit: 10,
        ..Filter::default()
    };
    let page = world.ca().store.list_certificates(all).await.unwrap();
    let states: Vec<_> = page
        .items
        .iter()
        .filter(|c| c.names.iter().any(|name| name.to_string() == names[0]))
        .map(|c| c.state)
        .collect();
    assert_eq!(states, [CertificateState::Issued]);
    // The same account, over a connection to the new process.
    let client = client.apart(&world.root());
    assert_eq!(
        client.fetch(&url).await.expect(200).json()["status"],
        "valid"
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_takes_new_files_of_the_listener_and_keeps_the_old_when_they_are_wrong() {
    let write = |dir: &Path| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("tls.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        made.cert.pem()
    };
    let mut first = String::new();
    let world = World::with_parts(
        |config| {
            config.tls.certificate = Some("tls.pem".into());
            config.tls.key = Some("tls.key".into());
        },
        |parts| first = write(&parts.dir),
    )
    .await;
    let serves = async |root: &str| connect(world.address(), root).await.is_ok();
    assert!(serves(&first).await);
    let reload = async || {
        let snapshot = world.ca().snapshot.load_full();
        let (config, blocked) = (snapshot.config.clone(), snapshot.blocked.clone());
        world.node.reload(config, blocked).await
    };
    let second = write(&world.dir());
    reload().await.unwrap();
    assert!(serves(&second).await && !serves(&first).await);
    // A certificate without its key.
    let key = std::fs::read(world.dir().join("tls.key")).unwrap();
    let third = write(&world.dir());
    std::fs::write(world.dir().join("tls.key"), key).unwrap();
    let fault = reload().await.unwrap_err();
    assert!(fault.contains("listener's certificate"), "{fault}");
    std::fs::remove_file(world.dir().join("tls.pem")).unwrap();
    let fault = reload().await.unwrap_err();
    assert!(fault.contains("tls.pem"), "{fault}");
    assert!(serves(&second).await && !serves(&third).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_says_what_only_a_restart_changes() {
    let world = World::start().await;
    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.log.level = LogLevel::Debug;
    let blocked = snapshot.blocked.clone();
    let fault = world.node.reload(config, blocked).await.unwrap_err();
    assert!(fault.contains("a change of log "), "{fault}");
}

/// Places an order and makes its host hang when it is asked; returns the challenge's URL.
async fn hanging(world: &World, client: &Client, name: &str) -> String {
    let placed = client.new_order(&[name]).await.expect(201).json();
    let authorization = placed["authorizations"][0].as_str().unwrap();
    let (url, token) = challenge(client, authorization).await;
    let path = format!("/.well-known/acme-challenge/{token}");
    world.web.on_host(name, &path, Reply::Hang);
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_hosts_hang_makes_no_other_account_wait() {
    // T-CA-116
    let world = World::with_parts(
        |config| config.limits.hold = Span::from_secs(1),
        |parts| parts.timing.validations = 4,
    )
    .await;
    let slow = world.subscriber().await;
    let mut urls = Vec::new();
    for n in 0..6 {
        urls.push(hanging(&world, &slow, &format!("n{n}.hangs.test")).await);
    }
    for url in &urls {
        let answer = slow.post(url, &json!({})).await.expect(200);
        // Also of those that wait for a place: what is answered is in the store.
        assert_eq!(answer.json()["status"], "processing", "{}", answer.json());
    }
    until("the account's place is taken", async || {
        world.web.open() > 0
    })
    .await;
    let other = world.subscriber().await;
    let (url, order) = ready(&world, &other, &["quick.test"]).await;
    assert_eq!(order["status"], "ready", "{url}");
    // The one place of the account, this order's, and perhaps a connection whose end was not noticed yet.
    let most = world.web.most_open();
    assert!(most <= 3, "{most} hosts were asked at once");
}
