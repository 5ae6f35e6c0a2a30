//! What is written into root, issuing and leaf certificates.

use std::net::IpAddr;

use super::{Serial, extension};
use crate::{
    key::{PublicKey, PublicKeyFault, PublicKeyKind, SignatureAlgorithm, key_id},
    oid,
    writer::{Writer, tag},
};

/// Why a template gives no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// The key.
    #[error(transparent)]
    Key(#[from] PublicKeyFault),
    /// A policy that is no object identifier.
    #[error("{0} is no object identifier")]
    Policy(String),
    /// A constraint that cannot be written.
    #[error("{0} is no address range")]
    Range(String),
    /// A constraint that is no DNS name.
    #[error("{0} is no lower-case DNS name")]
    DnsName(String),
    /// Ends that are no times of X.509, or in the wrong order.
    #[error("from {0} to {1} is no validity; it lies between the years 1950 and 9999")]
    Validity(i64, i64),
}

/// A subject or issuer: an organization and a common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// O, if any.
    pub organization: Option<String>,
    /// CN.
    pub common_name: String,
}

impl Name {
    /// As DER.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.nest(tag::SEQUENCE, |w| {
            if let Some(organization) = &self.organization {
                attribute(w, oid::ORGANIZATION, organization);
            }
            attribute(w, oid::COMMON_NAME, &self.common_name);
        });
        w.finish()
    }
}

fn attribute(w: &mut Writer, id: &[u8], text: &str) {
    w.nest(tag::SET, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, id);
            w.value(tag::UTF8_STRING, text.as_bytes());
        });
    });
}

/// A self-signed root.
#[derive(Debug, Clone)]
pub struct RootTemplate<'a> {
    /// Its serial.
    pub serial: Serial,
    /// Subject and issuer.
    pub subject: &'a Name,
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
    /// Its key.
    pub spki_der: &'a [u8],
    /// How that key signs.
    pub signature_algorithm: SignatureAlgorithm,
}

/// An issuing certificate under a root.
#[derive(Debug, Clone)]
pub struct IssuingTemplate<'a> {
    /// Its serial.
    pub serial: Serial,
    /// The issuer's subject, as its octets.
    pub issuer_subject_der: &'a [u8],
    /// The issuer's key identifier.
    pub issuer_key_id: &'a [u8],
    /// Its own subject.
    pub subject: &'a Name,
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
    /// Its key.
    pub spki_der: &'a [u8],
    /// DNS subtrees that it may sign for; none: no constraint on DNS names.
    pub permit_dns: &'a [String],
    /// Address ranges (address, prefix length) that it may sign for. With `permit_dns` and none of these, it may sign for
    /// no address.
    pub permit_ip: &'a [(IpAddr, u8)],
    /// How many issuing certificates may follow it on the way to a leaf.
    pub path_length: u8,
    /// How the issuer signs.
    pub signature_algorithm: SignatureAlgorithm,
}

/// A subscriber's certificate.
#[derive(Debug, Clone)]
pub struct LeafTemplate<'a> {
    /// Its serial.
    pub serial: Serial,
    /// The issuer's subject, as its octets.
    pub issuer_subject_der: &'a [u8],
    /// The issuer's key identifier.
    pub issuer_key_id: &'a [u8],
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
    /// The subscriber's key, as the CSR's parser gave it.
    pub key: &'a PublicKey,
    /// Its DNS names.
    pub dns_names: &'a [String],
    /// Its addresses.
    pub ip_addresses: &'a [IpAddr],
    /// One of the DNS names, or none: then the subject is empty and the names are critical.
    pub common_name: Option<&'a str>,
    /// keyEncipherment for RSA keys.
    pub key_encipherment: bool,
    /// id-kp-serverAuth.
    pub server_auth: bool,
    /// id-kp-clientAuth.
    pub client_auth: bool,
    /// Where its CRL shard is.
    pub crl_url: &'a str,
    /// Where its issuer is.
    pub ca_issuers_url: &'a str,
    /// Where an OCSP responder is that others run; Cairn has none.
    pub ocsp_url: Option<&'a str>,
    /// Dotted certificate policies.
    pub policies: &'a [String],
    /// The TLS feature status_request (RFC 7633).
    pub must_staple: bool,
    /// How the issuer signs.
    pub signature_algorithm: SignatureAlgorithm,
}

/// Bits of keyUsage, the first the most significant.
pub(crate) mod usage {
    pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
    pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;
    pub(crate) const KEY_CERT_SIGN: u8 = 0x04;
    pub(crate) const CRL_SIGN: u8 = 0x02;
}

pub(super) struct Head<'a> {
    pub(super) serial: Serial,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) issuer: &'a [u8],
    pub(super) validity: (i64, i64),
    pub(super) subject: &'a [u8],
    pub(super) spki: &'a [u8],
}

