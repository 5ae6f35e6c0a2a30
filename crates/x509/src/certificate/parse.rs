//! Reading certificates back: the CA's own at start, what was just built before it is signed.

use std::net::IpAddr;

use super::{Name, NameConstraints, Serial, template::usage};
use crate::{
    key::{BadSignature, PublicKey, PublicKeyFault, PublicKeyKind, SignatureAlgorithm, key_id},
    oid,
    reader::{DerFault, Reader, Value, only},
    writer::tag,
};

/// Why a certificate cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not DER, or not a certificate.
    #[error("it is not a DER certificate: {0}")]
    Der(#[from] DerFault),
    /// Its key.
    #[error(transparent)]
    Key(#[from] PublicKeyFault),
    /// The two signature algorithms differ.
    #[error("its two signature algorithm fields differ")]
    Algorithm,
    /// An extension stands in it twice.
    #[error("an extension stands in it twice")]
    Twice,
}

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Contents of its OID.
    pub id: Vec<u8>,
    /// Whether it is critical.
    pub critical: bool,
    /// Contents of its OCTET STRING.
    pub value: Vec<u8>,
}

/// A parsed certificate; of the signed part everything that Cairn decides on.
#[derive(Debug, Clone)]
pub struct Certificate {
    tbs: Vec<u8>,
    signature: Vec<u8>,
    algorithm: SignatureAlgorithm,
    pub(crate) body: Body,
}

/// The signed part, parsed; also of bytes that are not signed yet.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) version: u8,
    pub(crate) serial: Vec<u8>,
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) key: PublicKey,
    pub(crate) unique_ids: bool,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) dns_names: Vec<String>,
    pub(crate) ip_addresses: Vec<IpAddr>,
    pub(crate) other_names: bool,
    pub(crate) key_id: Vec<u8>,
    pub(crate) constraints: NameConstraints,
}

impl Body {
    /// Parses; a key whose octets are those of `known` is taken from there, for decoding a point costs more than all the
    /// rest.
    pub(crate) fn parse(tbs: &[u8], known: Option<&PublicKey>) -> Result<Self, CertificateFault> {
        let mut r = Reader::new(only(tbs, tag::SEQUENCE)?.contents);
        let version = match r.optional(tag::constructed(0))? {
            None => 0,
            Some(inner) => {
                let mut inner = Reader::new(inner.contents);
                let number = small(inner.unsigned()?)?;
                inner.end()?;
                number
            }
        };
        let serial = r.expect(tag::INTEGER)?.contents.to_vec();
        let algorithm = SignatureAlgorithm::read(&mut r)?;
        let issuer = r.expect(tag::SEQUENCE)?.whole.to_vec();
        let mut validity = r.enter(tag::SEQUENCE)?;
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        validity.end()?;
        let subject = r.expect(tag::SEQUENCE)?.whole.to_vec();
        let spki = r.expect(tag::SEQUENCE)?.whole;
        let key = match known {
            Some(known) if known.spki_der() == spki => known.clone(),
            _ => PublicKey::from_spki_der(spki)?,
        };
        let mut unique_ids = false;
        for number in [1, 2] {
            unique_ids |= r.optional(tag::context(number))?.is_some();
        }
        let extensions = match r.optional(tag::constructed(3))? {
            Some(outer) => extensions(outer.contents)?,
            None => Vec::new(),
        };
        r.end()?;
        let key_id = key_id(key.key_bits()).to_vec();
        let mut body = Self {
            version,
            serial,
            algorithm,
            issuer,
            not_before,
            not_after,
            subject,
            key,
            unique_ids,
            extensions: Vec::new(),
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            other_names: false,
            key_id,
            constraints: NameConstraints::default(),
        };
        for extension in &extensions {
            match extension.id.as_slice() {
                oid::SUBJECT_ALT_NAME => body.alternative_names(&extension.value)?,
                oid::SUBJECT_KEY_ID => {
                    body.key_id = only(&extension.value, tag::OCTET_STRING)?.contents.to_vec();
                }
                oid::NAME_CONSTRAINTS => {
                    body.constraints = NameConstraints::parse(&extension.value)?;
                }
                _ => {}
            }
        }
        body.extensions = extensions;
        Ok(body)
    }

