//! Validation: does the subscriber control the name? (RFC 8555 section 8; design section 2.4)
//!
//! [`Validator::attempt`] makes one attempt and keeps its [`Trace`](trace::Trace); [`schedule`]
//! says when the next one is due. Who may be dialled for which name is decided in [`rules`].
//! http-01, dns-01 and tls-alpn-01 share the resolver; the two that connect share the dialer. CAA is asked beside them.

mod caa;
mod counters;
mod dialer;
mod dns01;
mod dns_channel;
pub mod dns_message;
mod dns_question;
mod dns_report;
mod dns_server;
pub(crate) mod driver;
mod explain;
mod fuzz;
mod health;
mod host;
#[cfg(feature = "dev")]
mod hosts_file;
mod http01;
pub mod http_answer;
mod http_fetch;
mod inquiry;
mod limits;
mod overheard;
mod places;
mod redirect;
pub mod resolver;
mod resolver_file;
pub mod rules;
pub mod schedule;
mod special;
#[cfg(test)]
mod testing;
mod tls;
mod tls_alpn01;
pub mod trace;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cairn_acme::base64url;
use cairn_acme::challenge::{ChallengeType, Token, digest_of};
use cairn_acme::identifier::Identifier;
use cairn_acme::problem::{Problem, ProblemType};
use cairn_acme::time::Timestamp;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::dialer::Dialer;
use self::inquiry::Doubt;
use self::limits::TargetLimits;
use self::tls::Possession;
use self::trace::Trace;

use crate::model;

pub use self::caa::{CaaAttempt, CaaQuestion};
pub use self::counters::Counters;
pub use self::driver::ValidationDriver;
pub use self::fuzz::{fuzz_dns_answer, fuzz_http_head};
pub use self::health::Health;
pub use self::host::Host;
pub use self::resolver::Resolver;
#[cfg(feature = "dev")]
pub use self::rules::Ports;
pub use self::rules::{AddressRule, NameRule, NameRules};
pub use self::schedule::{Next, Outcome, Schedule};
pub(crate) use self::special::is_global;

/// What one validator allows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections to one address at once, over all accounts (T-CA-72).
    pub per_target: usize,
    /// The longest that one attempt may run (T-CA-68).
    pub attempt: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            per_target: 64,
            attempt: schedule::ATTEMPT,
        }
    }
}

/// What is to be validated.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is to be shown; a wildcard where the authorization is one.
    pub identifier: Identifier,
    /// The method.
    pub challenge: ChallengeType,
    /// The challenge's token.
    pub token: Token,
    /// The key authorization as it stood when the response arrived (RFC 8555 section 8.1).
    pub key_authorization: String,
}

impl Job {
    /// The SHA-256 of the key authorization.
    fn digest(&self) -> [u8; 32] {
        digest_of(&self.key_authorization)
    }

    /// The content of the TXT record that answers dns-01 (RFC 8555 section 8.4).
    fn txt_value(&self) -> String {
        base64url::encode(&self.digest())
    }
}

/// How an attempt ended, and all that was seen.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Evidence of control, or why there is none.
    pub outcome: Result<Evidence, Failure>,
    /// For the operator alone.
    pub trace: Trace,
}

#[cfg(feature = "dev")]
impl Attempt {
    /// A success for which nothing was asked: a test CA's alone.
    fn believed(job: &Job) -> Self {
        Self {
            outcome: Ok(Evidence {
                method: job.challenge,
                resolved: Vec::new(),
                addresses: Vec::new(),
                place: "nowhere: this test CA believes everybody".to_owned(),
                authenticated_dns: false,
            }),
            trace: Trace::default(),
        }
    }
}

/// What showed control; kept with the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The method.
    pub method: ChallengeType,
    /// The addresses that the names led to, over all hops.
    pub resolved: Vec<IpAddr>,
    /// The addresses that answered, one for each hop.
    pub addresses: Vec<SocketAddr>,
    /// What had the answer: a URL, a DNS name or a TLS server.
    pub place: String,
    /// The DNS answers were validated by DNSSEC, says the resolver.
    pub authenticated_dns: bool,
}

