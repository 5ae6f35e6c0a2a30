//! Each rule has a signed part that breaks it and nothing else, kept in `testdata/lint`.

use std::collections::BTreeSet;

use super::{LeafExpectation, LintFinding, LintReport, lint_crl, lint_leaf};
use crate::{
    certificate::{Certificate, Serial},
    crl::{CrlTemplate, Entry},
    key::SignatureAlgorithm,
    oid,
    reader::{Reader, Value, only},
    samples::{CRL_URL, DAY, LIFE, Leaf, NOW, chain, crl_template, golden, public, serial},
    writer::{Writer, tag},
};

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    write(&mut w);
    w.finish()
}

/// A SEQUENCE taken apart: its values, and its extensions, to be changed and written again.
struct Parts {
    fields: Vec<Vec<u8>>,
    extensions: Vec<(Vec<u8>, bool, Vec<u8>)>,
    /// The tag that the extensions stand under.
    under: u8,
    behind: Vec<u8>,
}

impl Parts {
    fn of(tbs: &[u8], under: u8) -> Self {
        let mut parts = Self {
            fields: Vec::new(),
            extensions: Vec::new(),
            under,
            behind: Vec::new(),
        };
        let mut reader = Reader::new(only(tbs, tag::SEQUENCE).unwrap().contents);
        while let Ok(Value {
            tag,
            contents,
            whole,
        }) = reader.any()
        {
            if tag == under {
                parts.extensions = crate::certificate::parse_extensions(contents)
                    .unwrap()
                    .into_iter()
                    .map(|e| (e.id, e.critical, e.value))
                    .collect();
            } else {
                parts.fields.push(whole.to_vec());
            }
        }
        parts
    }

    fn write(&self) -> Vec<u8> {
        let mut tbs = written(|w| {
            w.nest(tag::SEQUENCE, |w| {
                self.fields.iter().for_each(|f| w.raw(f));
                w.nest(self.under, |w| {
                    w.nest(tag::SEQUENCE, |w| {
                        for (id, critical, value) in &self.extensions {
                            crate::certificate::extension(w, id, *critical, |w| w.raw(value));
                        }
                    })
                });
            })
        });
        tbs.extend_from_slice(&self.behind);
        tbs
    }

    fn extension(&mut self, id: &[u8]) -> &mut (Vec<u8>, bool, Vec<u8>) {
        self.extensions.iter_mut().find(|e| e.0 == id).unwrap()
    }

    fn remove(&mut self, id: &[u8]) {
        self.extensions.retain(|e| e.0 != id);
    }

    fn add(&mut self, id: &[u8], critical: bool, value: &[u8]) {
        self.extensions
            .push((id.to_vec(), critical, value.to_vec()));
    }
}

/// Fields of a TBSCertificate.
const VERSION: usize = 0;
const SERIAL: usize = 1;
const ISSUER: usize = 3;
const VALIDITY: usize = 4;
const SUBJECT: usize = 5;
const KEY: usize = 6;

struct LeafCase {
    rule: &'static str,
    /// What the template has that lets only this rule see the fault.
    template: fn(&mut Leaf),
    /// The fault.
    fault: fn(&mut Parts),
}

fn keep(_: &mut Leaf) {}

fn none(_: &mut Parts) {}

fn validity(from: i64, to: i64) -> Vec<u8> {
    written(|w| {
        w.nest(tag::SEQUENCE, |w| {
            w.time(from);
            w.time(to);
        })
    })
}

