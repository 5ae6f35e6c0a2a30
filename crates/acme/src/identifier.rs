//! Identifiers (RFC 8555 §9.7.7, RFC 8738) and the names in them.

mod dns_name;
mod idn;
#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct as _};

pub use dns_name::{DnsName, NameFault, parse_suffix};

use crate::{
    problem::{Problem, ProblemType},
    text::quoted,
};

/// An identifier as it stands on the wire, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WireIdentifier {
    /// `dns`, `ip` or anything else.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name.
    pub value: String,
}

/// What a certificate can be ordered for. One that exists is valid in form; whether it may be issued is policy.
///
/// A wildcard and its base are two different identifiers (8555-7.1.4-3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// A DNS name.
    Dns(DnsName),
    /// All names one label below a DNS name, which is held without its `*.`.
    WildcardDns(DnsName),
    /// An IP address (RFC 8738).
    Ip(IpAddr),
}

/// Why an identifier is refused; the texts are for the client, values in them escaped and shortened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierFault {
    /// A type other than `dns` and `ip`.
    #[error("{0}")]
    Unsupported(String),
    /// A name that no certificate can have.
    #[error("{0}")]
    Rejected(String),
    /// No name at all, or an address that is not in its canonical form.
    #[error("{0}")]
    Malformed(String),
}

impl IdentifierFault {
    /// The error type that says so.
    #[must_use]
    pub const fn problem_type(&self) -> ProblemType {
        match self {
            Self::Unsupported(_) => ProblemType::UnsupportedIdentifier,
            Self::Rejected(_) => ProblemType::RejectedIdentifier,
            Self::Malformed(_) => ProblemType::Malformed,
        }
    }
}

impl From<IdentifierFault> for Problem {
    fn from(fault: IdentifierFault) -> Self {
        Self::new(fault.problem_type(), fault.to_string())
    }
}

impl Identifier {
    /// Judges a type and a value as they came from outside.
    ///
    /// # Errors
    /// When the type is not known or the value is not of that type's form.
    pub fn parse(kind: &str, value: &str) -> Result<Self, IdentifierFault> {
        match kind {
            "dns" | "ip" if value.is_empty() => Err(IdentifierFault::Malformed(
                "the identifier's value is empty".to_owned(),
            )),
            "dns" => Self::parse_dns(value),
            "ip" => Self::parse_ip(value),
            _ => Err(IdentifierFault::Unsupported(format!(
                "identifiers of type {} are not supported; dns and ip are known",
                quoted(kind)
            ))),
        }
    }

    fn parse_dns(value: &str) -> Result<Self, IdentifierFault> {
        let rejected = |fault: NameFault| {
            let place = place(value, &fault);
            IdentifierFault::Rejected(format!("{} is refused: {fault}{place}", quoted(value)))
        };
        // Exactly one asterisk, alone in the leftmost label (8555-7.4-4).
        match value.strip_prefix("*.") {
            Some(base) => DnsName::parse(base).map(Self::WildcardDns),
            None => DnsName::parse(value).map(Self::Dns),
        }
        .map_err(rejected)
    }

    fn parse_ip(value: &str) -> Result<Self, IdentifierFault> {
        let malformed = |what| IdentifierFault::Malformed(format!("{} is {what}", quoted(value)));
        let address: IpAddr = value.parse().map_err(|_| malformed("not an IP address"))?;
        // RFC 8738 §3: the form of RFC 5952, so that equal addresses have equal text.
        if address.to_string() != value {
            return Err(malformed(
                "not the canonical text of its address (RFC 5952)",
            ));
        }
        Ok(Self::Ip(address))
    }

    /// The type on the wire.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) | Self::WildcardDns(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// Whether it is a wildcard.
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        matches!(self, Self::WildcardDns(_))
    }

    /// The identifier that an authorization names: the wildcard's base (8555-7.1.4-1), else itself.
    #[must_use]
    pub fn base(&self) -> Self {
        match self {
            Self::WildcardDns(name) => Self::Dns(name.clone()),
            other => other.clone(),
        }
    }

    /// The DNS name, without `*.`, if it is one.
    #[must_use]
    pub const fn dns_name(&self) -> Option<&DnsName> {
        match self {
            Self::Dns(name) | Self::WildcardDns(name) => Some(name),
            Self::Ip(_) => None,
        }
    }
}

/// The label that is at fault, where it is one.
fn place(value: &str, fault: &NameFault) -> String {
    let labels = || value.split('.');
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let at = match fault {
        NameFault::EmptyLabel => labels().position(str::is_empty),
        NameFault::LabelTooLong => labels().position(|label| label.len() > 63),
        NameFault::Character => labels().position(|label| !label.bytes().all(is_letter)),
        NameFault::Hyphen => {
            labels().position(|label| label.starts_with('-') || label.ends_with('-'))
        }
        // A first one alone is a wildcard.
        NameFault::Asterisk => {
            let all = labels().enumerate();
            all.filter(|(_, label)| label.contains('*'))
                .last()
                .map(|(at, _)| at)
        }
        _ => None,
    };
    let Some((at, label)) = at.and_then(|at| Some((at, labels().nth(at)?))) else {
        return String::new();
    };
    format!(
        " (label {} of {}, {})",
        at + 1,
        labels().count(),
        quoted(label)
    )
}

impl fmt::Display for Identifier {
    /// Writes the value: `example.com`, `*.example.com`, `192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name.as_str()),
            Self::WildcardDns(name) => write!(f, "*.{name}"),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl TryFrom<&WireIdentifier> for Identifier {
    type Error = IdentifierFault;

    fn try_from(wire: &WireIdentifier) -> Result<Self, Self::Error> {
        Self::parse(&wire.kind, &wire.value)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Identifier", 2)?;
        object.serialize_field("type", self.kind())?;
        match self {
            Self::Dns(name) => object.serialize_field("value", name)?,
            other => object.serialize_field("value", &other.to_string())?,
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireIdentifier::deserialize(deserializer)?;
        Self::try_from(&wire).map_err(de::Error::custom)
    }
}
