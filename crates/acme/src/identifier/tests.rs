//! Tests of identifiers; the CSR side runs the same table.

use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Clone, Copy)]
enum Verdict {
    Accepted,
    Rejected,
    Malformed,
    Unsupported,
}

fn verdict(kind: &str, value: &str) -> Verdict {
    match Identifier::parse(kind, value) {
        Ok(_) => Verdict::Accepted,
        Err(IdentifierFault::Rejected(_)) => Verdict::Rejected,
        Err(IdentifierFault::Malformed(_)) => Verdict::Malformed,
        Err(IdentifierFault::Unsupported(_)) => Verdict::Unsupported,
    }
}

fn expect(kind: &str, want: Verdict, values: &[&str]) {
    let wrong: Vec<_> = values
        .iter()
        .map(|value| (value, verdict(kind, value)))
        .filter(|(_, got)| *got != want)
        .collect();
    assert!(wrong.is_empty(), "wanted {want:?}: {wrong:?}");
}

#[test]
fn plain_names_are_accepted() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(longest.len(), 253);
    expect(
        "dns",
        Verdict::Accepted,
        &[
            "example.com",
            "EXAMPLE.Com",
            "a.b.c.d.e.f",
            "localhost",
            "1.example",
            "0x7f.example",
            "123.456.example",
            "a-b.example",
            "a--b.example",
            "3com.com",
            "example.c0m",
            "0xg",
            "my-in-addr.arpa",
            "home.arpa",
            "xn--bcher-kva.example",
            "XN--BCHER-KVA.example",
            "xn--fiqs8s",
            "www.xn--mgbh0fb.xn--kgbechtv",
            "xn--e1afmkfd.xn--p1ai",
            "*.example.com",
            "*.xn--bcher-kva.example",
            &longest,
        ],
    );
}

#[test]
fn names_that_no_certificate_can_have_are_rejected() {
    // T-CA-55, 8555-7.4-5, 8555-7.1.4-2
    let label64 = format!("{}.example", "a".repeat(64));
    let label = "a".repeat(63);
    let name254 = format!("{label}.{label}.{label}.{}", "a".repeat(62));
    expect(
        "dns",
        Verdict::Rejected,
        &[
            "exa\0mple.com",
            "example.com\0",
            "example.com\n",
            " example.com",
            "exa mple.com",
            "exa\u{7f}mple.com",
            "exa\u{1}mple.com",
            "b\u{fc}cher.example",
            "\u{202e}moc.elpmaxe",
            "example\u{200b}.com",
            "ex\u{430}mple.com",
            "example.com.",
            ".example.com",
            "example..com",
            ".",
            "..",
            "foo_bar.example",
            "_acme-challenge.example.com",
            "-a.example",
            "a-.example",
            "-",
            "example.com:443",
            "https://example.com",
            "example.com/",
            "user@example.com",
            "a,b.example",
            "a\\b.example",
            "%2a.a.b",
            "a'b.example",
            "\u{ff41}.example",
            &label64,
            &name254,
        ],
    );
}

#[test]
fn an_ip_address_is_no_dns_name_in_any_spelling() {
    // T-CA-58
    expect(
        "dns",
        Verdict::Rejected,
        &[
            "192.0.2.1",
            "1",
            "0x7f.1",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "0x7f000001",
            "0x",
            "0X7F.1",
            "2130706433",
            "999.999.999.999",
            "1.2.3.4.5",
            "[::1]",
            "::1",
            "::ffff:1.2.3.4",
            "2001:db8::1",
            "1.2.3.4.",
            "foo.0x1",
            "example.123",
            "1.0.0.127.in-addr.arpa",
            "in-addr.arpa",
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            "IP6.ARPA",
            "*.192.0.2.1",
            "*.2.0.192.in-addr.arpa",
        ],
    );
}

#[test]
fn an_ip_identifier_has_one_text() {
    // T-CA-58, 8738-3-1
    expect(
        "ip",
        Verdict::Accepted,
        &[
            "192.0.2.1",
            "2001:db8::1",
            "::1",
            "::",
            "::ffff:192.0.2.1",
            "2001:db8:0:1:1:1:1:1",
        ],
    );
    expect(
        "ip",
        Verdict::Malformed,
        &[
            "",
            "192.0.2.01",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1 ",
            "0xc0000201",
            "3221225985",
            "192.0.2.0/24",
            "192.0.2.1:80",
            "[2001:db8::1]",
            "2001:DB8::1",
            "2001:0db8::1",
            "2001:db8:0:0:0:0:0:1",
            "2001:db8::0:1",
            "fe80::1%eth0",
            "::ffff:c000:201",
            "example.com",
            "*.192.0.2.1",
        ],
    );
}

