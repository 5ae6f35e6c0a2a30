//! Revocation (RFC 8555 §7.6): who may have a certificate revoked, for which reasons, and what follows for its key
//! (BR 7.2.2, T-CA-106).

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use cairn_acme::{
    identifier::Identifier,
    problem::{Problem, ProblemType, Subproblem},
    status::{AccountStatus, AuthorizationStatus},
    time::Timestamp,
};

use super::{accounts, audit, authorizations, no_such_object};
use crate::{
    id::AccountId,
    model::{
        Account, AuditEvent, Authorization, Certificate, CertificateKey, Requester, Revocation,
        RevocationReason, RevokedBy,
    },
    store::{Changes, Decision},
};

/// Why a blocked key is refused, after "the key is refused: ".
pub const BLOCKED: &str =
    "a certificate with it was revoked because others have the key; make a new key";

/// What a subscriber, a holder of the names or of the key may give as a reason.
const REASONS: [RevocationReason; 5] = [
    RevocationReason::Unspecified,
    RevocationReason::KeyCompromise,
    RevocationReason::AffiliationChanged,
    RevocationReason::Superseded,
    RevocationReason::CessationOfOperation,
];

/// Who asks, as far as it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimant {
    /// An account signed.
    Account(AccountId),
    /// The key with this SubjectPublicKeyInfo signed.
    Key([u8; 32]),
    /// An operator, on the operator's listener.
    Operator,
}

/// Asks for a certificate to be revoked.
#[derive(Debug, Clone)]
pub struct Revoke {
    pub certificate: CertificateKey,
    pub claimant: Claimant,
    /// As asked; none is unspecified.
    pub reason: Option<i64>,
    pub requester: Requester,
    pub now: Timestamp,
}

/// What a revocation reads.
#[derive(Debug)]
pub struct RevocationProof {
    pub certificate: Option<Certificate>,
    /// The account that asks, if one does.
    pub account: Option<Account>,
    /// That account's newest valid authorization for each name of a certificate that is not its own.
    pub authorizations: Vec<Option<Authorization>>,
    /// Whether the certificate's key is blocked already.
    pub is_blocked_key: bool,
}

/// Revokes, or says who may and why not. The certificate comes back as it now is.
#[must_use]
pub fn revoke(input: &Revoke, proof: RevocationProof) -> Decision<Certificate> {
    let Some(mut certificate) = proof.certificate else {
        return Decision::refuse(no_such_certificate());
    };
    let by = match authority(
        input,
        &certificate,
        proof.account.as_ref(),
        &proof.authorizations,
    ) {
        Ok(by) => by,
        Err(problem) => return refused(input, &certificate, problem),
    };
    // 8555-7.6-5
    if certificate.not_after < input.now {
        let problem = Problem::unauthorized(format!(
            "the certificate expired at {}: nobody accepts it any more, and it needs no revocation",
            certificate.not_after
        ));
        return refused(input, &certificate, problem);
    }
    let asked = match reason(input.reason, by) {
        Ok(asked) => asked,
        Err(problem) => return refused(input, &certificate, problem),
    };
    // 8555-7.6-6: who has the key, or runs the CA, is believed that others have it. Another's word is no proof: else one
    // account could keep another from its key.
    let proves = asked == RevocationReason::KeyCompromise
        && matches!(by, RevokedBy::KeyHolder | RevokedBy::Operator);
    let blocks = proves && !proof.is_blocked_key;
    let revocation = match certificate.revocation {
        None => Revocation {
            reason: asked,
            at: input.now,
            by,
        },
        Some(before) if proves && before.reason != asked => Revocation {
            reason: asked,
            at: before.at,
            by,
        },
        // The same entry; only the key is news.
        Some(before) if blocks => before,
        Some(before) => {
            let problem = Problem::new(
                ProblemType::AlreadyRevoked,
                format!(
                    "the certificate was revoked at {} ({}); nothing is left to do",
                    before.at,
                    before.reason.name()
                ),
            );
            // Not audited: a repeat finds its own work done, and the audit tells of that.
            return Decision::refuse(problem);
        }
    };
    let mut changes = Changes::default();
    if certificate.revocation != Some(revocation) {
        certificate.revocation = Some(revocation);
        changes.revoke_certificates.push(certificate.clone());
    }
    if blocks {
        changes
            .block_keys
            .push((certificate.spki_sha256, certificate.key, input.now));
    }
    changes.audit.push(event(
        input,
        &certificate,
        "revoked",
        &[
            ("by", by.name()),
            ("reason", revocation.reason.name()),
            ("key", if blocks { "blocked" } else { "not blocked" }),
        ],
    ));
    Decision {
        changes,
        answer: Ok(certificate),
    }
}

/// Why a certificate of an issuer that left the configuration can't be revoked: no list would ever say so.
pub const NOT_LISTED: &str = "the issuer of that certificate is configured no more, so no CRL would list it; the operator of \
                              this CA has to put the issuer's table back into cairn.toml first, and start it again";

