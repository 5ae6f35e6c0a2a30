//! Signed requests: flattened JWS (RFC 7515 §7.2.2) under ACME's rules (RFC 8555 §6.2).
//!
//! [`Envelope::parse`] judges the structure, the caller then the nonce, [`Envelope::algorithm`] the algorithm and
//! [`Envelope::verify_with`] the signature, in the order of 8555-6.2-6. Left out: the MAC of an external account
//! binding, which has a type of its own ([`Binding`]), so that no MAC can pass for a signature (T-CA-02).

mod external;
mod sign;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof_tests;

use crate::{
    base64url,
    json::{JsonError, Scanner},
    key::{Algorithm, PublicKey},
    limits::{NONCE_MAX, URL_MAX},
    problem::Problem,
    text::quoted,
};

pub use external::{Binding, MacAlgorithm, MacKey};
pub use sign::{SigningFault, SigningKey, sign, sign_request};

/// The media type of a signed request (RFC 8555 §6.2).
pub const CONTENT_TYPE: &str = "application/jose+json";

/// Which key a request names: exactly one of the two (RFC 8555 §6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// The key itself, as the JSON of its JWK.
    Jwk(String),
    /// An account's URL.
    Kid(String),
}

/// The protected header, judged in form only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedHeader {
    /// The algorithm's name; see [`Envelope::algorithm`].
    pub alg: String,
    /// The nonce, if there is one; always base64url.
    pub nonce: Option<String>,
    /// The URL that the client means to ask.
    pub url: String,
    /// The key.
    pub key: KeyRef,
}

/// A signed request whose signature is not verified yet.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The protected header.
    pub header: ProtectedHeader,
    /// The payload's octets; none for POST-as-GET (RFC 8555 §6.3).
    pub payload: Vec<u8>,
    /// What is signed: both texts as they came, with a dot between (RFC 7515 §5.1).
    signing_input: Vec<u8>,
    signature: Vec<u8>,
}

impl Envelope {
    /// Judges the structure of a request's body.
    ///
    /// # Errors
    /// `malformed` when it is not a flattened JWS of exactly three members with a sound protected header;
    /// `badNonce` when the nonce is longer than any server's.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let [mut protected, mut payload, mut signature] = [None, None, None];
        let mut scanner = Scanner::new(body)?;
        scanner.object(|scanner, name| -> Result<(), Problem> {
            let member = match name {
                "protected" => &mut protected,
                "payload" => &mut payload,
                "signature" => &mut signature,
                _ => return Err(foreign_member(name)),
            };
            *member = Some(scanner.string()?);
            Ok(())
        })?;
        scanner.end()?;
        let (Some(protected), Some(payload), Some(signature)) = (protected, payload, signature)
        else {
            return Err(Problem::malformed(
                "a JWS has the members protected, payload and signature; detached payloads are not accepted",
            ));
        };
        let header = ProtectedHeader::parse(&decode(&protected, "protected")?)?;
        let mut signing_input = Vec::with_capacity(protected.len() + 1 + payload.len());
        signing_input.extend_from_slice(protected.as_bytes());
        signing_input.push(b'.');
        signing_input.extend_from_slice(payload.as_bytes());
        Ok(Self {
            header,
            payload: decode(&payload, "payload")?,
            signing_input,
            signature: decode(&signature, "signature")?,
        })
    }

    /// The algorithm of the header.
    ///
    /// # Errors
    /// `badSignatureAlgorithm` with the accepted names when it is none of them (8555-6.2-9).
    pub fn algorithm(&self) -> Result<Algorithm, Problem> {
        Algorithm::from_name(&self.header.alg).ok_or_else(|| {
            let detail = format!("alg {} is not accepted", quoted(&self.header.alg));
            Problem::bad_signature_algorithm(detail, Algorithm::NAMES)
        })
    }

    /// Verifies the signature. The algorithm is the key's own; the header must name the same (T-CA-03).
    ///
    /// # Errors
    /// `badSignatureAlgorithm` for an `alg` outside the list, `badPublicKey` for one that is not the key's,
    /// `malformed` when the signature does not verify.
    pub fn verify_with(&self, key: &PublicKey) -> Result<(), Problem> {
        let named = self.algorithm()?;
        if named != key.algorithm() {
            return Err(Problem::bad_public_key(format!(
                "alg {named} does not fit the key, which signs with {}",
                key.algorithm()
            )));
        }
        key.verify(&self.signing_input, &self.signature)
            .map_err(|_| Problem::malformed("JWS verification error"))
    }
}

