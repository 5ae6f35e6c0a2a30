//! Whole attempts against scripted DNS servers.

use std::time::Duration;

use cairn_acme::challenge::Token;
use cairn_acme::identifier::Identifier;

use super::super::testing::{Asked, Dns, record_cname, record_soa, record_txt};
use super::super::{Attempt, NameRules, Validator};
use super::*;

const TOKEN: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
const KEY_AUTHORIZATION: &str =
    "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

fn job(name: &str) -> Job {
    Job {
        identifier: Identifier::parse("dns", name).unwrap(),
        challenge: ChallengeType::Dns01,
        token: TOKEN.parse::<Token>().unwrap(),
        key_authorization: KEY_AUTHORIZATION.to_owned(),
    }
}

fn value() -> String {
    job("a.test").txt_value()
}

async fn attempt(dns: &Dns, name: &str) -> Attempt {
    let resolver = Resolver::new(&[dns.address], Duration::from_millis(500)).unwrap();
    let bound = Duration::from_secs(60);
    Validator::new(resolver)
        .attempt(&job(name), &NameRules::default(), bound)
        .await
}

async fn fail(dns: &Dns, name: &str) -> (ProblemType, String, bool) {
    let attempt = attempt(dns, name).await;
    assert!(!attempt.trace.steps.is_empty());
    let failure = attempt.outcome.expect_err("it must not pass");
    (
        failure.problem.kind,
        failure.problem.detail,
        failure.transient,
    )
}

/// Texts at the asked name, whatever it is.
fn texts(asked: &Asked, texts: &[&[&[u8]]]) -> Vec<Vec<u8>> {
    let reply = texts.iter().fold(asked.reply(), |reply, strings| {
        reply.answer(record_txt(&asked.name, strings))
    });
    vec![reply.wire()]
}

/// Over UDP the answer is cut short, so that TCP is asked.
fn cut(asked: &Asked) -> Vec<Vec<u8>> {
    let mut bytes = asked.reply().wire();
    bytes[2] |= 2;
    vec![bytes]
}

#[tokio::test]
async fn one_text_that_is_the_value_passes_wherever_it_stands() {
    // R-19
    // 8555-8.4-2
    // T-CA-81
    let right = value();
    let right = right.as_bytes();
    let (front, back) = right.split_at(20);
    let other: &[&[u8]] = &[b"of another challenge"];
    let rows: Vec<(&str, Vec<Vec<&[u8]>>)> = vec![
        ("alone", vec![vec![right]]),
        ("first", vec![vec![right], other.to_vec()]),
        ("last", vec![other.to_vec(), vec![b""], vec![right]]),
        ("in two strings", vec![vec![front, back]]),
        ("in three strings", vec![vec![front, b"", back]]),
        ("twice", vec![vec![right], vec![right]]),
    ];
    for (what, records) in rows {
        let records: Vec<Vec<Vec<u8>>> = records
            .iter()
            .map(|strings| strings.iter().map(|s| s.to_vec()).collect())
            .collect();
        let dns = Dns::start(move |asked| {
            let reply = records.iter().fold(asked.reply(), |reply, strings| {
                let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
                reply.answer(record_txt(&asked.name, &strings))
            });
            vec![reply.wire()]
        })
        .await;
        let evidence = attempt(&dns, "a.test").await.outcome;
        let evidence = evidence.unwrap_or_else(|f| panic!("{what}: {f:?}"));
        assert_eq!(evidence.method, ChallengeType::Dns01);
        assert_eq!(evidence.place, "TXT of _acme-challenge.a.test");
        let asked = dns.asked();
        assert_eq!(asked.len(), 1, "{what}");
        assert_eq!(asked[0].name, "_acme-challenge.a.test");
    }
}

#[tokio::test]
async fn a_wildcard_is_shown_at_its_base() {
    // R-19
    // 8555-8.4-1
    // T-CA-60
    let dns = Dns::start(|asked| texts(asked, &[&[value().as_bytes()]])).await;
    assert!(attempt(&dns, "*.a.test").await.outcome.is_ok());
    assert_eq!(dns.asked()[0].name, "_acme-challenge.a.test");
    let dns = Dns::start(|asked| texts(asked, &[&[b"x"]])).await;
    let (_, detail, _) = fail(&dns, "*.a.test").await;
    assert!(
        detail.starts_with("*.a.test: no TXT record at _acme-challenge.a.test has"),
        "{detail}"
    );
}

