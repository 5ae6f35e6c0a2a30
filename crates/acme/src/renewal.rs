//! Renewal information ([RFC 9773](https://www.rfc-editor.org/rfc/rfc9773)): the name that a certificate has in its
//! URL and in `replaces`, and the object that is told there. When to renew is the server's rule and the client's choice;
//! neither is here.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// Octets of an authority key identifier: hashes are of 20 or 32, and a CA may take any up to SHA-512's.
const KEY_ID_MAX: usize = 64;

/// Octets of a serial's INTEGER: 20 (RFC 5280 §4.1.2.2) and the sign's.
const SERIAL_MAX: usize = 21;

/// The name of a certificate (RFC 9773 §4.1): its authority key identifier and its serial, each in base64url, with a dot
/// between. Held in the one form that DER gives the serial.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertId {
    key_id: ([u8; KEY_ID_MAX], u8),
    serial: ([u8; SERIAL_MAX], u8),
}

/// Why a text names no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertIdFault {
    /// No dot, or more than one.
    #[error("it is a key identifier and a serial with one dot between (RFC 9773 section 4.1)")]
    Parts,
    /// A part that is not base64url of something.
    #[error("its {0} is not base64url without padding")]
    Encoding(&'static str),
    /// A part of a length that no certificate has.
    #[error("its {0} is empty or longer than any certificate's")]
    Length(&'static str),
    /// More leading zero octets than an INTEGER has.
    #[error("its serial has leading zero octets that DER does not write")]
    Serial,
}

impl CertId {
    /// From a certificate's own octets: the keyIdentifier and the contents of the serial's INTEGER.
    ///
    /// # Errors
    /// When one of them is of a length that no certificate has, or the serial is not as DER writes it.
    pub fn new(key_id: &[u8], serial: &[u8]) -> Result<Self, CertIdFault> {
        let key_id = stored(key_id).ok_or(CertIdFault::Length("key identifier"))?;
        // Some clients print the serial as a number and lose the sign's octet: no serial is negative, so it is put back.
        let missing = serial.first().is_some_and(|first| first & 0x80 != 0);
        let serial = match missing {
            true if serial.len() < SERIAL_MAX => {
                let mut whole = [0; SERIAL_MAX];
                let length = serial.len() + 1;
                if let Some(rest) = whole.get_mut(1..length) {
                    rest.copy_from_slice(serial);
                }
                Some((whole, u8::try_from(length).unwrap_or_default()))
            }
            true => None,
            false => stored(serial),
        }
        .ok_or(CertIdFault::Length("serial"))?;
        let id = Self { key_id, serial };
        match id.serial() {
            [0, next, ..] if next & 0x80 == 0 => Err(CertIdFault::Serial),
            _ => Ok(id),
        }
    }

    /// The authority key identifier's octets.
    #[must_use]
    pub fn key_id(&self) -> &[u8] {
        held(&self.key_id)
    }

    /// The contents of the serial's INTEGER.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        held(&self.serial)
    }
}

fn stored<const N: usize>(octets: &[u8]) -> Option<([u8; N], u8)> {
    let mut whole = [0; N];
    whole.get_mut(..octets.len())?.copy_from_slice(octets);
    let length = u8::try_from(octets.len()).ok().filter(|n| *n > 0)?;
    Some((whole, length))
}

fn held<const N: usize>((octets, length): &([u8; N], u8)) -> &[u8] {
    octets.get(..usize::from(*length)).unwrap_or_default()
}

/// Decodes one part into `N` octets at most, without an allocation: this is asked by anybody, and often.
fn decoded<'a, const N: usize>(
    text: &str,
    what: &'static str,
    into: &'a mut [u8; N],
) -> Result<&'a [u8], CertIdFault> {
    let length = BASE64URL_NOPAD
        .decode_len(text.len())
        .map_err(|_| CertIdFault::Encoding(what))?;
    let into = into.get_mut(..length).ok_or(CertIdFault::Length(what))?;
    BASE64URL_NOPAD
        .decode_mut(text.as_bytes(), into)
        .map_err(|_| CertIdFault::Encoding(what))?;
    Ok(into)
}

impl FromStr for CertId {
    type Err = CertIdFault;

    fn from_str(text: &str) -> Result<Self, CertIdFault> {
        let (key_id, serial) = text.split_once('.').ok_or(CertIdFault::Parts)?;
        if serial.contains('.') {
            return Err(CertIdFault::Parts);
        }
        let (mut first, mut second) = ([0; KEY_ID_MAX], [0; SERIAL_MAX]);
        Self::new(
            decoded(key_id, "key identifier", &mut first)?,
            decoded(serial, "serial", &mut second)?,
        )
    }
}

impl fmt::Display for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CODE: data_encoding::Encoding = BASE64URL_NOPAD;
        write!(
            f,
            "{}.{}",
            CODE.encode_display(self.key_id()),
            CODE.encode_display(self.serial())
        )
    }
}

impl fmt::Debug for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertId({self})")
    }
}

impl Serialize for CertId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CertId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What renewalInfo answers (RFC 9773 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// When the client should renew.
    pub suggested_window: SuggestedWindow,
    /// A page for people that says why.
    #[serde(
        default,
        rename = "explanationURL",
        skip_serializing_if = "Option::is_none"
    )]
    pub explanation_url: Option<String>,
}

