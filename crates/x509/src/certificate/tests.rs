use std::collections::HashSet;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::{
    Certificate, CertificateFault, Name, NameConstraints, RootTemplate, Serial, TemplateFault,
    fingerprint, pem, validity_window,
};
use crate::{
    crl::{CrlTemplate, Entry},
    key::SignatureAlgorithm,
    samples::{
        CRL_URL, Chain, DAY, ISSUER_URL, LIFE, Leaf, NOW, chain, chain_for, crl_template, golden,
        key, public, rsa_chain, serial, sign,
    },
    writer::{Writer, tag},
};

fn issued(chain: &Chain, leaf: &Leaf) -> Vec<u8> {
    sign(
        &leaf.template(&chain.issuer).build().unwrap(),
        &chain.issuing_key,
    )
}

/// What webpki says of a chain at a time, and of each name.
fn webpki_judges(chain: &Chain, leaf: &[u8], at: i64) -> Result<(), Error> {
    let (root, issuing) = (
        CertificateDer::from(chain.root.as_slice()),
        CertificateDer::from(chain.issuing.as_slice()),
    );
    let leaf = CertificateDer::from(leaf);
    let end = EndEntityCert::try_from(&leaf)?;
    end.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor_from_trusted_cert(&root)?],
        &[issuing],
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.try_into().unwrap())),
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map(|_| ())
}

#[test]
fn what_is_built_is_what_was_committed() {
    // T-CA-53
    // T-CA-98
    let chain = chain();
    let leaf = Leaf::new("leaf-p256");
    let rsa = Leaf {
        common_name: Some("shop.widgets.internal".to_owned()),
        key_encipherment: true,
        must_staple: true,
        ..Leaf::new("leaf-rsa2048")
    };
    // One for each kind of profile.
    let plain = || Leaf {
        policies: vec![],
        ip_addresses: vec![],
        ..Leaf::new("leaf-p256")
    };
    let client = Leaf {
        server_auth: false,
        client_auth: true,
        ..plain()
    };
    let both = Leaf {
        client_auth: true,
        common_name: Some("shop.widgets.internal".to_owned()),
        ..plain()
    };
    let address = Leaf {
        dns_names: vec![],
        ip_addresses: vec!["10.1.2.3".parse().unwrap(), "fd00::7".parse().unwrap()],
        ..plain()
    };
    let short = Leaf {
        validity: (NOW - 6, NOW + 53),
        ..plain()
    };
    let years = Leaf {
        validity: (NOW, NOW + 2 * 365 * DAY - 1),
        policies: vec![
            "2.23.140.1.2.1".to_owned(),
            "1.3.6.1.4.1.99999.1".to_owned(),
        ],
        ..plain()
    };
    let mut built = vec![
        ("root", chain.root_tbs.clone()),
        ("issuing", chain.issuing_tbs.clone()),
    ];
    for (name, leaf) in [
        ("leaf-p256", leaf),
        ("leaf-rsa2048", rsa),
        ("leaf-client", client),
        ("leaf-both-uses", both),
        ("leaf-address", address),
        ("leaf-one-minute", short),
        ("leaf-two-years", years),
    ] {
        built.push((name, leaf.template(&chain.issuer).build().unwrap()));
    }
    let faults: Vec<&str> = built
        .iter()
        .filter(|(name, tbs)| golden(&format!("golden/{name}.der"), tbs) != *tbs)
        .map(|(name, _)| *name)
        .collect();
    assert!(
        faults.is_empty(),
        "other bytes than committed: {faults:?}; CAIRN_BLESS=1 writes them anew"
    );
}

