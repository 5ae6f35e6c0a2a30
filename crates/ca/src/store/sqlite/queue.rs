//! The writer's bounded queue, and the rule by which it gathers: while four or more signed requests are in progress, a
//! batch waits up to 3 ms for company, and is woken for a full one or once every request in progress waits in it
//! (speed.md: a wake for each job is what costs).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::writer::{Job, Writer};
use crate::{clock::Clock, store::StoreError};

/// Bounds of batches and of the queue.
#[derive(Debug, Clone, Copy)]
pub struct BatchBounds {
    /// How many transactions share a COMMIT at most.
    pub transactions: usize,
    /// How long a batch waits for company.
    pub gather: Duration,
    /// From how many requests in progress on it waits at all.
    pub gather_from: usize,
    /// How many transactions may wait; more are refused.
    pub waiting: usize,
}

impl Default for BatchBounds {
    fn default() -> Self {
        Self {
            transactions: 64,
            gather: Duration::from_millis(3),
            gather_from: 4,
            waiting: 1024,
        }
    }
}

/// Something that the writer does between batches.
pub(super) type Task = Box<dyn FnOnce(&Writer) + Send>;

/// A transaction that waits, and since when.
pub(super) struct Waiting {
    pub(super) job: Box<dyn Job>,
    pub(super) since: Duration,
}

/// What the writer does next.
pub(super) enum Next {
    Batch(Vec<Waiting>),
    Task(Task),
    Close,
}

#[derive(Default)]
struct State {
    transactions: VecDeque<Waiting>,
    tasks: VecDeque<Task>,
    closed: bool,
    /// The writer sleeps until something comes.
    idle: bool,
}

/// The queue; shared by all who ask and the one writer.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    bounds: BatchBounds,
    clock: Arc<dyn Clock>,
    in_progress: AtomicUsize,
    /// Copies of what `state` says, for looks without the lock.
    gathering: AtomicBool,
    waiting: AtomicUsize,
}

impl Queue {
    pub(super) fn new(bounds: BatchBounds, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            bounds,
            clock,
            in_progress: AtomicUsize::new(0),
            gathering: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many transactions make a batch worth committing now.
    fn target(&self) -> usize {
        self.in_progress
            .load(Ordering::Relaxed)
            .min(self.bounds.transactions)
    }

    /// Lets a transaction wait for the writer.
    pub(super) fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        if state.transactions.len() >= self.bounds.waiting {
            return Err(StoreError::Overloaded(super::RETRY_AFTER));
        }
        state.transactions.push_back(Waiting {
            job,
            since: self.clock.monotonic(),
        });
        let waiting = state.transactions.len();
        self.waiting.store(waiting, Ordering::Relaxed);
        let full = self.gathering.load(Ordering::Relaxed) && waiting >= self.target();
        self.rouse(&mut state, full);
        Ok(())
    }

    /// Lets a task wait for the writer.
    pub(super) fn task(&self, task: Task) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::Closed);
        }
        if state.tasks.len() >= self.bounds.waiting {
            return Err(StoreError::Overloaded(super::RETRY_AFTER));
        }
        state.tasks.push_back(task);
        self.rouse(&mut state, true);
        Ok(())
    }

    fn rouse(&self, state: &mut State, anyhow: bool) {
        // One wake is enough: the writer looks again before it sleeps.
        if state.idle || anyhow {
            state.idle = false;
            self.wake.notify_one();
        }
    }

    /// What to do next; sleeps until there is something.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(next) = self.pick(&mut state, true) {
                return next;
            }
            if !state.transactions.is_empty() {
                self.gathering.store(true, Ordering::Relaxed);
                let (after, _) = self
                    .wake
                    .wait_timeout_while(state, self.bounds.gather, |s| {
                        !s.closed && s.tasks.is_empty() && s.transactions.len() < self.target()
                    })
                    .unwrap_or_else(PoisonError::into_inner);
                state = after;
                self.gathering.store(false, Ordering::Relaxed);
                if let Some(next) = self.pick(&mut state, false) {
                    return next;
                }
            }
            if state.closed {
                return Next::Close;
            }
            state.idle = true;
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What waits already, without sleeping or gathering.
    pub(super) fn ready(&self) -> Option<Next> {
        self.pick(&mut self.lock(), false)
    }

    fn pick(&self, state: &mut State, may_gather: bool) -> Option<Next> {
        if let Some(task) = state.tasks.pop_front() {
            return Some(Next::Task(task));
        }
        let waiting = state.transactions.len();
        if waiting == 0 {
            return None;
        }
        let company = self.in_progress.load(Ordering::Relaxed) >= self.bounds.gather_from;
        if may_gather && company && !state.closed && waiting < self.target() {
            return None;
        }
        let batch = state
            .transactions
            .drain(..waiting.min(self.bounds.transactions))
            .collect();
        self.waiting
            .store(state.transactions.len(), Ordering::Relaxed);
        Some(Next::Batch(batch))
    }

    /// Takes nothing more; what waits is still done.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake.notify_all();
    }

    /// Drops what waits: those who asked hear that the store is closed.
    pub(super) fn abandon(&self) {
        let (transactions, tasks) = {
            let mut state = self.lock();
            state.closed = true;
            (
                std::mem::take(&mut state.transactions),
                std::mem::take(&mut state.tasks),
            )
        };
        drop(tasks);
        drop(transactions);
    }

    /// How many transactions wait, and how long the first has.
    pub(super) fn depth(&self) -> (usize, Duration) {
        let state = self.lock();
        let age = state
            .transactions
            .front()
            .map(|w| self.clock.monotonic().saturating_sub(w.since));
        (state.transactions.len(), age.unwrap_or_default())
    }

    /// Counts a signed request.
    pub(super) fn request_started(&self) {
        self.in_progress.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ended or went to wait for something else: maybe all that are left wait in the batch.
    pub(super) fn request_ended(&self) {
        let left = self
            .in_progress
            .fetch_sub(1, Ordering::Relaxed)
            .saturating_sub(1);
        if self.gathering.load(Ordering::Relaxed) && self.waiting.load(Ordering::Relaxed) >= left {
            self.rouse(&mut self.lock(), true);
        }
    }

    pub(super) fn requests_in_progress(&self) -> usize {
        self.in_progress.load(Ordering::Relaxed)
    }
}
