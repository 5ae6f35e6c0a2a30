//! Keys, CSRs, certificates and CRLs: build, parse, lint (RFC 5280, RFC 2986). Pure: no I/O, no clock; all times are Unix
//! seconds. Signing is apart from building: a template gives the bytes, somebody signs them, `assemble` puts both together.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod acme_identifier;
pub mod certificate;
pub mod crl;
pub mod csr;
pub mod key;
pub mod lint;
pub mod oid;
pub mod reader;
#[cfg(test)]
mod samples;
pub mod weak;
pub mod writer;
