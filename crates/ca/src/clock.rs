//! Time as three arguments: wall, database, monotonic. Only this file reads a clock for a decision; signing stops when
//! the readings disagree (T-CA-96).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cairn_acme::time::Timestamp;

/// How far wall and monotonic time may drift apart before signing stops.
pub const MAX_DISAGREEMENT: Duration = Duration::from_secs(60);

/// Where readings come from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Civil time.
    fn wall(&self) -> Timestamp;
    /// Civil time as the machine claims it, where [`wall`](Self::wall) does not believe every step.
    fn claimed(&self) -> Timestamp {
        self.wall()
    }
    /// Time since an arbitrary moment of this process; never steps.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clocks are read"
    )]
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clocks are read"
    )]
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// What rows are written by: civil time as the machine tells it, as long as it agrees with the time that has passed since
/// the start. From a step on it is the start and what has passed: else an authorization that was validated under a clock a
/// year ahead would be good for that year once the clock is right again, an expired one would come back under a clock
/// that is behind, and the store would remember a time that stops signing for as long (T-CA-46, T-CA-96).
#[derive(Debug)]
pub struct SteadyClock {
    machine: Arc<dyn Clock>,
    wall: Timestamp,
    monotonic: Duration,
}

impl SteadyClock {
    /// Believes that clock as it stands now.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let (wall, monotonic) = (machine.wall(), machine.monotonic());
        Self {
            machine,
            wall,
            monotonic,
        }
    }
}

impl Clock for SteadyClock {
    fn wall(&self) -> Timestamp {
        let passed = self.machine.monotonic().saturating_sub(self.monotonic);
        let (claimed, expected) = (self.machine.wall(), self.wall.plus(passed));
        let apart = claimed.since(expected).max(expected.since(claimed));
        if apart > MAX_DISAGREEMENT {
            expected
        } else {
            claimed
        }
    }

    fn claimed(&self) -> Timestamp {
        self.machine.wall()
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

/// A clock that a test moves.
#[derive(Debug)]
pub struct TestClock {
    readings: Mutex<(Timestamp, Duration)>,
}

impl TestClock {
    /// Starts at that civil time.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self {
            readings: Mutex::new((wall, Duration::ZERO)),
        }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        *readings = (readings.0.plus(by), readings.1 + by);
    }

    /// Steps civil time alone, as a wrong NTP server would.
    pub fn step_wall(&self, to: Timestamp) {
        self.readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0 = to;
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        self.readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn monotonic(&self) -> Duration {
        self.readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
    }
}

/// One reading of the three clocks.
#[derive(Debug, Clone, Copy)]
pub struct Readings {
    /// Civil time of this process.
    pub wall: Timestamp,
    /// The newest time that the database has stored or tells.
    pub database: Timestamp,
    /// Monotonic time of this process.
    pub monotonic: Duration,
}

/// Why signing stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// The wall clock stepped while the process ran.
    #[error(
        "the wall clock says {wall}, but {expected} follows from the time since start: it stepped; signing stops until it is right or the server is restarted"
    )]
    Stepped {
        /// What it says.
        wall: Timestamp,
        /// What it should say.
        expected: Timestamp,
    },
    /// The wall clock is before something that the store already holds.
    #[error(
        "the wall clock says {wall}, but the store holds rows of {database}: the clock is behind; signing stops until it is right"
    )]
    BehindStore {
        /// What it says.
        wall: Timestamp,
        /// The newest stored time.
        database: Timestamp,
    },
}

/// Judges one reading against the first of this process.
///
/// # Errors
/// Says which two clocks disagree by more than [`MAX_DISAGREEMENT`].
pub fn agree(start: &Readings, now: &Readings) -> Result<(), ClockFault> {
    let expected = start
        .wall
        .plus(now.monotonic.saturating_sub(start.monotonic));
    if now.wall.since(expected) > MAX_DISAGREEMENT || expected.since(now.wall) > MAX_DISAGREEMENT {
        return Err(ClockFault::Stepped {
            wall: now.wall,
            expected,
        });
    }
    if now.database.since(now.wall) > MAX_DISAGREEMENT {
        return Err(ClockFault::BehindStore {
            wall: now.wall,
            database: now.database,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_not_dated_by_a_clock_that_stepped() {
        // T-CA-96
        let t0 = Timestamp::from_seconds(1_800_000_000);
        let machine = Arc::new(TestClock::at(t0));
        let steady = SteadyClock::new(machine.clone());
        let hour = Duration::from_secs(3600);
        machine.advance(hour);
        assert_eq!(steady.wall(), t0.plus(hour));
        for stepped in [t0.plus(365 * 24 * hour), t0.minus(24 * hour)] {
            machine.step_wall(stepped);
            assert_eq!((steady.wall(), steady.claimed()), (t0.plus(hour), stepped));
        }
        let slewed = t0.plus(hour).plus(Duration::from_secs(30));
        machine.step_wall(slewed);
        assert_eq!(steady.wall(), slewed);
    }

    #[test]
    fn signing_stops_when_the_clocks_disagree_by_more_than_a_minute() {
        // T-CA-96
        let t0 = Timestamp::from_seconds(1_800_000_000);
        let start = Readings {
            wall: t0,
            database: t0,
            monotonic: Duration::ZERO,
        };
        let hour = Duration::from_secs(3600);
        let at = |wall, database| Readings {
            wall,
            database,
            monotonic: hour,
        };
        let due = t0.plus(hour);
        assert_eq!(agree(&start, &at(due, due)), Ok(()));
        assert_eq!(
            agree(&start, &at(due.plus(Duration::from_secs(60)), due)),
            Ok(())
        );
        assert!(matches!(
            agree(&start, &at(due.plus(Duration::from_secs(61)), due)),
            Err(ClockFault::Stepped { .. })
        ));
        assert!(matches!(
            agree(&start, &at(t0.minus(24 * hour), t0)),
            Err(ClockFault::Stepped { .. })
        ));
        assert!(matches!(
            agree(&start, &at(due.plus(365 * 24 * hour), due)),
            Err(ClockFault::Stepped { .. })
        ));
        let ahead = due.plus(Duration::from_secs(61));
        assert!(matches!(
            agree(&start, &at(due, ahead)),
            Err(ClockFault::BehindStore { .. })
        ));
    }
}
