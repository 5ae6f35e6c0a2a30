//! Unpublished helpers of the tests: a namespace, a DNS server, an http-01 responder, the real
//! `cairn` binary and a raw ACME client for each test.
//!
//! Every helper fails by panicking: its callers are tests. Nothing here waits a fixed time;
//! it waits for what it waits for, up to a bound.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking and print into the test's captured output"
)]

pub mod acme;
pub mod ca;
pub mod dev;
pub mod dns;
pub mod full_queue;
pub mod http;
pub mod issued;
pub mod judged;
pub mod netns;
pub mod pebble;
pub mod peers;
pub mod places;
pub mod process;
pub mod seen;
mod server;
pub mod tls_alpn;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// An address of this host that nobody has. Below the ports that the system gives to outgoing connections, so that none of
/// them takes it before its user does; from a place of this process's own, so that two runs do not meet.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 15_000;
    const COUNT: u32 = 17_000;
    let own = std::process::id().wrapping_mul(97) % COUNT;
    loop {
        let drawn = (own + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % COUNT;
        let port = FIRST + u16::try_from(drawn).expect("below COUNT");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        if let Ok(address) = listener.and_then(|l| l.local_addr()) {
            return address;
        }
    }
}

/// Runs a future to its end on a runtime of its own with two workers.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Asks again every few milliseconds until there is an answer; `None` after `patience`.
pub fn wait_for<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the long forms of the tests shall run (`make soak`).
pub fn soak() -> bool {
    std::env::var_os("CAIRN_SOAK").is_some_and(|value| value == "1")
}
