//! The CA in this process, asked over real sockets.

#![allow(clippy::disallowed_methods, reason = "these tests bound real time")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod admission;
mod hold;
mod listener;
mod operator;
mod resource;
mod world;
