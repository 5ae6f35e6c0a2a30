//! What DNS says when it is asked once more after a failure, so that the text can name the cause rather than guess: with
//! DNSSEC checking off (RFC 4035 section 3.2.2), and at the zone's own servers. Nothing is decided by it, and no web
//! server is asked again.
//!
//! A zone's servers are named by whoever owns the zone, so their addresses are judged as any other (T-CA-64); questions,
//! servers and time are bounded, and no more than a few inquiries run at once (T-CA-77).

mod asker;
mod tell;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cairn_acme::identifier::DnsName;
use cairn_acme::problem::{Problem, ProblemType};
use cairn_acme::time::Timestamp;
use hickory_proto::rr::RecordType;
use tokio::time::{Instant, timeout_at};

use self::asker::{Asker, Silence};
use super::dns_message::{DnsFault, MAX_ALIASES, RecordKind};
use super::dns_question::{Asking, ROOT};
use super::dns_report::{Fact, Report, SERV_FAIL};
use super::host::Host;
use super::resolver::LookupFault;
use super::rules::{DNS, NameRules, covers};
use super::trace::Trace;
use super::{Failure, Validator};

/// A failure whose cause lies in the DNS, told so far as one look-up shows it.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    /// The problem's type.
    pub(super) problem: ProblemType,
    /// What was to be validated; the text begins with it.
    pub(super) subject: String,
    /// Whose records were looked up.
    pub(super) name: String,
    pub(super) kind: RecordKind,
    pub(super) what: Doubted,
    /// What failed.
    pub(super) cause: String,
    /// What helps, unless the inquiry knows better.
    pub(super) remedy: String,
    /// The value that a TXT record should have.
    pub(super) wanted: Option<String>,
    pub(super) transient: bool,
}

/// What the look-up ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubted {
    NoSuchName,
    NoRecords,
    Failed(DnsFault),
    /// There are texts, but none with the value.
    OtherTexts,
}

impl From<&LookupFault> for Doubted {
    fn from(fault: &LookupFault) -> Self {
        match fault {
            LookupFault::NoSuchName => Self::NoSuchName,
            LookupFault::NoRecords => Self::NoRecords,
            LookupFault::Failed { fault, .. } => Self::Failed(fault.clone()),
        }
    }
}

impl Doubt {
    /// The failure as it is told without an inquiry.
    pub(super) fn failure(self) -> Failure {
        let detail = format!("{}: {} {}", self.subject, self.cause, self.remedy);
        Failure {
            problem: Problem::new(self.problem.clone(), detail),
            transient: self.transient,
            doubt: Some(Box::new(self)),
        }
    }

    /// Whether the resolver gave no answer at all.
    fn is_of_silence(&self) -> bool {
        matches!(
            self.what,
            Doubted::Failed(DnsFault::Timeout | DnsFault::Unreachable(_))
        )
    }

    /// Whether another answer could tell more: a name that cannot be asked for, or a loop, is told already.
    fn is_open(&self) -> bool {
        !matches!(
            self.what,
            Doubted::Failed(DnsFault::NameTooLong | DnsFault::AliasLoop(_) | DnsFault::AliasChain)
        )
    }
}

/// What the questions found; each part is there only if it was asked for and time was left.
#[derive(Debug, Default)]
struct Findings {
    /// The CA's own resolver.
    resolver: Option<SocketAddr>,
    /// The same question once more.
    again: Option<Result<Report, Silence>>,
    /// The same with checking off.
    unchecked: Option<Result<Report, Silence>>,
    /// Something that every resolver answers.
    root: Option<Result<Report, Silence>>,
    /// From the name on, where aliases lead.
    chain: Vec<String>,
    /// At the end of the chain: what the CNAME question was answered with.
    end: Option<Result<Report, Silence>>,
    /// For CAA: the addresses of the same name.
    addresses: Option<Result<Report, Silence>>,
    /// Types that are there, where the ones asked for are not.
    types: Vec<RecordType>,
    /// Names beside one that does not exist.
    neighbours: Vec<String>,
    /// The zone, and its serial as the resolver has it.
    zone: Option<(String, Option<u32>)>,
    servers: Vec<ServerSaid>,
    /// Servers that were left out.
    more_servers: usize,
    /// Tags of the keys that the parent vouches for, and of those in the zone.
    delegated: Vec<u16>,
    keys: Vec<u16>,
}

/// A server's name, and the addresses that it has.
type Server = (String, Vec<IpAddr>);

/// One of the zone's own servers, and what it said.
#[derive(Debug)]
struct ServerSaid {
    name: String,
    said: Said,
}