#[test]
fn an_a_label_must_be_the_one_encoding_of_a_valid_u_label() {
    // T-CA-59, 8555-7.1.4-2
    expect(
        "dns",
        Verdict::Rejected,
        &[
            "xn--",
            "xn---",
            "xn----",
            "xn--a",
            "xn--a.example",
            "xn--example.com",
            "xn--example-.com",
            "xn--abc-.com",
            "ab--cd.example",
            "ab---c.example",
            "zz--bcher-kva.example",
            "xn--bcher-kvb\u{3002}example",
            "example\u{3002}com",
            // Emoji and a snowman: UTS 46 takes them, IDNA2008 does not.
            "xn--ls8h.la",
            "xn--i-7iq.ws",
            "xn--n3h.example",
            "xn--4ca3bcdh.xn--zzzzzzzz99999999",
            "xn--99999999.example",
            "xn--\u{fc}.example",
            "*.xn--a.example",
        ],
    );
}

#[test]
fn encodings_made_of_disallowed_labels_are_rejected() {
    // T-CA-59: each U-label is encoded with raw punycode, as an attacker would
    let cases = [
        ("upper-case", "B\u{dc}cher"),
        ("symbol", "a\u{2122}"),
        ("emoji", "\u{1f4a9}"),
        ("full-width", "\u{ff41}\u{ff42}"),
        ("ideographic full stop", "a\u{3002}b"),
        ("soft hyphen", "a\u{ad}b"),
        ("zero width space", "a\u{200b}b"),
        ("right-to-left override", "a\u{202e}b"),
        ("leading combining mark", "\u{301}a"),
        ("not NFC", "e\u{301}"),
        ("middle dot outside of l·l", "a\u{b7}b"),
        ("katakana middle dot alone", "a\u{30fb}b"),
        ("geresh after a Latin letter", "a\u{5f3}"),
        ("keraia before a Latin letter", "\u{375}a"),
        ("two kinds of Arabic digits", "\u{627}\u{660}\u{6f0}"),
        ("joiner without its context", "a\u{200d}b"),
        ("mixed direction", "a\u{5d0}"),
        ("private use", "a\u{e000}"),
        ("unassigned", "a\u{378}"),
        ("hyphens in third and fourth place", "\u{e4}b--c"),
        ("hyphen at the end", "\u{e4}b-"),
        ("musical symbol", "\u{1d11e}"),
    ];
    let accepted: Vec<_> = cases
        .iter()
        .filter(|(_, label)| {
            let encoded = idna::punycode::encode_str(label).unwrap();
            verdict("dns", &format!("xn--{encoded}.example")) != Verdict::Rejected
        })
        .map(|(name, _)| name)
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");

    let cases = [
        "b\u{fc}cher",
        "fa\u{df}",
        "col\u{b7}lecci\u{f3}",
        "\u{4f8b}\u{3048}",
        "\u{30a2}\u{30fb}\u{30a2}",
        "\u{3b2}\u{3cc}\u{3bb}\u{3bf}\u{3c2}",
        "\u{5d0}\u{5f3}",
        "\u{915}\u{94d}\u{200d}\u{937}",
        "\u{645}\u{62b}\u{627}\u{644}",
    ];
    let refused: Vec<_> = cases
        .iter()
        .filter(|label| {
            let encoded = idna::punycode::encode_str(label).unwrap();
            verdict("dns", &format!("xn--{encoded}.example")) != Verdict::Accepted
        })
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn the_asterisk_is_only_the_whole_leftmost_label() {
    // 8555-7.4-4, T-CA-60 (that *.com and *.co.uk are refused is policy's part)
    expect(
        "dns",
        Verdict::Rejected,
        &[
            "*",
            "*.",
            "**",
            "*.*",
            "*.*.a.b",
            "a.*.b",
            "a.b.*",
            "w*.a.b",
            "*a.b",
            "*w.a.b",
            "**.a.b",
            "*..a.b",
            "*.example.com.",
            "\u{ff0a}.example.com",
            "xn--*.a.b",
        ],
    );
    let wildcard = Identifier::parse("dns", "*.Example.com").unwrap();
    assert!(wildcard.is_wildcard());
    assert_eq!(wildcard.to_string(), "*.example.com");
    assert_eq!(
        wildcard.base(),
        Identifier::parse("dns", "example.com").unwrap()
    );
}

#[test]
fn a_wildcard_and_its_base_are_two_identifiers() {
    let base = Identifier::parse("dns", "example.com").unwrap();
    let wildcard = Identifier::parse("dns", "*.example.com").unwrap();
    assert_ne!(base, wildcard);
    assert_eq!(base.dns_name(), wildcard.dns_name());
    assert!(!base.base().is_wildcard());
}

#[test]
fn unknown_types_are_unsupported() {
    // 8555-7.4-3, T-CA-63
    expect("email", Verdict::Unsupported, &["a@example.org", ""]);
    for kind in [
        "DNS",
        "",
        "permanent-identifier",
        "TNAuthList",
        "bundleEID",
        "dns ",
    ] {
        expect(kind, Verdict::Unsupported, &["example.com"]);
    }
    expect("dns", Verdict::Malformed, &[""]);
}

#[test]
fn a_refusal_repeats_the_value_escaped_and_shortened() {
    let value = format!("a\r\n\u{202e}{}", "x".repeat(500));
    let problem = Problem::from(Identifier::parse("dns", &value).unwrap_err());
    assert_eq!(problem.kind, ProblemType::RejectedIdentifier);
    assert!(
        problem.detail.is_ascii() || problem.detail.contains('…'),
        "{}",
        problem.detail
    );
    assert!(
        !problem.detail.contains(['\r', '\n', '\u{202e}']),
        "{}",
        problem.detail
    );
    assert!(problem.detail.len() < 250, "{}", problem.detail);
}

#[test]
fn suffixes_compare_by_whole_labels() {
    // T-CA-62
    let suffix = parse_suffix(".Example.com").unwrap();
    assert_eq!(suffix, parse_suffix("example.com").unwrap());
    let below: Vec<_> = [
        "example.com",
        "EXAMPLE.com",
        "a.example.com",
        "a.b.example.com",
    ]
    .into_iter()
    .filter(|name| !DnsName::parse(name).unwrap().is_subdomain_of(&suffix))
    .collect();
    assert!(below.is_empty(), "{below:?}");
    let beside: Vec<_> = [
        "badexample.com",
        "com",
        "example.org",
        "example.com.org",
        "xample.com",
    ]
    .into_iter()
    .filter(|name| DnsName::parse(name).unwrap().is_subdomain_of(&suffix))
    .collect();
    assert!(beside.is_empty(), "{beside:?}");
    assert!(parse_suffix("..example.com").is_err());
    assert!(parse_suffix("*.example.com").is_err());
    assert_eq!(DnsName::parse("a.b.c").unwrap().label_count(), 3);
    assert_eq!(
        DnsName::parse("a.b").unwrap().parent().unwrap().as_str(),
        "b"
    );
    assert!(DnsName::parse("b").unwrap().parent().is_none());
}

#[test]
fn json_has_type_and_value() {
    for (json, text) in [
        (r#"{"type":"dns","value":"example.com"}"#, "example.com"),
        (r#"{"type":"dns","value":"*.example.com"}"#, "*.example.com"),
        (r#"{"type":"ip","value":"2001:db8::1"}"#, "2001:db8::1"),
    ] {
        let identifier: Identifier = serde_json::from_str(json).unwrap();
        assert_eq!(identifier.to_string(), text);
        assert_eq!(serde_json::to_string(&identifier).unwrap(), json);
        let wire = WireIdentifier::from(&identifier);
        assert_eq!(Identifier::try_from(&wire).unwrap(), identifier);
    }
    assert!(serde_json::from_str::<Identifier>(r#"{"type":"dns","value":"a_b"}"#).is_err());
}

proptest! {
    #[test]
    fn a_name_that_is_accepted_is_canonical(text in "[a-zA-Z0-9.*xn_-]{1,40}") {
        if let Ok(identifier) = Identifier::parse("dns", &text) {
            let shown = identifier.to_string();
            prop_assert_eq!(&shown, &text.to_ascii_lowercase());
            prop_assert_eq!(Identifier::parse("dns", &shown).unwrap(), identifier);
            prop_assert!(shown.parse::<IpAddr>().is_err());
        }
    }

    #[test]
    fn names_of_hosts_are_accepted(text in "([a-z0-9]([a-z0-9]{0,10}[a-z0-9])?\\.){1,4}[a-z]{2,10}") {
        prop_assert!(DnsName::parse(&text).is_ok());
    }

    #[test]
    fn every_address_has_its_own_text(bits in any::<u128>(), four in any::<u32>()) {
        for address in [IpAddr::V6(bits.into()), IpAddr::V4(four.into())] {
            prop_assert_eq!(Identifier::parse("ip", &address.to_string()), Ok(Identifier::Ip(address)));
            prop_assert!(Identifier::parse("dns", &address.to_string()).is_err());
        }
    }

    #[test]
    fn judging_never_panics(kind in "dns|ip", value in any::<String>(), label in "[a-z0-9-]{0,30}") {
        let _ = Identifier::parse(&kind, &value);
        let _ = Identifier::parse("dns", &format!("xn--{label}.example"));
    }

    #[test]
    fn any_unicode_label_is_judged_without_panic(label in "\\PC{1,10}") {
        if let Some(encoded) = idna::punycode::encode_str(&label) {
            let _ = Identifier::parse("dns", &format!("xn--{encoded}.example"));
        }
    }
}
