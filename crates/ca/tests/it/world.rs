//! What every test here has: a node in this process on ports of its own, a DNS server that knows all names below
//! `test`, and a web server that they lead to.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use cairn_ca::{
    clock::{Clock, SystemClock},
    config::{Config, Span, Unlock},
    issuance::signer::SoftwareSigner,
    node::{self, Ca, Node, NodeParts, Timing},
    publication::Media,
    setup::{self, InitRequest},
};
use cairn_testkit::{acme::Client, dns, free_port, http::Responder, issued};
use cairn_x509::key::KeyKind;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tempfile::TempDir;
use tokio::sync::RwLock;

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) web: Responder,
    /// Answers while it lives.
    pub(crate) dns: dns::Server,
    pub(crate) url: String,
    dir: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A node whose configuration is as `change` leaves it.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_parts(change, |_| {}).await
    }

    /// The same, started with the parts as `adjust` leaves them.
    pub(crate) async fn with_parts(
        change: impl FnOnce(&mut Config),
        adjust: impl FnOnce(&mut NodeParts),
    ) -> Self {
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
            crl_shards: 1,
            ports: (None, None),
            settings: vec![(
                "publication_url".to_owned(),
                format!("http://localhost:{}", publication.port()),
            )],
            now: SystemClock::default().wall(),
        };
        // Both block, as the command line lets them.
        let mut parts = tokio::task::spawn_blocking(move || {
            setup::init(&request, &mut || {
                unreachable!("the passphrase lies in a file")
            })
            .unwrap();
            parts(&request.dir)
        })
        .await
        .unwrap();
        // The judges need the root of what the clients here will keep.
        issued::keep_root(&read(&parts.dir.join("root.pem")));
        let config = &mut parts.config;
        config.listen.subscribers = vec![subscribers];
        config.listen.publication = vec![publication];
        config.dns.servers = vec![dns.address()];
        config.names.push(cairn_ca::config::NameRule {
            suffix: "test".to_owned(),
            dial: vec!["127.0.0.0/8".parse().unwrap()],
            http_port: Some(web.address().port()),
            ..cairn_ca::config::NameRule::default()
        });
        // A slow disk of the test's machine turns nobody away; the tests of admission set their own bounds.
        config.limits.queue_age = Span::from_secs(60);
        change(config);
        adjust(&mut parts);
        let node = Node::start(parts).await.unwrap();
        let world = Self {
            node,
            web,
            dns,
            url,
            dir,
        };
        world.keep_own();
        world
    }

    /// Keeps for the judges what the node issued for itself: its CRLs with their issuer, and its listener's chain.
    fn keep_own(&self) {
        issued::keep_issuing(&read(&self.dir().join("issuing.pem")));
        for (_, file) in self.ca().crls.list() {
            if file.media == Media::Crl {
                issued::keep_crl(&file.body);
            }
        }
        if self.ca().snapshot.load().config.tls.certificate.is_some() {
            return;
        }
        let pair = read(&self.dir().join("keys/listener.pem"));
        if let Some(at) = pair.find("-----BEGIN CERTIFICATE-----") {
            let end = pair.rfind("-----END CERTIFICATE-----").unwrap();
            issued::keep_chain(&format!("{}-----END CERTIFICATE-----\n", &pair[at..end]));
        }
    }

    /// The node stopped, and started again on the same directory with the same configuration.
    pub(crate) async fn restarted(self, adjust: impl FnOnce(&mut NodeParts)) -> Self {
        let _quiet = FORKS.read().await;
        self.stop().await.start(adjust).await
    }

    /// Everything but the node, which is stopped.
    pub(crate) async fn stop(self) -> Site {
        let config = self.ca().snapshot.load().config.clone();
        self.node.shutdown().await;
        Site {
            config,
            web: self.web,
            dns: self.dns,
            url: self.url,
            dir: self.dir,
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

/// A CA's directory with its surroundings, and no node running on it.
pub(crate) struct Site {
    pub(crate) config: Config,
    pub(crate) web: Responder,
    dns: dns::Server,
    url: String,
    dir: TempDir,
}

impl Site {
    pub(crate) fn dir(&self) -> std::path::PathBuf {
        self.dir.path().join("ca")
    }

    /// Starts a node on it, with the parts as `adjust` leaves them.
    pub(crate) async fn start(self, adjust: impl FnOnce(&mut NodeParts)) -> World {
        let mut parts = parts(&self.dir());
        parts.config = self.config;
        adjust(&mut parts);
        let node = Node::start(parts).await.unwrap();
        World {
            node,
            web: self.web,
            dns: self.dns,
            url: self.url,
            dir: self.dir,
        }
    }
}

/// What a node is started with, as the directory says.
pub(crate) fn parts(dir: &Path) -> NodeParts {
    let loaded = setup::load(dir, &mut |_| panic!("the passphrase lies in a file")).unwrap();
    NodeParts {
        location: node::location(dir),
        dir: dir.to_owned(),
        config: loaded.config,
        signer: Arc::new(SoftwareSigner::start(Arc::new(loaded.issuing_key)).unwrap()),
        ring: loaded.ring,
        issuing_certificate: loaded.issuing_certificate,
        root_certificate: loaded.root_certificate,
        blocked: loaded.blocked,
        clock: Arc::new(SystemClock::default()),
        timing: Timing::default(),
        faults: None,
    }
}

/// Held for writing while a process is started, for reading while a node gives its directory to the next one: between
/// fork and exec a child holds a copy of every descriptor, and so the directory's lock.
pub(crate) static FORKS: RwLock<()> = RwLock::const_new(());

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
