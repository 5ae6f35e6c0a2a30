//! From bytes to a verified request (RFC 8555 §6). Handlers take [`Verified`] and nothing else, and only this file can
//! make one, so that no path around a check compiles.
//!
//! The order is fixed (8555-6.2-6): content type and size (`super::intake`); envelope and protected header; seal and age
//! of the nonce, which is burnt whatever happens after; algorithm; account; signature; url. The account's state is
//! looked at once more inside the write.

use std::sync::Arc;

use bytes::Bytes;
use cairn_acme::{
    json,
    jws::{Envelope, KeyRef},
    key::{Algorithm, PublicKey},
    problem::{Problem, ProblemType},
    status::AccountStatus,
    text::quoted,
};
use serde::de::DeserializeOwned;

use super::{context::Context, problem, urls::Kid};
use crate::{authority::accounts, model::Account};

/// A payload whose signature, nonce and url were checked, and who signed it: an account, at newAccount a key, at
/// revokeCert either.
#[derive(Debug)]
pub(crate) struct Verified<P, S = Arc<Account>> {
    payload: P,
    signer: S,
    request: Bytes,
}

/// Who signed a request that either an account or a key by itself may sign.
#[derive(Debug)]
pub(crate) enum Signer {
    /// The account of the `kid`.
    Account(Arc<Account>),
    /// The key of the `jwk`.
    Key(PublicKey),
}

/// A payload that was not looked into yet.
#[derive(Debug)]
pub(crate) struct Raw(Vec<u8>);

impl<P, S> Verified<P, S> {
    /// What was signed.
    pub(crate) fn payload(&self) -> &P {
        &self.payload
    }

    /// Who signed it.
    pub(crate) fn signer(&self) -> &S {
        &self.signer
    }

    /// The request as it arrived.
    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }
}

impl<S> Verified<Raw, S> {
    /// Whether it is a POST-as-GET (RFC 8555 §6.3).
    pub(crate) fn is_fetch(&self) -> bool {
        self.payload.0.is_empty()
    }

    /// The payload's octets: a keyChange's is a JWS of its own.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.payload.0
    }

    /// Takes it as a POST-as-GET.
    ///
    /// # Errors
    /// `malformed` unless the payload has zero octets; `{}` is not that (8555-6.3-2).
    pub(crate) fn fetch(self) -> Result<Verified<(), S>, Problem> {
        if !self.is_fetch() {
            return Err(Problem::malformed(
                "this resource is only read: a POST-as-GET has the empty string as payload, not an object (RFC 8555 section 6.3)",
            ));
        }
        Ok(Verified {
            payload: (),
            signer: self.signer,
            request: self.request,
        })
    }

    /// Takes it as a JSON object.
    ///
    /// # Errors
    /// `malformed` if it is none, or an empty payload (8555-6.3-4).
    pub(crate) fn object<T: DeserializeOwned>(self) -> Result<Verified<T, S>, Problem> {
        if self.is_fetch() {
            return Err(Problem::malformed(
                "the payload is empty; this request needs a JSON object",
            ));
        }
        let payload = json::parse_object(&self.payload.0)
            .map_err(|error| Problem::malformed(format!("payload: {error}")))?;
        Ok(Verified {
            payload,
            signer: self.signer,
            request: self.request,
        })
    }
}

/// Verifies a request that an account signs: all but newAccount (RFC 8555 §6.2).
pub(crate) async fn by_account(context: &Context, body: Bytes) -> Result<Verified<Raw>, Problem> {
    let envelope = Envelope::parse(&body)?;
    let KeyRef::Kid(kid) = &envelope.header.key else {
        return Err(Problem::malformed(
            "this resource wants the header \"kid\", the account's URL; \"jwk\" is for newAccount (RFC 8555 section 6.2)",
        ));
    };
    let algorithm = begin(context, &envelope)?;
    let account = account_of(context, kid).await?;
    finish(context, &envelope, algorithm, &account.key)?;
    Ok(Verified {
        payload: Raw(envelope.payload),
        signer: account,
        request: body,
    })
}

