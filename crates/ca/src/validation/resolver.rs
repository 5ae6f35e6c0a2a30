//! A stub resolver of our own: names to addresses and texts through the configured servers, else
//! the system's (RFC 8555 sections 8.3 and 11.2).
//!
//! Nothing is cached: a validation looks at the world as it is, once per hop (T-CA-65).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::counters::{Counters, bump};
use super::dns_channel::{Letter, Mailbox, Registered};
use super::dns_message::{
    Answer, DnsFault, Finding, MAX_ALIASES, Query, QueryRandom, RecordKind, chained, interpret,
    interpret_stream,
};
use super::dns_server::{Server, servers};
use super::health::Health;
#[cfg(feature = "dev")]
use super::hosts_file;
use super::resolver_file::ResolverFile;
#[cfg(feature = "dev")]
use super::trace::Step;
use super::trace::{LookedUp, Trace};

/// Which servers are asked, and how patiently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolverConfig {
    /// The servers in order; empty means those of `resolver_file`.
    pub servers: Vec<SocketAddr>,
    /// The system's resolver file.
    pub resolver_file: PathBuf,
    /// After this time without an answer, or sooner if a server is known to be fast, a query is
    /// sent again, to the next server if there is one.
    pub repeat: Duration,
    /// How long one server may take for one look-up; all together at most 8 seconds, so that a
    /// failure is told before the attempt's time is over.
    pub timeout: Duration,
    /// Whether the AD bit of these servers is believed: only over a way to them that nobody else can write on.
    pub trust_ad: bool,
    /// Of a test CA: looked into before the system's servers are asked.
    #[cfg(feature = "dev")]
    pub hosts: Option<PathBuf>,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            resolver_file: PathBuf::from("/etc/resolv.conf"),
            repeat: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            trust_ad: false,
            #[cfg(feature = "dev")]
            hosts: None,
        }
    }
}

/// The resolver; needs a tokio runtime from its first look-up on.
#[derive(Debug)]
pub struct Resolver {
    servers: ArcSwap<Vec<Arc<Server>>>,
    file: Option<Mutex<ResolverFile>>,
    repeat: Duration,
    timeout: Duration,
    trust_ad: bool,
    #[cfg(feature = "dev")]
    hosts: Option<PathBuf>,
    streams: Semaphore,
    counters: Arc<Counters>,
    health: Health,
}

/// What the look-up of a name's addresses found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// All addresses, IPv6 first.
    pub found: Vec<IpAddr>,
    /// The names that aliases led through.
    pub aliases: Vec<String>,
    /// The server says that it validated all of it by DNSSEC.
    pub authenticated: bool,
}

/// What the look-up of a name's texts found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// The strings of each record, joined.
    pub found: Vec<Vec<u8>>,
    /// The names that aliases led through.
    pub aliases: Vec<String>,
    /// The server says that it validated the answer by DNSSEC.
    pub authenticated: bool,
}

/// Why a look-up found nothing to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupFault {
    /// NXDOMAIN.
    #[error("no such name")]
    NoSuchName,
    /// The name exists, without records of the kinds asked for.
    #[error("no records")]
    NoRecords,
    /// No server gave a usable answer.
    #[error("{kind}: {fault}")]
    Failed {
        /// The record type whose look-up failed.
        kind: RecordKind,
        /// How it failed.
        fault: DnsFault,
    },
}

/// An address that no DNS server can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address of a DNS server")]
pub struct BadServer(pub SocketAddr);

impl LookupFault {
    /// Tells whether asking again in some seconds may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoSuchName | Self::NoRecords => false,
            Self::Failed { fault, .. } => fault.is_transient(),
        }
    }
}

impl Resolver {
    /// Makes a resolver of the configured servers; without any, of the system's.
    ///
    /// # Errors
    ///
    /// [`BadServer`] for an address that no server can have.
    pub fn new(servers: &[SocketAddr], timeout: Duration) -> Result<Self, BadServer> {
        Self::with(ResolverConfig {
            servers: servers.to_vec(),
            timeout,
            ..ResolverConfig::default()
        })
    }

    /// Makes a resolver; no socket is opened before the first look-up.
    ///
    /// # Errors
    ///
    /// As [`Resolver::new`].
    pub fn with(config: ResolverConfig) -> Result<Self, BadServer> {
        for server in &config.servers {
            if server.port() == 0 || server.ip().is_unspecified() || server.ip().is_multicast() {
                return Err(BadServer(*server));
            }
        }
        let file = config
            .servers
            .is_empty()
            .then(|| Mutex::new(ResolverFile::new(config.resolver_file)));
        Ok(Self {
            servers: ArcSwap::from_pointee(servers(&config.servers)),
            file,
            repeat: config.repeat,
            timeout: config.timeout,
            trust_ad: config.trust_ad,
            #[cfg(feature = "dev")]
            hosts: config.hosts.filter(|_| config.servers.is_empty()),
            streams: Semaphore::new(STREAMS),
            counters: Arc::default(),
            health: Health::default(),
        })
    }

