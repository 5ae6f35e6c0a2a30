//! The one writer: commits all transactions that wait together, a savepoint each. Nobody is answered before COMMIT, the
//! cache's refresh and the observer's calls. If a batch dies its members run one by one; if the disk takes no writes the
//! store serves reads and asks it again, at most once a second.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use cairn_acme::problem::Problem;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    apply::{Effects, Keys, apply},
    code::Fault,
    connect, meta,
    queue::{Next, Waiting},
    rows::{self, Desk, SqliteRows},
    shared::{FaultPoint, InjectedFault, Shared},
    sweep,
};
use crate::store::{Changes, RowFault, StoreError, Transaction, TransactionOutcome, TxError};

/// How often a disk that refused is asked again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How much may be written between checkpoints: rows, and four for each COMMIT's own pages. Some 30 MB of log.
const CHECKPOINT_WEIGHT: u64 = 8192;

/// A transaction with whoever asked for it.
pub(super) trait Job: Send {
    fn name(&self) -> &'static str;
    /// Loads and decides; the answer stays inside until COMMIT. May run again.
    fn run(&mut self, rows: &SqliteRows) -> Result<Changes, JobFault>;
    /// Tells the asker, if it still listens.
    fn answer(self: Box<Self>, outcome: Result<(), TxError>) -> TransactionOutcome;
}

/// Why a transaction did not come to a decision.
pub(super) enum JobFault {
    Rows(RowFault),
    /// A bug: it waited for something, or panicked.
    Bug(&'static str),
}

/// A [`Transaction`] as a [`Job`].
pub(super) struct Asked<T: Transaction> {
    transaction: T,
    decided: Option<Result<T::Answer, Problem>>,
    reply: oneshot::Sender<Result<T::Answer, TxError>>,
}

impl<T: Transaction> Asked<T> {
    pub(super) fn new(transaction: T) -> (Self, oneshot::Receiver<Result<T::Answer, TxError>>) {
        let (reply, answer) = oneshot::channel();
        (
            Self {
                transaction,
                decided: None,
                reply,
            },
            answer,
        )
    }
}

impl<T: Transaction> Job for Asked<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn run(&mut self, rows: &SqliteRows) -> Result<Changes, JobFault> {
        self.decided = None;
        let decision = {
            let future = pin!(self.transaction.run(rows));
            match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(decision) => decision.map_err(JobFault::Rows)?,
                Poll::Pending => {
                    return Err(JobFault::Bug(
                        "the transaction waited for something other than rows",
                    ));
                }
            }
        };
        self.decided = Some(decision.answer);
        Ok(decision.changes)
    }

    fn answer(self: Box<Self>, outcome: Result<(), TxError>) -> TransactionOutcome {
        let (outcome, answer) = match (outcome, self.decided) {
            (Err(error), _) => (TransactionOutcome::Failed, Err(error)),
            (Ok(()), Some(Ok(answer))) => (TransactionOutcome::Granted, Ok(answer)),
            (Ok(()), Some(Err(problem))) => (
                TransactionOutcome::Refused,
                Err(TxError::Refused(Box::new(problem))),
            ),
            (Ok(()), None) => (
                TransactionOutcome::Failed,
                Err(StoreError::Failed("no decision was made".to_owned()).into()),
            ),
        };
        // Whoever hung up does not hear of it; the transaction stands.
        let _ = self.reply.send(answer);
        outcome
    }
}

/// Why nothing of a batch was committed.
enum Death {
    Fault(Fault),
    /// A test's kill: the thread ends as if the process had.
    Killed,
}

impl From<rusqlite::Error> for Death {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// What a batch that was committed left behind.
struct Committed {
    outcomes: Vec<Result<(), TxError>>,
    effects: Effects,
    rows: u64,
}

/// The writer's thread's state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    desk: Rc<Desk>,
    keys: Keys,
    probed: Cell<Duration>,
    /// Since the last checkpoint was asked for.
    weight: Cell<u64>,
    killed: Cell<bool>,
    cursor: sweep::Cursor,
}

