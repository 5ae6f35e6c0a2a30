//! Places for held answers: per account, per address and per node (design: waiting is the server's work).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Network;
use crate::{config, id::AccountId};

/// Which bound leaves no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldRefusal {
    /// The account's.
    Account,
    /// The address'.
    Address,
    /// The node's.
    Node,
}

#[derive(Debug, Default)]
pub(super) struct Holding(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    accounts: HashMap<AccountId, usize>,
    networks: HashMap<Network, usize>,
    all: usize,
}

/// A place; freed when dropped.
#[derive(Debug)]
pub struct Held {
    holding: Arc<Holding>,
    account: AccountId,
    network: Network,
}

pub(super) fn take(
    holding: &Arc<Holding>,
    account: AccountId,
    network: Network,
    bounds: &config::Limits,
) -> Result<Held, HoldRefusal> {
    let mut counts = holding.lock();
    if counts.all >= bounds.holds {
        return Err(HoldRefusal::Node);
    }
    if counts.accounts.get(&account).copied().unwrap_or(0) >= bounds.holds_per_account {
        return Err(HoldRefusal::Account);
    }
    if counts.networks.get(&network).copied().unwrap_or(0) >= bounds.holds_per_address {
        return Err(HoldRefusal::Address);
    }
    counts.all += 1;
    *counts.accounts.entry(account).or_default() += 1;
    *counts.networks.entry(network).or_default() += 1;
    Ok(Held {
        holding: Arc::clone(holding),
        account,
        network,
    })
}

impl Holding {
    pub(super) fn len(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.holding.lock();
        counts.all = counts.all.saturating_sub(1);
        release(&mut counts.accounts, &self.account);
        release(&mut counts.networks, &self.network);
    }
}

fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
