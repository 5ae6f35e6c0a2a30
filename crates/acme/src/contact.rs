//! Contacts: `mailto` URLs with one plain address (RFC 8555 §7.3, RFC 6068; T-CA-34).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    identifier::DnsName,
    limits::{ADDRESS_MAX, LOCAL_PART_MAX},
    problem::{Problem, ProblemType},
    text::quoted,
};

/// A contact: `mailto:` and one address. The domain is lower-cased, the rest kept as given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contact(String);

/// Why a contact is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactFault {
    /// A scheme other than `mailto`.
    #[error("contact {0} has a scheme that is not supported; mailto is")]
    Unsupported(String),
    /// Not one plain address.
    #[error("contact {value} is invalid: {reason}")]
    Invalid {
        /// The contact, quoted and shortened.
        value: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More contacts than one account may have.
    #[error("an account has at most {0} contacts")]
    TooMany(usize),
}

impl From<ContactFault> for Problem {
    fn from(fault: ContactFault) -> Self {
        let kind = match fault {
            ContactFault::Unsupported(_) => ProblemType::UnsupportedContact,
            ContactFault::Invalid { .. } | ContactFault::TooMany(_) => ProblemType::InvalidContact,
        };
        Self::new(kind, fault.to_string())
    }
}

impl Contact {
    /// Judges a contact URL.
    ///
    /// # Errors
    /// When the scheme is not `mailto`, or what follows is not one plain address.
    pub fn parse(text: &str) -> Result<Self, ContactFault> {
        let invalid = |reason| ContactFault::Invalid {
            value: quoted(text),
            reason,
        };
        let (scheme, address) = text
            .split_once(':')
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| invalid("it is not a URL, such as mailto:admin@example.org"))?;
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(ContactFault::Unsupported(quoted(text)));
        }
        if !address.is_ascii() {
            return Err(invalid("it has characters outside ASCII"));
        }
        if address.contains('?') {
            return Err(invalid(
                "header fields (what follows the ?) are not accepted",
            ));
        }
        if address.contains('#') {
            return Err(invalid("a fragment (what follows the #) is not accepted"));
        }
        if address.contains(',') {
            return Err(invalid("give one address for each contact"));
        }
        if address.matches('@').count() > 1 {
            return Err(invalid(
                "it has more than one @; correct it, or leave it out",
            ));
        }
        // Escapes could hide what the checks above refuse; plain addresses need none.
        if address.contains('%') {
            return Err(invalid("escapes (%) are not accepted"));
        }
        let (local, domain) = address
            .split_once('@')
            .ok_or_else(|| invalid("it is not an address"))?;
        if address.len() > ADDRESS_MAX || local.len() > LOCAL_PART_MAX {
            return Err(invalid("the address is too long"));
        }
        if !is_dot_atom(local) {
            return Err(invalid("the part before the @ is not a plain mailbox name"));
        }
        let domain = DnsName::parse(domain)
            .map_err(|_| invalid("the part after the @ is not a domain name"))?;
        Ok(Self(format!("mailto:{local}@{domain}")))
    }

    /// Judges all contacts of an account; equal ones are taken once.
    ///
    /// # Errors
    /// When there are more than `max`, or at the first that is refused.
    pub fn parse_all<T: AsRef<str>>(texts: &[T], max: usize) -> Result<Vec<Self>, ContactFault> {
        if texts.len() > max {
            return Err(ContactFault::TooMany(max));
        }
        let mut contacts = Vec::with_capacity(texts.len());
        for text in texts {
            let contact = Self::parse(text.as_ref())?;
            if !contacts.contains(&contact) {
                contacts.push(contact);
            }
        }
        Ok(contacts)
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without its scheme.
    #[must_use]
    pub fn address(&self) -> &str {
        self.0.strip_prefix("mailto:").unwrap_or(&self.0)
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// RFC 5322 §3.2.3: no quoting, comments or folding.
fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~".contains(&b))
    })
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Contact {
    type Err = ContactFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Contact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Contact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_plain_mailto_address_is_accepted_and_nothing_else() {
        // 8555-7.3-5, 8555-7.3-6, T-CA-34
        const UNSUPPORTED: Option<ProblemType> = Some(ProblemType::UnsupportedContact);
        const INVALID: Option<ProblemType> = Some(ProblemType::InvalidContact);
        let long_local = format!("mailto:{}@example.org", "a".repeat(65));
        let cases: &[(&str, Option<ProblemType>)] = &[
            ("mailto:admin@example.org", None),
            ("MAILTO:admin@example.org", None),
            ("mailto:first.last+acme@mail.example.org", None),
            ("mailto:root@localhost", None),
            ("tel:+12025551212", UNSUPPORTED),
            ("javascript:alert(1)", UNSUPPORTED),
            ("https://example.org/", UNSUPPORTED),
            ("data:text/html,x", UNSUPPORTED),
            ("", INVALID),
            ("admin@example.org", INVALID),
            ("mailto:", INVALID),
            ("mailto:admin", INVALID),
            ("mailto:@example.org", INVALID),
            ("mailto:admin@", INVALID),
            ("mailto:a@example.org?bcc=x@example.net", INVALID),
            ("mailto:a@example.org?", INVALID),
            ("mailto:a@example.org#x", INVALID),
            ("mailto:a@example.org,b@example.org", INVALID),
            ("mailto:a@example.org%2Cb@example.org", INVALID),
            ("mailto:a%0d%0aBcc:x@example.org", INVALID),
            ("mailto:a\r\nBcc:x@example.org", INVALID),
            ("mailto:a@b@example.org", INVALID),
            ("mailto:\"a b\"@example.org", INVALID),
            ("mailto:a b@example.org", INVALID),
            ("mailto:Admin <a@example.org>", INVALID),
            ("mailto:.a@example.org", INVALID),
            ("mailto:a..b@example.org", INVALID),
            ("mailto:a@example..org", INVALID),
            ("mailto:a@[192.0.2.1]", INVALID),
            ("mailto:a@192.0.2.1", INVALID),
            ("mailto:ä@example.org", INVALID),
            ("mailto:a@bücher.example", INVALID),
            (" mailto:a@example.org", INVALID),
            ("mailto:a@example.org ", INVALID),
            (&long_local, INVALID),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .map(|(text, want)| (text, want, Contact::parse(text).map_err(Problem::from)))
            .filter(|(_, want, got)| got.as_ref().err().map(|p| &p.kind) != want.as_ref())
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn an_unsupported_scheme_is_told_which_is_supported() {
        // 8555-7.3-5
        let problem = Problem::from(Contact::parse("tel:+1").unwrap_err());
        assert!(problem.detail.contains("mailto"), "{}", problem.detail);
    }

    #[test]
    fn contacts_are_counted_and_taken_once() {
        // 8555-7.3-6
        let same = ["mailto:a@Example.org", "mailto:a@example.ORG"];
        assert_eq!(Contact::parse_all(&same, 2).unwrap().len(), 1);
        assert_eq!(Contact::parse_all(&same, 1), Err(ContactFault::TooMany(1)));
        assert!(Contact::parse_all(&["mailto:a@example.org", ""], 5).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_harmless_and_reads_back(text in "(mailto:)?[ -~\r\n]{0,30}@[a-z.-]{1,20}") {
            if let Ok(contact) = Contact::parse(&text) {
                prop_assert!(contact.as_str().bytes().all(|b| b.is_ascii_graphic() && !b"?,%\"<>#".contains(&b)));
                prop_assert_eq!(Contact::parse(contact.as_str()).unwrap(), contact);
            }
        }

        #[test]
        fn judging_never_panics(text in any::<String>()) {
            let _ = Contact::parse(&text);
        }
    }
}
