//! The subscribers' socket against clients that mean harm: framing that two parties could read differently, floods,
//! and clients that never finish.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use cairn_ca::{
    config::Span,
    frontend::{Bounds, listen_within},
    node::Ca,
};
use cairn_testkit::http::{CHALLENGES, Reply};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    steps::{challenge, list, until},
    world::World,
};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn connect(
    address: SocketAddr,
    root: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
}

/// What comes back until the server closes; nothing if it does not in time.
async fn exchange(address: SocketAddr, root: &str, request: &[u8]) -> Option<String> {
    let mut stream = connect(address, root).await.unwrap();
    // The server may close before it has taken everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    // The end may be a reset, after the answer.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_requests_get_400_and_the_end_of_the_connection() {
    // T-CA-21
    let world = World::start().await;
    let smuggled = "GET /acme/new-nonce HTTP/1.1\r\nHost: x\r\n\r\n";
    let head =
        "POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\n";
    let cases = [
        (
            "CL and TE",
            format!(
                "{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            "TE and CL",
            format!(
                "{head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            "two CL",
            format!("{head}Content-Length: 2\r\nContent-Length: 0\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "two equal CL",
            format!("{head}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "CL list",
            format!("{head}Content-Length: 2, 2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "signed CL",
            format!("{head}Content-Length: +2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "fold",
            format!("{head}X: a\r\n b\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "folded TE",
            format!("{head}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "bare LF",
            format!(
                "{}Content-Length: 2\n\n{{}}{smuggled}",
                head.replace("\r\n", "\n")
            ),
        ),
        (
            "one bare LF",
            format!("{head}X: a\nContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "bare CR",
            format!("{head}X: a\rContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "other coding",
            format!("{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "space before colon",
            format!("{head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "NUL",
            format!("{head}X: \0\r\nContent-Length: 2\r\n\r\n{{}}{smuggled}"),
        ),
        ("no version", format!("GET /directory\r\n\r\n{smuggled}")),
        (
            "HTTP/2 preface",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, request) in cases {
        let answer = exchange(world.address(), &world.root(), request.as_bytes()).await;
        let statuses = answer
            .as_deref()
            .unwrap_or_default()
            .matches("HTTP/1.1 ")
            .count();
        let fine = answer.as_deref().is_some_and(|answer| {
            answer.is_empty() && name == "HTTP/2 preface"
                || answer.starts_with("HTTP/1.1 400 ") && statuses == 1
        });
        if !fine {
            wrong.push(format!("{name}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_bodies_are_taken_within_bounds_and_end_the_connection() {
    // T-CA-21 8555-6.2-13
    let world = World::start().await;
    let head = "POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let smuggled = "GET /acme/new-nonce HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = exchange(
        world.address(),
        &world.root(),
        format!("{head}2\r\n{{}}\r\n0\r\n\r\n{smuggled}").as_bytes(),
    )
    .await
    .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("malformed"),
        "{answer}"
    );
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");

    let large = format!(
        "{head}{}0\r\n\r\n",
        format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(17)
    );
    let answer = exchange(world.address(), &world.root(), large.as_bytes())
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let extension = format!(
        "{head}2;{}\r\n{{}}\r\n0\r\n\r\n{smuggled}",
        "x".repeat(64 * 1024)
    );
    let answer = exchange(world.address(), &world.root(), extension.as_bytes())
        .await
        .unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_large_are_refused() {
    // T-CA-113
    let world = World::start().await;
    for (name, lines) in [
        ("many", "X: a\r\n".repeat(100)),
        ("long", format!("X: {}\r\n", "a".repeat(100_000))),
    ] {
        let request = format!("GET /directory HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        let answer = exchange(world.address(), &world.root(), request.as_bytes())
            .await
            .unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
            "{name}: {answer}"
        );
    }
}

/// A second listener of the same node, whose bounds nobody meets but for those that `change` shortens.
fn impatient(
    ca: &Arc<Ca>,
    stop: &watch::Sender<bool>,
    own: Arc<dyn rustls::server::ResolvesServerCert>,
    change: impl FnOnce(&mut Bounds),
) -> SocketAddr {
    let long = Duration::from_secs(60);
    let mut bounds = Bounds {
        connections: 64,
        per_network: 64,
        handshake: long,
        head: long,
        body: long,
        write: long,
        drain: long,
    };
    change(&mut bounds);
    listen_within(
        Arc::clone(ca),
        "127.0.0.1:0".parse().unwrap(),
        own,
        stop.subscribe(),
        bounds,
    )
    .unwrap()
    .0
}

/// Whether the server ends the connection by itself.
async fn is_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_finish_are_let_go_and_leave_nothing() {
    // T-CA-113
    let world = World::start().await;
    let (stop, _) = watch::channel(false);
    let root = world.root();
    let short = Duration::from_millis(300);
    let listener = |change: fn(&mut Bounds, Duration)| {
        impatient(world.ca(), &stop, world.certificate(), |bounds| {
            change(bounds, short);
        })
    };

    let address = listener(|bounds, short| bounds.handshake = short);
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(is_closed(&mut silent).await, "no handshake");
    let address = listener(|bounds, short| bounds.head = short);
    let mut idle = connect(address, &root).await.unwrap();
    assert!(is_closed(&mut idle).await, "no request");
    let mut slow = connect(address, &root).await.unwrap();
    let began = Instant::now();
    while slow.write_all(b"G").await.is_ok() && slow.flush().await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "a head without end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let address = listener(|bounds, short| bounds.body = short);
    let mut body = connect(address, &root).await.unwrap();
    body.write_all(b"POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, body.read_to_end(&mut answer))
        .await
        .expect("a body without end");
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );

    // More connections of one address than it may have are closed at once; those before still serve.
    let address = listener(|bounds, _| bounds.per_network = 4);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(connect(address, &root).await.unwrap());
    }
    assert!(connect(address, &root).await.is_err());
    drop(held);
    let end = Instant::now() + PATIENCE;
    while connect(address, &root).await.is_err() {
        assert!(Instant::now() < end, "places were not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send(true).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_listener_finishes_what_it_began() {
    let world = World::with(|config| config.limits.hold = Span::from_secs(30)).await;
    let client = world.subscriber().await;
    let placed = client
        .new_order(&["stop.listener.test"])
        .await
        .expect(201)
        .json();
    let (url, token) = challenge(&client, &list(&placed["authorizations"])[0]).await;
    let target = format!("{CHALLENGES}{token}");
    let body = Reply::Body(client.key.authorization(&token).into_bytes());
    let late = Reply::Delay(Duration::from_secs(1), Box::new(body));
    world.web.on_host("stop.listener.test", &target, late);
    let held = tokio::spawn(async move { client.post(&url, &json!({})).await });
    until("the responder is asked", async || {
        world.web.log().iter().any(|r| r.target == target)
    })
    .await;
    let (address, root) = (world.address(), world.root());
    world.shutdown().await;
    let answer = held.await.unwrap().expect(200).json();
    assert_eq!(answer["status"], "valid", "it was cut off: {answer}");
    assert!(connect(address, &root).await.is_err());
}
