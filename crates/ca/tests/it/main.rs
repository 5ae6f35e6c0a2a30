//! The CA in this process, asked over real sockets.

#![allow(clippy::disallowed_methods, reason = "these tests bound real time")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

mod account_ways;
mod admission;
mod bases;
mod caa;
mod challenges;
mod clocks;
mod dates;
mod external;
mod external_keys;
mod hold;
mod kill_points;
mod listener;
mod name_rules;
mod operator;
mod operator_acts;
mod profiles;
mod races;
mod refusals;
mod renewal;
mod replaces;
mod resource;
mod reuse;
mod revocation;
mod serving;
mod signing;
mod steps;
mod transitions;
mod world;
