//! Audit rows of an account's refused requests, by GCRA: some at once, then one a while, so that a flood of requests that
//! break a rule cannot fill the disk. The client is told of every refusal all the same.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::id::AccountId;

/// Rows at once.
pub(super) const BURST: u32 = 20;

/// For each row after those.
pub(super) const STEP: Duration = Duration::from_secs(180);

/// Accounts that are remembered; of more at once nothing is written down.
const ACCOUNTS: usize = 65_536;

/// When each account's debt is paid, in monotonic time.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<AccountId, Duration>>);

impl Refusals {
    /// Whether one more row may be written; it counts.
    pub(super) fn take(&self, account: AccountId, now: Duration) -> bool {
        let mut debts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= ACCOUNTS && !debts.contains_key(&account) {
            debts.retain(|_, paid| *paid > now);
            if debts.len() >= ACCOUNTS {
                return false;
            }
        }
        let paid = debts.entry(account).or_insert(now);
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
        let (a, b) = (
            AccountId::from_bytes([1; 16]),
            AccountId::from_bytes([2; 16]),
        );
        let now = Duration::from_secs(1000);
        let written = (0..1000).filter(|_| refusals.take(a, now)).count();
        assert_eq!(written, BURST as usize);
        assert!(refusals.take(b, now), "another account's");
        assert!(!refusals.take(a, now + STEP - Duration::from_secs(1)));
        assert!(refusals.take(a, now + STEP));
        assert!(!refusals.take(a, now + STEP));
    }
}
