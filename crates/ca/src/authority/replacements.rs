//! `replaces` in newOrder (RFC 9773 §5): whose certificate may be replaced by which order.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use cairn_acme::{
    problem::{Problem, ProblemType},
    renewal::CertId,
    status::OrderStatus,
};

use super::orders::{self, CreateOrder};
use crate::{
    id::OrderId,
    model::{Authorization, Certificate, CertificateKey, CertificateState, Order},
};

/// The certificate that an order shall replace: as the client names it, and as the store does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    pub id: CertId,
    pub key: CertificateKey,
}

/// What is known of it when the order is placed.
#[derive(Debug, Clone)]
pub struct Predecessor {
    pub certificate: Option<Certificate>,
    pub claimant: Option<ClaimHolder>,
}

/// An order that claims to replace the same certificate.
#[derive(Debug, Clone)]
pub struct ClaimHolder {
    pub id: OrderId,
    /// None if it was swept: then it was valid, for an invalid order has no claim.
    pub order: Option<Order>,
    pub authorizations: Vec<Authorization>,
}

/// The refusal for a certificate that is not there or another account's: the same for both (T-CA-28).
#[must_use]
pub fn no_such_certificate() -> Problem {
    Problem::malformed(
        "replaces names no certificate of this account here; order without replaces, or name a certificate that this account was issued",
    )
    .status(404)
}

/// Whether the order may replace the certificate (9773-5-2). The answer is the order whose claim it takes over, which
/// has ended though nobody has written that yet.
///
/// # Errors
/// `malformed` with 404 for a certificate that is not this account's, `malformed` without a shared identifier,
/// `alreadyReplaced`.
pub fn judge(input: &CreateOrder, found: Predecessor) -> Result<Option<OrderId>, Problem> {
    let certificate = found
        .certificate
        .filter(|c| {
            c.account == input.account
                && c.directory == input.directory
                && c.state == CertificateState::Issued
        })
        .ok_or_else(no_such_certificate)?;
    if !input
        .identifiers
        .iter()
        .any(|identifier| certificate.names.contains(identifier))
    {
        let names: Vec<String> = certificate.names.iter().map(ToString::to_string).collect();
        return Err(Problem::malformed(format!(
            "the order shares no identifier with the certificate that it would replace (serial {}, for {}); order without replaces",
            certificate.key.serial,
            names.join(", ")
        )));
    }
    let Some(claimant) = found.claimant else {
        return Ok(None);
    };
    let ended = claimant.order.as_ref().is_some_and(|order| {
        orders::view(order, &claimant.authorizations, input.now) == OrderStatus::Invalid
    });
    if ended {
        return Ok(Some(claimant.id));
    }
    Err(Problem::new(
        ProblemType::AlreadyReplaced,
        format!(
            "the certificate with serial {} is replaced by order {} already; go on with that order, or order without replaces",
            certificate.key.serial, claimant.id
        ),
    ))
}
