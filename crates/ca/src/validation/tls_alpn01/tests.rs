//! Whole attempts against TLS servers of many makes, and servers that speak none.

use std::sync::Mutex;

use cairn_acme::challenge::Token;
use cairn_acme::identifier::Identifier;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::resolver::Resolver;
use super::super::rules::AddressRule;
use super::super::testing::{Dns, Script, Then, addresses, rule};
use super::super::{Attempt, Bounds, Validator};
use super::*;

const TOKEN: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
const KEY_AUTHORIZATION: &str =
    "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// Stands for the ten seconds of a real attempt; long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

fn job(kind: &str, value: &str) -> Job {
    Job {
        identifier: Identifier::parse(kind, value).unwrap(),
        challenge: ChallengeType::TlsAlpn01,
        token: TOKEN.parse::<Token>().unwrap(),
        key_authorization: KEY_AUTHORIZATION.to_owned(),
    }
}

/// A challenge's certificate with its key.
fn certified(name: SanType, digest: &[u8; 32]) -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.subject_alt_names = vec![name];
    parameters
        .custom_extensions
        .push(CustomExtension::new_acme_identifier(digest));
    let certificate = parameters.self_signed(&key).unwrap();
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // rustls' own check of the pair refuses the critical extension.
    Arc::new(CertifiedKey::new(
        vec![certificate.der().clone()],
        any_supported_type(&der).unwrap(),
    ))
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.to_owned().try_into().unwrap())
}

fn right() -> [u8; 32] {
    job("dns", "a.test").digest()
}

/// The server name and the protocols of a first message.
type Hello = (Option<String>, Vec<Vec<u8>>);

/// Shows one certificate, and keeps what each client said.
#[derive(Debug)]
struct Shows {
    certificate: Option<Arc<CertifiedKey>>,
    hellos: Mutex<Vec<Hello>>,
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let protocols = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec);
        let said = (hello.server_name().map(str::to_owned), protocols.collect());
        self.hellos.lock().unwrap().push(said);
        self.certificate.clone()
    }
}

/// A TLS server, and what came after its handshakes.
struct Server {
    address: SocketAddr,
    shows: Arc<Shows>,
    after: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    async fn start(certificate: Option<Arc<CertifiedKey>>, protocols: &[&[u8]]) -> Self {
        Self::at("127.0.0.1:0", certificate, protocols, rustls::ALL_VERSIONS).await
    }

    async fn at(
        address: &str,
        certificate: Option<Arc<CertifiedKey>>,
        protocols: &[&[u8]],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Self {
        let shows = Arc::new(Shows {
            certificate,
            hellos: Mutex::default(),
        });
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Shows>::clone(&shows));
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let after: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = Arc::clone(&after);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let mut rest = Vec::new();
                        let _ = stream.read_to_end(&mut rest).await;
                        seen.lock().unwrap().push(rest.len());
                    }
                });
            }
        });
        Self {
            address,
            shows,
            after,
        }
    }

    fn hellos(&self) -> Vec<Hello> {
        self.shows.hellos.lock().unwrap().clone()
    }
}

async fn attempt(port: u16, job: &Job) -> Attempt {
    let loopback = vec!["127.0.0.1".to_owned()];
    let dns = Dns::start(move |asked| vec![addresses(asked, Some(&loopback))]).await;
    let resolver = Resolver::new(&[dns.address], Duration::from_secs(3)).unwrap();
    let bounds = Bounds {
        attempt: PATIENCE,
        ..Bounds::default()
    };
    let of = |range: &str| AddressRule {
        range: range.parse().unwrap(),
        http_port: None,
        tls_port: Some(port),
    };
    let rules = NameRules::new(vec![rule("test", 9, port)], Vec::new())
        .with_addresses(vec![of("127.0.0.0/8"), of("::1/128")]);
    Validator::with_bounds(resolver, bounds)
        .attempt(job, &rules, Duration::from_secs(60))
        .await
}

async fn fail(port: u16) -> (ProblemType, String, bool) {
    let attempt = attempt(port, &job("dns", "a.test")).await;
    let failure = attempt.outcome.expect_err("it must not pass");
    (
        failure.problem.kind,
        failure.problem.detail,
        failure.transient,
    )
}

