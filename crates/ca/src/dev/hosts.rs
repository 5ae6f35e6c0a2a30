//! The hosts under which a test CA has answered, each with the snapshot whose URLs begin there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::node::Snapshot;

/// So many hosts are followed; whoever comes under one more is answered with the configured URLs.
const HOSTS: usize = 256;

/// Longer than any name with a port.
const LONGEST: usize = 300;

/// The configured snapshot, and what was made of it.
type Made = (Arc<Snapshot>, Arc<Snapshot>);

/// The hosts that were followed.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<String, Made>>);

impl Hosts {
    /// The snapshot for requests that come under this host.
    pub(super) fn snapshot(&self, host: &str, configured: &Arc<Snapshot>) -> Arc<Snapshot> {
        let mut hosts = self.lock();
        if let Some((of, made)) = hosts.get(host)
            && Arc::ptr_eq(of, configured)
        {
            return Arc::clone(made);
        }
        if !is_host(host) || (hosts.len() >= HOSTS && !hosts.contains_key(host)) {
            return Arc::clone(configured);
        }
        let made = Arc::new(configured.based_at(&base_of(host)));
        let entry = (Arc::clone(configured), Arc::clone(&made));
        hosts.insert(host.to_owned(), entry);
        made
    }

    /// A URL under one of these hosts, as it is under that base.
    pub(super) fn moved(&self, url: &str, base: &str) -> Option<String> {
        let (host, path) = split(url)?;
        let known = self.lock().contains_key(host);
        known.then(|| format!("{base}{path}"))
    }

    /// A URL under each of these hosts.
    pub(super) fn under_each(&self, url: &str) -> Vec<String> {
        let Some((_, path)) = split(url) else {
            return Vec::new();
        };
        let hosts = self.lock();
        let moved = hosts.keys().map(|host| base_of(host) + path);
        moved.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn base_of(host: &str) -> String {
    format!("https://{host}")
}

/// The host of a URL, and what follows it.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://")?;
    Some(rest.split_at(rest.find('/')?))
}

/// What may stand in a URL as its host and port, a container's name too.
fn is_host(text: &str) -> bool {
    let octet = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(octet)
}