/// The first second of 1950 and the last of 9999.
const TIMES: std::ops::RangeInclusive<i64> = -631_152_000..=253_402_300_799;

pub(super) fn tbs(
    head: &Head<'_>,
    extensions: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, TemplateFault> {
    let (from, to) = head.validity;
    if from > to || !TIMES.contains(&from) || !TIMES.contains(&to) {
        return Err(TemplateFault::Validity(from, to));
    }
    let mut w = Writer::with_capacity(1024);
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::constructed(0), |w| w.unsigned(&[2]));
        w.unsigned(head.serial.as_bytes());
        head.algorithm.write(w);
        w.raw(head.issuer);
        w.nest(tag::SEQUENCE, |w| {
            w.time(head.validity.0);
            w.time(head.validity.1);
        });
        w.raw(head.subject);
        w.raw(head.spki);
        w.nest(tag::constructed(3), |w| w.nest(tag::SEQUENCE, extensions));
    });
    Ok(w.finish())
}

fn authority_key_id(w: &mut Writer, key_id: &[u8]) {
    extension(w, oid::AUTHORITY_KEY_ID, false, |w| {
        w.nest(tag::SEQUENCE, |w| w.value(tag::context(0), key_id))
    });
}

fn ca_extensions(w: &mut Writer, key_bits: &[u8], path_length: Option<u8>) {
    extension(w, oid::BASIC_CONSTRAINTS, true, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.yes();
            if let Some(length) = path_length {
                w.unsigned(&[length]);
            }
        });
    });
    extension(w, oid::KEY_USAGE, true, |w| {
        w.named_bits(usage::KEY_CERT_SIGN | usage::CRL_SIGN)
    });
    extension(w, oid::SUBJECT_KEY_ID, false, |w| {
        w.value(tag::OCTET_STRING, &key_id(key_bits))
    });
}

impl RootTemplate<'_> {
    /// The bytes to sign.
    ///
    /// # Errors
    /// When the key is none.
    pub fn build(&self) -> Result<Vec<u8>, TemplateFault> {
        let key = PublicKey::from_spki_der(self.spki_der)?;
        let subject = self.subject.to_der();
        let head = Head {
            serial: self.serial,
            algorithm: self.signature_algorithm,
            issuer: &subject,
            validity: (self.not_before, self.not_after),
            subject: &subject,
            spki: self.spki_der,
        };
        tbs(&head, |w| ca_extensions(w, key.key_bits(), None))
    }
}

impl IssuingTemplate<'_> {
    /// The bytes to sign.
    ///
    /// # Errors
    /// When the key, a name or a range is none.
    pub fn build(&self) -> Result<Vec<u8>, TemplateFault> {
        let key = PublicKey::from_spki_der(self.spki_der)?;
        if let Some(name) = self.permit_dns.iter().find(|n| !is_ldh(n)) {
            return Err(TemplateFault::DnsName(name.clone()));
        }
        for (address, length) in self.permit_ip {
            let most = if address.is_ipv4() { 32 } else { 128 };
            if *length > most {
                return Err(TemplateFault::Range(format!("{address}/{length}")));
            }
        }
        let subject = self.subject.to_der();
        let head = Head {
            serial: self.serial,
            algorithm: self.signature_algorithm,
            issuer: self.issuer_subject_der,
            validity: (self.not_before, self.not_after),
            subject: &subject,
            spki: self.spki_der,
        };
        tbs(&head, |w| {
            ca_extensions(w, key.key_bits(), Some(self.path_length));
            authority_key_id(w, self.issuer_key_id);
            if !self.permit_dns.is_empty() || !self.permit_ip.is_empty() {
                extension(w, oid::NAME_CONSTRAINTS, true, |w| {
                    w.nest(tag::SEQUENCE, |w| self.constraints(w))
                });
            }
        })
    }

    fn constraints(&self, w: &mut Writer) {
        w.nest(tag::constructed(0), |w| {
            for name in self.permit_dns {
                w.nest(tag::SEQUENCE, |w| w.value(0x82, name.as_bytes()));
            }
            for (address, length) in self.permit_ip {
                w.nest(tag::SEQUENCE, |w| w.value(0x87, &range(*address, *length)));
            }
        });
        // A permitted subtree binds names of its own type only, so what is not permitted is excluded by hand.
        let unconstrained = |v4: bool| !self.permit_ip.iter().any(|(a, _)| a.is_ipv4() == v4);
        if unconstrained(true) || unconstrained(false) {
            w.nest(tag::constructed(1), |w| {
                if unconstrained(true) {
                    w.nest(tag::SEQUENCE, |w| w.value(0x87, &[0; 8]));
                }
                if unconstrained(false) {
                    w.nest(tag::SEQUENCE, |w| w.value(0x87, &[0; 32]));
                }
            });
        }
    }
}