#[tokio::test]
async fn the_right_certificate_passes_over_both_versions_and_nothing_follows() {
    // 8737-3-4
    // 8737-3-5
    // 8737-3-6
    // T-CA-75
    for version in rustls::ALL_VERSIONS {
        let certificate = Some(certified(dns("a.test"), &right()));
        let server = Server::at("127.0.0.1:0", certificate, &[PROTOCOL], &[*version]).await;
        let evidence = attempt(server.address.port(), &job("dns", "a.test"))
            .await
            .outcome;
        let evidence = evidence.unwrap_or_else(|f| panic!("{version:?}: {f:?}"));
        assert_eq!(evidence.method, ChallengeType::TlsAlpn01);
        assert_eq!(evidence.addresses, [server.address]);
        // The name, and that protocol alone.
        assert_eq!(
            server.hellos(),
            [(Some("a.test".to_owned()), vec![PROTOCOL.to_vec()])]
        );
        // It was closed at once, and not an octet was sent.
        let end = Instant::now() + Duration::from_secs(10);
        while server.after.lock().unwrap().is_empty() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(*server.after.lock().unwrap(), [0]);
    }
}

#[tokio::test]
async fn an_address_is_asked_for_by_its_reverse_name_and_shown_as_an_address() {
    // T-CA-76
    // 8738-6-1
    // 8738-4-1
    let reverse6 = format!("1.{}ip6.arpa", "0.".repeat(31));
    for (text, listen, reverse) in [
        ("127.0.0.1", "127.0.0.1:0", "1.0.0.127.in-addr.arpa"),
        ("::1", "[::1]:0", reverse6.as_str()),
    ] {
        let name = SanType::IpAddress(text.parse().unwrap());
        let certificate = Some(certified(name, &right()));
        let server = Server::at(listen, certificate, &[PROTOCOL], rustls::ALL_VERSIONS).await;
        let outcome = attempt(server.address.port(), &job("ip", text))
            .await
            .outcome;
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
        assert_eq!(server.hellos()[0].0.as_deref(), Some(reverse));
        // The reverse name in the certificate is not the address.
        let certificate = Some(certified(dns(reverse), &right()));
        let server = Server::at(listen, certificate, &[PROTOCOL], rustls::ALL_VERSIONS).await;
        let failure = attempt(server.address.port(), &job("ip", text))
            .await
            .outcome
            .unwrap_err();
        assert_eq!(failure.problem.kind, ProblemType::Unauthorized);
        let says = format!("is not the one iPAddress {text} alone; it has \"{reverse}");
        assert!(
            failure
                .problem
                .detail
                .contains(says.get(..80).unwrap_or(&says)),
            "{}",
            failure.problem.detail
        );
    }
}

