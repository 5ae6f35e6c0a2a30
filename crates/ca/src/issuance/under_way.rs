//! Issuances under way. A clean stop waits for them: a signature that nobody stores leaves its serial unconfirmed. And none of
//! them is taken for abandoned, however far the clock is set meanwhile.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::id::OrderId;

/// Which run.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// How many tasks an order has: a client may finalize twice at once, and one of the two is refused.
    running: Mutex<HashMap<OrderId, usize>>,
    fewer: Notify,
}

/// One of them; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    all: Arc<UnderWay>,
    order: OrderId,
}

impl UnderWay {
    pub(super) fn enter(this: &Arc<Self>, order: OrderId) -> Running {
        *this.running().entry(order).or_default() += 1;
        Running {
            all: Arc::clone(this),
            order,
        }
    }

    /// The orders whose issuance runs.
    pub(super) fn orders(&self) -> HashSet<OrderId> {
        self.running().keys().copied().collect()
    }

    /// Returns when none runs.
    pub(super) async fn none(&self) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            // Interest comes before the look: an end in between wakes it.
            fewer.as_mut().enable();
            if self.running().is_empty() {
                return;
            }
            fewer.await;
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<OrderId, usize>> {
        // Each change is one step: a panic beside it left nothing half done.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.all.running();
        if let Some(tasks) = running.get_mut(&self.order) {
            *tasks -= 1;
            if *tasks == 0 {
                running.remove(&self.order);
            }
        }
        drop(running);
        self.all.fewer.notify_waiters();
    }
}
