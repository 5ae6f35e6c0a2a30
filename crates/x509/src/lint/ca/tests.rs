//! One golden file a rule under `testdata/lint/{root,issuing}`: bytes that break it and nothing else.

use std::{collections::BTreeSet, fs, net::IpAddr, path::Path};

use super::*;
use crate::{
    certificate::{assemble, extension},
    key::spki_sha256,
    reader::{Reader, only},
};

const FROM: i64 = 1_767_225_600;
const TO: i64 = FROM + 3650 * 86_400 - 1;

/// The public key of RFC 6979 appendix A.2.5, and P-256's base point: keys whose private halves everybody knows.
const ROOT_KEY: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const ISSUING_KEY: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

fn spki(point: &str) -> Vec<u8> {
    let point = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap();
    der(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, oid::EC_PUBLIC_KEY);
            w.value(tag::OID, oid::P256);
        });
        w.bit_string(&point);
    })
}

fn name(role: &str) -> Name {
    Name {
        organization: Some("Acme Widgets".to_owned()),
        common_name: format!("Acme Widgets {role}"),
    }
}

fn serial(seed: u8) -> Serial {
    Serial::new(1, 20_454, [seed; 16])
}

/// A signed part in pieces that can be bent one by one.
struct Parts {
    version: Vec<u8>,
    serial: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    validity: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    /// Between key and extensions.
    middle: Vec<u8>,
    extensions: Vec<(Vec<u8>, bool, Vec<u8>)>,
    after: Vec<u8>,
}

impl Parts {
    fn of(tbs: &[u8]) -> Self {
        let mut r = Reader::new(only(tbs, tag::SEQUENCE).unwrap().contents);
        let mut next = || r.any().unwrap().whole.to_vec();
        let mut parts = Self {
            version: next(),
            serial: next(),
            algorithm: next(),
            issuer: next(),
            validity: next(),
            subject: next(),
            spki: next(),
            middle: Vec::new(),
            extensions: Vec::new(),
            after: Vec::new(),
        };
        let outer = r.expect(tag::constructed(3)).unwrap().contents;
        parts.extensions = crate::certificate::parse_extensions(outer)
            .unwrap()
            .into_iter()
            .map(|e| (e.id, e.critical, e.value))
            .collect();
        parts
    }

    fn to_der(&self) -> Vec<u8> {
        let mut tbs = der(tag::SEQUENCE, |w| {
            for part in [
                &self.version,
                &self.serial,
                &self.algorithm,
                &self.issuer,
                &self.validity,
                &self.subject,
                &self.spki,
                &self.middle,
            ] {
                w.raw(part);
            }
            w.nest(tag::constructed(3), |w| {
                w.nest(tag::SEQUENCE, |w| {
                    for (id, critical, value) in &self.extensions {
                        extension(w, id, *critical, |w| w.raw(value));
                    }
                });
            });
        });
        tbs.extend_from_slice(&self.after);
        tbs
    }

    fn extension(&mut self, id: &[u8]) -> &mut (Vec<u8>, bool, Vec<u8>) {
        self.extensions.iter_mut().find(|e| e.0 == id).unwrap()
    }

    fn without(&mut self, id: &[u8]) {
        self.extensions.retain(|e| e.0 != id);
    }
}

fn integer(octets: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.value(tag::INTEGER, octets);
    w.finish()
}

fn validity(from: i64, to: i64) -> Vec<u8> {
    der(tag::SEQUENCE, |w| {
        w.time(from);
        w.time(to);
    })
}

fn algorithm(algorithm: SignatureAlgorithm) -> Vec<u8> {
    let mut w = Writer::default();
    algorithm.write(&mut w);
    w.finish()
}

type Bend = fn(&mut Parts);