    /// Gives the counters, which the whole of validation shares.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// How its look-ups fared lately.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The addresses of the servers that are asked first: those that were silent last come after the others.
    pub(crate) fn first_servers(&self) -> Vec<SocketAddr> {
        let mut servers = self.servers().to_vec();
        servers.sort_by_key(|server| server.silent.load(Ordering::Relaxed) > 0);
        servers.iter().take(2).map(|s| s.address).collect()
    }

    /// Looks up the addresses of a name, A and AAAA side by side.
    ///
    /// One failed kind does not hide what the other found.
    ///
    /// # Errors
    ///
    /// [`LookupFault`] when there is no address at all.
    pub async fn addresses(
        &self,
        name: &str,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Addresses, LookupFault> {
        #[cfg(feature = "dev")]
        if let Some((found, why)) = self
            .hosts
            .as_deref()
            .and_then(|f| hosts_file::find(f, name))
        {
            trace.push(Step::NotLookedUp {
                name: name.to_owned(),
                why,
            });
            return Ok(Addresses {
                found,
                aliases: Vec::new(),
                authenticated: false,
            });
        }
        let (six, four) = tokio::join!(
            self.ask(name, RecordKind::Aaaa, deadline),
            self.ask(name, RecordKind::A, deadline),
        );
        for (kind, asked) in [(RecordKind::Aaaa, &six), (RecordKind::A, &four)] {
            trace.looked_up(looked_up(name, kind, asked));
        }
        let mut result = Addresses {
            found: Vec::new(),
            aliases: Vec::new(),
            authenticated: true,
        };
        let mut fault = None;
        for (kind, asked) in [(RecordKind::Aaaa, six), (RecordKind::A, four)] {
            match asked.result {
                Ok(answer) => {
                    result.authenticated &= answer.authenticated;
                    if answer.aliases.len() > result.aliases.len() {
                        result.aliases = answer.aliases;
                    }
                    match answer.finding {
                        Finding::Addresses(addresses) => result.found.extend(addresses),
                        Finding::NoSuchName => fault = fault.or(Some(LookupFault::NoSuchName)),
                        _ => {}
                    }
                }
                // A failure says less than NXDOMAIN, but more than NODATA of the other kind.
                Err(failed) => {
                    fault = Some(LookupFault::Failed {
                        kind,
                        fault: failed,
                    })
                }
            }
        }
        if result.found.is_empty() {
            return Err(fault.unwrap_or(LookupFault::NoRecords));
        }
        Ok(result)
    }

    /// Looks up the texts at a name.
    ///
    /// # Errors
    ///
    /// [`LookupFault`] when there is none.
    pub async fn texts(
        &self,
        name: &str,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Texts, LookupFault> {
        let kind = RecordKind::Txt;
        let asked = self.ask(name, kind, deadline).await;
        trace.looked_up(looked_up(name, kind, &asked));
        let answer = asked
            .result
            .map_err(|fault| LookupFault::Failed { kind, fault })?;
        match answer.finding {
            Finding::Texts(found) => Ok(Texts {
                found,
                aliases: answer.aliases,
                authenticated: answer.authenticated,
            }),
            Finding::NoSuchName => Err(LookupFault::NoSuchName),
            _ => Err(LookupFault::NoRecords),
        }
    }

    /// Looks up the CAA records at a name, aliases followed. Several may run at once, so the step of the trace is part
    /// of the answer.
    pub(super) async fn caa(
        &self,
        name: &str,
        deadline: Instant,
    ) -> (LookedUp, Result<Answer, DnsFault>) {
        let asked = self.ask(name, RecordKind::Caa, deadline).await;
        (looked_up(name, RecordKind::Caa, &asked), asked.result)
    }

    /// Asks for one kind, and on along aliases whose targets the servers said nothing about.
    async fn ask(&self, name: &str, kind: RecordKind, deadline: Instant) -> Asked {
        let began = Instant::now();
        let servers = u32::try_from(self.servers.load().len())
            .unwrap_or(u32::MAX)
            .max(1);
        let total = self.timeout.saturating_mul(servers).min(TOTAL);
        let deadline = deadline.min(began + total);
        let mut asked = Asked {
            result: Err(DnsFault::Timeout),
            server: None,
            took: Duration::ZERO,
        };
        let mut current = name.to_owned();
        let mut aliases: Vec<String> = Vec::new();
        // What one answer of the chain does not prove, the whole does not.
        let mut authenticated = self.trust_ad;
        asked.result = loop {
            let mut answer = match self
                .ask_servers(&current, kind, deadline, &mut asked.server)
                .await
            {
                Ok(answer) => answer,
                Err(fault) => break Err(fault),
            };
            aliases.append(&mut answer.aliases);
            authenticated &= answer.authenticated;
            // T-CA-77: the links of all answers together are bounded, and so are the queries.
            if aliases.len() > MAX_ALIASES {
                break Err(DnsFault::AliasChain);
            }
            match answer.finding {
                Finding::Alias(target) => {
                    let returns = target == name
                        || aliases.iter().filter(|alias| **alias == target).count() > 1;
                    if returns {
                        let mut chain = vec![name.to_owned()];
                        chain.append(&mut aliases);
                        break Err(DnsFault::AliasLoop(chained(&chain)));
                    }
                    current = target;
                }
                finding => {
                    break Ok(Answer {
                        finding,
                        aliases,
                        authenticated,
                    });
                }
            }
        };
        asked.took = began.elapsed();
        let silent = matches!(
            asked.result,
            Err(DnsFault::Timeout
                | DnsFault::Unreachable(_)
                | DnsFault::ServerFailure
                | DnsFault::Refused)
        );
        self.health.note(!silent, began);
        asked
    }

    /// Asks the servers one after another until one gives an answer.
    async fn ask_servers(
        &self,
        name: &str,
        kind: RecordKind,
        deadline: Instant,
        answered: &mut Option<SocketAddr>,
    ) -> Result<Answer, DnsFault> {
        let servers = self.servers();
        let mut worst = DnsFault::Timeout;
        let mut left: Vec<usize> = (0..servers.len()).collect();
        // Whoever left a query unanswered lately is asked last.
        left.sort_by_key(|i| {
            servers
                .get(*i)
                .is_some_and(|s| s.silent.load(Ordering::Relaxed) > 0)
        });
        let mailbox = Arc::new(Mailbox::default());
        let mut open: Vec<Option<Registered>> = servers.iter().map(|_| None).collect();
        for turn in 0.. {
            let Some(&index) = left.get(turn % left.len().max(1)) else {
                return Err(worst);
            };
            let Some(server) = servers.get(index) else {
                return Err(worst);
            };
            if turn < SENDS {
                match self
                    .send(server, index, name, kind, &mut open, &mailbox)
                    .await
                {
                    Ok(()) => {}
                    Err(fault @ DnsFault::NameTooLong) => return Err(fault),
                    Err(fault) => {
                        worst = fault;
                        left.retain(|i| *i != index);
                        continue;
                    }
                }
            }
            let sent = Instant::now();
            let until = if turn + 1 < SENDS {
                deadline.min(sent + server.patience(turn, self.repeat))
            } else {
                deadline
            };
            loop {
                let Ok((from, letter)) = timeout_at(until, mailbox.next()).await else {
                    server.silent.store(1, Ordering::Relaxed);
                    if Instant::now() >= deadline {
                        return Err(worst);
                    }
                    break;
                };
                let query = open
                    .get_mut(from)
                    .and_then(Option::take)
                    .map(|r| Arc::clone(&r.query));
                let (Some(sender), Some(query)) = (servers.get(from), query) else {
                    continue;
                };
                *answered = Some(sender.address);
                let result = match letter {
                    Letter::Unreachable => Err(DnsFault::Unreachable("refused".to_owned())),
                    Letter::Answer(bytes) => {
                        sender.silent.store(0, Ordering::Relaxed);
                        // A later answer may be one to the first sending or to the second.
                        if turn == 0 {
                            sender.learn(sent.elapsed());
                        }
                        match interpret(&query, &bytes) {
                            // T-CA-79: what cannot be trusted or did not fit is asked over TCP.
                            Err(DnsFault::Unproven | DnsFault::Truncated) => {
                                self.ask_stream(sender.address, name, kind, deadline).await
                            }
                            other => other,
                        }
                    }
                };
                match result {
                    Ok(answer) => return Ok(answer),
                    Err(fault) => worst = fault,
                }
                left.retain(|i| *i != from);
                if left.is_empty() {
                    return Err(worst);
                }
                if from == index {
                    break;
                }
            }
        }
        Err(worst)
    }

    /// Sends a query, or the open one again.
    async fn send(
        &self,
        server: &Server,
        index: usize,
        name: &str,
        kind: RecordKind,
        open: &mut [Option<Registered>],
        mailbox: &Arc<Mailbox>,
    ) -> Result<(), DnsFault> {
        let unreachable = |e: std::io::Error| DnsFault::Unreachable(e.kind().to_string());
        let Some(slot) = open.get_mut(index) else {
            return Err(DnsFault::Timeout);
        };
        if slot.is_some() {
            bump(&self.counters.dns_repeats);
        } else {
            let channel = server.channel(&self.counters).map_err(unreachable)?;
            for _ in 0..ID_DRAWS {
                let query = Arc::new(draw(name, kind)?);
                *slot = channel.register(query, index, mailbox);
                if slot.is_some() {
                    break;
                }
            }
        }
        match slot {
            // A left-over ICMP message of an earlier query may come up here: the answer, or
            // another refusal, still arrives by the receive task.
            Some(registered) => match registered.send().await {
                Err(e) if e.kind() != std::io::ErrorKind::ConnectionRefused => Err(unreachable(e)),
                _ => Ok(()),
            },
            None => Err(DnsFault::Unreachable("too many queries at once".to_owned())),
        }
    }

    /// Asks one server over TCP (RFC 7766), bounded by the length field and the deadline.
    async fn ask_stream(
        &self,
        server: SocketAddr,
        name: &str,
        kind: RecordKind,
        deadline: Instant,
    ) -> Result<Answer, DnsFault> {
        let query = draw(name, kind)?;
        bump(&self.counters.dns_tcp);
        let exchange = async {
            let _slot = self.streams.acquire().await;
            let mut stream = TcpStream::connect(server).await?;
            let length = u16::try_from(query.wire().len()).unwrap_or(u16::MAX);
            let mut message = Vec::with_capacity(query.wire().len() + 2);
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(query.wire());
            stream.write_all(&message).await?;
            let length = stream.read_u16().await?;
            // Grows with what really comes, not with what the length promises (T-CA-78).
            let mut answer = Vec::new();
            (&mut stream)
                .take(u64::from(length))
                .read_to_end(&mut answer)
                .await?;
            std::io::Result::Ok(answer)
        };
        match timeout_at(deadline, exchange).await {
            Err(_) => Err(DnsFault::Timeout),
            Ok(Err(e)) => Err(DnsFault::Unreachable(format!("TCP: {}", e.kind()))),
            Ok(Ok(answer)) => interpret_stream(&query, &answer),
        }
    }

    fn servers(&self) -> Arc<Vec<Arc<Server>>> {
        if let Some(file) = &self.file
            && let Some(addresses) = lock(file).changed(Instant::now())
        {
            self.servers.store(Arc::new(servers(&addresses)));
        }
        self.servers.load_full()
    }
}

/// One question with all that was done for it.
struct Asked {
    result: Result<Answer, DnsFault>,
    server: Option<SocketAddr>,
    took: Duration,
}

fn looked_up(name: &str, kind: RecordKind, asked: &Asked) -> LookedUp {
    let (answer, aliases) = match &asked.result {
        Ok(answer) => {
            let text = match &answer.finding {
                Finding::Addresses(found) => found.iter().map(ToString::to_string).collect(),
                Finding::Texts(texts) => texts
                    .iter()
                    .take(8)
                    .map(|text| super::trace::excerpt(text))
                    .collect(),
                Finding::Caa(records) => records.iter().take(8).map(ToString::to_string).collect(),
                Finding::NoSuchName => vec!["NXDOMAIN".to_owned()],
                Finding::NoRecords | Finding::Alias(_) => vec!["no records".to_owned()],
            };
            (text, answer.aliases.clone())
        }
        Err(fault) => (vec![fault.to_string()], Vec::new()),
    };
    LookedUp {
        name: name.to_owned(),
        kind,
        server: asked.server,
        answer,
        aliases,
        took_ms: super::trace::millis(asked.took),
    }
}

fn draw(name: &str, kind: RecordKind) -> Result<Query, DnsFault> {
    let mut random: QueryRandom = [0; 34];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| DnsFault::Unreachable("no random id could be drawn".to_owned()))?;
    Query::new(name, kind, &random)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long one look-up may take in all.
const TOTAL: Duration = Duration::from_secs(8);
/// Times that a query is sent at most, over all servers (T-CA-77).
const SENDS: usize = 4;
/// Draws of an id that is not in use; the chance that all fail is nil.
const ID_DRAWS: usize = 8;
/// Queries over TCP at once; each may hold an answer of 64 KiB.
const STREAMS: usize = 32;

#[cfg(test)]
mod tests;
