//! Plain counters of validation, for the metrics page to read.

use std::sync::atomic::{AtomicU64, Ordering};

/// What validation has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// DNS queries sent over UDP, repeated ones included.
    pub dns_queries: AtomicU64,
    /// DNS queries sent again because no answer came.
    pub dns_repeats: AtomicU64,
    /// DNS queries sent over TCP.
    pub dns_tcp: AtomicU64,
    /// Datagrams that answered no query of ours: late, or forged (T-CA-79).
    pub dns_ignored: AtomicU64,
    /// TCP connections tried to validated hosts.
    pub connects: AtomicU64,
    /// Those that came about.
    pub connected: AtomicU64,
    /// Addresses that no rule allowed (T-CA-64).
    pub denied: AtomicU64,
    /// HTTP requests sent.
    pub requests: AtomicU64,
    /// Redirects followed.
    pub redirects: AtomicU64,
    /// Attempts that showed control.
    pub passed: AtomicU64,
    /// Attempts that did not.
    pub failed: AtomicU64,
}

/// Counts one.
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
