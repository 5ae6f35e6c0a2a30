//! Validation: does the subscriber control the name? (RFC 8555 section 8; design section 2.4)
//!
//! [`Validator::attempt`] makes one attempt and keeps its [`Trace`](trace::Trace); [`schedule`]
//! says when the next one is due. Who may be dialled for which name is decided in [`rules`].
//! Here so far: http-01. The other challenges and CAA share the resolver and the dialer.

mod counters;
mod dialer;
mod dns_channel;
pub mod dns_message;
mod dns_server;
pub(crate) mod driver;
mod explain;
mod fuzz;
mod http01;
pub mod http_answer;
mod http_fetch;
mod limits;
mod places;
mod redirect;
pub mod resolver;
mod resolver_file;
pub mod rules;
pub mod schedule;
mod special;
#[cfg(test)]
mod testing;
pub mod trace;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cairn_acme::challenge::{ChallengeType, Token};
use cairn_acme::identifier::Identifier;
use cairn_acme::problem::{Problem, ProblemType};
use cairn_acme::time::Timestamp;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::dialer::Dialer;
use self::limits::TargetLimits;
use self::trace::Trace;

use crate::model;

pub use self::counters::Counters;
pub use self::driver::ValidationDriver;
pub use self::fuzz::{fuzz_dns_answer, fuzz_http_head};
pub use self::resolver::Resolver;
pub use self::rules::{NameRule, NameRules};
pub use self::schedule::{Next, Outcome, Schedule};

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
    /// The identifier of the authorization.
    pub identifier: Identifier,
    /// The method.
    pub challenge: ChallengeType,
    /// The challenge's token.
    pub token: Token,
    /// The key authorization as it stood when the response arrived (RFC 8555 section 8.1).
    pub key_authorization: String,
}

/// How an attempt ended, and all that was seen.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Evidence of control, or why there is none.
    pub outcome: Result<Evidence, Failure>,
    /// For the operator alone.
    pub trace: Trace,
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
    /// The URL that had the key authorization.
    pub url: String,
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
            detail: format!("{}{dnssec}", self.url),
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
}

/// Makes attempts; one for the whole server.
#[derive(Debug)]
pub struct Validator {
    dialer: Dialer,
    tls: Arc<ClientConfig>,
    attempt: Duration,
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
            tls: http_fetch::tls_config(),
            attempt: bounds.attempt,
            counters,
        }
    }

    /// Gives the counters, for the metrics page.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Makes one attempt, which ends after its longest time or after `bound`, whichever is sooner.
    ///
    /// Dropping the future ends it at once; nothing goes on behind it.
    pub async fn attempt(&self, job: &Job, rules: &NameRules, bound: Duration) -> Attempt {
        let deadline = Instant::now() + bound.min(self.attempt);
        let mut trace = Trace::default();
        let outcome = match (&job.identifier, job.challenge) {
            (Identifier::Dns(name), ChallengeType::Http01) => {
                http01::attempt(
                    &self.dialer,
                    &self.tls,
                    job,
                    name,
                    rules,
                    deadline,
                    &mut trace,
                )
                .await
            }
            // Never offered, so this is our own fault: http-01 cannot show control of a wildcard
            // (8555-8.3-6), and the other methods do not exist here yet.
            (identifier, challenge) => Err(Failure {
                problem: Problem::new(
                    ProblemType::ServerInternal,
                    format!("{identifier}: this server cannot validate it by {challenge}"),
                ),
                transient: false,
            }),
        };
        counters::bump(match outcome {
            Ok(_) => &self.counters.passed,
            Err(_) => &self.counters.failed,
        });
        Attempt { outcome, trace }
    }
}
