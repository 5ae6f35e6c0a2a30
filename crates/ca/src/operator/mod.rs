//! The operator's door: a Unix socket of mode 0600 in the CA's directory, with queries, health and metrics. The same
//! queries are answered from the store alone when no server runs, as far as they need no key.

pub mod client;
mod external;
mod filter;
mod grant;
mod issue;
mod query;
mod revoke;
mod server;
mod show;
mod trouble;

pub use client::{AskFault, ask};
pub use external::ExternalKeyQuery;
pub use filter::UnfitFilter;
pub use grant::OperatorGrant;
pub use issue::IssueQuery;
pub use query::{Query, QueryFault, answer};
pub use revoke::RevokeQuery;
pub use server::listen;
pub(crate) use trouble::warn_of_cuts;

/// The socket's name in the CA's directory.
pub const SOCKET: &str = "operator.sock";