const LEAF: [LeafCase; 33] = [
    LeafCase {
        rule: "der",
        template: keep,
        fault: |p| p.behind = vec![0],
    },
    LeafCase {
        rule: "version",
        template: keep,
        fault: |p| p.fields[VERSION] = vec![0xa0, 3, 2, 1, 1],
    },
    LeafCase {
        rule: "serial-form",
        template: keep,
        fault: |p| p.fields[SERIAL] = written(|w| w.unsigned(&[1; 21])),
    },
    LeafCase {
        rule: "serial-entropy",
        template: keep,
        fault: |p| p.fields[SERIAL] = written(|w| w.unsigned(&[1; 8])),
    },
    LeafCase {
        rule: "serial-stored",
        template: keep,
        fault: |p| p.fields[SERIAL] = written(|w| w.unsigned(serial(8).as_bytes())),
    },
    LeafCase {
        rule: "issuer-name",
        template: keep,
        // The same name with its strings in another type is not the same octets.
        fault: |p| {
            let issuer = &mut p.fields[ISSUER];
            let at = issuer.iter().rposition(|b| *b == tag::UTF8_STRING).unwrap();
            issuer[at] = tag::PRINTABLE_STRING;
        },
    },
    LeafCase {
        rule: "signature-algorithm",
        template: |l| l.algorithm = SignatureAlgorithm::EcdsaSha384,
        fault: none,
    },
    LeafCase {
        rule: "unique-ids",
        template: keep,
        fault: |p| p.fields.push(vec![0x81, 2, 0, 1]),
    },
    LeafCase {
        rule: "key",
        template: keep,
        fault: |p| p.fields[KEY] = public("other-p256").spki_der().to_vec(),
    },
    LeafCase {
        rule: "validity-order",
        template: keep,
        fault: |p| p.fields[VALIDITY] = validity(NOW, NOW),
    },
    LeafCase {
        rule: "validity-ended",
        template: |l| l.validity = (NOW - DAY / 2, NOW),
        fault: none,
    },
    LeafCase {
        rule: "validity-life",
        template: |l| l.validity.1 += 1,
        fault: none,
    },
    LeafCase {
        rule: "validity-issuer",
        template: |l| l.validity = (NOW - DAY - 1, NOW + 1),
        fault: none,
    },
    LeafCase {
        rule: "validity-stored",
        template: keep,
        fault: |p| p.fields[VALIDITY] = validity(NOW + 1, NOW + LIFE - 1),
    },
    LeafCase {
        rule: "subject",
        template: keep,
        fault: |p| {
            p.fields[SUBJECT] = written(|w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.nest(tag::SET, |w| {
                        w.nest(tag::SEQUENCE, |w| {
                            w.value(tag::OID, oid::ORGANIZATION);
                            w.value(tag::UTF8_STRING, b"Somebody Else");
                        })
                    })
                })
            });
        },
    },
    LeafCase {
        rule: "common-name",
        template: |l| l.common_name = Some("other.widgets.internal".to_owned()),
        fault: none,
    },
    LeafCase {
        rule: "san-present",
        template: keep,
        fault: |p| p.remove(oid::SUBJECT_ALT_NAME),
    },
    LeafCase {
        rule: "san-critical",
        template: keep,
        fault: |p| p.extension(oid::SUBJECT_ALT_NAME).1 = false,
    },
    LeafCase {
        rule: "san-types",
        template: keep,
        fault: |p| {
            let names = &mut p.extension(oid::SUBJECT_ALT_NAME).2;
            let old = only(names, tag::SEQUENCE).unwrap().contents.to_vec();
            *names = written(|w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.raw(&old);
                    w.value(0x81, b"root@widgets.internal");
                })
            });
        },
    },
    LeafCase {
        rule: "san-form",
        template: |l| l.dns_names[0] = "Shop.widgets.internal".to_owned(),
        fault: none,
    },
    LeafCase {
        rule: "san-ordered",
        template: keep,
        fault: |p| {
            p.extension(oid::SUBJECT_ALT_NAME).2 =
                written(|w| w.nest(tag::SEQUENCE, |w| w.value(0x82, b"other.widgets.internal")));
        },
    },
    LeafCase {
        rule: "name-constraints",
        template: |l| l.dns_names[0] = "widgets.example".to_owned(),
        fault: none,
    },
    LeafCase {
        rule: "ip-constraints",
        template: |l| l.ip_addresses[0] = "192.0.2.1".parse().unwrap(),
        fault: none,
    },
    // The poison of RFC 6962, left over.
    LeafCase {
        rule: "extensions-known",
        template: keep,
        fault: |p| p.add(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3], true, &[5, 0]),
    },
    LeafCase {
        rule: "key-usage",
        template: keep,
        fault: |p| p.extension(oid::KEY_USAGE).2 = written(|w| w.named_bits(0x84)),
    },
    LeafCase {
        rule: "extended-key-usage",
        template: keep,
        fault: |p| {
            p.extension(oid::EXT_KEY_USAGE).2 = written(|w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, oid::SERVER_AUTH);
                    w.value(tag::OID, oid::CLIENT_AUTH);
                })
            });
        },
    },
    LeafCase {
        rule: "basic-constraints",
        template: keep,
        fault: |p| p.add(oid::BASIC_CONSTRAINTS, true, &[0x30, 3, 1, 1, 0xff]),
    },
    LeafCase {
        rule: "authority-key-id",
        template: keep,
        fault: |p| *p.extension(oid::AUTHORITY_KEY_ID).2.last_mut().unwrap() ^= 1,
    },
    LeafCase {
        rule: "crl-distribution-point",
        template: keep,
        fault: |p| p.extension(oid::CRL_DISTRIBUTION_POINTS).1 = true,
    },
    LeafCase {
        rule: "authority-info-access",
        template: keep,
        fault: |p| p.remove(oid::AUTHORITY_INFO_ACCESS),
    },
    LeafCase {
        rule: "policies",
        template: keep,
        fault: |p| *p.extension(oid::CERTIFICATE_POLICIES).2.last_mut().unwrap() = 2,
    },
    LeafCase {
        rule: "tls-feature",
        template: keep,
        fault: |p| p.add(oid::TLS_FEATURE, false, &[0x30, 3, 2, 1, 5]),
    },
    LeafCase {
        rule: "plain-http",
        template: |l| l.crl_url = CRL_URL.replace("http:", "https:"),
        fault: none,
    },
];