/// What breaks one rule of both kinds; the file is named for the rule, with what was done behind a dot if there are more.
const BOTH: &[(&str, Bend)] = &[
    ("der.trailing", |p| p.after.push(0)),
    ("der.twice", |p| p.extensions.push(p.extensions[0].clone())),
    ("der.generalized-2026", |p| {
        p.validity = der(tag::SEQUENCE, |w| {
            w.value(tag::GENERALIZED_TIME, b"20260101000000Z");
            w.time(TO);
        });
    }),
    ("version", |p| {
        p.version = der(tag::constructed(0), |w| w.unsigned(&[1]))
    }),
    ("serial-form.negative", |p| {
        p.serial = integer(&[0x80, 1, 2, 3, 4, 5, 6, 7, 8])
    }),
    ("serial-form.long", |p| p.serial = integer(&[1; 21])),
    ("serial-entropy", |p| p.serial = integer(&[1; 8])),
    ("serial-stored", |p| p.serial = integer(&[7; 19])),
    ("signature-algorithm", |p| {
        p.algorithm = algorithm(SignatureAlgorithm::RsaSha256)
    }),
    ("issuer-name", |p| p.issuer = name("Other").to_der()),
    ("unique-ids", |p| p.middle = vec![0x81, 2, 0, 1]),
    ("validity-order", |p| p.validity = validity(TO, FROM)),
    ("validity-stored", |p| p.validity = validity(FROM + 1, TO)),
    ("extensions-known", |p| {
        p.extensions
            .push((oid::TLS_FEATURE.to_vec(), true, vec![0x30, 3, 2, 1, 5]))
    }),
    ("basic-constraints.not-critical", |p| {
        p.extension(oid::BASIC_CONSTRAINTS).1 = false
    }),
    ("basic-constraints.no-ca", |p| {
        p.extension(oid::BASIC_CONSTRAINTS).2 = vec![0x30, 0]
    }),
    ("basic-constraints.length", |p| {
        p.extension(oid::BASIC_CONSTRAINTS).2 = vec![0x30, 6, 1, 1, 0xff, 2, 1, 3]
    }),
    ("basic-constraints.absent", |p| {
        p.without(oid::BASIC_CONSTRAINTS)
    }),
    ("key-usage.not-critical", |p| {
        p.extension(oid::KEY_USAGE).1 = false
    }),
    ("key-usage.signs-messages", |p| {
        p.extension(oid::KEY_USAGE).2 = vec![3, 2, 1, 0x86]
    }),
    ("key-usage.absent", |p| p.without(oid::KEY_USAGE)),
    ("subject-key-id.absent", |p| p.without(oid::SUBJECT_KEY_ID)),
    ("subject-key-id.other", |p| {
        p.extension(oid::SUBJECT_KEY_ID).2[5] ^= 1
    }),
];

const ROOT: &[(&str, Bend)] = &[
    ("subject", |p| p.subject = name("Other").to_der()),
    ("key", |p| {
        p.spki = spki(ISSUING_KEY);
        // The key identifier goes with the key.
        let bits = data_encoding::HEXLOWER
            .decode(ISSUING_KEY.as_bytes())
            .unwrap();
        p.extension(oid::SUBJECT_KEY_ID).2[2..].copy_from_slice(&key_id(&bits));
    }),
    ("authority-key-id", |p| {
        let id = der(tag::SEQUENCE, |w| w.value(tag::context(0), &[1; 20]));
        p.extensions
            .push((oid::AUTHORITY_KEY_ID.to_vec(), false, id));
    }),
    ("name-constraints", |p| {
        let empty = vec![0x30, 0];
        p.extensions
            .push((oid::NAME_CONSTRAINTS.to_vec(), true, empty));
    }),
];

const ISSUING: &[(&str, Bend)] = &[
    ("subject", |p| p.subject = name("Other").to_der()),
    ("key", |p| {
        p.spki = spki(ROOT_KEY);
        let bits = data_encoding::HEXLOWER.decode(ROOT_KEY.as_bytes()).unwrap();
        p.extension(oid::SUBJECT_KEY_ID).2[2..].copy_from_slice(&key_id(&bits));
    }),
    ("authority-key-id.absent", |p| {
        p.without(oid::AUTHORITY_KEY_ID)
    }),
    ("authority-key-id.other", |p| {
        p.extension(oid::AUTHORITY_KEY_ID).2[6] ^= 1
    }),
    ("authority-key-id.critical", |p| {
        p.extension(oid::AUTHORITY_KEY_ID).1 = true
    }),
    ("name-constraints.absent", |p| {
        p.without(oid::NAME_CONSTRAINTS)
    }),
    ("name-constraints.not-critical", |p| {
        p.extension(oid::NAME_CONSTRAINTS).1 = false
    }),
    ("name-constraints.addresses-free", |p| {
        let value = der(tag::SEQUENCE, |w| {
            w.nest(tag::constructed(0), |w| {
                w.nest(tag::SEQUENCE, |w| w.value(0x82, b"widgets.internal"))
            })
        });
        p.extension(oid::NAME_CONSTRAINTS).2 = value;
    }),
];

