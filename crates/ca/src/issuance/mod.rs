//! Issuance: the only place that holds keys, with one door. [`Issuance::finalize`] takes an order to its certificate:
//! CSR judged, bytes built and linted, permission committed, signed once, verified, stored. No protocol gets a second
//! door (T-CA-121): the CA's own certificate comes through the same one.

mod body;
mod caa_recheck;
mod crl;
mod crl_copy;
mod flow;
pub mod internal;
mod issuer;
mod issuers;
mod judgement;
mod own_certificate;
mod profile;
pub mod signer;
mod under_way;

pub use crl::{CrlFault, CrlPublisher, Published};
pub use flow::Issuance;
pub use issuer::{Chain, Issuer};
pub use issuers::{IssuerParts, Issuers, Signing};
pub use own_certificate::{OwnCertificate, OwnCertificateFault};
pub use profile::{Profile, Profiles};
