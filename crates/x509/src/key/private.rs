//! Private keys: made, kept encrypted, signing.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self, EcdsaKeyPair, KeyPair as _},
};
use zeroize::Zeroizing;

use super::{SignatureAlgorithm, sealed};
use crate::{
    certificate::pem,
    oid,
    reader::{Reader, only},
    writer::{Writer, tag},
};

/// The kinds of keys that Cairn makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA over P-256, signing with SHA-256.
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

    /// The key as PEM in the form of its own kind: RSA PRIVATE KEY (RFC 8017 appendix A.1.2) or EC PRIVATE KEY (RFC 5915).
    ///
    /// # Errors
    /// When the library does not give it.
    pub fn to_traditional_pem(&self) -> Result<Zeroizing<String>, PrivateKeyFault> {
        let text = match &self.pair {
            Pair::Ecdsa(pair) => {
                let der: EcPrivateKeyRfc5915Der<'_> = pair
                    .private_key()
                    .as_der()
                    .map_err(|_| PrivateKeyFault::Unreadable)?;
                pem("EC PRIVATE KEY", der.as_ref())
            }
            Pair::Rsa(_) => {
                let outer = self.to_pkcs8_der()?;
                let inner = inside_pkcs8(&outer).ok_or(PrivateKeyFault::Unreadable)?;
                pem("RSA PRIVATE KEY", inner)
            }
        };
        Ok(Zeroizing::new(text))
    }

    /// Reads an encrypted PKCS#8 PEM (PBES2).
    ///
    /// # Errors
    /// When it is none, or the passphrase is wrong.
    pub fn from_encrypted_pem(pem: &str, passphrase: &[u8]) -> Result<Self, PrivateKeyFault> {
        Self::from_pkcs8_der(&sealed::open(pem, passphrase)?)
    }

    /// The key as encrypted PKCS#8 PEM.
    ///
    /// # Errors
    /// When the library does not encrypt.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
    ) -> Result<Zeroizing<String>, PrivateKeyFault> {
        sealed::seal(&self.to_pkcs8_der()?, passphrase)
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

/// The privateKey of a PrivateKeyInfo (RFC 5208 §5), behind version and algorithm.
fn inside_pkcs8(der: &[u8]) -> Option<&[u8]> {
    let mut inner = Reader::new(only(der, tag::SEQUENCE).ok()?.contents);
    inner.expect(tag::INTEGER).ok()?;
    inner.expect(tag::SEQUENCE).ok()?;
    Some(inner.expect(tag::OCTET_STRING).ok()?.contents)
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
