//! What a transaction reads on the writer's thread: what earlier members of its batch changed, else what is cached, else
//! the tables; always as of its own point in the serial history.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::{Ready, ready},
    hash::Hash,
    rc::Rc,
    sync::Arc,
};

use cairn_acme::{identifier::Identifier, key::Thumbprint, renewal::CertId, time::Timestamp};
use cairn_x509::certificate::Serial;
use rusqlite::Connection;

use super::{
    accounts, authorizations,
    cache::{Cache, Table},
    certificates,
    code::Fault,
    crls, external, orders, renewals, revocations, work,
};
use crate::{
    id::{AccountId, AuthorizationId, BootId, DirectoryId, ExternalKeyId, IssuerId, OrderId},
    model::{
        Account, Authorization, Certificate, CertificateKey, ExternalKey, IssuerRecord, Order,
        SetAside, Work, WorkSubject,
    },
    store::{RowFault, Rows},
};

/// What the members of a batch changed so far, not committed yet.
#[derive(Default)]
pub(super) struct Overlay {
    pub(super) accounts: HashMap<AccountId, Arc<Account>>,
    pub(super) orders: HashMap<OrderId, Arc<Order>>,
    pub(super) authorizations: HashMap<AuthorizationId, Arc<Authorization>>,
    pub(super) certificates: HashMap<Serial, Arc<Certificate>>,
}

/// The writer's connection and what belongs to it.
pub(super) struct Desk {
    pub(super) conn: Connection,
    pub(super) cache: Arc<Cache>,
    pub(super) overlay: RefCell<Overlay>,
    /// The fault behind the last [`RowFault`], which carries only text.
    pub(super) fault: Cell<Option<Fault>>,
}

thread_local! {
    /// A connection is not `Sync`, and the contract's futures must be `Send`: the rows find the connection through the
    /// thread that they run on, which is the writer's own.
    static DESK: RefCell<Option<Rc<Desk>>> = const { RefCell::new(None) };
}

/// Seats the desk at this thread.
pub(super) fn take_seat(desk: &Rc<Desk>) {
    DESK.with(|seat| *seat.borrow_mut() = Some(Rc::clone(desk)));
}

/// Leaves the thread without a desk.
pub(super) fn leave_seat() {
    DESK.with(|seat| seat.borrow_mut().take());
}

/// The rows of the writer's connection.
pub(super) struct SqliteRows;

fn at_desk<T>(read: impl FnOnce(&Desk) -> Result<T, Fault>) -> Ready<Result<T, RowFault>> {
    let desk = DESK.with(|seat| seat.borrow().clone());
    ready(match desk {
        None => Err(RowFault::Database(
            "a transaction ran outside of the writer".to_owned(),
        )),
        Some(desk) => read(&desk).map_err(|fault| {
            let told = match &fault {
                Fault::Row { table, reason } => RowFault::Row {
                    table,
                    reason: reason.clone(),
                },
                other => RowFault::Database(other.to_string()),
            };
            desk.fault.set(Some(fault));
            told
        }),
    })
}

/// The row by its id: from the batch, from the cache, from the table.
fn by_id<K: Hash + Eq + Copy, V: Clone>(
    id: K,
    overlay: &HashMap<K, Arc<V>>,
    cache: &Table<K, V>,
    load: impl FnOnce() -> Result<Option<V>, Fault>,
) -> Result<Option<V>, Fault> {
    if let Some(value) = overlay.get(&id) {
        return Ok(Some(V::clone(value)));
    }
    let version = match cache.get(&id) {
        Ok(value) => return Ok(Some(V::clone(&value))),
        Err(version) => version,
    };
    let loaded = load()?;
    if let Some(value) = &loaded {
        // Not in the overlay, so this batch did not touch it: it is as committed.
        cache.read(id, Arc::new(value.clone()), version);
    }
    Ok(loaded)
}

impl Rows for SqliteRows {
    fn account(
        &self,
        id: AccountId,
    ) -> impl Future<Output = Result<Option<Account>, RowFault>> + Send {
        at_desk(|d| {
            by_id(id, &d.overlay.borrow().accounts, &d.cache.accounts, || {
                accounts::by_id(&d.conn, id)
            })
        })
    }

    fn account_by_key(
        &self,
        directory: DirectoryId,
        key: &Thumbprint,
    ) -> impl Future<Output = Result<Option<Account>, RowFault>> + Send {
        at_desk(|d| accounts::by_key(&d.conn, directory, key))
    }

    fn is_account_key_hash(
        &self,
        spki_sha256: &[u8; 32],
    ) -> impl Future<Output = Result<bool, RowFault>> + Send {
        at_desk(|d| accounts::has_spki(&d.conn, spki_sha256))
    }

