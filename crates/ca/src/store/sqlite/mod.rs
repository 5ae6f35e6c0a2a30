//! The embedded store: SQLite with one writer thread, readers beside it, and a cache that commits refresh (design.md §3).
//!
//! - `writer` commits what waits in `queue`; `rows` and `apply` are what a transaction reads and writes there;
//! - one file for each table or family of tables holds its SQL;
//! - `readers`, `cache` and `lists` answer outside of the writer;
//! - `connect`, `lock`, `migrate` open the files; `checkpoint`, `sweep`, `backup` keep them small and safe.

mod accounts;
mod apply;
mod audit;
mod authorizations;
mod backup;
mod cache;
mod certificates;
mod checkpoint;
mod code;
mod connect;
mod crls;
mod external;
#[cfg(feature = "dev")]
mod forget;
mod lists;
mod lock;
mod meta;
mod migrate;
mod open;
mod orders;
mod peek;
mod queue;
mod readers;
mod reconcile;
mod renewals;
mod revocations;
mod rows;
mod shared;
mod sweep;
#[cfg(test)]
mod tests;
mod work;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use cairn_acme::{key::Thumbprint, time::Timestamp};
use cairn_x509::certificate::Serial;
use rusqlite::Connection;
use tokio::sync::oneshot;

#[cfg(feature = "dev")]
pub use self::forget::Forgotten;
pub use self::{
    audit::{AuditRecord, AuditSubject},
    backup::{BackupError, BackupReport, RestoreError, RestoreReport, restore},
    lists::{OrderDetail, PAGE_MAX, Page, Sizes},
    open::{Location, OpenError, OpenOptions},
    peek::issuers_of,
    queue::BatchBounds,
    revocations::ENTRIES_PAGE,
    shared::{FaultHook, FaultPoint, InjectedFault, StoreStats},
    sweep::{SweepPolicy, SweepReport},
};
use self::{
    cache::{Cache, Table},
    code::Fault,
    queue::Queue,
    readers::Readers,
    shared::Shared,
    writer::{Asked, Writer},
};
use crate::{
    id::{AccountId, AuthorizationId, DirectoryId, IssuerId, OrderId},
    model::{
        Account, Authorization, Certificate, CertificateState, IssuerRecord, Order, RenewalFacts,
        StoredCrl,
    },
    store::{StoreError, Transaction, TxError},
};

/// The database's name in a CA's directory.
const FILE: &str = "cairn.db";

/// What a refused asker is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The store; clones are handles to the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    location: Location,
    store_id: [u8; 16],
    created_at: Timestamp,
    /// None in memory: there the writer reads.
    readers: Option<Readers>,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    writer: Option<JoinHandle<()>>,
    checkpointer: Option<JoinHandle<()>>,
    lock: Option<lock::DirectoryLock>,
}

