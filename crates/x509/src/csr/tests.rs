use std::net::IpAddr;

use rcgen::{CertificateParams, CustomExtension, DnType, DnValue, KeyPair, SanType};

use super::{Csr, CsrFault, NAMES_MAX, build_csr};
use crate::{
    certificate::assemble,
    key::{PrivateKey, PublicKeyFault, SignatureAlgorithm},
    oid,
    reader::DerFault,
    samples::{key, path},
    weak::KeyFault,
    writer::{Writer, tag},
};

type Write<'a> = &'a dyn Fn(&mut Writer);

/// A CSR in the making; each field is what a case changes.
struct Draft<'a> {
    version: u8,
    subject: Write<'a>,
    attributes: Write<'a>,
    behind: &'a [u8],
}

const NONE: Write<'static> = &|_| {};

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            version: 0,
            subject: NONE,
            attributes: NONE,
            behind: &[],
        }
    }
}

impl Draft<'_> {
    fn info(&self, key: &PrivateKey) -> Vec<u8> {
        written(|w| {
            w.nest(tag::SEQUENCE, |w| {
                w.unsigned(&[self.version]);
                w.nest(tag::SEQUENCE, |w| (self.subject)(w));
                w.raw(key.spki_der());
                w.nest(tag::constructed(0), |w| (self.attributes)(w));
                w.raw(self.behind);
            })
        })
    }

    fn signed(&self) -> Vec<u8> {
        let key = key("leaf-p256");
        let info = self.info(&key);
        assemble(&info, key.signature_algorithm(), &key.sign(&info).unwrap())
    }

    fn parsed(&self) -> Result<Csr, CsrFault> {
        Csr::parse(&self.signed())
    }
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    write(&mut w);
    w.finish()
}

fn request(w: &mut Writer, extensions: Write<'_>) {
    w.nest(tag::SEQUENCE, |w| {
        w.value(tag::OID, oid::EXTENSION_REQUEST);
        w.nest(tag::SET, |w| w.nest(tag::SEQUENCE, extensions));
    });
}

fn extension(w: &mut Writer, id: &[u8], value: &[u8]) {
    w.nest(tag::SEQUENCE, |w| {
        w.value(tag::OID, id);
        w.value(tag::OCTET_STRING, value);
    });
}

fn signed_with(words: &str) -> CsrFault {
    CsrFault::Algorithm(words.to_owned())
}

/// A CSR for one general name of this tag and these contents.
fn with_name(kind: u8, contents: &[u8]) -> Result<Csr, CsrFault> {
    let names = written(|w| w.nest(tag::SEQUENCE, |w| w.value(kind, contents)));
    Draft {
        attributes: &|w| request(w, &|w| extension(w, oid::SUBJECT_ALT_NAME, &names)),
        ..Draft::default()
    }
    .parsed()
}

fn attribute(w: &mut Writer, id: &[u8], kind: u8, text: &[u8]) {
    w.nest(tag::SEQUENCE, |w| {
        w.value(tag::OID, id);
        w.value(kind, text);
    });
}

fn with_subject(subject: Write<'_>) -> Result<Csr, CsrFault> {
    Draft {
        subject,
        ..Draft::default()
    }
    .parsed()
}

#[test]
fn a_csr_of_other_software_gives_key_and_names() {
    let keys = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ]
    .map(|a| KeyPair::generate_for(a).unwrap());
    let rsa = std::fs::read(path("keys/leaf-rsa2048.pkcs8.der")).unwrap();
    let rsa = [
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_RSA_SHA384,
        &rcgen::PKCS_RSA_SHA512,
    ]
    .map(|a| KeyPair::from_pkcs8_der_and_sign_algo(&rsa.as_slice().into(), a).unwrap());
    for pair in keys.iter().chain(&rsa) {
        let mut params =
            CertificateParams::new(["shop.example.org".to_owned(), "*.example.org".to_owned()])
                .unwrap();
        let address: IpAddr = "2001:db8::7".parse().unwrap();
        params.subject_alt_names.push(SanType::IpAddress(address));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "shop.example.org");
        let der = params.serialize_request(pair).unwrap();
        let csr = Csr::parse(der.der()).unwrap();
        assert_eq!(csr.dns_names(), ["shop.example.org", "*.example.org"]);
        assert_eq!(csr.ip_addresses(), [address]);
        assert_eq!(csr.common_names(), ["shop.example.org"]);
        assert!(!csr.wants_must_staple());
        assert_eq!(csr.public_key().key_bits(), pair.public_key_raw());
    }
}

