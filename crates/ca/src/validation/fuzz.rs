//! The parsers of this module as plain functions of octets, for the fuzz targets. They panic when
//! a bound that the rest relies on is broken.

use super::dns_message::{Finding, Query, RecordKind, interpret, interpret_stream};
use super::dns_question::{Asking, Question};
use super::dns_report::Report;
use super::http_answer::{BODY_MAX, Body, HEAD_MAX, parse_head};

/// Reads octets as the answer to a query of each kind: as they are, and behind a header and a
/// question that fit, so that the records are reached.
pub fn fuzz_dns_answer(data: &[u8]) {
    for kind in [
        RecordKind::A,
        RecordKind::Aaaa,
        RecordKind::Txt,
        RecordKind::Caa,
    ] {
        let Ok(query) = Query::new("www.example.org", kind, &[0; 34]) else {
            continue;
        };
        let _ = interpret(&query, data);
        let _ = interpret_stream(&query, data);
        let Some((header, tail)) = data.split_first_chunk::<12>() else {
            continue;
        };
        let [_, _, flags, code, _, _, counts @ ..] = header;
        let mut answer = query.id().to_be_bytes().to_vec();
        answer.extend_from_slice(&[flags & 0x05 | 0x80, *code, 0, 1]);
        answer.extend_from_slice(counts);
        answer.extend_from_slice(query.question());
        answer.extend_from_slice(tail);
        let question = Question::new(
            "www.example.org",
            kind.record_type(),
            Asking::Unchecked,
            &[0; 34],
        );
        if let Some(report) = question.ok().and_then(|q| Report::read(&q, &answer)) {
            assert!(report.answers.len() <= 64 && report.errors.len() <= 4);
        }
        let Ok(read) = interpret(&query, &answer) else {
            continue;
        };
        assert!(read.aliases.len() <= 8, "{read:?}");
        match read.finding {
            Finding::Addresses(found) => assert!((1..=32).contains(&found.len()), "{found:?}"),
            Finding::Texts(texts) => assert!(kind == RecordKind::Txt && !texts.is_empty()),
            Finding::Caa(set) => assert!(kind == RecordKind::Caa && !set.is_empty()),
            Finding::NoSuchName | Finding::NoRecords | Finding::Alias(_) => {}
        }
    }
}

/// Reads octets as the head of an answer and what follows it as its body.
pub fn fuzz_http_head(data: &[u8]) {
    let with_version = [b"HTTP/1.1 200 OK\r\n", data].concat();
    for octets in [data, &with_version] {
        let Ok(Some(head)) = parse_head(octets) else {
            continue;
        };
        assert!(
            head.length <= octets.len() && head.length <= HEAD_MAX,
            "{head:?}"
        );
        assert!((100..600).contains(&head.status), "{head:?}");
        let Ok(framing) = head.framing() else {
            continue;
        };
        let mut body = Body::new(framing);
        let _ = body.push(octets.get(head.length..).unwrap_or_default());
        assert!(body.content().len() <= BODY_MAX + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_targets_hold_for_any_octets(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            // T-CA-68
            // T-CA-85
            fuzz_dns_answer(&data);
            fuzz_http_head(&data);
        }
    }
}
