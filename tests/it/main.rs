//! Real peers against the real binary, each test in a network namespace of its own with real
//! ports: the CA at 127.0.0.1, the peer at 127.0.0.2, DNS at 127.0.0.1:53.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and say what they counted"
)]

mod caa;
mod certbot;
mod challenges;
mod challtestsrv;
mod clients;
mod conformance;
mod crash;
mod dev;
mod disk;
mod doors;
mod envelope;
mod faults;
mod issuers;
mod limits;
mod openssl;
mod operation;
mod operator;
mod other_root;
mod pebble;
mod public_shape;
mod raw;
mod renewal;
mod revocation;
mod told;
mod up;
mod validation_faults;
mod without_dev;
mod world;