    fn order(
        &self,
        account: AccountId,
        id: OrderId,
    ) -> impl Future<Output = Result<Option<Order>, RowFault>> + Send {
        at_desk(|d| {
            let order = by_id(id, &d.overlay.borrow().orders, &d.cache.orders, || {
                orders::by_id(&d.conn, id)
            })?;
            Ok(order.filter(|o| o.account == account))
        })
    }

    fn authorization(
        &self,
        account: AccountId,
        id: AuthorizationId,
    ) -> impl Future<Output = Result<Option<Authorization>, RowFault>> + Send {
        at_desk(|d| {
            let found = by_id(
                id,
                &d.overlay.borrow().authorizations,
                &d.cache.authorizations,
                || authorizations::by_id(&d.conn, id),
            )?;
            Ok(found.filter(|a| a.account == account))
        })
    }

    fn open_orders(
        &self,
        account: AccountId,
        fingerprint: i64,
    ) -> impl Future<Output = Result<Vec<Order>, RowFault>> + Send {
        at_desk(|d| orders::open(&d.conn, account, fingerprint))
    }

    fn valid_authorization(
        &self,
        account: AccountId,
        directory: DirectoryId,
        identifier: &Identifier,
        wildcard: bool,
    ) -> impl Future<Output = Result<Option<Authorization>, RowFault>> + Send {
        at_desk(|d| authorizations::valid(&d.conn, account, directory, identifier, wildcard))
    }

    fn unfinished_orders(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<Vec<Order>, RowFault>> + Send {
        at_desk(|d| orders::unfinished(&d.conn, account))
    }

    fn open_orders_on(
        &self,
        account: AccountId,
        authorization: AuthorizationId,
    ) -> impl Future<Output = Result<Vec<Order>, RowFault>> + Send {
        at_desk(|d| orders::open_on(&d.conn, account, authorization))
    }

    fn certificate(
        &self,
        key: CertificateKey,
    ) -> impl Future<Output = Result<Option<Certificate>, RowFault>> + Send {
        at_desk(|d| {
            let overlay = d.overlay.borrow();
            let known = overlay
                .certificates
                .get(&key.serial)
                .cloned()
                .or_else(|| d.cache.certificates.get(&key.serial).ok());
            match known.filter(|c| c.key == key) {
                Some(certificate) => Ok(Some(Certificate::clone(&certificate))),
                None => certificates::by_key(&d.conn, &key),
            }
        })
    }

    fn is_live_certificate_key(
        &self,
        spki_sha256: &[u8; 32],
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, RowFault>> + Send {
        at_desk(|d| certificates::has_live_spki(&d.conn, spki_sha256, now))
    }

    fn is_blocked_key(
        &self,
        spki_sha256: &[u8; 32],
    ) -> impl Future<Output = Result<bool, RowFault>> + Send {
        at_desk(|d| revocations::is_blocked(&d.conn, spki_sha256))
    }

    fn work(
        &self,
        subject: &WorkSubject,
    ) -> impl Future<Output = Result<Option<Work>, RowFault>> + Send {
        at_desk(|d| work::by_subject(&d.conn, subject))
    }

    fn abandoned_work(
        &self,
        boot: BootId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Work>, RowFault>> + Send {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        at_desk(|d| work::abandoned(&d.conn, boot, now.as_millis(), limit))
    }

    fn set_aside(
        &self,
        key: CertificateKey,
    ) -> impl Future<Output = Result<Option<SetAside>, RowFault>> + Send {
        at_desk(|d| renewals::set_aside(&d.conn, &key))
    }

    fn replacement(
        &self,
        certificate: &CertId,
    ) -> impl Future<Output = Result<Option<OrderId>, RowFault>> + Send {
        at_desk(|d| renewals::claimant(&d.conn, certificate))
    }

    fn issuance_stop(
        &self,
        issuer: IssuerId,
        profile_hash: &[u8; 32],
    ) -> impl Future<Output = Result<Option<String>, RowFault>> + Send {
        at_desk(|d| crls::stop(&d.conn, issuer, profile_hash))
    }

    fn crl_number(
        &self,
        issuer: IssuerId,
        shard: u32,
    ) -> impl Future<Output = Result<u64, RowFault>> + Send {
        at_desk(|d| crls::number(&d.conn, issuer, shard))
    }

    fn external_key(
        &self,
        id: ExternalKeyId,
    ) -> impl Future<Output = Result<Option<ExternalKey>, RowFault>> + Send {
        at_desk(|d| external::by_id(&d.conn, id))
    }

    fn issuer(
        &self,
        id: IssuerId,
    ) -> impl Future<Output = Result<Option<IssuerRecord>, RowFault>> + Send {
        at_desk(|d| crls::issuer(&d.conn, id))
    }
}
