//! How many connections one target sees at once, over all accounts (T-CA-72).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A semaphore for each target in use; an idle target leaves nothing behind.
#[derive(Debug)]
pub(super) struct TargetLimits {
    each: usize,
    targets: Mutex<HashMap<IpAddr, Slot>>,
}

#[derive(Debug)]
struct Slot {
    semaphore: Arc<Semaphore>,
    /// Those who hold or wait.
    users: usize,
}

/// The right to one connection to a target.
#[derive(Debug)]
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    _user: User,
}

/// One who holds or waits; dropped at whichever point its future ends.
#[derive(Debug)]
struct User {
    limits: Arc<TargetLimits>,
    target: IpAddr,
}

impl TargetLimits {
    pub(super) fn new(each: usize) -> Arc<Self> {
        Arc::new(Self {
            each: each.max(1),
            targets: Mutex::default(),
        })
    }

    /// Waits for the right to connect to an address; `None` never happens while in use.
    pub(super) async fn acquire(self: &Arc<Self>, ip: IpAddr) -> Option<Permit> {
        let target = network(ip);
        let semaphore = {
            let mut targets = self.lock();
            let slot = targets.entry(target).or_insert_with(|| Slot {
                semaphore: Arc::new(Semaphore::new(self.each)),
                users: 0,
            });
            slot.users += 1;
            Arc::clone(&slot.semaphore)
        };
        let user = User {
            limits: Arc::clone(self),
            target,
        };
        let permit = semaphore.acquire_owned().await.ok()?;
        Some(Permit {
            _permit: permit,
            _user: user,
        })
    }

    /// Counts the targets in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Slot>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let mut targets = self.limits.lock();
        if let Some(slot) = targets.get_mut(&self.target) {
            slot.users -= 1;
            if slot.users == 0 {
                targets.remove(&self.target);
            }
        }
    }
}

/// The well-known prefix 64:ff9b::/96.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// One host may have a whole /64; behind a translator there is another host at each address (RFC 6052).
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) if v6.segments()[..6] == NAT64 => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::from([a, b, c, d])
        }
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thousand_attempts_to_one_address_connect_n_at_a_time_and_leave_nothing() {
        // T-CA-72
        let limits = TargetLimits::new(8);
        let now = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let (limits, now, most) = (Arc::clone(&limits), Arc::clone(&now), Arc::clone(&most));
            tasks.spawn(async move {
                let _permit = limits.acquire("192.0.2.1".parse().unwrap()).await;
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while tasks.join_next().await.is_some() {}
        assert_eq!(most.load(Ordering::SeqCst), 8);
        assert_eq!(limits.len(), 0);
    }

    #[test]
    fn hosts_behind_a_translator_are_not_one_target() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("64:ff9b::198.41.0.4"), of("198.41.0.4"));
        assert_ne!(of("64:ff9b::198.41.0.4"), of("64:ff9b::198.41.0.5"));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_and_a_64_counts_as_one_target() {
        // T-CA-72
        let limits = TargetLimits::new(1);
        let held = limits.acquire("2001:db8::1".parse().unwrap()).await;
        let waiting = limits.acquire("2001:db8::2".parse().unwrap());
        let waited =
            tokio::select! { biased; _ = waiting => true, () = std::future::ready(()) => false };
        assert!(!waited, "another address of the same /64 has to wait");
        assert_eq!(limits.len(), 1);
        drop(held);
        assert_eq!(limits.len(), 0);
    }
}
