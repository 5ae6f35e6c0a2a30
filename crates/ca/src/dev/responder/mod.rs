//! The other side of a challenge, for tests: DNS that says what a test wants, and servers that answer http-01 and
//! tls-alpn-01 (RFC 8555 §8.3, RFC 8737) with what they were given. It stands where `pebble-challtestsrv` stood, with that
//! program's management calls.
//!
//! [`Data`] is what was set and what was asked; `answer` and `page` make answers from it, purely; [`manage`] is every
//! management call. The servers only carry octets. Whoever can reach the management listener can set everything: this is
//! for tests alone.

mod answer;
mod data;
mod go_json;
mod history;
mod manage;
mod page;
mod servers;
mod sockets;
mod tls;

pub use data::Data;
pub use manage::{Answer, Part, manage};
pub use servers::Server;
