//! A table of findings and the words for them.

use cairn_acme::problem::ProblemType;
use hickory_proto::rr::RecordType;

use super::super::super::dns_report::{Item, SERV_FAIL};
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn doubt(kind: RecordKind, what: Doubted) -> Doubt {
    Doubt {
        problem: ProblemType::Dns,
        subject: "a.z.test".to_owned(),
        name: "a.z.test".to_owned(),
        kind,
        what,
        cause: "It failed.".to_owned(),
        remedy: "Mend it.".to_owned(),
        wanted: (kind == RecordKind::Txt).then(|| "right".to_owned()),
        transient: true,
    }
}

fn failed() -> Doubted {
    Doubted::Failed(DnsFault::ServerFailure)
}

fn code(code: u16) -> Report {
    Report {
        code,
        authoritative: true,
        ..Report::default()
    }
}

fn text(value: &str) -> Report {
    Report {
        answers: vec![Item {
            owner: "a.z.test".to_owned(),
            ttl: 30,
            fact: Fact::Text(value.as_bytes().to_vec()),
        }],
        ..code(0)
    }
}

fn server(name: &str, answer: Result<Report, Silence>, serial: Option<u32>) -> ServerSaid {
    ServerSaid {
        name: format!("{name}.z.test"),
        said: Said::Asked {
            address: [198, 41, 0, 7].into(),
            answer,
            serial,
        },
    }
}

/// A resolver that answers so, also with checking off, in the zone z.test.
fn findings(again: u16, unchecked: u16, servers: Vec<ServerSaid>) -> Findings {
    Findings {
        resolver: Some(([127, 0, 0, 1], 53).into()),
        again: Some(Ok(code(again))),
        unchecked: Some(Ok(code(unchecked))),
        root: Some(Ok(code(0))),
        zone: Some(("z.test".to_owned(), Some(3))),
        servers,
        ..Findings::default()
    }
}

#[test]
fn each_finding_has_its_words_and_its_remedy() {
    let silent = || Err(Silence::NoAnswer);
    let signed = Report {
        answers: vec![Item {
            owner: "a.z.test".to_owned(),
            ttl: 1,
            fact: Fact::Signature {
                until: 1_799_000_000,
                key: 7,
            },
        }],
        ..code(0)
    };
    let rows: Vec<(&str, Doubt, Findings, &[&str])> = vec![
        (
            "the resolver itself",
            doubt(RecordKind::A, Doubted::Failed(DnsFault::Timeout)),
            Findings {
                resolver: Some(([127, 0, 0, 1], 53).into()),
                again: Some(silent()),
                unchecked: Some(silent()),
                root: Some(silent()),
                ..Findings::default()
            },
            &["127.0.0.1:53", "on the CA's side", "order again later"],
        ),
        (
            "all servers fail",
            doubt(RecordKind::A, failed()),
            findings(2, 2, vec![server("ns1", Ok(code(SERV_FAIL)), None)]),
            &[
                "SERVFAIL, with DNSSEC checking off (CD=1) SERVFAIL as well, so it is not DNSSEC",
                "ns1.z.test (198.41.0.7): SERVFAIL",
                "dig @ns1.z.test a.z.test A",
            ],
        ),
        (
            "all servers are silent",
            doubt(RecordKind::A, failed()),
            findings(2, 2, vec![server("ns1", silent(), None)]),
            &[
                "no answer over UDP or TCP",
                "Open UDP and TCP port 53 to ns1.z.test",
            ],
        ),
        (
            "one server is lame",
            doubt(RecordKind::A, failed()),
            findings(
                2,
                2,
                vec![
                    server("ns1", Ok(code(0)), Some(3)),
                    server("ns2", Ok(code(5)), None),
                ],
            ),
            &[
                "ns1.z.test (198.41.0.7, serial 3): no records",
                "ns2.z.test (198.41.0.7): REFUSED",
                "ns2.z.test is named for z.test but does not serve it",
            ],
        ),
        (
            "an expired signature",
            doubt(RecordKind::A, failed()),
            Findings {
                unchecked: Some(Ok(signed)),
                ..findings(2, 0, vec![])
            },
            &[
                "what fails is the DNSSEC signature of z.test",
                "by key 7 ended on 2027-01-03T",
                "Sign z.test anew",
            ],
        ),
        (
            "an orphaned DS",
            doubt(RecordKind::A, failed()),
            Findings {
                delegated: vec![4711],
                keys: vec![12, 13],
                ..findings(2, 0, vec![])
            },
            &[
                "are for key 4711; the zone has key 12, 13",
                "Delete the DS of key 4711",
            ],
        ),
        (
            "CAA alone",
            doubt(RecordKind::Caa, failed()),
            Findings {
                addresses: Some(Ok(code(0))),
                ..findings(2, 2, vec![server("ns1", Ok(code(2)), None)])
            },
            &[
                "For type A of a.z.test",
                "NOERROR",
                "Repair or upgrade ns1.z.test",
            ],
        ),
        (
            "an old text on one of two servers",
            doubt(RecordKind::Txt, Doubted::OtherTexts),
            findings(
                0,
                0,
                vec![
                    server("ns1", Ok(text("right")), Some(4)),
                    server("ns2", Ok(text("old")), Some(3)),
                ],
            ),
            &[
                "ns1.z.test (198.41.0.7, serial 4): \"right\" (TTL 30 s)",
                "serial 3): \"old\"",
                "ns1.z.test has the value and ns2.z.test has not",
            ],
        ),
        (
            "servers that do not talk to us",
            doubt(RecordKind::Txt, Doubted::NoSuchName),
            findings(3, 3, vec![server("ns1", silent(), None)]),
            &["(ns1.z.test) do not answer this CA directly", "Mend it."],
        ),
        (
            "a dead target",
            doubt(RecordKind::Txt, failed()),
            Findings {
                chain: vec!["t.gone.test".to_owned()],
                end: Some(Ok(code(SERV_FAIL))),
                zone: None,
                ..findings(2, 2, vec![])
            },
            &[
                "an alias, a.z.test -> t.gone.test; there the answer is SERVFAIL",
                "remove the CNAME record at a.z.test",
            ],
        ),
        (
            "other types",
            doubt(RecordKind::A, Doubted::NoRecords),
            Findings {
                types: vec![RecordType::TXT, RecordType::MX],
                ..findings(0, 0, vec![])
            },
            &["The zone is z.test, serial 3.", "records of type TXT, MX"],
        ),
        (
            "what must not be asked",
            doubt(RecordKind::A, failed()),
            findings(
                2,
                2,
                vec![ServerSaid {
                    name: "ns1.z.test".to_owned(),
                    said: Said::NotPermitted([10, 0, 0, 1].into(), "private use, RFC 1918"),
                }],
            ),
            &["ns1.z.test (10.0.0.1) was not asked"],
        ),
    ];
    let mut wrong = Vec::new();
    for (what, doubt, findings, says) in rows {
        let text = told(&doubt, &findings, NOW);
        if !text.starts_with("a.z.test: It failed. ") {
            wrong.push(format!("{what}: begins otherwise: {text}"));
        }
        for part in says {
            if !text.contains(part) {
                wrong.push(format!("{what}: {part:?} is not in: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_moment_of_a_signature_is_the_one_next_to_now() {
    let later = Timestamp::from_seconds((1 << 32) + 50);
    assert_eq!(moment(20, later).as_seconds(), (1 << 32) + 20);
    assert_eq!(moment(u32::MAX, later).as_seconds(), (1 << 32) - 1);
}