fn lint_of(leaf: &Leaf, tbs: &[u8], issuer: &Certificate) -> Result<LintReport, Vec<LintFinding>> {
    let template = leaf.template(issuer);
    lint_leaf(tbs, &LeafExpectation::of(&template, issuer, LIFE, NOW))
}

fn ids(result: &Result<LintReport, Vec<LintFinding>>) -> Vec<&'static str> {
    match result {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(|f| f.id).collect(),
    }
}

#[test]
fn every_rule_for_leaves_refuses_its_own_fault_and_no_other_does() {
    // T-CA-98
    // T-CA-94
    // T-CA-95
    //
    // 5280-4.1-1
    // 5280-4.1.2.5-1
    // 5280-4.2-1
    // 5280-4.2.1.1-1
    // 5280-4.2.1.3-1
    // 5280-4.2.1.6-1
    // 5280-4.2.1.9-1
    // 5280-4.2.1.10-1
    // 5280-4.2.1.13-1
    let chain = chain();
    let mut faults = Vec::new();
    for case in &LEAF {
        let mut leaf = Leaf::new("leaf-p256");
        (case.template)(&mut leaf);
        let tbs = leaf.template(&chain.issuer).build().unwrap();
        let mut parts = Parts::of(&tbs, tag::constructed(3));
        assert_eq!(parts.write(), tbs, "taken apart and put together");
        (case.fault)(&mut parts);
        let made = parts.write();
        let kept = golden(&format!("lint/leaf/{}.der", case.rule), &made);
        let found = ids(&lint_of(&leaf, &kept, &chain.issuer));
        if kept != made || found != [case.rule] {
            faults.push((case.rule, kept == made, found));
        }
    }
    assert!(
        faults.is_empty(),
        "(rule, bytes as committed, found): {faults:#?}"
    );
}

