//! The store: what was answered is here, and what is here survives a kill, a full disk and a restart.
//!
//! A change is a [`Transaction`]: load → pure decision (`authority`) → write. A transaction names what it loads through
//! [`Rows`], whose methods are async so that a networked database can serve the same transactions; over SQLite they are
//! ready at once and run on the one writer thread. Its decision returns [`Changes`], applied in the same database
//! transaction; only after COMMIT does anybody hear of it. A transaction may run more than once, so it must be
//! repeatable: ids and random values come in with it.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

#[cfg(test)]
mod conformance;
mod set_aside;
pub mod sqlite;
mod transactions;

use std::{future::Future, sync::Arc, time::Duration};

use cairn_acme::{
    identifier::Identifier, key::Thumbprint, problem::Problem, renewal::CertId, time::Timestamp,
};
use cairn_x509::certificate::Serial;

pub use set_aside::{AsideMoved, SetCertificatesAside};
#[cfg(feature = "dev")]
pub use sqlite::Forgotten;
pub use sqlite::{
    AuditRecord, AuditSubject, BackupError, BackupReport, BatchBounds, FaultHook, FaultPoint,
    InjectedFault, Location, OpenError, OpenOptions, OrderDetail, PAGE_MAX, Page,
    RequestInProgress, RestoreError, RestoreReport, Sizes, Store, StoreStats, SweepPolicy,
    SweepReport, issuers_of, restore,
};
pub use transactions::*;

use crate::{
    id::{AccountId, AuthorizationId, BootId, DirectoryId, ExternalKeyId, IssuerId, OrderId},
    model::{
        Account, AuditEvent, Authorization, Certificate, CertificateKey, ExternalKey, IssuerRecord,
        Order, SetAside, StoredCrl, Work, WorkSubject,
    },
};

