//! A test CA: a node on a store in memory with keys of its own making, and its doors. The one place that gives a node
//! doors, by parts that have no place for a store or a key of another's making.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Conduct, Doors, MovableClock, Scenario, doors,
    folder::{self, Folder},
    keys::{self, KeyPlan, KeysFault, Lineage},
    responder,
    transcript::{self, Transcript, TranscriptFault},
};
use crate::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigFault, FILE_NAME, Keys, Tls},
    node::{Node, OpenParts, StartFault, Timing},
    setup::{FileFault, create_public, create_secret},
};

/// How soon what follows from time is seen after the clock was moved.
const PULSE: Duration = Duration::from_millis(100);

/// How often what is over is cleared away. Not with each pulse: SQLite goes through every page that it holds in memory when such
/// a transaction ends.
const UPKEEP: Duration = Duration::from_secs(1);

/// How long its end waits: half of it for clients whom a fault holds.
const DRAIN: Duration = Duration::from_secs(4);

/// What a test CA is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it serves by. Where keys and the listener's certificate lie is not asked for: it makes its own.
    pub config: Config,
    /// The faults in force from the start.
    pub scenario: Scenario,
    /// How it behaves beside them.
    pub conduct: Conduct,
    /// Further names and addresses in the listener's certificate.
    pub hosts: Vec<String>,
    /// Where its own DNS answers; none has no DNS of its own.
    pub dns: Option<SocketAddr>,
    /// Where its public files lie and stay; none is a temporary directory.
    pub dir: Option<PathBuf>,
    /// Whether and how it keeps what clients say; None: not at all.
    pub transcript: Option<transcript::Settings>,
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
    /// The configuration.
    #[error("the test CA's settings: {0}")]
    Config(Box<ConfigFault>),
    /// One setting.
    #[error("{0}")]
    Setting(String),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeysFault),
    /// Its directory.
    #[error("the test CA has no directory")]
    Directory(#[source] std::io::Error),
    /// A file in it.
    #[error(transparent)]
    File(#[from] FileFault),
    /// Its own DNS.
    #[error("cannot listen on {address} (dns)")]
    Dns {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A plan without any.
    #[error("the test CA has no root")]
    NoRoot,
    /// Its transcript's file.
    #[error(transparent)]
    Transcript(#[from] TranscriptFault),
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
    own_dns: Option<responder::Server>,
    /// The listener's files and the operator's socket.
    folder: Folder,
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
            hosts: Vec::new(),
            dns: None,
            dir: None,
            transcript: None,
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
            hosts,
            dns,
            dir,
            transcript,
            keys: plan,
            listener,
            ocsp_url,
        } = settings;
        let transcript = transcript.as_ref().map(Transcript::start).transpose()?;
        let mut names = hosts;
        names.insert(0, config.url.host().to_owned());
        let hosts = listener.is_none().then_some(names.as_slice());
        let made = keys::make(&plan, hosts, SystemClock::default().wall())?;
        let folder = match &dir {
            Some(path) => Folder::kept(path),
            None => Folder::temporary(),
        };
        let folder = folder.map_err(TestCaFault::Directory)?;
        let (certificate, key) = match listener {
            Some(files) => (files.certificate, files.key),
            None => {
                let [certificate, key] = folder::LISTENER.map(|name| folder.path().join(name));
                (certificate, key)
            }
        };
        if let Some(own) = &made.listener {
            create_public(&certificate, own.certificate_pem.as_bytes())?;
            create_secret(&key, own.key_pem.as_bytes())?;
        }
        let usual = made.lineages.first().ok_or(TestCaFault::NoRoot)?;
        let root_pem = usual.root.certificate_pem.clone();
        create_public(&folder.path().join(folder::ROOT), root_pem.as_bytes())?;
        if !conduct.holds {
            config.limits.holds = 0;
        }
        config.keys = Keys::default();
        config.tls = Tls {
            certificate: Some(certificate),
            key: Some(key),
        };
        let text = toml::to_string(&config).map_err(|e| TestCaFault::Setting(e.to_string()))?;
        create_public(
            &folder.path().join(FILE_NAME),
            format!("{}{text}", folder::MARK).as_bytes(),
        )?;
        let clock = Arc::new(MovableClock::default());
        let names = dns.map(|_| Arc::new(responder::Data::new("127.0.0.1", "::1")));
        let own_dns = match (dns, &names) {
            (Some(address), Some(names)) => Some(
                responder::Server::dns(names, address)
                    .map_err(|source| TestCaFault::Dns { address, source })?,
            ),
            _ => None,
        };
        let doors = Arc::new(Doors::new(
            scenario,
            doors::Parts {
                conduct,
                clock: Arc::clone(&clock),
                issuer: made.other,
                root_pem: root_pem.clone(),
                transcript,
                names,
                ocsp_url,
            },
        ));
        let parts = OpenParts {
            dir: folder.path().to_owned(),
            config,
            issuer: made.issuer,
            clock,
            timing: Timing {
                housekeeping: UPKEEP,
                crl: PULSE,
                crl_rest: PULSE,
                drain: DRAIN,
                ..Timing::default()
            },
            doors: Arc::clone(&doors),
        };
        let node = Node::start_open(parts).await?;
        let directory = node.ca().snapshot.load().urls.directory();
        Ok(Self {
            node,
            doors,
            lineages: made.lineages,
            root_pem,
            directory,
            own_dns,
            folder,
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

    /// Where its root and its operator's socket lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its own DNS answers, if it has one.
    #[must_use]
    pub fn dns(&self) -> Option<SocketAddr> {
        self.own_dns.as_ref().map(responder::Server::address)
    }

    /// The directory's URL.
    #[must_use]
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// What clients said and were told, if it is kept.
    #[must_use]
    pub fn transcript(&self) -> Option<&Arc<Transcript>> {
        self.doors.transcript()
    }

    /// Ends it, and what it kept with it. The transcript's file is whole then; who keeps the transcript still has its report.
    pub async fn shutdown(self) {
        self.node.shutdown().await;
        if let Some(transcript) = self.doors.transcript() {
            transcript.flush().await;
        }
    }
}
