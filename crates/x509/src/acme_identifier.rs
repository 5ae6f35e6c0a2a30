//! The certificate that answers a tls-alpn-01 challenge (RFC 8737 §3, RFC 8738 §6), judged. It proves nothing by its
//! issuer: it is self-signed, names exactly what is validated, and carries the digest of the key authorization.

use std::net::IpAddr;

use crate::{
    certificate::{Certificate, CertificateFault, Extension},
    oid,
    reader::only,
    writer::tag,
};

/// Octets of the digest: SHA-256.
pub const DIGEST: usize = 32;

/// What the certificate must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// A DNS name, compared without regard to case (8737-3-6).
    Dns(&'a str),
    /// An address.
    Ip(IpAddr),
}

/// Why a certificate does not answer the challenge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeFault {
    /// No certificate that can be read.
    #[error("{0}")]
    Certificate(#[from] CertificateFault),
    /// No subject alternative name at all.
    #[error("it has no subject alternative name")]
    NoNames,
    /// More than one, or of another type.
    #[error("its subject alternative name is not the one {wanted} alone; it has {found}")]
    Names {
        /// The one that belongs there.
        wanted: String,
        /// Those that are there; octets of the peer, to be escaped before they are shown.
        found: String,
    },
    /// No acmeIdentifier.
    #[error("it has no acmeIdentifier extension (1.3.6.1.5.5.7.1.31)")]
    NoIdentifier,
    /// The OID of the drafts.
    #[error(
        "it has the acmeIdentifier extension of the drafts (1.3.6.1.5.5.7.1.30.1) in place of 1.3.6.1.5.5.7.1.31"
    )]
    DraftIdentifier,
    /// Not critical.
    #[error("its acmeIdentifier extension is not critical")]
    NotCritical,
    /// Other contents than an OCTET STRING of 32 octets.
    #[error("its acmeIdentifier extension is no DER OCTET STRING of 32 octets")]
    Form,
    /// Another digest.
    #[error("its acmeIdentifier extension has another digest, {}", hex(.0))]
    Digest([u8; DIGEST]),
    /// Issued by something else.
    #[error(
        "it is not self-signed: its issuer is not its subject, or its signature is not by its own key"
    )]
    NotSelfSigned,
}

/// The OID that drafts 01 to 04 of RFC 8737 used.
const DRAFT: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1e, 0x01];

/// Names that are told of a certificate that has others than wanted.
const NAMES_SHOWN: usize = 3;

/// Judges the end-entity certificate of a handshake.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn verify(der: &[u8], named: Named<'_>, digest: &[u8; DIGEST]) -> Result<(), ChallengeFault> {
    let certificate = Certificate::parse(der)?;
    names(&certificate, named)?;
    let extension = certificate
        .extensions()
        .iter()
        .find(|e| e.id == oid::ACME_IDENTIFIER);
    let found = identifier(extension.ok_or_else(|| absent(&certificate))?)?;
    if found != *digest {
        return Err(ChallengeFault::Digest(found));
    }
    certificate
        .verify_issued_by(&certificate)
        .map_err(|_| ChallengeFault::NotSelfSigned)
}

/// Exactly one name, of the right type and value; a name in the subject does not count.
fn names(certificate: &Certificate, named: Named<'_>) -> Result<(), ChallengeFault> {
    let (dns, ip) = (certificate.dns_names(), certificate.ip_addresses());
    let others = certificate.body.other_names;
    if dns.is_empty() && ip.is_empty() && !others {
        return Err(ChallengeFault::NoNames);
    }
    let fits = !others
        && match (named, dns, ip) {
            (Named::Dns(wanted), [only], []) => only.eq_ignore_ascii_case(wanted),
            (Named::Ip(wanted), [], [only]) => *only == wanted,
            _ => false,
        };
    if fits {
        return Ok(());
    }
    let mut found: Vec<String> = dns
        .iter()
        .cloned()
        .chain(ip.iter().map(ToString::to_string))
        .collect();
    if others {
        found.push("a name of another type".to_owned());
    }
    let more = found.len().saturating_sub(NAMES_SHOWN);
    found.truncate(NAMES_SHOWN);
    let mut found = found.join(", ");
    if more > 0 {
        found.push_str(&format!(" and {more} more"));
    }
    Err(ChallengeFault::Names {
        wanted: match named {
            Named::Dns(name) => format!("dNSName {name}"),
            Named::Ip(address) => format!("iPAddress {address}"),
        },
        found,
    })
}

fn absent(certificate: &Certificate) -> ChallengeFault {
    if certificate.extensions().iter().any(|e| e.id == DRAFT) {
        ChallengeFault::DraftIdentifier
    } else {
        ChallengeFault::NoIdentifier
    }
}

fn identifier(extension: &Extension) -> Result<[u8; DIGEST], ChallengeFault> {
    if !extension.critical {
        return Err(ChallengeFault::NotCritical);
    }
    only(&extension.value, tag::OCTET_STRING)
        .ok()
        .and_then(|value| value.contents.try_into().ok())
        .ok_or(ChallengeFault::Form)
}

fn hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}

#[cfg(test)]
mod tests;
