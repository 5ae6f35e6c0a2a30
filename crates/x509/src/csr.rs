//! Certificate signing requests (PKCS#10, RFC 2986), read strictly. Key and names are all that goes on; what else is asked
//! for is refused or left behind (T-CA-53).

use std::net::IpAddr;

use crate::{
    key::{
        BadSignature, PrivateKey, PrivateKeyFault, PublicKey, PublicKeyFault, SignatureAlgorithm,
    },
    oid,
    reader::{DerFault, Reader, Value, only},
    weak::{self, KeyFault},
    writer::{Writer, tag},
};

/// Why a CSR is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrFault {
    /// Not DER, or not a CSR.
    #[error("it is not a DER certification request: {0}")]
    Der(#[from] DerFault),
    /// Another version than 0.
    #[error("its version is not 0")]
    Version,
    /// The key.
    #[error(transparent)]
    Key(#[from] PublicKeyFault),
    /// An RSA key that no signature can be verified with.
    #[error("its key is refused: {0}; make a new key with current software")]
    Weak(#[from] KeyFault),
    /// SHA-1, MD5, PSS or something unheard of, in words.
    #[error(
        "it is signed with {0}; sign it with ECDSA or RSA PKCS#1 with SHA-256, -384 or -512, or with Ed25519"
    )]
    Algorithm(String),
    /// The proof of possession.
    #[error("its signature does not verify with its own key")]
    Signature,
    /// An attribute that is no extension request.
    #[error("it has an attribute other than extensionRequest")]
    Attribute,
    /// The same thing twice.
    #[error("{0} stands in it twice")]
    Twice(&'static str),
    /// A subject alternative name of a kind that is not issued for.
    #[error(
        "it asks for a subject alternative name of type {0}; only DNS names and IP addresses are issued for"
    )]
    NameType(&'static str),
    /// A name with octets that its string type does not have.
    #[error("a name in it has characters that do not belong there")]
    NameString,
    /// A common name beside other attributes in one RDN, or too long.
    #[error("its common name is longer than 64 octets or stands in one RDN with something else")]
    CommonName,
    /// More than this server reads.
    #[error("it holds more than this server reads")]
    TooMuch,
}

impl From<BadSignature> for CsrFault {
    fn from(_: BadSignature) -> Self {
        Self::Signature
    }
}

/// How many subject alternative names are read.
const NAMES_MAX: usize = 1000;

/// ub-common-name (RFC 5280 appendix A.1).
const COMMON_NAME_MAX: usize = 64;

/// A CSR whose signature was verified.
#[derive(Debug, Clone)]
pub struct Csr {
    key: PublicKey,
    dns_names: Vec<String>,
    ip_addresses: Vec<IpAddr>,
    common_names: Vec<String>,
    must_staple: bool,
}

impl Csr {
    /// Reads and verifies.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(der: &[u8]) -> Result<Self, CsrFault> {
        let mut outer = Reader::new(only(der, tag::SEQUENCE)?.contents);
        let info = outer.expect(tag::SEQUENCE)?;
        let found = outer;
        let algorithm = SignatureAlgorithm::read(&mut outer)
            .map_err(|_| CsrFault::Algorithm(SignatureAlgorithm::describe(found)))?;
        let signature = outer.bit_string()?;
        outer.end()?;

