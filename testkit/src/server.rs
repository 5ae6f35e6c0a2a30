//! A thread with a runtime of its own, ended when the server's handle goes.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

/// Stops its thread and every task on it when dropped.
#[derive(Debug)]
pub(crate) struct Thread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Thread {
    /// Runs `start` on a new thread and returns what it returned; the tasks that it spawned run on.
    pub(crate) fn start<T, F, S>(name: &str, start: S) -> (Self, T)
    where
        T: Send + 'static,
        F: Future<Output = T>,
        S: FnOnce() -> F + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                ready.send(start().await).ok();
                stopped.await.ok();
            });
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .expect("a thread");
        let value = started
            .recv()
            .unwrap_or_else(|_| panic!("{name} did not start (see above)"));
        (
            Self {
                stop: Some(stop),
                thread: Some(thread),
            },
            value,
        )
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
