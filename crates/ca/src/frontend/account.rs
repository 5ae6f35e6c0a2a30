//! Accounts: newAccount and the account resource (RFC 8555 §7.3).

use aws_lc_rs::digest;
use cairn_acme::{
    contact::Contact,
    key::PublicKey,
    object::{self, AccountUpdate, NewAccount},
    problem::{Problem, ProblemType},
};
use http::StatusCode;
use serde_json::value::RawValue;

use super::{
    Route,
    answer::Answer,
    context::{Context, seed},
    envelope::{Raw, Verified},
    external, problem,
};
use crate::{
    authority::keys,
    id::AccountId,
    model::Account,
    refusals,
    store::{CreateAccount, ExternalClaim, TxError, UpdateAccount},
};

/// newAccount: makes or finds the account of the key that signed (RFC 8555 §7.3, §7.3.1).
pub(crate) async fn create(
    context: &Context,
    request: Verified<Raw, PublicKey>,
) -> Result<Answer, Problem> {
    let request = request.object::<NewAccount>()?;
    let (wanted, key) = (request.payload(), request.signer());
    keys::judge_account_key(key, &context.snapshot.blocked)?;
    let contacts = contacts(context, wanted.contact.as_deref().unwrap_or_default());
    let only_return_existing = wanted.only_return_existing.unwrap_or(false);
    let binding = wanted.external_account_binding.as_deref();
    // 8555-7.3.1-1: whoever only asks for an account shows nothing.
    let external = match only_return_existing {
        true => ExternalClaim::None,
        false => external::claim(context, binding, key).await?,
    };
    let id = AccountId::new(context.now, seed()?);
    let create = CreateAccount {
        id,
        directory: context.directory().id,
        url: context.urls().account(id),
        spki_sha256: spki_sha256(key),
        key: key.clone(),
        // With contacts that cannot be taken nothing is made; but a known key still finds its account, whose contacts
        // this request would not change anyhow (8555-7.3-3).
        only_return_existing: only_return_existing || contacts.is_err(),
        contacts: contacts.as_ref().cloned().unwrap_or_default(),
        terms_agreed: wanted.terms_of_service_agreed.unwrap_or(false),
        terms: context.directory().terms.clone(),
        external,
        requester: context.requester(),
        now: context.now,
    };
    let found = match (context.ca.store.transact(create).await, contacts) {
        (Err(TxError::Refused(refusal)), contacts)
            if refusal.kind == ProblemType::AccountDoesNotExist =>
        {
            // Without contacts to be taken it was asked only whether there is one.
            return Err(match contacts {
                Err(fault) if !only_return_existing => fault,
                _ => *refusal,
            });
        }
        (Err(TxError::Refused(refusal)), _) => {
            let (ca, address) = (&context.ca, context.address);
            refusals::note_stranger(ca, "account-refused", address, &refusal).await;
            return Err(*refusal);
        }
        (found, _) => found.map_err(problem::of_transaction)?,
    };
    if found.created {
        let external_key = found.account.external.as_ref().map(|e| e.key.to_string());
        tracing::info!(target: "cairn", account = %found.account.id, address = %context.address, external_key, "account created");
    }
    let status = if found.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let answer =
        show(context, &found.account, status).location(&context.account_url(&found.account));
    Ok(match &context.directory().terms {
        Some(terms) => answer.link(&terms.url, "terms-of-service"),
        None => answer,
    })
}

/// The account resource: read, update, deactivate (RFC 8555 §7.3.2, §7.3.6).
pub(crate) async fn post(context: &Context, request: Verified<Raw>) -> Result<Answer, Problem> {
    // 8555-7.3.2-2: the same for another's account and for one that does not exist.
    if context.route != Route::Account(request.signer().id) {
        return Err(Problem::unauthorized(
            "an account is shown to its own key alone",
        ));
    }
    if request.is_fetch() {
        return Ok(show(context, request.signer(), StatusCode::OK));
    }
    let request = request.object::<AccountUpdate>()?;
    let wanted = request.payload();
    let deactivate = wanted.status.as_deref() == Some("deactivated");
    let contacts = wanted
        .contact
        .as_deref()
        .map(|given| contacts(context, given))
        .transpose()?;
    let update = UpdateAccount {
        account: request.signer().id,
        contacts,
        deactivate,
        agrees_to: wanted
            .terms_of_service_agreed
            .unwrap_or(false)
            .then(|| context.directory().terms.clone())
            .flatten(),
        requester: context.requester(),
        now: context.now,
    };
    let account = context
        .ca
        .store
        .transact(update)
        .await
        .map_err(problem::of_transaction)?;
    if deactivate {
        tracing::info!(target: "cairn", account = %account.id, address = %context.address, "account deactivated");
    }
    Ok(show(context, &account, StatusCode::OK))
}

fn contacts(context: &Context, given: &[String]) -> Result<Vec<Contact>, Problem> {
    Ok(Contact::parse_all(
        given,
        context.snapshot.config.accounts.contacts_max,
    )?)
}

/// By which account keys are compared with certificates' keys.
pub(crate) fn spki_sha256(key: &PublicKey) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, &key.to_spki_der()).as_ref());
    hash
}

/// The account as an answer.
pub(crate) fn show(context: &Context, account: &Account, status: StatusCode) -> Answer {
    let body = object::Account {
        status: account.status,
        contact: Some(account.contacts.iter().map(ToString::to_string).collect()),
        terms_of_service_agreed: account.terms_agreed.then_some(true),
        external_account_binding: account
            .external
            .as_ref()
            .and_then(|external| RawValue::from_string(external.binding.clone()).ok()),
        orders: Some(context.urls().orders(account.id, None)),
    };
    Answer::json(status, &body)
}