/// Rules that look at the template or the issuer too; their files come from templates of their own, in a test below.
const BY_TEMPLATE: [&str; 5] = [
    "subject-bounds",
    "key-signs",
    "issuer-may-sign",
    "validity-issuer",
    "not-self-issued",
];

struct World {
    root_name: Name,
    issuing_name: Name,
    root_spki: Vec<u8>,
    issuing_spki: Vec<u8>,
    permit_dns: Vec<String>,
    permit_ip: Vec<(IpAddr, u8)>,
}

impl World {
    fn new() -> Self {
        Self {
            root_name: name("Root R1"),
            issuing_name: name("Issuing I1"),
            root_spki: spki(ROOT_KEY),
            issuing_spki: spki(ISSUING_KEY),
            permit_dns: vec!["widgets.internal".to_owned()],
            permit_ip: vec![("10.1.2.3".parse().unwrap(), 9)],
        }
    }

    fn root(&self) -> RootTemplate<'_> {
        RootTemplate {
            serial: serial(1),
            subject: &self.root_name,
            not_before: FROM,
            not_after: TO,
            spki_der: &self.root_spki,
            signature_algorithm: SignatureAlgorithm::EcdsaSha256,
        }
    }

    fn issuing<'a>(&'a self, root: &'a Certificate) -> IssuingTemplate<'a> {
        IssuingTemplate {
            serial: serial(2),
            issuer_subject_der: root.subject_der(),
            issuer_key_id: root.key_id(),
            subject: &self.issuing_name,
            not_before: FROM,
            not_after: TO,
            spki_der: &self.issuing_spki,
            permit_dns: &self.permit_dns,
            permit_ip: &self.permit_ip,
            path_length: 0,
            signature_algorithm: SignatureAlgorithm::EcdsaSha256,
        }
    }
}

/// With a signature that nobody verifies here.
fn certificate(tbs: &[u8]) -> Certificate {
    let der = assemble(tbs, SignatureAlgorithm::EcdsaSha256, &spki_sha256(tbs));
    Certificate::parse(&der).unwrap()
}

/// Compares the file with the bytes, or writes it.
fn golden(kind: &str, name: &str, bytes: &[u8], faults: &mut Vec<String>) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/lint")
        .join(kind)
        .join(format!("{name}.der"));
    if std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let committed = fs::read(&path).unwrap_or_default();
    if committed != bytes {
        faults.push(format!(
            "{kind}/{name}.der is not what CAIRN_BLESS=1 writes"
        ));
    }
    committed
}