#[test]
fn our_own_csr_is_read_by_ourselves_and_by_others() {
    use x509_parser::prelude::{FromDer, X509CertificationRequest};
    let names = ["a.example.org".to_owned(), "b.example.org".to_owned()];
    for name in ["leaf-p256", "leaf-rsa2048"] {
        let key = key(name);
        let der = build_csr(&key, &names).unwrap();
        let csr = Csr::parse(&der).unwrap();
        assert_eq!(csr.dns_names(), names);
        assert_eq!(csr.public_key().spki_der(), key.spki_der());
        let (rest, other) = X509CertificationRequest::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(
            other.certification_request_info.subject_pki.raw,
            key.spki_der()
        );
    }
}

#[test]
fn a_plain_csr_of_our_draft_is_accepted() {
    // What the refusals below start from.
    let csr = Draft::default().parsed().unwrap();
    assert!(csr.dns_names().is_empty() && csr.common_names().is_empty());
    assert_eq!(
        with_name(0x82, b"a.example").unwrap().dns_names(),
        ["a.example"]
    );
}

#[test]
fn what_is_no_strict_certification_request_is_refused() {
    // T-CA-52
    let good = Draft::default().signed();
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    let mut other_key = good.clone();
    let (ours, others) = (key("leaf-p256"), key("other-p256"));
    let at = good
        .windows(ours.spki_der().len())
        .position(|w| w == ours.spki_der())
        .unwrap();
    other_key[at..at + others.spki_der().len()].copy_from_slice(others.spki_der());
    // The same contents in BER's indefinite form, and with a length that is not minimal.
    let contents = crate::reader::only(&good, tag::SEQUENCE).unwrap().contents;
    let indefinite = [&[0x30, 0x80][..], contents, &[0, 0]].concat();
    let length = u8::try_from(contents.len()).unwrap();
    let long = [&[0x30, 0x82, 0, length][..], contents].concat();
    let info = Draft::default().info(&ours);
    let signature = ours.sign(&info).unwrap();
    let other_algorithm = |id: &[u8], parameters: &[u8]| {
        written(|w| {
            w.nest(tag::SEQUENCE, |w| {
                w.raw(&info);
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, id);
                    w.raw(parameters);
                });
                w.bit_string(&signature);
            })
        })
    };
    let rsa = |last: u8| [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last];
    let unused_bits = written(|w| {
        w.nest(tag::SEQUENCE, |w| {
            w.raw(&info);
            ours.signature_algorithm().write(w);
            w.value(tag::BIT_STRING, &[&[1][..], &signature].concat());
        })
    });
    let cases: Vec<(&str, Vec<u8>, CsrFault)> = vec![
        ("nothing", Vec::new(), CsrFault::Der(DerFault::Truncated)),
        (
            "PEM",
            b"-----BEGIN CERTIFICATE REQUEST-----".to_vec(),
            CsrFault::Der(DerFault::Tag {
                expected: 0x30,
                found: b'-',
            }),
        ),
        ("an altered signature", altered, CsrFault::Signature),
        ("another's key", other_key, CsrFault::Signature),
        (
            "an indefinite length",
            indefinite,
            CsrFault::Der(DerFault::Length),
        ),
        (
            "a length with a leading zero",
            long,
            CsrFault::Der(DerFault::Length),
        ),
        (
            "bytes behind it",
            [&good[..], &[0]].concat(),
            CsrFault::Der(DerFault::Trailing),
        ),
        (
            "bytes behind the attributes",
            Draft {
                behind: &[5, 0],
                ..Draft::default()
            }
            .signed(),
            CsrFault::Der(DerFault::Trailing),
        ),
        (
            "version 1",
            Draft {
                version: 1,
                ..Draft::default()
            }
            .signed(),
            CsrFault::Version,
        ),
        (
            "version 2",
            Draft {
                version: 2,
                ..Draft::default()
            }
            .signed(),
            CsrFault::Version,
        ),
        (
            "ECDSA with SHA-1",
            other_algorithm(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], &[]),
            signed_with("ecdsa-with-SHA1 (1.2.840.10045.4.1)"),
        ),
        (
            "ECDSA with SHA-224",
            other_algorithm(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01], &[]),
            signed_with("ecdsa-with-SHA224 (1.2.840.10045.4.3.1)"),
        ),
        (
            "ECDSA with NULL",
            other_algorithm(oid::ECDSA_SHA256, &[5, 0]),
            signed_with("algorithm 1.2.840.10045.4.3.2 and parameters that do not belong to it"),
        ),
        (
            "RSA with MD5",
            other_algorithm(&rsa(0x04), &[5, 0]),
            signed_with("md5WithRSAEncryption (1.2.840.113549.1.1.4)"),
        ),
        (
            "RSA with SHA-1",
            other_algorithm(&rsa(0x05), &[5, 0]),
            signed_with("sha1WithRSAEncryption (1.2.840.113549.1.1.5)"),
        ),
        (
            "RSA-PSS",
            other_algorithm(&rsa(0x0a), &[0x30, 0]),
            signed_with("RSASSA-PSS (1.2.840.113549.1.1.10)"),
        ),
        (
            "RSA-PSS with odd parameters",
            other_algorithm(&rsa(0x0a), &[0x30, 5, 0xa2, 3, 2, 1, 21]),
            signed_with("RSASSA-PSS (1.2.840.113549.1.1.10)"),
        ),
        (
            "RSA's algorithm over an EC key",
            other_algorithm(oid::RSA_SHA256, &[5, 0]),
            CsrFault::Signature,
        ),
        (
            "unused bits in the signature",
            unused_bits,
            CsrFault::Der(DerFault::Value),
        ),
    ];
    let faults: Vec<_> = cases
        .iter()
        .map(|(name, der, fault)| (name, Csr::parse(der).err(), fault))
        .filter(|(_, found, fault)| found.as_ref() != Some(*fault))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    for cut in 0..good.len() {
        assert!(Csr::parse(&good[..cut]).is_err(), "{cut} octets were a CSR");
    }
}