/// From when until when to renew. A server's ends after it starts; a client finds what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuggestedWindow {
    /// The first moment.
    pub start: Timestamp,
    /// The last.
    pub end: Timestamp,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY_ID: [u8; 20] = [
        0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae,
        0x2c, 0xde, 0x01, 0xc8, 0xd4,
    ];
    const VECTOR: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

    #[test]
    fn the_rfcs_certificate_has_the_rfcs_name() {
        // 9773-4.1-1
        let id = CertId::new(&KEY_ID, &[0, 0x87, 0x65, 0x43, 0x21]).unwrap();
        assert_eq!(id.to_string(), VECTOR);
        assert_eq!(VECTOR.parse::<CertId>().unwrap(), id);
        assert_eq!(id.key_id(), KEY_ID);
        assert_eq!(id.serial(), [0, 0x87, 0x65, 0x43, 0x21]);
    }

    #[test]
    fn a_text_names_a_certificate_or_says_why_not() {
        // 9773-4.1-2 T-CA-131
        let long = |octets: usize| BASE64URL_NOPAD.encode(&vec![1; octets]);
        let serial = |text: &str| format!("aYhba4dGQEHhs3uEe6CuLN4ByNQ.{text}");
        let (key_id, whole) = (CertIdFault::Encoding("key identifier"), VECTOR.to_owned());
        let cases: &[(&str, String, Result<&str, CertIdFault>)] = &[
            ("the vector", whole.clone(), Ok(VECTOR)),
            ("the sign's octet is missing", serial("h2VDIQ"), Ok(VECTOR)),
            (
                "another octet in front",
                serial("AACHZUMh"),
                Err(CertIdFault::Serial),
            ),
            (
                "a zero before a positive one",
                serial("AAE"),
                Err(CertIdFault::Serial),
            ),
            ("zero", serial("AA"), Ok("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AA")),
            ("nothing", String::new(), Err(CertIdFault::Parts)),
            ("no dot", whole.replace('.', ""), Err(CertIdFault::Parts)),
            ("two dots", format!("{whole}.AQ"), Err(CertIdFault::Parts)),
            ("dots alone", "..".to_owned(), Err(CertIdFault::Parts)),
            ("no serial", serial(""), Err(CertIdFault::Length("serial"))),
            (
                "no key identifier",
                ".AQ".to_owned(),
                Err(CertIdFault::Length("key identifier")),
            ),
            (
                "padding",
                format!("{whole}="),
                Err(CertIdFault::Encoding("serial")),
            ),
            ("padding in front", whole.replace('.', "=."), Err(key_id)),
            (
                "the other alphabet",
                whole.replace("aYhb", "a+/b"),
                Err(key_id),
            ),
            ("white space", format!(" {whole}"), Err(key_id)),
            (
                "a line's end",
                format!("{whole}\n"),
                Err(CertIdFault::Encoding("serial")),
            ),
            (
                "bits that carry nothing",
                serial("AR"),
                Err(CertIdFault::Encoding("serial")),
            ),
            (
                "a length of no text",
                serial("A"),
                Err(CertIdFault::Encoding("serial")),
            ),
            (
                "a query",
                format!("{whole}?x"),
                Err(CertIdFault::Encoding("serial")),
            ),
            (
                "hex",
                serial("00:87:65"),
                Err(CertIdFault::Encoding("serial")),
            ),
            (
                "no ASCII",
                serial("\u{e9}"),
                Err(CertIdFault::Encoding("serial")),
            ),
            (
                "an oversized serial",
                serial(&long(22)),
                Err(CertIdFault::Length("serial")),
            ),
            (
                "an oversized negative serial",
                serial(&"_".repeat(28)),
                Err(CertIdFault::Length("serial")),
            ),
            (
                "an oversized key identifier",
                format!("{}.AQ", long(65)),
                Err(CertIdFault::Length("key identifier")),
            ),
            (
                "a megabyte",
                serial(&"A".repeat(1 << 20)),
                Err(CertIdFault::Length("serial")),
            ),
        ];
        let mut wrong = Vec::new();
        for (what, text, want) in cases {
            let got = text.parse::<CertId>().map(|id| id.to_string());
            if got.as_deref().map_err(|fault| *fault) != *want {
                wrong.push(format!("{what}: {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn the_object_has_the_rfcs_form() {
        // 9773-4.2-1
        let mut info = RenewalInfo {
            suggested_window: SuggestedWindow {
                start: Timestamp::from_seconds(1_800_000_000),
                end: Timestamp::from_seconds(1_800_000_060),
            },
            explanation_url: None,
        };
        let text = serde_json::to_string(&info).unwrap();
        assert_eq!(
            text,
            r#"{"suggestedWindow":{"start":"2027-01-15T08:00:00Z","end":"2027-01-15T08:01:00Z"}}"#
        );
        info.explanation_url = Some("https://ca.test/why".to_owned());
        let text = serde_json::to_string(&info).unwrap();
        assert!(
            text.contains(r#""explanationURL":"https://ca.test/why""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<RenewalInfo>(&text).unwrap(), info);
    }

    proptest! {
        #[test]
        fn a_name_survives_its_text(
            key_id in proptest::collection::vec(any::<u8>(), 1..=KEY_ID_MAX),
            serial in proptest::collection::vec(any::<u8>(), 1..=20),
        ) {
            if let Ok(id) = CertId::new(&key_id, &serial) {
                prop_assert_eq!(id.key_id(), &key_id[..]);
                prop_assert_eq!(id.to_string().parse::<CertId>().unwrap(), id);
                // As a number it is the same.
                prop_assert!(id.serial().ends_with(&serial));
            }
        }

        #[test]
        fn parsing_never_panics_and_has_one_text_for_each_name(text in r"[A-Za-z0-9_\-.=]{0,40}\PC{0,3}") {
            if let Ok(id) = text.parse::<CertId>() {
                let canonical = id.to_string();
                // The one tolerance: the sign's octet.
                prop_assert!(canonical == text || text.len() < canonical.len());
            }
        }
    }
}
