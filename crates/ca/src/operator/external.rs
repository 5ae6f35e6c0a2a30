//! External account keys (RFC 8555 §7.3.4): made, listed, taken back. A secret leaves this process once, in the answer that
//! made it; the store holds it sealed.

use std::sync::Arc;

use aws_lc_rs::rand;
use cairn_acme::{jws::MacKey, time::Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    QueryFault,
    filter::Listed,
    query::{AUDIT_ROWS, page},
    show,
};
use crate::{
    authority::external::Allowed,
    config::Span,
    id::{DirectoryId, ExternalKeyId, IdSeed},
    model::ExternalKey,
    node::Ca,
    store::{AddExternalKey, Filter, RevokeExternalKey, Store, TxError},
};

/// What a key shall be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExternalKeyQuery {
    /// Which directory's accounts it opens; none is the first.
    pub directory: Option<String>,
    /// Whom it is for, in words.
    pub owner: Option<String>,
    /// What its accounts may order: `NAME`, `.NAME` with all below it, ranges of addresses. Empty: anything.
    pub allowed: Vec<String>,
    /// Whether it opens any number of accounts.
    pub many: bool,
    /// For how long it opens any.
    pub expires: Option<Span>,
}

/// Characters of an owner: it is shown in lists and in refusals.
const OWNER_CHARS_MAX: usize = 100;

/// Entries of one key: each account that it opens keeps them.
const ALLOWED_MAX: usize = 100;

/// Makes a key; only a running server has the key ring.
pub(super) async fn add(ca: &Arc<Ca>, query: &ExternalKeyQuery) -> Result<Value, QueryFault> {
    let now = ca.clock.wall();
    let mut seed = IdSeed::default();
    rand::fill(&mut seed).map_err(|_| QueryFault::NoEntropy)?;
    let secret = fresh_secret()?;
    let id = ExternalKeyId::new(now, seed);
    let mut key = judged(id, query, now)?;
    let snapshot = ca.snapshot.load();
    if let Some(name) = &query.directory {
        let directory = snapshot.directories.named(name);
        let unknown = || QueryFault::Refused(format!("there is no directory {name:?}"));
        key.directory = directory.ok_or_else(unknown)?.id;
    }
    key.sealed = ca.ring.seal_external(id, &secret)?;
    let added = ca.store.transact(AddExternalKey(key)).await;
    let mut shown = show::external_key(&added.map_err(of_transaction)?, now);
    if let Some(members) = shown.as_object_mut() {
        members.insert("hmac_key".to_owned(), json!(secret.to_text().as_str()));
        members.insert("changed".to_owned(), json!(true));
    }
    Ok(shown)
}

/// Clients take it as an argument, and one that began with a hyphen would be an option to them.
fn fresh_secret() -> Result<MacKey, QueryFault> {
    loop {
        let mut octets = Zeroizing::new(vec![0; MacKey::OCTETS]);
        rand::fill(&mut octets).map_err(|_| QueryFault::NoEntropy)?;
        let secret = MacKey::new(octets);
        if !secret.to_text().starts_with('-') {
            return Ok(secret);
        }
    }
}

/// The key that is asked for, without its secret.
fn judged(
    id: ExternalKeyId,
    query: &ExternalKeyQuery,
    now: Timestamp,
) -> Result<ExternalKey, QueryFault> {
    let refused = |why: String| Err(QueryFault::Refused(why));
    if let Some(owner) = &query.owner
        && (owner.trim().is_empty() || owner.chars().count() > OWNER_CHARS_MAX)
    {
        return refused(format!(
            "an owner is a text of 1 to {OWNER_CHARS_MAX} characters"
        ));
    }
    if query.allowed.len() > ALLOWED_MAX {
        return refused(format!("a key allows {ALLOWED_MAX} names at most"));
    }
    let expires = query.expires.map(|span| now.plus(span.duration()));
    if expires.is_some_and(|end| end <= now) {
        return refused("it would be expired from the start".to_owned());
    }
    let allowed = query.allowed.iter().map(|text| text.parse::<Allowed>());
    let allowed = match allowed.collect::<Result<Vec<_>, _>>() {
        Ok(allowed) => allowed,
        Err(fault) => return refused(fault.to_string()),
    };
    Ok(ExternalKey {
        id,
        directory: DirectoryId::FIRST,
        owner: query.owner.clone(),
        allowed,
        many: query.many,
        expires,
        sealed: Vec::new(),
        created_at: now,
        revoked_at: None,
        uses: 0,
        last_use: None,
    })
}

/// Lists keys, newest first.
pub(super) async fn list(
    store: &Store,
    filter: Filter,
    now: Timestamp,
) -> Result<Value, QueryFault> {
    let filter = Listed::ExternalKeys.fit(filter, now)?;
    let found = store.list_external_keys(filter, now).await?;
    Ok(page("keys", found, |key| show::external_key(key, now)))
}

/// Takes a key back.
pub(super) async fn revoke(store: &Store, id: &str, now: Timestamp) -> Result<Value, QueryFault> {
    let none = || QueryFault::NoExternalKey(id.to_owned());
    let revoke = RevokeExternalKey {
        id: id.trim().parse().map_err(|_| none())?,
        now,
    };
    let key = store.transact(revoke).await.map_err(of_transaction)?;
    let (key, changed) = key.ok_or_else(none)?;
    let mut shown = show::external_key(&key, now);
    if let Some(members) = shown.as_object_mut() {
        members.insert("changed".to_owned(), json!(changed));
    }
    Ok(shown)
}

/// The key of that id, with the accounts that it opened.
pub(super) async fn detail(
    store: &Store,
    id: ExternalKeyId,
    now: Timestamp,
) -> Result<Option<Value>, QueryFault> {
    let Some(key) = store.external_key(id).await? else {
        return Ok(None);
    };
    let accounts = store.accounts_opened_with(id, AUDIT_ROWS).await?;
    let mut shown = show::external_key(&key, now);
    if let Some(members) = shown.as_object_mut() {
        let accounts: Vec<Value> = accounts.iter().map(show::account).collect();
        members.insert("accounts_opened".to_owned(), json!(accounts));
    }
    Ok(Some(shown))
}

fn of_transaction(error: TxError) -> QueryFault {
    match error {
        TxError::Refused(problem) => QueryFault::Refused(problem.detail),
        TxError::Store(error) => QueryFault::Store(error),
        TxError::Collision => QueryFault::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_looks_like_an_option() {
        // One in 64 would.
        for _ in 0..1000 {
            assert!(!fresh_secret().unwrap().to_text().starts_with('-'));
        }
    }
}
