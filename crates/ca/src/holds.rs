//! Waiting for an aggregate to change (design.md §2.8). The store tells of every commit; whoever waits for that id wakes.
//! A wait keeps no transaction and no database slot.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    limits::Limits,
    metrics::Metrics,
    model::{Account, Authorization, Order},
    store::{Observer, TransactionOutcome},
};

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<[u8; 16], Weak<Notify>>>;

/// Who waits for what.
#[derive(Debug)]
pub struct Holds {
    shards: [Shard; SHARDS],
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// Interest in one aggregate. Take it before looking at the state: a change after that wakes it.
#[derive(Debug)]
pub struct Watch<'a> {
    holds: &'a Holds,
    id: [u8; 16],
    notify: Arc<Notify>,
}

impl Holds {
    /// No one waits yet.
    #[must_use]
    pub fn new(limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
        Self {
            shards: Default::default(),
            limits,
            metrics,
        }
    }

    fn shard(&self, id: &[u8; 16]) -> &Shard {
        // The last octet is random in every public id.
        &self.shards[usize::from(id[15]) % SHARDS]
    }

    /// Starts to watch the aggregate with this id.
    #[must_use]
    pub fn watch(&self, id: &[u8; 16]) -> Watch<'_> {
        let mut shard = self
            .shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let notify = match shard.get(id).and_then(Weak::upgrade) {
            Some(notify) => notify,
            None => {
                let notify = Arc::new(Notify::new());
                shard.insert(*id, Arc::downgrade(&notify));
                notify
            }
        };
        Watch {
            holds: self,
            id: *id,
            notify,
        }
    }

    fn wake(&self, id: &[u8; 16]) {
        let shard = self
            .shard(id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // All of it under the lock: a waiter that wakes on another thread and drops its watch meanwhile must find itself
        // the last one, or its entry would stay for ever.
        if let Some(waiting) = shard.get(id).and_then(Weak::upgrade) {
            waiting.notify_waiters();
        }
    }

    /// How many aggregates are being waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Watch<'_> {
    /// Ends at the next change. Create it (and keep it pinned and enabled) before reading the state.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut shard = self
            .holds
            .shard(&self.id)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // This watch holds one reference itself; the entry goes with the last watcher.
        if Arc::strong_count(&self.notify) == 1 {
            shard.remove(&self.id);
        }
    }
}

impl Observer for Holds {
    fn account(&self, _account: &Arc<Account>) {}

    fn transaction(&self, name: &'static str, outcome: TransactionOutcome, took: Duration) {
        self.metrics.transaction(name, outcome, took);
    }

    fn order(&self, order: &Arc<Order>) {
        self.limits.on_order(order);
        self.wake(order.id.as_bytes());
    }

    fn authorization(&self, authorization: &Arc<Authorization>) {
        self.limits.on_authorization(authorization);
        self.wake(authorization.id.as_bytes());
        if let Some(order) = &authorization.order {
            self.wake(order.as_bytes());
        }
    }
}
