//! Base64url as ACME means it (RFC 8555 §6.1, RFC 7515 §2): no padding, the URL-safe alphabet, one encoding for each
//! value. Anything else is refused, otherwise one signature would have many texts (T-CA-13).

use data_encoding::{BASE64URL_NOPAD, DecodeKind};

/// Why a text is not base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Fault {
    /// A character outside the alphabet: padding, `+`, `/`, white space, non-ASCII.
    #[error("byte {0} is not in the base64url alphabet (no padding, no + or /, no white space)")]
    Alphabet(usize),
    /// No number of octets has an encoding of this length.
    #[error("the length fits no base64url text")]
    Length,
    /// Bits that carry no data are not zero.
    #[error("the unused bits of the last character are not zero")]
    TrailingBits,
}

/// Encodes octets.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Encodes octets at the end of a text.
pub fn encode_onto(bytes: &[u8], text: &mut String) {
    BASE64URL_NOPAD.encode_append(bytes, text);
}

/// Decodes a text.
///
/// # Errors
/// When the text is not the one base64url encoding of some octets.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Fault> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|fault| match fault.kind {
            DecodeKind::Length => Base64Fault::Length,
            DecodeKind::Trailing => Base64Fault::TrailingBits,
            DecodeKind::Symbol | DecodeKind::Padding => Base64Fault::Alphabet(fault.position),
        })
}

/// Whether a text has only characters of the alphabet (and at least one).
#[must_use]
pub fn is_alphabet(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_one_canonical_text_decodes() {
        // 8555-6.1-5, T-CA-13
        let cases: &[(&str, Result<&[u8], Base64Fault>)] = &[
            ("", Ok(b"")),
            ("AA", Ok(b"\0")),
            ("-_-_", Ok(&[0xfb, 0xff, 0xbf])),
            ("AA==", Err(Base64Fault::Alphabet(2))),
            ("AAA=", Err(Base64Fault::Alphabet(3))),
            ("+_-_", Err(Base64Fault::Alphabet(0))),
            ("-/-_", Err(Base64Fault::Alphabet(1))),
            ("AA\n", Err(Base64Fault::Alphabet(2))),
            (" AA", Err(Base64Fault::Alphabet(0))),
            ("AB", Err(Base64Fault::TrailingBits)),
            ("AAB", Err(Base64Fault::TrailingBits)),
            ("A", Err(Base64Fault::Length)),
            ("AAAAA", Err(Base64Fault::Length)),
            ("\u{e9}A", Err(Base64Fault::Alphabet(0))),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(text, want)| {
                let got = decode(text);
                match want {
                    Ok(bytes) => got.as_deref() != Ok(*bytes),
                    Err(fault) => got.err().is_none_or(|got| {
                        std::mem::discriminant(&got) != std::mem::discriminant(fault)
                    }),
                }
            })
            .map(|(text, _)| (text, decode(text)))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    proptest! {
        #[test]
        fn every_value_has_exactly_one_text(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(&text).unwrap(), bytes.clone());
            // An independent codec agrees.
            use base64ct::Encoding as _;
            prop_assert_eq!(&text, &base64ct::Base64UrlUnpadded::encode_string(&bytes));
        }

        #[test]
        fn a_text_that_decodes_is_the_encoding_of_its_value(text in "[A-Za-z0-9_-]{0,12}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }

        #[test]
        fn decoding_never_panics(text in any::<String>()) {
            let _ = decode(&text);
        }
    }
}
