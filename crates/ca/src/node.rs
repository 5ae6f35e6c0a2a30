//! Puts the parts together from the configuration, starts what runs by schedule, and stops in good order.

#[cfg(feature = "dev")]
mod open;
mod snapshot;
mod upkeep;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use cairn_acme::time::Timestamp;
use cairn_x509::{certificate::Certificate, weak::BlockedKeys};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::{info, warn};

#[cfg(feature = "dev")]
use crate::dev::Doors;
use crate::{
    clock::{Clock, SteadyClock},
    config::{Config, Dnssec, Listen},
    fault::Causes,
    frontend,
    holds::Holds,
    id::{BootId, DirectoryId, IdSeed},
    issuance::{
        CrlPublisher, Issuance, Issuer, IssuerParts, Issuers, OwnCertificate, OwnCertificateFault,
    },
    limits::Limits,
    metrics::Metrics,
    model::Account,
    nonce::Nonces,
    operator,
    publication::{self, File, Readiness, Shelf},
    ring::KeyRing,
    store::{self, RegisterIssuer, RegisterProfile, Store, StoreError, TxError},
    validation::{Resolver, ValidationDriver, Validator, resolver::ResolverConfig},
};

#[cfg(feature = "dev")]
pub(crate) use open::OpenParts;
pub use snapshot::Snapshot;

/// Where in the CA's directory copies of the published CRLs lie, for a restore.
pub const CRL_COPIES: &str = "crls";

/// How long the machinery waits, and how much of it runs at once: fixed in operation, small in tests.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a certificate's signature may take.
    pub sign: Duration,
    /// How often abandoned work and expired rows are looked for.
    pub housekeeping: Duration,
    /// How often the CRLs' schedule, and what was revoked, is looked at.
    pub crl: Duration,
    /// How long a CRL rests before revocations make the next one.
    pub crl_rest: Duration,
    /// How often the own certificate's age is looked at.
    pub own_certificate: Duration,
    /// How many attempts of validations run at once; an account gets an eighth.
    pub validations: usize,
    /// How long a clean stop waits for requests and work.
    pub drain: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            sign: Duration::from_secs(10),
            housekeeping: Duration::from_secs(10),
            crl: Duration::from_secs(5),
            crl_rest: Duration::from_secs(20),
            own_certificate: Duration::from_secs(10),
            validations: 1024,
            drain: Duration::from_secs(20),
        }
    }
}

/// The CA: what every handler works with.
#[derive(Debug)]
pub struct Ca {
    /// What is kept.
    pub store: Store,
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Replay protection.
    pub nonces: Nonces,
    /// Validations under way.
    pub validation: ValidationDriver,
    /// The one door to signatures.
    pub issuance: Issuance,
    /// What the store's secrets are sealed under.
    pub ring: KeyRing,
    /// Who waits for what.
    pub holds: Arc<Holds>,
    /// Bounds in memory.
    pub limits: Arc<Limits>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Published files.
    pub crls: Shelf,
    /// Makes CRLs.
    pub publisher: CrlPublisher,
    /// This process incarnation.
    pub boot: BootId,
    /// How long it waits for what.
    pub timing: Timing,
    /// Of a test CA.
    #[cfg(feature = "dev")]
    pub(crate) doors: Option<Arc<Doors>>,
}

impl Ca {
    /// The configuration in force, as a request sees it that came under this host.
    #[cfg_attr(
        not(feature = "dev"),
        expect(unused_variables, reason = "only a test CA follows it")
    )]
    pub(crate) fn snapshot_at(&self, host: Option<&str>) -> Arc<Snapshot> {
        let configured = self.snapshot.load_full();
        #[cfg(feature = "dev")]
        if let Some(doors) = &self.doors {
            return doors.snapshot(host, configured);
        }
        configured
    }

    /// Every URL by which CAA records may name the account.
    pub(crate) fn caa_urls(&self, snapshot: &Snapshot, account: &Account) -> Vec<String> {
        let current = snapshot.account_url(account);
        #[cfg(feature = "dev")]
        let moved = self.doors.as_ref().map(|d| d.under_each_host(&current));
        #[allow(unused_mut, reason = "a test CA has answered under several hosts")]
        let mut urls = snapshot.caa.account_urls(account, current);
        #[cfg(feature = "dev")]
        urls.extend(moved.into_iter().flatten());
        urls
    }
}