impl Evidence {
    /// Makes what the store keeps of it.
    pub fn into_model(self, validated_at: Timestamp) -> model::Evidence {
        let dnssec = if self.authenticated_dns {
            ", DNSSEC"
        } else {
            ""
        };
        model::Evidence {
            method: model::Method::Challenge(self.method),
            validated_at,
            addresses: self.addresses.iter().map(SocketAddr::ip).collect(),
            detail: format!("{}{dnssec}", self.place),
            caa: None,
        }
    }
}

/// Why control was not shown.
#[derive(Clone, Debug)]
pub struct Failure {
    /// For the subscriber: cause, evidence, remedy, within what may be disclosed.
    pub problem: Problem,
    /// Another attempt in some seconds may fare better.
    pub transient: bool,
    /// What DNS may be asked once more about, before the failure is told for good.
    doubt: Option<Box<Doubt>>,
}

impl Failure {
    /// A failure that says all there is to say.
    fn plain(kind: ProblemType, detail: String, transient: bool) -> Self {
        Self {
            problem: Problem::new(kind, detail),
            transient,
            doubt: None,
        }
    }

    /// Adds a sentence, however the failure comes to be told.
    fn add(&mut self, sentence: &str) {
        self.problem.detail.push_str(sentence);
        if let Some(doubt) = &mut self.doubt {
            doubt.cause.push_str(sentence);
        }
    }
}

/// Makes attempts; one for the whole server.
#[derive(Debug)]
pub struct Validator {
    dialer: Dialer,
    tls: Arc<ClientConfig>,
    tls_alpn: Arc<ClientConfig>,
    attempt: Duration,
    /// Inquiries after failures that may run at once.
    inquiries: Semaphore,
    counters: Arc<Counters>,
}

impl Validator {
    /// Makes a validator with the usual bounds; it opens no socket before its first attempt.
    pub fn new(resolver: Resolver) -> Self {
        Self::with_bounds(resolver, Bounds::default())
    }

    /// Makes a validator.
    pub fn with_bounds(resolver: Resolver, bounds: Bounds) -> Self {
        let counters = Arc::clone(resolver.counters());
        Self {
            dialer: Dialer {
                resolver,
                limits: TargetLimits::new(bounds.per_target),
                counters: Arc::clone(&counters),
            },
            tls: tls::any_certificate(b"http/1.1", Possession::Assumed),
            tls_alpn: tls::any_certificate(tls_alpn01::PROTOCOL, Possession::Proven),
            attempt: bounds.attempt,
            inquiries: Semaphore::new(inquiry::INQUIRIES),
            counters,
        }
    }

    /// Gives the counters, for the metrics page.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Gives the resolver, for the operator to see how it fares.
    pub fn resolver(&self) -> &Resolver {
        &self.dialer.resolver
    }

    /// Makes one attempt, which ends after its longest time or after `bound`, whichever is sooner.
    ///
    /// Dropping the future ends it at once; nothing goes on behind it.
    pub async fn attempt(&self, job: &Job, rules: &NameRules, bound: Duration) -> Attempt {
        let deadline = Instant::now() + bound.min(self.attempt);
        let mut trace = Trace::default();
        let outcome = match (Host::of(&job.identifier), job.challenge) {
            (Some(host), ChallengeType::Http01) => {
                let (dialer, tls) = (&self.dialer, &self.tls);
                http01::attempt(dialer, tls, job, &host, rules, deadline, &mut trace).await
            }
            (Some(host), ChallengeType::TlsAlpn01) => {
                let (dialer, tls) = (&self.dialer, &self.tls_alpn);
                tls_alpn01::attempt(dialer, tls, job, &host, rules, deadline, &mut trace).await
            }
            (_, ChallengeType::Dns01) if job.identifier.dns_name().is_some() => {
                dns01::attempt(&self.dialer.resolver, job, deadline, &mut trace).await
            }
            // Never offered, so this is our own fault: what answers for one host shows no control of a wildcard
            // (8555-8.3-6), and the DNS none of an address (8738-7-1).
            (_, challenge) => Err(Failure::plain(
                ProblemType::ServerInternal,
                format!(
                    "{}: this server cannot validate it by {challenge}",
                    job.identifier
                ),
                false,
            )),
        };
        counters::bump(match outcome {
            Ok(_) => &self.counters.passed,
            Err(_) => &self.counters.failed,
        });
        Attempt { outcome, trace }
    }
}
