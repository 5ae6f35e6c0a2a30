//! Keys of the CA, of its listeners and of subscribers: made, kept encrypted, parsed from a SubjectPublicKeyInfo.

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::{
    digest,
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm},
};
use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef,
    der::{Decode, Document, pem::PemLabel},
    pkcs5::{pbes2, scrypt},
};
use zeroize::Zeroizing;

use crate::{
    oid,
    reader::{DerFault, Reader, only},
    writer::{Writer, tag},
};

/// The kinds of keys that Cairn makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyKind {
    /// ECDSA over P-256, signing with SHA-256.
    #[default]
    P256,
    /// ECDSA over P-384, signing with SHA-384.
    P384,
    /// RSA of 2048 bits, PKCS#1 v1.5 with SHA-256.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::P256,
        Self::P384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no kind of key; there are p256, p384, rsa2048, rsa3072, rsa4096")]
pub struct UnknownKeyKind;

impl FromStr for KeyKind {
    type Err = UnknownKeyKind;

    fn from_str(text: &str) -> Result<Self, UnknownKeyKind> {
        Self::ALL
            .into_iter()
            .find(|k| k.name() == text)
            .ok_or(UnknownKeyKind)
    }
}

/// What can go wrong with a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrivateKeyFault {
    /// The library gave no key.
    #[error("no key could be generated")]
    Generate,
    /// Not a PKCS#8 key of a kind that Cairn uses.
    #[error("not a PKCS#8 private key of P-256, P-384 or RSA of 2048 to 4096 bits")]
    Unreadable,
    /// Not an encrypted PKCS#8 PEM.
    #[error("not an encrypted private key (PEM, ENCRYPTED PRIVATE KEY)")]
    NotEncrypted,
    /// The wrong passphrase, or a damaged file.
    #[error("the passphrase does not open the key")]
    Passphrase,
    /// Encrypting failed.
    #[error("the key could not be encrypted")]
    Encrypt,
    /// Signing failed.
    #[error("the key did not sign")]
    Sign,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A private key in memory; zeroized by the library when dropped.
pub struct PrivateKey {
    pair: Pair,
    kind: KeyKind,
    spki: Vec<u8>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the library gives none.
    pub fn generate(kind: KeyKind) -> Result<Self, PrivateKeyFault> {
        let size = match kind {
            KeyKind::P256 => {
                return Self::ecdsa(
                    EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
                    kind,
                );
            }
            KeyKind::P384 => {
                return Self::ecdsa(
                    EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
                    kind,
                );
            }
            KeyKind::Rsa2048 => KeySize::Rsa2048,
            KeyKind::Rsa3072 => KeySize::Rsa3072,
            KeyKind::Rsa4096 => KeySize::Rsa4096,
        };
        let pair = RsaKeyPair::generate(size).map_err(|_| PrivateKeyFault::Generate)?;
        Self::rsa(pair)
    }

    fn ecdsa(
        pair: Result<EcdsaKeyPair, aws_lc_rs::error::Unspecified>,
        kind: KeyKind,
    ) -> Result<Self, PrivateKeyFault> {
        let pair = pair.map_err(|_| PrivateKeyFault::Generate)?;
        let curve = if kind == KeyKind::P256 {
            oid::P256
        } else {
            oid::P384
        };
        let spki = ec_spki(curve, pair.public_key().as_ref());
        Ok(Self {
            pair: Pair::Ecdsa(pair),
            kind,
            spki,
        })
    }

    fn rsa(pair: RsaKeyPair) -> Result<Self, PrivateKeyFault> {
        let kind = match pair.public_modulus_len() {
            256 => KeyKind::Rsa2048,
            384 => KeyKind::Rsa3072,
            512 => KeyKind::Rsa4096,
            _ => return Err(PrivateKeyFault::Unreadable),
        };
        let spki = rsa_spki(pair.public_key().as_ref());
        Ok(Self {
            pair: Pair::Rsa(pair),
            kind,
            spki,
        })
    }

