//! Bad signatures of an address, by GCRA: `rate` at once, then one each 1/rate of a minute.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::Network;

/// Addresses that are remembered. Beyond it new ones are not counted: the bound on requests in flight still holds, and
/// forgetting the known offenders would be worse.
pub(super) const ADDRESSES: usize = 65_536;

const MINUTE: Duration = Duration::from_secs(60);

/// When each address' debt is paid, in monotonic time.
#[derive(Debug, Default)]
pub(super) struct BadSignatures {
    debts: Mutex<HashMap<Network, Duration>>,
    /// Length of `debts`, so that a server without offenders takes no lock.
    len: AtomicUsize,
}

impl BadSignatures {
    /// Whether the address has credit for at least one bad signature more.
    pub(super) fn may_verify(
        &self,
        from: Network,
        rate: u32,
        now: Duration,
    ) -> Result<(), Duration> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let paid = self
            .debts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&from)
            .copied();
        let step = MINUTE / rate.max(1);
        match paid {
            Some(paid) if paid.saturating_sub(now) + step > MINUTE => {
                Err((paid + step).saturating_sub(now + MINUTE))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn count(&self, from: Network, rate: u32, now: Duration) {
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= ADDRESSES && !debts.contains_key(&from) {
            debts.retain(|_, paid| *paid > now);
            if debts.len() >= ADDRESSES {
                return;
            }
        }
        let step = MINUTE / rate.max(1);
        let paid = debts.entry(from).or_insert(now);
        *paid = (*paid).max(now) + step;
        self.len.store(debts.len(), Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}
