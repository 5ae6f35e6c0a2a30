//! keyChange (RFC 8555 §7.3.5): the account's new key signs an inner JWS, the old one the request around it.

use cairn_acme::{
    jws::{Envelope, KeyRef},
    key::PublicKey,
    object,
    problem::Problem,
};
use http::StatusCode;

use super::{
    Kid, account,
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    problem,
};
use crate::{
    authority::keys,
    model::Account,
    refusals,
    store::{ChangeKey, TxError},
};

pub(crate) async fn post(context: &Context, request: Verified<Raw>) -> Result<Answer, Problem> {
    let signer = request.signer();
    let inner = Envelope::parse(request.octets()).map_err(inner_fault)?;
    let new_key = verify(context, &inner)?;
    judge_payload(context, signer, &inner)?;
    if new_key.thumbprint() == signer.thumbprint {
        return Err(Problem::malformed(
            "the new key is the account's key already; nothing was changed",
        ));
    }
    keys::judge_account_key(&new_key, &context.snapshot.blocked)?;
    let change = ChangeKey {
        account: signer.id,
        directory: signer.directory,
        old: signer.thumbprint,
        spki_sha256: account::spki_sha256(&new_key),
        new: new_key,
        requester: context.requester(),
        now: context.now,
    };
    let changed = context.ca.store.transact(change).await;
    if let Err(TxError::Refused(problem)) = &changed {
        refusals::note(&context.ca, "key-change-refused", signer.id, None, problem).await;
    }
    let changed = changed.map_err(problem::of_transaction)?;
    tracing::info!(target: "cairn", account = %changed.id, address = %context.address, "account key changed");
    Ok(account::show(context, &changed, StatusCode::OK))
}

/// Which of the two the fault lies in; both are read by one parser.
fn inner_fault(mut fault: Problem) -> Problem {
    fault.detail = format!("inner JWS: {}", fault.detail);
    fault
}

/// The new key, which must sign the inner JWS: whoever asks holds it.
fn verify(context: &Context, inner: &Envelope) -> Result<PublicKey, Problem> {
    let KeyRef::Jwk(jwk) = &inner.header.key else {
        return Err(Problem::malformed(
            "inner JWS: it has a kid, where the new key stands as jwk",
        ));
    };
    if inner.header.nonce.is_some() {
        return Err(Problem::malformed(
            "inner JWS: it has a nonce, which belongs to the outer one alone",
        ));
    }
    let outer = format!("{}{}", context.urls().base(), context.path);
    if inner.header.url != outer {
        return Err(Problem::malformed(
            "inner JWS: its url is not that of the outer one",
        ));
    }
    inner.algorithm().map_err(inner_fault)?;
    let key = PublicKey::from_jwk(jwk.as_bytes()).map_err(|fault| inner_fault(fault.into()))?;
    context
        .ca
        .limits
        .may_verify(context.address, context.arrived)?;
    inner.verify_with(&key).map_err(|fault| {
        context
            .ca
            .limits
            .bad_signature(context.address, context.arrived);
        inner_fault(fault)
    })?;
    Ok(key)
}

/// 8555-7.3.5-2: the inner payload names the account and the key in force.
fn judge_payload(context: &Context, signer: &Account, inner: &Envelope) -> Result<(), Problem> {
    let wanted: object::KeyChange = cairn_acme::json::parse_object(&inner.payload)
        .map_err(|error| Problem::malformed(format!("inner JWS, payload: {error}")))?;
    if wanted.account != signer.url && context.kid(&wanted.account) != Kid::Account(signer.id) {
        return Err(Problem::malformed(
            "inner JWS: account is not the URL of the account that signs the outer one",
        ));
    }
    let old = PublicKey::from_jwk(wanted.old_key.get().as_bytes())
        .map_err(|fault| Problem::malformed(format!("inner JWS, oldKey: {fault}")))?;
    if old.thumbprint() != signer.thumbprint {
        return Err(Problem::malformed(
            "inner JWS: oldKey is not the account's key in force",
        ));
    }
    Ok(())
}
