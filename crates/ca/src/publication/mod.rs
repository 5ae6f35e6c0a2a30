//! CRLs, issuer and root certificates over plain HTTP, from immutable snapshots: a reader never sees half a change, and
//! the listener touches neither store nor keys.

mod readiness;
mod server;
mod shelf;

pub use readiness::Readiness;
#[cfg(feature = "dev")]
pub(crate) use server::http_date;
pub(crate) use server::serve_on;
pub use shelf::{File, Media, Shelf};

pub use crate::frontend::urls::{ROOT_PATH, crl_path, issuer_path};
