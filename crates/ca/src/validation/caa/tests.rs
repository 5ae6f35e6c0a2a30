//! The climb against a server that knows, fails, lies and hangs, level by level.

use std::collections::HashMap;

use hickory_proto::rr::RecordType;

use super::super::dns_message::RecordKind;
use super::super::resolver::ResolverConfig;
use super::super::testing::{Asked, Dns, record_caa, record_cname, record_soa};
use super::*;

/// What the server says about one name.
#[derive(Clone)]
enum Says {
    Caa(&'static [u8]),
    /// NOERROR and nothing.
    Nothing,
    Code(u16),
    Silence,
    Alias(&'static str, Option<&'static [u8]>),
    /// One answer is promised, and these octets follow the question.
    Bytes(&'static [u8]),
}

const OURS: &[u8] = b"\x00\x05issueca.example";
const NOBODY: &[u8] = b"\x00\x05issue;";

async fn server(names: &[(&str, Says)]) -> Dns {
    let names: HashMap<String, Says> = names
        .iter()
        .map(|(name, says)| ((*name).to_owned(), says.clone()))
        .collect();
    Dns::start(move |asked| answer(asked, names.get(&asked.name))).await
}

fn answer(asked: &Asked, says: Option<&Says>) -> Vec<Vec<u8>> {
    let reply = asked.reply();
    let reply = match says {
        None => reply.code(3),
        Some(Says::Caa(rdata)) => reply.answer(record_caa(&asked.name, rdata)),
        Some(Says::Nothing) => reply,
        Some(Says::Code(code)) => reply.code(*code),
        Some(Says::Silence) => return Vec::new(),
        Some(Says::Alias(target, None)) => reply
            .answer(record_cname(&asked.name, target))
            .authority(record_soa(target)),
        Some(Says::Alias(target, Some(rdata))) => reply
            .answer(record_cname(&asked.name, target))
            .answer(record_caa(target, rdata)),
        Some(Says::Bytes(tail)) => {
            let mut wire = reply.wire();
            wire[7] = 1;
            wire.extend_from_slice(tail);
            return vec![wire];
        }
    };
    vec![reply.wire()]
}

async fn check(dns: &Dns, name: &str, zones: &[&str], trust_ad: bool) -> CaaAttempt {
    let resolver = Resolver::with(ResolverConfig {
        servers: vec![dns.address],
        timeout: Duration::from_millis(1500),
        repeat: Duration::from_millis(500),
        trust_ad,
        ..ResolverConfig::default()
    })
    .unwrap();
    let question = CaaQuestion {
        name: DnsName::parse(name).unwrap(),
        wildcard: false,
        accounts: vec!["https://ca.example/acme/account/one".to_owned()],
        method: "http-01",
        asked_at: Timestamp::from_seconds(1000),
    };
    let policy = CaaPolicy {
        identities: vec!["ca.example".to_owned()],
        private_zones: zones.iter().map(ToString::to_string).collect(),
        ..CaaPolicy::default()
    };
    Validator::new(resolver)
        .check_caa(
            &question,
            &policy,
            &NameRules::default(),
            Duration::from_secs(20),
        )
        .await
}

/// `+OWNER`, or the problem's type.
fn verdict(attempt: &CaaAttempt) -> String {
    match &attempt.outcome {
        Ok(check) => format!("+{}", check.found_at.as_deref().unwrap_or_default()),
        Err(failure) => failure.problem.kind.name().to_owned(),
    }
}

#[tokio::test]
async fn the_first_set_from_the_name_upwards_is_the_relevant_one() {
    // 8659-3-1
    // 8659-3-2
    // T-CA-86
    type Row<'a> = (&'a str, Vec<(&'a str, Says)>, &'a [&'a str], &'a str);
    let rows: Vec<Row<'_>> = vec![
        ("none anywhere", vec![], &[], "+"),
        (
            "empty everywhere",
            vec![
                ("a.b.c", Says::Nothing),
                ("b.c", Says::Nothing),
                ("c", Says::Nothing),
            ],
            &[],
            "+",
        ),
        (
            "at the name",
            vec![("a.b.c", Says::Caa(NOBODY))],
            &[],
            "caa",
        ),
        (
            "at the parent",
            vec![("b.c", Says::Caa(NOBODY))],
            &[],
            "caa",
        ),
        ("at the top", vec![("c", Says::Caa(NOBODY))], &[], "caa"),
        (
            "permissive child of a forbidding parent",
            vec![("a.b.c", Says::Caa(OURS)), ("b.c", Says::Caa(NOBODY))],
            &[],
            "+a.b.c",
        ),
        (
            "forbidding child of a permissive parent",
            vec![("a.b.c", Says::Caa(NOBODY)), ("b.c", Says::Caa(OURS))],
            &[],
            "caa",
        ),
        (
            "an alias's records count for the name",
            vec![("a.b.c", Says::Alias("x.y.z", Some(NOBODY)))],
            &[],
            "caa",
        ),
        (
            "an alias's permission too",
            vec![
                ("a.b.c", Says::Alias("x.y.z", Some(OURS))),
                ("b.c", Says::Caa(NOBODY)),
            ],
            &[],
            "+a.b.c",
        ),
        (
            "the tree above an alias's target is not climbed",
            vec![
                ("a.b.c", Says::Alias("x.y.z", None)),
                ("y.z", Says::Caa(NOBODY)),
                ("z", Says::Caa(NOBODY)),
            ],
            &[],
            "+",
        ),
        (
            "the tree above the name is, after an alias",
            vec![
                ("a.b.c", Says::Alias("x.y.z", None)),
                ("b.c", Says::Caa(NOBODY)),
            ],
            &[],
            "caa",
        ),
        (
            "an alias at the parent",
            vec![("b.c", Says::Alias("x.y.z", Some(NOBODY)))],
            &[],
            "caa",
        ),
        (
            "a private zone's apex is asked",
            vec![("b.c", Says::Caa(NOBODY))],
            &["b.c"],
            "caa",
        ),
        (
            "above it nobody is",
            vec![("c", Says::Caa(NOBODY))],
            &["b.c"],
            "+",
        ),
        (
            "another zone ends nothing",
            vec![("c", Says::Caa(NOBODY))],
            &["x.c"],
            "caa",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, names, zones, want) in rows {
        let dns = server(&names).await;
        let found = check(&dns, "a.b.c", zones, false).await;
        if verdict(&found) != want {
            wrong.push(format!("{what}: {:?}", found.outcome));
        }
        for asked in dns.asked() {
            let beside = !["a.b.c", "b.c", "c", "x.y.z"].contains(&asked.name.as_str());
            let above = zones == ["b.c"] && asked.name == "c";
            if beside || above || asked.kind != RecordType::CAA {
                wrong.push(format!("{what}: asked {} {}", asked.name, asked.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn each_failure_at_each_level_refuses_unless_a_set_below_it_was_found() {
    // 8659-3-2
    // T-CA-80
    // T-CA-87
    let failures: Vec<(&str, Says)> = vec![
        ("FORMERR", Says::Code(1)),
        ("SERVFAIL, which also stands for bogus", Says::Code(2)),
        ("NOTIMP", Says::Code(4)),
        ("REFUSED", Says::Code(5)),
        ("YXDOMAIN", Says::Code(6)),
        ("NOTAUTH", Says::Code(9)),
        ("silence", Says::Silence),
        ("no RDATA", Says::Caa(b"")),
        ("no tag", Says::Caa(b"\x00\x00")),
        ("shorter than its tag", Says::Caa(b"\x00\x09issue")),
        ("an odd tag", Says::Caa(b"\x00\x05is-ue;")),
        ("a promised record is absent", Says::Bytes(b"")),
        (
            "RDATA past the end",
            Says::Bytes(b"\xc0\x0c\x01\x01\x00\x01\x00\x00\x00\x00\xff\xff\x00"),
        ),
        ("a cut record", Says::Bytes(b"\xc0\x0c\x01\x01\x00\x01\x00")),
        ("a name that points ahead", Says::Bytes(b"\xc0\xff\x01\x01")),
    ];
    let mut wrong = Vec::new();
    for (what, says) in &failures {
        for level in ["a.b.c", "b.c", "c"] {
            let dns = server(&[(level, says.clone())]).await;
            let found = check(&dns, "a.b.c", &[], false).await;
            match &found.outcome {
                Err(failure)
                    if failure.problem.kind == ProblemType::Dns
                        && failure
                            .problem
                            .detail
                            .contains(&format!("CAA records of {level}")) => {}
                other => wrong.push(format!("{what} at {level}: {other:?}")),
            }
        }
        // What lies above the relevant set is nothing to it, however long it takes.
        for level in ["b.c", "c"] {
            let dns = server(&[("a.b.c", Says::Caa(OURS)), (level, says.clone())]).await;
            let found = check(&dns, "a.b.c", &[], false).await;
            if verdict(&found) != "+a.b.c" {
                wrong.push(format!(
                    "{what} at {level}, above a set: {:?}",
                    found.outcome
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_was_found_is_kept_as_evidence_and_in_the_trace() {
    // 8659-5-1
    let dns = server(&[("b.c", Says::Alias("x.y.z", Some(OURS)))]).await;
    let found = check(&dns, "a.b.c", &[], false).await;
    let kept = found.outcome.unwrap();
    assert_eq!(kept.name, "a.b.c");
    assert_eq!(kept.checked_at, Timestamp::from_seconds(1000));
    assert_eq!(kept.found_at.as_deref(), Some("b.c"));
    assert_eq!(kept.aliases, ["x.y.z"]);
    assert_eq!(kept.records, ["CAA 0 issue \"ca.example\""]);
    assert_eq!(kept.resolver, Some(dns.address));
    assert!(!kept.dnssec);
    let climbed: Vec<&str> = found
        .trace
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::LookedUp(l) if l.kind == RecordKind::Caa => Some(l.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(climbed, ["a.b.c", "b.c"], "in the order of the climb");
}

#[tokio::test]
async fn the_ad_bit_counts_only_from_servers_that_are_trusted_for_it() {
    // 8657-5.6-1
    // T-CA-80
    let mut wrong = Vec::new();
    for (child, parent, trusted, want) in [
        (true, true, true, true),
        (true, true, false, false),
        (false, true, true, false),
        (true, false, true, false),
    ] {
        let dns = Dns::start(move |asked| {
            let reply = asked.reply();
            let (mut wire, validated) = if asked.name == "b.c" {
                (reply.wire(), child)
            } else {
                (reply.answer(record_caa(&asked.name, OURS)).wire(), parent)
            };
            if validated {
                wire[3] |= 0x20;
            }
            vec![wire]
        })
        .await;
        let kept = check(&dns, "b.c", &[], trusted).await.outcome.unwrap();
        if kept.dnssec != want {
            wrong.push(format!("{child} {parent} {trusted}: {kept:?}"));
        }
        // AD is asked for, and never CD: a bogus answer is to stay SERVFAIL.
        if !dns.asked().iter().all(|asked| asked.wire[3] & 0x30 == 0x20) {
            wrong.push(format!("{child} {parent} {trusted}: flags"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_name_of_many_labels_is_climbed_a_few_at_once() {
    // T-CA-86
    let name = format!("{}z", "a.".repeat(60));
    let dns = server(&[]).await;
    let found = check(&dns, &name, &[], false).await;
    assert_eq!(verdict(&found), "+");
    assert_eq!(dns.asked().len(), 61);
    let dns = server(&[(&name, Says::Caa(NOBODY))]).await;
    let found = check(&dns, &name, &[], false).await;
    assert_eq!(verdict(&found), "caa");
    assert!(dns.asked().len() <= AT_ONCE);
}

#[tokio::test]
async fn names_under_localhost_are_not_looked_up() {
    let dns = server(&[("localhost", Says::Caa(NOBODY))]).await;
    let found = check(&dns, "page.localhost", &[], false).await;
    let kept = found.outcome.unwrap();
    assert!(kept.not_asked.unwrap().contains("RFC 6761"));
    assert!(dns.asked().is_empty());
}
