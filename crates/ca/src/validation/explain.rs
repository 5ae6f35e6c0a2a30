//! How a failed attempt is told to the subscriber, http-01's whole and what it shares with the others: what failed, the evidence, the remedy
//! (voice.md), and nothing that would make the CA a port scanner or a reader of inside pages
//! (T-CA-69, design section 2.4).

use std::net::{IpAddr, SocketAddr};

use cairn_acme::problem::{Problem, ProblemType};

use super::Failure;
use super::dialer::{ConnectFault, DialFault};
use super::dns_message::DnsFault;
use super::host::Host;
use super::http_answer::{Head, HttpFault};
use super::redirect::{NotFollowed, Target};
use super::resolver::LookupFault;
use super::rules::Denied;
use super::trace::excerpt;

/// Everything that the text is made of.
pub(super) struct Story<'a> {
    /// What is to be validated.
    pub(super) host: &'a Host,
    /// The target of the hop that failed.
    pub(super) target: &'a Target,
    /// Redirects before it.
    pub(super) redirects: usize,
    /// The address that the hop's answer came from.
    pub(super) answered: Option<SocketAddr>,
    /// Addresses of the hop that could not be connected to.
    pub(super) failed: &'a [(SocketAddr, ConnectFault)],
}

/// What ended an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Dial(DialFault),
    Tls(String),
    TlsTimeout,
    Http(HttpFault),
    NotFollowed {
        status: u16,
        location: Vec<u8>,
        why: NotFollowed,
    },
    Status(Head),
    OtherBody {
        head: Head,
        body: Vec<u8>,
        is_over: bool,
    },
}

impl Story<'_> {
    /// Tells whether the hop lies under the host that the subscriber is to show control of.
    fn is_own(&self) -> bool {
        self.host.speaks_for(&self.target.host)
    }

    /// Makes the problem document's content.
    pub(super) fn tell(&self, cause: &Cause) -> Failure {
        if !self.is_own() {
            return self.tell_foreign();
        }
        let (kind, what, transient) = self.explain(cause);
        let after = match self.redirects {
            0 => String::new(),
            1 => format!(" (after a redirect to {})", self.url()),
            n => format!(" (after {n} redirects, the last to {})", self.url()),
        };
        let detail = format!("{}: {what}{after}", self.host);
        Failure {
            problem: Problem::new(kind, detail),
            transient,
        }
    }

    /// One text, one type and one verdict for all that can happen elsewhere, so that nothing can
    /// be learned of hosts that the subscriber has shown no right to.
    fn tell_foreign(&self) -> Failure {
        let detail = format!(
            "{}: the request was redirected to {}, which was not reachable, not permitted, or did \
             not have the file. Serve the file under {} itself, or let that server have it.",
            self.host,
            self.url(),
            self.host,
        );
        Failure {
            problem: Problem::new(ProblemType::Connection, detail),
            transient: false,
        }
    }

    fn explain(&self, cause: &Cause) -> (ProblemType, String, bool) {
        match cause {
            Cause::Dial(fault) => explain_dial(&self.target.host, fault, "a web server"),
            Cause::Tls(error) => (
                ProblemType::Tls,
                format!(
                    "{}the TLS handshake failed: {error}. Any certificate would do here; serve \
                     the file over plain HTTP, or repair TLS on that server.",
                    self.answerer()
                ),
                false,
            ),
            Cause::TlsTimeout => (
                ProblemType::Tls,
                format!(
                    "{}the TLS handshake did not end in time. See what listens there.",
                    self.answerer()
                ),
                true,
            ),
            Cause::Http(fault) => (
                ProblemType::Connection,
                format!(
                    "{}there was {} for {}. See what listens there; it has to answer with HTTP \
                     within 10 seconds.",
                    self.answerer(),
                    http_fault(fault),
                    self.url()
                ),
                fault.is_transient(),
            ),
            Cause::NotFollowed {
                status,
                location,
                why,
            } => (
                ProblemType::Connection,
                format!(
                    "{}the redirect was not followed: {why}. The answer was {status} to \"{}\". \
                     Redirect to http or https on the usual ports of a host name, or exempt \
                     /.well-known/acme-challenge/ from the redirect.",
                    self.answerer(),
                    excerpt(location)
                ),
                false,
            ),
            Cause::Status(head) => (
                ProblemType::Unauthorized,
                format!(
                    "{} {}answered {} for {}{}. Put the challenge where that server looks, or \
                     point the name at the server that has it.",
                    if head.status == 404 || head.status == 410 {
                        "the file was not there."
                    } else {
                        "the file could not be fetched."
                    },
                    self.who(),
                    head.status,
                    self.url(),
                    evidence(head),
                ),
                false,
            ),
            Cause::OtherBody {
                head,
                body,
                is_over,
            } => (
                ProblemType::Unauthorized,
                format!(
                    "the file has other content. {}answered for {}{} with {} instead of the key \
                     authorization. Serve the key authorization of this challenge and this \
                     account there, as the only content.",
                    self.who(),
                    self.url(),
                    evidence(head),
                    content(body, *is_over),
                ),
                false,
            ),
        }
    }

    /// The URL of the hop; its path is the redirecting server's.
    fn url(&self) -> String {
        shorten(&self.target.to_string())
    }

    /// The addresses tried, then the one that the story is about, ready for a verb.
    fn who(&self) -> String {
        let address = self
            .answered
            .map_or_else(String::new, |address| format!("{address} "));
        if self.failed.is_empty() {
            return address;
        }
        format!("{}; {address}", failures(self.failed))
    }

    fn answerer(&self) -> String {
        let address = self
            .answered
            .map_or_else(String::new, |address| format!("at {address} "));
        if self.failed.is_empty() {
            return address;
        }
        format!("{}; {address}", failures(self.failed))
    }
}

