//! Issuance (RFC 8555 §7.4, design.md §2.6): the proof objects are judged and the one-time permission to sign is given in
//! one transaction; whoever takes the row over never signs the same bytes again.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use std::{collections::BTreeSet, time::Duration};

use cairn_acme::{
    identifier::{Identifier, IdentifierFault},
    problem::{Problem, ProblemType},
    status::{AccountStatus, AuthorizationStatus, OrderStatus},
    time::Timestamp,
};
use cairn_x509::csr::Csr;

use super::{accounts, audit, authorizations, caa, no_such_object, orders};
use crate::{
    id::{AccountId, BootId, OrderId},
    model::{
        Account, AuditEvent, Authorization, CaaCheck, Certificate, CertificateKey,
        CertificateState, Method, Order, OrderState, Work, WorkSubject,
    },
    operator::OperatorGrant,
    store::{Changes, Decision},
};

/// How many serials one order may be given.
pub const SERIALS_MAX: u8 = 3;

/// The refusal of a finalize that comes too early, too late or twice (8555-7.4-9).
#[must_use]
pub fn not_ready(status: OrderStatus) -> Problem {
    let why = match status {
        OrderStatus::Pending => "the order is pending: its authorizations are not all valid yet",
        OrderStatus::Processing => {
            "the order is processing: its certificate is being issued, fetch the order again"
        }
        OrderStatus::Valid => {
            "the order is valid: its certificate was issued, fetch it from the order's certificate URL"
        }
        OrderStatus::Invalid => {
            "the order is invalid (see its error and expires members): place a new one"
        }
        _ => "the order is not ready",
    };
    Problem::new(ProblemType::OrderNotReady, why)
}

/// Judges what a CSR asks for against the order (8555-7.4-11, T-CA-47): the names must be the order's, as sets in
/// canonical form. Only the key goes on from here.
///
/// # Errors
/// `badCSR`, naming what is missing, what is too much and what is no name.
pub fn judge_csr(csr: &Csr, identifiers: &[Identifier]) -> Result<(), Problem> {
    let bad = |detail: String| Problem::new(ProblemType::BadCsr, detail);
    if csr.wants_must_staple() {
        // 7633-1: no profile may have it before the CA runs OCSP.
        return Err(bad("the CSR asks for the TLS feature extension (must-staple), but this CA runs no OCSP: nothing could be stapled, and clients would refuse the certificate; make the CSR anew without it".to_owned()));
    }
    let ordered: BTreeSet<&Identifier> = identifiers.iter().collect();
    // An address is asked for as an address; in a common name it would be a DNS name with digits (8738-3-2).
    let mut asked: BTreeSet<Identifier> = csr
        .ip_addresses()
        .iter()
        .copied()
        .map(Identifier::Ip)
        .collect();
    if csr.common_names().len() > 1 {
        return Err(bad("the CSR has more than one common name".to_owned()));
    }
    for name in csr.text_names() {
        match Identifier::parse("dns", name) {
            Ok(identifier) => {
                asked.insert(identifier);
            }
            Err(
                IdentifierFault::Unsupported(text)
                | IdentifierFault::Rejected(text)
                | IdentifierFault::Malformed(text),
            ) => {
                return Err(bad(format!("the CSR names what is no DNS name: {text}")));
            }
        }
    }
    let missing: Vec<String> = ordered
        .iter()
        .filter(|i| !asked.contains(**i))
        .map(ToString::to_string)
        .collect();
    let extra: Vec<String> = asked
        .iter()
        .filter(|i| !ordered.contains(i))
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("it lacks {}", listed(&missing)));
    }
    if !extra.is_empty() {
        parts.push(format!("it has {} beside the order", listed(&extra)));
    }
    Err(bad(format!(
        "the CSR's names are not the order's: {}; make the CSR anew with exactly the order's names",
        parts.join(", ")
    )))
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// Asks for the permission to sign the certificate's bytes once.
#[derive(Debug, Clone)]
pub struct BeginIssuance {
    pub account: AccountId,
    pub order: OrderId,
    /// `None` for a finalize; after an interrupted signature, the generation of the work row taken over.
    pub resumes: Option<u32>,
    /// An operator's, where the order rests on one.
    pub grant: Option<OperatorGrant>,
    pub certificate: Certificate,
    /// For each identifier the CAA check that was made for this issuance; `None`: its authorization's is young enough.
    pub caa: Vec<Option<CaaCheck>>,
    pub boot: BootId,
    pub lease: Duration,
    pub now: Timestamp,
}

