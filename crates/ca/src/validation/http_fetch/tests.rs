//! One exchange over a pipe in memory, with servers that do as they like.

use std::time::Duration;

use cairn_acme::identifier::DnsName;
use tokio::io::duplex;

use super::super::host::Host;
use super::super::http_answer::{BODY_MAX, HEAD_MAX};
use super::*;

/// For exchanges that end before it.
const DEADLINE: Duration = Duration::from_secs(10);

/// Exchanges with a server that sends parts, then ends or holds the connection.
async fn with(parts: Vec<Vec<u8>>, hold: bool) -> Result<Fetched, HttpFault> {
    paced(parts, hold, Duration::ZERO, DEADLINE).await
}

async fn paced(
    parts: Vec<Vec<u8>>,
    hold: bool,
    pause: Duration,
    patience: Duration,
) -> Result<Fetched, HttpFault> {
    let (mut ours, mut theirs) = duplex(1 << 16);
    let server = tokio::spawn(async move {
        let mut request = vec![0; 4096];
        let _ = theirs.read(&mut request).await;
        for part in parts {
            if theirs.write_all(&part).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        if hold {
            std::future::pending::<()>().await;
        }
    });
    let deadline = tokio::time::Instant::now() + patience;
    let mut received = 0;
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let result = tokio::time::timeout_at(deadline, exchange(&mut ours, request, &mut received));
    let result = result.await.unwrap_or(Err(HttpFault::Timeout));
    server.abort();
    result
}

async fn with_text(text: &str, hold: bool) -> Result<Fetched, HttpFault> {
    with(vec![text.as_bytes().to_vec()], hold).await
}

#[test]
fn the_request_asks_for_plain_octets_and_carries_nothing_else() {
    // 8555-8.3-3
    // T-CA-67
    // T-CA-68
    let target = Target::first(
        &Host::Name(DnsName::parse("a.example").unwrap()),
        "tok_en-1",
    );
    let text = String::from_utf8(request(&target)).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "GET /.well-known/acme-challenge/tok_en-1 HTTP/1.1"
    );
    assert_eq!(lines[1], "Host: a.example");
    assert!(lines[2].starts_with("User-Agent: cairn-validation/"));
    assert_eq!(
        &lines[3..],
        [
            "Accept: */*",
            "Accept-Encoding: identity",
            "Connection: close",
            "",
            ""
        ]
    );
}

#[tokio::test]
async fn a_whole_answer_ends_the_exchange_though_the_connection_stays_open() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    ] {
        let fetched = with_text(text, true).await.unwrap();
        assert_eq!(
            (fetched.head.status, fetched.body.as_slice()),
            (200, b"body".as_slice())
        );
    }
    let closed = with_text("HTTP/1.0 200 OK\r\n\r\nbody", false)
        .await
        .unwrap();
    assert_eq!(closed.body, b"body");
    let missing = with_text(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 999\r\n\r\n",
        true,
    )
    .await;
    assert_eq!(missing.unwrap().head.status, 404);
}

#[tokio::test]
async fn hostile_answers_end_in_a_fault_before_the_deadline() {
    // T-CA-68
    let endless_head = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(HEAD_MAX));
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(5000);
    let cases: Vec<(&str, String)> = vec![
        ("endless headers", endless_head),
        ("1xx flood", flood),
        ("101", "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned()),
        (
            "gzip",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f".to_owned(),
        ),
        (
            "length of 23 digits",
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                "9".repeat(23)
            ),
        ),
        ("HTTP/0.9", "<html>the file</html>".to_owned()),
        (
            "HTTP/2 preface",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ),
        (
            "length and chunked",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nbody"
                .to_owned(),
        ),
        (
            "broken chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbody".to_owned(),
        ),
    ];
    let began = tokio::time::Instant::now();
    let mut wrong = Vec::new();
    for (name, text) in cases {
        let got = with_text(&text, true).await;
        if !matches!(&got, Err(fault) if !fault.is_transient()) {
            wrong.push(format!("{name}: {got:?}"));
        }
    }
    assert!(began.elapsed() < DEADLINE, "none waits for a deadline");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn endless_bodies_are_cut_at_the_bound() {
    // T-CA-68
    let huge = "x".repeat(1 << 20);
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
    ] {
        let fetched = with(vec![head.into(), huge.clone().into()], true)
            .await
            .unwrap();
        assert!(fetched.is_over);
        assert_eq!(fetched.body.len(), BODY_MAX + 1);
    }
    let tiny: Vec<Vec<u8>> = (0..8000)
        .map(|_| b"1;abcdefgh=ijklmnop\r\nx\r\n".to_vec())
        .collect();
    let mut parts = vec![b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()];
    parts.extend(tiny);
    let got = with(parts, true).await;
    assert!(got.is_err() || got.is_ok_and(|fetched| fetched.is_over));
}

#[tokio::test]
async fn what_comes_too_slowly_or_ends_too_soon_is_transient() {
    // T-CA-68
    let drip = |text: &str| text.bytes().map(|octet| vec![octet]).collect::<Vec<_>>();
    let mut slow = drip("HTTP/1.1 200 OK\r\n");
    slow.extend(drip(&"X: y\r\n".repeat(400)));
    let (pause, patience) = (Duration::from_millis(5), Duration::from_millis(200));
    assert_eq!(
        paced(slow, true, pause, patience).await,
        Err(HttpFault::Timeout)
    );
    assert_eq!(
        paced(Vec::new(), true, pause, patience).await,
        Err(HttpFault::Timeout)
    );
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nConte",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
    ] {
        assert_eq!(
            with_text(text, false).await,
            Err(HttpFault::Short),
            "{text}"
        );
    }
    assert!(HttpFault::Timeout.is_transient() && HttpFault::Short.is_transient());
}
