//! The operator's door: a Unix socket of mode 0600 in the CA's directory, with queries, health and metrics. The same
//! queries are answered from the store alone when no server runs.

pub mod client;
mod filter;
mod query;
mod server;
mod show;

pub use client::{AskFault, ask};
pub use filter::UnfitFilter;
pub use query::{Query, QueryFault, answer};
pub use server::listen;

/// The socket's name in the CA's directory.
pub const SOCKET: &str = "operator.sock";