#[test]
fn a_leaf_as_built_is_clean_and_every_rule_has_its_case() {
    // T-CA-98
    let chain = chain();
    let plain = Leaf::new("leaf-p256");
    let full = Leaf {
        common_name: Some("shop.widgets.internal".to_owned()),
        key_encipherment: true,
        must_staple: true,
        ..Leaf::new("leaf-rsa2048")
    };
    let bare = Leaf {
        policies: Vec::new(),
        ip_addresses: Vec::new(),
        ..Leaf::new("leaf-p256")
    };
    let shorter = Leaf {
        validity: (NOW, NOW + DAY),
        ..Leaf::new("leaf-p256")
    };
    for leaf in [plain, full, bare, shorter] {
        let tbs = leaf.template(&chain.issuer).build().unwrap();
        let report = lint_of(&leaf, &tbs, &chain.issuer).unwrap();
        let rules: BTreeSet<&str> = LEAF.iter().map(|c| c.rule).collect();
        assert_eq!(
            usize::try_from(report.rules).unwrap(),
            rules.len(),
            "a rule without a case"
        );
        assert_eq!(rules.len(), LEAF.len());
    }
}

#[test]
fn other_faults_of_leaves_are_found_too() {
    // T-CA-98
    let chain = chain();
    let cases: [LeafCase; 11] = [
        LeafCase {
            rule: "der",
            template: keep,
            fault: |p| p.fields[VERSION] = vec![0xa0, 4, 2, 2, 2, 2],
        },
        LeafCase {
            rule: "der",
            template: keep,
            fault: |p| p.fields[VALIDITY] = vec![0x30, 0],
        },
        LeafCase {
            rule: "der",
            template: keep,
            fault: |p| {
                let again = p.extension(oid::KEY_USAGE).clone();
                p.extensions.push(again);
            },
        },
        LeafCase {
            rule: "der",
            template: keep,
            fault: |p| {
                p.fields[VALIDITY] = [
                    &[0x30, 30][..],
                    &[0x18, 15],
                    b"20260921142640Z",
                    &[0x17, 13],
                    b"261220142639",
                ]
                .concat()
            },
        },
        LeafCase {
            rule: "serial-form",
            template: keep,
            fault: |p| p.fields[SERIAL] = [&[2, 19][..], &[0xff; 19]].concat(),
        },
        LeafCase {
            rule: "key-usage",
            template: keep,
            fault: |p| p.extension(oid::KEY_USAGE).1 = false,
        },
        LeafCase {
            rule: "key-usage",
            template: keep,
            fault: |p| p.extension(oid::KEY_USAGE).2 = vec![3, 2, 0, 0x80],
        },
        LeafCase {
            rule: "extended-key-usage",
            template: keep,
            fault: |p| p.remove(oid::EXT_KEY_USAGE),
        },
        LeafCase {
            rule: "extended-key-usage",
            template: keep,
            fault: |p| p.extension(oid::EXT_KEY_USAGE).2.extend([5, 0]),
        },
        LeafCase {
            rule: "policies",
            template: keep,
            fault: |p| p.remove(oid::CERTIFICATE_POLICIES),
        },
        LeafCase {
            rule: "validity-issuer",
            template: |l| l.validity = (NOW + 1826 * DAY - DAY, NOW + 1826 * DAY),
            fault: none,
        },
    ];
    let mut faults = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let mut leaf = Leaf::new("leaf-p256");
        (case.template)(&mut leaf);
        let mut parts = Parts::of(
            &leaf.template(&chain.issuer).build().unwrap(),
            tag::constructed(3),
        );
        (case.fault)(&mut parts);
        let found = ids(&lint_of(&leaf, &parts.write(), &chain.issuer));
        if found != [case.rule] {
            faults.push((n, case.rule, found));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(
        ids(&lint_of(&Leaf::new("leaf-p256"), &[], &chain.issuer)),
        ["der"]
    );
}

#[test]
fn a_leaf_for_another_issuer_is_refused() {
    // T-CA-100
    let chain = chain();
    let leaf = Leaf::new("leaf-p256");
    let tbs = leaf.template(&chain.issuer).build().unwrap();
    let root = Certificate::parse(&chain.root).unwrap();
    assert_eq!(
        ids(&lint_of(&leaf, &tbs, &root)),
        ["issuer-name", "authority-key-id"]
    );
}

/// Fields of a TBSCertList.
const CRL_VERSION: usize = 0;
const CRL_ALGORITHM: usize = 1;
const CRL_ISSUER: usize = 2;
const THIS_UPDATE: usize = 3;
const NEXT_UPDATE: usize = 4;
const ENTRIES: usize = 5;

type CrlCase = (&'static str, fn(&mut Parts));

fn entry(number: u8, revoked_at: i64, extensions: impl FnOnce(&mut Writer)) -> Vec<u8> {
    written(|w| {
        w.nest(tag::SEQUENCE, |w| {
            w.unsigned(serial(number).as_bytes());
            w.time(revoked_at);
            w.nest(tag::SEQUENCE, extensions);
        })
    })
}

fn reason(w: &mut Writer, id: &[u8], critical: bool, code: u8) {
    crate::certificate::extension(w, id, critical, |w| w.value(tag::ENUMERATED, &[code]));
}

fn list(entries: &[Vec<u8>]) -> Vec<u8> {
    written(|w| w.nest(tag::SEQUENCE, |w| entries.iter().for_each(|e| w.raw(e))))
}

const CRL: [CrlCase; 15] = [
    ("der", |p| p.behind = vec![0]),
    ("version", |p| p.fields[CRL_VERSION] = vec![2, 1, 0]),
    ("issuer-name", |p| p.fields[CRL_ISSUER] = vec![0x30, 0]),
    ("signature-algorithm", |p| {
        p.fields[CRL_ALGORITHM] = written(|w| SignatureAlgorithm::EcdsaSha384.write(w))
    }),
    ("dates", |p| {
        p.fields[NEXT_UPDATE] = written(|w| w.time(NOW))
    }),
    ("dates-stored", |p| {
        p.fields[THIS_UPDATE] = written(|w| w.time(NOW + 1))
    }),
    ("list", |p| p.fields[ENTRIES] = vec![0x30, 0]),
    ("reason", |p| {
        p.fields[ENTRIES] = list(&[entry(7, NOW, |w| reason(w, oid::REASON_CODE, false, 0))])
    }),
    ("entry-extensions", |p| {
        p.fields[ENTRIES] = list(&[entry(7, NOW, |w| reason(w, oid::REASON_CODE, true, 1))])
    }),
    ("entry-once", |p| {
        let one = |code| entry(7, NOW, |w| reason(w, oid::REASON_CODE, false, code));
        p.fields[ENTRIES] = list(&[
            one(1),
            entry(8, NOW, |w| reason(w, oid::REASON_CODE, false, 5)),
            one(4),
        ]);
    }),
    ("revocation-date", |p| {
        p.fields[ENTRIES] = list(&[entry(7, NOW + 1, |w| reason(w, oid::REASON_CODE, false, 1))])
    }),
    ("authority-key-id", |p| {
        *p.extension(oid::AUTHORITY_KEY_ID).2.last_mut().unwrap() ^= 1
    }),
    ("number", |p| p.extension(oid::CRL_NUMBER).2 = vec![2, 1, 5]),
    ("distribution-point", |p| {
        // Shard 4 in place of 3 (T-CA-105).
        let point = &mut p.extension(oid::ISSUING_DISTRIBUTION_POINT).2;
        let at = point.windows(5).position(|w| w == b"3.crl").unwrap();
        point[at] = b'4';
    }),
    // A delta CRL indicator.
    ("extensions-known", |p| {
        p.add(&[0x55, 0x1d, 0x1b], true, &[2, 1, 1])
    }),
];

fn crl_tbs(template: &CrlTemplate<'_>) -> Vec<u8> {
    template.build([Entry {
        serial: serial(7),
        revoked_at: NOW,
        reason: Some(1),
    }])
}

#[test]
fn every_rule_for_crls_refuses_its_own_fault_and_no_other_does() {
    // T-CA-98
    // T-CA-105
    // 5280-5-1
    // 5280-5.2.5-1
    // 5280-5.3-1
    let chain = chain();
    let template = crl_template(&chain.issuer);
    let mut faults = Vec::new();
    for (rule, fault) in CRL {
        let mut parts = Parts::of(&crl_tbs(&template), tag::constructed(0));
        fault(&mut parts);
        let made = parts.write();
        let kept = golden(&format!("lint/crl/{rule}.der"), &made);
        let found = ids(&lint_crl(&kept, &template, &chain.issuer));
        if kept != made || found != [rule] {
            faults.push((rule, kept == made, found));
        }
    }
    assert!(
        faults.is_empty(),
        "(rule, bytes as committed, found): {faults:#?}"
    );
}

#[test]
fn a_crl_as_built_is_clean_and_every_rule_has_its_case() {
    let chain = chain();
    let template = crl_template(&chain.issuer);
    let rules: BTreeSet<&str> = CRL.iter().map(|c| c.0).collect();
    assert_eq!(rules.len(), CRL.len());
    for tbs in [template.build([]), crl_tbs(&template)] {
        let report = lint_crl(&tbs, &template, &chain.issuer).unwrap();
        assert_eq!(
            usize::try_from(report.rules).unwrap(),
            rules.len(),
            "a rule without a case"
        );
    }
    let for_cas = CrlTemplate {
        only_user_certs: false,
        ..template.clone()
    };
    assert!(lint_crl(&for_cas.build([]), &for_cas, &chain.issuer).is_ok());
    assert_eq!(
        ids(&lint_crl(&for_cas.build([]), &template, &chain.issuer)),
        ["distribution-point"]
    );
}

#[test]
fn other_faults_of_crls_are_found_too() {
    // 5280-5-1
    // 5280-5.2.5-1
    let chain = chain();
    let template = crl_template(&chain.issuer);
    let cases: [CrlCase; 8] = [
        ("der", |p| drop(p.fields.remove(NEXT_UPDATE))),
        ("version", |p| drop(p.fields.remove(CRL_VERSION))),
        ("reason", |p| {
            p.fields[ENTRIES] = list(&[entry(7, NOW, |w| reason(w, oid::REASON_CODE, false, 7))])
        }),
        ("entry-extensions", |p| {
            p.fields[ENTRIES] = list(&[entry(7, NOW, |w| reason(w, &[0x55, 0x1d, 0x18], false, 1))])
        }),
        ("number", |p| p.extension(oid::CRL_NUMBER).2.push(0)),
        ("number", |p| p.extension(oid::CRL_NUMBER).1 = true),
        ("distribution-point", |p| {
            p.extension(oid::ISSUING_DISTRIBUTION_POINT).1 = false
        }),
        ("distribution-point", |p| {
            p.extension(oid::ISSUING_DISTRIBUTION_POINT).2 = vec![0x30, 0]
        }),
    ];
    let mut faults = Vec::new();
    for (n, (rule, fault)) in cases.into_iter().enumerate() {
        let mut parts = Parts::of(&crl_tbs(&template), tag::constructed(0));
        fault(&mut parts);
        let found = ids(&lint_crl(&parts.write(), &template, &chain.issuer));
        if found != [rule] {
            faults.push((n, rule, found));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn findings_say_rule_clause_and_what_was_found() {
    let finding = LintFinding {
        id: "version",
        clause: "5280-4.1-1",
        text: "version field 1".to_owned(),
    };
    assert_eq!(finding.to_string(), "version (5280-4.1-1): version field 1");
    assert_eq!(
        LintReport { rules: 32 }.to_string(),
        "clean: 32 rules of lint version 1"
    );
    // A serial of this CA always passes the rules for serials.
    assert!(Serial::new(1, 0, [0; 16]).as_bytes().len() >= 9);
}