#[tokio::test]
async fn another_protocol_or_certificate_is_refused_with_what_was_seen() {
    // T-CA-73
    // T-CA-74
    // 8737-3-6
    // 8737-3-7
    let good = || Some(certified(dns("a.test"), &right()));
    let mut other = right();
    other[0] ^= 1;
    let plain = {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["a.test".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(CertifiedKey::new(
            vec![certificate.der().clone()],
            any_supported_type(&der).unwrap(),
        ))
    };
    type Row = (
        &'static str,
        Option<Arc<CertifiedKey>>,
        Vec<&'static [u8]>,
        ProblemType,
        &'static str,
    );
    let rows: Vec<Row> = vec![
        (
            "no protocol",
            good(),
            vec![],
            ProblemType::Unauthorized,
            "did not select the protocol acme-tls/1",
        ),
        (
            "h2",
            good(),
            vec![b"h2"],
            ProblemType::Tls,
            "refused the protocol acme-tls/1 (alert 120, no_application_protocol)",
        ),
        (
            "http/1.1",
            good(),
            vec![b"http/1.1"],
            ProblemType::Tls,
            "refused the protocol acme-tls/1",
        ),
        (
            "acme-tls/2",
            good(),
            vec![b"acme-tls/2"],
            ProblemType::Tls,
            "refused the protocol acme-tls/1",
        ),
        (
            "no certificate for the name",
            None,
            vec![PROTOCOL],
            ProblemType::Tls,
            "refused the server name a.test (alert access_denied). Let the server of that port answer",
        ),
        (
            "the site's own certificate",
            Some(plain),
            vec![PROTOCOL],
            ProblemType::Unauthorized,
            "it has no acmeIdentifier extension (1.3.6.1.5.5.7.1.31)",
        ),
        (
            "another challenge's",
            Some(certified(dns("a.test"), &other)),
            vec![PROTOCOL],
            ProblemType::Unauthorized,
            "it has another digest",
        ),
        (
            "another name's",
            Some(certified(dns("b.test"), &right())),
            vec![PROTOCOL],
            ProblemType::Unauthorized,
            "is not the one dNSName a.test alone; it has \"b.test\"",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, certificate, protocols, kind, says) in rows {
        let server = Server::start(certificate, &protocols).await;
        let (found, detail, transient) = fail(server.address.port()).await;
        let says = says.replace("it has another", "has another");
        let fine = found == kind
            && !transient
            && detail.contains(&says)
            && detail.starts_with(&format!("a.test: at {} ", server.address));
        if !fine {
            wrong.push(format!("{what}: {found:?} {transient} {detail}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn servers_that_speak_no_modern_tls_end_the_attempt_in_time() {
    // T-CA-75
    //
    // 8737-3-7
    // A record of the handshake that promises 16 MiB of certificates (TLS 1.2, after a ServerHello that never was).
    let flood = [
        vec![0x16, 3, 3, 0x40, 0, 0x0b, 0xff, 0xff, 0xfd],
        vec![0; 16 * 1024 - 4],
    ]
    .concat();
    let rows: Vec<(&str, Script, ProblemType, bool, &str)> = vec![
        (
            "HTTP",
            Script::send("HTTP/1.1 400 Bad Request\r\n\r\n"),
            ProblemType::Tls,
            false,
            "the answer was not TLS",
        ),
        (
            "TLS 1.0's alert",
            Script::send([0x15, 3, 1, 0, 2, 2, 70]),
            ProblemType::Tls,
            false,
            "the alert ProtocolVersion",
        ),
        (
            "SSLv3's alert",
            Script::send([0x15, 3, 0, 0, 2, 2, 40]),
            ProblemType::Tls,
            false,
            "handshake failed",
        ),
        (
            "unrecognized_name",
            Script::send([0x15, 3, 3, 0, 2, 2, 112]),
            ProblemType::Tls,
            false,
            "refused the server name a.test (alert unrecognized_name)",
        ),
        (
            "a TLS 1.1 ServerHello",
            Script::send(server_hello(2)),
            ProblemType::Tls,
            false,
            "no version or cipher of TLS 1.2 or newer",
        ),
        (
            "closed",
            Script::send(""),
            ProblemType::Tls,
            false,
            "the TLS handshake failed: ",
        ),
        (
            "reset",
            Script::send("").then(Then::Reset),
            ProblemType::Tls,
            false,
            "the TLS handshake failed: ",
        ),
        (
            "a ServerHello, then silence",
            Script::send(server_hello(3)).then(Then::Hold),
            ProblemType::Tls,
            true,
            "did not end in time",
        ),
        (
            "silence",
            Script::send("").then(Then::Hold),
            ProblemType::Tls,
            true,
            "did not end in time",
        ),
        (
            "16 MiB of certificates",
            Script::send(flood).then(Then::Hold),
            ProblemType::Tls,
            false,
            "handshake",
        ),
        (
            "an endless record",
            Script::send(vec![0x16; 300 * 1024]).then(Then::Hold),
            ProblemType::Tls,
            false,
            "the answer was not TLS",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, script, kind, transient, says) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let script = script.clone();
                // The hello is read first, so that the end is no reset.
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    script.play(stream).await;
                });
            }
        });
        let began = Instant::now();
        let (found, detail, again) = fail(port).await;
        let fine = found == kind && again == transient && detail.contains(says);
        if !fine || began.elapsed() > PATIENCE * 4 {
            wrong.push(format!("{what}: {found:?} {again} {detail}"));
        }
        server.abort();
    }
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (kind, detail, transient) = fail(nobody).await;
    let says = format!(
        "no connection. 127.0.0.1:{nobody} refused the connection. See that a TLS server listens there"
    );
    if kind != ProblemType::Connection || !transient || !detail.contains(&says) {
        wrong.push(format!("nobody: {kind:?} {transient} {detail}"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A ServerHello of TLS 1.x without extensions, with a cipher of TLS 1.2.
fn server_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x2f, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 3, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}