impl Inner {
    /// Lets the writer finish what waits, then frees files and lock. Idempotent.
    fn close(&self) {
        self.shared.queue.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = threads.writer.take() {
            // A writer that panicked has nothing more to finish.
            let _ = writer.join();
        }
        self.shared.checkpoints.close();
        if let Some(checkpointer) = threads.checkpointer.take() {
            let _ = checkpointer.join();
        }
        if let Some(readers) = &self.readers {
            readers.close();
        }
        threads.lock.take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("location", &self.inner.location)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, upgrades its schema and starts its threads.
    ///
    /// # Errors
    /// Says who has it, what it is if it is not ours, or which file failed.
    pub fn open(location: &Location, options: OpenOptions) -> Result<Self, OpenError> {
        let mut threads = Threads::default();
        let path = location.path();
        let conn = match (&path, location) {
            (Some(path), Location::File(dir)) => {
                threads.lock = Some(lock::acquire(dir)?);
                let conn = connect::file(path, options.create)?;
                // Before anything is changed in it.
                migrate::inspect(&conn, path)?;
                connect::durable(&conn)?;
                sync_directory(dir)?;
                conn
            }
            _ => connect::memory()?,
        };
        migrate::upgrade(&conn, path.as_deref(), migrate::MIGRATIONS, options.now)?;
        let facts = meta::read(&conn).map_err(|e| OpenError::Database(e.to_string()))?;
        let readers = path
            .as_deref()
            .map(|p| Readers::open(p, options.read_connections))
            .transpose()?;
        let queue = Queue::new(options.batch, Arc::clone(&options.clock));
        let told = (facts.epoch, facts.latest_time);
        let shared = Arc::new(Shared::new(
            queue,
            Cache::before(path.is_some()),
            options.observer,
            options.clock,
            options.faults,
            told,
        ));
        if let Some(path) = &path {
            let checkpointer = connect::checkpointer(path)?;
            let started = checkpoint::start(Arc::clone(&shared), checkpointer);
            threads.checkpointer = Some(started.map_err(|source| OpenError::Io {
                path: path.clone(),
                source,
            })?);
        }
        threads.writer = Some(start_writer(Arc::clone(&shared), conn)?);
        let inner = Inner {
            shared,
            location: location.clone(),
            store_id: facts.store_id,
            created_at: facts.created_at,
            readers,
            threads: Mutex::new(threads),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Runs a transaction. Its end does not depend on this future: whoever hangs up only does not hear of it.
    ///
    /// # Errors
    /// [`TxError::Refused`] by the rules; the others say that nothing was written.
    pub async fn transact<T: Transaction>(&self, transaction: T) -> Result<T::Answer, TxError> {
        let (job, answer) = Asked::new(transaction);
        self.inner.shared.queue.submit(Box::new(job))?;
        answer
            .await
            .unwrap_or(Err(TxError::Store(StoreError::Closed)))
    }

    /// The account with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn account(&self, id: AccountId) -> Result<Option<Arc<Account>>, StoreError> {
        self.cached(|c| &c.accounts, id, move |conn| accounts::by_id(conn, id))
            .await
    }

    /// The account that this key opened in the directory.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn account_by_key(
        &self,
        directory: DirectoryId,
        key: &Thumbprint,
    ) -> Result<Option<Arc<Account>>, StoreError> {
        let key = *key;
        Ok(self
            .read(move |conn| accounts::by_key(conn, directory, &key))
            .await?
            .map(Arc::new))
    }

    /// The account's order with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn order(
        &self,
        account: AccountId,
        id: OrderId,
    ) -> Result<Option<Arc<Order>>, StoreError> {
        let order = self
            .cached(|c| &c.orders, id, move |conn| orders::by_id(conn, id))
            .await?;
        Ok(order.filter(|o| o.account == account))
    }

    /// Ids of the account's valid and unfinished orders, newest first, from before this one of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn orders_of(
        &self,
        account: AccountId,
        before: Option<OrderId>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<OrderId>, StoreError> {
        self.read(move |conn| orders::of_account(conn, account, before, now.as_millis(), limit))
            .await
    }

