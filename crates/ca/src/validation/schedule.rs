//! When the server tries a failed validation again (RFC 8555 section 8.2; design section 2.5).
//!
//! Pure: (first start, attempts begun, now, outcome) → what next.

use std::time::Duration;

use cairn_acme::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How an attempt ended, as far as the plan cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Control was shown.
    Passed,
    /// It failed in a way that may heal within seconds.
    FailedTransiently,
    /// It failed in a way that waiting does not change.
    FailedFinally,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next attempt starts at this time, or at once if it has passed.
    AttemptAt(Timestamp),
    /// The challenge becomes invalid.
    GiveUp,
    /// The challenge becomes valid.
    Done,
}

/// The plan of one challenge's attempts; stored with its work row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    #[serde(with = "exact")]
    first: Timestamp,
    begun: u8,
    retries: bool,
}

impl Schedule {
    /// Starts the plan with its first attempt at `now`.
    ///
    /// Without `retries` (preset `public`) the first attempt is the only one.
    pub fn start(now: Timestamp, retries: bool) -> Self {
        Self {
            first: now,
            begun: 1,
            retries,
        }
    }

    /// Counts the attempts begun, the running one included.
    pub fn attempts(&self) -> u8 {
        self.begun
    }

    /// Tells when the whole ends, whatever still runs.
    pub fn ends(&self) -> Timestamp {
        self.first.plus(WHOLE)
    }

    /// Tells when an attempt that starts at `now` must have ended.
    pub fn attempt_ends(&self, now: Timestamp) -> Timestamp {
        now.plus(ATTEMPT).min(self.ends())
    }

    /// Decides what follows an attempt that ended at `now`; counts the next one as begun.
    pub fn conclude(&mut self, now: Timestamp, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Passed => return Next::Done,
            Outcome::FailedFinally => return Next::GiveUp,
            Outcome::FailedTransiently if !self.retries => return Next::GiveUp,
            Outcome::FailedTransiently => {}
        }
        let Some(delay) = STARTS.get(usize::from(self.begun)) else {
            return Next::GiveUp;
        };
        // Later if the attempt before was still running at its time.
        let at = self.first.plus(*delay).max(now);
        if at > self.first.plus(LAST_START) {
            return Next::GiveUp;
        }
        self.begun = self.begun.saturating_add(1);
        Next::AttemptAt(at)
    }

    /// Gives the value of Retry-After while the challenge is processing: after the next query,
    /// RFC 8555 section 8.2.
    pub fn retry_after(now: Timestamp, next: Timestamp) -> Duration {
        let wait = if next > now {
            next.since(now)
        } else {
            Duration::ZERO
        };
        Duration::from_secs(wait.as_secs().saturating_add(1))
    }
}

/// A timestamp in a row, to the millisecond.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i64(at.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_millis)
    }
}

/// When attempts start, counted from the first.
const STARTS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(10),
];
/// No attempt starts later than this after the first.
const LAST_START: Duration = Duration::from_secs(15);
/// The longest that one attempt may run (T-CA-68).
pub const ATTEMPT: Duration = Duration::from_secs(10);
/// The whole ends here.
const WHOLE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    #[test]
    fn transient_failures_are_tried_again_after_5_and_10_seconds_and_then_no_more() {
        // 8555-8.2-2
        let mut plan = Schedule::start(at(0), true);
        let failed = Outcome::FailedTransiently;
        assert_eq!(plan.conclude(at(20), failed), Next::AttemptAt(at(5_000)));
        assert_eq!(
            plan.conclude(at(5_020), failed),
            Next::AttemptAt(at(10_000))
        );
        assert_eq!(plan.attempts(), 3);
        assert_eq!(plan.conclude(at(10_020), failed), Next::GiveUp);
    }

    #[test]
    fn a_late_attempt_moves_the_next_and_none_starts_after_15_seconds() {
        // 8555-8.2-2
        struct Case {
            name: &'static str,
            ends: &'static [i64],
            want: Next,
        }
        let cases = [
            Case {
                name: "ran past 5 s",
                ends: &[8_000],
                want: Next::AttemptAt(at(8_000)),
            },
            Case {
                name: "ran to 10 s",
                ends: &[10_000],
                want: Next::AttemptAt(at(10_000)),
            },
            Case {
                name: "second at 15 s",
                ends: &[8_000, 15_000],
                want: Next::AttemptAt(at(15_000)),
            },
            Case {
                name: "just after 15 s",
                ends: &[8_000, 15_001],
                want: Next::GiveUp,
            },
            Case {
                name: "the clock jumped an hour",
                ends: &[3_600_000],
                want: Next::GiveUp,
            },
            Case {
                name: "the clock ran back",
                ends: &[-60_000],
                want: Next::AttemptAt(at(5_000)),
            },
        ];
        let mut wrong = Vec::new();
        for case in cases {
            let mut plan = Schedule::start(at(0), true);
            let mut last = Next::Done;
            for end in case.ends {
                last = plan.conclude(at(*end), Outcome::FailedTransiently);
            }
            if last != case.want {
                wrong.push(format!("{}: {last:?}", case.name));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn success_final_failures_and_the_public_preset_end_it_at_once() {
        // 8555-8.2-2
        let mut plan = Schedule::start(at(0), true);
        assert_eq!(plan.conclude(at(9), Outcome::Passed), Next::Done);
        assert_eq!(plan.conclude(at(9), Outcome::FailedFinally), Next::GiveUp);
        let mut public = Schedule::start(at(0), false);
        assert_eq!(
            public.conclude(at(9), Outcome::FailedTransiently),
            Next::GiveUp
        );
    }

    #[test]
    fn every_attempt_ends_within_10_seconds_and_the_whole_within_20() {
        // 8555-8.2-2
        let plan = Schedule::start(at(0), true);
        assert_eq!(plan.attempt_ends(at(0)), at(10_000));
        assert_eq!(plan.attempt_ends(at(5_000)), at(15_000));
        assert_eq!(plan.attempt_ends(at(15_000)), at(20_000));
        assert_eq!(plan.ends(), at(20_000));
    }

    #[test]
    fn a_plan_survives_the_store_to_the_millisecond() {
        let mut plan = Schedule::start(at(123), true);
        plan.conclude(at(150), Outcome::FailedTransiently);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), plan);
    }

    #[test]
    fn retry_after_lies_after_the_next_attempt() {
        // 8555-8.2-2
        assert_eq!(
            Schedule::retry_after(at(20), at(5_000)),
            Duration::from_secs(5)
        );
        assert_eq!(
            Schedule::retry_after(at(5_000), at(20)),
            Duration::from_secs(1)
        );
        assert_eq!(
            Schedule::retry_after(at(0), at(5_000)),
            Duration::from_secs(6)
        );
    }
}
