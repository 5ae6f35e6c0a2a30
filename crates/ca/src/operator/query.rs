//! What operators ask, and the answers as JSON. One function answers for the socket and for a store without a server.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::rand;
use cairn_acme::time::Timestamp;
use cairn_x509::certificate::Serial;
use serde::{Deserialize, Serialize, de};
use serde_json::{Value, json};

use super::show;
use crate::{
    clock::{Clock, SystemClock},
    id::{AccountId, BootId, IdSeed, OrderId},
    metrics::Metrics,
    model::{Account, Authorization, Order},
    node,
    store::{
        AuditSubject, BackupError, Filter, Observer, OpenError, OpenOptions, Page,
        SetCertificatesAside, Store, StoreError, TxError,
    },
};

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Query {
    /// What the store holds, and how it is.
    Status,
    /// Certificates, newest first.
    ListCertificates(#[serde(with = "filter")] Filter),
    /// Orders, newest first.
    ListOrders(#[serde(with = "filter")] Filter),
    /// Accounts, newest first.
    ListAccounts(#[serde(with = "filter")] Filter),
    /// One object with all that belongs to it: an order's or account's id, or a serial.
    Show(String),
    /// Moves the renewal windows of these certificates into the past.
    SetAside {
        /// Serials.
        serials: Vec<String>,
        /// URL of a page that says why.
        explanation: Option<String>,
    },
    /// A copy of the store in a new file, made while the server goes on.
    Backup(PathBuf),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryFault {
    /// Nothing has that name.
    #[error("no certificate, order or account is called {0:?}")]
    NotFound(String),
    /// The query itself.
    #[error("{0}")]
    Refused(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
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
        Query::ListCertificates(filter) => page(
            "certificates",
            store.list_certificates(filter).await?,
            show::certificate,
        ),
        Query::ListOrders(filter) => page("orders", store.list_orders(filter).await?, |order| {
            show::order(order, now)
        }),
        Query::ListAccounts(filter) => page(
            "accounts",
            store.list_accounts(filter).await?,
            show::account,
        ),
        Query::Show(name) => object(store, &name, now)
            .await?
            .ok_or(QueryFault::NotFound(name))?,
        Query::SetAside {
            serials,
            explanation,
        } => set_aside(store, &serials, explanation, now).await?,
        Query::Backup(path) => {
            let report = store.backup(&path).await?;
            json!({ "path": report.path, "bytes": report.bytes, "changed": true })
        }
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
    let issuers: Vec<_> = store
        .issuers()
        .await?
        .iter()
        .map(|issuer| json!({ "id": issuer.id.to_string(), "crl_shards": issuer.crl_shards }))
        .collect();
    let crls: Vec<_> = store.crls().await?.iter().map(show::crl).collect();
    Ok(json!({
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
            "certificates_last_day": sizes.certificates_last_day,
            "work": sizes.work,
            "audit_events": sizes.audit_events,
        },
        "bytes": { "database": sizes.database_bytes, "log": sizes.log_bytes },
        "issuers": issuers,
        "crls": crls,
    }))
}

async fn object(store: &Store, name: &str, now: Timestamp) -> Result<Option<Value>, QueryFault> {
    if let Ok(serial) = name.parse::<Serial>()
        && let Some(certificate) = store.certificate(serial).await?
    {
        let facts = store.renewal_facts(serial).await?;
        return Ok(Some(show::certificate_detail(
            &certificate,
            facts.as_deref(),
        )));
    }
    if let Ok(id) = name.parse::<OrderId>()
        && let Some(detail) = store.order_detail(id).await?
    {
        return Ok(Some(show::order_detail(&detail, now)));
    }
    if let Ok(id) = name.parse::<AccountId>()
        && let Some(account) = store.account(id).await?
    {
        let audit = store.audit(AuditSubject::Account(id), AUDIT_ROWS).await?;
        return Ok(Some(show::account_detail(&account, &audit)));
    }
    Ok(None)
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
        let found = match text.parse::<Serial>() {
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

/// Audit rows that one answer shows.
const AUDIT_ROWS: usize = 1000;

fn page<T>(name: &str, page: Page<T>, show: impl Fn(&T) -> Value) -> Value {
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

/// A filter on the wire.
mod filter {
    use serde::{Deserializer, Serializer};

    use super::{AccountId, Deserialize, Filter, Serial, Serialize, Timestamp, de};

    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Wire {
        name: Option<String>,
        account: Option<String>,
        state: Option<String>,
        expires_before: Option<Timestamp>,
        unconfirmed: bool,
        serial: Option<String>,
        after: Option<i64>,
        limit: usize,
    }

    impl Default for Wire {
        fn default() -> Self {
            Self {
                name: None,
                account: None,
                state: None,
                expires_before: None,
                unconfirmed: false,
                serial: None,
                after: None,
                limit: 100,
            }
        }
    }

    pub(super) fn serialize<S: Serializer>(
        filter: &Filter,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Wire {
            name: filter.name.clone(),
            account: filter.account.map(|id| id.to_string()),
            state: filter.state.clone(),
            expires_before: filter.expires_before,
            unconfirmed: filter.unconfirmed,
            serial: filter.serial.as_ref().map(ToString::to_string),
            after: filter.after,
            limit: filter.limit,
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Filter, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let account = wire
            .account
            .map(|id| id.parse::<AccountId>())
            .transpose()
            .map_err(|_| de::Error::custom("account: not an id"))?;
        let serial = wire
            .serial
            .map(|serial| serial.parse::<Serial>())
            .transpose()
            .map_err(|_| de::Error::custom("serial: not a serial"))?;
        Ok(Filter {
            name: wire.name,
            account,
            state: wire.state,
            expires_before: wire.expires_before,
            unconfirmed: wire.unconfirmed,
            serial,
            after: wire.after,
            limit: wire.limit,
        })
    }
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
        ] {
            let wire = serde_json::to_string(&query).unwrap();
            let back: Query = serde_json::from_str(&wire).unwrap();
            assert_eq!(format!("{back:?}"), format!("{query:?}"));
        }
        assert!(serde_json::from_str::<Query>(r#"{"list-orders":{"nmae":"x"}}"#).is_err());
    }
}