#[derive(Debug)]
enum Said {
    NoAddress,
    /// The range in which it lies.
    NotPermitted(IpAddr, &'static str),
    Asked {
        address: IpAddr,
        answer: Result<Report, Silence>,
        serial: Option<u32>,
    },
}

impl Validator {
    /// Asks once more about a failure in the DNS that is final, and tells it with what was found. Ends within
    /// [`INQUIRY`], and at once where as many run as may.
    pub async fn inquire(
        &self,
        failure: Failure,
        rules: &NameRules,
        now: Timestamp,
        trace: &mut Trace,
    ) -> Problem {
        let Some(doubt) = failure.doubt.filter(|doubt| doubt.is_open()) else {
            return failure.problem;
        };
        let Ok(_place) = self.inquiries.try_acquire() else {
            return failure.problem;
        };
        let resolver = &self.dialer.resolver;
        let asker = Asker::new(resolver.first_servers(), self.counters.clone());
        let mut findings = Findings {
            resolver: asker.resolver(),
            ..Findings::default()
        };
        let end = Instant::now() + INQUIRY;
        // What was found until then counts.
        let judge = Judge::of(&doubt, rules);
        let _ = timeout_at(end, findings.gather(&asker, &doubt, &judge)).await;
        trace.steps.extend(asker.into_steps());
        let detail = tell::told(&doubt, &findings, now);
        if let Some(resolver) = findings
            .resolver
            .filter(|_| findings.is_resolver_silent() && doubt.is_of_silence())
        {
            tracing::error!(
                target: "cairn",
                %resolver,
                name = %doubt.name,
                "the resolver answers no question at all: every validation that needs DNS fails until it does"
            );
        }
        Problem {
            detail,
            ..failure.problem
        }
    }
}

/// Who decides where an inquiry may ask. A zone names its servers as it likes, so a server's own name grants nothing: what
/// counts is the name that is to be validated (T-CA-64).
struct Judge<'a> {
    rules: &'a NameRules,
    subject: Option<Host>,
}

impl<'a> Judge<'a> {
    fn of(doubt: &Doubt, rules: &'a NameRules) -> Self {
        let name = doubt.subject.trim_start_matches("*.");
        Self {
            rules,
            subject: DnsName::parse(name).ok().map(Host::Name),
        }
    }

    /// The address at which a server may be asked: the first that the rules let the subject lead to.
    fn permitted(&self, addresses: &[IpAddr]) -> Result<SocketAddr, Said> {
        let mut denied = Said::NoAddress;
        let Some(subject) = &self.subject else {
            return Err(denied);
        };
        for address in addresses.iter().take(ADDRESSES) {
            match self.rules.judge_name_server(subject, *address) {
                Ok(_) => return Ok(SocketAddr::new(*address, DNS)),
                Err(why) => denied = Said::NotPermitted(*address, why.range),
            }
        }
        Err(denied)
    }
}

impl Findings {
    /// Nothing came back, not even about the root.
    fn is_resolver_silent(&self) -> bool {
        [&self.again, &self.unchecked, &self.root]
            .iter()
            .all(|answer| matches!(answer, Some(Err(_))))
    }

    /// With checking off it is an answer, and without not: what fails is DNSSEC.
    fn is_bogus(&self) -> bool {
        matches!(&self.again, Some(Ok(again)) if again.code == SERV_FAIL)
            && matches!(&self.unchecked, Some(Ok(unchecked)) if unchecked.is_statement())
    }

    async fn gather(&mut self, asker: &Asker, doubt: &Doubt, judge: &Judge<'_>) {
        let kind = doubt.kind.record_type();
        let name = &doubt.name;
        // Side by side: where nobody answers, each of them takes its whole time.
        let (again, unchecked, root, alias, start) = tokio::join!(
            asker.ask(name, kind, Asking::Recursive),
            asker.ask(name, kind, Asking::Unchecked),
            asker.ask(ROOT, RecordType::NS, Asking::Recursive),
            asker.ask(name, RecordType::CNAME, Asking::Unchecked),
            asker.ask(name, RecordType::SOA, Asking::Unchecked),
        );
        self.again = Some(again);
        self.unchecked = Some(unchecked);
        self.root = Some(root);
        if self.is_resolver_silent() {
            return;
        }
        self.follow(asker, name, alias).await;
        self.look_beside(asker, doubt).await;
        let (end, start) = match self.chain.last() {
            None => (name.clone(), start),
            Some(end) => (
                end.clone(),
                asker.ask(end, RecordType::SOA, Asking::Unchecked).await,
            ),
        };
        let servers = self.find_servers(asker, &end, start, judge).await;
        if self.is_bogus() {
            self.look_at_keys(asker).await;
        }
        self.ask_servers(asker, &end, kind, servers, judge).await;
    }

