//! A signer with the key in memory, on threads of its own.

use std::{sync::Arc, thread, time::Duration};

use cairn_x509::key::PrivateKey;
use tokio::sync::{mpsc, oneshot};

use super::{Signable, Signer, SignerFault, Signing};

/// How many signatures may wait. At 15 µs each a full queue is gone in milliseconds; with RSA in a second.
const QUEUE: usize = 1024;

struct Job {
    bytes: Signable,
    answer: oneshot::Sender<Result<Vec<u8>, SignerFault>>,
}

/// Signs with a key in this process's memory.
pub struct SoftwareSigner {
    queue: mpsc::Sender<Job>,
}

impl std::fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftwareSigner")
            .field("capacity", &self.queue.capacity())
            .finish()
    }
}

impl SoftwareSigner {
    /// Starts the signer's thread; it ends with the last handle.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(key: Arc<PrivateKey>) -> std::io::Result<Self> {
        let (queue, mut jobs) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new()
            .name("signer".to_owned())
            .spawn(move || {
                while let Some(job) = jobs.blocking_recv() {
                    // Whoever gave up waiting has given the serial up too: those bytes are not signed any more.
                    if job.answer.is_closed() {
                        continue;
                    }
                    let signature = key
                        .sign(job.bytes.bytes())
                        .map_err(|e| SignerFault::Failed(e.to_string()));
                    let _ = job.answer.send(signature);
                }
            })?;
        Ok(Self { queue })
    }
}

impl Signer for SoftwareSigner {
    fn sign(&self, bytes: Signable, deadline: Duration) -> Signing<'_> {
        Box::pin(async move {
            let (answer, signature) = oneshot::channel();
            self.queue
                .try_send(Job { bytes, answer })
                .map_err(|e| match e {
                    mpsc::error::TrySendError::Full(_) => SignerFault::Busy,
                    mpsc::error::TrySendError::Closed(_) => SignerFault::Stopped,
                })?;
            match tokio::time::timeout(deadline, signature).await {
                Err(_) => Err(SignerFault::TimedOut(deadline)),
                Ok(Err(_)) => Err(SignerFault::Stopped),
                Ok(Ok(result)) => result,
            }
        })
    }
}