#[test]
fn attributes_and_extensions_that_are_not_known_or_twice_are_refused() {
    // T-CA-52
    // T-CA-53
    let names = written(|w| w.nest(tag::SEQUENCE, |w| w.value(0x82, b"a.example")));
    let san = |w: &mut Writer| extension(w, oid::SUBJECT_ALT_NAME, &names);
    let challenge_password: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07];
    let huge = vec![b'x'; 60 * 1024];
    let explicit_false = |w: &mut Writer| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, oid::SUBJECT_ALT_NAME);
            w.value(tag::BOOLEAN, &[0]);
            w.value(tag::OCTET_STRING, &names);
        })
    };
    let cases: [(&str, Write<'_>, CsrFault); 10] = [
        (
            "challengePassword",
            &|w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, challenge_password);
                    w.nest(tag::SET, |w| w.value(tag::UTF8_STRING, b"secret"));
                })
            },
            CsrFault::Attribute,
        ),
        (
            "60 KiB in an attribute",
            &|w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, challenge_password);
                    w.nest(tag::SET, |w| w.value(tag::UTF8_STRING, &huge));
                })
            },
            CsrFault::Attribute,
        ),
        (
            "60 KiB of attributes",
            &|w| {
                for _ in 0..3000 {
                    w.nest(tag::SEQUENCE, |w| {
                        w.value(tag::OID, challenge_password);
                        w.nest(tag::SET, |w| w.value(tag::UTF8_STRING, b"xx"));
                    });
                }
            },
            CsrFault::Attribute,
        ),
        (
            "extensionRequest twice",
            &|w| {
                request(w, &san);
                request(w, &san);
            },
            CsrFault::Twice("extensionRequest"),
        ),
        (
            "two values in extensionRequest",
            &|w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, oid::EXTENSION_REQUEST);
                    w.nest(tag::SET, |w| {
                        w.nest(tag::SEQUENCE, san);
                        w.nest(tag::SEQUENCE, san);
                    });
                })
            },
            CsrFault::Der(DerFault::Trailing),
        ),
        (
            "subjectAltName twice",
            &|w| {
                request(w, &|w| {
                    san(w);
                    san(w);
                })
            },
            CsrFault::Twice("an extension"),
        ),
        (
            "65 extensions",
            &|w| {
                request(w, &|w| {
                    for n in 0..65 {
                        extension(w, &[0x2a, 0x03, n], &[5, 0]);
                    }
                })
            },
            CsrFault::TooMuch,
        ),
        (
            "critical FALSE written out",
            &|w| request(w, &explicit_false),
            CsrFault::Der(DerFault::Value),
        ),
        (
            "bytes behind the names",
            &|w| {
                let names = [&names[..], &[0]].concat();
                request(w, &|w| extension(w, oid::SUBJECT_ALT_NAME, &names));
            },
            CsrFault::Der(DerFault::Trailing),
        ),
        (
            "more names than are read",
            &|w| {
                let names = written(|w| {
                    w.nest(tag::SEQUENCE, |w| {
                        (0..=NAMES_MAX).for_each(|_| w.value(0x82, b"a.example"))
                    })
                });
                request(w, &|w| extension(w, oid::SUBJECT_ALT_NAME, &names));
            },
            CsrFault::TooMuch,
        ),
    ];
    let faults: Vec<_> = cases
        .iter()
        .map(|(name, attributes, fault)| {
            let draft = Draft {
                attributes: *attributes,
                ..Draft::default()
            };
            (name, draft.parsed().err(), fault)
        })
        .filter(|(_, found, fault)| found.as_ref() != Some(*fault))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn names_that_are_neither_dns_names_nor_addresses_are_refused() {
    // T-CA-54
    let other_name: &[u8] = &[
        0x06, 0x03, 0x2a, 0x03, 0x04, 0xa0, 0x04, 0x0c, 0x02, b'h', b'i',
    ];
    let cases: [(&str, u8, &[u8]); 7] = [
        ("otherName", 0xa0, other_name),
        ("rfc822Name", 0x81, b"a@example.org"),
        ("x400Address", 0xa3, &[0x30, 0]),
        ("directoryName", 0xa4, &[0x30, 0]),
        ("ediPartyName", 0xa5, &[0xa1, 3, 0x0c, 1, b'x']),
        ("uniformResourceIdentifier", 0x86, b"https://example.org/"),
        ("registeredID", 0x88, &[0x2a, 0x03]),
    ];
    let faults: Vec<_> = cases
        .iter()
        .filter(|(name, kind, contents)| {
            with_name(*kind, contents).err() != Some(CsrFault::NameType(name))
        })
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    for kind in [0x80, 0xa2, 0x89, 0x0c, 0x16] {
        assert_eq!(
            with_name(kind, b"a.example").err(),
            Some(CsrFault::Der(DerFault::Value)),
            "tag {kind:#x}"
        );
    }
}

