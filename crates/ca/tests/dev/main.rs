//! The test CA in this process, asked over real sockets: each of its faults, and its clock.

#![allow(clippy::disallowed_methods, reason = "these tests bound real time")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod answers;
mod checks;
mod clients;
mod clock;
mod conduct;
mod connections;
mod debian;
mod documents;
mod faults;
mod pebble;
mod site;
mod state;
mod text;
mod transcript;
