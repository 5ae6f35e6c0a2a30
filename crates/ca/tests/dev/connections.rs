//! Faults that a client finds in its connections.

use std::{
    io::ErrorKind,
    sync::Arc,
    time::{Duration, Instant},
};

use cairn_testkit::acme::Client;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::site::Site;

const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(site: &Site) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(site.ca.root_pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(site.address()).await.unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap()
}

/// All that comes back to a GET of the directory until the connection ends, and how it ends.
async fn raw(site: &Site) -> (String, std::io::Result<usize>) {
    let mut stream = connect(site).await;
    let request = b"GET /directory HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut came = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut came)).await;
    (String::from_utf8(came).unwrap(), ended.unwrap())
}

/// Head and body.
fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap_or((answer, ""))
}

/// The account's orders.
async fn orders(client: &Client) -> usize {
    let url = format!("{}/orders", client.kid.clone().unwrap());
    let list = client.fetch(&url).await.expect(200).json();
    list["orders"].as_array().unwrap().len()
}

/// Asks for an order, once; whether an answer came.
async fn asks(client: &Client, name: &str) -> bool {
    let wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
    let draft = client.draft(&client.url("newOrder"), &wanted).await;
    client.try_send(&draft).await.is_ok()
}

pub(crate) async fn cut(site: &Site) {
    let client = site.subscriber().await;
    site.fault("newOrder:cut once");
    assert!(!asks(&client, "a.cut.test").await);
    assert_eq!(orders(&client).await, 0, "nothing was done");
    site.fault("directory:cut once");
    let (came, ended) = raw(site).await;
    assert_eq!(came, "");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

pub(crate) async fn lost(site: &Site) {
    let client = site.subscriber().await;
    site.fault("newOrder:lost once");
    assert!(!asks(&client, "a.lost.test").await);
    assert_eq!(orders(&client).await, 1, "it was done");
}

/// Waits until connections are taken.
async fn up(site: &Site) {
    let back = timeout(PATIENCE, async {
        while TcpStream::connect(site.address()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    back.await.expect("it is up again");
}

pub(crate) async fn down(site: &Site) {
    let (client, other) = (site.subscriber().await, site.subscriber().await);
    let mut kept = connect(site).await;
    let start = Instant::now();
    site.fault("newOrder:down=700ms once");
    assert!(!asks(&client, "a.down.test").await);
    // As far as the machine was quick enough to look in time.
    let refused = TcpStream::connect(site.address()).await;
    let cut = kept
        .write_all(b"GET /directory HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let came = timeout(PATIENCE, kept.read_u8()).await.unwrap();
    if start.elapsed() < Duration::from_millis(600) {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(cut.is_err() || came.is_err(), "{came:?}");
    }
    up(site).await;
    assert!(start.elapsed() >= Duration::from_millis(600));
    assert_eq!(orders(&other.apart(site.ca.root_pem())).await, 0);
    assert_eq!(orders(&client.apart(site.ca.root_pem())).await, 0);
    // Ended before its time.
    site.fault("directory:down=1h once");
    let (came, _) = raw(site).await;
    assert_eq!(came, "");
    TcpStream::connect(site.address()).await.unwrap_err();
    site.ca.doors().clear();
    up(site).await;
    let (came, _) = raw(site).await;
    assert!(came.starts_with("HTTP/1.1 200"), "{came}");
}

pub(crate) async fn cut_after(site: &Site) {
    let (whole, _) = raw(site).await;
    for octets in [0, 1, 10, 100] {
        site.fault(&format!("directory:cut-after={octets} once"));
        let (came, ended) = raw(site).await;
        let (head, body) = parts(&came);
        assert!(head.starts_with("HTTP/1.1 200"), "{came}");
        let length = format!("content-length: {}", parts(&whole).1.len());
        assert!(head.contains(&length), "{head}");
        assert_eq!(body, parts(&whole).1.get(..octets).unwrap());
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}

pub(crate) async fn drip(site: &Site) {
    let (whole, _) = raw(site).await;
    let pieces = u32::try_from(parts(&whole).1.len() / 100).unwrap();
    site.fault("directory:drip=100/20ms once");
    let start = Instant::now();
    let (came, ended) = raw(site).await;
    assert!(start.elapsed() >= Duration::from_millis(20) * (pieces - 1));
    assert_eq!(parts(&came).1, parts(&whole).1);
    ended.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_waits_little_for_whom_a_fault_holds_and_its_transcript_has_him() {
    let site = Site::start().await;
    let fault = site.fault("directory:delay=60s");
    let mut stream = connect(&site).await;
    let request = b"GET /directory HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let struck = async {
        while site.counts(fault) != (1, 1) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, struck).await.unwrap();
    let Site { ca, .. } = site;
    let transcript = Arc::clone(ca.transcript().unwrap());
    let began = Instant::now();
    ca.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(20));
    let last = transcript.since(0).pop().unwrap();
    assert_eq!(
        (last.path.as_str(), last.answer.is_none()),
        ("/directory", true)
    );
}
