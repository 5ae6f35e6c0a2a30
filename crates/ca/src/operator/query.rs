//! What operators ask, and the answers as JSON. One function answers for the socket and for a store without a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::rand;
use cairn_acme::time::Timestamp;
use cairn_x509::certificate::{Certificate as X509, Serial};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ExternalKeyQuery, IssueQuery, RevokeQuery, external,
    filter::{Listed, UnfitFilter},
    revoke, show,
};
use crate::{
    clock::{Clock, SystemClock},
    id::{AccountId, AuthorizationId, BootId, DirectoryId, ExternalKeyId, IdSeed, OrderId},
    issuance::internal::{InternalFault, account_key},
    metrics::Metrics,
    model::{Account, Authorization, Order},
    node,
    ring::RingFault,
    store::{
        AuditSubject, BackupError, Filter, Observer, OpenError, OpenOptions, Page,
        SetCertificatesAside, Store, StoreError, TxError,
    },
};

/// Look-ups in a row.
const AT_ONCE: usize = 32;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// What the store holds, and how it is.
    Status,
    /// Certificates, newest first.
    ListCertificates(#[serde(with = "super::filter")] Filter),
    /// Orders, newest first.
    ListOrders(#[serde(with = "super::filter")] Filter),
    /// Accounts, newest first.
    ListAccounts(#[serde(with = "super::filter")] Filter),
    /// One object with all that belongs to it: its id, its serial or its URL.
    Show(String),
    /// The certificates with these serials, and which of them are none here.
    Certificates(Vec<String>),
    /// Moves the renewal windows of these certificates into the past.
    SetAside {
        /// Serials.
        serials: Vec<String>,
        /// URL of a page that says why.
        explanation: Option<String>,
    },
    /// A copy of the store in a new file, made while the server goes on.
    Backup(PathBuf),
    /// Revocations.
    Revoke(RevokeQuery),
    /// New CRLs at once, for shards with revocations that are on none. Without a server: at its start.
    PublishCrls,
    /// A certificate from a CSR. Only a running server has the key.
    Issue(IssueQuery),
    /// A new external account key. Only a running server has the key ring.
    AddExternalKey(ExternalKeyQuery),
    /// External account keys, newest first; never their secrets.
    ListExternalKeys(#[serde(with = "super::filter")] Filter),
    /// Takes an external account key back.
    RevokeExternalKey(String),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryFault {
    /// Nothing has that name.
    #[error(
        "no certificate, order, authorization, account or external account key is called {0:?}"
    )]
    NotFound(String),
    /// No external account key has that id.
    #[error("no external account key is called {0:?}; `cairn ca eab list` shows them")]
    NoExternalKey(String),
    /// The rules say no.
    #[error("{0}")]
    Refused(String),
    /// The filter is none of that list.
    #[error(transparent)]
    Unfit(#[from] UnfitFilter),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The issuance.
    #[error(transparent)]
    Issuance(#[from] InternalFault),
    /// The store alone cannot do it.
    #[error(
        "the CA's server does not run, and only it has the CA's keys: start it with `cairn ca serve`"
    )]
    NeedsServer,
    /// The key ring.
    #[error(transparent)]
    Ring(#[from] RingFault),
    /// The machine gives no random bytes.
    #[error("the random source failed")]
    NoEntropy,
}

/// Answers from the store.
///
/// # Errors
/// If there is no such object, or the store cannot be read.
pub async fn answer(store: &Store, query: Query, now: Timestamp) -> Result<Value, QueryFault> {
    Ok(match query {
        Query::Status => status(store, now).await?,
        Query::ListCertificates(filter) => {
            let filter = Listed::Certificates.fit(filter, now)?;
            let found = store.list_certificates(filter).await?;
            page("certificates", found, show::certificate)
        }
        Query::ListOrders(filter) => {
            let filter = Listed::Orders.fit(filter, now)?;
            let found = store.list_orders(filter).await?;
            page("orders", found, |order| show::order(order, now))
        }
        Query::ListAccounts(filter) => {
            let filter = Listed::Accounts.fit(filter, now)?;
            let found = store.list_accounts(filter).await?;
            page("accounts", found, show::account)
        }
        Query::Show(name) => object(store, &name, now)
            .await?
            .ok_or(QueryFault::NotFound(name))?,
        Query::Certificates(serials) => certificates(store, &serials).await?,
        Query::SetAside {
            serials,
            explanation,
        } => set_aside(store, &serials, explanation, now).await?,
        Query::Backup(path) => {
            let report = store.backup(&path).await?;
            json!({ "path": report.path, "bytes": report.bytes, "changed": true })
        }
        Query::Revoke(wanted) => revoke::revoke(store, &wanted, None, now).await?,
        Query::PublishCrls => json!({ "crls": [], "running": false }),
        Query::ListExternalKeys(filter) => external::list(store, filter, now).await?,
        Query::RevokeExternalKey(id) => external::revoke(store, &id, now).await?,
        Query::Issue(_) | Query::AddExternalKey(_) => return Err(QueryFault::NeedsServer),
    })
}

/// Answers from the store of a directory in which no server runs.
///
/// # Errors
/// As [`answer`]; also if the store cannot be opened, such as by a server that runs without its socket.
pub(super) async fn answer_offline(dir: &Path, query: Query) -> Result<Value, QueryFault> {
    let now = SystemClock::default().wall();
    let mut seed = IdSeed::default();
    rand::fill(&mut seed).map_err(|_| QueryFault::NoEntropy)?;
    let store = Store::open(
        &node::location(dir),
        OpenOptions::new(BootId::new(now, seed), Arc::new(Nobody), now),
    )?;
    let answered = answer(&store, query, now).await;
    store.close().await;
    answered
}

/// Sets the gauges that are read from the store.
pub(super) async fn measure(store: &Store, metrics: &Metrics, now: Timestamp) {
    let Ok(sizes) = store.sizes(now).await else {
        return;
    };
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for (table, rows) in [
        ("accounts", sizes.accounts),
        ("orders", sizes.orders),
        ("authorizations", sizes.authorizations),
        ("certificates", sizes.certificates),
        ("work", sizes.work),
        ("audit", sizes.audit_events),
    ] {
        metrics.rows(table, number(rows));
    }
    metrics
        .store_size
        .set(number(sizes.database_bytes + sizes.log_bytes));
    metrics.unconfirmed.set(number(sizes.unconfirmed));
}

async fn status(store: &Store, now: Timestamp) -> Result<Value, QueryFault> {
    let sizes = store.sizes(now).await?;
    let records = store.issuers().await?;
    let mut issuers = Vec::with_capacity(records.len());
    let mut own = Vec::new();
    for record in &records {
        let certificate = X509::parse(&record.certificate_der).ok();
        issuers.push(json!({
            "id": record.id.to_string(),
            "crl_shards": record.crl_shards,
            "name": certificate.as_ref().and_then(X509::common_name),
            "not_after": certificate.as_ref().map(|c| Timestamp::from_seconds(c.not_after())),
        }));
        if let Some(certificate) = &certificate {
            own.extend(own_certificate(store, certificate).await?);
        }
    }
    let urls = store.base_urls(DirectoryId::FIRST).await?;
    let crls: Vec<_> = store.crls().await?.iter().map(show::crl).collect();
    Ok(json!({
        "url": urls.first(),
        "read_only": store.read_only_reason(),
        "epoch": store.epoch(),
        "latest_time": store.latest_time(),
        "queue": { "length": store.queue_length(), "age_ms": u64::try_from(store.queue_age().as_millis()).unwrap_or(u64::MAX) },
        "rows": {
            "accounts": sizes.accounts,
            "orders": sizes.orders,
            "orders_unfinished": sizes.orders_unfinished,
            "authorizations": sizes.authorizations,
            "certificates": sizes.certificates,
            "certificates_unconfirmed": sizes.unconfirmed,
            "certificates_revoked": sizes.revoked,
            "certificates_last_day": sizes.certificates_last_day,
            "work": sizes.work,
            "audit_events": sizes.audit_events,
        },
        "bytes": { "database": sizes.database_bytes, "log": sizes.log_bytes },
        "issuers": issuers,
        "own_certificates": own,
        "crls": crls,
    }))
}

/// The newest certificate that the CA issued to its own listener, if it issues it.
async fn own_certificate(store: &Store, issuer: &X509) -> Result<Option<Value>, QueryFault> {
    let Some(key) = account_key(issuer.public_key()) else {
        return Ok(None);
    };
    let account = store
        .account_by_key(DirectoryId::FIRST, &key.thumbprint())
        .await?;
    let Some(account) = account else {
        return Ok(None);
    };
    let newest = Filter {
        account: Some(account.id),
        state: Some("issued".to_owned()),
        limit: 1,
        ..Filter::default()
    };
    let page = store.list_certificates(newest).await?;
    Ok(page.items.first().map(show::certificate))
}

/// One question for many: an incident has thousands.
async fn certificates(store: &Store, serials: &[String]) -> Result<Value, QueryFault> {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for few in serials.chunks(AT_ONCE) {
        for text in few {
            let certificate = match text.parse::<Serial>() {
                Ok(serial) => store.certificate(serial).await?,
                Err(_) => None,
            };
            match certificate {
                Some(certificate) => found.push(show::certificate(&certificate)),
                None => unknown.push(text),
            }
        }
        // The look-ups are done on this worker, and others' requests wait for it.
        tokio::task::yield_now().await;
    }
    Ok(json!({ "certificates": found, "unknown": unknown }))
}

/// The object of that name. People paste what a client printed: a whole URL, an order's finalize and a challenge's among
/// them, whose last part names no object but the one before it does.
async fn object(store: &Store, name: &str, now: Timestamp) -> Result<Option<Value>, QueryFault> {
    let parts = name.trim().rsplit('/').filter(|part| !part.is_empty());
    for part in parts.take(URL_PARTS) {
        if let Some(found) = called(store, part, now).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn called(store: &Store, name: &str, now: Timestamp) -> Result<Option<Value>, QueryFault> {
    if let Ok(serial) = plain_serial(name).parse::<Serial>()
        && let Some(certificate) = store.certificate(serial).await?
    {
        let first_crl = store.first_crl(certificate.key).await?;
        let facts = store.renewal_facts(serial).await?;
        return Ok(Some(show::certificate_detail(
            &certificate,
            first_crl,
            facts.as_deref(),
        )));
    }
    if let Ok(id) = name.parse::<OrderId>()
        && let Some(detail) = store.order_detail(id).await?
    {
        return Ok(Some(show::order_detail(&detail, now)));
    }
    if let Ok(id) = name.parse::<AuthorizationId>()
        && let Some(found) = store.authorization_detail(id).await?
    {
        return Ok(Some(show::authorization_detail(&found, now)));
    }
    if let Ok(id) = name.parse::<AccountId>()
        && let Some(account) = store.account(id).await?
    {
        let audit = store.audit(AuditSubject::Account(id), AUDIT_ROWS).await?;
        return Ok(Some(show::account_detail(&account, &audit)));
    }
    match name.parse::<ExternalKeyId>() {
        Ok(id) => external::detail(store, id, now).await,
        Err(_) => Ok(None),
    }
}

async fn set_aside(
    store: &Store,
    serials: &[String],
    explanation: Option<String>,
    now: Timestamp,
) -> Result<Value, QueryFault> {
    if let Some(url) = explanation.as_deref().filter(|url| !is_page(url)) {
        return Err(QueryFault::Refused(format!("{url:?} is no URL of a page")));
    }
    let mut certificates = Vec::with_capacity(serials.len());
    for text in serials {
        let last = text.rsplit('/').next().unwrap_or_default();
        let found = match plain_serial(last).parse::<Serial>() {
            Ok(serial) => store.certificate(serial).await?,
            Err(_) => None,
        };
        let found = found.ok_or_else(|| QueryFault::NotFound(text.clone()))?;
        certificates.push(found.key);
    }
    let moved = store
        .transact(SetCertificatesAside {
            certificates,
            explanation,
            now,
        })
        .await
        .map_err(|error| match error {
            TxError::Refused(problem) => QueryFault::Refused(problem.detail),
            TxError::Store(error) => QueryFault::Store(error),
            TxError::Collision => QueryFault::Refused(error.to_string()),
        })?;
    let texts =
        |serials: &[Serial]| -> Vec<String> { serials.iter().map(ToString::to_string).collect() };
    Ok(json!({
        "moved": texts(&moved.moved),
        "unchanged": texts(&moved.unchanged),
        "changed": !moved.moved.is_empty(),
    }))
}

/// It goes into JSON for strangers' browsers.
fn is_page(url: &str) -> bool {
    const LONGEST: usize = 1024;
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= LONGEST
        && url.bytes().all(|b| b.is_ascii_graphic())
}

/// A serial as it is written here; openssl's `serial=01AB…` and `01:ab:…` are the same.
fn plain_serial(text: &str) -> String {
    text.strip_prefix("serial=")
        .unwrap_or(text)
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Parts of a URL that are looked at, from its end: a challenge's has its kind after its authorization's id.
const URL_PARTS: usize = 3;

/// Audit rows that one answer shows.
pub(super) const AUDIT_ROWS: usize = 1000;

pub(super) fn page<T>(name: &str, page: Page<T>, show: impl Fn(&T) -> Value) -> Value {
    let items: Vec<_> = page.items.iter().map(show).collect();
    json!({ name: items, "next": page.next })
}

/// Where no server runs, nobody waits.
struct Nobody;

impl Observer for Nobody {
    fn account(&self, _account: &Arc<Account>) {}
    fn order(&self, _order: &Arc<Order>) {}
    fn authorization(&self, _authorization: &Arc<Authorization>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_wire() {
        let filter = Filter {
            name: Some("a.test".to_owned()),
            account: Some(AccountId::from_bytes([7; 16])),
            expires_before: Some(Timestamp::from_seconds(1_800_000_000)),
            limit: 7,
            ..Filter::default()
        };
        for query in [
            Query::Status,
            Query::ListOrders(filter),
            Query::Show("x".to_owned()),
            Query::SetAside {
                serials: vec!["01".to_owned()],
                explanation: Some("https://ca.test/why".to_owned()),
            },
            Query::Backup("/b".into()),
            Query::Revoke(RevokeQuery {
                serials: vec!["01".to_owned()],
                reason: Some(1),
            }),
            Query::PublishCrls,
            Query::Issue(IssueQuery {
                csr: "MA".to_owned(),
                profile: None,
            }),
            Query::AddExternalKey(ExternalKeyQuery {
                directory: None,
                owner: Some("ops".to_owned()),
                allowed: vec![".a.test".to_owned()],
                many: true,
                expires: Some(crate::config::Span::from_days(7)),
            }),
            Query::ListExternalKeys(Filter::default()),
            Query::RevokeExternalKey("x".to_owned()),
        ] {
            let wire = serde_json::to_string(&query).unwrap();
            let back: Query = serde_json::from_str(&wire).unwrap();
            assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }
        assert!(serde_json::from_str::<Query>(r#"{"list-orders":{"nmae":"x"}}"#).is_err());
    }
}
