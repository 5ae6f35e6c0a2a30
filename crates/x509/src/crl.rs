//! CRLs (RFC 5280 §5): a complete list for one shard, with the issuing distribution point that its certificates name.

use crate::{
    certificate::{self, CertificateFault, Extension, Serial, distribution_point, extension},
    key::SignatureAlgorithm,
    oid,
    reader::{DerFault, Reader, only},
    writer::{Writer, tag},
};

/// A revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub serial: Serial,
    /// When, in seconds of the epoch; never after thisUpdate.
    pub revoked_at: i64,
    /// The reason code; none for unspecified.
    pub reason: Option<u8>,
}

/// What a CRL says beside its entries.
#[derive(Debug, Clone)]
pub struct CrlTemplate<'a> {
    /// The issuer's subject, as its octets.
    pub issuer_subject_der: &'a [u8],
    /// The issuer's key identifier.
    pub issuer_key_id: &'a [u8],
    /// cRLNumber.
    pub number: u64,
    /// First second.
    pub this_update: i64,
    /// The next one comes before this.
    pub next_update: i64,
    /// The URL in the certificates of this shard.
    pub idp_url: &'a str,
    /// onlyContainsUserCerts.
    pub only_user_certs: bool,
    /// How the issuer signs.
    pub signature_algorithm: SignatureAlgorithm,
}

impl CrlTemplate<'_> {
    /// The bytes to sign.
    #[must_use]
    pub fn build(&self, entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
        let mut entries = entries.into_iter().peekable();
        let mut w = Writer::with_capacity(512);
        w.nest(tag::SEQUENCE, |w| {
            w.unsigned(&[1]);
            self.signature_algorithm.write(w);
            w.raw(self.issuer_subject_der);
            w.time(self.this_update);
            w.time(self.next_update);
            if entries.peek().is_some() {
                w.nest(tag::SEQUENCE, |w| entries.for_each(|e| entry(w, &e)));
            }
            w.nest(tag::constructed(0), |w| {
                w.nest(tag::SEQUENCE, |w| self.extensions(w))
            });
        });
        w.finish()
    }

    fn extensions(&self, w: &mut Writer) {
        extension(w, oid::AUTHORITY_KEY_ID, false, |w| {
            w.nest(tag::SEQUENCE, |w| {
                w.value(tag::context(0), self.issuer_key_id)
            });
        });
        extension(w, oid::CRL_NUMBER, false, |w| {
            w.unsigned(&self.number.to_be_bytes())
        });
        extension(w, oid::ISSUING_DISTRIBUTION_POINT, true, |w| {
            w.nest(tag::SEQUENCE, |w| {
                distribution_point(w, self.idp_url);
                if self.only_user_certs {
                    w.value(tag::context(1), &[0xff]);
                }
            });
        });
    }
}

fn entry(w: &mut Writer, entry: &Entry) {
    w.nest(tag::SEQUENCE, |w| {
        w.unsigned(entry.serial.as_bytes());
        w.time(entry.revoked_at);
        if let Some(reason) = entry.reason.filter(|r| *r != 0) {
            w.nest(tag::SEQUENCE, |w| {
                extension(w, oid::REASON_CODE, false, |w| {
                    w.value(tag::ENUMERATED, &[reason])
                })
            });
        }
    });
}

/// A parsed CRL.
#[derive(Debug, Clone)]
pub struct Crl {
    tbs: Vec<u8>,
    signature: Vec<u8>,
    algorithm: SignatureAlgorithm,
    pub(crate) body: CrlBody,
}

/// The signed part, parsed.
#[derive(Debug, Clone)]
pub(crate) struct CrlBody {
    pub(crate) version: Option<u8>,
    pub(crate) algorithm: SignatureAlgorithm,
    pub(crate) issuer: Vec<u8>,
    pub(crate) this_update: i64,
    pub(crate) next_update: i64,
    /// `None` where the list is absent.
    pub(crate) entries: Option<Vec<ParsedEntry>>,
    /// Whether an entry has an extension that is critical or no reason code.
    pub(crate) foreign_entry_extension: bool,
    pub(crate) extensions: Vec<Extension>,
}

/// An entry as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedEntry {
    /// Contents of the serial INTEGER.
    pub serial: Vec<u8>,
    /// Seconds of the epoch.
    pub revoked_at: i64,
    /// The reason code, if there is one.
    pub reason: Option<u8>,
}