#[test]
fn names_have_visible_ascii_only() {
    // T-CA-55
    let bad: [&[u8]; 10] = [
        b"a.example\0.evil",
        b"a.example\n",
        b"a example",
        b" a.example",
        b"a\x7f.example",
        b"a\x1b.example",
        "b\u{fc}cher.example".as_bytes(),
        "a\u{202e}.example".as_bytes(),
        b"b\xfccher.example",
        b"a\t.example",
    ];
    for name in bad {
        let text = name.escape_ascii();
        assert_eq!(
            with_name(0x82, name).err(),
            Some(CsrFault::NameString),
            "{text}"
        );
        for kind in [tag::UTF8_STRING, tag::PRINTABLE_STRING, tag::IA5_STRING] {
            let subject: Write<'_> =
                &|w| w.nest(tag::SET, |w| attribute(w, oid::COMMON_NAME, kind, name));
            assert_eq!(
                with_subject(subject).err(),
                Some(CsrFault::NameString),
                "{text}"
            );
        }
    }
    // T61String, BMPString, UniversalString, OCTET STRING.
    for kind in [0x14, 0x1e, 0x1c, 0x04] {
        let subject: Write<'_> = &|w| {
            w.nest(tag::SET, |w| {
                attribute(w, oid::COMMON_NAME, kind, b"a.example")
            })
        };
        assert_eq!(
            with_subject(subject).err(),
            Some(CsrFault::NameString),
            "{kind:#x}"
        );
    }
    let mut params = CertificateParams::default();
    let name = rcgen::string::BmpString::try_from("a.example").unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, DnValue::BmpString(name));
    let der = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap();
    assert_eq!(Csr::parse(der.der()).err(), Some(CsrFault::NameString));
}

