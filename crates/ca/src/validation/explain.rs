//! How a failed attempt is told to the subscriber, http-01's whole and what it shares with the others: what failed, the evidence, the remedy
//! (voice.md), and nothing that would make the CA a port scanner or a reader of inside pages
//! (T-CA-69, design section 2.4).

mod content;
mod dial;

use std::net::{IpAddr, SocketAddr};

use cairn_acme::problem::ProblemType;

use self::content::{evidence, fingerprint, status_evidence, status_remedy};
use super::Failure;
use super::dialer::{ConnectFault, DialFault};
use super::host::Host;
use super::http_answer::{Head, HttpFault};
use super::redirect::{NotFollowed, Target};
use super::trace::excerpt;

pub(super) use self::dial::{dns_remedy, failures, tell_dial};

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
    /// All addresses of the hop.
    pub(super) resolved: &'a [IpAddr],
    /// What the file should hold.
    pub(super) expected: &'a str,
}

/// What ended an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Dial(DialFault),
    Tls(String),
    TlsTimeout,
    Http {
        fault: HttpFault,
        /// Octets that came before it.
        received: usize,
    },
    NotFollowed {
        status: u16,
        location: Vec<u8>,
        why: NotFollowed,
    },
    Status {
        head: Head,
        /// What of it was there with the head.
        body: Vec<u8>,
    },
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
        let after = match self.redirects {
            0 => String::new(),
            1 => format!(" (after a redirect to {})", self.url()),
            n => format!(" (after {n} redirects, the last to {})", self.url()),
        };
        let (kind, what, transient) = match cause {
            Cause::Dial(fault) => {
                return tell_dial(self.host, &self.target.host, fault, "a web server", &after);
            }
            Cause::Tls(error) => self.explain_tls(error),
            Cause::TlsTimeout => (
                ProblemType::Tls,
                format!(
                    "{}the TLS handshake did not end in time. See what listens there.",
                    self.answerer()
                ),
                true,
            ),
            Cause::Http { fault, received } => self.explain_http(fault, *received),
            Cause::NotFollowed {
                status,
                location,
                why,
            } => self.explain_redirect(*status, location, *why),
            Cause::Status { head, body } => self.explain_status(head, body),
            Cause::OtherBody {
                head,
                body,
                is_over,
            } => self.explain_body(head, body, *is_over),
        };
        let detail = format!("{}: {what}{}{after}", self.host, self.other_family());
        Failure::plain(kind, detail, transient)
    }

    /// There is no fallback once a server has answered, so an old IPv6 address hides a good IPv4 one.
    fn other_family(&self) -> String {
        let (Some(answered), true) = (self.answered, self.failed.is_empty()) else {
            return String::new();
        };
        let four: Vec<String> = self
            .resolved
            .iter()
            .filter(|ip| ip.is_ipv4())
            .take(2)
            .map(IpAddr::to_string)
            .collect();
        if answered.is_ipv4() || four.is_empty() {
            return String::new();
        }
        format!(
            " IPv6 is asked first, and its answer counts: {} (A) was not asked. If {} (AAAA) is another server, remove \
             that record.",
            four.join(" and "),
            answered.ip()
        )
    }

    /// One text, one type and one verdict for all that can happen elsewhere, so that nothing can
    /// be learned of hosts that the subscriber has shown no right to.
    fn tell_foreign(&self) -> Failure {
        // "https://NAME" and the path without a slash between them: seen by the Location alone.
        let glued = self
            .target
            .host
            .to_string()
            .strip_prefix(&self.host.to_string())
            .is_some_and(|rest| rest == ".well-known");
        let remedy = if glued {
            format!(
                "A slash is missing in the redirect rule, which glues the path to the host: let it lead to \
                 https://{}/ and the path (nginx: \"return 301 https://$host$request_uri;\").",
                self.host
            )
        } else {
            format!(
                "Serve the file under {} itself, or let that server have it.",
                self.host
            )
        };
        let detail = format!(
            "{}: the request was redirected to {}, which was not reachable, not permitted, or did \
             not have the file. {remedy}",
            self.host,
            self.url(),
        );
        Failure::plain(ProblemType::Connection, detail, false)
    }

    fn explain_tls(&self, error: &str) -> (ProblemType, String, bool) {
        let what = format!(
            "{}the TLS handshake failed: {error}. Any certificate would do here; serve \
             the file over plain HTTP, or repair TLS on that server.",
            self.answerer()
        );
        (ProblemType::Tls, what, false)
    }

    fn explain_http(&self, fault: &HttpFault, received: usize) -> (ProblemType, String, bool) {
        let remedy = match fault {
            HttpFault::Timeout if received == 0 => {
                "The connection stood, so no firewall is in the way, but not one octet came back: the program there \
                 hangs. See its log and its workers; it has to answer with HTTP within 10 seconds."
                    .to_owned()
            }
            HttpFault::Short | HttpFault::Broken(_) => format!(
                "The connection stood, and was cut after the request ({received} octets came back): by the server, or by \
                 a filter before it. Exempt /.well-known/acme-challenge/ from rules that do so."
            ),
            HttpFault::NotHttp(said) if said.starts_with("\\x15\\x03") || said.starts_with("\\x16\\x03") => {
                "That is TLS: the port speaks HTTPS only. Take the TLS (\"ssl\") off port 80, or leave port 80 to plain \
                 HTTP."
                    .to_owned()
            }
            _ => "See what listens there; it has to answer with HTTP within 10 seconds.".to_owned(),
        };
        let what = format!(
            "{}there was {} for {}. {remedy}",
            self.answerer(),
            http_fault(fault),
            self.url()
        );
        (ProblemType::Connection, what, fault.is_transient())
    }

    fn explain_redirect(
        &self,
        status: u16,
        location: &[u8],
        why: NotFollowed,
    ) -> (ProblemType, String, bool) {
        let remedy = match why {
            NotFollowed::Loop => {
                "Remove the redirect that leads back, or exempt /.well-known/acme-challenge/ from it."
            }
            NotFollowed::Port => {
                "Drop the port from the redirect, or exempt /.well-known/acme-challenge/ from it."
            }
            _ => {
                "Redirect to http or https on the usual ports of a host name, or exempt \
                 /.well-known/acme-challenge/ from the redirect."
            }
        };
        let what = format!(
            "{}the redirect was not followed: {why}. The answer was {status} to \"{}\". {remedy}",
            self.answerer(),
            excerpt(location)
        );
        (ProblemType::Connection, what, false)
    }

    fn explain_status(&self, head: &Head, body: &[u8]) -> (ProblemType, String, bool) {
        let what = format!(
            "{} {}answered {} for {}{}. {}",
            if head.status == 404 || head.status == 410 {
                "the file was not there."
            } else {
                "the file could not be fetched."
            },
            self.who(),
            head.status,
            self.url(),
            status_evidence(head, body),
            status_remedy(head, body),
        );
        (ProblemType::Unauthorized, what, false)
    }

    fn explain_body(&self, head: &Head, body: &[u8], is_over: bool) -> (ProblemType, String, bool) {
        let url = self.url();
        let redirected_to = (self.redirects > 0).then_some(url.as_str());
        let (what, mut why) = fingerprint(head, body, is_over, self.expected, redirected_to);
        if !why.is_empty() {
            why.push(' ');
        }
        let what = format!(
            "the file has other content. {}answered for {url}{} with {what} instead of the key \
             authorization. {why}Serve the key authorization of this challenge and this \
             account there, as the only content.",
            self.who(),
            evidence(head),
        );
        (ProblemType::Unauthorized, what, false)
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

fn http_fault(fault: &HttpFault) -> String {
    match fault {
        HttpFault::Short => "no complete answer: the connection ended early".to_owned(),
        HttpFault::Broken(kind) => format!("no complete answer: the connection broke ({kind})"),
        other => other.to_string(),
    }
}

fn shorten(url: &str) -> String {
    let mut text: String = url.chars().take(URL_SHOWN).collect();
    if text.len() < url.len() {
        text.push('…');
    }
    text
}

/// A URL's octets in a text.
const URL_SHOWN: usize = 160;
