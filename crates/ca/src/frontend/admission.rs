//! Admission: a server with more work than it can finish says so early and cheaply, before it verifies a signature
//! (design.md §4). It judges by requests in work and by the age of the store's queue. What needs neither, newNonce, the
//! directory, CRLs and health, is not asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cairn_acme::problem::{Problem, ProblemType};

use crate::config;

/// When an overloaded server may be asked again.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// How many requests are in work.
#[derive(Debug, Default)]
pub struct Progress(AtomicUsize);

impl Progress {
    /// How many there are.
    #[must_use]
    pub fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request's place among those in work; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Progress>);

impl Place {
    /// While an answer is held it is no work; the guard takes the place again.
    pub(crate) fn pause(&self) -> Paused<'_> {
        self.0.leave();
        Paused(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A held request.
#[derive(Debug)]
pub(crate) struct Paused<'a>(&'a Place);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.0.enter();
    }
}

/// Lets a request in, or tells it to come again.
pub(crate) fn admit(progress: &Arc<Progress>, bounds: &config::Limits, queue_age: Duration) -> Result<Place, Problem> {
    let before = progress.enter();
    let place = Place(Arc::clone(progress));
    if before >= bounds.requests_in_flight || queue_age > bounds.queue_age.into() {
        return Err(Problem::new(
            ProblemType::ServerInternal,
            "the server has more requests than it can finish soon; nothing was done, come again",
        )
        .status(503)
        .retry_after(COME_AGAIN));
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    #[test]
    fn requests_over_the_bound_are_told_to_come_again_and_leave_no_count() {
        let progress = Arc::new(Progress::default());
        let bounds = config::Limits { requests_in_flight: 2, queue_age: Span::from_millis(100), ..Default::default() };
        let first = admit(&progress, &bounds, Duration::ZERO).unwrap();
        let _second = admit(&progress, &bounds, Duration::ZERO).unwrap();
        let refused = admit(&progress, &bounds, Duration::ZERO).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (503, Some(COME_AGAIN)));
        assert_eq!(progress.now(), 2);
        {
            let _held = first.pause();
            assert_eq!(progress.now(), 1, "a held answer is no work");
            assert!(admit(&progress, &bounds, Duration::ZERO).is_ok());
        }
        assert_eq!(progress.now(), 2);
        drop(first);
        assert!(admit(&progress, &bounds, Duration::from_millis(101)).is_err(), "an old queue");
        assert_eq!(progress.now(), 1);
    }
}