#[tokio::test]
async fn aliases_are_followed_within_one_answer_and_over_several() {
    // R-19
    // 8555-8.4-2
    // 8555-8.4-4
    // T-CA-77
    let whole = Dns::start(|asked| {
        let reply = asked
            .reply()
            .answer(record_cname(&asked.name, "a.validation.example"))
            .answer(record_txt("a.validation.example", &[value().as_bytes()]));
        vec![reply.wire()]
    })
    .await;
    let evidence = attempt(&whole, "a.test").await.outcome.unwrap();
    assert_eq!(evidence.place, "TXT of a.validation.example");
    let parts = Dns::start(|asked| match asked.name.as_str() {
        "_acme-challenge.a.test" => vec![
            asked
                .reply()
                .answer(record_cname(&asked.name, "b.example"))
                .wire(),
        ],
        "b.example" => vec![
            asked
                .reply()
                .answer(record_cname(&asked.name, "c.example"))
                .wire(),
        ],
        _ => texts(asked, &[&[value().as_bytes()]]),
    })
    .await;
    let evidence = attempt(&parts, "a.test").await.outcome.unwrap();
    assert_eq!(evidence.place, "TXT of c.example");
    assert_eq!(parts.asked().len(), 3);
    // A text beside the chain is none of it.
    let beside = Dns::start(|asked| {
        let reply = asked
            .reply()
            .answer(record_txt("other.example", &[value().as_bytes()]))
            .authority(record_soa("test"));
        vec![reply.wire()]
    })
    .await;
    assert!(attempt(&beside, "a.test").await.outcome.is_err());
}

