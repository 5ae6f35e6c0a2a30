//! The signing side: for the client, tests and measurements.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use super::{KeyRef, ProtectedHeader};
use crate::{
    base64url,
    key::{Algorithm, Curve, PublicKey, rsa_components},
};

/// Why a private key cannot be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningFault {
    /// The octets are not PKCS#8 of a key of a known kind.
    #[error("not a PKCS#8 private key of a known kind")]
    Unreadable,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// A private key that signs requests. The library that holds it wipes its memory; `Debug` shows the public half.
pub struct SigningKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Generates a key for an algorithm; RSA keys have 2048 bits.
    ///
    /// # Errors
    /// When the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningFault> {
        let ecdsa = |scheme| EcdsaKeyPair::generate(scheme).map(Secret::Ecdsa);
        let secret = match algorithm {
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDSA => Ed25519KeyPair::generate().map(Secret::Ed25519),
            Algorithm::RS256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Secret::Rsa),
        };
        Self::new(secret.map_err(|_| SigningFault::Library)?)
    }

    /// Reads PKCS#8 in DER; the key's kind decides the algorithm.
    ///
    /// # Errors
    /// When it is not a key of a known kind, or one that no server should accept.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningFault> {
        let ecdsa =
            |scheme: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(scheme, der).ok();
        let secret = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .or_else(|| ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING))
            .or_else(|| ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING))
            .map(Secret::Ecdsa)
            .or_else(|| {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .ok()
                    .map(Secret::Ed25519)
            })
            .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Secret::Rsa));
        Self::new(secret.ok_or(SigningFault::Unreadable)?)
    }

    fn new(secret: Secret) -> Result<Self, SigningFault> {
        let public = match &secret {
            Secret::Ecdsa(pair) => {
                let point = pair.public_key().as_ref();
                let curve = [Curve::P256, Curve::P384, Curve::P521]
                    .into_iter()
                    .find(|curve| point.len() == 1 + 2 * curve.width())
                    .ok_or(SigningFault::Unreadable)?;
                PublicKey::from_point(curve, point)
            }
            Secret::Ed25519(pair) => {
                let bytes = <&[u8; 32]>::try_from(pair.public_key().as_ref());
                PublicKey::from_ed25519(bytes.map_err(|_| SigningFault::Unreadable)?)
            }
            Secret::Rsa(pair) => {
                let (n, e) =
                    rsa_components(pair.public_key().as_ref()).ok_or(SigningFault::Unreadable)?;
                PublicKey::from_rsa(n, e)
            }
        };
        let public = public.map_err(|_| SigningFault::Unreadable)?;
        Ok(Self { secret, public })
    }

    /// The key as PKCS#8 in DER, wiped when dropped.
    ///
    /// # Errors
    /// When the library fails.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SigningFault> {
        let document = match &self.secret {
            Secret::Ecdsa(pair) => pair
                .to_pkcs8v1()
                .map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Secret::Ed25519(pair) => pair
                .to_pkcs8v1()
                .map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Secret::Rsa(pair) => pair
                .as_der()
                .map(|der| Zeroizing::new(der.as_ref().to_vec())),
        };
        document.map_err(|_| SigningFault::Library)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// Signs octets; the signature has the form of JWS.
    ///
    /// # Panics
    /// When the library cannot sign with a key that it made or accepted, which means that memory ran out.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let signature = match &self.secret {
            Secret::Ecdsa(pair) => pair.sign(&random, message).map(|s| s.as_ref().to_vec()),
            Secret::Ed25519(pair) => pair.try_sign(message).map(|s| s.as_ref().to_vec()),
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
        };
        // Unwrap safety: the pair was checked when it was made; only a failed allocation is left.
        #[expect(clippy::expect_used, reason = "a checked key pair signs")]
        signature.expect("a checked key pair signs")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Signs a request with any header; without a nonce it is the inner JWS of a key change (RFC 8555 §7.3.5). The
/// header's `alg` is taken as it is, so that tests can lie.
#[must_use]
pub fn sign(key: &SigningKey, header: &ProtectedHeader, payload: &[u8]) -> String {
    let mut protected = String::with_capacity(256);
    protected.push_str(r#"{"alg":"#);
    push_json(&mut protected, &header.alg);
    match &header.key {
        KeyRef::Jwk(jwk) => {
            protected.push_str(r#","jwk":"#);
            protected.push_str(jwk);
        }
        KeyRef::Kid(kid) => {
            protected.push_str(r#","kid":"#);
            push_json(&mut protected, kid);
        }
    }
    if let Some(nonce) = &header.nonce {
        protected.push_str(r#","nonce":"#);
        push_json(&mut protected, nonce);
    }
    protected.push_str(r#","url":"#);
    push_json(&mut protected, &header.url);
    protected.push('}');

    let mut input = base64url::encode(protected.as_bytes());
    let split = input.len();
    input.push('.');
    base64url::encode_onto(payload, &mut input);
    let signature = key.sign(input.as_bytes());
    let (protected, payload) = input.split_at(split);
    let mut body = String::with_capacity(input.len() + signature.len() * 2 + 64);
    body.push_str(r#"{"protected":""#);
    body.push_str(protected);
    body.push_str(r#"","payload":""#);
    body.push_str(payload.strip_prefix('.').unwrap_or_default());
    body.push_str(r#"","signature":""#);
    base64url::encode_onto(&signature, &mut body);
    body.push_str("\"}");
    body
}

/// Signs a request as a client sends it.
#[must_use]
pub fn sign_request(
    key: &SigningKey,
    key_ref: KeyRef,
    nonce: &str,
    url: &str,
    payload: &[u8],
) -> String {
    let header = ProtectedHeader {
        alg: key.algorithm().name().to_owned(),
        nonce: Some(nonce.to_owned()),
        url: url.to_owned(),
        key: key_ref,
    };
    sign(key, &header, payload)
}

fn push_json(json: &mut String, text: &str) {
    // A string always has a JSON form.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}
