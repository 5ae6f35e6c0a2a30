//! Time as three arguments: wall, database, monotonic. Only this file reads a clock for a decision; signing stops when
//! the readings disagree (T-CA-96).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cairn_acme::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// How far wall time may be from what its last good reading and monotonic time lead to, before signing stops.
pub const MAX_DISAGREEMENT: Duration = Duration::from_secs(60);

/// Where readings come from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Civil time.
    fn wall(&self) -> Timestamp;
    /// Civil time as the machine claims it, where [`wall`](Self::wall) does not believe every step.
    fn claimed(&self) -> Timestamp {
        self.wall()
    }
    /// Time since an arbitrary moment of this process; never steps, and goes on while the machine sleeps.
    fn monotonic(&self) -> Duration;
    /// All of them as of one moment: a clock that is moved between two readings must not look like one that lies.
    fn moment(&self) -> Moment {
        Moment {
            claimed: self.claimed(),
            wall: self.wall(),
            monotonic: self.monotonic(),
        }
    }
}

/// What a clock said at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// [`Clock::claimed`].
    pub claimed: Timestamp,
    /// [`Clock::wall`].
    pub wall: Timestamp,
    /// [`Clock::monotonic`].
    pub monotonic: Duration,
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Duration,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            origin: since_boot(),
        }
    }
}

/// CLOCK_BOOTTIME: `Instant` stands still while the machine sleeps, and every wake would look like a step of the wall
/// clock.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
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
        since_boot().saturating_sub(self.origin)
    }
}

/// What rows are written by: civil time as the machine tells it, as long as it agrees with its last good reading and the
/// time that has passed since. Each such reading is the next one's measure, so that a clock may be set right in small
/// steps. From a step of more than [`MAX_DISAGREEMENT`] on it is the last good reading and what has passed: else an authorization that was validated under a clock a
/// year ahead would be good for that year once the clock is right again, an expired one would come back under a clock
/// that is behind, and the store would remember a time that stops signing for as long (T-CA-46, T-CA-96).
#[derive(Debug)]
pub struct SteadyClock {
    machine: Arc<dyn Clock>,
    /// The last good reading, wall and monotonic.
    good: Mutex<(Timestamp, Duration)>,
}

impl SteadyClock {
    /// Believes that clock as it stands now.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let now = machine.moment();
        let good = Mutex::new((now.wall, now.monotonic));
        Self { machine, good }
    }
}

impl Clock for SteadyClock {
    fn wall(&self) -> Timestamp {
        self.moment().wall
    }

    fn claimed(&self) -> Timestamp {
        self.machine.wall()
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    fn moment(&self) -> Moment {
        // Read under the lock: an older reading never becomes the measure of a newer one.
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.machine.moment();
        let expected = good.0.plus(now.monotonic.saturating_sub(good.1));
        if apart(now.wall, expected) > MAX_DISAGREEMENT {
            return Moment {
                wall: expected,
                ..now
            };
        }
        *good = (now.wall, now.monotonic);
        now
    }
}

fn apart(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
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
    /// Civil time as the machine claims it.
    pub wall: Timestamp,
    /// Civil time as it follows from the last good reading and monotonic time ([`SteadyClock`]).
    pub expected: Timestamp,
    /// The newest time that the database has stored or tells.
    pub database: Timestamp,
}

/// Why signing stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// The wall clock stepped while the process ran.
    #[error(
        "the wall clock says {wall}, but {expected} follows from the time that has passed: it stepped; signing stops until it is right or the server is restarted"
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

/// Judges one reading.
///
/// # Errors
/// Says which two clocks disagree by more than [`MAX_DISAGREEMENT`].
pub fn agree(now: &Readings) -> Result<(), ClockFault> {
    if apart(now.wall, now.expected) > MAX_DISAGREEMENT {
        return Err(ClockFault::Stepped {
            wall: now.wall,
            expected: now.expected,
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
        // Right again, and then set in small steps.
        machine.step_wall(t0.plus(hour));
        assert_eq!(steady.wall(), t0.plus(hour));
        let minute = Duration::from_secs(60);
        for n in 1..=5 {
            let slewed = t0.plus(hour).plus(n * minute);
            machine.step_wall(slewed);
            assert_eq!((steady.wall(), steady.claimed()), (slewed, slewed));
        }
        let jumped = t0
            .plus(hour)
            .plus(6 * minute)
            .plus(Duration::from_millis(1));
        machine.step_wall(jumped);
        assert_eq!(steady.wall(), t0.plus(hour).plus(5 * minute));
    }

    #[test]
    fn time_goes_on_while_the_machine_sleeps() {
        // T-CA-96
        let clock = SystemClock::default();
        let of_boot = std::fs::read_to_string("/proc/uptime").unwrap();
        let of_boot: f64 = of_boot.split(' ').next().unwrap().parse().unwrap();
        let here = (clock.origin + clock.monotonic()).as_secs_f64();
        assert!(
            (0.0..60.0).contains(&(here - of_boot + 0.02)),
            "{here} {of_boot}"
        );
    }

    #[test]
    fn signing_stops_when_the_clocks_disagree_by_more_than_a_minute() {
        // T-CA-96
        let due = Timestamp::from_seconds(1_800_003_600);
        let at = |wall, database| {
            agree(&Readings {
                wall,
                expected: due,
                database,
            })
        };
        let year = Duration::from_secs(365 * 24 * 3600);
        let tolerated = Duration::from_secs(60);
        let much = Duration::from_millis(60_001);
        assert_eq!(at(due, due), Ok(()));
        for wall in [due.plus(tolerated), due.minus(tolerated)] {
            assert_eq!(at(wall, due.minus(tolerated)), Ok(()));
        }
        for wall in [
            due.plus(much),
            due.minus(much),
            due.plus(year),
            due.minus(year),
        ] {
            assert!(matches!(
                at(wall, due.minus(year)),
                Err(ClockFault::Stepped { .. })
            ));
        }
        assert!(matches!(
            at(due, due.plus(much)),
            Err(ClockFault::BehindStore { .. })
        ));
    }
}
