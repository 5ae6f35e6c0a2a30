//! The external account binding (RFC 8555 §7.3.4): a JWS inside of newAccount, in which a MAC key that the CA gave out
//! elsewhere vouches for the account's key. MACs are here and nowhere else (T-CA-02): no [`Envelope`] verifies one, and a
//! [`Binding`] verifies nothing else. Left out: whose key it is and whether it may still be used.

#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::{Envelope, KeyRef};
use crate::{base64url, key::PublicKey, limits::BINDING, problem::Problem, text::quoted};

/// A MAC algorithm (RFC 7518 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256, which every client has.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

impl MacAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];

    /// Finds an algorithm by its exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HS256 => hmac::HMAC_SHA256,
            Self::HS384 => hmac::HMAC_SHA384,
            Self::HS512 => hmac::HMAC_SHA512,
        }
    }
}

/// The secret that was given out with a key's id: wiped when dropped, never printed.
#[derive(Clone)]
pub struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    /// Octets of a new one: as many as the longest hash has, so that it serves every algorithm (RFC 7518 §3.2).
    pub const OCTETS: usize = 64;

    /// Takes the octets.
    #[must_use]
    pub fn new(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    /// The octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text in which it is given out: base64url (RFC 8555 §7.3.4).
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url::encode(&self.0))
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

/// A binding whose MAC is not verified yet. All that needs no secret is judged.
#[derive(Debug, Clone)]
pub struct Binding {
    key_id: String,
    algorithm: MacAlgorithm,
    /// What the MAC is of: both texts as they came, with a dot between.
    input: Vec<u8>,
    mac: Vec<u8>,
}

impl Binding {
    /// Reads the value of `externalAccountBinding` in a request to `url` that `account_key` signed.
    ///
    /// # Errors
    /// `malformed` when it is not what RFC 8555 §7.3.4 describes; `unauthorized` when it was made for another URL or for
    /// another account key (T-CA-35).
    pub fn parse(json: &[u8], url: &str, account_key: &PublicKey) -> Result<Self, Problem> {
        if json.len() > BINDING {
            return Err(malformed(format!("it is longer than {BINDING} octets")));
        }
        let Envelope {
            header,
            payload,
            signing_input,
            signature,
        } = Envelope::parse(json).map_err(|fault| malformed(fault.detail))?;
        let algorithm = MacAlgorithm::from_name(&header.alg).ok_or_else(|| {
            malformed(format!(
                "alg {} is no MAC; it is one of {}",
                quoted(&header.alg),
                MacAlgorithm::ALL.map(MacAlgorithm::name).join(", ")
            ))
        })?;
        let KeyRef::Kid(key_id) = header.key else {
            return Err(malformed(
                "its header has a jwk, where the key id that the CA gave out stands as kid",
            ));
        };
        if header.nonce.is_some() {
            return Err(malformed(
                "it has a nonce, which belongs to the outer JWS alone",
            ));
        }
        if header.url != url {
            return Err(unauthorized(format!(
                "its url is {}, not {url}: it was made for another request or another CA",
                quoted(&header.url)
            )));
        }
        let bound = PublicKey::from_jwk(&payload)
            .map_err(|fault| malformed(format!("its payload is not the account's key: {fault}")))?;
        if bound.thumbprint() != account_key.thumbprint() {
            return Err(unauthorized(format!(
                "its payload is the key with thumbprint {}, but the request is signed by {}: a binding is for one account key",
                bound.thumbprint(),
                account_key.thumbprint()
            )));
        }
        Ok(Self {
            key_id,
            algorithm,
            input: signing_input,
            mac: signature,
        })
    }

    /// The key that it claims to be made with.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether it was made with that secret; compared in constant time (T-CA-36).
    #[must_use]
    pub fn is_made_with(&self, key: &MacKey) -> bool {
        let key = hmac::Key::new(self.algorithm.hmac(), key.as_bytes());
        hmac::verify(&key, &self.input, &self.mac).is_ok()
    }
}

fn malformed(detail: impl fmt::Display) -> Problem {
    Problem::malformed(format!("externalAccountBinding: {detail}"))
}

fn unauthorized(detail: impl fmt::Display) -> Problem {
    Problem::unauthorized(format!("externalAccountBinding: {detail}"))
}
