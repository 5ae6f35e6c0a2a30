//! Answers as servers, odd servers and forgers would write them.

#![allow(clippy::disallowed_methods, reason = "these tests bound real time")]

use proptest::prelude::*;

use super::super::dns_question::OPT;
use super::super::testing::{Reply, record_a, record_aaaa, record_cname, record_soa, record_txt};
use super::*;

const RANDOM: QueryRandom = [0xa5; 34];

fn query(kind: RecordKind) -> Query {
    Query::new("www.example.org", kind, &RANDOM).unwrap()
}

fn addresses(result: Result<Answer, DnsFault>) -> Vec<String> {
    match result.unwrap().finding {
        Finding::Addresses(found) => found.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_query_has_random_id_and_case_and_offers_1232_octets() {
    // T-CA-79
    let query = query(RecordKind::A);
    assert_eq!(query.id(), 0xa5a5);
    let message = Message::from_vec(query.wire()).unwrap();
    assert_eq!(message.edns.as_ref().unwrap().max_payload(), 1232);
    assert!(message.metadata.recursion_desired);
    let asked = &message.queries[0];
    assert_eq!(asked.name, Name::from_ascii("www.example.org.").unwrap());
    assert!(
        !asked
            .name
            .eq_case(&Name::from_ascii("www.example.org.").unwrap())
    );
    let other = Query::new("www.example.org", RecordKind::A, &[0x5a; 34]).unwrap();
    assert_ne!(query.question(), other.question());
    assert_eq!(
        Query::new("a..b", RecordKind::A, &RANDOM).unwrap_err(),
        DnsFault::NameTooLong
    );
    let long = ["x".repeat(63).as_str(); 4].join(".");
    assert_eq!(
        Query::new(&long, RecordKind::A, &RANDOM).unwrap_err(),
        DnsFault::NameTooLong
    );
}

#[test]
fn answers_to_other_queries_are_told_apart() {
    // T-CA-79
    let query = query(RecordKind::A);
    let good = || Reply::to(&query).answer(record_a("www.example.org", "192.0.2.1"));
    assert_eq!(addresses(interpret(&query, &good().wire())), ["192.0.2.1"]);
    let forged = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good().wire();
        change(&mut bytes);
        interpret(&query, &bytes).unwrap_err()
    };
    assert_eq!(forged(|b| b[0] ^= 1), DnsFault::Unrelated, "id");
    assert_eq!(forged(|b| b[2] &= 0x7f), DnsFault::Unrelated, "a query");
    assert_eq!(forged(|b| b[2] |= 0x28), DnsFault::Unrelated, "opcode");
    assert_eq!(forged(|b| b[13] = b'x'), DnsFault::Unrelated, "name");
    assert_eq!(forged(|b| b[13] ^= 0x20), DnsFault::Unproven, "case");
    assert_eq!(forged(|b| b[30] = 28), DnsFault::Unrelated, "type");
    assert_eq!(forged(|b| b[32] = 3), DnsFault::Unrelated, "class");
    assert_eq!(forged(|b| b[5] = 2), DnsFault::Unrelated, "two questions");
    assert_eq!(forged(|b| b[5] = 0), DnsFault::Unproven, "QDCOUNT 0");
    assert_eq!(forged(|b| b.truncate(11)), DnsFault::Unrelated, "short");
    assert_eq!(forged(|b| b[2] |= 2), DnsFault::Truncated, "TC");
}

#[test]
fn over_tcp_case_proves_nothing_but_the_question_must_fit() {
    // T-CA-79
    let query = query(RecordKind::A);
    let mut bytes = Reply::to(&query)
        .answer(record_a("www.example.org", "192.0.2.1"))
        .wire();
    bytes[13] ^= 0x20;
    assert_eq!(addresses(interpret_stream(&query, &bytes)), ["192.0.2.1"]);
    for (at, octet) in [(0, 0), (5, 0), (13, b'x'), (2, 0x83)] {
        let mut bytes = bytes.clone();
        bytes[at] = octet;
        let got = interpret_stream(&query, &bytes);
        assert!(matches!(got, Err(DnsFault::Malformed(_))), "{at}: {got:?}");
    }
}

#[test]
fn every_kind_of_answer_is_told_from_the_others() {
    // 8555-8.3-5
    // 8555-11.2-1
    let query = query(RecordKind::Aaaa);
    let finding = |reply: Reply| interpret(&query, &reply.wire()).map(|answer| answer.finding);
    assert_eq!(finding(Reply::to(&query).code(3)), Ok(Finding::NoSuchName));
    assert_eq!(finding(Reply::to(&query)), Ok(Finding::NoRecords));
    assert_eq!(
        finding(Reply::to(&query).answer(record_a("www.example.org", "192.0.2.1"))),
        Ok(Finding::NoRecords),
        "another type"
    );
    assert_eq!(
        finding(Reply::to(&query).answer(record_aaaa("evil.example", "2001:db8::1"))),
        Ok(Finding::NoRecords),
        "another owner"
    );
    assert_eq!(
        finding(Reply::to(&query).code(2)),
        Err(DnsFault::ServerFailure)
    );
    assert_eq!(finding(Reply::to(&query).code(5)), Err(DnsFault::Refused));
    assert_eq!(finding(Reply::to(&query).code(1)), Err(DnsFault::Code(1)));
    assert_eq!(finding(Reply::to(&query).code(4)), Err(DnsFault::Code(4)));
    let cut = |length: usize| {
        let mut bytes = Reply::to(&query)
            .answer(record_aaaa("www.example.org", "2001:db8::1"))
            .wire();
        bytes.truncate(bytes.len() - length);
        interpret(&query, &bytes)
    };
    assert!(cut(0).is_ok());
    for length in 1..20 {
        assert!(
            matches!(cut(length), Err(DnsFault::Malformed(_))),
            "{length}"
        );
    }
}

#[test]
fn aliases_are_followed_in_any_order_of_records_and_extra_ones_ignored() {
    // T-CA-79
    // T-CA-85
    let query = query(RecordKind::A);
    let mut records = [
        record_cname("www.example.org", "A.cdn.example"),
        record_cname("a.CDN.example", "b.cdn.example"),
        record_a("b.cdn.example", "192.0.2.2"),
        record_a("b.cdn.example", "192.0.2.1"),
        record_a("b.cdn.example", "192.0.2.2"),
        record_a("victim.example", "192.0.2.66"),
    ];
    for turn in 0..2 {
        let reply = records
            .iter()
            .fold(Reply::to(&query), |reply, r| reply.answer(r.clone()));
        let answer = interpret(&query, &reply.wire()).unwrap();
        assert_eq!(answer.aliases, ["a.cdn.example", "b.cdn.example"]);
        let mut found = addresses(Ok(answer));
        found.sort();
        assert_eq!(found, ["192.0.2.1", "192.0.2.2"], "{turn}");
        records.reverse();
    }
    let reply = Reply::to(&query).answer(record_cname("www.example.org", "b.example"));
    let finding = interpret(&query, &reply.wire()).unwrap().finding;
    assert_eq!(finding, Finding::Alias("b.example".to_owned()));
    let reply = Reply::to(&query)
        .answer(record_cname("www.example.org", "b.example"))
        .authority(record_soa("example"));
    assert_eq!(
        interpret(&query, &reply.wire()).unwrap().finding,
        Finding::NoRecords
    );
}

#[test]
fn loops_and_long_chains_of_aliases_end_at_once() {
    // T-CA-77
    let query = query(RecordKind::A);
    let looped = Reply::to(&query)
        .answer(record_cname("www.example.org", "b.example"))
        .answer(record_cname("b.example", "www.example.org"));
    assert!(matches!(
        interpret(&query, &looped.wire()),
        Err(DnsFault::AliasLoop(_))
    ));
    let itself = Reply::to(&query).answer(record_cname("www.example.org", "WWW.example.org"));
    assert!(matches!(
        interpret(&query, &itself.wire()),
        Err(DnsFault::AliasLoop(_))
    ));
    let forked = Reply::to(&query)
        .answer(record_cname("www.example.org", "b.example"))
        .answer(record_cname("www.example.org", "c.example"));
    assert!(matches!(
        interpret(&query, &forked.wire()),
        Err(DnsFault::Malformed(_))
    ));
    let chain = |links: usize| {
        let mut reply = Reply::to(&query).answer(record_cname("www.example.org", "n0.example"));
        for n in 1..links {
            let owner = format!("n{}.example", n - 1);
            reply = reply.answer(record_cname(&owner, &format!("n{n}.example")));
        }
        let last = format!("n{}.example", links - 1);
        interpret(&query, &reply.answer(record_a(&last, "192.0.2.1")).wire())
    };
    assert_eq!(addresses(chain(8)), ["192.0.2.1"]);
    assert_eq!(chain(9), Err(DnsFault::AliasChain));
    assert_eq!(chain(100), Err(DnsFault::AliasChain));
}

#[test]
fn many_and_large_texts_are_read_up_to_the_bound() {
    // T-CA-78
    let query = query(RecordKind::Txt);
    let with = |count: usize| {
        let mut reply = Reply::to(&query);
        for n in 1..count {
            reply = reply.answer(record_txt(
                "www.example.org",
                &[format!("wrong {n}").as_bytes()],
            ));
        }
        let right = record_txt("www.example.org", &[b"ri".as_slice(), b"", b"ght"]);
        interpret(&query, &reply.answer(right).wire())
    };
    let began = std::time::Instant::now();
    let Finding::Texts(texts) = with(1000).unwrap().finding else {
        panic!()
    };
    assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
    assert_eq!(texts.len(), 1000);
    assert_eq!(texts[999], b"right", "the strings of one record are joined");
    assert_eq!(with(1500), Err(DnsFault::TooManyRecords));
}

#[test]
fn legal_but_odd_packets_are_faults_and_not_panics() {
    // T-CA-85
    let query = query(RecordKind::Txt);
    let malformed = |bytes: &[u8], what: &str| {
        let got = interpret(&query, bytes);
        assert!(
            matches!(got, Err(DnsFault::Malformed(_))),
            "{what}: {got:?}"
        );
    };
    let raw = |answers: u8, additionals: u8, tail: &[u8]| {
        let mut bytes = Reply::to(&query).wire();
        bytes[7] = answers;
        bytes[11] = additionals;
        bytes.extend_from_slice(tail);
        bytes
    };
    let end = Reply::to(&query).wire().len();
    let to_itself = [0xc0, u8::try_from(end).unwrap()];
    malformed(&raw(1, 0, &to_itself), "compression loop");
    let forward = [
        0xc0,
        u8::try_from(end + 2).unwrap(),
        0xc0,
        u8::try_from(end).unwrap(),
    ];
    malformed(&raw(1, 0, &forward), "pointers at each other");
    malformed(
        &raw(1, 0, b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\0"),
        "TXT without any string",
    );
    malformed(
        &raw(1, 0, b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\x02\x05a"),
        "string past its record",
    );
    malformed(&raw(0, 2, &[OPT, OPT].concat()), "two OPT");
    malformed(&raw(1, 0, &OPT), "OPT among the answers");
    malformed(&raw(200, 0, b""), "counts without records");
    malformed(&raw(1, 0, b"\x80"), "a label of no known kind");
    let empty = interpret(&query, &raw(1, 0, b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\x01\0"));
    assert_eq!(
        empty.unwrap().finding,
        Finding::Texts(vec![Vec::new()]),
        "one empty string"
    );
}

#[test]
fn pointers_to_pointers_do_not_cost_more_than_milliseconds() {
    // T-CA-85
    let query = query(RecordKind::A);
    let mut bytes = Reply::to(&query).wire();
    bytes[6] = 4;
    let first = u16::try_from(bytes.len()).unwrap();
    // An unknown record full of pointers, each to the one before, then many owners at its end.
    bytes.extend_from_slice(b"\xc0\x0c\xff\x01\0\x01\0\0\0\0\x3e\x80");
    let mut last = 12_u16;
    for n in 0..8000_u16 {
        bytes.extend_from_slice(&(0xc000 | last).to_be_bytes());
        last = first + 12 + 2 * n;
    }
    for _ in 1..1024 {
        bytes.extend_from_slice(&(0xc000 | last).to_be_bytes());
        bytes.extend_from_slice(b"\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01");
    }
    let began = std::time::Instant::now();
    let _ = interpret(&query, &bytes);
    assert!(began.elapsed().as_millis() < 500, "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn no_octets_make_the_parser_panic(
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        counts in any::<[u8; 3]>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        // T-CA-85
        let query = query(RecordKind::A);
        let reply = Reply::to(&query)
            .answer(record_cname("www.example.org", "b.example"))
            .answer(record_a("b.example", "192.0.2.1"));
        let mut bytes = reply.wire();
        for (at, octet) in flips {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        let _ = interpret(&query, &bytes);
        let mut bytes = Reply::to(&query).wire();
        bytes[7] = counts[0] % 8;
        bytes[9] = counts[1] % 8;
        bytes[11] = counts[2] % 8;
        bytes.extend_from_slice(&tail);
        let _ = interpret(&query, &bytes);
        let _ = interpret(&query, &tail);
    }
}