#[test]
fn what_an_rsa_issuer_signs_is_built_to_the_same_bytes_always() {
    // T-CA-98
    let (chain, key) = (rsa_chain(), key("leaf-rsa2048"));
    let leaf = Leaf {
        algorithm: chain.issuer.issues_with(),
        ..Leaf::new("leaf-p256")
    };
    let list = CrlTemplate {
        signature_algorithm: chain.issuer.issues_with(),
        ..crl_template(&chain.issuer)
    };
    let entry = Entry {
        serial: serial(7),
        revoked_at: NOW - DAY,
        reason: Some(1),
    };
    let built = [
        ("golden/issuing-rsa.der", chain.issuing_tbs.clone()),
        (
            "golden/leaf-p256-by-rsa.der",
            leaf.template(&chain.issuer).build().unwrap(),
        ),
        ("golden/crl-by-rsa.der", list.build([entry])),
    ];
    let faults: Vec<&str> = built
        .iter()
        .filter(|(name, tbs)| golden(name, tbs) != *tbs)
        .map(|(name, _)| *name)
        .collect();
    assert!(
        faults.is_empty(),
        "other bytes than committed: {faults:?}; CAIRN_BLESS=1 writes them anew"
    );
    // Another parser finds the key's signature over them.
    let der = sign(&built[1].1, &key);
    let (_, cert) = X509Certificate::from_der(&der).unwrap();
    let (_, issuer) = X509Certificate::from_der(&chain.issuing).unwrap();
    assert_eq!(
        cert.signature_algorithm.algorithm.to_id_string(),
        "1.2.840.113549.1.1.11"
    );
    Certificate::parse(&der)
        .unwrap()
        .verify_issued_by(&chain.issuer)
        .unwrap();
    assert_eq!(cert.issuer().as_raw(), issuer.subject().as_raw());
}

#[test]
fn a_subject_of_cairns_form_is_read_back_and_no_other_is() {
    let chain = chain();
    let subject = chain.issuer.subject().unwrap();
    assert_eq!(subject.common_name, "Acme Widgets Issuing I1");
    assert_eq!(subject.to_der(), chain.issuer.subject_der());
    // A leaf without a common name has an empty one.
    let leaf = issued(&chain, &Leaf::new("leaf-p256"));
    assert_eq!(Certificate::parse(&leaf).unwrap().subject(), None);
}

#[test]
fn a_leaf_says_to_another_parser_what_the_template_said() {
    // 5280-4.1-1
    // 5280-4.2.1.1-1
    // 5280-4.2.1.3-1
    // 5280-4.2.1.6-1
    // 5280-4.2.1.13-1
    let chain = chain();
    for (name, common_name) in [
        ("leaf-p256", None),
        ("leaf-rsa2048", Some("shop.widgets.internal")),
    ] {
        let leaf = Leaf {
            common_name: common_name.map(str::to_owned),
            key_encipherment: true,
            ..Leaf::new(name)
        };
        let der = issued(&chain, &leaf);
        let (rest, cert) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        assert_eq!(cert.version.0, 2);
        assert_eq!(cert.raw_serial(), leaf.serial.as_bytes());
        assert_eq!(
            (
                cert.validity.not_before.timestamp(),
                cert.validity.not_after.timestamp()
            ),
            leaf.validity
        );
        assert_eq!(
            cert.subject
                .iter_common_name()
                .next()
                .map(|n| n.as_str().unwrap()),
            common_name
        );
        assert_eq!(cert.issuer.as_raw(), chain.issuer.subject_der());
        assert_eq!(cert.public_key().raw, leaf.key.spki_der());
        assert!(cert.basic_constraints().unwrap().is_none());
        let usage = cert.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature());
        assert_eq!(usage.value.key_encipherment(), name == "leaf-rsa2048");
        let purposes = cert.extended_key_usage().unwrap().unwrap();
        assert!(
            !purposes.critical
                && purposes.value.server_auth
                && !purposes.value.client_auth
                && !purposes.value.any
        );
        let names = cert.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.critical, common_name.is_none());
        assert_eq!(
            names.value.general_names,
            [
                GeneralName::DNSName("shop.widgets.internal"),
                GeneralName::DNSName("*.shop.widgets.internal"),
                GeneralName::IPAddress(&[10, 1, 2, 3]),
            ]
        );
        let mut seen = 0;
        for extension in cert.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    assert_eq!(id.key_identifier.as_ref().unwrap().0, chain.issuer.key_id());
                    assert!(id.authority_cert_issuer.is_none() && !extension.critical);
                }
                ParsedExtension::AuthorityInfoAccess(access) => {
                    assert_eq!(access.accessdescs.len(), 1);
                    assert_eq!(
                        access.accessdescs[0].access_location,
                        GeneralName::URI(ISSUER_URL)
                    );
                }
                ParsedExtension::CRLDistributionPoints(points) => {
                    let [point] = points.points.as_slice() else {
                        panic!("{points:?}")
                    };
                    assert!(point.reasons.is_none() && point.crl_issuer.is_none());
                    let wanted = x509_parser::extensions::DistributionPointName::FullName(vec![
                        GeneralName::URI(CRL_URL),
                    ]);
                    assert_eq!(point.distribution_point.as_ref(), Some(&wanted));
                }
                ParsedExtension::CertificatePolicies(policies) => {
                    assert_eq!(policies[0].policy_id.to_id_string(), "2.23.140.1.2.1");
                }
                _ => continue,
            }
            seen += 1;
        }
        assert_eq!((seen, cert.extensions().len()), (4, 7));
        webpki_judges(&chain, &der, NOW + DAY).unwrap();
        let ours = Certificate::parse(&der).unwrap();
        assert_eq!(ours.verify_issued_by(&chain.issuer), Ok(()));
        assert_eq!(ours.cairn_serial(), Some(leaf.serial));
        assert_eq!(
            (ours.dns_names(), ours.ip_addresses()),
            (&leaf.dns_names[..], &leaf.ip_addresses[..])
        );
    }
}