    fn alternative_names(&mut self, value: &[u8]) -> Result<(), DerFault> {
        let mut names = Reader::new(only(value, tag::SEQUENCE)?.contents);
        while !names.is_empty() {
            let Value {
                tag: kind,
                contents,
                ..
            } = names.any()?;
            match kind {
                0x82 if contents.is_ascii() => self
                    .dns_names
                    .push(String::from_utf8_lossy(contents).into_owned()),
                0x87 => self.ip_addresses.push(match contents.len() {
                    4 => IpAddr::from(<[u8; 4]>::try_from(contents).map_err(|_| DerFault::Value)?),
                    16 => {
                        IpAddr::from(<[u8; 16]>::try_from(contents).map_err(|_| DerFault::Value)?)
                    }
                    _ => return Err(DerFault::Value),
                }),
                _ => self.other_names = true,
            }
        }
        Ok(())
    }

    pub(crate) fn extension(&self, id: &[u8]) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.id == id)
    }
}

/// The first and the last second of a certificate's signed part.
#[must_use]
pub fn validity_of(tbs: &[u8]) -> Option<(i64, i64)> {
    let mut r = Reader::new(only(tbs, tag::SEQUENCE).ok()?.contents);
    r.optional(tag::constructed(0)).ok()?;
    r.expect(tag::INTEGER).ok()?;
    // Algorithm and issuer.
    r.expect(tag::SEQUENCE).ok()?;
    r.expect(tag::SEQUENCE).ok()?;
    let mut validity = r.enter(tag::SEQUENCE).ok()?;
    Some((validity.time().ok()?, validity.time().ok()?))
}

/// A name that is an organization and a common name, or the latter alone, written as Cairn writes it.
fn name_of(der: &[u8]) -> Option<Name> {
    let organization = attribute_of(der, oid::ORGANIZATION);
    let common_name = attribute_of(der, oid::COMMON_NAME)?;
    let name = Name {
        organization,
        common_name,
    };
    (name.to_der() == der).then_some(name)
}

/// An attribute in a name's DER, if it has one in UTF-8.
fn attribute_of(name: &[u8], wanted: &[u8]) -> Option<String> {
    let mut sets = Reader::new(only(name, tag::SEQUENCE).ok()?.contents);
    while !sets.is_empty() {
        let mut attribute = Reader::new(
            only(sets.expect(tag::SET).ok()?.contents, tag::SEQUENCE)
                .ok()?
                .contents,
        );
        let id = attribute.expect(tag::OID).ok()?.contents;
        if id == wanted {
            let text = attribute.expect(tag::UTF8_STRING).ok()?.contents;
            return std::str::from_utf8(text).ok().map(str::to_owned);
        }
    }
    None
}

/// A version number.
pub(crate) fn small(magnitude: &[u8]) -> Result<u8, DerFault> {
    match magnitude {
        [] => Ok(0),
        [number] => Ok(*number),
        _ => Err(DerFault::Value),
    }
}

/// Extensions of one certificate; real ones have about ten.
const EXTENSIONS_MAX: usize = 64;