    /// Follows aliases link by link: a resolver that fails at the end of a chain says nothing of the chain.
    async fn follow(&mut self, asker: &Asker, name: &str, first: Result<Report, Silence>) {
        let (mut current, mut answer) = (name.to_owned(), first);
        loop {
            let target = answer
                .as_ref()
                .ok()
                .and_then(|report| report.alias_of(&current));
            match target {
                Some(target)
                    if self.chain.len() < MAX_ALIASES
                        && !self.chain.iter().any(|seen| seen == target) =>
                {
                    current = target.to_owned();
                    self.chain.push(current.clone());
                }
                _ => {
                    self.end = Some(answer);
                    return;
                }
            }
            answer = asker
                .ask(&current, RecordType::CNAME, Asking::Unchecked)
                .await;
        }
    }

    /// What else is there, for the kinds of failure where that tells something.
    async fn look_beside(&mut self, asker: &Asker, doubt: &Doubt) {
        let is_address = matches!(doubt.kind, RecordKind::A | RecordKind::Aaaa);
        match doubt.what {
            Doubted::Failed(_) if doubt.kind == RecordKind::Caa => {
                let answer = asker.ask(&doubt.name, RecordType::A, Asking::Recursive);
                self.addresses = Some(answer.await);
            }
            Doubted::NoRecords if is_address => {
                for kind in [RecordType::TXT, RecordType::MX, RecordType::NS] {
                    let answer = asker.ask(&doubt.name, kind, Asking::Unchecked).await;
                    if answer.is_ok_and(|report| report.has(kind)) {
                        self.types.push(kind);
                    }
                }
            }
            Doubted::NoSuchName if is_address => {
                let near = match doubt.name.strip_prefix("www.") {
                    Some(without) => without.to_owned(),
                    None => format!("www.{}", doubt.name),
                };
                let answer = asker.ask(&near, RecordType::A, Asking::Unchecked).await;
                if answer.is_ok_and(|report| report.addresses().next().is_some()) {
                    self.neighbours.push(near);
                }
            }
            _ => {}
        }
    }

    /// Finds the zone of a name and its servers with their addresses: by the zone's own word, else by the word of the
    /// servers above it, for a zone whose servers all fail says nothing of itself.
    async fn find_servers(
        &mut self,
        asker: &Asker,
        name: &str,
        start: Result<Report, Silence>,
        judge: &Judge<'_>,
    ) -> Vec<Server> {
        if let Ok(report) = start
            && let Some((zone, serial)) = report.zone()
            && covers(zone, name)
        {
            let zone = zone.to_owned();
            self.zone = Some((zone.clone(), Some(serial)));
            let servers = name_servers(asker, &zone).await;
            return self.with_addresses(asker, servers).await;
        }
        let mut above = name;
        for _ in 0..CLIMB {
            let Some((_, parent)) = above.split_once('.') else {
                break;
            };
            above = parent;
            let servers = name_servers(asker, above).await;
            if servers.is_empty() {
                continue;
            }
            self.zone = Some((above.to_owned(), None));
            let known = self.with_addresses(asker, servers).await;
            let refer = async |server: Option<&Server>| {
                let (_, addresses) = server?;
                let address = judge.permitted(addresses).ok()?;
                let asked = asker.at(address, name, RecordType::NS, Asking::Direct);
                delegation(&asked.await.ok()?, above, name)
            };
            let (first, second) = tokio::join!(refer(known.first()), refer(known.get(1)));
            if let Some((zone, delegated)) = first.or(second) {
                self.zone = Some((zone, None));
                let (mut known, bare): (Vec<Server>, Vec<Server>) =
                    delegated.into_iter().partition(|(_, a)| !a.is_empty());
                let bare = bare.into_iter().map(|(server, _)| server).collect();
                known.extend(self.with_addresses(asker, bare).await);
                return known;
            }
            return known;
        }
        Vec::new()
    }

    /// Looks the addresses of some servers up.
    async fn with_addresses(&mut self, asker: &Asker, mut servers: Vec<String>) -> Vec<Server> {
        self.more_servers = servers.len().saturating_sub(SERVERS);
        servers.truncate(SERVERS);
        let mut known = Vec::new();
        for server in servers {
            let (four, six) = tokio::join!(
                asker.ask(&server, RecordType::A, Asking::Unchecked),
                asker.ask(&server, RecordType::AAAA, Asking::Unchecked),
            );
            let both = four.into_iter().chain(six);
            let addresses = both.flat_map(|report| report.addresses().collect::<Vec<_>>());
            known.push((server, addresses.collect()));
        }
        known
    }

