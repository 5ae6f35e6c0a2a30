//! Challenge types, tokens and key authorizations (RFC 8555 §8).

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    base64url,
    identifier::Identifier,
    key::Thumbprint,
    limits::{TOKEN_BYTES_MAX, TOKEN_BYTES_MIN, TOKEN_CHARS_MAX},
    text::quoted,
};

/// The challenge types that Cairn knows; a client ignores all others (8555-7.1.5-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChallengeType {
    /// A file over plain HTTP (RFC 8555 §8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record (RFC 8555 §8.4).
    #[serde(rename = "dns-01")]
    Dns01,
    /// A certificate in the TLS handshake (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// A name that is no challenge type of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known challenge type")]
pub struct UnknownChallengeType;

impl ChallengeType {
    /// All types.
    pub const ALL: &[Self] = &[Self::Http01, Self::Dns01, Self::TlsAlpn01];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl ChallengeType {
    /// Whether it can show control of such an identifier: a wildcard has no host that could answer (8555-8.3-6), and the
    /// DNS says nothing about an address (8738-7-1).
    #[must_use]
    pub const fn fits(self, identifier: &Identifier) -> bool {
        match identifier {
            Identifier::Dns(_) => true,
            Identifier::WildcardDns(_) => matches!(self, Self::Dns01),
            Identifier::Ip(_) => matches!(self, Self::Http01 | Self::TlsAlpn01),
        }
    }
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChallengeType {
    type Err = UnknownChallengeType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == name)
            .ok_or(UnknownChallengeType)
    }
}

/// A token: at least 128 bits in base64url (RFC 8555 §8.3). It becomes part of a URL and of a file's name, so its
/// alphabet is checked wherever one comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(Arc<str>);

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFault {
    /// A character outside base64url's alphabet.
    #[error("token {0} has a character that is not base64url")]
    Alphabet(String),
    /// Fewer than 128 bits, or longer than any file name should be.
    #[error("a token has 16 to 32 random bytes, 22 to 128 characters")]
    Length,
}

impl Token {
    /// Makes a token of 16 to 32 random bytes.
    ///
    /// # Errors
    /// When there are fewer or more bytes.
    pub fn from_random(bytes: &[u8]) -> Result<Self, TokenFault> {
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&bytes.len()) {
            return Err(TokenFault::Length);
        }
        Ok(Self(base64url::encode(bytes).into()))
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = TokenFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // 22 characters carry 128 bits; a text of any length over the alphabet is taken, not only an encoding.
        if !(22..=TOKEN_CHARS_MAX).contains(&text.len()) {
            return Err(TokenFault::Length);
        }
        if !base64url::is_alphabet(text) {
            return Err(TokenFault::Alphabet(quoted(text)));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A key authorization: token, dot, thumbprint (RFC 8555 §8.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    /// Puts it together.
    #[must_use]
    pub fn new(token: &Token, thumbprint: &Thumbprint) -> Self {
        let mut text = String::with_capacity(token.0.len() + 44);
        text.push_str(&token.0);
        text.push('.');
        base64url::encode_onto(thumbprint.as_bytes(), &mut text);
        Self(text)
    }

    /// The text that http-01 serves (RFC 8555 §8.3).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SHA-256 that tls-alpn-01 puts into its certificate (RFC 8737 §3).
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest_of(&self.0)
    }

    /// The content of dns-01's TXT record: the digest in base64url, 43 characters (RFC 8555 §8.4).
    #[must_use]
    pub fn txt_value(&self) -> String {
        base64url::encode(&self.digest())
    }
}

/// The SHA-256 of a key authorization's text, such as one that was stored.
#[must_use]
pub fn digest_of(key_authorization: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, key_authorization.as_bytes()).as_ref());
    bytes
}

impl fmt::Display for KeyAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_takes_128_to_256_random_bits() {
        // 8555-8.3-1
        assert_eq!(Token::from_random(&[0; 15]), Err(TokenFault::Length));
        assert_eq!(Token::from_random(&[0; 33]), Err(TokenFault::Length));
        assert_eq!(Token::from_random(&[0; 16]).unwrap().as_str().len(), 22);
        let token = Token::from_random(&[0xff; 32]).unwrap();
        assert_eq!(token.as_str().len(), 43);
        assert!(base64url::is_alphabet(token.as_str()));
    }

    #[test]
    fn a_foreign_token_outside_the_alphabet_is_refused() {
        // 8555-8.3-1: path traversal, padding, other alphabets
        let long = "A".repeat(129);
        let accepted: Vec<&str> = [
            "../../../../../../etc/passwd",
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr+oA",
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ/PCt92wr-oA",
            "evaGxfADs6pSRb2LAv9IZQ==",
            "evaGxfADs6pSRb2LAv9IZf17 Dt3",
            "evaGxfADs6pSRb2LAv9IZf17\n",
            "<script>alert(1)</script>",
            "AAAAAAAAAAAAAAAAAAAAA",
            "",
            &long,
        ]
        .into_iter()
        .filter(|text| text.parse::<Token>().is_ok())
        .collect();
        assert!(accepted.is_empty(), "{accepted:?}");
        assert!(serde_json::from_str::<Token>("\"../../../../../../etc/passwd\"").is_err());
        assert!(
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
                .parse::<Token>()
                .is_ok()
        );
    }

    #[test]
    fn the_key_authorization_is_token_dot_thumbprint() {
        // 8555-8.1-1, 8555-8.4-1
        let token: Token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
            .parse()
            .unwrap();
        let text = KeyAuthorization::new(&token, &Thumbprint::from_bytes([0; 32]));
        assert_eq!(
            text.as_str(),
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        assert_eq!(text.txt_value().len(), 43);
        assert_eq!(base64url::decode(&text.txt_value()).unwrap(), text.digest());
    }

    #[test]
    fn each_identifier_has_the_challenges_that_can_show_its_control_in_a_fixed_order() {
        // 8738-7-1
        // 8738-4-1
        // 8555-8.3-6
        // 8737-3-1
        use ChallengeType::{Dns01, Http01, TlsAlpn01};
        let cases: [(&str, &str, &[ChallengeType]); 4] = [
            ("dns", "a.example", &[Http01, Dns01, TlsAlpn01]),
            ("dns", "*.a.example", &[Dns01]),
            ("ip", "192.0.2.1", &[Http01, TlsAlpn01]),
            ("ip", "2001:db8::1", &[Http01, TlsAlpn01]),
        ];
        for (kind, value, want) in cases {
            let identifier = Identifier::parse(kind, value).unwrap();
            let fitting: Vec<_> = ChallengeType::ALL
                .iter()
                .copied()
                .filter(|c| c.fits(&identifier))
                .collect();
            assert_eq!(fitting, want, "{value}");
        }
    }

    #[test]
    fn names_of_types_are_exact() {
        for kind in ChallengeType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!(
            "HTTP-01".parse::<ChallengeType>(),
            Err(UnknownChallengeType)
        );
    }
}