        let mut reader = Reader::new(info.contents);
        if !reader.unsigned()?.is_empty() {
            return Err(CsrFault::Version);
        }
        let subject = reader.expect(tag::SEQUENCE)?;
        let key = PublicKey::from_spki_der(reader.expect(tag::SEQUENCE)?.whole)?;
        let mut csr = Self {
            key,
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            common_names: common_names(subject.contents)?,
            must_staple: false,
        };
        csr.attributes(reader.expect(tag::constructed(0))?.contents)?;
        reader.end()?;
        // Before the signature: the library does not verify with such a key, and that would be told as the fault.
        weak::check_shape(&csr.key)?;
        csr.key.verify(algorithm, info.whole, signature)?;
        Ok(csr)
    }

    fn attributes(&mut self, contents: &[u8]) -> Result<(), CsrFault> {
        let mut attributes = Reader::new(contents);
        let mut requested = false;
        while !attributes.is_empty() {
            let mut attribute = attributes.enter(tag::SEQUENCE)?;
            if attribute.expect(tag::OID)?.contents != oid::EXTENSION_REQUEST {
                return Err(CsrFault::Attribute);
            }
            if std::mem::replace(&mut requested, true) {
                return Err(CsrFault::Twice("extensionRequest"));
            }
            let mut values = attribute.enter(tag::SET)?;
            attribute.end()?;
            let extensions = values.expect(tag::SEQUENCE)?;
            values.end()?;
            self.extensions(extensions.contents)?;
        }
        Ok(())
    }

    fn extensions(&mut self, contents: &[u8]) -> Result<(), CsrFault> {
        let mut extensions = Reader::new(contents);
        let mut seen: Vec<&[u8]> = Vec::new();
        while !extensions.is_empty() {
            let mut extension = extensions.enter(tag::SEQUENCE)?;
            let id = extension.expect(tag::OID)?.contents;
            // DER leaves FALSE, the default, out.
            if extension.peek() == Some(tag::BOOLEAN) && !extension.boolean()? {
                return Err(DerFault::Value.into());
            }
            let value = extension.expect(tag::OCTET_STRING)?.contents;
            extension.end()?;
            if seen.contains(&id) {
                return Err(CsrFault::Twice("an extension"));
            }
            if seen.len() >= 64 {
                return Err(CsrFault::TooMuch);
            }
            seen.push(id);
            match id {
                oid::SUBJECT_ALT_NAME => self.alternative_names(value)?,
                oid::TLS_FEATURE => self.must_staple = true,
                // Key usage, constraints, policies …: the profile's business, never the subscriber's.
                _ => {}
            }
        }
        Ok(())
    }

    fn alternative_names(&mut self, value: &[u8]) -> Result<(), CsrFault> {
        let mut names = Reader::new(only(value, tag::SEQUENCE)?.contents);
        while !names.is_empty() {
            let Value {
                tag: kind,
                contents,
                ..
            } = names.any()?;
            if self.dns_names.len() + self.ip_addresses.len() >= NAMES_MAX {
                return Err(CsrFault::TooMuch);
            }
            match kind {
                0x82 => self.dns_names.push(ascii(contents)?),
                0x87 => self.ip_addresses.push(address(contents)?),
                0xa0 => return Err(CsrFault::NameType("otherName")),
                0x81 => return Err(CsrFault::NameType("rfc822Name")),
                0xa3 => return Err(CsrFault::NameType("x400Address")),
                0xa4 => return Err(CsrFault::NameType("directoryName")),
                0xa5 => return Err(CsrFault::NameType("ediPartyName")),
                0x86 => return Err(CsrFault::NameType("uniformResourceIdentifier")),
                0x88 => return Err(CsrFault::NameType("registeredID")),
                _ => return Err(DerFault::Value.into()),
            }
        }
        Ok(())
    }

    /// The key, whose possession was proven.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The DNS names as they stand in the subject alternative names.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// The IP addresses of the subject alternative names.
    #[must_use]
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.ip_addresses
    }

    /// The common name of the subject, if it has one; more than one is refused.
    #[must_use]
    pub fn common_names(&self) -> &[String] {
        &self.common_names
    }

    /// All that it names as text: the DNS names, and the common name, unless that only says again which address the
    /// subject alternative names have, as some clients do (uacme). RFC 8738 gives it no meaning then.
    pub fn text_names(&self) -> impl Iterator<Item = &String> {
        let repeats = |name: &&String| name.parse().is_ok_and(|a| self.ip_addresses.contains(&a));
        let common = self.common_names.iter().filter(move |name| !repeats(name));
        self.dns_names.iter().chain(common)
    }

    /// Whether it asks for the TLS feature extension (RFC 7633).
    #[must_use]
    pub fn wants_must_staple(&self) -> bool {
        self.must_staple
    }
}

/// Names have visible ASCII only; which of it belongs into a host name is for whoever knows the order (T-CA-55).
fn ascii(octets: &[u8]) -> Result<String, CsrFault> {
    if octets.iter().all(u8::is_ascii_graphic) {
        String::from_utf8(octets.to_vec()).map_err(|_| CsrFault::NameString)
    } else {
        Err(CsrFault::NameString)
    }
}

fn address(octets: &[u8]) -> Result<IpAddr, CsrFault> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Ok(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(octets)
        .map(IpAddr::from)
        .map_err(|_| DerFault::Value.into())
}

/// The common name of a subject, if any: one, alone in its RDN, of at most 64 octets, as PrintableString, UTF8String or
/// IA5String (T-CA-56).
fn common_names(subject: &[u8]) -> Result<Vec<String>, CsrFault> {
    let mut found = Vec::new();
    let mut names = Reader::new(subject);
    while !names.is_empty() {
        let mut set = names.enter(tag::SET)?;
        let (mut attributes, mut has_common_name) = (0, false);
        while attributes == 0 || !set.is_empty() {
            attributes += 1;
            let mut attribute = set.enter(tag::SEQUENCE)?;
            let id = attribute.expect(tag::OID)?.contents;
            let value = attribute.any()?;
            attribute.end()?;
            if id == oid::COMMON_NAME {
                has_common_name = true;
                if !matches!(
                    value.tag,
                    tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING
                ) {
                    return Err(CsrFault::NameString);
                }
                if value.contents.len() > COMMON_NAME_MAX {
                    return Err(CsrFault::CommonName);
                }
                if !found.is_empty() {
                    return Err(CsrFault::Twice("a common name"));
                }
                found.push(ascii(value.contents)?);
            }
        }
        if has_common_name && attributes > 1 {
            return Err(CsrFault::CommonName);
        }
    }
    Ok(found)
}

/// Makes a CSR for DNS names, with an empty subject.
///
/// # Errors
/// When the key does not sign.
pub fn build_csr(key: &PrivateKey, dns_names: &[String]) -> Result<Vec<u8>, PrivateKeyFault> {
    let mut w = Writer::with_capacity(256);
    w.nest(tag::SEQUENCE, |w| {
        w.unsigned(&[]);
        w.nest(tag::SEQUENCE, |_| {});
        w.raw(key.spki_der());
        w.nest(tag::constructed(0), |w| {
            w.nest(tag::SEQUENCE, |w| {
                w.value(tag::OID, oid::EXTENSION_REQUEST);
                w.nest(tag::SET, |w| {
                    w.nest(tag::SEQUENCE, |w| {
                        crate::certificate::extension(w, oid::SUBJECT_ALT_NAME, false, |w| {
                            w.nest(tag::SEQUENCE, |w| {
                                dns_names.iter().for_each(|n| w.value(0x82, n.as_bytes()))
                            });
                        });
                    });
                });
            });
        });
    });
    let info = w.finish();
    let signature = key.sign(&info)?;
    Ok(crate::certificate::assemble(
        &info,
        key.signature_algorithm(),
        &signature,
    ))
}

#[cfg(test)]
mod tests;
