//! The JSON of a JWK, both ways.

use std::borrow::Cow;

use super::{Curve, KeyFault, Material, PublicKey};
use crate::{
    base64url,
    json::{JsonError, Scanner},
    text::quoted,
};

/// Members that hold private material, of any key type (RFC 7518 §6.2.2, §6.3.2, §6.4, RFC 8037 §2).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The members of a JWK that make the key, as text.
#[derive(Default)]
pub(super) struct Jwk<'a> {
    kty: Option<Cow<'a, str>>,
    crv: Option<Cow<'a, str>>,
    x: Option<Cow<'a, str>>,
    y: Option<Cow<'a, str>>,
    n: Option<Cow<'a, str>>,
    e: Option<Cow<'a, str>>,
    private: Option<&'static str>,
}

impl From<JsonError> for KeyFault {
    fn from(error: JsonError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl<'a> Jwk<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, KeyFault> {
        let mut jwk = Self::default();
        let mut scanner = Scanner::new(text)?;
        scanner.object(|scanner, name| -> Result<(), JsonError> {
            let member = match name {
                "kty" => &mut jwk.kty,
                "crv" => &mut jwk.crv,
                "x" => &mut jwk.x,
                "y" => &mut jwk.y,
                "n" => &mut jwk.n,
                "e" => &mut jwk.e,
                _ => {
                    if let Some(private) = PRIVATE.iter().find(|private| **private == name) {
                        jwk.private = Some(private);
                    }
                    return scanner.skip_value().map(drop);
                }
            };
            *member = Some(scanner.string()?);
            Ok(())
        })?;
        scanner.end()?;
        Ok(jwk)
    }

    pub(super) fn private_member(&self) -> Option<&'static str> {
        self.private
    }

    pub(super) fn key(&self) -> Result<PublicKey, KeyFault> {
        match text(self.kty.as_ref(), "kty")? {
            "EC" => {
                let curve = match text(self.crv.as_ref(), "crv")? {
                    "P-256" => Curve::P256,
                    "P-384" => Curve::P384,
                    "P-521" => Curve::P521,
                    other => return Err(unsupported("curve", other)),
                };
                let mut point = Vec::with_capacity(1 + 2 * curve.width());
                point.push(4);
                for (member, name) in [(&self.x, "x"), (&self.y, "y")] {
                    let coordinate = octets(member.as_ref(), name)?;
                    if coordinate.len() != curve.width() {
                        return Err(KeyFault::Width(name));
                    }
                    point.extend_from_slice(&coordinate);
                }
                PublicKey::new(Material::Ec { curve, point })
            }
            "RSA" => PublicKey::from_rsa(
                &octets(self.n.as_ref(), "n")?,
                &octets(self.e.as_ref(), "e")?,
            ),
            "OKP" => match text(self.crv.as_ref(), "crv")? {
                "Ed25519" => {
                    let bytes = octets(self.x.as_ref(), "x")?;
                    let bytes = <&[u8; 32]>::try_from(bytes.as_slice());
                    PublicKey::from_ed25519(bytes.map_err(|_| KeyFault::Width("x"))?)
                }
                other => Err(unsupported("curve", other)),
            },
            other => Err(unsupported("key type", other)),
        }
    }
}

fn text<'a>(member: Option<&'a Cow<'_, str>>, name: &str) -> Result<&'a str, KeyFault> {
    member
        .map(AsRef::as_ref)
        .ok_or_else(|| KeyFault::Malformed(format!("member {name} is missing")))
}

fn octets(member: Option<&Cow<'_, str>>, name: &str) -> Result<Vec<u8>, KeyFault> {
    base64url::decode(text(member, name)?)
        .map_err(|fault| KeyFault::Malformed(format!("member {name}: {fault}")))
}

fn unsupported(what: &str, name: &str) -> KeyFault {
    KeyFault::Unsupported(format!(
        "{what} {}; EC (P-256, P-384, P-521), RSA and OKP (Ed25519) are",
        quoted(name)
    ))
}

/// The input of the thumbprint (RFC 7638 §3.2, RFC 8037 §2), which is also the key's canonical JWK.
pub(super) fn canonical(material: &Material) -> String {
    let mut json = String::with_capacity(160);
    let mut put = |before: &str, value: &[u8]| {
        json.push_str(before);
        base64url::encode_onto(value, &mut json);
    };
    match material {
        Material::Ec { curve, point } => {
            let coordinates = point.get(1..).unwrap_or_default();
            let (x, y) = coordinates
                .split_at_checked(curve.width())
                .unwrap_or_default();
            put(
                &format!(r#"{{"crv":"{}","kty":"EC","x":""#, curve.name()),
                x,
            );
            put(r#"","y":""#, y);
        }
        Material::Rsa { n, e } => {
            put(r#"{"e":""#, e);
            put(r#"","kty":"RSA","n":""#, n);
        }
        Material::Ed25519(bytes) => put(r#"{"crv":"Ed25519","kty":"OKP","x":""#, bytes),
    }
    json.push_str("\"}");
    json
}
