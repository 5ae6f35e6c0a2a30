//! Account keys of the test client, made and used without `cairn-acme`: a client that shared the
//! server's code would share its mistakes.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
    Eddsa(Box<Ed25519KeyPair>),
}

/// A key pair with its algorithm's JWS name.
pub struct Key {
    pair: Pair,
    algorithm: &'static str,
    jwk: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.algorithm)
    }
}

impl Key {
    /// Every algorithm that the CA takes.
    pub const ALGORITHMS: [&str; 5] = ["ES256", "ES384", "ES512", "RS256", "EdDSA"];

    /// A new ES256 key.
    pub fn es256() -> Self {
        Self::generate("ES256")
    }

    /// A new key for one of [`Key::ALGORITHMS`]; RSA has 2048 bits.
    ///
    /// # Panics
    /// On any other name.
    pub fn generate(algorithm: &str) -> Self {
        match algorithm {
            "ES256" => Self::ecdsa("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => Self::ecdsa("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => Self::ecdsa("ES512", "P-521", &ECDSA_P521_SHA512_FIXED_SIGNING),
            "RS256" => Self::rsa(),
            "EdDSA" => Self::eddsa(),
            other => panic!("no key for {other}"),
        }
    }

    /// The JWS algorithm.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The public key as JWK, in the canonical form of RFC 7638.
    pub fn jwk(&self) -> &str {
        &self.jwk
    }

    /// The thumbprint, RFC 7638.
    pub fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.jwk.as_bytes()).as_ref())
    }

    /// The key authorization for a token, RFC 8555 §8.1.
    pub fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// The key for use where it does not belong, in a CSR.
    ///
    /// # Panics
    /// If it is no ES256 key.
    pub fn for_a_csr(&self) -> rcgen::KeyPair {
        let Pair::Ecdsa(pair) = &self.pair else {
            panic!("only an ES256 key is given away");
        };
        let der = pair.to_pkcs8v1().expect("PKCS#8");
        rcgen::KeyPair::try_from(der.as_ref()).expect("a key")
    }

    /// Signs as JWS wants it: r‖s for ECDSA.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Pair::Eddsa(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let done = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                done.expect("a signature");
                signature
            }
        }
    }

    fn ecdsa(
        algorithm: &'static str,
        curve: &str,
        signing: &'static EcdsaSigningAlgorithm,
    ) -> Self {
        let pair = EcdsaKeyPair::generate(signing).expect("a key");
        // The point is 04 ‖ x ‖ y.
        let point = pair.public_key().as_ref().get(1..).expect("a point");
        let (x, y) = point.split_at(point.len() / 2);
        let (x, y) = (encode(x), encode(y));
        let jwk = format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Self {
            pair: Pair::Ecdsa(Box::new(pair)),
            algorithm,
            jwk,
        }
    }

    fn eddsa() -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        let x = encode(pair.public_key().as_ref());
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            pair: Pair::Eddsa(Box::new(pair)),
            algorithm: "EdDSA",
            jwk,
        }
    }

    fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let (n, e) = rsa_numbers(pair.public_key().as_ref());
        let jwk = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n));
        Self {
            pair: Pair::Rsa(Box::new(pair)),
            algorithm: "RS256",
            jwk,
        }
    }
}

/// base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The two integers of an `RSAPublicKey` (RFC 8017 A.1.1), without leading zeros.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = value(der);
    let (modulus, rest) = value(sequence);
    let (exponent, _) = value(rest);
    let strip = |bytes: &'_ [u8]| bytes.iter().take_while(|byte| **byte == 0).count();
    (
        modulus.get(strip(modulus)..).expect("a modulus"),
        exponent.get(strip(exponent)..).expect("an exponent"),
    )
}

/// Splits one DER value's content from what follows it.
fn value(der: &[u8]) -> (&[u8], &[u8]) {
    let first = usize::from(*der.get(1).expect("a length"));
    let (start, length) = if first < 0x80 {
        (2, first)
    } else {
        let bytes = der.get(2..2 + (first & 0x7f)).expect("a length");
        let length = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (2 + bytes.len(), length)
    };
    der.get(start..).expect("a value").split_at(length)
}
