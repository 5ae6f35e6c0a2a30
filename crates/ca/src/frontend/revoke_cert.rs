//! revokeCert (RFC 8555 §7.6): the certificate must be one of ours to the last octet; who may have it revoked and why is
//! the transaction's to judge.

use std::sync::Arc;

use cairn_acme::{
    base64url,
    object::RevokeCert,
    problem::{Problem, ProblemType},
};
use cairn_x509::certificate::Certificate as Presented;
use http::StatusCode;

use super::{
    account::spki_sha256,
    answer::Answer,
    context::Context,
    envelope::{Raw, Signer, Verified},
    problem,
};
use crate::{
    authority::revocations::{NOT_LISTED, no_such_certificate},
    model::Certificate,
    refusals,
    store::{Claimant, Revoke, TxError},
};

pub(crate) async fn post(
    context: &Context,
    request: Verified<Raw, Signer>,
) -> Result<Answer, Problem> {
    let request = request.object::<RevokeCert>()?;
    let wanted = request.payload();
    let der = base64url::decode(&wanted.certificate).map_err(|fault| {
        Problem::malformed(format!(
            "certificate is not base64url of a DER certificate: {fault}"
        ))
    })?;
    let presented = Presented::parse(&der)
        .map_err(|fault| Problem::malformed(format!("certificate: {fault}")))?;
    let stored = find(context, &presented).await?;
    let claimant = match request.signer() {
        Signer::Account(account) => Claimant::Account(account.id),
        Signer::Key(key) => Claimant::Key(spki_sha256(key)),
    };
    let revoke = Revoke {
        certificate: stored.key,
        claimant,
        reason: wanted.reason,
        requester: context.requester(),
        now: context.now,
    };
    let revoked = match context.ca.store.transact(revoke).await {
        Ok(revoked) => revoked,
        Err(error) => {
            if let TxError::Refused(problem) = &error
                && problem.kind != ProblemType::AlreadyRevoked
            {
                let address = context.requester().address;
                let ca = &context.ca;
                refusals::note_revocation(ca, &claimant, &stored, address, problem).await;
            }
            return Err(problem::of_transaction(error));
        }
    };
    context.ca.metrics.revoked();
    if let Some(revocation) = revoked.revocation {
        tracing::info!(
            target: "cairn",
            serial = %revoked.key.serial,
            reason = revocation.reason.name(),
            by = revocation.by.name(),
            account = %revoked.account,
            order = %revoked.order,
            "revoked"
        );
    }
    Ok(Answer::empty(StatusCode::OK))
}

/// Finds the certificate, if these are the octets that were issued. One whose signature was never stored is known by the
/// bytes that were permitted and the issuer's key: whoever shows it proves that it exists (T-CA-102).
async fn find(context: &Context, presented: &Presented) -> Result<Arc<Certificate>, Problem> {
    let serial = presented.cairn_serial().ok_or_else(no_such_certificate)?;
    let stored = context
        .ca
        .store
        .certificate(serial)
        .await
        .map_err(problem::of_store)?
        .filter(|stored| stored.tbs == presented.tbs_der())
        .ok_or_else(no_such_certificate)?;
    let issuer = context
        .ca
        .issuance
        .issuers()
        .of_certificate(presented)
        .find(|issuer| issuer.id == stored.key.issuer)
        .ok_or_else(|| Problem::server_internal(NOT_LISTED))?;
    let is_issued = match &stored.signature {
        Some(signature) => signature == presented.signature(),
        None => issuer
            .certificate
            .verify_signature(presented.tbs_der(), presented.signature())
            .is_ok(),
    };
    if is_issued {
        Ok(stored)
    } else {
        Err(no_such_certificate())
    }
}
