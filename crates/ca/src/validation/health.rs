//! How the CA's own resolver fares: what the look-ups of the last minutes ended with. A resolver that answers nothing looks
//! like a fault of each single name, and is none (T-CA-77).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Look-ups by the minute.
#[derive(Debug)]
pub struct Health {
    start: Instant,
    minutes: Mutex<[Minute; MINUTES]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    /// Counted from the start.
    number: u64,
    answered: u64,
    failed: u64,
}

/// The look-ups of the last [`Health::SPAN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Those that a server gave an answer to, be it that there is nothing.
    pub answered: u64,
    /// Those that none did.
    pub failed: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            minutes: Mutex::default(),
        }
    }
}

impl Recent {
    /// Whether the resolver itself must be at fault.
    pub fn is_broken(&self) -> bool {
        self.answered == 0 && self.failed >= MANY
    }
}

impl Health {
    /// How far back it looks.
    pub const SPAN: Duration = Duration::from_secs(60 * MINUTES as u64);

    /// Counts a look-up.
    pub(super) fn note(&self, answered: bool, now: Instant) {
        let number = self.number(now);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = usize::try_from(number % MINUTES as u64).unwrap_or(0);
        let Some(minute) = minutes.get_mut(slot) else {
            return;
        };
        if minute.number != number {
            *minute = Minute {
                number,
                ..Minute::default()
            };
        }
        if answered {
            minute.answered += 1;
        } else {
            minute.failed += 1;
        }
    }

    /// Adds the last minutes up.
    pub fn recent(&self, now: Instant) -> Recent {
        let number = self.number(now);
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = minutes
            .iter()
            .filter(|minute| number - minute.number.min(number) < MINUTES as u64);
        recent.fold(
            Recent {
                answered: 0,
                failed: 0,
            },
            |sum, minute| Recent {
                answered: sum.answered + minute.answered,
                failed: sum.failed + minute.failed,
            },
        )
    }

    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / 60
    }
}

/// Minutes looked back.
const MINUTES: usize = 5;
/// Failures without a single answer that are no chance.
const MANY: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_without_an_answer_for_five_minutes_are_the_resolvers() {
        // F-100
        let health = Health::default();
        let at = |seconds: u64| health.start + Duration::from_secs(seconds);
        health.note(true, at(0));
        for second in [70, 80, 90] {
            health.note(false, at(second));
        }
        assert!(!health.recent(at(100)).is_broken(), "one was answered");
        let later = health.recent(at(301));
        assert_eq!(
            later,
            Recent {
                answered: 0,
                failed: 3
            }
        );
        assert!(later.is_broken(), "the answer is five minutes old");
        health.note(true, at(302));
        assert!(!health.recent(at(303)).is_broken());
        assert_eq!(health.recent(at(3600)).failed, 0, "all is forgotten");
    }
}