/// An address range as RFC 5280 §4.2.1.10 has it: address and mask.
fn range(address: IpAddr, length: u8) -> Vec<u8> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mask: Vec<u8> = (0..octets.len())
        .map(|i| {
            let bits = usize::from(length).saturating_sub(i * 8).min(8);
            u8::try_from(0xff00_u16 >> bits & 0xff).unwrap_or(0)
        })
        .collect();
    octets
        .iter()
        .zip(&mask)
        .map(|(o, m)| o & m)
        .chain(mask.iter().copied())
        .collect()
}

impl LeafTemplate<'_> {
    /// The bytes to sign.
    ///
    /// # Errors
    /// When a policy or the validity is none.
    pub fn build(&self) -> Result<Vec<u8>, TemplateFault> {
        let policies = self
            .policies
            .iter()
            .map(|p| oid::from_text(p).ok_or_else(|| TemplateFault::Policy(p.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let mut subject = Writer::default();
        subject.nest(tag::SEQUENCE, |w| {
            if let Some(name) = self.common_name {
                attribute(w, oid::COMMON_NAME, name);
            }
        });
        let subject = subject.finish();
        let head = Head {
            serial: self.serial,
            algorithm: self.signature_algorithm,
            issuer: self.issuer_subject_der,
            validity: (self.not_before, self.not_after),
            subject: &subject,
            spki: self.key.spki_der(),
        };
        tbs(&head, |w| {
            let rsa = matches!(self.key.kind(), PublicKeyKind::Rsa { .. });
            let bits = usage::DIGITAL_SIGNATURE
                | if rsa && self.key_encipherment {
                    usage::KEY_ENCIPHERMENT
                } else {
                    0
                };
            extension(w, oid::KEY_USAGE, true, |w| w.named_bits(bits));
            if self.server_auth || self.client_auth {
                extension(w, oid::EXT_KEY_USAGE, false, |w| {
                    w.nest(tag::SEQUENCE, |w| {
                        if self.server_auth {
                            w.value(tag::OID, oid::SERVER_AUTH);
                        }
                        if self.client_auth {
                            w.value(tag::OID, oid::CLIENT_AUTH);
                        }
                    });
                });
            }
            authority_key_id(w, self.issuer_key_id);
            self.names(w);
            if !policies.is_empty() {
                extension(w, oid::CERTIFICATE_POLICIES, false, |w| {
                    w.nest(tag::SEQUENCE, |w| {
                        for policy in &policies {
                            w.nest(tag::SEQUENCE, |w| w.value(tag::OID, policy));
                        }
                    });
                });
            }
            self.places(w);
            if self.must_staple {
                extension(w, oid::TLS_FEATURE, false, |w| {
                    w.nest(tag::SEQUENCE, |w| w.unsigned(&[5]))
                });
            }
        })
    }

    fn names(&self, w: &mut Writer) {
        extension(w, oid::SUBJECT_ALT_NAME, self.common_name.is_none(), |w| {
            w.nest(tag::SEQUENCE, |w| {
                self.dns_names
                    .iter()
                    .for_each(|name| w.value(0x82, name.as_bytes()));
                for address in self.ip_addresses {
                    match address {
                        IpAddr::V4(v4) => w.value(0x87, &v4.octets()),
                        IpAddr::V6(v6) => w.value(0x87, &v6.octets()),
                    }
                }
            });
        });
    }

    fn places(&self, w: &mut Writer) {
        extension(w, oid::CRL_DISTRIBUTION_POINTS, false, |w| {
            w.nest(tag::SEQUENCE, |w| {
                w.nest(tag::SEQUENCE, |w| distribution_point(w, self.crl_url))
            });
        });
        extension(w, oid::AUTHORITY_INFO_ACCESS, false, |w| {
            access_places(w, self.ocsp_url, self.ca_issuers_url);
        });
    }
}

/// An AuthorityInfoAccessSyntax: the OCSP responder, if there is one, and the issuer (RFC 5280 §4.2.2.1).
pub(crate) fn access_places(w: &mut Writer, ocsp_url: Option<&str>, ca_issuers_url: &str) {
    w.nest(tag::SEQUENCE, |w| {
        let responder = ocsp_url.map(|url| (oid::OCSP, url));
        for (method, url) in responder
            .into_iter()
            .chain([(oid::CA_ISSUERS, ca_issuers_url)])
        {
            w.nest(tag::SEQUENCE, |w| {
                w.value(tag::OID, method);
                w.value(0x86, url.as_bytes());
            });
        }
    });
}

/// A DistributionPointName with one URI, encoded the same in certificates and in the CRL (RFC 5280 §5.2.5).
pub(crate) fn distribution_point(w: &mut Writer, url: &str) {
    w.nest(tag::constructed(0), |w| {
        w.nest(tag::constructed(0), |w| w.value(0x86, url.as_bytes()))
    });
}

/// Whether a name has lower-case letters, digits and hyphens only, in labels of 1 to 63.
pub(crate) fn is_ldh(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}
