//! Certificates of every wrong kind, made by hand and by rcgen.

use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

use super::*;
use crate::{certificate::assemble, key::PrivateKey, samples::key, writer::Writer};

const NAME: &str = "shop.example.org";
const DIGEST_OF_OURS: [u8; 32] = [7; 32];

fn judge(der: &[u8]) -> Result<(), ChallengeFault> {
    verify(der, Named::Dns(NAME), &DIGEST_OF_OURS)
}

/// An extension with all its parts in the test's hand.
#[derive(Clone)]
struct Part {
    id: &'static [u8],
    critical: bool,
    value: Vec<u8>,
}

fn octets(contents: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.value(tag::OCTET_STRING, contents);
    w.finish()
}

fn acme(value: Vec<u8>) -> Part {
    Part {
        id: oid::ACME_IDENTIFIER,
        critical: true,
        value,
    }
}

fn san(names: &[(u8, &[u8])]) -> Part {
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        for (kind, contents) in names {
            w.value(*kind, contents);
        }
    });
    Part {
        id: oid::SUBJECT_ALT_NAME,
        critical: false,
        value: w.finish(),
    }
}

/// A certificate of these extensions, with `subject` as common name, signed by `signer`.
fn made(subject: &str, issuer: &str, parts: &[Part], signer: &PrivateKey) -> Vec<u8> {
    let name = |w: &mut Writer, text: &str| {
        w.nest(tag::SEQUENCE, |w| {
            w.nest(tag::SET, |w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, oid::COMMON_NAME);
                    w.value(tag::UTF8_STRING, text.as_bytes());
                });
            });
        });
    };
    let own = key("leaf-p256");
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::constructed(0), |w| w.unsigned(&[2]));
        w.unsigned(&[1]);
        signer.signature_algorithm().write(w);
        name(w, issuer);
        w.nest(tag::SEQUENCE, |w| {
            // Ended long ago: its time does not matter.
            w.time(0);
            w.time(1);
        });
        name(w, subject);
        w.raw(own.spki_der());
        w.nest(tag::constructed(3), |w| {
            w.nest(tag::SEQUENCE, |w| {
                for part in parts {
                    w.nest(tag::SEQUENCE, |w| {
                        w.value(tag::OID, part.id);
                        if part.critical {
                            w.yes();
                        }
                        w.value(tag::OCTET_STRING, &part.value);
                    });
                }
            });
        });
    });
    let tbs = w.finish();
    let signature = signer.sign(&tbs).unwrap();
    assemble(&tbs, signer.signature_algorithm(), &signature)
}

fn own(parts: &[Part]) -> Vec<u8> {
    made("ACME", "ACME", parts, &key("leaf-p256"))
}

