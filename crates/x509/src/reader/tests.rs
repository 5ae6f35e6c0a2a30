use proptest::prelude::*;

use super::{DerFault, Reader, only};
use crate::writer::{Writer, civil, tag};

fn time(der: &[u8]) -> Result<i64, DerFault> {
    let mut reader = Reader::new(der);
    let seconds = reader.time()?;
    reader.end()?;
    Ok(seconds)
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    write(&mut w);
    w.finish()
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(&bytes);
        while let Ok(value) = reader.any() {
            prop_assert!(value.whole.ends_with(value.contents));
        }
        let _ = Reader::new(&bytes).time();
        let _ = Reader::new(&bytes).boolean();
        let _ = Reader::new(&bytes).unsigned();
        let _ = Reader::new(&bytes).bit_string();
    }

    #[test]
    fn what_is_read_is_what_is_written(tag in 0_u8..0x1f, contents in proptest::collection::vec(any::<u8>(), 0..70_000)) {
        let der = written(|w| w.value(tag, &contents));
        let nested = written(|w| w.nest(tag, |w| w.raw(&contents)));
        prop_assert_eq!(&der, &nested);
        let value = only(&der, tag).unwrap();
        prop_assert_eq!(value.contents, &contents[..]);
        prop_assert_eq!(value.whole, &der[..]);
        for cut in [0, 1, der.len() - 1] {
            prop_assert!(only(&der[..cut], tag).is_err());
        }
    }

    #[test]
    fn integers_come_back_without_leading_zeros(magnitude in proptest::collection::vec(any::<u8>(), 0..600)) {
        let der = written(|w| w.unsigned(&magnitude));
        let first = magnitude.iter().position(|b| *b != 0).unwrap_or(magnitude.len());
        prop_assert_eq!(Reader::new(&der).unsigned().unwrap(), &magnitude[first..]);
    }

    #[test]
    fn a_value_that_is_read_is_the_only_form_of_it(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
        // 5280-4.1-1
        if let Ok(value) = Reader::new(&bytes).any() {
            let again = written(|w| w.value(value.tag, value.contents));
            prop_assert_eq!(value.whole, &again[..]);
        }
        if let Ok(seconds) = Reader::new(&bytes).time() {
            let again = written(|w| w.time(seconds));
            prop_assert_eq!(&bytes[..again.len()], &again[..]);
        }
    }

    #[test]
    fn times_come_back(seconds in -62_135_596_800_i64..253_402_300_800) {
        let der = written(|w| w.time(seconds));
        prop_assert_eq!(time(&der), Ok(seconds));
    }
}

#[test]
fn lengths_and_tags_of_ber_are_refused() {
    // 5280-4.1-1
    let cases: [(&str, &[u8], DerFault); 11] = [
        ("indefinite length", &[0x30, 0x80, 0, 0], DerFault::Length),
        (
            "long form below 128",
            &[0x04, 0x81, 0x01, 0],
            DerFault::Length,
        ),
        (
            "leading zero of a length",
            &[0x04, 0x82, 0x00, 0x81],
            DerFault::Length,
        ),
        (
            "five octets of length",
            &[0x04, 0x85, 1, 0, 0, 0, 0],
            DerFault::Length,
        ),
        ("reserved length", &[0x04, 0xff], DerFault::Length),
        ("two-octet tag", &[0x1f, 0x81, 0x01, 0], DerFault::Value),
        ("no length", &[0x04], DerFault::Truncated),
        ("half a length", &[0x04, 0x82, 0x01], DerFault::Truncated),
        ("contents cut", &[0x04, 0x02, 0], DerFault::Truncated),
        ("nothing", &[], DerFault::Truncated),
        (
            "4 GiB promised",
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff],
            DerFault::Truncated,
        ),
    ];
    let faults: Vec<_> = cases
        .iter()
        .filter(|(_, der, fault)| Reader::new(der).any() != Err(*fault))
        .map(|(name, ..)| *name)
        .collect();
    assert!(faults.is_empty(), "wrong for {faults:?}");
}

