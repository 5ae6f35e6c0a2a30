//! The file of a transcript: a thread that writes lines, so that no request waits for a disk.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use tokio::sync::oneshot;

use super::{Exchange, view};

/// Exchanges that may wait for the disk. Those that come while so many wait are left out, and it is said.
const QUEUE: usize = 8_192;

#[derive(Debug)]
enum Job {
    Write(Box<Exchange>),
    Flush(oneshot::Sender<()>),
}

/// Hands exchanges to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: SyncSender<Job>,
    /// It is said once that some are left out.
    said: AtomicBool,
}

impl Writer {
    /// # Errors
    /// As the system says of the file or the thread.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        // What another test CA writes to is not cut off under it.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        if file.metadata()?.is_file() {
            file.try_lock().map_err(io::Error::from)?;
            file.set_len(0)?;
        }
        let (queue, jobs) = sync_channel(QUEUE);
        thread::Builder::new()
            .name("transcript".to_owned())
            .spawn(move || run(&jobs, BufWriter::new(file)))?;
        Ok(Self {
            queue,
            said: AtomicBool::new(false),
        })
    }

    /// Has an exchange written.
    pub(super) fn write(&self, exchange: Exchange) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Job::Write(Box::new(exchange)))
            && !self.said.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(target: "cairn", "the disk is slower than the exchanges: the transcript's file lacks some");
        }
    }

    /// Waits until what came before is written, or given up.
    pub(super) async fn flush(&self) {
        let (done, written) = oneshot::channel();
        let queue = self.queue.clone();
        // A full queue is waited for, on a thread that may wait.
        let sent = tokio::task::spawn_blocking(move || queue.send(Job::Flush(done))).await;
        if matches!(sent, Ok(Ok(()))) {
            let _ = written.await;
        }
    }
}

/// Writes until nobody sends any more. After the first failure nothing is written, and that is said once: a test CA goes on.
fn run(jobs: &Receiver<Job>, mut file: impl Write) {
    let mut broken = false;
    let mut note = |result: io::Result<()>| {
        if let Err(error) = result
            && !broken
        {
            broken = true;
            tracing::warn!(target: "cairn", %error, "the transcript's file ends here");
        }
        broken
    };
    while let Ok(first) = jobs.recv() {
        let mut job = Some(first);
        while let Some(next) = job.take() {
            match next {
                Job::Write(exchange) => {
                    if !note(Ok(())) {
                        note(writeln!(file, "{}", view::json(&exchange)));
                    }
                }
                Job::Flush(done) => {
                    note(file.flush());
                    let _ = done.send(());
                }
            }
            job = jobs.try_recv().ok();
        }
        // Nothing waits: whoever reads along sees all.
        note(file.flush());
    }
}
