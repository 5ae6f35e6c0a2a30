//! The climb through the DNS for CAA records (RFC 8659 §3); what they mean is decided in `authority::caa`.
//!
//! The names of a climb are asked side by side, a few at once; they are judged in their order, so that an answer from
//! further up never stands in for one from further down.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cairn_acme::identifier::DnsName;
use cairn_acme::problem::ProblemType;
use cairn_acme::time::Timestamp;
use tokio::time::Instant;

use super::dns_message::{Answer, DnsFault, Finding, RecordKind};
use super::explain::dns_remedy;
use super::host::Host;
use super::inquiry::{Doubt, Doubted};
use super::resolver::Resolver;
use super::rules::NameRules;
use super::trace::{LookedUp, Step, Trace};
use super::{Attempt, Failure, Validator};
use crate::authority::caa::{Applicant, CaaPolicy, Found, climb, decide, tell};
use crate::model::CaaCheck;

/// Whose issuance for which name is to be permitted.
#[derive(Clone, Debug)]
pub struct CaaQuestion {
    /// The name, without `*.`.
    pub name: DnsName,
    /// Whether the certificate is for `*.` and the name.
    pub wildcard: bool,
    /// The account's URLs.
    pub accounts: Vec<String>,
    /// The method that shows control.
    pub method: &'static str,
    /// The time at which it is asked.
    pub asked_at: Timestamp,
}

/// How a check ended, and all that was seen.
#[derive(Clone, Debug)]
pub struct CaaAttempt {
    /// What permits, or why nothing does.
    pub outcome: Result<CaaCheck, Failure>,
    /// For the operator alone.
    pub trace: Trace,
}

impl CaaQuestion {
    fn subject(&self) -> String {
        if self.wildcard {
            format!("*.{}", self.name)
        } else {
            self.name.to_string()
        }
    }
}

impl Validator {
    /// Climbs once, for at most an attempt's time or `bound`.
    pub async fn check_caa(
        &self,
        question: &CaaQuestion,
        policy: &CaaPolicy,
        rules: &NameRules,
        bound: Duration,
    ) -> CaaAttempt {
        let mut trace = Trace::default();
        let mut check = CaaCheck {
            name: question.subject(),
            checked_at: question.asked_at,
            found_at: None,
            aliases: Vec::new(),
            records: Vec::new(),
            resolver: None,
            dnssec: true,
            not_asked: None,
        };
        let localhost = rules
            .localhost(&Host::Name(question.name.clone()))
            .map(|_| "names under localhost are not in the DNS (RFC 6761)");
        if let Some(why) = localhost.or_else(|| policy.unasked()) {
            let why = why.to_owned();
            trace.push(Step::NotLookedUp {
                name: format!("CAA of {}", question.name),
                why: why.clone(),
            });
            check.dnssec = false;
            check.not_asked = Some(why);
            return CaaAttempt {
                outcome: Ok(check),
                trace,
            };
        }
        let deadline = Instant::now() + bound.min(self.attempt);
        let names = climb(question.name.as_str(), &policy.private_zones);
        for few in names.chunks(AT_ONCE) {
            for (name, reply) in few
                .iter()
                .zip(ask(&self.dialer.resolver, few, deadline).await)
            {
                // Only names above one that decided were not waited for, so this is not reached; if it were, nothing is known.
                let Some((looked_up, result)) = reply else {
                    let outcome = Err(not_known(question, name, &DnsFault::Timeout));
                    return CaaAttempt { outcome, trace };
                };
                check.resolver = looked_up.server.or(check.resolver);
                trace.looked_up(looked_up);
                let answer = match result {
                    Ok(answer) => answer,
                    Err(fault) => {
                        let outcome = Err(not_known(question, name, &fault));
                        return CaaAttempt { outcome, trace };
                    }
                };
                check.dnssec &= answer.authenticated;
                if let Finding::Caa(records) = &answer.finding {
                    let applicant = Applicant {
                        identities: &policy.identities,
                        accounts: &question.accounts,
                        method: question.method,
                        wildcard: question.wildcard,
                    };
                    let found = Found {
                        name: question.name.as_str(),
                        at: name,
                        aliases: &answer.aliases,
                        records,
                    };
                    let outcome = match decide(records, &applicant) {
                        Ok(_) => {
                            check.found_at = Some((*name).to_owned());
                            check.records = records
                                .iter()
                                .take(RECORDS_KEPT)
                                .map(|record| format!("CAA {record}"))
                                .collect();
                            check.aliases.clone_from(&answer.aliases);
                            Ok(check)
                        }
                        Err(refusal) => Err(Failure::plain(
                            ProblemType::Caa,
                            tell(&found, &applicant, &refusal),
                            false,
                        )),
                    };
                    return CaaAttempt { outcome, trace };
                }
            }
        }
        CaaAttempt {
            outcome: Ok(check),
            trace,
        }
    }
}

