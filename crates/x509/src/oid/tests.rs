use super::{CA_ISSUERS, P256, from_text, to_text};

#[test]
fn dotted_texts_become_contents_and_others_are_refused() {
    let good: [(&str, &[u8]); 4] = [
        ("1.2.840.10045.3.1.7", P256),
        ("1.3.6.1.5.5.7.48.2", CA_ISSUERS),
        ("2.23.140.1.2.1", &[0x67, 0x81, 0x0c, 0x01, 0x02, 0x01]),
        ("2.999", &[0x88, 0x37]),
    ];
    let mut faults: Vec<&str> = good
        .iter()
        .filter(|(text, octets)| {
            from_text(text).as_deref() != Some(*octets) || to_text(octets).as_deref() != Some(*text)
        })
        .map(|(text, _)| *text)
        .collect();
    let bad = [
        "",
        "1",
        "1.",
        ".1",
        "3.1",
        "1.40",
        "0.40",
        "1.02",
        "01.2",
        "1.+2",
        "1.-2",
        "1. 2",
        "1..2",
        "a.b",
        "2.18446744073709551615",
        "1.2.18446744073709551616",
    ];
    faults.extend(bad.iter().filter(|text| from_text(text).is_some()));
    assert!(faults.is_empty(), "wrong for {faults:?}");
}

#[test]
fn octets_that_are_no_identifier_have_no_text() {
    let long = [&[0x2a], [1; 32].as_slice()].concat();
    let bad: [&[u8]; 4] = [
        &[],
        &[0x2a, 0x86],
        &[
            0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
        ],
        &long,
    ];
    for octets in bad {
        assert_eq!(to_text(octets), None, "{octets:?}");
    }
}