fn decode(text: &str, name: &str) -> Result<Vec<u8>, Problem> {
    base64url::decode(text).map_err(|fault| Problem::malformed(format!("{name}: {fault}")))
}

fn foreign_member(name: &str) -> Problem {
    Problem::malformed(match name {
        "header" => "unprotected header parameters are not accepted".to_owned(),
        "signatures" => "only one signature in flattened serialization is accepted".to_owned(),
        _ => format!("a JWS has no member {} here", quoted(name)),
    })
}

impl ProtectedHeader {
    /// Judges the header's JSON. Parameters that are not known are ignored (RFC 7515 §4), `crit` and `b64` are
    /// refused (T-CA-09, T-CA-10).
    fn parse(json: &[u8]) -> Result<Self, Problem> {
        let [mut alg, mut nonce, mut url, mut kid] = [None, None, None, None];
        let mut jwk = None;
        let in_header = |error: JsonError| Problem::malformed(format!("protected header: {error}"));
        let mut scanner = Scanner::new(json).map_err(in_header)?;
        scanner.object(|scanner, name| -> Result<(), Problem> {
            let member = match name {
                "alg" => &mut alg,
                "nonce" => &mut nonce,
                "url" => &mut url,
                "kid" => &mut kid,
                "jwk" => {
                    let raw = scanner.skip_value().map_err(in_header)?;
                    if !raw.starts_with('{') {
                        return Err(Problem::malformed("protected header: jwk is not an object"));
                    }
                    jwk = Some(raw);
                    return Ok(());
                }
                "crit" => {
                    return Err(Problem::malformed(
                        "no critical header parameter is understood",
                    ));
                }
                "b64" => {
                    return Err(Problem::malformed(
                        "unencoded payloads (b64) are not accepted",
                    ));
                }
                _ => return scanner.skip_value().map(drop).map_err(in_header),
            };
            let value = scanner.string().map_err(|error| {
                Problem::malformed(format!("protected header, {name}: {error}"))
            })?;
            *member = Some(value.into_owned());
            Ok(())
        })?;
        scanner.end().map_err(in_header)?;
        let key = match (jwk, kid) {
            (Some(jwk), None) => KeyRef::Jwk(jwk.to_owned()),
            (None, Some(kid)) => KeyRef::Kid(kid),
            (Some(_), Some(_)) => {
                return Err(Problem::malformed(
                    "the protected header has both jwk and kid",
                ));
            }
            (None, None) => {
                return Err(Problem::malformed(
                    "the protected header has neither jwk nor kid",
                ));
            }
        };
        let missing = |name| Problem::malformed(format!("the protected header has no {name}"));
        let alg = alg.ok_or_else(|| missing("alg"))?;
        let url = url.ok_or_else(|| missing("url"))?;
        if url.len() > URL_MAX || matches!(&key, KeyRef::Kid(kid) if kid.len() > URL_MAX) {
            return Err(Problem::malformed(
                "the url or kid of the protected header is too long",
            ));
        }
        if let Some(nonce) = &nonce {
            judge_nonce(nonce)?;
        }
        Ok(Self {
            alg,
            nonce,
            url,
            key,
        })
    }
}

/// RFC 8555 §6.5.2: a nonce that is not base64url is malformed. One of an unusual length is merely not ours.
fn judge_nonce(nonce: &str) -> Result<(), Problem> {
    if nonce.is_empty() {
        return Err(Problem::malformed("the nonce is empty"));
    }
    if let Err(fault) = base64url::decode(nonce) {
        return Err(Problem::malformed(format!("nonce: {fault}")));
    }
    if nonce.len() > NONCE_MAX {
        return Err(Problem::bad_nonce("the nonce is not one of this server"));
    }
    Ok(())
}