#[test]
fn root_and_issuing_certificates_say_what_a_ca_is() {
    // 5280-4.2.1.1-1
    // 5280-4.2.1.3-1
    // 5280-4.2.1.9-1
    // 5280-4.2.1.10-1
    let chain = chain();
    for (der, path_length) in [(&chain.root, None), (&chain.issuing, Some(0))] {
        let (_, cert) = X509Certificate::from_der(der).unwrap();
        let basic = cert.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca);
        assert_eq!(basic.value.path_len_constraint, path_length);
        let usage = cert.key_usage().unwrap().unwrap();
        assert!(
            usage.critical
                && usage.value.key_cert_sign()
                && usage.value.crl_sign()
                && !usage.value.digital_signature()
        );
        let ours = Certificate::parse(der).unwrap();
        assert!(ours.is_ca());
        let id = cert
            .extensions()
            .iter()
            .find_map(|e| match e.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            });
        assert_eq!(id, Some(ours.key_id()));
    }
    let (_, cert) = X509Certificate::from_der(&chain.issuing).unwrap();
    let constraints = cert.name_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    let bases = |trees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
        trees
            .iter()
            .flatten()
            .map(|t| t.base.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(bases(&constraints.value.permitted_subtrees).len(), 2);
    assert_eq!(
        bases(&constraints.value.excluded_subtrees).len(),
        1,
        "no IPv6 address"
    );
    assert_eq!(chain.issuer.permitted_dns(), ["widgets.internal"]);
    assert!(
        !Certificate::parse(&issued(&chain, &Leaf::new("leaf-p256")))
            .unwrap()
            .is_ca()
    );
}