/// What only a test CA has besides; `open` alone makes one, and no parts of another's making come with it.
#[derive(Default)]
struct Extras {
    #[cfg(feature = "dev")]
    doors: Option<Arc<Doors>>,
}

/// What a node is started with.
pub struct NodeParts {
    /// The CA's directory.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The issuer of `[keys]`.
    pub issuer: IssuerParts,
    /// Those beside it.
    pub issuers: Vec<IssuerParts>,
    /// The opened key ring.
    pub ring: KeyRing,
    /// The root certificate, DER.
    pub root_certificate: Vec<u8>,
    /// Keys that are refused.
    pub blocked: BlockedKeys,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where the rows are: the directory's database, but for tests.
    pub location: store::Location,
    /// How long it waits for what.
    pub timing: Timing,
    /// Strikes of tests at the store.
    pub faults: Option<store::FaultHook>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The database.
    #[error(transparent)]
    Open(#[from] store::OpenError),
    /// A transaction of the start.
    #[error(transparent)]
    Transaction(#[from] TxError),
    /// An issuing certificate.
    #[error("the certificate of issuer {0} cannot be used: {1}")]
    Issuer(String, String),
    /// The configuration, as far as it meets the rest.
    #[error("{0}")]
    Config(String),
    /// The listener's certificate.
    #[error(transparent)]
    OwnCertificate(#[from] OwnCertificateFault),
    /// An address.
    #[error("cannot listen on {address} ({what})")]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The machine.
    #[error("{0}")]
    System(String),
}

impl From<StoreError> for StartFault {
    fn from(error: StoreError) -> Self {
        Self::Transaction(error.into())
    }
}

/// A running node.
pub struct Node {
    ca: Arc<Ca>,
    stop: watch::Sender<bool>,
    /// The listeners, which end when their last connection is drained.
    listeners: Vec<JoinHandle<()>>,
    /// Work by schedule, ended at once.
    schedules: Vec<JoinHandle<()>>,
    own: Arc<OwnCertificate>,
    dir: PathBuf,
    root_certificate: Vec<u8>,
    /// The bound addresses of the subscribers' listener.
    pub subscribers: Vec<SocketAddr>,
    /// The bound addresses of the publication listener.
    pub publication: Vec<SocketAddr>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("subscribers", &self.subscribers)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Opens the store, takes over what was under way, gets the listener's certificate, and listens.
    ///
    /// # Errors
    /// Says what is missing; nothing is left running.
    pub async fn start(parts: NodeParts) -> Result<Self, StartFault> {
        Self::start_with(parts, Extras::default()).await
    }

    async fn start_with(parts: NodeParts, extras: Extras) -> Result<Self, StartFault> {
        let Extras {
            #[cfg(feature = "dev")]
            doors,
        } = extras;
        let NodeParts {
            dir,
            config,
            issuer,
            issuers,
            ring,
            root_certificate,
            blocked,
            clock,
            location,
            timing,
            faults,
        } = parts;
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(clock));
        let now = clock.wall();
        let boot = BootId::new(now, seed()?);
        let limits = Arc::new(Limits::new(config.limits.clone()));
        let metrics = Arc::new(Metrics::new());
        let holds = Arc::new(Holds::new(Arc::clone(&limits), Arc::clone(&metrics)));
        let options = store::OpenOptions {
            faults,
            ..store::OpenOptions::new(boot, Arc::<Holds>::clone(&holds), now)
        };
        let store = Store::open(&location, options)?;
        // Nothing outlives a store in memory: what `ca init` writes down for ever is written at each start.
        let founds = matches!(location, store::Location::Memory);
        let issuers = known_issuers(&store, &config, (issuer, founds), issuers, now).await?;
        let directories = known_directories(&store, &config, now).await?;
        #[allow(unused_mut, reason = "a test CA behaves in ways of its own")]
        let mut snapshot = Snapshot::build(config, blocked, &issuers, &directories, &metrics)
            .map_err(StartFault::Config)?;
        #[cfg(feature = "dev")]
        if let Some(doors) = &doors {
            snapshot.behave(doors.conduct());
        }
        if founds {
            store.set_base_url(snapshot.urls.base(), now).await?;
            store
                .set_publication_url(snapshot.urls.publication(), now)
                .await?;
        }
        store
            .check_base_url(snapshot.urls.base())
            .await
            .map_err(StartFault::Config)?;
        store
            .check_publication_url(snapshot.urls.publication())
            .await
            .map_err(StartFault::Config)?;
        keep_profiles(&store, &snapshot).await?;
        let nonces = open_nonces(&store, &*clock).await?;
        let dns = &snapshot.config.dns;
        let resolver = Resolver::with(ResolverConfig {
            servers: dns.servers.clone(),
            timeout: dns.timeout.into(),
            trust_ad: dns.dnssec == Dnssec::TrustResolver,
            #[cfg(feature = "dev")]
            hosts: doors.as_deref().and_then(open::hosts_file),
            ..ResolverConfig::default()
        })
        .map_err(|e| StartFault::System(e.to_string()))?;
        let shelf = Shelf::default();
        for signing in issuers.iter() {
            let issuer = &signing.issuer;
            shelf.put(
                publication::issuer_path(issuer.id),
                File::certificate(issuer.der.clone(), now),
            );
        }
        shelf.put(
            publication::ROOT_PATH.to_owned(),
            File::certificate(root_certificate.clone(), now),
        );
        let ca = Arc::new(Ca {
            validation: ValidationDriver::new(Validator::new(resolver), timing.validations),
            issuance: Issuance::new(issuers),
            snapshot: ArcSwap::from_pointee(snapshot),
            store,
            nonces,
            ring,
            holds,
            limits,
            metrics,
            clock,
            crls: shelf,
            publisher: CrlPublisher::new(dir.join(CRL_COPIES)),
            boot,
            timing,
            #[cfg(feature = "dev")]
            doors,
        });
        // Before anything is signed: a taken port must not cost a certificate and a CRL's number.
        let sockets = Sockets::bind(&ca.snapshot.load().config.listen)?;
        upkeep::take_over(&ca).await;
        Self::listen(ca, dir, root_certificate, sockets).await
    }

    async fn listen(
        ca: Arc<Ca>,
        dir: PathBuf,
        root_certificate: Vec<u8>,
        sockets: Sockets,
    ) -> Result<Self, StartFault> {
        let snapshot = ca.snapshot.load_full();
        let config = &snapshot.config;
        let own = Arc::new(OwnCertificate::default());
        let mut schedules = Vec::new();
        match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => {
                own.from_files(&dir.join(certificate), &dir.join(key))?
            }
            _ => {
                own.start(&ca, &dir).await?;
                schedules.push(tokio::spawn(
                    Arc::clone(&own).run(Arc::clone(&ca), dir.clone()),
                ));
            }
        }
        CrlPublisher::start(&ca).await;
        let (stop, stopped) = watch::channel(false);
        let mut listeners = Vec::new();
        // First, so that whoever finds the node ready finds its operator's door too.
        let socket = dir.join(operator::SOCKET);
        let task =
            operator::listen(Arc::clone(&ca), &socket, stopped.clone()).map_err(|source| {
                StartFault::Listen {
                    what: "operator",
                    address: socket.display().to_string(),
                    source,
                }
            })?;
        listeners.push(task);
        let mut subscribers = Vec::new();
        for (address, listener) in sockets.subscribers {
            let task = frontend::serve_on(
                Arc::clone(&ca),
                listener,
                Arc::<OwnCertificate>::clone(&own),
                stopped.clone(),
            )
            .map_err(|error| StartFault::System(error.to_string()))?;
            subscribers.push(address);
            listeners.push(task);
        }
        let mut published = Vec::new();
        for (address, listener) in sockets.publication {
            let task = publication::serve_on(Arc::clone(&ca), listener, stopped.clone());
            published.push(address);
            listeners.push(task);
        }
        operator::warn_of_cuts(&ca);
        schedules.push(tokio::spawn(CrlPublisher::run(Arc::clone(&ca))));
        schedules.push(tokio::spawn(upkeep::housekeeping(Arc::clone(&ca))));
        schedules.push(tokio::spawn(upkeep::count_unfinished(Arc::clone(&ca))));
        Ok(Self {
            ca,
            stop,
            listeners,
            schedules,
            own,
            dir,
            root_certificate,
            subscribers,
            publication: published,
        })
    }

    /// The CA behind the listeners, for tests in the same process.
    #[must_use]
    pub fn ca(&self) -> &Arc<Ca> {
        &self.ca
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root_certificate(&self) -> &[u8] {
        &self.root_certificate
    }

    /// Puts another configuration in force for what begins from now on, and reads the listener's certificate again if it
    /// comes from files. Listeners, keys and URL stay as they are: a change of those needs a restart.
    ///
    /// # Errors
    /// In words; the old configuration stays in force.
    pub async fn reload(&self, config: Config, blocked: BlockedKeys) -> Result<(), String> {
        let old = self.ca.snapshot.load_full();
        let fixed = [
            ("url", old.config.url != config.url),
            (
                "publication_url",
                old.config.publication() != config.publication(),
            ),
            ("listen", old.config.listen != config.listen),
            ("keys", old.config.keys != config.keys),
            ("issuer", old.config.issuer != config.issuer),
            ("tls", old.config.tls != config.tls),
            ("dns", old.config.dns != config.dns),
            ("log", old.config.log != config.log),
        ];
        let changed: Vec<&str> = fixed
            .iter()
            .filter(|(_, c)| *c)
            .map(|(name, _)| *name)
            .collect();
        if !changed.is_empty() {
            return Err(format!(
                "a change of {} takes effect only by a restart; nothing was changed",
                changed.join(", ")
            ));
        }
        let ca = &self.ca;
        let directories = known_directories(&ca.store, &config, ca.clock.wall())
            .await
            .map_err(|e| e.to_string())?;
        let issuers = ca.issuance.issuers();
        #[allow(unused_mut, reason = "a test CA behaves in ways of its own")]
        let mut snapshot = Snapshot::build(config, blocked, issuers, &directories, &ca.metrics)?;
        #[cfg(feature = "dev")]
        if let Some(doors) = &ca.doors {
            snapshot.behave(doors.conduct());
        }
        let listener = match (&snapshot.config.tls.certificate, &snapshot.config.tls.key) {
            (Some(certificate), Some(key)) => Some(
                OwnCertificate::read_files(&self.dir.join(certificate), &self.dir.join(key))
                    .map_err(|e| Causes(&e).to_string())?,
            ),
            _ => None,
        };
        keep_profiles(&self.ca.store, &snapshot)
            .await
            .map_err(|e| e.to_string())?;
        self.ca.limits.set(snapshot.config.limits.clone());
        self.ca.snapshot.store(Arc::new(snapshot));
        if let Some(listener) = listener {
            self.own.put(listener);
        }
        info!("configuration reloaded");
        operator::warn_of_cuts(&self.ca);
        Ok(())
    }

    /// Takes no more connections, lets requests and work under way end, saves the nonce window, closes the store.
    pub async fn shutdown(self) {
        // Nobody is left to hear of it only if every listener has ended already.
        let _ = self.stop.send(true);
        for task in &self.schedules {
            task.abort();
        }
        let drain = self.ca.timing.drain;
        let drained = tokio::time::timeout(drain, async {
            for task in self.listeners {
                let _ = task.await;
            }
            // Of those whose client hung up or was told `processing`, no listener knows.
            self.ca.issuance.drained().await;
        })
        .await;
        if drained.is_err() {
            warn!(
                "stopped with requests or issuances still under way after {} s",
                drain.as_secs()
            );
        }
        let window = self
            .ca
            .nonces
            .save(self.ca.clock.monotonic(), self.ca.clock.wall());
        if let Err(error) = self.ca.store.save_nonce_window(&window).await {
            warn!(%error, "the nonce window was not saved; clients will be told badNonce once");
        }
        self.ca.store.close().await;
        info!("stopped");
    }
}

/// The issuers as the store knows them: that of `[keys]` it must know since `ca init`, unless this start founds it; another it meets at its first start,
/// and spreads its certificates over as many lists.
async fn known_issuers(
    store: &Store,
    config: &Config,
    (first, founds): (IssuerParts, bool),
    others: Vec<IssuerParts>,
    now: Timestamp,
) -> Result<Issuers, StartFault> {
    let urls = snapshot::urls(config).map_err(StartFault::Config)?;
    let epoch = store.epoch();
    let known = async |parts: &IssuerParts, shards: u32, add: bool| {
        let der = parts.certificate.clone();
        let certificate = Certificate::parse(&der)
            .map_err(|e| StartFault::Issuer(parts.name.clone(), e.to_string()))?;
        let issuer = Issuer::record(&certificate, &der, shards, now);
        let record = store.transact(RegisterIssuer { issuer, add }).await?;
        let named = (parts.name.clone(), der, certificate);
        let url = urls.issuer(record.id);
        let chains = parts.chains.clone();
        Ok::<_, StartFault>(Issuer::new(&record, named, chains, epoch, url))
    };
    let issuer = known(&first, 1, founds).await?;
    let mut beside = Vec::new();
    for parts in others {
        let other = known(&parts, issuer.crl_shards, true).await?;
        beside.push((other, parts.signer, parts.leaf_keys));
    }
    Ok(Issuers::new((issuer, first.signer), beside))
}

/// The ids of the further directories, in the order of the configuration.
async fn known_directories(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<DirectoryId>, StoreError> {
    let names = config.directory.iter().map(|d| d.name.clone()).collect();
    store.directory_ids(names, now).await
}

/// Stores the text of each profile before any order can name its hash.
async fn keep_profiles(store: &Store, snapshot: &Snapshot) -> Result<(), TxError> {
    for profile in snapshot.profiles.iter() {
        let register = RegisterProfile {
            hash: profile.hash,
            text: profile.text.clone(),
        };
        store.transact(register).await?;
    }
    Ok(())
}

/// The sockets of the TCP listeners, each with its bound address: bound, and not yet served.
struct Sockets {
    subscribers: Vec<(SocketAddr, TcpListener)>,
    publication: Vec<(SocketAddr, TcpListener)>,
}

impl Sockets {
    fn bind(listen: &Listen) -> Result<Self, StartFault> {
        let bind = |what, addresses: &[SocketAddr]| {
            let bind_one = |address: &SocketAddr| {
                frontend::connection::bind(*address)
                    .and_then(|listener| Ok((listener.local_addr()?, listener)))
                    .map_err(|source| StartFault::Listen {
                        what,
                        address: address.to_string(),
                        source,
                    })
            };
            addresses.iter().map(bind_one).collect::<Result<_, _>>()
        };
        Ok(Self {
            subscribers: bind("subscribers", &listen.subscribers)?,
            publication: bind("publication", &listen.publication)?,
        })
    }
}

/// The window of the last clean stop, deleted before the first request; after a crash a new one.
async fn open_nonces(store: &Store, clock: &dyn Clock) -> Result<Nonces, StartFault> {
    let system = |e: &dyn std::fmt::Display| StartFault::System(e.to_string());
    if let Some(saved) = store.take_nonce_window().await? {
        match Nonces::load(&saved, clock.monotonic(), clock.wall()) {
            Ok(nonces) => return Ok(nonces),
            Err(error) => warn!(%error, "the saved nonce window is of no use; a new one is opened"),
        }
    }
    Nonces::new().map_err(|e| system(&e))
}

fn seed() -> Result<IdSeed, StartFault> {
    let mut seed = IdSeed::default();
    rand::fill(&mut seed).map_err(|_| StartFault::System("the random source failed".to_owned()))?;
    Ok(seed)
}

/// Whether the node can serve: the store writes, CRLs are fresh, clocks agree.
#[must_use]
pub fn readiness(ca: &Ca) -> Readiness {
    let now: Timestamp = ca.clock.wall();
    Readiness::of(ca, now)
}

/// Where a CA's directory keeps its database.
#[must_use]
pub fn location(dir: &Path) -> store::Location {
    store::Location::File(dir.to_owned())
}