/// The permission's terms, from which the store makes the permit after COMMIT.
#[derive(Debug, Clone)]
pub struct Permission {
    /// The order, now processing.
    pub order: Order,
    /// The generation to conclude under.
    pub generation: u32,
}

/// What `begin_issuance` reads.
#[derive(Debug)]
pub struct IssuanceProof {
    pub account: Option<Account>,
    pub order: Option<Order>,
    pub authorizations: Vec<Authorization>,
    pub work: Option<Work>,
    /// Why issuance is stopped, if it is.
    pub stop: Option<String>,
    /// Whether the certificate's key opens an account here.
    pub is_account_key: bool,
    /// Whether the certificate's key was shown to be in others' hands.
    pub is_blocked_key: bool,
}

/// Gives the permission, if every proof holds in this transaction. A refusal that changes nothing is written down by the
/// caller, within the account's bound.
#[must_use]
pub fn begin(input: &BeginIssuance, proof: IssuanceProof) -> Decision<Permission> {
    match proof.account {
        Some(account) if account.status == AccountStatus::Valid => {}
        Some(account) => return Decision::refuse(accounts::not_valid(account.status)),
        None => return Decision::refuse(no_such_object("order")),
    }
    let Some(mut order) = proof.order else {
        return Decision::refuse(no_such_object("order"));
    };
    let generation = match input.resumes {
        None => {
            let status = orders::view(&order, &proof.authorizations, input.now);
            if status != OrderStatus::Ready {
                return Decision::refuse(not_ready(status));
            }
            1
        }
        Some(generation) => {
            let ours = proof
                .work
                .as_ref()
                .is_some_and(|w| w.generation == generation && w.boot == input.boot);
            if !ours || order.state != OrderState::Processing {
                return Decision::refuse(not_ready(OrderStatus::Processing));
            }
            generation
        }
    };
    if let Some(problem) = orders::out_of_dates(&order, input.now) {
        let mut decision = Decision::refuse(problem.clone());
        decision.changes.audit.push(audit(
            input.now,
            "issuance-refused",
            Some(input.account),
            Some(input.order),
            &[("problem", problem.kind.urn()), ("detail", &problem.detail)],
        ));
        order.state = OrderState::Invalid;
        order.error = Some(problem);
        order.certificate = None;
        decision.changes.update_orders.push(order);
        decision
            .changes
            .delete_work
            .extend(proof.work.map(|w| w.subject));
        return decision;
    }
    if let Some(reason) = proof.stop {
        return Decision::refuse(
            Problem::server_internal(format!("the operator has stopped issuance: {reason}"))
                .status(503)
                .retry_after(Duration::from_secs(300)),
        );
    }
    if proof.is_account_key {
        return Decision::refuse(Problem::new(
            ProblemType::BadCsr,
            "the CSR's key is an account's key; a certificate needs a key of its own (RFC 8555 section 11.1)",
        ));
    }
    if proof.is_blocked_key {
        // T-CA-39
        return Decision::refuse(Problem::new(
            ProblemType::BadCsr,
            format!("the CSR's key is refused: {}", super::revocations::BLOCKED),
        ));
    }
    // 8555-7.4-12: by the authorizations as they are now, each of the order's, each for its identifier.
    let proven = order.authorizations.len() == proof.authorizations.len()
        && order.identifiers.len() == proof.authorizations.len()
        && order
            .identifiers
            .iter()
            .zip(&proof.authorizations)
            .all(|(identifier, a)| {
                a.account == input.account
                    && a.identifier == identifier.base()
                    && a.wildcard == identifier.is_wildcard()
                    && authorizations::view(a, input.now) == AuthorizationStatus::Valid
                    && counts(a, input)
            });
    if !proven
        || input.certificate.names != order.identifiers
        || input.certificate.profile_hash != order.profile_hash
    {
        return Decision::refuse(Problem::unauthorized(
            "the order's authorizations no longer hold for each of its names; place a new order",
        ));
    }
    // T-CA-90: each name by itself, with its own check.
    let unchecked = input.caa.len() != order.identifiers.len()
        || !proof
            .authorizations
            .iter()
            .zip(&input.caa)
            .all(|(a, fresh)| caa::permits(a, fresh.as_ref(), input.now));
    if unchecked {
        return Decision::refuse(
            Problem::server_internal(
                "the CAA records of the order's names were looked at too long ago; finalize again",
            )
            .status(503)
            .retry_after(Duration::from_secs(1)),
        );
    }
    order.state = OrderState::Processing;
    order.certificate = Some(input.certificate.key);
    order.attempts = order.attempts.saturating_add(1);
    let work = Work {
        subject: WorkSubject::Issue {
            account: input.account,
            order: input.order,
        },
        boot: input.boot,
        generation,
        attempts: u32::from(order.attempts),
        until: input.now.plus(input.lease),
    };
    let changes = Changes {
        update_orders: vec![order.clone()],
        insert_certificates: vec![input.certificate.clone()],
        put_work: vec![work],
        ..Changes::default()
    };
    Decision {
        changes,
        answer: Ok(Permission { order, generation }),
    }
}

