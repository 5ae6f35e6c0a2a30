//! What the server has acknowledged in all its lives, and that it never takes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_testkit::{acme::Key, issued};
use serde_json::Value;

/// What was told; each URL with the number of its account.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Order URL → the furthest status told.
    pub(super) orders: BTreeMap<String, (usize, String)>,
    /// Authorization URL → a final status.
    pub(super) authorizations: BTreeMap<String, (usize, String)>,
    /// Certificate URL → chain.
    pub(super) certificates: BTreeMap<String, (usize, String)>,
    /// Serial within a chain → its certificate's URL.
    pub(super) serials: BTreeMap<String, String>,
    /// Certificate URL → whether its revocation was acknowledged, or only asked for.
    pub(super) revocations: BTreeMap<String, (usize, bool)>,
    /// The key of each account.
    pub(super) keys: BTreeMap<usize, Keys>,
    /// Each CRL that was seen.
    pub(super) lists: BTreeSet<Vec<u8>>,
    /// How often it was answered 200: keyChange, newAuthz.
    pub(super) key_changes: usize,
    pub(super) new_authorizations: usize,
    /// The URLs told of since the last kill.
    pub(super) fresh: BTreeSet<String>,
}

/// An account's key, and the one that it asked for without an answer.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) current: Arc<Key>,
    pub(super) wanted: Option<Arc<Key>>,
}

/// How far a status is; none goes back (8555-7.1.6-6).
pub(super) fn rank(status: &str) -> u8 {
    match status {
        "pending" => 0,
        "ready" => 1,
        "processing" => 2,
        _ => 3,
    }
}

impl Told {
    pub(super) fn order(&mut self, account: usize, url: &str, order: &Value) {
        let status = order["status"].as_str().unwrap_or_default().to_owned();
        if let Some((_, before)) = self.orders.get(url) {
            assert!(
                rank(before) < rank(&status) || *before == status,
                "{url} was {before}, then {status}"
            );
        }
        if status == "invalid" {
            assert!(
                order["error"]["detail"].is_string(),
                "{url} ended without a reason: {order}"
            );
        }
        self.fresh.insert(url.to_owned());
        self.orders.insert(url.to_owned(), (account, status));
    }

    pub(super) fn authorization(&mut self, account: usize, url: &str, object: &Value) {
        let status = object["status"].as_str().unwrap_or_default().to_owned();
        if let Some((_, before)) = self.authorizations.get(url) {
            assert_eq!(*before, status, "{url} changed");
        }
        self.fresh.insert(url.to_owned());
        self.authorizations
            .insert(url.to_owned(), (account, status));
    }

    pub(super) fn certificate(&mut self, account: usize, url: &str, chain: String) {
        let serial = issued::serial(&chain).expect("a certificate's serial");
        let owner = self.serials.entry(serial.clone()).or_insert(url.to_owned());
        assert_eq!(owner, url, "serial {serial} has two certificates");
        if let Some((_, before)) = self.certificates.get(url) {
            assert_eq!(*before, chain, "{url} changed");
        }
        self.fresh.insert(url.to_owned());
        self.certificates.insert(url.to_owned(), (account, chain));
    }

    /// A certificate's revocation was asked for, or acknowledged.
    pub(super) fn revocation(&mut self, account: usize, url: &str, acknowledged: bool) {
        self.fresh.insert(url.to_owned());
        self.revocations
            .insert(url.to_owned(), (account, acknowledged));
    }

    /// The serials whose revocation was acknowledged.
    pub(super) fn revoked(&self) -> BTreeSet<String> {
        let acknowledged = self
            .revocations
            .iter()
            .filter(|(_, (_, acknowledged))| *acknowledged);
        acknowledged
            .map(|(url, _)| serial_of(url).to_owned())
            .collect()
    }

    /// What of this map was told since the last kill, for one account.
    pub(super) fn fresh_of<T>(
        &self,
        map: &BTreeMap<String, (usize, T)>,
        account: usize,
    ) -> Vec<String> {
        let fresh = self.fresh.iter().filter(|url| {
            map.get(url.as_str())
                .is_some_and(|(number, _)| *number == account)
        });
        fresh.cloned().collect()
    }
}

/// A certificate's URL ends with its serial.
pub(super) fn serial_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}
