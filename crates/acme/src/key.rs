//! Public keys as JWKs (RFC 7517, RFC 7518 §6, RFC 8037), their thumbprints (RFC 7638) and strict verification.

mod jwk;
mod spki;
#[cfg(test)]
mod tests;

use std::{fmt, hash, sync::Arc};

use aws_lc_rs::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, VerificationAlgorithm,
    },
};

use crate::{
    base64url,
    limits::{RSA_BITS_MAX, RSA_BITS_MIN},
    problem::Problem,
};

pub(crate) use spki::rsa_components;

/// A signature algorithm (RFC 7518 §3.1, RFC 8037). The list is closed: `none` and MACs are not in it (T-CA-01,
/// T-CA-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All algorithms, in the order of preference.
    pub const ALL: &[Self] = &[
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
        Self::RS256,
    ];

    /// Their names, as a problem lists them.
    pub const NAMES: &[&str] = &["ES256", "ES384", "ES512", "EdDSA", "RS256"];

    /// Finds an algorithm by its exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::RS256 => "RS256",
            Self::EdDSA => "EdDSA",
        }
    }

    fn verifier(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::ES256 => &ECDSA_P256_SHA256_FIXED,
            Self::ES384 => &ECDSA_P384_SHA384_FIXED,
            Self::ES512 => &ECDSA_P521_SHA512_FIXED,
            Self::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::EdDSA => &ED25519,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A curve of RFC 7518 §6.2.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl Curve {
    /// The name in a JWK.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Octets of a coordinate (RFC 7518 §6.2.1.2).
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Why a JWK is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// No JWK: broken JSON, a missing member, a member of the wrong type or not base64url.
    #[error("the jwk is malformed: {0}")]
    Malformed(String),
    /// A key type or curve that is not accepted.
    #[error("keys of this kind are not accepted: {0}")]
    Unsupported(String),
    /// The JWK shows its private half: the key is burnt (8555-6.2-12, T-CA-17).
    #[error(
        "the jwk contains the private member {0}; the key is compromised and must not be used again"
    )]
    PrivateMember(&'static str),
    /// A coordinate or number without its exact width.
    #[error("member {0} of the jwk does not have its exact width")]
    Width(&'static str),
    /// No point of the curve, or one that every signature fits.
    #[error("the jwk is not a point of its curve that can be a key")]
    Point,
    /// An RSA modulus outside 2048 to 4096 bits.
    #[error("an RSA modulus of {0} bits is not accepted; 2048 to 4096 are")]
    ModulusSize(usize),
    /// An even RSA modulus, or an exponent that is even, below 65537 or above 32 bits (T-CA-15).
    #[error("the RSA modulus must be odd, its exponent odd, at least 65537 and at most 32 bits")]
    RsaNumbers,
}

impl From<KeyFault> for Problem {
    /// Broken text is `malformed`; a text that names a key which is not accepted `badPublicKey` (8555-6.2-10).
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Malformed(_) => Self::malformed(fault.to_string()),
            _ => Self::bad_public_key(fault.to_string()),
        }
    }
}

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// The SHA-256 thumbprint of a key (RFC 7638), always computed from the parsed key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Takes the stored octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

/// A public key that was checked to be one. Cloning is cheap.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    material: Material,
    algorithm: Algorithm,
    verifier: ParsedPublicKey,
    thumbprint: Thumbprint,
}

/// The numbers of a key.
enum Material {
    /// The uncompressed point: 4, x, y.
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    /// Both without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Ed25519([u8; 32]),
}

impl Material {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ec {
                curve: Curve::P256, ..
            } => Algorithm::ES256,
            Self::Ec {
                curve: Curve::P384, ..
            } => Algorithm::ES384,
            Self::Ec {
                curve: Curve::P521, ..
            } => Algorithm::ES512,
            Self::Rsa { .. } => Algorithm::RS256,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }
}

impl PublicKey {
    /// Reads the JSON of a JWK. Members that do not belong to the key (`kid`, `use`, `alg`, …) are ignored, private
    /// ones refused.
    ///
    /// # Errors
    /// When the text is not a JWK of a key that is accepted.
    pub fn from_jwk(raw_json: &[u8]) -> Result<Self, KeyFault> {
        let jwk = jwk::Jwk::parse(raw_json)?;
        match jwk.private_member() {
            Some(name) => Err(KeyFault::PrivateMember(name)),
            None => jwk.key(),
        }
    }

