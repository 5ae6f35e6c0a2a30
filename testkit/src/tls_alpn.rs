//! A TLS server that answers tls-alpn-01 challenges as a test wants, and keeps what each client said.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert, WantsServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ConfigBuilder, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

use crate::server::Thread;

/// The challenge's protocol (RFC 8737).
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// What a server name is answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    parameters: CertificateParams,
    protocols: Vec<Vec<u8>>,
}

/// What a client said in its first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The server name, if one was given.
    pub name: Option<String>,
    /// The protocols that it offered.
    pub protocols: Vec<Vec<u8>>,
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct TlsServer {
    address: SocketAddr,
    tables: Arc<Mutex<Tables>>,
    _thread: Thread,
}

#[derive(Debug, Default)]
struct Tables {
    answers: HashMap<String, Answer>,
    log: Vec<Hello>,
    octets_after: usize,
}

impl Answer {
    /// The right certificate for a name or an address.
    ///
    /// # Panics
    /// If it is neither.
    pub fn challenge(identifier: &str, key_authorization: &str) -> Self {
        let name = match identifier.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(identifier.to_owned().try_into().expect("a DNS name")),
        };
        Self::with(vec![name], vec![acme_identifier(key_authorization)])
    }

    /// A certificate with these names and extensions.
    pub fn with(names: Vec<SanType>, extensions: Vec<CustomExtension>) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names;
        parameters.custom_extensions = extensions;
        Self {
            parameters,
            protocols: vec![PROTOCOL.to_vec()],
        }
    }

    /// The same over other protocols; none selects none.
    #[must_use]
    pub fn protocols(mut self, protocols: &[&[u8]]) -> Self {
        self.protocols = protocols.iter().map(|p| p.to_vec()).collect();
        self
    }

    fn config(&self) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let certificate = self.parameters.self_signed(&key).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // rustls' own check of the pair reads the certificate with webpki, which refuses the critical extension.
        let key = any_supported_type(&key).expect("a key that signs");
        let pair = CertifiedKey::new(vec![certificate.der().clone()], key);
        let resolver = SingleCertAndKey::from(pair);
        let mut config = builder().with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }
}

/// The extension of a challenge's certificate: critical, with the key authorization's digest.
pub fn acme_identifier(key_authorization: &str) -> CustomExtension {
    let digest = digest::digest(&digest::SHA256, key_authorization.as_bytes());
    CustomExtension::new_acme_identifier(digest.as_ref())
}

impl TlsServer {
    /// Starts on this address; a name without an answer is refused with an alert.
    ///
    /// # Panics
    /// If the address can't be bound.
    pub fn start(address: impl Into<SocketAddr>) -> Self {
        let address = address.into();
        let tables = Arc::new(Mutex::new(Tables::default()));
        let shared = Arc::clone(&tables);
        let (thread, address) = Thread::start("tls", move || async move {
            let listener = TcpListener::bind(address).await;
            let listener =
                listener.unwrap_or_else(|error| panic!("tls: cannot bind {address}: {error}"));
            let address = listener.local_addr().expect("a bound address");
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&shared)));
                }
            });
            address
        });
        Self {
            address,
            tables,
            _thread: thread,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers a server name so from now on.
    pub fn present(&self, server_name: &str, answer: Answer) -> &Self {
        self.lock().answers.insert(server_name.to_owned(), answer);
        self
    }

    /// Every first message so far.
    pub fn log(&self) -> Vec<Hello> {
        self.lock().log.clone()
    }

    /// Octets of application data that came after handshakes.
    pub fn octets_after(&self) -> usize {
        self.lock().octets_after
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().expect("no test panicked here")
    }
}

/// Ends every handshake with an alert.
fn refusal() -> ServerConfig {
    #[derive(Debug)]
    struct Nothing;
    impl ResolvesServerCert for Nothing {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            None
        }
    }
    let mut config = builder().with_cert_resolver(Arc::new(Nothing));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config
}

fn builder() -> ConfigBuilder<ServerConfig, WantsServerCert> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
}

async fn serve(stream: TcpStream, tables: Arc<Mutex<Tables>>) {
    let Ok(start) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else {
        return;
    };
    let hello = start.client_hello();
    let name = hello.server_name().map(str::to_owned);
    let protocols = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec);
    let said = Hello {
        name: name.clone(),
        protocols: protocols.collect(),
    };
    let answer = {
        let mut tables = tables.lock().expect("no test panicked here");
        tables.log.push(said);
        tables.answers.get(&name.unwrap_or_default()).cloned()
    };
    let config = answer.map_or_else(refusal, |answer| answer.config());
    if let Ok(mut stream) = start.into_stream(Arc::new(config)).await {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
        tables.lock().expect("no test panicked here").octets_after += rest.len();
    }
}