pub(crate) fn extensions(outer: &[u8]) -> Result<Vec<Extension>, CertificateFault> {
    let mut all = Reader::new(only(outer, tag::SEQUENCE)?.contents);
    let mut found: Vec<Extension> = Vec::with_capacity(10);
    while !all.is_empty() {
        let mut one = all.enter(tag::SEQUENCE)?;
        let id = one.expect(tag::OID)?.contents.to_vec();
        let critical = match one.peek() {
            // DER leaves a default out.
            Some(tag::BOOLEAN) => one.boolean()?.then_some(true).ok_or(DerFault::Value)?,
            _ => false,
        };
        let value = one.expect(tag::OCTET_STRING)?.contents.to_vec();
        one.end()?;
        // Strangers' certificates come here too (RFC 8737), and each is compared with all before it.
        if found.len() >= EXTENSIONS_MAX {
            return Err(DerFault::Value.into());
        }
        if found.iter().any(|e| e.id == id) {
            return Err(CertificateFault::Twice);
        }
        found.push(Extension {
            id,
            critical,
            value,
        });
    }
    Ok(found)
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none, or one of a kind that Cairn neither makes nor needs.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateFault> {
        let mut r = Reader::new(only(der, tag::SEQUENCE)?.contents);
        let tbs = r.expect(tag::SEQUENCE)?.whole.to_vec();
        let algorithm = SignatureAlgorithm::read(&mut r)?;
        let signature = r.bit_string()?.to_vec();
        r.end()?;
        let body = Body::parse(&tbs, None)?;
        if body.algorithm != algorithm {
            return Err(CertificateFault::Algorithm);
        }
        Ok(Self {
            tbs,
            signature,
            algorithm,
            body,
        })
    }

    /// The signed part.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs
    }

    /// The signature value, without its BIT STRING wrapping.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The subject, as its octets.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.body.subject
    }

    /// The common name of its subject, where it is one string of UTF-8, as this CA writes it.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        attribute_of(&self.body.subject, oid::COMMON_NAME)
    }

    /// Its subject, if it is of the form that Cairn writes.
    #[must_use]
    pub fn subject(&self) -> Option<Name> {
        name_of(&self.body.subject)
    }

    /// The issuer, as its octets.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.body.issuer
    }

    /// The common name of its issuer, where it is one string of UTF-8.
    #[must_use]
    pub fn issuer_common_name(&self) -> Option<String> {
        attribute_of(&self.body.issuer, oid::COMMON_NAME)
    }

    /// The contents of its serial INTEGER.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.body.serial
    }

    /// Its serial, if it is of this CA's form.
    #[must_use]
    pub fn cairn_serial(&self) -> Option<Serial> {
        <[u8; 19]>::try_from(self.body.serial.as_slice())
            .ok()
            .and_then(Serial::from_bytes)
    }

    /// Its SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.body.key.spki_der()
    }

    /// Its key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.body.key
    }

    /// Its subject key identifier, or what it would be.
    #[must_use]
    pub fn key_id(&self) -> &[u8] {
        &self.body.key_id
    }

    /// First second.
    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.body.not_before
    }

    /// Last second.
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.body.not_after
    }

    /// Its DNS names.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.body.dns_names
    }

    /// Its addresses.
    #[must_use]
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.body.ip_addresses
    }

    /// The DNS subtrees that it may sign for; empty: no constraint on them.
    #[must_use]
    pub fn permitted_dns(&self) -> &[String] {
        &self.body.constraints.permitted_dns
    }

    /// What it may sign for, if it is an issuer.
    #[must_use]
    pub fn constraints(&self) -> &NameConstraints {
        &self.body.constraints
    }

    /// Its extensions.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.body.extensions
    }

    /// How many certificates of CAs may follow below it, if that is bounded.
    #[must_use]
    pub fn path_length(&self) -> Option<u64> {
        let basic = self.body.extension(oid::BASIC_CONSTRAINTS)?;
        let mut inner = Reader::new(only(&basic.value, tag::SEQUENCE).ok()?.contents);
        inner.boolean().ok()?;
        let digits = inner.unsigned().ok()?;
        (digits.len() <= 8).then(|| digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// Whether it may sign certificates and CRLs.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        let basic = self
            .body
            .extension(oid::BASIC_CONSTRAINTS)
            .is_some_and(|e| {
                Reader::new(&e.value)
                    .enter(tag::SEQUENCE)
                    .and_then(|mut r| r.boolean())
                    .unwrap_or(false)
            });
        let both = usage::KEY_CERT_SIGN | usage::CRL_SIGN;
        let signs = self.body.extension(oid::KEY_USAGE).is_some_and(|e| {
            only(&e.value, tag::BIT_STRING)
                .is_ok_and(|v| v.contents.get(1).is_some_and(|bits| bits & both == both))
        });
        basic && signs
    }

    /// How its key signs what it issues.
    #[must_use]
    pub fn issues_with(&self) -> SignatureAlgorithm {
        match self.body.key.kind() {
            PublicKeyKind::Ec { bits: 256 } => SignatureAlgorithm::EcdsaSha256,
            PublicKeyKind::Ec { bits: 384 } => SignatureAlgorithm::EcdsaSha384,
            PublicKeyKind::Ec { .. } => SignatureAlgorithm::EcdsaSha512,
            PublicKeyKind::Rsa { .. } => SignatureAlgorithm::RsaSha256,
            PublicKeyKind::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }

    /// Verifies a signature of its key over something that it issued.
    ///
    /// # Errors
    /// When it is not this key's.
    pub fn verify_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.body.key.verify(self.issues_with(), message, signature)
    }

    /// Verifies that the issuer signed this certificate and bears its issuer's name.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify_issued_by(&self, issuer: &Self) -> Result<(), BadSignature> {
        if self.body.issuer != issuer.body.subject {
            return Err(BadSignature);
        }
        issuer
            .body
            .key
            .verify(self.algorithm, &self.tbs, &self.signature)
    }
}