#[test]
fn webpki_holds_leaves_to_the_constraints_and_so_do_we() {
    // 5280-4.2.1.10-1
    let cases = [
        ("within", "a.widgets.internal", "10.0.0.1", true),
        ("the apex", "widgets.internal", "10.255.255.255", true),
        ("another name", "widgets.example", "10.0.0.1", false),
        (
            "an apex that only ends the same",
            "evilwidgets.internal",
            "10.0.0.1",
            false,
        ),
        ("another address", "a.widgets.internal", "11.0.0.1", false),
        ("IPv6", "a.widgets.internal", "2001:db8::1", false),
        ("a wildcard within", "*.widgets.internal", "10.0.0.1", true),
        ("a wildcard above", "*.internal", "10.0.0.1", false),
    ];
    let chain = chain();
    let mut faults = Vec::new();
    for (case, name, address, fits) in cases {
        let leaf = Leaf {
            dns_names: vec![name.to_owned()],
            ip_addresses: vec![address.parse().unwrap()],
            ..Leaf::new("leaf-p256")
        };
        let webpki = webpki_judges(&chain, &issued(&chain, &leaf), NOW);
        let ours = chain.issuer.constraints();
        let ours = ours.permits_dns(name) && ours.permits_ip(leaf.ip_addresses[0]);
        if webpki.is_ok() != fits || ours != fits {
            faults.push((case, webpki, ours));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // Names alone permitted: no address at all. Nothing permitted: everything.
    let names_only = chain_for(&["widgets.internal".to_owned()], &[]);
    for (chain, fits) in [(names_only, false), (chain_for(&[], &[]), true)] {
        let der = issued(
            &chain,
            &Leaf {
                dns_names: vec!["a.widgets.internal".to_owned()],
                ..Leaf::new("leaf-p256")
            },
        );
        assert_eq!(webpki_judges(&chain, &der, NOW).is_ok(), fits);
        assert_eq!(
            chain
                .issuer
                .constraints()
                .permits_ip("10.1.2.3".parse().unwrap()),
            fits
        );
    }
}

#[test]
fn excluded_subtrees_of_a_foreign_issuer_bind_too() {
    // 5280-4.2.1.10-1
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::constructed(0), |w| {
            w.nest(tag::SEQUENCE, |w| w.value(0x82, b"Example.ORG"));
            w.nest(tag::SEQUENCE, |w| {
                w.value(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])
            });
        });
        w.nest(tag::constructed(1), |w| {
            w.nest(tag::SEQUENCE, |w| w.value(0x82, b"secret.example.org"));
            w.nest(tag::SEQUENCE, |w| {
                w.value(0x87, &[10, 9, 0, 0, 255, 255, 0, 0])
            });
        });
    });
    let constraints = NameConstraints::parse(&w.finish()).unwrap();
    let names = [
        ("example.org", true),
        ("a.example.org", true),
        ("*.a.example.org", true),
        ("secret.example.org", false),
        ("a.secret.example.org", false),
        ("*.example.org", false),
        ("*.secret.example.org", false),
        ("notsecret.example.org", true),
        ("example.com", false),
    ];
    let faults: Vec<_> = names
        .iter()
        .filter(|(name, fits)| constraints.permits_dns(name) != *fits)
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    assert!(constraints.permits_ip("10.8.0.1".parse().unwrap()));
    assert!(!constraints.permits_ip("10.9.0.1".parse().unwrap()));
    assert!(!constraints.permits_ip("::1".parse().unwrap()));
    for bad in [
        &[0x30, 2, 0xa2, 0][..],
        &[0x30, 6, 0xa0, 4, 0x30, 2, 0x87, 0],
        &[0x30, 7, 0xa0, 5, 0x30, 3, 0x82, 1, 0xff],
        &[],
    ] {
        assert!(NameConstraints::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_life_counts_both_its_ends_and_ends_with_the_issuer() {
    //
    // T-CA-95
    let far = i64::MAX;
    let lives = [1_i64, 2, 3600, DAY, 90 * DAY, 366 * DAY, 3653 * DAY];
    // Among the starts: before a leap day, a change of summer time, the end of 2049.
    let starts = [NOW, 1_709_164_800, 1_711_846_799, 2_524_607_000, 0];
    for start in starts {
        for life in lives {
            let window = validity_window(start, life, far);
            if life == 1 {
                assert_eq!(window, None, "one second is no window");
                continue;
            }
            let (from, to) = window.unwrap();
            assert_eq!(to - from + 1, life);
            assert_eq!(
                validity_window(start, life, to - 1).map(|w| w.1),
                (to - 1 > from).then_some(to - 1)
            );
        }
    }
    assert_eq!(
        validity_window(NOW, DAY, NOW),
        None,
        "the issuer ends as the leaf begins"
    );
    assert_eq!(validity_window(i64::MAX - 5, 10, far), None);
}

#[test]
fn webpki_accepts_a_leaf_from_its_first_to_its_last_second() {
    // T-CA-95
    let chain = chain();
    let leaf = Leaf::new("leaf-p256");
    let der = issued(&chain, &leaf);
    assert!(webpki_judges(&chain, &der, NOW - 1).is_err());
    assert_eq!(webpki_judges(&chain, &der, NOW), Ok(()));
    assert_eq!(webpki_judges(&chain, &der, NOW + LIFE - 1), Ok(()));
    assert!(webpki_judges(&chain, &der, NOW + LIFE).is_err());
    let name = |text: &str| ServerName::try_from(text.to_owned()).unwrap();
    let der = CertificateDer::from(der);
    let end = EndEntityCert::try_from(&der).unwrap();
    for good in [
        "shop.widgets.internal",
        "a.shop.widgets.internal",
        "10.1.2.3",
    ] {
        assert!(
            end.verify_is_valid_for_subject_name(&name(good)).is_ok(),
            "{good}"
        );
    }
    assert!(
        end.verify_is_valid_for_subject_name(&name("other.widgets.internal"))
            .is_err()
    );
}

#[test]
fn serials_are_positive_short_and_mostly_random() {
    //
    // T-CA-94
    let mut seen = HashSet::new();
    let (mut ones, rounds) = ([0_u32; 128], 100_000_u32);
    for n in 0..rounds {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        let serial = Serial::new(
            u8::try_from(n % 256).unwrap(),
            u16::try_from(n % 65_536).unwrap(),
            random,
        );
        let octets = serial.as_bytes();
        assert!(
            (1..=0x7f).contains(&octets[0]),
            "positive, and no leading zero"
        );
        assert!(octets.len() <= 20);
        for (bit, count) in ones.iter_mut().enumerate() {
            *count += u32::from(octets[3 + bit / 8] >> (7 - bit % 8) & 1);
        }
        assert!(seen.insert(serial), "a serial came twice");
    }
    // Each random bit is one in half of the serials: within six standard deviations (158 each).
    let bent: Vec<_> = ones
        .iter()
        .enumerate()
        .filter(|(_, n)| n.abs_diff(rounds / 2) > 950)
        .collect();
    assert!(bent.is_empty(), "bits that are not free: {bent:?}");
}

proptest::proptest! {
    #[test]
    fn a_serial_comes_back_from_its_text_and_bytes(epoch in 1_u8..128, day: u16, random: [u8; 16]) {
        let serial = Serial::new(epoch, day, random);
        proptest::prop_assert_eq!(serial.to_string().parse(), Ok(serial));
        proptest::prop_assert_eq!(Serial::from_bytes(*serial.as_bytes()), Some(serial));
    }

    #[test]
    fn no_change_of_a_certificate_makes_the_parser_panic(at in 0_usize..2000, with: u8, cut in 0_usize..2000) {
        let chain = chain();
        let mut der = chain.issuing.clone();
        let at = at % der.len();
        let same = der[at] == with;
        der[at] = with;
        if let Ok(changed) = Certificate::parse(&der) {
            let root = Certificate::parse(&chain.root).unwrap();
            proptest::prop_assert_eq!(changed.verify_issued_by(&root).is_ok(), same);
        }
        der.truncate(cut % der.len());
        proptest::prop_assert!(Certificate::parse(&der).is_err());
    }
}

#[test]
fn texts_that_are_no_serial_are_refused() {
    let good = serial(7).to_string();
    let bad = [
        String::new(),
        good.to_uppercase().replace('7', "A"),
        good[2..].to_owned(),
        format!("{good}00"),
        format!("00{}", &good[2..]),
        format!("80{}", &good[2..]),
        format!("0x{}", &good[2..]),
    ];
    for text in bad {
        assert!(text.parse::<Serial>().is_err(), "{text}");
    }
}

#[test]
fn templates_refuse_what_cannot_be_written() {
    let chain = chain();
    let bad = Leaf {
        policies: vec!["2.23.140.x".to_owned()],
        ..Leaf::new("leaf-p256")
    };
    assert_eq!(
        bad.template(&chain.issuer).build(),
        Err(TemplateFault::Policy("2.23.140.x".to_owned()))
    );
    for validity in [
        (NOW, NOW - 1),
        (NOW, 253_402_300_800),
        (-631_152_001, NOW),
        (i64::MIN, i64::MAX),
    ] {
        let bad = Leaf {
            validity,
            ..Leaf::new("leaf-p256")
        };
        assert_eq!(
            bad.template(&chain.issuer).build(),
            Err(TemplateFault::Validity(validity.0, validity.1))
        );
    }
    let (root, name) = (
        Certificate::parse(&chain.root).unwrap(),
        Name {
            organization: None,
            common_name: "I2".to_owned(),
        },
    );
    let spki = public("issuing-p256");
    let build = |dns: &[&str], ip: &[(std::net::IpAddr, u8)]| {
        let dns: Vec<String> = dns.iter().map(|n| (*n).to_owned()).collect();
        super::IssuingTemplate {
            serial: serial(3),
            issuer_subject_der: root.subject_der(),
            issuer_key_id: root.key_id(),
            subject: &name,
            not_before: NOW,
            not_after: NOW + DAY,
            spki_der: spki.spki_der(),
            permit_dns: &dns,
            permit_ip: ip,
            path_length: 0,
            signature_algorithm: SignatureAlgorithm::EcdsaSha256,
        }
        .build()
    };
    for bad in [
        "",
        ".widgets.internal",
        "Widgets.internal",
        "b\u{fc}cher.example",
        "a..b",
        "a b",
    ] {
        assert_eq!(
            build(&[bad], &[]),
            Err(TemplateFault::DnsName(bad.to_owned()))
        );
    }
    let (v4, v6) = ("10.0.0.0".parse().unwrap(), "fc00::".parse().unwrap());
    assert!(matches!(
        build(&[], &[(v4, 33)]),
        Err(TemplateFault::Range(_))
    ));
    assert!(matches!(
        build(&[], &[(v6, 129)]),
        Err(TemplateFault::Range(_))
    ));
    for length in 0..=32 {
        let issuer = Certificate::parse(&sign(
            &build(&[], &[(v4, length)]).unwrap(),
            &key("root-p256"),
        ))
        .unwrap();
        assert!(issuer.constraints().permits_ip(v4));
        assert_eq!(
            issuer
                .constraints()
                .permits_ip("138.0.0.1".parse().unwrap()),
            length == 0,
            "/{length}"
        );
    }
}

#[test]
fn certificates_of_wrong_form_are_refused() {
    let chain = chain();
    let leaf = issued(&chain, &Leaf::new("leaf-p256"));
    assert!(Certificate::parse(&[&leaf[..], &[0]].concat()).is_err());
    for cut in 0..leaf.len() {
        assert!(Certificate::parse(&leaf[..cut]).is_err());
    }
    // The outer algorithm is not the signed one.
    let tbs = Leaf::new("leaf-p256")
        .template(&chain.issuer)
        .build()
        .unwrap();
    let der = super::assemble(&tbs, SignatureAlgorithm::EcdsaSha384, &[0; 70]);
    assert_eq!(
        Certificate::parse(&der).err(),
        Some(CertificateFault::Algorithm)
    );
    let der = super::assemble(&tbs, SignatureAlgorithm::EcdsaSha256, &[0; 70]);
    assert!(
        Certificate::parse(&der)
            .unwrap()
            .verify_issued_by(&chain.issuer)
            .is_err()
    );
}

#[test]
fn signatures_of_another_key_or_issuer_are_not_taken() {
    // T-CA-100
    let chain = chain();
    let tbs = Leaf::new("leaf-p256")
        .template(&chain.issuer)
        .build()
        .unwrap();
    let by_other = Certificate::parse(&sign(&tbs, &key("other-p256"))).unwrap();
    assert!(by_other.verify_issued_by(&chain.issuer).is_err());
    // The root's key is not the issuing key, whatever name stands in the certificate.
    let by_root = Certificate::parse(&sign(&tbs, &key("root-p256"))).unwrap();
    assert!(
        by_root
            .verify_issued_by(&Certificate::parse(&chain.root).unwrap())
            .is_err()
    );
    let mut signature = chain.issuing_key.sign(&tbs).unwrap();
    assert_eq!(chain.issuer.verify_signature(&tbs, &signature), Ok(()));
    *signature.last_mut().unwrap() ^= 1;
    assert!(chain.issuer.verify_signature(&tbs, &signature).is_err());
}

#[test]
fn an_issuer_s_key_identifier_is_its_own_whatever_its_length() {
    // 5280-4.2.1.1-1
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![
        rcgen::KeyUsagePurpose::KeyCertSign,
        rcgen::KeyUsagePurpose::CrlSign,
    ];
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![7; 32]);
    let der = params.self_signed(&key).unwrap();
    let issuer = Certificate::parse(der.der()).unwrap();
    assert!(issuer.is_ca());
    assert_eq!(issuer.key_id(), [7; 32]);
    assert_eq!(issuer.verify_issued_by(&issuer), Ok(()));
}

#[test]
fn pem_has_lines_of_64_and_fingerprints_are_sha_256() {
    let root = chain().root;
    let text = pem("CERTIFICATE", &root);
    assert!(text.lines().all(|l| l.len() <= 64) && text.ends_with("-----END CERTIFICATE-----\n"));
    let (_, other) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
    assert_eq!(other.contents, root);
    assert_eq!(pem("X", &[0; 48]).lines().nth(1).map(str::len), Some(64));
    assert_eq!(pem("X", &[]).lines().count(), 2);
    assert_eq!(
        fingerprint(b""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn a_root_needs_a_key() {
    let root = RootTemplate {
        serial: serial(1),
        subject: &Name {
            organization: None,
            common_name: "R".to_owned(),
        },
        not_before: NOW,
        not_after: NOW + DAY,
        spki_der: &[0x30, 0],
        signature_algorithm: SignatureAlgorithm::EcdsaSha256,
    };
    assert!(matches!(root.build(), Err(TemplateFault::Key(_))));
}

#[test]
fn a_certificate_has_so_many_extensions_and_no_more() {
    // T-CA-74: each is compared with all before it.
    let with = |count: u8| {
        let mut w = Writer::with_capacity(4096);
        w.nest(tag::SEQUENCE, |w| {
            for number in 0..count {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, &[0x2a, 3, number]);
                    w.value(tag::OCTET_STRING, &[]);
                });
            }
        });
        super::parse::extensions(&w.finish()).map(|found| found.len())
    };
    assert_eq!(with(64).unwrap(), 64);
    assert!(with(65).is_err());
}