#[test]
fn the_certificate_of_rfc_8737_passes_in_any_case_of_letters_and_whatever_else_it_has() {
    // 8737-3-6
    let right = acme(octets(&DIGEST_OF_OURS));
    for name in [NAME, "SHOP.Example.ORG"] {
        let der = own(&[san(&[(0x82, name.as_bytes())]), right.clone()]);
        assert_eq!(judge(&der), Ok(()), "{name}");
    }
    // As Go and OpenSSL make them: with a common name, constraints, key usage.
    let mut parameters = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    parameters
        .custom_extensions
        .push(CustomExtension::new_acme_identifier(&DIGEST_OF_OURS));
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let der = parameters.self_signed(&pair).unwrap();
        assert_eq!(judge(der.der()), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn an_address_is_one_ip_address_and_no_dns_name() {
    // 8738-6-1
    let right = acme(octets(&DIGEST_OF_OURS));
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let IpAddr::V6(octets6) = v6 else { panic!() };
    let of4 = own(&[san(&[(0x87, &[192, 0, 2, 1])]), right.clone()]);
    let of6 = own(&[san(&[(0x87, &octets6.octets())]), right.clone()]);
    let text = own(&[san(&[(0x82, b"192.0.2.1")]), right.clone()]);
    let reverse = own(&[san(&[(0x82, b"1.2.0.192.in-addr.arpa")]), right]);
    let v4 = Named::Ip("192.0.2.1".parse().unwrap());
    assert_eq!(verify(&of4, v4, &DIGEST_OF_OURS), Ok(()));
    assert_eq!(verify(&of6, Named::Ip(v6), &DIGEST_OF_OURS), Ok(()));
    for der in [&of6, &text, &reverse] {
        assert!(
            matches!(
                verify(der, v4, &DIGEST_OF_OURS),
                Err(ChallengeFault::Names { .. })
            ),
            "{der:02x?}"
        );
    }
    let as_name = Named::Dns("192.0.2.1");
    assert!(verify(&of4, as_name, &DIGEST_OF_OURS).is_err());
}

#[test]
fn certificates_that_only_look_like_an_answer_are_refused_each_for_its_fault() {
    // 8737-3-6
    // T-CA-74
    let right = acme(octets(&DIGEST_OF_OURS));
    let name = san(&[(0x82, NAME.as_bytes())]);
    let names = |parts: &[(u8, &[u8])]| own(&[san(parts), right.clone()]);
    let with = |part: Part| own(&[name.clone(), part]);
    let mut trailing = octets(&DIGEST_OF_OURS);
    trailing.push(0);
    let mut longer = own(&[name.clone(), right.clone()]);
    longer.push(0);
    let mut altered = own(&[name.clone(), right.clone()]);
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let mut form = acme(octets(&DIGEST_OF_OURS));
    form.value[1] = 0x1f;
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "the drafts' OID",
            with(Part {
                id: DRAFT,
                ..right.clone()
            }),
            "of the drafts",
        ),
        (
            "none",
            own(std::slice::from_ref(&name)),
            "no acmeIdentifier",
        ),
        (
            "not critical",
            with(Part {
                critical: false,
                ..right.clone()
            }),
            "not critical",
        ),
        (
            "31 octets",
            with(acme(octets(&[7; 31]))),
            "no DER OCTET STRING of 32",
        ),
        (
            "33 octets",
            with(acme(octets(&[7; 33]))),
            "no DER OCTET STRING of 32",
        ),
        (
            "bare octets",
            with(acme(DIGEST_OF_OURS.to_vec())),
            "no DER OCTET STRING of 32",
        ),
        (
            "in a SEQUENCE",
            with(acme({
                let mut w = Writer::default();
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OCTET_STRING, &DIGEST_OF_OURS)
                });
                w.finish()
            })),
            "no DER OCTET STRING of 32",
        ),
        (
            "trailing octets in it",
            with(acme(trailing)),
            "no DER OCTET STRING of 32",
        ),
        (
            "a length that is not its own",
            with(form),
            "no DER OCTET STRING of 32",
        ),
        (
            "hex text",
            with(acme(octets("07".repeat(32).as_bytes()))),
            "no DER OCTET STRING of 32",
        ),
        (
            "another digest",
            with(acme(octets(&[8; 32]))),
            "another digest, 0808",
        ),
        (
            "twice",
            own(&[name.clone(), right.clone(), right.clone()]),
            "stands in it twice",
        ),
        (
            "twice, the wrong one first",
            own(&[name.clone(), acme(octets(&[8; 32])), right.clone()]),
            "stands in it twice",
        ),
        (
            "a second DNS name",
            names(&[(0x82, NAME.as_bytes()), (0x82, b"evil.example")]),
            "is not the one",
        ),
        (
            "the name twice",
            names(&[(0x82, NAME.as_bytes()), (0x82, NAME.as_bytes())]),
            "is not the one",
        ),
        (
            "an e-mail address too",
            names(&[(0x82, NAME.as_bytes()), (0x81, b"a@b.example")]),
            "a name of another type",
        ),
        (
            "a URI too",
            names(&[(0x82, NAME.as_bytes()), (0x86, b"https://shop.example.org")]),
            "a name of another type",
        ),
        (
            "an address too",
            names(&[(0x82, NAME.as_bytes()), (0x87, &[192, 0, 2, 1])]),
            "is not the one",
        ),
        (
            "another name",
            names(&[(0x82, b"evil.example")]),
            "evil.example",
        ),
        (
            "a name above",
            names(&[(0x82, b"example.org")]),
            "is not the one",
        ),
        (
            "a name below",
            names(&[(0x82, b"a.shop.example.org")]),
            "is not the one",
        ),
        (
            "a wildcard",
            names(&[(0x82, b"*.example.org")]),
            "is not the one",
        ),
        (
            "a trailing dot",
            names(&[(0x82, b"shop.example.org.")]),
            "is not the one",
        ),
        (
            "a NUL",
            names(&[(0x82, b"shop.example.org\0")]),
            "is not the one",
        ),
        (
            "no ASCII",
            names(&[(0x82, "shöp.example.org".as_bytes())]),
            "a name of another type",
        ),
        ("an empty SAN", names(&[]), "no subject alternative name"),
        (
            "no SAN, a common name",
            made(NAME, NAME, std::slice::from_ref(&right), &key("leaf-p256")),
            "no subject alternative name",
        ),
        (
            "the SAN twice",
            own(&[name.clone(), name.clone(), right.clone()]),
            "stands in it twice",
        ),
        (
            "another's signature",
            made(
                "ACME",
                "ACME",
                &[name.clone(), right.clone()],
                &key("other-p256"),
            ),
            "not self-signed",
        ),
        (
            "another issuer's name",
            made(
                "ACME",
                "CA",
                &[name.clone(), right.clone()],
                &key("leaf-p256"),
            ),
            "not self-signed",
        ),
        ("an altered signature", altered, "not self-signed"),
        ("trailing octets after it", longer, "bytes follow"),
        ("no certificate", b"hello".to_vec(), "not a DER certificate"),
        ("nothing", Vec::new(), "not a DER certificate"),
    ];
    let mut wrong = Vec::new();
    for (what, der, says) in rows {
        match judge(&der) {
            Err(fault) if fault.to_string().contains(says) => {}
            other => wrong.push(format!("{what}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn of_many_names_a_few_are_told() {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.subject_alt_names = (0..50)
        .map(|n| SanType::DnsName(format!("n{n}.example").try_into().unwrap()))
        .collect();
    let der = parameters
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap();
    let said = judge(der.der()).unwrap_err().to_string();
    assert!(
        said.ends_with("it has n0.example, n1.example, n2.example and 47 more"),
        "{said}"
    );
}