fn judge(
    kind: &str,
    good: &[u8],
    cases: &[&[(&str, Bend)]],
    lint: impl Fn(&[u8]) -> Result<LintReport, Vec<LintFinding>>,
) {
    let mut faults = Vec::new();
    let rules = lint(&golden(kind, "good", good, &mut faults))
        .unwrap()
        .rules;
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    for (name, bend) in cases.iter().copied().flatten() {
        let mut parts = Parts::of(good);
        bend(&mut parts);
        let rule = name.split('.').next().unwrap();
        broken.insert(rule);
        match lint(&golden(kind, name, &parts.to_der(), &mut faults)) {
            Ok(_) => faults.push(format!("{kind}/{name}: passes")),
            Err(found) if found.iter().map(|f| f.id).collect::<Vec<_>>() != [rule] => {
                faults.push(format!("{kind}/{name}: {found:?}"));
            }
            Err(_) => {}
        }
    }
    let by_template = if kind == "root" { 2 } else { BY_TEMPLATE.len() };
    let shown = broken.len() + by_template;
    if shown != usize::try_from(rules).unwrap() {
        faults.push(format!(
            "{kind}: {rules} rules, {shown} of them broken here"
        ));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_rule_for_roots_has_bytes_that_break_it_alone() {
    // T-CA-98
    // 5280-4.2.1.9-1
    let world = World::new();
    let template = world.root();
    judge("root", &template.build().unwrap(), &[BOTH, ROOT], |tbs| {
        lint_root(tbs, &template)
    });
}

#[test]
fn each_rule_for_issuing_certificates_has_bytes_that_break_it_alone() {
    // T-CA-98
    // 5280-4.2.1.9-1
    // 5280-4.2.1.10-1
    let world = World::new();
    let root = certificate(&world.root().build().unwrap());
    let template = world.issuing(&root);
    judge(
        "issuing",
        &template.build().unwrap(),
        &[BOTH, ISSUING],
        |tbs| lint_issuing(tbs, &template, &root),
    );
}

fn ids(result: Result<LintReport, Vec<LintFinding>>) -> Vec<&'static str> {
    result.err().into_iter().flatten().map(|f| f.id).collect()
}

/// The bytes that a template comes to, as committed.
fn kept(kind: &str, rule: &str, made: &[u8]) -> Vec<u8> {
    let mut faults = Vec::new();
    let kept = golden(kind, rule, made, &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    kept
}

#[test]
fn a_template_that_no_ca_may_have_is_refused_though_the_bytes_follow_it() {
    let issuing = |rule: &str, template: &IssuingTemplate<'_>, issuer: &Certificate| {
        let tbs = kept("issuing", rule, &template.build().unwrap());
        assert_eq!(ids(lint_issuing(&tbs, template, issuer)), [rule]);
    };
    let of_root = |rule: &str, template: &RootTemplate<'_>| {
        let tbs = kept("root", rule, &template.build().unwrap());
        assert_eq!(ids(lint_root(&tbs, template)), [rule]);
    };
    let mut world = World::new();
    let root = certificate(&world.root().build().unwrap());
    let late = IssuingTemplate {
        not_after: TO + 1,
        ..world.issuing(&root)
    };
    issuing("validity-issuer", &late, &root);

    let below = certificate(&world.issuing(&root).build().unwrap());
    let third = IssuingTemplate {
        issuer_subject_der: below.subject_der(),
        issuer_key_id: below.key_id(),
        subject: &world.root_name,
        ..world.issuing(&root)
    };
    // 5280-4.2.1.9-1: a path length of 0 has no CA below it
    issuing("issuer-may-sign", &third, &below);

    let same = IssuingTemplate {
        subject: &world.root_name,
        ..world.issuing(&root)
    };
    issuing("not-self-issued", &same, &root);

    let ed25519 = der(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| w.value(tag::OID, oid::ED25519));
        w.bit_string(&[9; 32]);
    });
    let other_key = IssuingTemplate {
        spki_der: &ed25519,
        ..world.issuing(&root)
    };
    issuing("key-signs", &other_key, &root);
    let other_key = RootTemplate {
        spki_der: &ed25519,
        ..world.root()
    };
    of_root("key-signs", &other_key);

    world.root_name.common_name = "x".repeat(65);
    of_root("subject-bounds", &world.root());
    world.issuing_name.common_name = "x".repeat(65);
    issuing("subject-bounds", &world.issuing(&root), &root);
}

#[test]
fn constraints_come_out_the_same_from_builder_and_lint() {
    // 5280-4.2.1.10-1
    let mut world = World::new();
    let root = certificate(&world.root().build().unwrap());
    let ranges: [&[(&str, u8)]; 5] = [
        &[],
        &[("10.0.0.0", 8)],
        &[("fc00::", 7)],
        &[("192.0.2.77", 32), ("2001:db8::1", 128)],
        &[("0.0.0.0", 0), ("::", 0), ("10.255.255.255", 9)],
    ];
    for dns in [&[][..], &["widgets.internal", "localhost"]] {
        for range in ranges {
            world.permit_dns = dns.iter().map(ToString::to_string).collect();
            world.permit_ip = range
                .iter()
                .map(|(a, n)| (a.parse().unwrap(), *n))
                .collect();
            let template = world.issuing(&root);
            let tbs = template.build().unwrap();
            assert!(
                lint_issuing(&tbs, &template, &root).is_ok(),
                "{dns:?} {range:?}"
            );
            let constraints = certificate(&tbs).constraints().clone();
            let free = dns.is_empty() && range.is_empty();
            assert_eq!(constraints.permits_dns("elsewhere.example"), dns.is_empty());
            assert_eq!(
                constraints.permits_ip("198.51.100.1".parse().unwrap()),
                free || range.len() == 3
            );
            for (address, _) in range {
                assert!(
                    constraints.permits_ip(address.parse().unwrap()),
                    "{address}"
                );
            }
        }
    }
}