impl CrlBody {
    pub(crate) fn parse(tbs: &[u8]) -> Result<Self, CertificateFault> {
        let mut r = Reader::new(only(tbs, tag::SEQUENCE)?.contents);
        let version = match r.peek() {
            Some(tag::INTEGER) => Some(certificate::small(r.unsigned()?)?),
            _ => None,
        };
        let algorithm = SignatureAlgorithm::read(&mut r)?;
        let issuer = r.expect(tag::SEQUENCE)?.whole.to_vec();
        let (this_update, next_update) = (r.time()?, r.time()?);
        let mut foreign = false;
        let entries = match r.optional(tag::SEQUENCE)? {
            None => None,
            Some(list) => {
                let mut list = Reader::new(list.contents);
                let mut found = Vec::new();
                while !list.is_empty() {
                    found.push(parsed_entry(list.enter(tag::SEQUENCE)?, &mut foreign)?);
                }
                Some(found)
            }
        };
        let extensions = match r.optional(tag::constructed(0))? {
            Some(outer) => crate::certificate::parse_extensions(outer.contents)?,
            None => Vec::new(),
        };
        r.end()?;
        Ok(Self {
            version,
            algorithm,
            issuer,
            this_update,
            next_update,
            entries,
            foreign_entry_extension: foreign,
            extensions,
        })
    }

    pub(crate) fn extension(&self, id: &[u8]) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.id == id)
    }
}

fn parsed_entry(mut r: Reader<'_>, foreign: &mut bool) -> Result<ParsedEntry, CertificateFault> {
    let serial = r.expect(tag::INTEGER)?.contents.to_vec();
    let revoked_at = r.time()?;
    let mut reason = None;
    if let Some(extensions) = r.optional(tag::SEQUENCE)? {
        for one in crate::certificate::parse_extensions(extensions.whole)? {
            *foreign |= one.critical || one.id != oid::REASON_CODE;
            if one.id == oid::REASON_CODE {
                let value = only(&one.value, tag::ENUMERATED)?.contents;
                reason = Some(
                    *value
                        .first()
                        .filter(|_| value.len() == 1)
                        .ok_or(DerFault::Value)?,
                );
            }
        }
    }
    r.end()?;
    Ok(ParsedEntry {
        serial,
        revoked_at,
        reason,
    })
}

impl Crl {
    /// Reads a CRL.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateFault> {
        let mut r = Reader::new(only(der, tag::SEQUENCE)?.contents);
        let tbs = r.expect(tag::SEQUENCE)?.whole.to_vec();
        let algorithm = SignatureAlgorithm::read(&mut r)?;
        let signature = r.bit_string()?.to_vec();
        r.end()?;
        let body = CrlBody::parse(&tbs)?;
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

    /// Puts signed bytes and signature together.
    #[must_use]
    pub fn assemble(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        certificate::assemble(tbs, algorithm, signature)
    }

    /// Verifies that the issuer signed it.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify_issued_by(
        &self,
        issuer: &certificate::Certificate,
    ) -> Result<(), crate::key::BadSignature> {
        if self.body.issuer != issuer.subject_der() {
            return Err(crate::key::BadSignature);
        }
        issuer
            .public_key()
            .verify(self.algorithm, &self.tbs, &self.signature)
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let value = &self.body.extension(oid::CRL_NUMBER)?.value;
        only(value, tag::INTEGER).ok()?;
        let digits = Reader::new(value).unsigned().ok()?;
        (digits.len() <= 8).then(|| digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    /// The URL of its issuing distribution point: which shard it is.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        let point = self.body.extension(oid::ISSUING_DISTRIBUTION_POINT)?;
        let mut point = Reader::new(only(&point.value, tag::SEQUENCE).ok()?.contents);
        let mut name = point.enter(tag::constructed(0)).ok()?;
        let mut full = name.enter(tag::constructed(0)).ok()?;
        std::str::from_utf8(full.expect(tag::context(6)).ok()?.contents).ok()
    }

    /// First second.
    #[must_use]
    pub fn this_update(&self) -> i64 {
        self.body.this_update
    }

    /// Its end.
    #[must_use]
    pub fn next_update(&self) -> i64 {
        self.body.next_update
    }

    /// What is revoked.
    #[must_use]
    pub fn entries(&self) -> &[ParsedEntry] {
        self.body.entries.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
