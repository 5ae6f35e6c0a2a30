//! Checkpoints off the commit path: a thread with a connection of its own moves the write-ahead log into the database
//! whenever enough was written. Only when commits outrun it does the writer finish one, so that the log starts anew.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use super::shared::Shared;

/// Frames (4 KiB each) of log from which the writer helps.
const FRAMES_MAX: i64 = 16_384;

/// Requests for checkpoints.
#[derive(Default)]
pub(super) struct Checkpoints {
    state: Mutex<State>,
    wake: Condvar,
    restart: AtomicBool,
    passes: AtomicU64,
}

#[derive(Default)]
struct State {
    asked: bool,
    closed: bool,
}

impl Checkpoints {
    /// Enough was written.
    pub(super) fn ask(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asked = true;
        self.wake.notify_one();
    }

    pub(super) fn close(&self) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.wake.notify_one();
    }

    /// Whether the writer should start the log anew; says so once.
    pub(super) fn take_restart(&self) -> bool {
        self.restart.load(Ordering::Relaxed) && self.restart.swap(false, Ordering::Relaxed)
    }

    /// How many checkpoints were run.
    #[cfg(test)]
    pub(super) fn passes(&self) -> u64 {
        self.passes.load(Ordering::Relaxed)
    }

    /// Waits for the next request; `false`: none will come.
    fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .wake
            .wait_while(state, |s| !s.asked && !s.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.asked = false;
        !state.closed
    }
}

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>, conn: Connection) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
        while shared.checkpoints.wait() {
            // PASSIVE waits for nobody: neither the writer nor a reader feels it but through the disk.
            let done = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
                Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            });
            match done {
                Ok((frames, moved)) => {
                    if frames >= FRAMES_MAX && moved * 10 >= frames * 9 {
                        shared.checkpoints.restart.store(true, Ordering::Relaxed);
                    }
                }
                Err(error) => tracing::warn!(target: "cairn", %error, "a checkpoint failed; the write-ahead log grows"),
            }
            shared.checkpoints.passes.fetch_add(1, Ordering::Relaxed);
        }
    })
}