    /// Which keys the parent vouches for and which there are.
    async fn look_at_keys(&mut self, asker: &Asker) {
        let Some((zone, _)) = &self.zone else {
            return;
        };
        let (delegated, keys) = tokio::join!(
            asker.ask(zone, RecordType::DS, Asking::Unchecked),
            asker.ask(zone, RecordType::DNSKEY, Asking::Unchecked),
        );
        let tags = |answer: Result<Report, Silence>| {
            let mut tags: Vec<u16> = answer
                .iter()
                .flat_map(|report| &report.answers)
                .filter_map(|item| match item.fact {
                    Fact::Delegated(tag) | Fact::Key(tag) => Some(tag),
                    _ => None,
                })
                .take(SERVERS)
                .collect();
            tags.dedup();
            tags
        };
        (self.delegated, self.keys) = (tags(delegated), tags(keys));
    }

    /// Asks each server itself, all at once.
    async fn ask_servers(
        &mut self,
        asker: &Asker,
        name: &str,
        kind: RecordType,
        servers: Vec<Server>,
        judge: &Judge<'_>,
    ) {
        let Some((zone, _)) = self.zone.clone() else {
            return;
        };
        let mut servers = servers.into_iter();
        let mut next = || ask_server(asker, servers.next(), (&zone, name, kind), judge);
        // As many as SERVERS.
        let all = [next(), next(), next(), next()];
        let [a, b, c, d] = all;
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        self.servers.extend([a, b, c, d].into_iter().flatten());
    }
}

/// Asks one server for what was looked up, and for the serial of its zone.
async fn ask_server(
    asker: &Asker,
    server: Option<Server>,
    (zone, name, kind): (&str, &str, RecordType),
    judge: &Judge<'_>,
) -> Option<ServerSaid> {
    let (server, addresses) = server?;
    let said = match judge.permitted(&addresses) {
        Err(said) => said,
        Ok(address) => {
            let (answer, start) = tokio::join!(
                asker.at(address, name, kind, Asking::Direct),
                asker.at(address, zone, RecordType::SOA, Asking::Direct),
            );
            let serial = start.ok().and_then(|report| {
                let (owner, serial) = report.zone()?;
                (owner == zone).then_some(serial)
            });
            Said::Asked {
                address: address.ip(),
                answer,
                serial,
            }
        }
    };
    Some(ServerSaid { name: server, said })
}

/// The names of a zone's servers, as the resolver has them.
async fn name_servers(asker: &Asker, zone: &str) -> Vec<String> {
    let Ok(report) = asker.ask(zone, RecordType::NS, Asking::Unchecked).await else {
        return Vec::new();
    };
    let servers = report
        .answers
        .into_iter()
        .filter_map(|item| match item.fact {
            Fact::NameServer(server) if item.owner == zone => Some(server),
            _ => None,
        });
    let mut servers: Vec<String> = servers.collect();
    servers.sort();
    servers.dedup();
    servers
}

/// A referral to a zone between one that is known and a name, with those addresses that came along and are the known zone's
/// to tell.
fn delegation(report: &Report, above: &str, name: &str) -> Option<(String, Vec<Server>)> {
    let named = || {
        let all = report.authorities.iter().chain(&report.answers);
        all.filter_map(|item| match &item.fact {
            Fact::NameServer(server) => Some((item.owner.as_str(), server)),
            _ => None,
        })
    };
    let (zone, _) = named()
        .find(|(owner, _)| *owner != above && covers(above, owner) && covers(owner, name))?;
    let servers = named().filter(|(owner, _)| *owner == zone).take(SERVERS);
    let with_glue = servers.map(|(_, server)| {
        let glue = report
            .additionals
            .iter()
            .filter(|item| item.owner == *server && covers(above, &item.owner));
        let addresses = glue.filter_map(|item| match item.fact {
            Fact::Address(address) => Some(address),
            _ => None,
        });
        (server.clone(), addresses.collect())
    });
    Some((zone.to_owned(), with_glue.collect()))
}

/// The longest that an inquiry takes.
const INQUIRY: Duration = Duration::from_secs(5);
/// Inquiries at once over the whole server; a failure beyond them is told without one.
pub(super) const INQUIRIES: usize = 16;
/// Servers of a zone that are asked.
const SERVERS: usize = 4;
/// Addresses of one server that are looked at.
const ADDRESSES: usize = 4;
/// Names above one that does not answer where its zone is looked for.
const CLIMB: usize = 5;

#[cfg(test)]
mod tests;