type Reply = (LookedUp, Result<Answer, DnsFault>);

/// Asks a few names at once, and waits until the first of them that says something, in their order, has said it.
async fn ask(resolver: &Resolver, names: &[&str], deadline: Instant) -> Vec<Option<Reply>> {
    let mut asked: Vec<_> = names
        .iter()
        .map(|name| (Box::pin(resolver.caa(name, deadline)), None))
        .collect();
    poll_fn(|context| {
        for (future, reply) in &mut asked {
            if reply.is_none()
                && let Poll::Ready(ready) = Pin::as_mut(future).poll(context)
            {
                *reply = Some(ready);
            }
        }
        for (_, reply) in &asked {
            match reply {
                None => return Poll::Pending,
                Some((_, Ok(answer))) if !matches!(answer.finding, Finding::Caa(_)) => {}
                Some(_) => break,
            }
        }
        Poll::Ready(())
    })
    .await;
    asked.into_iter().map(|(_, reply)| reply).collect()
}

/// Fails closed: whoever can make a look-up fail must not be able to lift a restriction (T-CA-87).
fn not_known(question: &CaaQuestion, at: &str, fault: &DnsFault) -> Failure {
    let whose = if at == question.name.as_str() {
        String::new()
    } else {
        format!(", whose rules {} inherits,", question.name)
    };
    Doubt {
        problem: ProblemType::Dns,
        subject: question.subject(),
        name: at.to_owned(),
        kind: RecordKind::Caa,
        what: Doubted::Failed(fault.clone()),
        cause: format!(
            "the look-up of CAA records of {at}{whose} failed, and without it a CA must not issue: {fault}."
        ),
        remedy: format!(
            "{} A name without CAA records needs an answer too: NOERROR with none in it, or NXDOMAIN.",
            dns_remedy(fault)
        ),
        wanted: None,
        transient: fault.is_transient(),
    }
    .failure()
}

/// Makes one attempt of both: neither passes without the other.
pub(super) async fn beside(
    attempt: impl Future<Output = Attempt>,
    check: Option<impl Future<Output = CaaAttempt>>,
) -> (Attempt, Option<CaaCheck>) {
    let Some(check) = check else {
        return (attempt.await, None);
    };
    let (mut attempt, check) = tokio::join!(attempt, check);
    attempt.trace.steps.extend(check.trace.steps);
    match (&attempt.outcome, check.outcome) {
        (Ok(_), Ok(check)) => (attempt, Some(check)),
        // The challenge's own failure is told first, unless it might pass at the next attempt and CAA will not.
        (Err(own), Err(failure)) if !own.transient || failure.transient => (attempt, None),
        (own, Err(mut failure)) => {
            if own.is_ok() && failure.problem.kind == ProblemType::Dns {
                failure
                    .add(" The challenge itself passed, so the name's other records are answered.");
            }
            attempt.outcome = Err(failure);
            (attempt, None)
        }
        (Err(_), Ok(_)) => (attempt, None),
    }
}

/// Names of a climb that are asked at once: most names have no more.
const AT_ONCE: usize = 4;
/// Records of one set that are kept as evidence.
const RECORDS_KEPT: usize = 32;

#[cfg(test)]
mod tests;