#[tokio::test]
async fn values_that_only_look_right_are_final_and_the_mistake_is_named() {
    // T-CA-81
    // 8555-8.4-2
    let right = value();
    let swapped: String = right
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    let hex: String = job("a.test")
        .digest()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "the key authorization",
            KEY_AUTHORIZATION.into(),
            "holds the key authorization itself",
        ),
        (
            "in quotation marks",
            format!("\"{right}\"").into(),
            "quotation marks that are part of it",
        ),
        (
            "white space",
            format!("{right} ").into(),
            "white space around it",
        ),
        ("padded", format!("{right}=").into(), "padded with \"=\""),
        (
            "another case",
            swapped.into(),
            "base64url tells cases apart",
        ),
        ("hex", hex.into(), "Found \""),
        (
            "the digest's octets",
            job("a.test").digest().to_vec(),
            "Found \"",
        ),
        ("the token", TOKEN.into(), "Found \"LoqX"),
        ("of another account", "A".repeat(43).into(), "Found \"AAAA"),
        ("a prefix", right[..42].into(), "Found \""),
        ("more behind it", format!("{right}x").into(), "Found \""),
        ("an empty text", Vec::new(), "Found \"\""),
        (
            "markup",
            b"<script>\"\x1b[31m".to_vec(),
            r"\x3cscript\x3e\x22\x1b[31m",
        ),
        ("long", vec![b'z'; 255], "zzz…\""),
    ];
    let mut wrong = Vec::new();
    for (what, text, says) in rows {
        let dns = Dns::start(move |asked| texts(asked, &[&[&text]])).await;
        let (kind, detail, transient) = fail(&dns, "a.test").await;
        let fine = kind == ProblemType::Unauthorized
            && !transient
            && detail.contains(says)
            && detail.starts_with("a.test: no TXT record at _acme-challenge.a.test has this challenge's value. Found ")
            && detail.contains(&format!("expected \"{right}\""))
            && detail.ends_with("Add a record with that value; others may stay beside it.")
            && !detail.chars().any(char::is_control);
        if !fine {
            wrong.push(format!("{what}: {kind:?} {transient} {detail}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_not_there_yet_or_fails_is_tried_again_and_what_is_broken_is_not() {
    // 8555-8.4-2
    // 8555-8.2-2
    // T-CA-77
    // T-CA-85
    type Script = fn(&Asked) -> Vec<Vec<u8>>;
    let rows: Vec<(&str, Script, ProblemType, bool, &str)> = vec![
        (
            "NXDOMAIN",
            |a| vec![a.reply().code(3).wire()],
            ProblemType::Dns,
            true,
            "the answer was NXDOMAIN. Add one with the value \"",
        ),
        (
            "NODATA",
            |a| vec![a.reply().authority(record_soa("test")).wire()],
            ProblemType::Unauthorized,
            true,
            "the name exists with other records. Add one with the value \"",
        ),
        (
            "SERVFAIL",
            |a| vec![a.reply().code(2).wire()],
            ProblemType::Dns,
            true,
            "of _acme-challenge.a.test failed: SERVFAIL. The zone's name servers fail or its DNSSEC",
        ),
        (
            "REFUSED",
            |a| vec![a.reply().code(5).wire()],
            ProblemType::Dns,
            true,
            "failed: REFUSED",
        ),
        (
            "NOTIMP",
            |a| vec![a.reply().code(4).wire()],
            ProblemType::Dns,
            true,
            "failed: response code 4",
        ),
        (
            "silence",
            |_| Vec::new(),
            ProblemType::Dns,
            true,
            "failed: no answer in time",
        ),
        (
            "a loop",
            |a| {
                let reply = a.reply().answer(record_cname(&a.name, "b.test"));
                vec![reply.answer(record_cname("b.test", &a.name)).wire()]
            },
            ProblemType::Dns,
            false,
            "a loop of CNAME records, _acme-challenge.a.test -> b.test -> _acme-challenge.a.test. Correct the CNAME",
        ),
        (
            "a loop over answers",
            |a| {
                let next = if a.name == "b.test" {
                    "_acme-challenge.a.test"
                } else {
                    "b.test"
                };
                vec![a.reply().answer(record_cname(&a.name, next)).wire()]
            },
            ProblemType::Dns,
            false,
            "a loop of CNAME records, _acme-challenge.a.test -> b.test -> _acme-challenge.a.test.",
        ),
        (
            "an endless chain",
            |a| {
                let next = format!("n{}.test", a.turn);
                vec![a.reply().answer(record_cname(&a.name, &next)).wire()]
            },
            ProblemType::Dns,
            false,
            "a chain of more than 8 CNAME records",
        ),
        (
            "a chain of a hundred",
            |a| {
                let mut owner = a.name.clone();
                let mut reply = a.reply();
                if !a.tcp {
                    return cut(a);
                }
                for n in 0..100 {
                    let next = format!("n{n}.test");
                    reply = reply.answer(record_cname(&owner, &next));
                    owner = next;
                }
                vec![
                    reply
                        .answer(record_txt(&owner, &[value().as_bytes()]))
                        .wire(),
                ]
            },
            ProblemType::Dns,
            false,
            "a chain of more than 8 CNAME records",
        ),
        (
            "two aliases",
            |a| {
                let reply = a.reply().answer(record_cname(&a.name, "b.test"));
                vec![reply.answer(record_cname(&a.name, "c.test")).wire()]
            },
            ProblemType::Dns,
            false,
            "two CNAME records at one name",
        ),
        (
            "cut short over TCP as well",
            cut,
            ProblemType::Dns,
            false,
            "cut short over TCP as well",
        ),
        (
            "half a message",
            |a| {
                let mut bytes = a.reply().answer(record_txt(&a.name, &[b"x"])).wire();
                bytes.truncate(bytes.len() - 3);
                vec![bytes]
            },
            ProblemType::Dns,
            false,
            "a malformed answer",
        ),
        (
            "a text longer than its record",
            |a| {
                let mut bytes = a.reply().answer(record_txt(&a.name, &[b"xy"])).wire();
                let at = bytes.len() - 3;
                bytes[at] = 200;
                vec![bytes]
            },
            ProblemType::Dns,
            false,
            "a malformed answer",
        ),
        (
            "a compression loop",
            |a| {
                let mut bytes = a.reply().answer(record_txt(&a.name, &[b"xy"])).wire();
                let question = 12 + a.name.len() + 2 + 4;
                let pointer = u16::try_from(question).unwrap() | 0xc000;
                bytes.splice(question..question + 2, pointer.to_be_bytes());
                vec![bytes]
            },
            ProblemType::Dns,
            false,
            "a malformed answer",
        ),
        (
            "a record without a text",
            |a| vec![a.reply().answer(record_txt(&a.name, &[])).wire()],
            ProblemType::Dns,
            false,
            "a malformed answer",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, script, kind, transient, says) in rows {
        let dns = Dns::start(script).await;
        let (found, detail, again) = fail(&dns, "a.test").await;
        if found != kind
            || again != transient
            || !detail.contains(says)
            || !detail.starts_with("a.test: ")
        {
            wrong.push(format!("{what}: {found:?} {again} {detail}"));
        }
        let asked = dns.asked().len();
        if asked > 10 {
            wrong.push(format!("{what}: {asked} queries"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn floods_of_records_have_a_defined_end() {
    // T-CA-78
    type Script = fn(&Asked) -> Vec<Vec<u8>>;
    let many = |a: &Asked, count: usize| {
        if !a.tcp {
            return cut(a);
        }
        let filler: &[u8] = b"-";
        let reply = (1..count).fold(a.reply(), |r, _| r.answer(record_txt(&a.name, &[filler])));
        vec![
            reply
                .answer(record_txt(&a.name, &[value().as_bytes()]))
                .wire(),
        ]
    };
    let thousand = Dns::start(move |a| many(a, 1000)).await;
    assert!(
        attempt(&thousand, "a.test").await.outcome.is_ok(),
        "the right one last of a thousand"
    );
    let rows: [(&str, Script, &str); 2] = [
        (
            "1100 records",
            |a| {
                if !a.tcp {
                    return cut(a);
                }
                let reply =
                    (0..1100).fold(a.reply(), |r, _| r.answer(record_txt(&a.name, &[b"-"])));
                vec![reply.wire()]
            },
            "more than 1024 records",
        ),
        (
            "4000 strings in one record",
            |a| {
                if !a.tcp {
                    return cut(a);
                }
                vec![
                    a.reply()
                        .answer(record_txt(&a.name, &vec![b"0123456789".as_slice(); 4000]))
                        .wire(),
                ]
            },
            "Found \"0123456789",
        ),
    ];
    for (what, script, says) in rows {
        let dns = Dns::start(script).await;
        let (_, detail, transient) = fail(&dns, "a.test").await;
        assert!(detail.contains(says) && !transient, "{what}: {detail}");
        assert!(detail.len() < 600, "{what}: {detail}");
    }
    // Of many values a few are told.
    let dns = Dns::start(|a| {
        texts(
            a,
            &[&[b"one"], &[b"two"], &[b"three"], &[b"four"], &[b"five"]],
        )
    })
    .await;
    let (_, detail, _) = fail(&dns, "a.test").await;
    assert!(
        detail.contains("Found \"one\", \"two\", \"three\" and 2 more; expected"),
        "{detail}"
    );
}

#[tokio::test]
async fn names_that_cannot_be_in_the_dns_are_not_asked_for() {
    let dns = Dns::start(|asked| texts(asked, &[&[value().as_bytes()]])).await;
    let (kind, detail, transient) = fail(&dns, "demo.localhost").await;
    assert!(kind == ProblemType::Dns && !transient, "{detail}");
    assert!(detail.contains("Use http-01 or tls-alpn-01"), "{detail}");
    let long = [
        ["a"; 63].concat(),
        ["b"; 63].concat(),
        ["c"; 63].concat(),
        ["d"; 60].concat(),
    ]
    .join(".");
    let (kind, detail, transient) = fail(&dns, &long).await;
    assert!(kind == ProblemType::Dns && !transient, "{detail}");
    assert!(detail.contains("too long to be asked for"), "{detail}");
    assert!(dns.asked().is_empty());
}