/// Verifies a request that the key in it signs: newAccount.
pub(crate) fn by_key(context: &Context, body: Bytes) -> Result<Verified<Raw, PublicKey>, Problem> {
    let envelope = Envelope::parse(&body)?;
    let KeyRef::Jwk(jwk) = &envelope.header.key else {
        return Err(Problem::malformed(
            "newAccount wants the header \"jwk\", the key that signs; \"kid\" is for requests of an account (RFC 8555 section 6.2)",
        ));
    };
    let algorithm = begin(context, &envelope)?;
    let key = PublicKey::from_jwk(jwk.as_bytes())?;
    finish(context, &envelope, algorithm, &key)?;
    Ok(Verified {
        payload: Raw(envelope.payload),
        signer: key,
        request: body,
    })
}

/// Verifies a request that an account or the key in it signs: revokeCert (RFC 8555 §7.6).
pub(crate) async fn by_either(
    context: &Context,
    body: Bytes,
) -> Result<Verified<Raw, Signer>, Problem> {
    let envelope = Envelope::parse(&body)?;
    let algorithm = begin(context, &envelope)?;
    let signer = match &envelope.header.key {
        KeyRef::Kid(kid) => {
            let account = account_of(context, kid).await?;
            finish(context, &envelope, algorithm, &account.key)?;
            Signer::Account(account)
        }
        KeyRef::Jwk(jwk) => {
            let key = PublicKey::from_jwk(jwk.as_bytes())?;
            finish(context, &envelope, algorithm, &key)?;
            Signer::Key(key)
        }
    };
    Ok(Verified {
        payload: Raw(envelope.payload),
        signer,
        request: body,
    })
}

/// Burns the nonce, then looks at the algorithm.
fn begin(context: &Context, envelope: &Envelope) -> Result<Algorithm, Problem> {
    let Some(nonce) = &envelope.header.nonce else {
        return Err(Problem::bad_nonce(
            "the protected header has no nonce; take the Replay-Nonce of this answer",
        ));
    };
    context
        .ca
        .nonces
        .burn(nonce, context.arrived)
        .map_err(|why| {
            Problem::bad_nonce(format!("{why}; take the Replay-Nonce of this answer"))
        })?;
    envelope.algorithm()
}

/// Finds the account that a kid names, by its form alone and in our own store: a kid is never fetched (T-CA-06).
async fn account_of(context: &Context, kid: &str) -> Result<Arc<Account>, Problem> {
    let id = match context.kid(kid) {
        Kid::Account(id) => id,
        Kid::Unknown => return Err(unknown_account(kid)),
        Kid::Foreign => {
            return Err(Problem::malformed(
                "the kid is not an account URL of this directory; use the Location of newAccount's answer",
            ));
        }
    };
    let account = context
        .ca
        .store
        .account(id)
        .await
        .map_err(problem::of_store)?
        // Another directory's account is none here, by whatever URL.
        .filter(|account| account.directory == context.directory().id)
        .ok_or_else(|| unknown_account(kid))?;
    if account.status != AccountStatus::Valid {
        let mut problem = accounts::not_valid(account.status);
        problem.detail = format!("{}: {}", quoted(kid), problem.detail);
        return Err(problem);
    }
    Ok(account)
}

fn unknown_account(kid: &str) -> Problem {
    Problem::account_does_not_exist(format!(
        "no account of this server has the URL {}: the URL is another CA's, or the account was made before this CA was set \
         up anew. Register its key with newAccount",
        quoted(kid)
    ))
}

/// Checks signature and url.
fn finish(
    context: &Context,
    envelope: &Envelope,
    algorithm: Algorithm,
    key: &PublicKey,
) -> Result<(), Problem> {
    let limits = &context.ca.limits;
    if key.algorithm() == algorithm {
        limits.may_verify(context.address, context.arrived)?;
    }
    if let Err(problem) = envelope.verify_with(key) {
        // An algorithm that does not fit the key costs no verification (T-CA-03) and is not counted.
        if problem.kind != ProblemType::BadPublicKey {
            limits.bad_signature(context.address, context.arrived);
        }
        return Err(problem);
    }
    // Byte for byte, and against the configured base: what the Host header says counts for nothing (T-CA-12).
    let asked = envelope.header.url.strip_prefix(context.urls().base());
    if asked != Some(context.path.as_str()) {
        return Err(Problem::unauthorized(format!(
            "the signed url is not that of this resource, {}{}: the request was made for another one, or for another server",
            context.urls().base(),
            context.path
        )));
    }
    Ok(())
}
