//! Public keys, read from a SubjectPublicKeyInfo in its one allowed form.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest,
    signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm},
};
use data_encoding::HEXLOWER;

use super::{SignatureAlgorithm, ed25519};
use crate::{
    oid,
    reader::{DerFault, Reader, only},
    writer::tag,
};

/// What a public key is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKeyKind {
    /// A NIST curve's point.
    Ec {
        /// 256, 384 or 521.
        bits: u16,
    },
    /// RSA, with its magnitudes.
    Rsa {
        /// The modulus, big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// The exponent, the same way.
        exponent: Vec<u8>,
    },
    /// Ed25519.
    Ed25519,
}

/// A public key as it stands in a certificate or CSR.
#[derive(Clone)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    /// Where the contents of the BIT STRING begin; they go on to the end of `spki`.
    key_at: usize,
    kind: PublicKeyKind,
    /// A curve's point is decoded once: the check that it is on the curve costs as much as encoding a certificate.
    point: Option<Arc<ParsedPublicKey>>,
    sha256: [u8; 32],
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("sha256", &HEXLOWER.encode(&self.sha256))
            .finish_non_exhaustive()
    }
}

/// Why a SubjectPublicKeyInfo is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyFault {
    /// Not DER.
    #[error(transparent)]
    Der(#[from] DerFault),
    /// Another algorithm or curve.
    #[error("the key is of no supported kind; there are P-256, P-384, P-521, RSA and Ed25519")]
    Kind,
    /// The point is compressed, not on the curve, infinity, or of small order.
    #[error("the key's point is not one that a key of its curve has, uncompressed and canonical")]
    Point,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in its one allowed form.
    ///
    /// # Errors
    /// When it is another.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, PublicKeyFault> {
        let mut reader = Reader::new(only(der, tag::SEQUENCE)?.contents);
        let mut algorithm = reader.enter(tag::SEQUENCE)?;
        let id = algorithm.expect(tag::OID)?.contents;
        let curve = match id {
            oid::EC_PUBLIC_KEY => Some(algorithm.expect(tag::OID)?.contents),
            oid::RSA if !algorithm.expect(tag::NULL)?.contents.is_empty() => {
                return Err(DerFault::Value.into());
            }
            oid::RSA | oid::ED25519 => None,
            _ => return Err(PublicKeyFault::Kind),
        };
        algorithm.end()?;
        let key = reader.bit_string()?;
        reader.end()?;
        let (kind, point) = match (id, curve) {
            (oid::EC_PUBLIC_KEY, Some(curve)) => {
                let (bits, point) = ec_point(curve, key)?;
                (PublicKeyKind::Ec { bits }, Some(Arc::new(point)))
            }
            (oid::RSA, _) => {
                let mut inner = Reader::new(only(key, tag::SEQUENCE)?.contents);
                let (modulus, exponent) = (inner.unsigned()?.to_vec(), inner.unsigned()?.to_vec());
                inner.end()?;
                (PublicKeyKind::Rsa { modulus, exponent }, None)
            }
            _ if ed25519::is_sound(key) => (PublicKeyKind::Ed25519, None),
            _ => return Err(PublicKeyFault::Point),
        };
        Ok(Self {
            spki: Arc::from(der),
            key_at: der.len() - key.len(),
            kind,
            point,
            sha256: spki_sha256(der),
        })
    }

    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Its SHA-256.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// What it is of.
    #[must_use]
    pub fn kind(&self) -> &PublicKeyKind {
        &self.kind
    }

    /// Its bits: the point, the RSAPublicKey, the octets of an Ed25519 key.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        self.spki.get(self.key_at..).unwrap_or_default()
    }

    /// Verifies a signature in the form that certificates carry.
    ///
    /// # Errors
    /// When it is not this key's, or the algorithm does not fit the key.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        use SignatureAlgorithm as A;
        use aws_lc_rs::signature as s;
        let with: &'static dyn VerificationAlgorithm = match (&self.kind, algorithm) {
            (PublicKeyKind::Ec { bits: 256 }, A::EcdsaSha256) => &s::ECDSA_P256_SHA256_ASN1,
            (PublicKeyKind::Ec { bits: 256 }, A::EcdsaSha384) => &s::ECDSA_P256_SHA384_ASN1,
            (PublicKeyKind::Ec { bits: 256 }, A::EcdsaSha512) => &s::ECDSA_P256_SHA512_ASN1,
            (PublicKeyKind::Ec { bits: 384 }, A::EcdsaSha256) => &s::ECDSA_P384_SHA256_ASN1,
            (PublicKeyKind::Ec { bits: 384 }, A::EcdsaSha384) => &s::ECDSA_P384_SHA384_ASN1,
            (PublicKeyKind::Ec { bits: 384 }, A::EcdsaSha512) => &s::ECDSA_P384_SHA512_ASN1,
            (PublicKeyKind::Ec { bits: 521 }, A::EcdsaSha256) => &s::ECDSA_P521_SHA256_ASN1,
            (PublicKeyKind::Ec { bits: 521 }, A::EcdsaSha384) => &s::ECDSA_P521_SHA384_ASN1,
            (PublicKeyKind::Ec { bits: 521 }, A::EcdsaSha512) => &s::ECDSA_P521_SHA512_ASN1,
            (PublicKeyKind::Rsa { .. }, A::RsaSha256) => &s::RSA_PKCS1_2048_8192_SHA256,
            (PublicKeyKind::Rsa { .. }, A::RsaSha384) => &s::RSA_PKCS1_2048_8192_SHA384,
            (PublicKeyKind::Rsa { .. }, A::RsaSha512) => &s::RSA_PKCS1_2048_8192_SHA512,
            (PublicKeyKind::Ed25519, A::Ed25519) => &s::ED25519,
            _ => return Err(BadSignature),
        };
        // A decoded point verifies with the hash that it was decoded for.
        let verified = match &self.point {
            Some(point) if std::ptr::eq(point.algorithm(), with) => {
                point.verify_sig(message, signature)
            }
            _ => UnparsedPublicKey::new(with, self.key_bits()).verify(message, signature),
        };
        verified.map_err(|_| BadSignature)
    }
}

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

fn ec_point(curve: &[u8], point: &[u8]) -> Result<(u16, ParsedPublicKey), PublicKeyFault> {
    let (bits, octets, algorithm): (u16, usize, &'static dyn VerificationAlgorithm) = match curve {
        oid::P256 => (256, 65, &signature::ECDSA_P256_SHA256_ASN1),
        oid::P384 => (384, 97, &signature::ECDSA_P384_SHA384_ASN1),
        oid::P521 => (521, 133, &signature::ECDSA_P521_SHA512_ASN1),
        _ => return Err(PublicKeyFault::Kind),
    };
    // The library also decodes compressed points.
    if point.len() != octets || point.first() != Some(&4) {
        return Err(PublicKeyFault::Point);
    }
    let parsed = ParsedPublicKey::new(algorithm, point).map_err(|_| PublicKeyFault::Point)?;
    Ok((bits, parsed))
}

/// SHA-256 over a SubjectPublicKeyInfo.
#[must_use]
pub fn spki_sha256(spki: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, spki).as_ref());
    out
}

/// The key identifier of RFC 7093 §2 method 1: the first 160 bits of SHA-256 over the BIT STRING's contents.
#[must_use]
pub fn key_id(key_bits: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    out.copy_from_slice(&digest::digest(&digest::SHA256, key_bits).as_ref()[..20]);
    out
}