/// The answer for a certificate that is not of this CA, or not the one that it issued (8555-7.6-5).
#[must_use]
pub fn no_such_certificate() -> Problem {
    Problem {
        detail: "this CA has not issued that certificate; the CA that its issuer field names can revoke it".to_owned(),
        ..no_such_object("certificate")
    }
}

/// Who asks, in the certificate's eyes (8555-7.6-2).
fn authority(
    input: &Revoke,
    certificate: &Certificate,
    account: Option<&Account>,
    shown: &[Option<Authorization>],
) -> Result<RevokedBy, Problem> {
    match input.claimant {
        Claimant::Operator => Ok(RevokedBy::Operator),
        Claimant::Key(spki_sha256) if spki_sha256 == certificate.spki_sha256 => {
            Ok(RevokedBy::KeyHolder)
        }
        Claimant::Key(_) => Err(Problem::unauthorized(
            "the request is signed with a key that is not the certificate's; sign with the certificate's key as \"jwk\", or with your account as \"kid\"",
        )),
        Claimant::Account(id) => {
            match account {
                Some(account) if account.status == AccountStatus::Valid => {}
                Some(account) => return Err(accounts::not_valid(account.status)),
                None => return Err(Problem::unauthorized("the account is not there")),
            }
            if certificate.account == id {
                return Ok(RevokedBy::Subscriber(id));
            }
            holds_all_names(certificate, shown, id, input.now)?;
            Ok(RevokedBy::NameHolder(id))
        }
    }
}

fn holds_all_names(
    certificate: &Certificate,
    shown: &[Option<Authorization>],
    account: AccountId,
    now: Timestamp,
) -> Result<(), Problem> {
    let holds = |name: &Identifier, authorization: Option<&Option<Authorization>>| {
        authorization.and_then(Option::as_ref).is_some_and(|a| {
            a.account == account
                && a.identifier == name.base()
                && a.wildcard == name.is_wildcard()
                && authorizations::view(a, now) == AuthorizationStatus::Valid
        })
    };
    let missing: Vec<&Identifier> = certificate
        .names
        .iter()
        .enumerate()
        .filter(|(position, name)| !holds(name, shown.get(*position)))
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() && !certificate.names.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::unauthorized(format!(
        "the certificate was issued to another account, and this one has no valid authorization for {} of its {} names; show control of them first, or sign with the certificate's key",
        missing.len(),
        certificate.names.len()
    ));
    problem.subproblems = missing
        .into_iter()
        .map(|name| {
            Subproblem::new(
                ProblemType::Unauthorized,
                format!("{name}: no valid authorization of this account"),
                name,
            )
        })
        .collect();
    Err(problem)
}

/// What is recorded for a reason that is asked for (8555-7.6-3).
fn reason(asked: Option<i64>, by: RevokedBy) -> Result<RevocationReason, Problem> {
    let asked = asked.unwrap_or(0);
    let allowed: &[RevocationReason] = match by {
        RevokedBy::Operator => &RevocationReason::ALL,
        _ => &REASONS,
    };
    let known = RevocationReason::from_code(asked).filter(|reason| allowed.contains(reason));
    let Some(known) = known else {
        let listed: Vec<String> = allowed
            .iter()
            .map(|reason| format!("{} ({})", reason.code(), reason.name()))
            .collect();
        return Err(Problem::new(
            ProblemType::BadRevocationReason,
            format!(
                "reason {asked} is not one that this request may give; give none, or one of {}",
                listed.join(", ")
            ),
        ));
    };
    Ok(match by {
        // It has the names, and that is all it has shown.
        RevokedBy::NameHolder(_) => RevocationReason::CessationOfOperation,
        _ => known,
    })
}

/// What an operator was refused stands with the certificate; of others' tries the frontend writes down as many as their bound
/// allows.
fn refused(input: &Revoke, certificate: &Certificate, problem: Problem) -> Decision<Certificate> {
    let mut decision = Decision::refuse(problem);
    if let (Claimant::Operator, Err(problem)) = (&input.claimant, &decision.answer) {
        let detail = [("problem", problem.kind.urn()), ("detail", &problem.detail)];
        let row = event(input, certificate, "revocation-refused", &detail);
        decision.changes.audit.push(row);
    }
    decision
}

/// An event of the certificate's order, so that it is found with it; who asked stands in it.
fn event(
    input: &Revoke,
    certificate: &Certificate,
    name: &'static str,
    detail: &[(&str, &str)],
) -> AuditEvent {
    let claimant = match input.claimant {
        Claimant::Account(account) => format!("account {account}"),
        Claimant::Key(_) => "key".to_owned(),
        Claimant::Operator => "operator".to_owned(),
    };
    let address = input
        .requester
        .address
        .map_or_else(|| "none".to_owned(), |a| a.to_string());
    let mut detail = detail.to_vec();
    detail.extend([("claimant", claimant.as_str()), ("address", &address)]);
    AuditEvent {
        serial: Some(certificate.key.serial),
        ..audit(
            input.now,
            name,
            Some(certificate.account),
            Some(certificate.order),
            &detail,
        )
    }
}

#[cfg(test)]
mod tests;
