//! The transcript of a test CA: every exchange with the clients, and what [`super::check`] finds in it. Exchanges are kept as
//! they came and decoded when they are read, so that keeping them costs little.
//!
//! Left out: what belongs to nobody but the client. Private members of keys, private keys in PEM, contacts and signatures are
//! masked in every form that leaves here ([`view`]).

mod exchange;
mod packed;
mod signed;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

pub use self::exchange::{Answered, Delivery, Exchange};
pub(crate) use self::{exchange::Pending, signed::Signed, view::shown};
use self::{packed::Packed, writer::Writer};
use super::{
    check::{self, Checker, Finding, Format, Verdict},
    doors::locked,
};
use crate::clock::SystemClock;

/// Exchanges that are kept.
const KEPT: usize = 10_000;

/// Octets that they may have together.
const KEPT_OCTETS: usize = 16_000_000;

/// So many exchanges are checked together, at the latest when somebody asks: one by one they would keep each other waiting, and
/// each would find the checks' memory cold.
const TOGETHER: usize = 32;

/// How a transcript is made.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where every exchange is written, as a line of JSON each. What is kept to be asked for is bounded; this is not.
    pub file: Option<PathBuf>,
}

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
#[error("the transcript's file {} cannot be written", path.display())]
pub struct TranscriptFault {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// What the clients of a test CA said and were told.
#[derive(Debug)]
pub struct Transcript {
    /// Times are the machine's, however far a test moves the CA's clock: clients wait by theirs.
    machine: SystemClock,
    next: AtomicU64,
    connections: AtomicU64,
    /// Those that ended and are not checked yet, in that order.
    ended: Mutex<Vec<Exchange>>,
    held: Mutex<Held>,
    writer: Option<Writer>,
}

#[derive(Debug, Default)]
struct Held {
    /// Boxed: the queue has room for more than there are.
    kept: VecDeque<Box<Packed>>,
    octets: usize,
    checker: Checker,
}

impl Transcript {
    /// An empty one.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub(super) fn start(settings: &Settings) -> Result<Self, TranscriptFault> {
        let writer = match &settings.file {
            None => None,
            Some(path) => Some(Writer::start(path).map_err(|source| TranscriptFault {
                path: path.clone(),
                source,
            })?),
        };
        Ok(Self {
            machine: SystemClock::default(),
            next: AtomicU64::new(1),
            connections: AtomicU64::new(1),
            ended: Mutex::default(),
            held: Mutex::default(),
            writer,
        })
    }

    /// A number for a new connection.
    pub(crate) fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Keeps an exchange that has ended. In a file it is at once.
    fn keep(&self, exchange: Exchange) {
        let together = if self.writer.is_some() { 1 } else { TOGETHER };
        let waiting = {
            let mut ended = locked(&self.ended);
            ended.push(exchange);
            ended.len()
        };
        if waiting >= together {
            drop(self.held());
        }
    }

    /// Exchanges from that number on, as far as they are kept, by number.
    #[must_use]
    pub fn since(&self, number: u64) -> Vec<Exchange> {
        let mut found: Vec<_> = self
            .held()
            .kept
            .iter()
            .filter(|packed| packed.number() >= number)
            .map(|packed| packed.exchange())
            .collect();
        found.sort_by_key(|exchange| exchange.number);
        found
    }

    /// The same as lines of JSON.
    #[must_use]
    pub fn lines(&self, since: u64) -> String {
        let each = self.since(since);
        each.iter()
            .map(|exchange| format!("{}\n", view::json(exchange)))
            .collect()
    }

    /// The same as text.
    #[must_use]
    pub fn text(&self, since: u64) -> String {
        let each = self.since(since);
        each.iter().map(view::text).collect()
    }

    /// What clients did wrong, the first ones of each check.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.held().checker.ledger().findings()
    }

    /// The report on the clients. `strict` counts a SHOULD as a MUST.
    #[must_use]
    pub fn report(&self, format: Format, strict: bool) -> String {
        check::report(self.held().checker.ledger(), format, strict)
    }

    /// Whether the clients did right. `strict` counts a SHOULD as a MUST.
    #[must_use]
    pub fn verdict(&self, strict: bool) -> Verdict {
        self.held().checker.ledger().verdict(strict)
    }

    /// Forgets exchanges and findings. What the clients were told stays known: they will go by it.
    pub fn clear(&self) {
        let mut held = self.held();
        held.kept.clear();
        held.octets = 0;
        held.checker.clear();
    }

    /// Waits until everything so far is in the file, or given up.
    pub(super) async fn flush(&self) {
        if let Some(writer) = &self.writer {
            writer.flush().await;
        }
    }

    /// What is kept, with all that has ended.
    fn held(&self) -> MutexGuard<'_, Held> {
        let mut held = locked(&self.held);
        // Behind the other lock: who comes second has the later ones.
        let ended = std::mem::take(&mut *locked(&self.ended));
        for mut exchange in ended {
            held.take(&mut exchange);
            if let Some(writer) = &self.writer {
                writer.write(exchange);
            }
        }
        held
    }
}

impl Held {
    /// Checks an exchange and keeps it.
    fn take(&mut self, exchange: &mut Exchange) {
        exchange.findings = self.checker.check(exchange);
        let packed = Box::new(Packed::of(exchange));
        self.octets += packed.octets();
        self.kept.push_back(packed);
        while self.kept.len() > KEPT || self.octets > KEPT_OCTETS {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.octets = self.octets.saturating_sub(oldest.octets());
        }
    }
}