/// Why there is no connection; `what` is what should listen there.
pub(super) fn explain_dial(
    host: &Host,
    fault: &DialFault,
    what: &str,
) -> (ProblemType, String, bool) {
    match fault {
        DialFault::Lookup(LookupFault::NoSuchName) => (
            ProblemType::Dns,
            format!(
                "{host} has no DNS entry: the answer was NXDOMAIN. Add an A or AAAA record, \
                 or correct the spelling."
            ),
            false,
        ),
        DialFault::Lookup(LookupFault::NoRecords) => (
            ProblemType::Dns,
            format!("{host} exists in DNS, but has neither an A nor an AAAA record. Add one."),
            false,
        ),
        DialFault::Lookup(failed @ LookupFault::Failed { kind, fault }) => (
            ProblemType::Dns,
            format!(
                "the look-up of {kind} records of {host} failed: {}",
                dns_fault(fault)
            ),
            failed.is_transient(),
        ),
        DialFault::Localhost => (
            ProblemType::Dns,
            "names under localhost lead to this CA's own host, and no rule of this CA allows \
             that. Use a name with an address of its own, or add a [[names]] rule with that \
             suffix."
                .to_owned(),
            false,
        ),
        DialFault::NotPermitted(denied) if matches!(host, Host::Address(_)) => (
            ProblemType::Connection,
            format!(
                "this CA may not connect to {}. Ask its operator for an [[addresses]] rule \
                 that grants the range.",
                list(denied)
            ),
            false,
        ),
        DialFault::NotPermitted(denied) => (
            ProblemType::Dns,
            format!(
                "{host} leads to {}, where this CA may not connect for this name. Point the \
                 name at an address that this CA may reach, or ask its operator for a rule \
                 that grants the range.",
                list(denied)
            ),
            false,
        ),
        DialFault::NoConnection(failed) => (
            ProblemType::Connection,
            format!(
                "no connection. {}. See that {what} listens there and that no firewall stands \
                 before it{}.",
                failures(failed),
                if matches!(host, Host::Name(_))
                    && failed.iter().any(|(address, _)| address.is_ipv6())
                {
                    "; IPv6 is tried first, so an AAAA record has to be right as well"
                } else {
                    ""
                }
            ),
            !failed.iter().all(|(_, fault)| *fault == ConnectFault::Own),
        ),
    }
}

pub(super) fn failures(failed: &[(SocketAddr, ConnectFault)]) -> String {
    let each: Vec<String> = failed
        .iter()
        .map(|(address, fault)| format!("{address} {fault}"))
        .collect();
    each.join("; ")
}

/// Names the ranges, never whether something answers there.
fn list(denied: &[(IpAddr, Denied)]) -> String {
    let mut each: Vec<String> = denied
        .iter()
        .take(4)
        .map(|(ip, why)| format!("{ip} ({})", why.range))
        .collect();
    if denied.len() > each.len() {
        each.push(format!("{} more", denied.len() - each.len()));
    }
    each.join(" and ")
}

/// The headers that help to find out which server answered.
fn evidence(head: &Head) -> String {
    let quoted: Vec<String> = EVIDENCE
        .iter()
        .filter_map(|(name, shown)| {
            let value = head.header(name)?;
            Some(format!("{shown}{}", excerpt(value)))
        })
        .chain(head.header("www-authenticate").and_then(realm))
        .collect();
    if quoted.is_empty() {
        String::new()
    } else {
        format!(" ({})", quoted.join(", "))
    }
}

/// The realm alone: the rest of WWW-Authenticate may carry nonces and tokens.
fn realm(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (_, realm) = text.split_once("realm=\"")?;
    let (realm, _) = realm.split_once('"')?;
    Some(format!("realm {}", excerpt(realm.as_bytes())))
}

fn content(body: &[u8], is_over: bool) -> String {
    match (body.is_empty(), is_over) {
        (true, _) => "an empty body".to_owned(),
        (false, true) => format!(
            "more than 1024 octets that begin with \"{}\"",
            excerpt(body)
        ),
        (false, false) => format!("\"{}\"", excerpt(body)),
    }
}

fn http_fault(fault: &HttpFault) -> String {
    match fault {
        HttpFault::Short => "no complete answer: the connection ended early".to_owned(),
        HttpFault::Broken(kind) => format!("no complete answer: the connection broke ({kind})"),
        other => other.to_string(),
    }
}

pub(super) fn dns_fault(fault: &DnsFault) -> String {
    let remedy = match fault {
        DnsFault::ServerFailure => {
            "The zone's name servers fail or its DNSSEC signatures do not verify; their operator \
             has to repair that."
        }
        DnsFault::Timeout | DnsFault::Unreachable(_) => {
            "Either the zone's name servers or this CA's resolver do not answer; try again later."
        }
        DnsFault::AliasLoop(_) | DnsFault::AliasChain => "Correct the CNAME records.",
        _ => "The zone's name servers have to give a proper answer.",
    };
    format!("{fault}. {remedy}")
}

fn shorten(url: &str) -> String {
    let mut text: String = url.chars().take(URL_SHOWN).collect();
    if text.len() < url.len() {
        text.push('…');
    }
    text
}

/// Headers quoted, and the words before them.
const EVIDENCE: [(&str, &str); 4] = [
    ("server", ""),
    ("content-type", "type "),
    ("location", "location "),
    ("retry-after", "retry after "),
];
/// A URL's octets in a text.
const URL_SHOWN: usize = 160;
