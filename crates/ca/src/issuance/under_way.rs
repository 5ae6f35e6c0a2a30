//! Issuances under way, so that a clean stop waits for them: a signature that nobody stores leaves its serial unconfirmed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How many run.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    running: AtomicUsize,
    fewer: Notify,
}

/// One of them; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running(Arc<UnderWay>);

impl UnderWay {
    pub(super) fn enter(this: &Arc<Self>) -> Running {
        this.running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(this))
    }

    /// Returns when none runs.
    pub(super) async fn none(&self) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            // Interest comes before the look: an end in between wakes it.
            fewer.as_mut().enable();
            if self.running.load(Ordering::SeqCst) == 0 {
                return;
            }
            fewer.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.fewer.notify_waiters();
    }
}
