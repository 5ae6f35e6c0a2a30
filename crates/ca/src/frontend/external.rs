//! The external account binding of a newAccount (RFC 8555 §7.3.4): whether one is needed, and whether it verifies. Whether
//! its key may still be used is asked in the transaction that uses it.

use cairn_acme::{
    jws::{Binding, MacKey},
    key::PublicKey,
    problem::Problem,
};
use serde_json::value::RawValue;

use super::{context::Context, problem};
use crate::{
    authority::external::{missing, unverified},
    config::External,
    id::ExternalKeyId,
    store::ExternalClaim,
};

/// What the request shows. A binding that does not verify is no error yet: a key that has an account finds it all the same.
///
/// # Errors
/// When too many bad signatures came from the address, or the store cannot be read.
pub(super) async fn claim(
    context: &Context,
    binding: Option<&RawValue>,
    account_key: &PublicKey,
) -> Result<ExternalClaim, Problem> {
    let accounts = &context.snapshot.config.accounts;
    let source = &accounts.external_source;
    let text = match (context.directory().external, binding) {
        // What is not asked for is ignored, as by CAs that know no external accounts, and never repeated (8555-7.3.4-3).
        (External::Off, _) | (External::Optional, None) => return Ok(ExternalClaim::None),
        (External::Required, None) => return Ok(refused(missing(source))),
        (External::Optional | External::Required, Some(binding)) => binding.get(),
    };
    let url = format!("{}{}", context.urls().base(), context.path);
    let binding = match Binding::parse(text.as_bytes(), &url, account_key) {
        Ok(binding) => binding,
        Err(fault) => return Ok(refused(fault)),
    };
    let limits = &context.ca.limits;
    limits.may_verify(context.address, context.arrived)?;
    let secret = secret(context, binding.key_id()).await?;
    // For a key that is not known a MAC is computed too: the two refusals take the same work (T-CA-36).
    let made_with = binding.is_made_with(&match &secret {
        Some((_, secret)) => secret.clone(),
        None => MacKey::new(vec![0; MacKey::OCTETS].into()),
    });
    match secret {
        Some((key, _)) if made_with => Ok(ExternalClaim::Verified {
            key,
            binding: text.to_owned(),
            source: source.clone(),
        }),
        _ => {
            limits.bad_signature(context.address, context.arrived);
            Ok(refused(unverified(binding.key_id(), source)))
        }
    }
}

fn refused(problem: Problem) -> ExternalClaim {
    ExternalClaim::Refused(Box::new(problem))
}

/// The secret of a key of this directory.
async fn secret(
    context: &Context,
    key_id: &str,
) -> Result<Option<(ExternalKeyId, MacKey)>, Problem> {
    let Some(id) = named(context, key_id) else {
        return Ok(None);
    };
    let found = context.ca.store.external_key(id).await;
    let found = found.map_err(problem::of_store)?;
    let Some(key) = found.filter(|key| key.directory == context.directory().id) else {
        return Ok(None);
    };
    match context.ca.ring.open_external(id, &key.sealed) {
        Ok(secret) => Ok(Some((id, secret))),
        Err(error) => {
            tracing::error!(target: "cairn", key = %id, %error, "an external account key cannot be used: put back the key ring that it was made under, or make another key");
            Ok(None)
        }
    }
}

/// The key that is meant. A test CA also has keys whose kids others chose.
fn named(
    #[cfg_attr(not(feature = "dev"), expect(unused_variables))] context: &Context,
    key_id: &str,
) -> Option<ExternalKeyId> {
    #[cfg(feature = "dev")]
    if let Some(id) = context
        .ca
        .doors
        .as_ref()
        .and_then(|doors| doors.external_key(key_id))
    {
        return Some(id);
    }
    key_id.parse().ok()
}
