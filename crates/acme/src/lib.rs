//! The ACME protocol, pure: wire objects, signed requests, problem documents, key authorizations and transition
//! tables ([RFC 8555](https://www.rfc-editor.org/rfc/rfc8555)).
//!
//! The CA and the client use the same types, so the two ends cannot drift apart. Nothing in here opens a socket or a
//! file, reads a clock or starts a task: time and random bytes come in as arguments. Only key generation and signing
//! draw on the random source of the cryptographic library.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![allow(
    clippy::result_large_err,
    reason = "a Problem is the way out of a request, not a hot path"
)]

pub mod base64url;
pub mod challenge;
pub mod contact;
pub mod identifier;
pub mod json;
pub mod jws;
pub mod key;
pub mod limits;
pub mod object;
pub mod problem;
pub mod renewal;
pub mod status;
pub mod text;
pub mod time;

pub use identifier::{DnsName, Identifier};
pub use jws::{Envelope, SigningKey};
pub use key::{PublicKey, Thumbprint};
pub use problem::{Problem, ProblemType};
pub use renewal::CertId;
pub use time::Timestamp;
