//! A test CA: a node on a store in memory with keys of its own making, and its doors. The one place that gives a node
//! doors; neither a store nor a key can be handed to it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cairn_x509::weak::BlockedKeys;
use tempfile::TempDir;

use super::{
    Conduct, Doors, MovableClock, Scenario,
    keys::{self, KeyPlan, KeysFault, Lineage},
};
use crate::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigFault, DEFAULT_ISSUER, Keys, Tls},
    issuance::{IssuerParts, signer::SoftwareSigner},
    node::{Node, NodeParts, StartFault, Timing},
    ring::{KeyRing, RingFault},
    setup::{FileFault, create_public, create_secret},
    store::Location,
};

/// How soon what follows from time is seen after the clock was moved.
const PULSE: Duration = Duration::from_millis(100);

/// What a test CA is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it serves by. Where keys lie is not asked for: it makes its own.
    pub config: Config,
    /// The faults in force from the start.
    pub scenario: Scenario,
    /// How it behaves beside them.
    pub conduct: Conduct,
    /// Which keys and certificates it makes.
    pub keys: KeyPlan,
    /// The certificate of its listener. None: one under its root.
    pub listener: Option<ListenerFiles>,
    /// The URL of an OCSP responder that others run, for its certificates to name.
    pub ocsp_url: Option<String>,
}

/// Files with a certificate for the listener, PEM. What is read from them signs nothing.
#[derive(Debug, Clone)]
pub struct ListenerFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why there is no test CA.
#[derive(Debug, thiserror::Error)]
pub enum TestCaFault {
    /// A setting.
    #[error("the test CA's settings: {0}")]
    Config(Box<ConfigFault>),
    /// Its key ring.
    #[error(transparent)]
    Ring(#[from] RingFault),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeysFault),
    /// Its temporary directory.
    #[error("the test CA has no temporary directory")]
    Directory(#[source] std::io::Error),
    /// A file in it.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The signer's thread.
    #[error("the test CA's signer does not start")]
    Signer(#[source] std::io::Error),
    /// A plan without any.
    #[error("the test CA has no root")]
    NoRoot,
    /// The node.
    #[error(transparent)]
    Start(#[from] StartFault),
}

/// A running test CA.
#[derive(Debug)]
pub struct TestCa {
    node: Node,
    doors: Arc<Doors>,
    lineages: Vec<Lineage>,
    root_pem: String,
    directory: String,
    /// The listener's files and the operator's socket; removed at the end.
    _dir: TempDir,
}

impl Settings {
    /// For `https://localhost` with that port, without a rule for any name.
    ///
    /// # Errors
    /// When the addresses are none to listen at.
    pub fn local(subscribers: SocketAddr, publication: SocketAddr) -> Result<Self, TestCaFault> {
        let text = format!(
            "name = \"Cairn TEST\"\nurl = \"https://localhost:{}\"\n\
             [listen]\nsubscribers = [\"{subscribers}\"]\npublication = [\"{publication}\"]\n",
            subscribers.port()
        );
        let config = Config::parse(&text, Path::new("test CA"))
            .map_err(|fault| TestCaFault::Config(Box::new(fault)))?;
        Ok(Self {
            config,
            scenario: Scenario::default(),
            conduct: Conduct::default(),
            keys: KeyPlan::default(),
            listener: None,
            ocsp_url: None,
        })
    }
}

impl TestCa {
    /// Makes keys and store, and serves.
    ///
    /// # Errors
    /// Says what is missing; nothing is left running.
    pub async fn start(settings: Settings) -> Result<Self, TestCaFault> {
        let Settings {
            mut config,
            scenario,
            conduct,
            keys: plan,
            listener,
            ocsp_url,
        } = settings;
        let host = match &listener {
            None => Some(config.url.host()),
            Some(_) => None,
        };
        let made = keys::make(&plan, host, SystemClock::default().wall())?;
        let dir = tempfile::Builder::new()
            .prefix("cairn-test-ca-")
            .tempdir()
            .map_err(TestCaFault::Directory)?;
        let (certificate, key) = match listener {
            Some(files) => (files.certificate, files.key),
            None => (dir.path().join("tls.pem"), dir.path().join("tls.key.pem")),
        };
        if let Some(own) = &made.listener {
            create_public(&certificate, own.certificate_pem.as_bytes())?;
            create_secret(&key, own.key_pem.as_bytes())?;
        }
        let usual = made.lineages.first().ok_or(TestCaFault::NoRoot)?;
        let issuing = usual.issuing.last().ok_or(TestCaFault::NoRoot)?;
        let (root_der, issuing_der) = (usual.root.der().to_vec(), issuing.der().to_vec());
        let root_pem = usual.root.certificate_pem.clone();
        create_public(&dir.path().join("root.pem"), root_pem.as_bytes())?;
        if !conduct.holds {
            config.limits.holds = 0;
        }
        config.keys = Keys::default();
        config.tls = Tls {
            certificate: Some(certificate),
            key: Some(key),
        };
        let clock = Arc::new(MovableClock::default());
        let doors = Arc::new(Doors::new(
            scenario,
            conduct,
            Arc::clone(&clock),
            made.other,
            ocsp_url,
        ));
        let signer = SoftwareSigner::start(Arc::new(made.issuing_key));
        let parts = NodeParts {
            dir: dir.path().to_owned(),
            config,
            issuer: IssuerParts {
                name: DEFAULT_ISSUER.to_owned(),
                signer: Arc::new(signer.map_err(TestCaFault::Signer)?),
                certificate: issuing_der,
                chains: made.lineages.iter().map(Lineage::chain).collect(),
                leaf_keys: Vec::new(),
            },
            issuers: Vec::new(),
            ring: KeyRing::ephemeral()?,
            root_certificate: root_der,
            blocked: BlockedKeys::default(),
            clock,
            location: Location::Memory,
            timing: Timing {
                housekeeping: PULSE,
                crl: PULSE,
                ..Timing::default()
            },
            faults: None,
        };
        let node = Node::start_open(parts, Arc::clone(&doors)).await?;
        let directory = node.ca().snapshot.load().urls.directory();
        Ok(Self {
            node,
            doors,
            lineages: made.lineages,
            root_pem,
            directory,
            _dir: dir,
        })
    }

    /// Its doors.
    #[must_use]
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Whom its clients trust, for what it issues and for its listener.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// Its roots and what is below each, the usual one first.
    #[must_use]
    pub fn lineages(&self) -> &[Lineage] {
        &self.lineages
    }

    /// The directory's URL.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Ends it, and what it kept with it.
    pub async fn shutdown(self) {
        self.node.shutdown().await;
    }
}
