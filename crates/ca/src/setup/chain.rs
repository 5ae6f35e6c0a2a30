//! Keys and certificates of a CA: made once, read at each start. The one file here that speaks to `cairn-x509`.

use std::{path::Path, time::Duration};

use aws_lc_rs::{digest, rand};
use cairn_acme::time::Timestamp;
use cairn_x509::{
    certificate::{self, Certificate, IssuingTemplate, RootTemplate, Serial},
    key::{KeyKind, PrivateKey},
    weak::BlockedKeys,
};
use data_encoding::HEXLOWER;
use ipnet::IpNet;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

use super::SetupFault;

/// What a new CA shall be.
pub(super) struct Wanted<'a> {
    /// The CA's name.
    pub(super) name: &'a str,
    /// Kind of both keys.
    pub(super) kind: KeyKind,
    /// Name constraints; empty: none.
    pub(super) permitted_dns: &'a [String],
    /// Permitted addresses, where names are constrained.
    pub(super) permitted_ip: &'a [IpNet],
    /// Seals both keys.
    pub(super) passphrase: &'a [u8],
    /// The moment of making.
    pub(super) now: Timestamp,
    /// From now to the root's end.
    pub(super) root_life: Duration,
    /// From now to the issuer's end.
    pub(super) issuing_life: Duration,
}

/// A certificate that was made.
pub(super) struct Made {
    /// Its common name.
    pub(super) name: String,
    /// PEM.
    pub(super) pem: String,
    /// DER.
    pub(super) der: Vec<u8>,
    /// Its end.
    pub(super) not_after: Timestamp,
    /// SHA-256 of its DER, in hex.
    pub(super) sha256: String,
}

/// A root and its issuer, with their sealed keys.
pub(super) struct Chain {
    /// Encrypted PKCS#8.
    pub(super) root_key_pem: Zeroizing<String>,
    /// Encrypted PKCS#8.
    pub(super) issuing_key_pem: Zeroizing<String>,
    /// The root.
    pub(super) root: Made,
    /// The issuer.
    pub(super) issuing: Made,
}

/// A kind of key, as people say it.
pub(super) fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::P256 => "P-256",
        KeyKind::P384 => "P-384",
        KeyKind::Rsa2048 => "RSA-2048",
        KeyKind::Rsa3072 => "RSA-3072",
        KeyKind::Rsa4096 => "RSA-4096",
    }
}
