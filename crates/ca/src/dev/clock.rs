//! The clock of a test CA: the machine's, ahead by what a test has let pass.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cairn_acme::time::Timestamp;

use crate::clock::{Clock, Moment, SystemClock};

/// The machine's clocks, moved ahead together: whoever compares them sees time that has passed, not a clock that stepped.
#[derive(Debug, Default)]
pub struct MovableClock {
    machine: SystemClock,
    ahead: Mutex<Duration>,
}

impl MovableClock {
    /// Lets time pass. It never goes back: what was stored would lie in the future.
    pub fn advance(&self, by: Duration) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(by);
    }

    /// How far it is ahead of the machine's.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for MovableClock {
    fn wall(&self) -> Timestamp {
        self.moment().wall
    }

    fn monotonic(&self) -> Duration {
        self.moment().monotonic
    }

    fn moment(&self) -> Moment {
        let (ahead, now) = (self.ahead(), self.machine.moment());
        let wall = now.wall.plus(ahead);
        Moment {
            claimed: wall,
            wall,
            monotonic: now.monotonic.saturating_add(ahead),
        }
    }
}