impl Writer {
    /// Takes the migrated connection to the writer's thread; call it there.
    pub(super) fn new(shared: Arc<Shared>, conn: Connection) -> Result<Self, Fault> {
        let keys = Keys::load(&conn)?;
        let desk = Rc::new(Desk {
            conn,
            cache: Arc::clone(&shared.cache),
            overlay: RefCell::default(),
            fault: Cell::new(None),
        });
        rows::take_seat(&desk);
        Ok(Self {
            shared,
            desk,
            keys,
            probed: Cell::default(),
            weight: Cell::new(0),
            killed: Cell::new(false),
            cursor: sweep::Cursor::default(),
        })
    }

    /// The writer's connection, for tasks between batches.
    pub(super) fn conn(&self) -> &Connection {
        &self.desk.conn
    }

    /// Where the sweep goes on.
    pub(super) fn cursor(&self) -> &sweep::Cursor {
        &self.cursor
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(&self) {
        while !self.killed.get() {
            match self.shared.queue.next() {
                Next::Batch(batch) => self.batch(batch),
                Next::Task(task) => self.task(task),
                Next::Close => break,
            }
        }
        rows::leave_seat();
    }

    /// Serves what waits already; a long task calls it between its steps. `false`: the store ends, the task should too.
    pub(super) fn serve_ready(&self) -> bool {
        if let Some(next) = self.shared.queue.ready() {
            match next {
                Next::Batch(batch) => self.batch(batch),
                // Reads of a store in memory are tasks too. A backup inside a backup nests, as deep as operators ask.
                Next::Task(task) => self.task(task),
                Next::Close => {}
            }
        }
        !self.killed.get()
    }

    fn task(&self, task: super::queue::Task) {
        if catch_unwind(AssertUnwindSafe(|| task(self))).is_err() {
            tracing::error!(target: "cairn", "a task of the store panicked; nothing of it was written");
            self.roll_back();
        }
    }

    fn batch(&self, mut batch: Vec<Waiting>) {
        if let Err(error) = self.writable() {
            for waiting in batch {
                self.answer(waiting, Err(error.clone().into()));
            }
            return;
        }
        match self.attempt(&mut batch) {
            Ok(committed) => self.announce(batch, committed),
            Err(Death::Killed) => self.kill(batch),
            Err(Death::Fault(fault)) => self.one_by_one(batch, fault),
        }
    }

    /// A batch died: each member gets a transaction of its own, so that only the one at fault fails.
    fn one_by_one(&self, batch: Vec<Waiting>, fault: Fault) {
        let error = StoreError::from(fault);
        let alone = batch.len() == 1;
        // A lock held by another process would be waited for by each member in turn.
        if alone || matches!(error, StoreError::Overloaded(_)) {
            self.note(&error);
            for waiting in batch {
                self.answer(waiting, Err(error.clone().into()));
            }
            return;
        }
        tracing::warn!(target: "cairn", %error, members = batch.len(), "a batch was not committed; its members run one by one");
        for waiting in batch {
            let mut single = vec![waiting];
            match self.attempt(&mut single) {
                Ok(committed) => {
                    if committed.rows > 0 {
                        self.shared.set_read_only(None);
                    }
                    self.announce(single, committed);
                }
                Err(Death::Killed) => return self.kill(single),
                Err(Death::Fault(fault)) => {
                    let error = StoreError::from(fault);
                    self.note(&error);
                    for waiting in single {
                        self.answer(waiting, Err(error.clone().into()));
                    }
                }
            }
        }
    }

    fn answer(&self, waiting: Waiting, outcome: Result<(), TxError>) {
        let name = waiting.job.name();
        let Waiting { job, since } = waiting;
        let outcome = job.answer(outcome);
        let took = self.shared.clock.monotonic().saturating_sub(since);
        self.shared.observer.transaction(name, outcome, took);
    }

    /// Runs all in one database transaction, a savepoint each.
    fn attempt(&self, batch: &mut [Waiting]) -> Result<Committed, Death> {
        let attempted = self.attempt_inner(batch);
        *self.desk.overlay.borrow_mut() = rows::Overlay::default();
        if attempted.is_err() {
            self.roll_back();
            // After a COMMIT that failed it is not certain what the tables hold.
            self.desk.cache.clear();
        }
        attempted
    }

    fn attempt_inner(&self, batch: &mut [Waiting]) -> Result<Committed, Death> {
        let conn = &self.desk.conn;
        let before = conn.total_changes();
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut effects = Effects::default();
        for waiting in batch.iter_mut() {
            self.inject(FaultPoint::BeforeRun, waiting.job.name())?;
            conn.prepare_cached("SAVEPOINT member")?.execute([])?;
            match self.member(&mut *waiting.job) {
                Ok(member) => {
                    conn.prepare_cached("RELEASE member")?.execute([])?;
                    self.overlay(&member);
                    effects.merge(member);
                    outcomes.push(Ok(()));
                }
                Err(Verdict::Member(error)) => {
                    conn.prepare_cached("ROLLBACK TO member")?.execute([])?;
                    conn.prepare_cached("RELEASE member")?.execute([])?;
                    outcomes.push(Err(error));
                }
                Err(Verdict::Batch(fault)) => return Err(Death::Fault(fault)),
            }
        }
        for waiting in batch.iter() {
            self.inject(FaultPoint::BeforeCommit, waiting.job.name())?;
        }
        conn.prepare_cached("COMMIT")?.execute([])?;
        for waiting in batch.iter() {
            self.inject(FaultPoint::AfterCommit, waiting.job.name())?;
        }
        Ok(Committed {
            outcomes,
            effects,
            rows: conn.total_changes().saturating_sub(before),
        })
    }

    /// One member: load, decide, write.
    fn member(&self, job: &mut dyn Job) -> Result<Effects, Verdict> {
        self.desk.fault.set(None);
        let name = job.name();
        let decided = catch_unwind(AssertUnwindSafe(|| job.run(&SqliteRows)))
            .unwrap_or_else(|_| Err(JobFault::Bug("the transaction panicked")));
        let fault = match decided {
            Ok(changes) => match apply(&self.desk.conn, &self.keys, changes) {
                Ok(effects) => return Ok(effects),
                Err(fault) => fault,
            },
            Err(JobFault::Rows(told)) => match self.desk.fault.take() {
                Some(fault) => fault,
                None => return Err(Verdict::Member(StoreError::Failed(told.to_string()).into())),
            },
            Err(JobFault::Bug(what)) => {
                tracing::error!(target: "cairn", tx = name, what, "a transaction has a bug; nothing of it was written");
                return Err(Verdict::Member(StoreError::Failed(what.to_owned()).into()));
            }
        };
        match fault {
            Fault::Collision(_) => Err(Verdict::Member(TxError::Collision)),
            // SQLite ends the whole transaction by itself after some errors; others would hit every member alike.
            fault if self.desk.conn.is_autocommit() || fault.is_disk() => {
                Err(Verdict::Batch(fault))
            }
            fault => {
                tracing::error!(target: "cairn", tx = name, %fault, "a transaction failed; nothing of it was written");
                Err(Verdict::Member(StoreError::from(fault).into()))
            }
        }
    }

    fn overlay(&self, member: &Effects) {
        let mut overlay = self.desk.overlay.borrow_mut();
        overlay
            .accounts
            .extend(member.accounts.iter().map(|a| (a.id, Arc::clone(a))));
        overlay
            .orders
            .extend(member.orders.iter().map(|o| (o.id, Arc::clone(o))));
        overlay
            .authorizations
            .extend(member.authorizations.iter().map(|a| (a.id, Arc::clone(a))));
        overlay.certificates.extend(
            member
                .certificates
                .iter()
                .map(|c| (c.key.serial, Arc::clone(c))),
        );
    }

    fn announce(&self, batch: Vec<Waiting>, committed: Committed) {
        let Committed {
            outcomes,
            effects,
            rows,
        } = committed;
        self.shared.count(batch.len(), rows);
        self.publish(&effects);
        for (waiting, outcome) in batch.into_iter().zip(outcomes) {
            self.answer(waiting, outcome);
        }
        if rows > 0 {
            self.weigh(rows);
        }
    }

    /// Refreshes the cache, then tells the observer, so that whoever wakes finds what woke it.
    pub(super) fn publish(&self, effects: &Effects) {
        effects.refresh(&self.shared.cache);
        effects.tell(&*self.shared.observer);
        self.shared.saw(effects.latest);
    }

    fn weigh(&self, rows: u64) {
        let weight = self.weight.get() + rows + 4;
        if weight >= CHECKPOINT_WEIGHT {
            self.weight.set(0);
            self.shared.checkpoints.ask();
        } else {
            self.weight.set(weight);
        }
        if self.shared.checkpoints.take_restart() {
            // Nearly all of the log is in the database already; the rest goes now, and the log starts anew. Not if that
            // means to wait for a long list's reader: then the next pass tries again.
            let conn = self.conn();
            let restarted = conn
                .busy_timeout(Duration::ZERO)
                .and_then(|()| conn.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())))
                .and(conn.busy_timeout(connect::BUSY));
            if let Err(error) = restarted {
                tracing::warn!(target: "cairn", %error, "the write-ahead log could not be restarted");
            }
        }
    }

    /// Runs what a task writes in a transaction of its own, and tells of it.
    pub(super) fn transaction<T>(
        &self,
        name: &'static str,
        write: impl FnOnce(&Self) -> Result<(T, Effects), Fault>,
    ) -> Result<T, StoreError> {
        self.writable()?;
        let before = self.conn().total_changes();
        let written = (|| {
            self.conn().execute_batch("BEGIN IMMEDIATE")?;
            let written = write(self)?;
            self.inject(FaultPoint::BeforeCommit, name)?;
            self.conn().execute_batch("COMMIT")?;
            Ok(written)
        })();
        match written {
            Ok((answer, effects)) => {
                self.publish(&effects);
                self.weigh(self.conn().total_changes().saturating_sub(before));
                Ok(answer)
            }
            Err(death) => {
                self.roll_back();
                let error = match death {
                    Death::Fault(fault) => fault.into(),
                    Death::Killed => {
                        self.killed.set(true);
                        StoreError::Closed
                    }
                };
                self.note(&error);
                Err(error)
            }
        }
    }

    fn roll_back(&self) {
        if !self.conn().is_autocommit()
            && let Err(error) = self.conn().execute_batch("ROLLBACK")
        {
            tracing::error!(target: "cairn", %error, "a transaction could not be rolled back");
        }
    }

    /// Whether the disk takes writes, asking it again if it refused a while ago.
    fn writable(&self) -> Result<(), StoreError> {
        let Some(reason) = self.shared.read_only() else {
            return Ok(());
        };
        let now = self.shared.clock.monotonic();
        if now.saturating_sub(self.probed.get()) < PROBE_INTERVAL {
            return Err(StoreError::ReadOnly(reason));
        }
        self.probed.set(now);
        match self
            .inject(FaultPoint::BeforeCommit, "probe")
            .map_err(Fault::from)
            .and_then(|()| meta::probe(self.conn()))
        {
            Ok(()) => {
                tracing::info!(target: "cairn", "the disk takes writes again");
                self.shared.set_read_only(None);
                Ok(())
            }
            Err(_) => Err(StoreError::ReadOnly(reason)),
        }
    }

    fn note(&self, error: &StoreError) {
        match error {
            StoreError::ReadOnly(reason) => {
                if self.shared.read_only().is_none() {
                    tracing::error!(target: "cairn", %reason, "the disk takes no writes: the store is read-only until it does");
                }
                self.probed.set(self.shared.clock.monotonic());
                self.shared.set_read_only(Some(reason.clone()));
            }
            other => {
                tracing::error!(target: "cairn", error = %other, "a commit failed; nothing of it was written")
            }
        }
    }

    /// Ends as a killed process would: what was not committed is not, and nobody is answered.
    fn kill(&self, batch: Vec<Waiting>) {
        self.killed.set(true);
        self.roll_back();
        drop(batch);
    }

    fn inject(&self, point: FaultPoint, name: &'static str) -> Result<(), Death> {
        let Some(hook) = &self.shared.faults else {
            return Ok(());
        };
        match hook(point, name) {
            None => Ok(()),
            Some(InjectedFault::Kill) => Err(Death::Killed),
            Some(fault) => Err(Death::Fault(fault.into())),
        }
    }
}

impl From<Fault> for Death {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Death> for Fault {
    fn from(death: Death) -> Self {
        match death {
            Death::Fault(fault) => fault,
            Death::Killed => Self::row("store", "killed by a test"),
        }
    }
}

/// Whom a fault fells.
enum Verdict {
    Member(TxError),
    Batch(Fault),
}