    /// Reads the public half of a JWK that was refused for its private members, so that the key can be blocked
    /// (T-CA-17).
    ///
    /// # Errors
    /// When the public half is not a key that would be accepted.
    pub fn from_leaked_jwk(raw_json: &[u8]) -> Result<Self, KeyFault> {
        jwk::Jwk::parse(raw_json)?.key()
    }

    /// Takes an uncompressed point (4, x, y) of a curve.
    ///
    /// # Errors
    /// When the width is wrong or the point is not on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self, KeyFault> {
        if point.len() != 1 + 2 * curve.width() || point.first() != Some(&4) {
            return Err(KeyFault::Width("x"));
        }
        Self::new(Material::Ec {
            curve,
            point: point.to_vec(),
        })
    }

    /// Takes the numbers of an RSA key, big-endian without leading zeros.
    ///
    /// # Errors
    /// When a number has leading zeros, the size is not accepted or the numbers cannot be a key's. Traps inside of
    /// the modulus (small factors, known generators) are judged elsewhere.
    pub fn from_rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let (Some(&n_first), Some(&e_first)) = (n.first(), e.first()) else {
            return Err(KeyFault::RsaNumbers);
        };
        if n_first == 0 {
            return Err(KeyFault::Width("n"));
        }
        if e_first == 0 {
            return Err(KeyFault::Width("e"));
        }
        let bits = n.len() * 8 - n_first.leading_zeros() as usize;
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(KeyFault::ModulusSize(bits));
        }
        let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let exponent = e
            .iter()
            .fold(0_u64, |value, &byte| (value << 8) | u64::from(byte));
        if !is_odd(n) || !is_odd(e) || e.len() > 4 || exponent < 65_537 {
            return Err(KeyFault::RsaNumbers);
        }
        Self::new(Material::Rsa {
            n: n.to_vec(),
            e: e.to_vec(),
        })
    }

    /// Takes the octets of an Ed25519 key (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// When they encode a point of small order, or one not in its canonical form (T-CA-16).
    pub fn from_ed25519(bytes: &[u8; 32]) -> Result<Self, KeyFault> {
        if !spki::is_sound_ed25519(bytes) {
            return Err(KeyFault::Point);
        }
        Self::new(Material::Ed25519(*bytes))
    }

    fn new(material: Material) -> Result<Self, KeyFault> {
        let algorithm = material.algorithm();
        let verifier = match &material {
            // This is where a point is checked to be on its curve.
            Material::Ec { point, .. } => ParsedPublicKey::new(algorithm.verifier(), point),
            Material::Ed25519(bytes) => ParsedPublicKey::new(algorithm.verifier(), bytes),
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            }
        };
        let verifier = verifier.map_err(|_| match material {
            Material::Rsa { .. } => KeyFault::RsaNumbers,
            _ => KeyFault::Point,
        })?;
        let mut thumbprint = [0; 32];
        let canonical = jwk::canonical(&material);
        thumbprint.copy_from_slice(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let thumbprint = Thumbprint(thumbprint);
        Ok(Self(Arc::new(Inner {
            material,
            algorithm,
            verifier,
            thumbprint,
        })))
    }

    /// The thumbprint (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.0.thumbprint
    }

    /// The canonical JWK: the required members in order, no spaces (RFC 7638 §3).
    #[must_use]
    pub fn to_jwk(&self) -> String {
        jwk::canonical(&self.0.material)
    }

    /// The one algorithm that a key of this type signs with (T-CA-03).
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) in DER.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        spki::encode(&self.0.material)
    }

    /// An RSA key's modulus, big-endian without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> Option<&[u8]> {
        match &self.0.material {
            Material::Rsa { n, .. } => Some(n),
            _ => None,
        }
    }

    /// An RSA key's public exponent, big-endian without leading zeros.
    #[must_use]
    pub fn exponent(&self) -> Option<&[u8]> {
        match &self.0.material {
            Material::Rsa { e, .. } => Some(e),
            _ => None,
        }
    }

    /// Verifies a signature in JWS form: for ECDSA r and s in fixed width, never DER (8555-6.2-12, T-CA-14).
    ///
    /// # Errors
    /// When it does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.0
            .verifier
            .verify_sig(message, signature)
            .map_err(|_| BadSignature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.thumbprint() == other.thumbprint()
    }
}

impl Eq for PublicKey {}

impl hash::Hash for PublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.thumbprint().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.algorithm(), self.thumbprint())
    }
}
