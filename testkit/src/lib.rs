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
pub mod dns;
pub mod http;
pub mod issued;
pub mod netns;
pub mod peers;
pub mod places;
pub mod process;
mod server;

use std::future::Future;
use std::time::{Duration, Instant};

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
