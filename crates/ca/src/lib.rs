//! The certificate authority: RFC 8555's server over a store that loses nothing.
//!
//! The tree is the data's way through it: `frontend` turns bytes into verified requests, `authority` holds the rules,
//! `validation` asks the outside world, `issuance` alone holds keys, `store` keeps, `publication` and `operator` are the
//! other two doors. `node` puts the parts together from the configuration.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod authority;
mod borders;
pub mod clock;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
mod fault;
pub mod frontend;
pub mod holds;
pub mod id;
pub mod issuance;
pub mod limits;
pub mod metrics;
pub mod model;
pub mod node;
pub mod nonce;
pub mod operator;
pub mod publication;
mod refusals;
pub mod ring;
pub mod setup;
pub mod store;
pub mod validation;
