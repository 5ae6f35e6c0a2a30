//! Audit rows of refused requests, of an account or where none is there of an address, by GCRA: some at once, then one a
//! while, so that a flood of requests that break a rule cannot fill the disk. The client is told of every refusal all the
//! same.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::Network;
use crate::id::AccountId;

/// Rows at once.
pub(super) const BURST: u32 = 20;

/// For each row after those.
pub(super) const STEP: Duration = Duration::from_secs(180);

/// Parties that are remembered; of more at once nothing is written down.
const PARTIES: usize = 65_536;

/// Whose request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Party {
    Account(AccountId),
    Network(Network),
}

/// When each one's debt is paid, in monotonic time.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Party, Duration>>);

impl Refusals {
    /// Whether one more row may be written; it counts.
    pub(super) fn take(&self, party: Party, now: Duration) -> bool {
        let mut debts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= PARTIES && !debts.contains_key(&party) {
            debts.retain(|_, paid| *paid > now);
            if debts.len() >= PARTIES {
                return false;
            }
        }
        let paid = debts.entry(party).or_insert(now);
        let after = (*paid).max(now) + STEP;
        let room = after.saturating_sub(now) <= STEP * BURST;
        if room {
            *paid = after;
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_at_once_are_written_down_and_then_one_a_while() {
        // T-CA-115
        let refusals = Refusals::default();
        let account = |n| Party::Account(AccountId::from_bytes([n; 16]));
        let network = |text: &str| Party::Network(Network::of(text.parse().unwrap()));
        let (a, b) = (account(1), account(2));
        let now = Duration::from_secs(1000);
        let written = (0..1000).filter(|_| refusals.take(a, now)).count();
        assert_eq!(written, BURST as usize);
        assert!(refusals.take(b, now), "another account's");
        assert!(!refusals.take(a, now + STEP - Duration::from_secs(1)));
        assert!(refusals.take(a, now + STEP));
        assert!(!refusals.take(a, now + STEP));
        let near = [network("2001:db8::1"), network("2001:db8::2")];
        let written = (0..1000)
            .filter(|n| refusals.take(near[n % 2], now))
            .count();
        assert_eq!(written, BURST as usize, "one /64 is one party");
        assert!(refusals.take(network("2001:db8:0:1::1"), now));
    }
}
