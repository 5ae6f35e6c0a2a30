//! Sets of every shape, row by row of RFC 8659 and RFC 8657.

use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "https://ca.example/acme/account/one";
const FORMER: &str = "https://old.example/a/one";

fn record(flags: u8, tag: &str, value: impl AsRef<[u8]>) -> CaaRecord {
    let value = value.as_ref();
    let length = u8::try_from(tag.len()).unwrap();
    let rdata = [&[flags, length], tag.as_bytes(), value].concat();
    CaaRecord::parse(&rdata).unwrap()
}

fn identities() -> Vec<String> {
    vec!["ca.example".to_owned(), "second.example".to_owned()]
}

fn decide_for(records: &[CaaRecord], method: &str, wildcard: bool) -> Result<Permission, Refusal> {
    let (identities, accounts) = (identities(), vec![ACCOUNT.to_owned(), FORMER.to_owned()]);
    let applicant = Applicant {
        identities: &identities,
        accounts: &accounts,
        method,
        wildcard,
    };
    decide(records, &applicant)
}

/// `+`: permitted; else the reason's word.
fn verdict(records: &[CaaRecord], wildcard: bool) -> &'static str {
    match decide_for(records, "http-01", wildcard) {
        Ok(_) => "+",
        Err(refusal) => match refusal.reason {
            Reason::Nobody => "nobody",
            Reason::Others(_) => "others",
            Reason::Malformed(_) => "malformed",
            Reason::Unsatisfiable(_) => "unsatisfiable",
            Reason::OtherAccount(_) => "account",
            Reason::OtherMethods(_) => "methods",
            Reason::Critical => "critical",
        },
    }
}