#[test]
fn primitives_have_one_form() {
    let refused = |der: &[u8], what: &str| match what {
        "boolean" => Reader::new(der).boolean().is_err(),
        "integer" => Reader::new(der).unsigned().is_err(),
        _ => Reader::new(der).bit_string().is_err(),
    };
    let cases: [(&str, &[u8]); 12] = [
        ("boolean", &[1, 1, 1]),
        ("boolean", &[1, 0]),
        ("boolean", &[1, 2, 0xff, 0xff]),
        ("integer", &[2, 0]),
        ("integer", &[2, 2, 0, 1]),
        ("integer", &[2, 1, 0x80]),
        ("integer", &[2, 2, 0xff, 0xff]),
        ("integer", &[2, 2, 0, 0]),
        ("bits", &[3, 0]),
        ("bits", &[3, 2, 1, 0xfe]),
        ("bits", &[3, 2, 8, 0]),
        ("bits", &[0x23, 4, 3, 2, 0, 1]),
    ];
    let faults: Vec<_> = cases
        .iter()
        .filter(|(what, der)| !refused(der, what))
        .collect();
    assert!(faults.is_empty(), "accepted: {faults:?}");
}

#[test]
fn times_have_the_form_of_their_year() {
    // 5280-4.1.2.5-1
    // T-CA-95
    let good: [(i64, u8, &str); 9] = [
        (0, tag::UTC_TIME, "700101000000Z"),
        (-631_152_000, tag::UTC_TIME, "500101000000Z"),
        (-631_152_001, tag::GENERALIZED_TIME, "19491231235959Z"),
        (951_782_400, tag::UTC_TIME, "000229000000Z"),
        (1_709_251_199, tag::UTC_TIME, "240229235959Z"),
        (2_524_607_999, tag::UTC_TIME, "491231235959Z"),
        (2_524_608_000, tag::GENERALIZED_TIME, "20500101000000Z"),
        (4_107_542_400, tag::GENERALIZED_TIME, "21000301000000Z"),
        (253_402_300_799, tag::GENERALIZED_TIME, "99991231235959Z"),
    ];
    let mut faults: Vec<String> = Vec::new();
    for (seconds, kind, text) in good {
        let der = written(|w| w.value(kind, text.as_bytes()));
        if written(|w| w.time(seconds)) != der || time(&der) != Ok(seconds) {
            faults.push(format!("{text} is not {seconds}"));
        }
    }
    let bad: [(u8, &str); 16] = [
        (tag::GENERALIZED_TIME, "20491231235959Z"),
        (tag::GENERALIZED_TIME, "20500101000000.0Z"),
        (tag::GENERALIZED_TIME, "20500101000000"),
        (tag::GENERALIZED_TIME, "20500101000000+0000"),
        (tag::GENERALIZED_TIME, "205001010000Z"),
        (tag::GENERALIZED_TIME, "21000229000000Z"),
        (tag::UTC_TIME, "2001010000Z"),
        (tag::UTC_TIME, "200101000000+0100"),
        (tag::UTC_TIME, "200001000000Z"),
        (tag::UTC_TIME, "201301000000Z"),
        (tag::UTC_TIME, "200100000000Z"),
        (tag::UTC_TIME, "230229000000Z"),
        (tag::UTC_TIME, "200101240000Z"),
        (tag::UTC_TIME, "200101006000Z"),
        (tag::UTC_TIME, "200101000060Z"),
        (tag::OCTET_STRING, "200101000000Z"),
    ];
    for (kind, text) in bad {
        if time(&written(|w| w.value(kind, text.as_bytes()))).is_ok() {
            faults.push(format!("{text} was read"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_calendar_counts_each_day_once() {
    // Four hundred years are the calendar's period; the day after a day is the next by date.
    let mut last = civil(-86_400);
    for day in 0..146_097 {
        let (year, month, of_month, _) = civil(day * 86_400);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let (ly, lm, ld, _) = last;
        let expected = match (lm, ld) {
            (12, 31) => (ly + 1, 1, 1),
            (4 | 6 | 9 | 11, 30) | (1 | 3 | 5 | 7 | 8 | 10, 31) | (2, 29) => (ly, lm + 1, 1),
            (2, 28) if !leap => (ly, 3, 1),
            _ => (ly, lm, ld + 1),
        };
        assert_eq!((year, month, of_month), expected);
        last = (year, month, of_month, 0);
    }
}
