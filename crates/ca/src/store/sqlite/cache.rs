//! What was read and written last, by id. The writer refreshes it after each COMMIT, so a hit is the committed state; a
//! reader's row may enter only if no commit touched its shard since before the row was read. Bounded: each shard keeps
//! two generations and forgets the older one when the younger is full. Absence is cached for renewals alone, which
//! anybody may ask for, and in a table of its own, so that strangers' guesses drive nothing out.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cairn_x509::certificate::Serial;

use crate::{
    id::{AccountId, AuthorizationId, OrderId},
    model::{Account, Authorization, Certificate, CertificateKey, Order, RenewalFacts},
};

const SHARDS: usize = 16;

/// Entries of accounts, orders and authorizations each; a kilobyte or two apiece.
const ENTRIES: usize = 4096;

/// Certificates are larger (signed request and DER) and are fetched soon or seldom.
const CERTIFICATES: usize = 1024;

/// Certificates whose renewal was asked for: about 200 octets apiece, and each client asks again for months.
const RENEWALS: usize = 65_536;

/// Serials that were asked for and never issued: mistakes come again, guesses do not.
const NEVER_ISSUED: usize = 8192;

/// One table's entries.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    shards: [Mutex<Shard<K, V>>; SHARDS],
    hasher: RandomState,
    per_generation: usize,
}

#[derive(Debug)]
struct Shard<K, V> {
    young: HashMap<K, Arc<V>>,
    old: HashMap<K, Arc<V>>,
    /// Raised by every commit that touches the shard.
    version: u64,
}

/// The state of a shard before a read; an entry read since may enter if it is still that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version(u64);

impl<K: Hash + Eq + Copy, V> Table<K, V> {
    fn new(entries: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| {
                Mutex::new(Shard {
                    young: HashMap::new(),
                    old: HashMap::new(),
                    version: 0,
                })
            }),
            hasher: RandomState::new(),
            per_generation: (entries / SHARDS / 2).max(1),
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, Shard<K, V>> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        // A panic while the lock was held leaves whole entries behind: there is nothing to mend.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry, or the version under which a read may enter.
    pub(super) fn get(&self, key: &K) -> Result<Arc<V>, Version> {
        let mut shard = self.shard(key);
        if let Some(value) = shard.young.get(key) {
            return Ok(Arc::clone(value));
        }
        if let Some(value) = shard.old.remove(key) {
            self.push(&mut shard, *key, Arc::clone(&value));
            return Ok(value);
        }
        Err(Version(shard.version))
    }

    /// Takes what was committed.
    pub(super) fn committed(&self, key: K, value: Arc<V>) {
        let mut shard = self.shard(&key);
        shard.version += 1;
        shard.old.remove(&key);
        self.push(&mut shard, key, value);
    }

    /// Takes what was read, unless a commit came between.
    pub(super) fn read(&self, key: K, value: Arc<V>, version: Version) {
        let mut shard = self.shard(&key);
        if shard.version == version.0 && !shard.young.contains_key(&key) {
            self.push(&mut shard, key, value);
        }
    }

    /// Forgets what was deleted.
    pub(super) fn deleted(&self, key: &K) {
        let mut shard = self.shard(key);
        shard.version += 1;
        shard.young.remove(key);
        shard.old.remove(key);
    }

    fn push(&self, shard: &mut Shard<K, V>, key: K, value: Arc<V>) {
        if shard.young.len() >= self.per_generation && !shard.young.contains_key(&key) {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(key, value);
    }

    fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.version += 1;
            shard.young.clear();
            shard.old.clear();
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|s| {
                let shard = s.lock().unwrap_or_else(PoisonError::into_inner);
                shard.young.len() + shard.old.len()
            })
            .sum()
    }
}

/// The cached tables.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) accounts: Table<AccountId, Account>,
    pub(super) orders: Table<OrderId, Order>,
    pub(super) authorizations: Table<AuthorizationId, Authorization>,
    /// By serial alone, as clients ask; the issuer is compared by whoever knows it.
    pub(super) certificates: Table<Serial, Certificate>,
    pub(super) renewals: Table<Serial, RenewalFacts>,
    pub(super) never_issued: Table<Serial, ()>,
}

impl Cache {
    /// Before a database on disk, or in memory, where each entry lies twice.
    pub(super) fn before(on_disk: bool) -> Self {
        let share = |entries| match on_disk {
            true => entries,
            false => entries / 8,
        };
        Self {
            accounts: Table::new(share(ENTRIES)),
            orders: Table::new(share(ENTRIES)),
            authorizations: Table::new(share(ENTRIES)),
            certificates: Table::new(share(CERTIFICATES)),
            renewals: Table::new(share(RENEWALS)),
            never_issued: Table::new(NEVER_ISSUED),
        }
    }

    /// Forgets what was told of a certificate's renewal, after a commit that may have changed it.
    pub(super) fn renewal_changed(&self, key: &CertificateKey) {
        self.renewals.deleted(&key.serial);
        self.never_issued.deleted(&key.serial);
    }

    /// Forgets all: after a fault it is not known what was committed.
    pub(super) fn clear(&self) {
        self.accounts.clear();
        self.orders.clear();
        self.authorizations.clear();
        self.certificates.clear();
        self.renewals.clear();
        self.never_issued.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_read_before_a_commit_does_not_enter_after_it() {
        let table = Table::<u64, &str>::new(64);
        let version = table.get(&1).unwrap_err();
        table.committed(1, Arc::new("new"));
        table.read(1, Arc::new("stale"), version);
        assert_eq!(*table.get(&1).unwrap(), "new");

        let version = table.get(&2).unwrap_err();
        table.committed(2, Arc::new("new"));
        table.deleted(&2);
        table.read(2, Arc::new("stale"), version);
        assert!(table.get(&2).is_err());

        let version = table.get(&3).unwrap_err();
        table.read(3, Arc::new("fresh"), version);
        assert_eq!(*table.get(&3).unwrap(), "fresh");
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let table = Table::<u64, u64>::new(1024);
        table.committed(0, Arc::new(0));
        for n in 1..100_000 {
            table.committed(n, Arc::new(n));
            assert!(table.get(&0).is_ok(), "used entry lost at {n}");
        }
        assert!(table.len() <= 1024, "{} entries", table.len());
    }
}