/// Whether what was shown of an identifier counts here. What a challenge showed counts for whoever holds it; an operator's
/// word counts only together with the grant itself, which only the operator's listener can make (T-CA-121).
fn counts(authorization: &Authorization, input: &BeginIssuance) -> bool {
    match authorization.evidence.as_ref().map(|shown| &shown.method) {
        Some(Method::Challenge(_) | Method::OwnHost) => true,
        Some(Method::OperatorGrant) => input
            .grant
            .as_ref()
            .is_some_and(|grant| grant.covers(&input.certificate)),
        None => false,
    }
}

/// The signature is there and verified.
#[derive(Debug, Clone)]
pub struct ConcludeIssuance {
    pub account: AccountId,
    pub order: OrderId,
    pub certificate: CertificateKey,
    pub generation: u32,
    pub boot: BootId,
    pub signature: Vec<u8>,
    pub now: Timestamp,
}

/// Stores the signature and ends the order. A late one, whose serial was given up, changes nothing.
#[must_use]
pub fn conclude(
    input: &ConcludeIssuance,
    order: Option<Order>,
    certificate: Option<Certificate>,
    work: Option<Work>,
) -> Decision<Order> {
    // A repeat after a commit whose end was not heard of finds its own work done.
    if let (Some(order), Some(certificate)) = (&order, &certificate)
        && order.state == OrderState::Valid
        && order.certificate == Some(certificate.key)
        && certificate.signature.as_ref() == Some(&input.signature)
    {
        return Decision::unchanged(order.clone());
    }
    let (Some(mut order), Some(mut certificate), Some(work)) = (order, certificate, work) else {
        return Decision::refuse(Problem::server_internal(
            "the issuance is no longer under way",
        ));
    };
    let ours = work.generation == input.generation && work.boot == input.boot;
    if !ours
        || order.state != OrderState::Processing
        || order.certificate != Some(certificate.key)
        || certificate.state != CertificateState::Permitted
    {
        return Decision::refuse(Problem::server_internal(
            "the signature came after its serial was given up",
        ));
    }
    certificate.state = CertificateState::Issued;
    certificate.signature = Some(input.signature.clone());
    certificate.issued_at = Some(input.now);
    order.state = OrderState::Valid;
    let names = certificate
        .names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    let mut row = audit(
        input.now,
        "issued",
        Some(input.account),
        Some(input.order),
        &[("names", &names)],
    );
    row.serial = Some(certificate.key.serial);
    let changes = Changes {
        update_orders: vec![order.clone()],
        update_certificates: vec![certificate],
        delete_work: vec![work.subject],
        audit: vec![row],
        ..Changes::default()
    };
    Decision {
        changes,
        answer: Ok(order),
    }
}

