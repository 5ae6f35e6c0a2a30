//! What every test here has: a node in this process on ports of its own, a DNS server that knows all names below
//! `test`, and a web server that they lead to.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use cairn_ca::{
    clock::{Clock, SystemClock},
    config::{Config, Unlock},
    issuance::signer::SoftwareSigner,
    node::{self, Ca, Node, NodeParts},
    setup::{self, InitRequest},
};
use cairn_testkit::{acme::Client, dns, http::Responder};
use cairn_x509::key::KeyKind;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) web: Responder,
    /// Answers while it lives.
    _dns: dns::Server,
    pub(crate) url: String,
    dir: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A node whose configuration is as `change` leaves it.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (web, dns) = (Responder::local(), dns::Server::local());
        dns.add_wildcard("test", Ipv4Addr::LOCALHOST);
        let dir = tempfile::tempdir().unwrap();
        let (subscribers, publication) = (free_port(), free_port());
        let url = format!("https://localhost:{}", subscribers.port());
        let request = InitRequest {
            dir: dir.path().join("ca"),
            name: "Test".to_owned(),
            url: url.parse().unwrap(),
            permit_dns: Vec::new(),
            permit_ip: Vec::new(),
            key_kind: KeyKind::P256,
            unlock: Unlock::File,
            passphrase: None,
            crl_shards: 1,
            ports: (None, None),
            settings: Vec::new(),
            now: SystemClock::default().wall(),
        };
        let home = request.dir.clone();
        // Both block, as the command line lets them.
        let loaded = tokio::task::spawn_blocking(move || {
            setup::init(&request).unwrap();
            setup::load(&request.dir, &mut |_| {
                panic!("the passphrase lies in a file")
            })
            .unwrap()
        })
        .await
        .unwrap();
        // The judges need the root of what the clients here will keep.
        cairn_testkit::issued::keep_root(&std::fs::read_to_string(home.join("root.pem")).unwrap());
        let mut config = loaded.config;
        config.listen.subscribers = vec![subscribers];
        config.listen.publication = vec![publication];
        config.dns.servers = vec![dns.address()];
        config.names.push(cairn_ca::config::NameRule {
            suffix: "test".to_owned(),
            dial: vec!["127.0.0.0/8".parse().unwrap()],
            http_port: Some(web.address().port()),
            tls_port: None,
        });
        change(&mut config);
        let node = Node::start(NodeParts {
            location: node::location(&home),
            dir: home,
            config,
            signer: Arc::new(SoftwareSigner::start(Arc::new(loaded.issuing_key)).unwrap()),
            issuing_certificate: loaded.issuing_certificate,
            root_certificate: loaded.root_certificate,
            blocked: loaded.blocked,
            clock: Arc::new(SystemClock::default()),
        })
        .await
        .unwrap();
        Self {
            node,
            web,
            _dns: dns,
            url,
            dir,
        }
    }

    pub(crate) fn ca(&self) -> &Arc<Ca> {
        self.node.ca()
    }

    pub(crate) fn dir(&self) -> std::path::PathBuf {
        self.dir.path().join("ca")
    }

    pub(crate) fn root(&self) -> String {
        read(&self.dir().join("root.pem"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        *self.node.subscribers.first().unwrap()
    }

    pub(crate) fn publication(&self) -> SocketAddr {
        *self.node.publication.first().unwrap()
    }

    /// The listener's own certificate, for a second listener.
    pub(crate) fn certificate(&self) -> Arc<dyn ResolvesServerCert> {
        let pair = std::fs::read(self.dir().join("keys/listener.pem")).unwrap();
        let chain = CertificateDer::pem_slice_iter(&pair)
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_slice(&pair).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Arc::new(SingleCertAndKey::from(
            CertifiedKey::from_der(chain, key, &provider).unwrap(),
        ))
    }

    pub(crate) async fn shutdown(self) {
        self.node.shutdown().await;
    }

    /// A client without an account.
    pub(crate) async fn stranger(&self) -> Client {
        Client::connect(&format!("{}/directory", self.url), &self.root()).await
    }

    /// A client with an account.
    pub(crate) async fn subscriber(&self) -> Client {
        let mut client = self.stranger().await;
        client.new_account().await.expect(201);
        client
    }
}

/// An address that nobody has at this moment.
fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