    /// The account's authorization with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn authorization(
        &self,
        account: AccountId,
        id: AuthorizationId,
    ) -> Result<Option<Arc<Authorization>>, StoreError> {
        let found = self
            .cached(
                |c| &c.authorizations,
                id,
                move |conn| authorizations::by_id(conn, id),
            )
            .await?;
        Ok(found.filter(|a| a.account == account))
    }

    /// The certificate with this serial.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn certificate(
        &self,
        serial: Serial,
    ) -> Result<Option<Arc<Certificate>>, StoreError> {
        let load = move |conn: &Connection| certificates::by_serial(conn, &serial);
        let found = self.cached(|c| &c.certificates, serial, load).await?;
        // Between a COMMIT and its way into memory somebody may have read in a table that the order is valid.
        if found.as_deref().map(|c| c.state) == Some(CertificateState::Permitted) {
            return Ok(self.read(load).await?.map(Arc::new));
        }
        Ok(found)
    }

    /// What the renewal window of the certificate with this serial is made from; `None` for a serial that was never
    /// issued. Either answer is remembered, and read again only after a commit that touches it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn renewal_facts(
        &self,
        serial: Serial,
    ) -> Result<Option<Arc<RenewalFacts>>, StoreError> {
        let cache = &self.inner.shared.cache;
        let unknown = match cache.never_issued.get(&serial) {
            Ok(_) => return Ok(None),
            Err(version) => version,
        };
        let found = self
            .cached(
                |c| &c.renewals,
                serial,
                move |conn| renewals::facts(conn, &serial),
            )
            .await?;
        if found.is_none() {
            cache.never_issued.read(serial, Arc::new(()), unknown);
        }
        Ok(found)
    }

    /// What is remembered of the certificate's renewal, without a look at the tables: `None` is not known.
    #[must_use]
    pub fn remembered_renewal_facts(&self, serial: Serial) -> Option<Option<Arc<RenewalFacts>>> {
        let cache = &self.inner.shared.cache;
        if cache.never_issued.get(&serial).is_ok() {
            return Some(None);
        }
        cache.renewals.get(&serial).ok().map(Some)
    }

    /// The text of a profile version.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn profile_text(&self, hash: &[u8; 32]) -> Result<Option<String>, StoreError> {
        let hash = *hash;
        self.read(move |conn| crls::profile(conn, &hash)).await
    }

    /// All issuers, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn issuers(&self) -> Result<Vec<IssuerRecord>, StoreError> {
        self.read(crls::issuers).await
    }

    /// The CRL in force of each issuer's shards.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn crls(&self) -> Result<Vec<StoredCrl>, StoreError> {
        self.read(crls::all).await
    }

    /// Counts a signed request while the guard lives; by them the writer knows how much company a batch can get. Drop it
    /// before waiting for anything but the store.
    #[must_use]
    pub fn request(&self) -> RequestInProgress {
        self.inner.shared.queue.request_started();
        RequestInProgress(Arc::clone(&self.inner.shared))
    }

    /// How many signed requests are in progress.
    #[must_use]
    pub fn requests_in_progress(&self) -> usize {
        self.inner.shared.queue.requests_in_progress()
    }

    /// How long the transaction that waits longest has waited.
    #[must_use]
    pub fn queue_age(&self) -> Duration {
        self.inner.shared.queue.depth().1
    }

    /// How many transactions wait.
    #[must_use]
    pub fn queue_length(&self) -> usize {
        self.inner.shared.queue.depth().0
    }

    /// Why the store takes no writes, if it does not.
    #[must_use]
    pub fn read_only_reason(&self) -> Option<String> {
        self.inner.shared.read_only()
    }

    /// Counters since start.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.inner.shared.stats()
    }

    /// How often this store was restored, from 1 on: the first octet of serials.
    #[must_use]
    pub fn epoch(&self) -> u8 {
        self.inner.shared.epoch
    }

    /// The newest moment that anything stored names.
    #[must_use]
    pub fn latest_time(&self) -> Timestamp {
        self.inner.shared.latest()
    }

    /// This store's own id, through backups and restores, and when it was made.
    #[must_use]
    pub fn identity(&self) -> ([u8; 16], Timestamp) {
        (self.inner.store_id, self.inner.created_at)
    }

    /// Stores that it has been that late.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn remember_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        self.inner.shared.saw(Some(now));
        self.write("remember_clock", move |w| meta::remember(w.conn(), now))
            .await
    }

    /// Keeps the nonce window of a clean stop.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn save_nonce_window(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let bytes = bytes.to_vec();
        self.write("save_nonce_window", move |w| {
            meta::save_window(w.conn(), &bytes)
        })
        .await
    }

    /// The saved nonce window; it is durably deleted before this returns, so that no crash can bring it back.
    ///
    /// # Errors
    /// When it could not be deleted.
    pub async fn take_nonce_window(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.write("take_nonce_window", move |w| meta::take_window(w.conn()))
            .await
    }

    /// The directory's base URLs, the one in force first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn base_urls(&self, directory: DirectoryId) -> Result<Vec<String>, StoreError> {
        self.read(move |conn| meta::base_urls(conn, directory))
            .await
    }

    /// The ids of directories with these names; one that was never there gets its id now, for ever.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn directory_ids(
        &self,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<DirectoryId>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.write("directory_ids", move |w| {
            meta::directory_ids(w.conn(), &names, now)
        })
        .await
    }

    /// Puts a base URL in force for the first directory; former ones stay valid in kid.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn set_base_url(&self, url: &str, now: Timestamp) -> Result<(), StoreError> {
        let url = url.to_owned();
        self.write("set_base_url", move |w| {
            meta::set_base_url(w.conn(), DirectoryId::FIRST, &url, now)
        })
        .await
    }

    /// Compares the configured base URL with the stored one.
    ///
    /// # Errors
    /// In words for the operator.
    pub async fn check_base_url(&self, url: &str) -> Result<(), String> {
        let stored = self
            .base_urls(DirectoryId::FIRST)
            .await
            .map_err(|e| e.to_string())?;
        match stored.first() {
            Some(stored) if stored == url => Ok(()),
            Some(stored) => Err(format!(
                "url is {url}, but this CA's URLs are made from {stored} for ever: put {stored} back into cairn.toml"
            )),
            None => {
                Err("the store holds no base URL: it was not made by `cairn ca init`".to_owned())
            }
        }
    }

    /// Puts a URL in force under which certificates name CRLs and issuers.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn set_publication_url(&self, url: &str, now: Timestamp) -> Result<(), StoreError> {
        let url = url.to_owned();
        self.write("set_publication_url", move |w| {
            meta::set_publication_url(w.conn(), &url, now)
        })
        .await
    }

    /// Compares the configured publication URL with the stored one.
    ///
    /// # Errors
    /// In words for the operator.
    pub async fn check_publication_url(&self, url: &str) -> Result<(), String> {
        match self.read(meta::publication_url).await {
            Ok(Some(stored)) if stored == url => Ok(()),
            Ok(Some(stored)) => Err(format!(
                "publication_url is {url}, but this CA's certificates name {stored} for ever: put publication_url = \"{stored}\" back into cairn.toml; listen.publication is free"
            )),
            Ok(None) => Err(
                "the store holds no publication URL: it was not made by `cairn ca init`".to_owned(),
            ),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Stops issuance, for all or for the issuer or profile named; in force at the next `begin_issuance`.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn stop_issuance(
        &self,
        issuer: Option<IssuerId>,
        profile_hash: Option<[u8; 32]>,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reason = reason.to_owned();
        self.write("stop_issuance", move |w| {
            crls::add_stop(w.conn(), issuer, profile_hash, &reason, now)
        })
        .await
    }

    /// Lets issuance go on; how many stops there were.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn resume_issuance(&self) -> Result<usize, StoreError> {
        self.write("resume_issuance", move |w| crls::lift_stops(w.conn()))
            .await
    }

    /// Finishes what waits, then closes. Later calls answer [`StoreError::Closed`].
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        // A runtime that is shutting down closes with the last handle.
        let _ = tokio::task::spawn_blocking(move || inner.close()).await;
    }

    /// From the cache, else from the table and into the cache.
    async fn cached<K, V>(
        &self,
        table: impl Fn(&cache::Cache) -> &Table<K, V>,
        key: K,
        load: impl FnOnce(&Connection) -> Result<Option<V>, Fault> + Send + 'static,
    ) -> Result<Option<Arc<V>>, StoreError>
    where
        K: std::hash::Hash + Eq + Copy,
        V: Send + 'static,
    {
        let table = table(&self.inner.shared.cache);
        let version = match table.get(&key) {
            Ok(value) => return Ok(Some(value)),
            Err(version) => version,
        };
        let loaded = self.read(load).await?.map(Arc::new);
        if let Some(value) = &loaded {
            table.read(key, Arc::clone(value), version);
        }
        Ok(loaded)
    }

    /// A look-up by key.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.shared.count_read();
        match &self.inner.readers {
            Some(readers) => readers.quick(read),
            None => {
                self.at_writer(move |w| read(w.conn()).map_err(StoreError::from))
                    .await
            }
        }
    }

    /// A list, off the runtime's workers.
    async fn read_long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.inner.readers.is_none() {
            return self.read(read).await;
        }
        self.inner.shared.count_read();
        let inner = Arc::clone(&self.inner);
        let listed = tokio::task::spawn_blocking(move || match &inner.readers {
            Some(readers) => readers.long(read),
            None => Err(StoreError::Closed),
        });
        listed.await.unwrap_or(Err(StoreError::Closed))
    }

    /// A write of the store's own.
    async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        write: impl FnOnce(&Writer) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.at_writer(move |w| w.transaction(name, |w| Ok((write(w)?, apply::Effects::default()))))
            .await
    }

    /// Something on the writer's thread, between batches.
    async fn at_writer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.inner.shared.queue.task(Box::new(move |writer| {
            // The asker may have hung up.
            let _ = reply.send(act(writer));
        }))?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// A signed request that the frontend works on.
pub struct RequestInProgress(Arc<Shared>);

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.queue.request_ended();
    }
}

impl fmt::Debug for RequestInProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestInProgress")
    }
}

/// However the writer ends, by a panic of an observer too: nobody waits for it in vain, and readiness tells.
struct WriterEnds(Arc<Shared>);

impl Drop for WriterEnds {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(target: "cairn", "the store's writer panicked; restart the server");
            self.0
                .set_read_only(Some("its writer ended; restart the server".to_owned()));
        }
        self.0.queue.abandon();
    }
}

fn start_writer(shared: Arc<Shared>, conn: Connection) -> Result<JoinHandle<()>, OpenError> {
    let thread = thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || {
            let _ended = WriterEnds(Arc::clone(&shared));
            match Writer::new(shared, conn) {
                Ok(writer) => writer.run(),
                Err(fault) => {
                    tracing::error!(target: "cairn", %fault, "the store's writer could not start");
                }
            }
        });
    thread.map_err(|error| OpenError::Database(format!("no thread for the writer: {error}")))
}

/// Makes new and renamed files of the directory durable.
fn sync_directory(dir: &Path) -> Result<(), OpenError> {
    std::fs::File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|source| OpenError::Io {
            path: dir.to_owned(),
            source,
        })
}