#[test]
fn each_set_of_properties_has_its_verdict_for_a_name_and_for_a_wildcard() {
    // 8659-4.5-1
    // 8659-4.2-2
    // 8659-4.3-1
    // 8659-4.3-2
    // 8659-4.4-1
    // T-CA-88
    let ours = || record(0, "issue", "ca.example");
    let theirs = || record(0, "issue", "other.example");
    let rows: Vec<(&str, Vec<CaaRecord>, &str, &str)> = vec![
        ("issue", vec![ours()], "+", "+"),
        (
            "second identity",
            vec![record(0, "issue", "second.example")],
            "+",
            "+",
        ),
        (
            "tag in capitals",
            vec![record(0, "ISSUE", "other.example")],
            "others",
            "others",
        ),
        (
            "tag in mixed case",
            vec![record(0, "IssueWild", ";"), ours()],
            "+",
            "nobody",
        ),
        ("another issuer", vec![theirs()], "others", "others"),
        ("any one that matches", vec![theirs(), ours()], "+", "+"),
        (
            "forbidden and allowed",
            vec![record(0, "issue", ";"), ours()],
            "+",
            "+",
        ),
        ("nobody", vec![record(0, "issue", ";")], "nobody", "nobody"),
        (
            "issuewild only",
            vec![record(0, "issuewild", "ca.example")],
            "+",
            "+",
        ),
        (
            "issuewild of others only",
            vec![record(0, "issuewild", "other.example")],
            "+",
            "others",
        ),
        (
            "issuewild overrides",
            vec![ours(), record(0, "issuewild", ";")],
            "+",
            "nobody",
        ),
        (
            "issuewild permits",
            vec![theirs(), record(0, "issuewild", "ca.example")],
            "others",
            "+",
        ),
        (
            "malformed issuewild still counts",
            vec![ours(), record(0, "issuewild", "ca example")],
            "+",
            "malformed",
        ),
        (
            "iodef only",
            vec![record(0, "iodef", "mailto:x@example.org")],
            "+",
            "+",
        ),
        (
            "critical iodef",
            vec![record(128, "iodef", "mailto:x@example.org")],
            "+",
            "+",
        ),
        (
            "issuemail only",
            vec![record(0, "issuemail", ";")],
            "+",
            "+",
        ),
        (
            "critical issuemail",
            vec![record(128, "issuemail", ";")],
            "+",
            "+",
        ),
        (
            "issuevmc only",
            vec![record(128, "issuevmc", ";")],
            "+",
            "+",
        ),
        (
            "contacts only",
            vec![
                record(128, "contactemail", "x@example.org"),
                record(128, "contactphone", "1"),
            ],
            "+",
            "+",
        ),
        (
            "critical issue",
            vec![record(128, "issue", "ca.example")],
            "+",
            "+",
        ),
        ("unknown", vec![record(0, "foo", "x")], "+", "+"),
        (
            "unknown beside issue",
            vec![record(0, "foo", "x"), theirs()],
            "others",
            "others",
        ),
        (
            "unknown, bit 7 (old order)",
            vec![record(1, "foo", "x")],
            "+",
            "+",
        ),
        (
            "unknown, all but bit 0",
            vec![record(127, "foo", "x")],
            "+",
            "+",
        ),
        (
            "unknown, critical",
            vec![record(128, "foo", "x")],
            "critical",
            "critical",
        ),
        (
            "unknown, critical and more",
            vec![record(255, "foo", "x")],
            "critical",
            "critical",
        ),
        (
            "critical behind a permission",
            vec![ours(), record(128, "foo", "x")],
            "critical",
            "critical",
        ),
        (
            "a long unknown tag",
            vec![record(0, &"x".repeat(255), "x")],
            "+",
            "+",
        ),
        (
            "a long critical tag",
            vec![record(128, &"x".repeat(255), "x")],
            "critical",
            "critical",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, set, plain, wild) in rows {
        let found = (verdict(&set, false), verdict(&set, true));
        if found != (plain, wild) {
            wrong.push(format!("{name}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_value_authorises_us_or_nobody() {
    // 8659-4.2-1
    // 8657-3-1
    // 8657-4-1
    // 8657-5.3-1
    // T-CA-89
    let rows: &[(&[u8], &str)] = &[
        (b"ca.example", "+"),
        (b"CA.Example", "+"),
        (b" \tca.example\t ", "+"),
        (b"ca.example;", "+"),
        (b"ca.example ; ", "+"),
        (b"ca.example; unknown=1", "+"),
        (b"ca.example; unknown=1 ; other=", "+"),
        (b"ca.example; a-b=!#$%&'()*+,-./:<=>?@[]^_`{|}~\"\\", "+"),
        (b"", "nobody"),
        (b"  ", "nobody"),
        (b";", "nobody"),
        (b" ; ", "nobody"),
        (b"; policy=ev", "nobody"),
        (b";;", "malformed"),
        (b"ca.example;;", "malformed"),
        (b"ca.example; a=1;", "malformed"),
        (b"ca.example; a=1;;b=2", "malformed"),
        (b"ca.example; a", "malformed"),
        (b"ca.example; =1", "malformed"),
        (b"ca.example; -a=1", "malformed"),
        (b"ca.example; a_b=1", "malformed"),
        (b"ca.example; a=b c", "malformed"),
        (b"ca.example; a=b\tc", "malformed"),
        (b"ca.example a=1", "malformed"),
        (b"ca.example.", "malformed"),
        (b".ca.example", "malformed"),
        (b"ca..example", "malformed"),
        (b"-ca.example", "malformed"),
        (b"ca-.example", "malformed"),
        (b"ca_.example", "malformed"),
        (b"\"ca.example\"", "malformed"),
        (b"*.example", "malformed"),
        (b"ca.example\x00", "malformed"),
        (b"ca.example\n", "malformed"),
        ("c\u{430}.example".as_bytes(), "malformed"),
        (b"ca.example; a=\xff", "malformed"),
        (b"ca.example.evil", "others"),
        (b"sub.ca.example", "others"),
        (b"ca.exampl", "others"),
        (b"example", "others"),
        (b"ca.example; accounturi=https://ca.example/acme/account/one", "+"),
        (b"ca.example; accounturi = https://ca.example/acme/account/one", "+"),
        (b"ca.example; ACCOUNTURI=https://ca.example/acme/account/one", "+"),
        (b"ca.example; accounturi=https://old.example/a/one", "+"),
        (b"ca.example; accounturi=https://CA.example/acme/account/one", "account"),
        (b"ca.example; accounturi=https://ca.example/acme/account/two", "account"),
        (b"ca.example; AccountUri=https://ca.example/acme/account/two", "account"),
        (b"ca.example; accounturi=https://ca.example/acme/account/one/", "account"),
        (b"ca.example; accounturi=one", "account"),
        (b"ca.example; accounturi=", "account"),
        (
            b"ca.example; accounturi=https://ca.example/acme/account/one; accounturi=https://ca.example/acme/account/one",
            "unsatisfiable",
        ),
        (b"ca.example; accounturi=X; accounturi=Y", "unsatisfiable"),
        (b"ca.example; validationmethods=http-01", "+"),
        (b"ca.example; validationmethods=dns-01,http-01,x", "+"),
        (b"ca.example; VALIDATIONMETHODS=dns-01", "methods"),
        (b"ca.example; validationmethods=dns-01", "methods"),
        (b"ca.example; validationmethods=HTTP-01", "methods"),
        (b"ca.example; validationmethods=ca-http-01", "methods"),
        (b"ca.example; validationmethods=", "methods"),
        (b"ca.example; validationmethods=http-01,", "unsatisfiable"),
        (b"ca.example; validationmethods=,http-01", "unsatisfiable"),
        (b"ca.example; validationmethods=http-01,,dns-01", "unsatisfiable"),
        (b"ca.example; validationmethods=http_01,http-01", "unsatisfiable"),
        (b"ca.example; validationmethods=http-01, dns-01", "malformed"),
        (b"ca.example; validationmethods=http-01; validationmethods=http-01", "unsatisfiable"),
        (
            b"ca.example; validationmethods=http-01; accounturi=https://ca.example/acme/account/one",
            "+",
        ),
        (b"ca.example; validationmethods=http-01; accounturi=X", "account"),
        (b"second.example; accounturi=X", "account"),
        (b"second.example; validationmethods=dns-01", "methods"),
        (b"other.example; accounturi=https://ca.example/acme/account/one", "others"),
    ];
    let mut wrong = Vec::new();
    for (value, want) in rows {
        let found = verdict(&[record(0, "issue", value)], false);
        if found != *want {
            wrong.push(format!("{}: {found}", value.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn parameters_bind_their_own_record_alone() {
    // 8657-4-2
    let bound = record(0, "issue", "ca.example; accounturi=X");
    let methods = record(0, "issue", "ca.example; validationmethods=dns-01");
    let free = record(0, "issue", "ca.example");
    assert_eq!(verdict(&[bound.clone(), methods.clone()], false), "methods");
    assert_eq!(verdict(&[bound.clone(), free, methods.clone()], false), "+");
    assert_eq!(
        decide_for(&[bound, methods], "dns-01", false),
        Ok(Permission::Authorised(1))
    );
}

#[test]
fn octets_that_are_no_record_are_refused_and_the_others_print_to_themselves() {
    // T-CA-87
    let bad: [(&[u8], BadRecord); 7] = [
        (b"", BadRecord::Short),
        (b"\x00", BadRecord::Short),
        (b"\x00\x00", BadRecord::NoTag),
        (b"\x00\x00issue", BadRecord::NoTag),
        (b"\x00\x06issue", BadRecord::Short),
        (b"\x00\x05iss-ex", BadRecord::Tag),
        (b"\x00\x05issu\xe9", BadRecord::Tag),
    ];
    let mut wrong = Vec::new();
    for (rdata, want) in bad {
        let found = CaaRecord::parse(rdata);
        if found != Err(want) {
            wrong.push(format!("{}: {found:?}", rdata.escape_ascii()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let odd = CaaRecord::parse(b"\x81\x05issuea\"\\\x00\xff").unwrap();
    assert_eq!(odd.to_string(), "129 issue \"a\\\"\\\\\\000\\255\"");
    assert!(odd.is_critical());
}

#[test]
fn a_climb_ends_below_the_root_or_at_the_apex_of_a_private_zone() {
    // 8659-3-1
    // T-CA-86
    let zones = ["corp.internal".to_owned(), "lan".to_owned()];
    let rows: [(&str, &[&str]); 5] = [
        ("a.b.example", &["a.b.example", "b.example", "example"]),
        ("example", &["example"]),
        (
            "x.y.corp.internal",
            &["x.y.corp.internal", "y.corp.internal", "corp.internal"],
        ),
        ("corp.internal", &["corp.internal"]),
        ("xcorp.internal", &["xcorp.internal", "internal"]),
    ];
    for (name, want) in rows {
        assert_eq!(climb(name, &zones), want, "{name}");
    }
}

#[test]
fn a_refusal_says_what_was_found_where_and_which_line_would_change_it() {
    // 8659-5-1
    struct Row {
        records: Vec<CaaRecord>,
        at: &'static str,
        aliases: Vec<String>,
        wildcard: bool,
        says: &'static [&'static str],
    }
    let row = |records, says| Row {
        records,
        at: "www.example.org",
        aliases: Vec::new(),
        wildcard: false,
        says,
    };
    let rows = vec![
        row(
            vec![record(0, "issue", ";")],
            &[
                "www.example.org: CAA of www.example.org forbids every CA. ",
                "Record: www.example.org. CAA 0 issue \";\". ",
                "Replace it: www.example.org. CAA 0 issue \"ca.example\".",
            ],
        ),
        Row {
            at: "example.org",
            ..row(
                vec![record(0, "issue", "digicert.com")],
                &[
                    "CAA of example.org, which www.example.org inherits, allows only \"digicert.com\".",
                    "Add: example.org. CAA 0 issue \"ca.example\", or give www.example.org CAA records of its own.",
                ],
            )
        },
        Row {
            aliases: vec!["host.cdn.example".to_owned()],
            ..row(
                vec![record(0, "issue", "digicert.com")],
                &[
                    "CAA of host.cdn.example (to which www.example.org is an alias) allows only",
                    "Record: host.cdn.example. CAA 0 issue \"digicert.com\".",
                    "Add: host.cdn.example. CAA 0 issue \"ca.example\".",
                ],
            )
        },
        Row {
            wildcard: true,
            ..row(
                vec![
                    record(0, "issue", "ca.example"),
                    record(0, "issuewild", ";"),
                ],
                &[
                    "*.www.example.org: ",
                    "allows single names and not the wildcard: issuewild forbids every CA. ",
                    "Replace the issuewild record: www.example.org. CAA 0 issuewild \"ca.example\", or order without",
                ],
            )
        },
        row(
            vec![record(0, "issue", "ca.exmaple")],
            &["allows only \"ca.exmaple\", which is not \"ca.example\"."],
        ),
        row(
            vec![record(0, "issue", "\"ca.example\"")],
            &[
                "has a value that names no CA",
                "Correct it: www.example.org. CAA 0 issue \"ca.example\".",
            ],
        ),
        row(
            vec![record(
                0,
                "issue",
                "ca.example; accounturi=https://ca.example/acme/account/two",
            )],
            &[
                "for the account \"https://ca.example/acme/account/two\" alone; this is account \"https://ca.example/acme/account/one\"",
                "CAA 0 issue \"ca.example; accounturi=https://ca.example/acme/account/one\".",
            ],
        ),
        row(
            vec![record(0, "issue", "ca.example; validationmethods=dns-01")],
            &[
                "allows this CA by \"dns-01\" alone; http-01 was used",
                "Answer a challenge of such a method, or add: www.example.org. CAA 0 issue \"ca.example; validationmethods=http-01\".",
            ],
        ),
        row(
            vec![record(128, "foo", "x")],
            &[
                "has the critical property \"foo\"",
                "Record: www.example.org. CAA 128 foo \"x\".",
                "Remove that record, or set its flags to 0.",
            ],
        ),
    ];
    let (identities, accounts) = (identities(), vec![ACCOUNT.to_owned()]);
    let mut wrong = Vec::new();
    for row in rows {
        let applicant = Applicant {
            identities: &identities,
            accounts: &accounts,
            method: "http-01",
            wildcard: row.wildcard,
        };
        let refusal = decide(&row.records, &applicant).unwrap_err();
        let found = Found {
            name: "www.example.org",
            at: row.at,
            aliases: &row.aliases,
            records: &row.records,
        };
        let text = tell(&found, &applicant, &refusal);
        for part in row.says {
            if !text.contains(part) {
                wrong.push(format!("{part:?} not in {text:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

proptest! {
    #[test]
    fn any_octets_are_judged_and_printed_without_a_control_character(
        sets in proptest::collection::vec((any::<u8>(), 0_usize..4, proptest::collection::vec(any::<u8>(), 0..80)), 1..6),
        wildcard: bool,
    ) {
        // T-CA-89
        let tags = ["issue", "ISSUEWILD", "iodef", "foo"];
        let set: Vec<CaaRecord> = sets.iter().map(|(flags, tag, value)| record(*flags, tags[*tag], value)).collect();
        let (identities, accounts) = (identities(), vec![ACCOUNT.to_owned()]);
        let applicant = Applicant { identities: &identities, accounts: &accounts, method: "http-01", wildcard };
        match decide(&set, &applicant) {
            // Random octets do not name us, so what permits is a set that restricts nobody.
            Ok(permission) => prop_assert_eq!(permission, Permission::Unrestricted),
            Err(refusal) => {
                let found = Found { name: "a.example", at: "example", aliases: &[], records: &set };
                let text = tell(&found, &applicant, &refusal);
                prop_assert!(!text.chars().any(char::is_control), "{}", text);
            }
        }
        for record in &set {
            prop_assert_eq!(&CaaRecord::parse(&record.to_rdata()).unwrap(), record);
            prop_assert!(!record.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn a_value_that_parses_is_the_same_printed_and_parsed_again(text in "[a-c.;=, \\-]{0,40}") {
        // 8659-4.2-1
        if let Ok(value) = IssueValue::parse(text.as_bytes()) {
            let mut printed = value.issuer.unwrap_or_default().to_owned();
            for (place, (tag, parameter)) in value.parameters.iter().enumerate() {
                printed.push_str(&format!("{}{tag}={parameter}", if place == 0 { "; " } else { " ; " }));
            }
            prop_assert_eq!(IssueValue::parse(printed.as_bytes()).unwrap(), value);
        }
    }
}