/// What a transaction may read, always as of its own point in the serial history.
pub trait Rows: Sync {
    /// The account with this id.
    fn account(
        &self,
        id: AccountId,
    ) -> impl Future<Output = Result<Option<Account>, RowFault>> + Send;
    /// The account that this key opened, in whatever state.
    fn account_by_key(
        &self,
        directory: DirectoryId,
        key: &Thumbprint,
    ) -> impl Future<Output = Result<Option<Account>, RowFault>> + Send;
    /// Whether the SubjectPublicKeyInfo with this SHA-256 is the key of any account of any directory.
    fn is_account_key_hash(
        &self,
        spki_sha256: &[u8; 32],
    ) -> impl Future<Output = Result<bool, RowFault>> + Send;
    /// The order with this id, if it is this account's.
    fn order(
        &self,
        account: AccountId,
        id: OrderId,
    ) -> impl Future<Output = Result<Option<Order>, RowFault>> + Send;
    /// The authorization with this id, if it is this account's.
    fn authorization(
        &self,
        account: AccountId,
        id: AuthorizationId,
    ) -> impl Future<Output = Result<Option<Authorization>, RowFault>> + Send;
    /// Open orders of the account with that fingerprint, newest first, few.
    fn open_orders(
        &self,
        account: AccountId,
        fingerprint: i64,
    ) -> impl Future<Output = Result<Vec<Order>, RowFault>> + Send;
    /// The newest valid authorization for (account, identifier, wildcard) in the directory.
    fn valid_authorization(
        &self,
        account: AccountId,
        directory: DirectoryId,
        identifier: &Identifier,
        wildcard: bool,
    ) -> impl Future<Output = Result<Option<Authorization>, RowFault>> + Send;
    /// All open or processing orders of the account, with no regard to expiry.
    fn unfinished_orders(
        &self,
        account: AccountId,
    ) -> impl Future<Output = Result<Vec<Order>, RowFault>> + Send;
    /// Open orders of the account that rest on the authorization, with no regard to expiry.
    fn open_orders_on(
        &self,
        account: AccountId,
        authorization: AuthorizationId,
    ) -> impl Future<Output = Result<Vec<Order>, RowFault>> + Send;
    /// The certificate with this key.
    fn certificate(
        &self,
        key: CertificateKey,
    ) -> impl Future<Output = Result<Option<Certificate>, RowFault>> + Send;
    /// Whether an unexpired certificate carries this SubjectPublicKeyInfo.
    fn is_live_certificate_key(
        &self,
        spki_sha256: &[u8; 32],
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, RowFault>> + Send;
    /// Whether the key was shown to be in others' hands.
    fn is_blocked_key(
        &self,
        spki_sha256: &[u8; 32],
    ) -> impl Future<Output = Result<bool, RowFault>> + Send;
    /// The work row about the subject.
    fn work(
        &self,
        subject: &WorkSubject,
    ) -> impl Future<Output = Result<Option<Work>, RowFault>> + Send;
    /// Work rows of any boot but this, and rows whose lease ended, at most `limit`.
    fn abandoned_work(
        &self,
        boot: BootId,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Work>, RowFault>> + Send;
    /// Whether and since when the certificate is set aside.
    fn set_aside(
        &self,
        key: CertificateKey,
    ) -> impl Future<Output = Result<Option<SetAside>, RowFault>> + Send;
    /// The order that claims to replace the certificate.
    fn replacement(
        &self,
        certificate: &CertId,
    ) -> impl Future<Output = Result<Option<OrderId>, RowFault>> + Send;
    /// The reason for which issuance is stopped, if it is, for all or for this profile or issuer.
    fn issuance_stop(
        &self,
        issuer: IssuerId,
        profile_hash: &[u8; 32],
    ) -> impl Future<Output = Result<Option<String>, RowFault>> + Send;
    /// The highest CRL number ever reserved for the shard.
    fn crl_number(
        &self,
        issuer: IssuerId,
        shard: u32,
    ) -> impl Future<Output = Result<u64, RowFault>> + Send;
    /// The external account key with this id.
    fn external_key(
        &self,
        id: ExternalKeyId,
    ) -> impl Future<Output = Result<Option<ExternalKey>, RowFault>> + Send;
    /// The issuer with this id.
    fn issuer(
        &self,
        id: IssuerId,
    ) -> impl Future<Output = Result<Option<IssuerRecord>, RowFault>> + Send;
}

/// A row that could not be read or understood. An unknown status is refused, never taken for a default (T-CA-123).
#[derive(Debug, thiserror::Error)]
pub enum RowFault {
    /// The database failed.
    #[error("database: {0}")]
    Database(String),
    /// The row holds what this version does not understand.
    #[error("table {table}: {reason}")]
    Row {
        /// Where.
        table: &'static str,
        /// What.
        reason: String,
    },
}

/// What a decision wants written. Rows are whole: an update replaces the columns that may change.
#[derive(Debug, Default)]
pub struct Changes {
    pub insert_accounts: Vec<Account>,
    pub update_accounts: Vec<Account>,
    pub insert_orders: Vec<Order>,
    pub update_orders: Vec<Order>,
    pub insert_authorizations: Vec<Authorization>,
    pub update_authorizations: Vec<Authorization>,
    pub insert_certificates: Vec<Certificate>,
    /// State, signature, issued_at.
    pub update_certificates: Vec<Certificate>,
    /// Their revocations, new or changed; nothing else of them.
    pub revoke_certificates: Vec<Certificate>,
    /// Keys that were shown to be in others' hands: SHA-256 of the SubjectPublicKeyInfo, which certificate showed it, when.
    pub block_keys: Vec<([u8; 32], CertificateKey, Timestamp)>,
    /// Insert, or replace the claim of the order that is named as void.
    pub claim_replacements: Vec<Claim>,
    /// Insert, or replace the explanation.
    pub set_aside: Vec<(CertificateKey, SetAside)>,
    /// Insert or replace the one row of the subject.
    pub put_work: Vec<Work>,
    pub delete_work: Vec<WorkSubject>,
    pub insert_issuers: Vec<IssuerRecord>,
    /// Insert if the hash is not there (immutable).
    pub put_profiles: Vec<([u8; 32], String)>,
    /// (issuer, shard, number): the number is spent from here on.
    pub reserve_crl_numbers: Vec<(IssuerId, u32, u64)>,
    pub put_crls: Vec<StoredCrl>,
    pub insert_external_keys: Vec<ExternalKey>,
    /// Use and revocation; nothing else of a key changes.
    pub update_external_keys: Vec<ExternalKey>,
    pub audit: Vec<AuditEvent>,
}

/// An order's claim to replace a certificate (RFC 9773 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub certificate: CertId,
    pub order: OrderId,
    /// Whose claim was found void, if there was one.
    pub instead_of: Option<OrderId>,
}

/// A decision: what to write (audit rows of a refusal too), and the answer.
#[derive(Debug)]
pub struct Decision<A> {
    /// Applied whether the answer is a refusal or not.
    pub changes: Changes,
    /// What the asker is told after COMMIT.
    pub answer: Result<A, Problem>,
}

impl<A> Decision<A> {
    /// Changes nothing and answers.
    pub fn unchanged(answer: A) -> Self {
        Self {
            changes: Changes::default(),
            answer: Ok(answer),
        }
    }