/// Signing failed, or nobody knows whether it did.
#[derive(Debug, Clone)]
pub struct FailIssuance {
    pub account: AccountId,
    pub order: OrderId,
    pub generation: u32,
    pub boot: BootId,
    /// For the order's `error`, if this ends it.
    pub problem: Problem,
    /// Whether the order may be given another serial.
    pub try_again: bool,
    pub lease: Duration,
    pub now: Timestamp,
}

/// Gives the serial up: it stays as `unconfirmed`, and the order gets another one or ends. The answer is the work row to
/// go on with.
#[must_use]
pub fn fail(
    input: &FailIssuance,
    order: Option<Order>,
    certificate: Option<Certificate>,
    work: Option<Work>,
) -> Decision<Option<Work>> {
    let (Some(order), Some(work)) = (order, work) else {
        return Decision::unchanged(None);
    };
    if work.generation != input.generation
        || work.boot != input.boot
        || order.state != OrderState::Processing
    {
        return Decision::unchanged(None);
    }
    let (changes, next) = give_up_serial(
        order,
        certificate,
        work,
        &input.problem,
        input.try_again,
        (input.boot, input.lease, input.now),
    );
    Decision {
        changes,
        answer: Ok(next),
    }
}

/// Takes over an issuance that another process incarnation began: those bytes are never signed again.
#[must_use]
pub fn take_over(
    work: Work,
    order: Option<Order>,
    certificate: Option<Certificate>,
    (boot, lease, now): (BootId, Duration, Timestamp),
) -> (Changes, Option<Work>) {
    let Some(order) = order.filter(|o| o.state == OrderState::Processing) else {
        return (
            Changes {
                delete_work: vec![work.subject],
                ..Changes::default()
            },
            None,
        );
    };
    let problem = Problem::server_internal(format!(
        "the server was interrupted {SERIALS_MAX} times while it issued this certificate; place a new order"
    ));
    give_up_serial(order, certificate, work, &problem, true, (boot, lease, now))
}

fn give_up_serial(
    mut order: Order,
    certificate: Option<Certificate>,
    mut work: Work,
    problem: &Problem,
    try_again: bool,
    (boot, lease, now): (BootId, Duration, Timestamp),
) -> (Changes, Option<Work>) {
    let mut changes = Changes::default();
    if let Some(mut certificate) = certificate.filter(|c| c.state == CertificateState::Permitted) {
        certificate.state = CertificateState::Unconfirmed;
        let row = AuditEvent {
            serial: Some(certificate.key.serial),
            ..audit(
                now,
                "unconfirmed",
                Some(order.account),
                Some(order.id),
                &[("detail", &problem.detail)],
            )
        };
        changes.audit.push(row);
        changes.update_certificates.push(certificate);
    }
    if try_again && order.attempts < SERIALS_MAX {
        work.boot = boot;
        work.generation += 1;
        work.until = now.plus(lease);
        changes.put_work.push(work.clone());
        return (changes, Some(work));
    }
    order.state = OrderState::Invalid;
    order.certificate = None;
    order.error = Some(problem.clone());
    changes.audit.push(audit(
        now,
        "issuance-failed",
        Some(order.account),
        Some(order.id),
        &[("detail", &problem.detail)],
    ));
    changes.update_orders.push(order);
    changes.delete_work.push(work.subject);
    (changes, None)
}
