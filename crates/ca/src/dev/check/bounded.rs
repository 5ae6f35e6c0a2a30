//! A map that forgets its oldest entries.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

/// A map of at most so many entries. Whether it has ever forgotten one is known: what is not in it may have been then.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    /// A tree takes what its entries take; a hash table that always gains and loses some grows to twice that.
    map: BTreeMap<K, V>,
    order: VecDeque<K>,
    most: usize,
    forgot: bool,
}

impl<K: Ord + Clone, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            map: BTreeMap::new(),
            order: VecDeque::new(),
            most,
            forgot: false,
        }
    }

    /// Whether something that was put in is gone.
    pub(super) fn has_forgotten(&self) -> bool {
        self.forgot
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.map.get(key)
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.map.get_mut(key)
    }

    /// Puts a value in, in place of any under the key.
    pub(super) fn put(&mut self, key: K, value: V) {
        if self.map.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.map.len() > self.most {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.forgot |= self.map.remove(&oldest).is_some();
        }
    }
}

impl<K: Ord + Clone, V: Default> Bounded<K, V> {
    /// The value under the key; a new one if there is none.
    pub(super) fn entry(&mut self, key: K) -> &mut V {
        if !self.map.contains_key(&key) {
            self.put(key.clone(), V::default());
        }
        self.map.entry(key).or_default()
    }
}

/// What stands for a value where only its likeness counts.
pub(super) fn digest(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
