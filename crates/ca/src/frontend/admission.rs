//! Admission: a server with more work than it can finish says so early and cheaply, before it verifies a signature
//! (design.md §4). It judges by requests in work and by the age of the store's queue. What needs neither, newNonce, the
//! directory, CRLs and health, is not asked.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cairn_acme::problem::{Problem, ProblemType};

use super::Route;
use crate::{
    config,
    store::{RequestInProgress, Store},
};

/// When an overloaded server may be asked again.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// Lets a request in, or tells it to come again.
pub(crate) fn judge(
    in_work: usize,
    queue_age: Duration,
    bounds: &config::Limits,
    route: Route,
) -> Result<(), Problem> {
    // Revocation has a share of its own above what everything else fills.
    let share: u8 = if route == Route::RevokeCert { 2 } else { 1 };
    if in_work < bounds.requests_in_flight.saturating_mul(share.into())
        && queue_age <= Duration::from(bounds.queue_age) * share.into()
    {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::ServerInternal,
        "the server has more requests than it can finish soon; nothing was done, come again",
    )
    .status(503)
    .retry_after(COME_AGAIN))
}

/// A request's place among those in work; given back when dropped. Taken once the body is there: a client that sends
/// slowly holds a connection, and nothing that others wait for.
#[derive(Debug)]
pub(crate) struct Place {
    store: Store,
    /// None while the request is held.
    counted: Mutex<Option<RequestInProgress>>,
}

impl Place {
    pub(crate) fn enter(store: &Store) -> Self {
        Self {
            store: store.clone(),
            counted: Mutex::new(Some(store.request())),
        }
    }

    /// While an answer is held it is no work, and no company for a batch of the writer; the guard takes the place again.
    pub(crate) fn pause(&self) -> Paused<'_> {
        self.set(None);
        Paused(self)
    }

    fn set(&self, counted: Option<RequestInProgress>) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }
}

/// A held request.
#[derive(Debug)]
pub(crate) struct Paused<'a>(&'a Place);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.set(Some(self.0.store.request()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    #[test]
    fn requests_over_a_bound_are_told_to_come_again() {
        let bounds = config::Limits {
            requests_in_flight: 2,
            queue_age: Span::from_millis(100),
            ..Default::default()
        };
        let order = Route::NewOrder;
        assert!(judge(1, Duration::from_millis(100), &bounds, order).is_ok());
        for (in_work, queue_age) in [(2, Duration::ZERO), (0, Duration::from_millis(101))] {
            let refused = judge(in_work, queue_age, &bounds, order).unwrap_err();
            assert_eq!(
                (refused.status, refused.retry_after),
                (503, Some(COME_AGAIN))
            );
            // What stops all else leaves room to revoke.
            assert!(judge(in_work, queue_age, &bounds, Route::RevokeCert).is_ok());
        }
        assert!(judge(4, Duration::ZERO, &bounds, Route::RevokeCert).is_err());
    }
}
