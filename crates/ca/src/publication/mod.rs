//! CRLs, issuer and root certificates over plain HTTP, from immutable snapshots: a reader never sees half a change, and
//! the listener touches neither store nor keys.

mod server;
mod shelf;

pub use server::{Readiness, serve};
pub use shelf::{File, Media, Shelf};
