//! The subscribers' listener: ACME over TLS (RFC 8555), one file for each resource.
//!
//! A request's way: [`connection`] bounds it, `admission` lets it in or tells it to come again, `intake` judges its
//! outside, `envelope` verifies it, a handler runs one transaction of the store and says its `answer`. `problem` is the
//! one place where an internal error becomes a problem document.

mod accept;
mod account;
mod admission;
mod answer;
mod authorization;
mod certificate;
mod challenge;
pub(crate) mod connection;
mod context;
mod cors;
mod directory;
mod dispatch;
mod envelope;
mod external;
#[cfg(feature = "dev")]
mod faults;
mod finalize;
pub(crate) mod framing;
mod hold;
mod intake;
mod key_change;
mod listener;
mod new_authz;
mod new_nonce;
mod new_order;
mod order;
mod orders;
mod problem;
mod renewal_info;
mod revoke_cert;
pub mod tls;
pub mod urls;

pub use connection::Bounds;
pub use listener::listen_within;
pub(crate) use listener::serve_on;
pub use urls::{Kid, Route, Urls};