#[test]
fn a_subject_has_at_most_one_common_name_and_that_alone_and_short() {
    // T-CA-56
    let common_name =
        |w: &mut Writer, name: &[u8]| attribute(w, oid::COMMON_NAME, tag::UTF8_STRING, name);
    let of = |octets: usize| "x".repeat(octets).into_bytes();
    let cases: [(&str, Write<'_>, Option<CsrFault>); 7] = [
        (
            "one of 64 octets",
            &|w| w.nest(tag::SET, |w| common_name(w, &of(64))),
            None,
        ),
        (
            "one beside an organization",
            &|w| {
                w.nest(tag::SET, |w| {
                    attribute(
                        w,
                        oid::ORGANIZATION,
                        tag::UTF8_STRING,
                        "M\u{fc}ller".as_bytes(),
                    )
                });
                w.nest(tag::SET, |w| common_name(w, b"a.example"));
            },
            None,
        ),
        (
            "one of 65 octets",
            &|w| w.nest(tag::SET, |w| common_name(w, &of(65))),
            Some(CsrFault::CommonName),
        ),
        (
            "two",
            &|w| {
                w.nest(tag::SET, |w| common_name(w, b"a.example"));
                w.nest(tag::SET, |w| common_name(w, b"b.example"));
            },
            Some(CsrFault::Twice("a common name")),
        ),
        (
            "two in one RDN",
            &|w| {
                w.nest(tag::SET, |w| {
                    common_name(w, b"a.example");
                    common_name(w, b"b.example");
                })
            },
            Some(CsrFault::Twice("a common name")),
        ),
        (
            "one in an RDN with something else",
            &|w| {
                w.nest(tag::SET, |w| {
                    common_name(w, b"a.example");
                    attribute(w, oid::ORGANIZATION, tag::UTF8_STRING, b"Acme");
                })
            },
            Some(CsrFault::CommonName),
        ),
        (
            "an empty RDN",
            &|w| w.nest(tag::SET, |_| {}),
            Some(CsrFault::Der(DerFault::Truncated)),
        ),
    ];
    let faults: Vec<_> = cases
        .iter()
        .map(|(name, subject, fault)| (name, with_subject(*subject).err(), fault))
        .filter(|(_, found, fault)| found != *fault)
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn addresses_have_four_or_sixteen_octets() {
    // T-CA-58
    assert_eq!(
        with_name(0x87, &[192, 0, 2, 1]).unwrap().ip_addresses(),
        ["192.0.2.1".parse::<IpAddr>().unwrap()]
    );
    assert!(with_name(0x87, &[0; 16]).is_ok());
    for length in [0, 1, 3, 5, 8, 15, 17, 32] {
        assert!(
            with_name(0x87, &vec![1; length]).is_err(),
            "{length} octets"
        );
    }
}

#[test]
fn a_common_name_that_repeats_an_address_is_no_name_more() {
    // 8738-3-2
    let names = |common: &str, san: SanType| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = vec![san];
        let made = params.serialize_request(&KeyPair::generate().unwrap());
        let csr = Csr::parse(made.unwrap().der()).unwrap();
        csr.text_names().cloned().collect::<Vec<_>>()
    };
    let ip = |text: &str| SanType::IpAddress(text.parse().unwrap());
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let cases = [
        ("192.0.2.1", ip("192.0.2.1"), vec![]),
        ("2001:DB8::1", ip("2001:db8:0::1"), vec![]),
        ("192.0.2.2", ip("192.0.2.1"), vec!["192.0.2.2"]),
        (
            "192.0.2.1",
            dns("192.0.2.1"),
            vec!["192.0.2.1", "192.0.2.1"],
        ),
        ("a.example", ip("192.0.2.1"), vec!["a.example"]),
    ];
    let wrong: Vec<_> = cases
        .into_iter()
        .map(|(common, san, want)| (common, names(common, san), want))
        .filter(|(_, got, want)| got != want)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn only_key_names_and_must_staple_come_out_of_what_is_asked() {
    // T-CA-53
    let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let extension =
        |id: &[u64], content: &[u8]| CustomExtension::from_oid_content(id, content.to_vec());
    params.custom_extensions = vec![
        // basicConstraints CA:TRUE, keyUsage keyCertSign, extKeyUsage any, nameConstraints, subjectKeyIdentifier, tlsFeature.
        extension(&[2, 5, 29, 19], &[0x30, 3, 1, 1, 0xff]),
        extension(&[2, 5, 29, 15], &[3, 2, 1, 6]),
        extension(&[2, 5, 29, 37], &[0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0]),
        extension(&[2, 5, 29, 30], &[0x30, 0]),
        extension(&[2, 5, 29, 14], &[4, 2, 1, 2]),
        extension(&[1, 3, 6, 1, 5, 5, 7, 1, 24], &[0x30, 3, 2, 1, 5]),
    ];
    let pair = KeyPair::generate().unwrap();
    let csr = Csr::parse(params.serialize_request(&pair).unwrap().der()).unwrap();
    assert_eq!(csr.dns_names(), ["a.example"]);
    assert!(csr.wants_must_staple());
    // The template takes this key and no more from a CSR; its golden files show what else a leaf has.
    assert_eq!(csr.public_key().key_bits(), pair.public_key_raw());
}

#[test]
fn a_key_that_cannot_verify_is_told_as_the_fault() {
    // T-CA-15
    // T-CA-16
    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let key = written(|w| {
            w.nest(tag::SEQUENCE, |w| {
                w.unsigned(modulus);
                w.unsigned(exponent);
            })
        });
        let spki = written(|w| {
            w.nest(tag::SEQUENCE, |w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, oid::RSA);
                    w.value(tag::NULL, &[]);
                });
                w.bit_string(&key);
            })
        });
        csr_with(&spki, SignatureAlgorithm::RsaSha256)
    };
    let fault = |der: &[u8]| Csr::parse(der).err();
    assert_eq!(
        fault(&rsa(&[0xff; 128], &[1, 0, 1])),
        Some(CsrFault::Weak(KeyFault::Size(1024)))
    );
    assert_eq!(
        fault(&rsa(&[0xff; 1024], &[1, 0, 1])),
        Some(CsrFault::Weak(KeyFault::Size(8192)))
    );
    assert_eq!(
        fault(&rsa(&[0xff; 256], &[1])),
        Some(CsrFault::Weak(KeyFault::Exponent))
    );
    assert_eq!(
        fault(&rsa(&[0xfe; 256], &[1, 0, 1])),
        Some(CsrFault::Weak(KeyFault::Even))
    );
    let mut spki = key("leaf-p256").spki_der().to_vec();
    *spki.last_mut().unwrap() ^= 1;
    let der = csr_with(&spki, SignatureAlgorithm::EcdsaSha256);
    assert_eq!(fault(&der), Some(CsrFault::Key(PublicKeyFault::Point)));
}

/// A CSR with this key and a signature of zeros.
fn csr_with(spki: &[u8], algorithm: SignatureAlgorithm) -> Vec<u8> {
    let info = written(|w| {
        w.nest(tag::SEQUENCE, |w| {
            w.unsigned(&[]);
            w.nest(tag::SEQUENCE, |_| {});
            w.raw(spki);
            w.nest(tag::constructed(0), |_| {});
        })
    });
    assemble(&info, algorithm, &[0; 64])
}

proptest::proptest! {
    #[test]
    fn no_change_of_a_csr_makes_the_parser_panic(at in 0_usize..400, with in proptest::prelude::any::<u8>(), cut in 0_usize..400) {
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let mut der = build_csr(&key("leaf-p256"), &names).unwrap();
        let at = at % der.len();
        let same = der[at] == with;
        der[at] = with;
        // An ECDSA signature may have a second form only outside DER, so any change is seen.
        proptest::prop_assert_eq!(Csr::parse(&der).is_ok(), same);
        der.truncate(cut % der.len());
        proptest::prop_assert!(Csr::parse(&der).is_err());
    }
}