    /// Reads an unencrypted PKCS#8 key.
    ///
    /// # Errors
    /// When it is none of the kinds.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, PrivateKeyFault> {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, der)
        {
            return Self::ecdsa(Ok(pair), KeyKind::P256);
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, der)
        {
            return Self::ecdsa(Ok(pair), KeyKind::P384);
        }
        RsaKeyPair::from_pkcs8(der)
            .map_err(|_| PrivateKeyFault::Unreadable)
            .and_then(Self::rsa)
    }

    /// The key as PKCS#8.
    ///
    /// # Errors
    /// When the library does not give it.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, PrivateKeyFault> {
        let der = match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map(|d| d.as_ref().to_vec()),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|d| d.as_ref().to_vec()),
        };
        der.map(Zeroizing::new)
            .map_err(|_| PrivateKeyFault::Unreadable)
    }

    /// Reads an encrypted PKCS#8 PEM (PBES2).
    ///
    /// # Errors
    /// When it is none, or the passphrase is wrong.
    pub fn from_encrypted_pem(pem: &str, passphrase: &[u8]) -> Result<Self, PrivateKeyFault> {
        let (label, document) =
            Document::from_pem(pem).map_err(|_| PrivateKeyFault::NotEncrypted)?;
        if label != EncryptedPrivateKeyInfoRef::PEM_LABEL {
            return Err(PrivateKeyFault::NotEncrypted);
        }
        let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
            .map_err(|_| PrivateKeyFault::NotEncrypted)?;
        let clear = encrypted
            .decrypt(passphrase)
            .map_err(|_| PrivateKeyFault::Passphrase)?;
        Self::from_pkcs8_der(clear.as_bytes())
    }

    /// The key as encrypted PKCS#8 PEM: PBES2 with scrypt (N 2^15, r 8, p 1: about 32 MiB and under a tenth of a second)
    /// and AES-256-CBC, which openssl reads.
    ///
    /// # Errors
    /// When the library does not encrypt.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
    ) -> Result<Zeroizing<String>, PrivateKeyFault> {
        let fault = |_| PrivateKeyFault::Encrypt;
        let clear = self.to_pkcs8_der()?;
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| PrivateKeyFault::Encrypt)?;
        aws_lc_rs::rand::fill(&mut iv).map_err(|_| PrivateKeyFault::Encrypt)?;
        let cost = scrypt::Params::new(15, 8, 1).map_err(|_| PrivateKeyFault::Encrypt)?;
        let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
            .map_err(|_| PrivateKeyFault::Encrypt)?;
        let key = PrivateKeyInfoRef::from_der(&clear).map_err(|_| PrivateKeyFault::Encrypt)?;
        let secret = key
            .encrypt_with_params(parameters, passphrase)
            .map_err(|_| PrivateKeyFault::Encrypt)?;
        secret
            .to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)
            .map_err(fault)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public half, as SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// How it signs.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        match self.kind {
            KeyKind::P256 => SignatureAlgorithm::EcdsaSha256,
            KeyKind::P384 => SignatureAlgorithm::EcdsaSha384,
            KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => SignatureAlgorithm::RsaSha256,
        }
    }

    /// Signs, in the form that certificates carry.
    ///
    /// # Errors
    /// When the library does not.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PrivateKeyFault> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|s| s.as_ref().to_vec())
                .map_err(|_| PrivateKeyFault::Sign),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out)
                    .map_err(|_| PrivateKeyFault::Sign)?;
                Ok(out)
            }
        }
    }
}

fn ec_spki(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(128);
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, oid::EC_PUBLIC_KEY);
            w.value(tag::OID, curve);
        });
        w.bit_string(point);
    });
    w.finish()
}

fn rsa_spki(rsa_public_key: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(rsa_public_key.len() + 40);
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, oid::RSA);
            w.value(tag::NULL, &[]);
        });
        w.bit_string(rsa_public_key);
    });
    w.finish()
}

/// The signature algorithms that are made and accepted. No SHA-1, no MD5, no PSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256.
    EcdsaSha256,
    /// ecdsa-with-SHA384.
    EcdsaSha384,
    /// ecdsa-with-SHA512.
    EcdsaSha512,
    /// sha256WithRSAEncryption.
    RsaSha256,
    /// sha384WithRSAEncryption.
    RsaSha384,
    /// sha512WithRSAEncryption.
    RsaSha512,
    /// Ed25519.
    Ed25519,
}

