//! What a test has set: records, tokens, redirects, and what was asked since.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::history::{Event, History, Kind};

/// A CAA record's tag and value; its flags are zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Caa {
    /// The tag, such as `issue`.
    pub(super) tag: String,
    /// The value.
    pub(super) value: String,
}

/// All of it. Shared by the servers and the management calls.
#[derive(Debug)]
pub struct Data {
    tables: Mutex<Tables>,
    history: Mutex<History>,
}

/// What is answered.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// For every name without A records of its own; empty: none.
    pub(super) default_ipv4: String,
    /// The same for AAAA.
    pub(super) default_ipv6: String,
    hosts: HashMap<String, Records>,
    /// Key authorizations by http-01 token.
    pub(super) tokens: HashMap<String, String>,
    /// Targets by path.
    pub(super) redirects: HashMap<String, String>,
    /// Key authorizations by tls-alpn-01 name.
    alpn: HashMap<String, String>,
}

/// One name's records. Addresses are kept as they were said: one that is none gives no record, and keeps the default away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) a: Vec<String>,
    pub(super) aaaa: Vec<String>,
    pub(super) caa: Vec<Caa>,
    pub(super) txt: Vec<String>,
    pub(super) cname: Option<String>,
    pub(super) servfail: bool,
}

impl Default for Data {
    /// Every name leads to this machine.
    fn default() -> Self {
        Self::new("127.0.0.1", "::1")
    }
}

impl Data {
    /// Nothing but the default addresses; an empty one is none.
    #[must_use]
    pub fn new(default_ipv4: &str, default_ipv6: &str) -> Self {
        Self {
            tables: Mutex::new(Tables {
                default_ipv4: default_ipv4.to_owned(),
                default_ipv6: default_ipv6.to_owned(),
                ..Tables::default()
            }),
            history: Mutex::default(),
        }
    }

    pub(super) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was asked.
    pub(super) fn asked(&self, event: Event) {
        self.history().add(event);
    }

    /// What was asked of a host, as JSON in the way of the other program.
    pub(super) fn asked_of(&self, host: &str, kind: Kind) -> String {
        self.history().json(host, kind)
    }

    pub(super) fn forget(&self, host: &str, kind: Kind) {
        self.history().forget(host, kind);
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// A name's records.
    pub(super) fn of(&self, host: &str) -> Records {
        self.hosts.get(&key(host)).cloned().unwrap_or_default()
    }

    /// Changes a name's records; a name without any takes no room.
    pub(super) fn change(&mut self, host: &str, change: impl FnOnce(&mut Records)) {
        let key = key(host);
        let records = self.hosts.entry(key.clone()).or_default();
        change(records);
        if *records == Records::default() {
            self.hosts.remove(&key);
        }
    }

    /// The key authorization for a tls-alpn-01 name.
    pub(super) fn alpn(&self, host: &str) -> Option<&String> {
        self.alpn.get(&key(host))
    }

    /// Sets it, or takes it back.
    pub(super) fn set_alpn(&mut self, host: &str, content: Option<String>) {
        match content {
            Some(content) => self.alpn.insert(key(host), content),
            None => self.alpn.remove(&key(host)),
        };
    }
}

/// How names are compared: without regard to case and a last dot.
pub(super) fn key(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_whatever_their_case_and_last_dot_and_empty_ones_take_no_room() {
        let mut tables = Tables::default();
        tables.change("A.Test.", |r| r.txt.push("x".to_owned()));
        assert_eq!(tables.of("a.tesT").txt, ["x"]);
        tables.change("a.test", |r| r.txt.clear());
        assert!(tables.hosts.is_empty());
        tables.set_alpn("B.test", Some("k".to_owned()));
        assert_eq!(tables.alpn("b.Test"), Some(&"k".to_owned()));
        tables.set_alpn("b.test", None);
        assert_eq!(tables.alpn("b.test"), None);
    }
}