    /// Refuses without a trace in the store.
    pub fn refuse(problem: Problem) -> Self {
        Self {
            changes: Changes::default(),
            answer: Err(problem),
        }
    }
}

/// One named transaction.
pub trait Transaction: Send + 'static {
    /// Its name: metric label, log field, fault point.
    const NAME: &'static str;
    /// What a granted transaction answers.
    type Answer: Send + 'static;
    /// Loads and decides. Must be repeatable.
    fn run<R: Rows>(
        &self,
        rows: &R,
    ) -> impl Future<Output = Result<Decision<Self::Answer>, RowFault>> + Send;
}

/// Why a transaction gave no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum TxError {
    /// The rules refuse; audited.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// A value that must be new was not (a serial): draw again.
    #[error("a unique value was drawn twice")]
    Collision,
    /// Nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store cannot serve.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The queue is full.
    #[error("the store has more work than it can finish; try again in {} s", .0.as_secs().max(1))]
    Overloaded(Duration),
    /// The disk is full or fails: reads go on.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The database failed; nothing was written.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The server is stopping.
    #[error("the store is closed")]
    Closed,
}

/// Hears of every aggregate that a commit touched, after COMMIT and before the asker is answered.
pub trait Observer: Send + Sync {
    /// The account as it now is.
    fn account(&self, account: &Arc<Account>);
    /// The order as it now is.
    fn order(&self, order: &Arc<Order>);
    /// The authorization as it now is.
    fn authorization(&self, authorization: &Arc<Authorization>);
    /// A work row was made or changed owner.
    fn work(&self, _work: &Work) {}
    /// A transaction ended; for metrics.
    fn transaction(&self, _name: &'static str, _outcome: TransactionOutcome, _took: Duration) {}
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionOutcome {
    /// It did what it was asked for.
    Granted,
    /// The rules said no.
    Refused,
    /// The store could not; nothing was written.
    Failed,
}

/// The permission to sign one certificate's stored bytes once; made only by a committed transaction.
#[derive(Debug)]
pub struct SigningPermit {
    pub(crate) key: CertificateKey,
    pub(crate) tbs: Arc<[u8]>,
    pub(crate) generation: u32,
}

impl SigningPermit {
    /// Which serial may be signed.
    #[must_use]
    pub fn certificate(&self) -> CertificateKey {
        self.key
    }

    /// The bytes that may be signed, no others.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// The generation under which the signature must be concluded.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }
}

/// Serial and CRL number reader's aid for operators' lists: which rows, from where.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub name: Option<String>,
    pub account: Option<AccountId>,
    pub state: Option<String>,
    /// What ends at this moment or later: not what has ended before.
    pub expires_from: Option<Timestamp>,
    pub expires_before: Option<Timestamp>,
    pub unconfirmed: bool,
    pub serial: Option<Serial>,
    /// [`Page::next`] of the page before.
    pub after: Option<i64>,
    /// Rows of a page; a thousand at most.
    pub limit: usize,
}
