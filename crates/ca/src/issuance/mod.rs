//! Issuance: the only place that holds keys, with one door. [`Issuance::finalize`] takes an order to its certificate:
//! CSR judged, bytes built and linted, permission committed, signed once, verified, stored. No protocol gets a second
//! door (T-CA-121): the CA's own certificate comes through the same one.

mod crl;
mod flow;
mod issuer;
mod own_certificate;
mod profile;
pub mod signer;
mod under_way;

pub use crl::CrlPublisher;
pub use flow::{Issuance, IssuanceParts};
pub use issuer::Issuer;
pub(crate) use own_certificate::account_key;
pub use own_certificate::{OwnCertificate, OwnCertificateFault};
pub use profile::{Profile, Profiles};