impl SignatureAlgorithm {
    const ALL: [Self; 7] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
        Self::Ed25519,
    ];

    const fn oid(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => oid::ECDSA_SHA256,
            Self::EcdsaSha384 => oid::ECDSA_SHA384,
            Self::EcdsaSha512 => oid::ECDSA_SHA512,
            Self::RsaSha256 => oid::RSA_SHA256,
            Self::RsaSha384 => oid::RSA_SHA384,
            Self::RsaSha512 => oid::RSA_SHA512,
            Self::Ed25519 => oid::ED25519,
        }
    }

    const fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512)
    }

    /// Writes the AlgorithmIdentifier: NULL parameters for RSA, none else (RFC 4055, 5758, 8410).
    pub fn write(self, w: &mut Writer) {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, self.oid());
            if self.is_rsa() {
                w.value(tag::NULL, &[]);
            }
        });
    }

    /// Reads an AlgorithmIdentifier.
    ///
    /// # Errors
    /// When it is none of these, to the octet.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerFault> {
        let mut inner = reader.enter(tag::SEQUENCE)?;
        let found = inner.expect(tag::OID)?.contents;
        let algorithm = Self::ALL
            .into_iter()
            .find(|a| a.oid() == found)
            .ok_or(DerFault::Value)?;
        if algorithm.is_rsa() && !inner.expect(tag::NULL)?.contents.is_empty() {
            return Err(DerFault::Value);
        }
        inner.end()?;
        Ok(algorithm)
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    /// The contents of the BIT STRING: where they are in `spki`.
    key: Arc<[u8]>,
    kind: PublicKeyKind,
    sha256: [u8; 32],
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
    /// The point is compressed, not on the curve, or infinity.
    #[error("the key's point is not an uncompressed point of its curve")]
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
        let kind_of_id = id;
        let curve = if kind_of_id == oid::EC_PUBLIC_KEY {
            Some(algorithm.expect(tag::OID)?.contents)
        } else {
            None
        };
        if kind_of_id == oid::RSA && !algorithm.expect(tag::NULL)?.contents.is_empty() {
            return Err(DerFault::Value.into());
        }
        algorithm.end()?;
        let key = reader.bit_string()?;
        reader.end()?;
        let kind = match (kind_of_id, curve) {
            (oid::EC_PUBLIC_KEY, Some(curve)) => ec_kind(curve, key)?,
            (oid::RSA, _) => {
                let mut inner = Reader::new(only(key, tag::SEQUENCE)?.contents);
                let (modulus, exponent) = (inner.unsigned()?.to_vec(), inner.unsigned()?.to_vec());
                inner.end()?;
                PublicKeyKind::Rsa { modulus, exponent }
            }
            (oid::ED25519, _) if key.len() == 32 => PublicKeyKind::Ed25519,
            _ => return Err(PublicKeyFault::Kind),
        };
        Ok(Self {
            spki: Arc::from(der),
            key: Arc::from(key),
            kind,
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
        &self.key
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
        UnparsedPublicKey::new(with, &self.key)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}

/// A signature that does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

fn ec_kind(curve: &[u8], point: &[u8]) -> Result<PublicKeyKind, PublicKeyFault> {
    let (bits, octets, algorithm): (u16, usize, &'static dyn VerificationAlgorithm) = match curve {
        oid::P256 => (256, 65, &signature::ECDSA_P256_SHA256_ASN1),
        oid::P384 => (384, 97, &signature::ECDSA_P384_SHA384_ASN1),
        oid::P521 => (521, 133, &signature::ECDSA_P521_SHA512_ASN1),
        _ => return Err(PublicKeyFault::Kind),
    };
    if point.len() != octets || point.first() != Some(&4) {
        return Err(PublicKeyFault::Point);
    }
    UnparsedPublicKey::new(algorithm, point)
        .parse()
        .map_err(|_| PublicKeyFault::Point)?;
    Ok(PublicKeyKind::Ec { bits })
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
