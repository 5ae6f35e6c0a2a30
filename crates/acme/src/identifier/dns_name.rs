//! DNS names as certificates have them (RFC 5280 §4.2.1.6, BR 7.1.4.2.1).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::idn;
use crate::limits::{DNS_NAME_MAX, LABEL_MAX};

/// A DNS name: lower-cased labels of letters, digits and hyphens, no trailing dot, no IP address in any spelling,
/// A-labels well-formed. A single label is one too; whether it may be issued is policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

/// Why a text is not such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// Longer than 253 octets.
    #[error("a name has at most 253 characters")]
    TooLong,
    /// It ends in a dot.
    #[error("the name ends in a dot")]
    TrailingDot,
    /// Two dots in a row or one in front.
    #[error("a label is empty")]
    EmptyLabel,
    /// Longer than 63 octets.
    #[error("a label has at most 63 characters")]
    LabelTooLong,
    /// An asterisk other than as the whole leftmost label of a name.
    #[error("an asterisk may only be the whole leftmost label, once")]
    Asterisk,
    /// A letter outside ASCII.
    #[error("international names are given as A-labels (xn--…)")]
    NotAscii,
    /// A character other than letter, digit, hyphen.
    #[error("a label has letters, digits and hyphens only")]
    Character,
    /// A hyphen at either end of a label.
    #[error("a label neither begins nor ends with a hyphen")]
    Hyphen,
    /// `??--` that is not `xn--`.
    #[error("hyphens in third and fourth place are reserved for A-labels (xn--…)")]
    ReservedLabel,
    /// `xn--` that is not the one A-label of a valid U-label.
    #[error("an A-label (xn--…) is not valid under IDNA2008")]
    ALabel,
    /// An IP address, whole or shortened, decimal, octal or hexadecimal.
    #[error("an IP address is not a DNS name; order it with type ip")]
    IpAddress,
    /// A name of the reverse tree, which stands for an address.
    #[error("names of the reverse tree stand for IP addresses")]
    ReverseTree,
}

impl DnsName {
    /// Lower-cases and judges a name.
    ///
    /// # Errors
    /// When the text is not a name that a certificate could have.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        if text.is_empty() {
            return Err(NameFault::Empty);
        }
        if !text.is_ascii() {
            return Err(NameFault::NotAscii);
        }
        if text.ends_with('.') {
            return Err(NameFault::TrailingDot);
        }
        if text.len() > DNS_NAME_MAX {
            return Err(NameFault::TooLong);
        }
        let mut lowered = [0; DNS_NAME_MAX];
        let lowered = lowered.get_mut(..text.len()).unwrap_or_default();
        lowered.copy_from_slice(text.as_bytes());
        lowered.make_ascii_lowercase();

        let mut international = false;
        let mut last: &[u8] = &[];
        for label in lowered.split(|&b| b == b'.') {
            international |= check_label(label)?;
            last = label;
        }
        if is_number(last) {
            return Err(NameFault::IpAddress);
        }
        let name = std::str::from_utf8(lowered).map_err(|_| NameFault::NotAscii)?;
        for tree in ["in-addr.arpa", "ip6.arpa"] {
            if is_at_or_below(name, tree) {
                return Err(NameFault::ReverseTree);
            }
        }
        if international && !idn::is_valid(name) {
            return Err(NameFault::ALabel);
        }
        Ok(Self(name.into()))
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many labels it has.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Its labels from the left.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// The name without its leftmost label, if any is left.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0
            .split_once('.')
            .map(|(_, parent)| Self(parent.into()))
    }

    /// Whether it is the other name or below it, compared by whole labels: `badexample.com` is not below
    /// `example.com` (T-CA-62).
    #[must_use]
    pub fn is_subdomain_of(&self, suffix: &Self) -> bool {
        is_at_or_below(&self.0, &suffix.0)
    }
}

/// Judges a suffix of a configuration: a name, or one with a dot in front, which means the same.
///
/// # Errors
/// When the text is not a name.
pub fn parse_suffix(text: &str) -> Result<DnsName, NameFault> {
    DnsName::parse(text.strip_prefix('.').unwrap_or(text))
}

/// Judges one lower-cased label; tells whether it is an A-label.
fn check_label(label: &[u8]) -> Result<bool, NameFault> {
    if label.is_empty() {
        return Err(NameFault::EmptyLabel);
    }
    if label.len() > LABEL_MAX {
        return Err(NameFault::LabelTooLong);
    }
    if label.contains(&b'*') {
        return Err(NameFault::Asterisk);
    }
    if !label
        .iter()
        .all(|&b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(NameFault::Character);
    }
    if label.starts_with(b"xn--") {
        return if label.ends_with(b"-") {
            Err(NameFault::ALabel)
        } else {
            Ok(true)
        };
    }
    if label.starts_with(b"-") || label.ends_with(b"-") {
        return Err(NameFault::Hyphen);
    }
    if label.get(2..4) == Some(b"--") {
        return Err(NameFault::ReservedLabel);
    }
    Ok(false)
}

/// Whether software would read a name with this last label as an IPv4 address (`ends in a number` of the WHATWG URL
/// standard, and `inet_aton`). No top-level domain is a number.
fn is_number(label: &[u8]) -> bool {
    label.iter().all(u8::is_ascii_digit)
        || label
            .strip_prefix(b"0x")
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

fn is_at_or_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for DnsName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
