//! Tables of identifiers against rules.

use cairn_x509::writer::{Writer, tag};

use super::*;
use crate::validation::AddressRule;

fn pattern(text: &str) -> NamePattern {
    let below = text.starts_with('.');
    NamePattern {
        name: DnsName::parse(text.trim_start_matches('.')).unwrap(),
        below,
    }
}

/// `.corp` is the suffix rule, `corp` the exact one.
fn names(rules: &[(&str, Option<bool>)]) -> NamePolicy {
    NamePolicy {
        names: rules
            .iter()
            .map(|(text, allow)| NameGrant {
                pattern: pattern(text),
                allow: *allow,
            })
            .collect(),
        ..NamePolicy::default()
    }
}

fn addresses(rules: &[(&str, Option<bool>)]) -> NamePolicy {
    let granted = rules
        .iter()
        .filter(|(_, allow)| *allow != Some(false))
        .map(|(range, _)| AddressRule {
            range: range.parse().unwrap(),
            http_port: None,
            tls_port: None,
        })
        .collect();
    NamePolicy {
        addresses: rules
            .iter()
            .map(|(range, allow)| AddressGrant {
                range: range.parse().unwrap(),
                allow: *allow,
            })
            .collect(),
        reachable: NameRules::default().with_addresses(granted),
        ..NamePolicy::default()
    }
}

fn constrained(permitted: &[(u8, &[u8])], excluded: &[(u8, &[u8])]) -> NamePolicy {
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        for (number, trees) in [(0, permitted), (1, excluded)] {
            if !trees.is_empty() {
                w.nest(tag::constructed(number), |w| {
                    for (kind, base) in trees {
                        w.nest(tag::SEQUENCE, |w| w.value(*kind, base));
                    }
                });
            }
        }
    });
    NamePolicy {
        constraints: vec![NameConstraints::parse(&w.finish()).unwrap()],
        ..NamePolicy::default()
    }
}

fn identifier(text: &str) -> Identifier {
    let kind = match text.parse::<IpAddr>() {
        Ok(_) => "ip",
        Err(_) => "dns",
    };
    Identifier::parse(kind, text).unwrap()
}

/// The rows whose refusal does not say what it should; an empty text is no refusal.
fn wrong(policy: &NamePolicy, rows: &[(&str, &str)]) -> Vec<String> {
    rows.iter()
        .filter_map(|(text, says)| {
            let judged = policy.judge(&[identifier(text)]);
            let fine = match &judged {
                Ok(()) => says.is_empty(),
                Err(problem) => {
                    !says.is_empty()
                        && problem.kind == ProblemType::RejectedIdentifier
                        && problem.detail.starts_with(&format!("{text}: "))
                        && problem.detail.contains(says)
                }
            };
            (!fine).then(|| format!("{text}: {judged:?}"))
        })
        .collect()
}

#[test]
fn the_most_specific_rule_that_says_something_decides_at_label_boundaries() {
    // T-CA-62
    let denies = names(&[
        (".example.com", Some(false)),
        (".ok.example.com", Some(true)),
        ("secret.ok.example.com", Some(false)),
        (".dialed.ok.example.com", None),
    ]);
    // One rule says true, so what none of them covers is refused.
    let rows = [
        (
            "example.com",
            "a rule of this CA denies example.com and below",
        ),
        ("a.example.com", "denies example.com and below"),
        ("EXAMPLE.com", "denies"),
        (
            "badexample.com",
            "no rule of this CA allows it; it issues for ok.example.com and below",
        ),
        ("ok.example.com", ""),
        ("a.ok.example.com", ""),
        ("notok.example.com", "denies example.com and below"),
        ("secret.ok.example.com", "denies secret.ok.example.com"),
        ("a.secret.ok.example.com", ""),
        ("dialed.ok.example.com", ""),
        ("*.example.com", "denies example.com and below"),
        // It would stand for the name that is denied.
        ("*.ok.example.com", "denies secret.ok.example.com"),
        ("*.a.ok.example.com", ""),
        ("*.secret.ok.example.com", ""),
    ];
    let mut found = wrong(&denies, &rows[..2]);
    found.extend(wrong(&denies, &rows[3..]));
    // Canonical form is the parser's; the policy sees no upper case.
    assert!(denies.judge(&[identifier(rows[2].0)]).is_err());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn exactly_a_name_is_neither_what_is_below_it_nor_its_wildcard() {
    //
    // T-CA-62
    // T-CA-60
    let policy = names(&[
        ("corp.example", Some(true)),
        (".lab.corp.example", Some(true)),
    ]);
    let rows = [
        ("corp.example", ""),
        ("a.corp.example", "no rule of this CA allows it"),
        ("*.corp.example", "no rule of this CA allows it"),
        ("lab.corp.example", ""),
        ("*.lab.corp.example", ""),
        ("*.a.lab.corp.example", ""),
    ];
    let below = names(&[(".corp.example", Some(true)), ("corp.example", Some(false))]);
    let mut found = wrong(&policy, &rows);
    found.extend(wrong(
        &below,
        &[
            ("corp.example", "denies corp.example;"),
            ("*.corp.example", ""),
            ("a.corp.example", ""),
        ],
    ));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_rule_that_says_nothing_of_issuing_draws_no_border() {
    // T-CA-62
    let policy = names(&[(".internal", None), (".denied.example", Some(false))]);
    let rows = [
        ("a.internal", ""),
        ("internal", ""),
        ("*.internal", ""),
        ("shop.example.org", ""),
        ("denied.example", "denies"),
        ("localhost", "a name of one label belongs to nobody"),
    ];
    let found = wrong(&policy, &rows);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_is_forbidden_no_rule_allows_and_no_wildcard_gives_away() {
    // T-CA-62
    let policy = NamePolicy {
        forbidden: vec![pattern(".bank.example"), pattern("www.shop.example")],
        ..names(&[(".bank.example", Some(true)), (".example", Some(true))])
    };
    let rows = [
        ("bank.example", "never issues for bank.example and below"),
        ("a.bank.example", "never issues for bank.example and below"),
        ("*.bank.example", "never issues"),
        ("*.example", "never issues for bank.example and below"),
        ("mybank.example", ""),
        ("www.shop.example", "never issues for www.shop.example"),
        ("a.www.shop.example", ""),
        ("*.www.shop.example", ""),
        ("*.shop.example", "never issues for www.shop.example"),
        ("shop.example", ""),
    ];
    let found = wrong(&policy, &rows);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn public_suffixes_belong_to_nobody_unless_a_rule_says_that_they_do() {
    // 8555-7.4-4
    // T-CA-60
    // T-CA-61
    let any = NamePolicy::default();
    let rows = [
        ("com", "com is a public suffix"),
        ("co.uk", "co.uk is a public suffix"),
        ("*.com", "com is a public suffix"),
        ("*.co.uk", "co.uk is a public suffix"),
        ("*.anything.ck", "anything.ck is a public suffix"),
        ("*.www.ck", ""),
        ("www.ck", ""),
        ("example.co.uk", ""),
        ("*.example.co.uk", ""),
        // The private part of the list is its owner's.
        ("*.github.io", ""),
        ("*.localhost", "a name of one label"),
        ("*.test", "a name of one label"),
        ("a.internal", ""),
    ];
    let mut found = wrong(&any, &rows);
    let owner = names(&[(".co.uk", Some(true))]);
    found.extend(wrong(
        &owner,
        &[("co.uk", ""), ("*.co.uk", ""), ("a.co.uk", "")],
    ));
    let leads = names(&[(".co.uk", None), (".uk", Some(true))]);
    found.extend(wrong(&leads, &[("*.co.uk", "is a public suffix")]));
    let public = NamePolicy {
        public: true,
        ..names(&[
            (".co.uk", Some(true)),
            (".internal", Some(true)),
            (".example.org", Some(true)),
        ])
    };
    found.extend(wrong(
        &public,
        &[
            ("*.co.uk", "is a public suffix"),
            ("a.internal", "not one of the public DNS"),
            ("a.example.org", ""),
        ],
    ));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn addresses_are_global_or_in_a_range_that_a_rule_names() {
    // T-CA-58
    // T-CA-62
    // 8738-9-1
    let any = NamePolicy::default();
    let mut found = wrong(
        &any,
        &[
            ("8.8.8.8", ""),
            ("2606:4700::1111", ""),
            (
                "10.0.0.1",
                "it is no global address (private use, RFC 1918)",
            ),
            ("127.0.0.1", "loopback"),
            ("169.254.169.254", "cloud metadata service"),
            ("192.0.2.1", "documentation"),
            ("::1", "loopback"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("fd00::1", "unique local"),
            ("2001:db8::1", "documentation"),
            ("0.0.0.0", "this network"),
            ("224.0.0.1", "multicast"),
            ("64:ff9b::808:808", "order the IPv4 address"),
        ],
    );
    let ranges = addresses(&[
        ("10.0.0.0/8", None),
        ("10.9.0.0/16", Some(false)),
        ("fd00:1::/32", None),
        ("0.0.0.0/0", None),
        ("64:ff9b::/96", None),
    ]);
    found.extend(wrong(
        &ranges,
        &[
            ("10.1.2.3", ""),
            ("11.0.0.1", ""),
            ("10.9.2.3", "denies 10.9.0.0/16"),
            ("fd00:1::5", ""),
            ("fd00:2::5", "no global address"),
            // Loopback wants a rule of its own, mapped addresses are never a server's.
            ("127.0.0.1", "loopback"),
            ("::ffff:10.1.2.3", "IPv4-mapped"),
            ("2606:4700::1111", ""),
            // Not even a rule that names it: the rules for 10.9.0.0/16 would not see it.
            ("64:ff9b::a09:203", "order the IPv4 address"),
        ],
    ));
    let border = addresses(&[
        ("10.0.0.0/8", Some(true)),
        ("10.9.0.0/16", Some(false)),
        ("10.9.9.0/24", Some(true)),
    ]);
    found.extend(wrong(
        &border,
        &[
            ("10.1.2.3", ""),
            ("10.9.2.3", "denies 10.9.0.0/16"),
            ("10.9.9.3", ""),
            (
                "8.8.8.8",
                "no rule of this CA allows it; it issues for 10.0.0.0/8, 10.9.9.0/24",
            ),
            ("::ffff:10.1.2.3", "no rule of this CA allows it"),
        ],
    ));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn outside_the_name_constraints_nothing_is_ordered() {
    // 5280-4.2.1.10-1
    let policy = constrained(
        &[
            (0x82, b"widgets.internal"),
            (0x87, &[198, 41, 0, 0, 255, 255, 0, 0]),
        ],
        &[(0x82, b"secret.widgets.internal")],
    );
    let rows = [
        ("widgets.internal", ""),
        ("a.widgets.internal", ""),
        (
            "evilwidgets.internal",
            "only for widgets.internal and below",
        ),
        ("secret.widgets.internal", "name constraints"),
        ("*.widgets.internal", "name constraints"),
        ("*.a.widgets.internal", ""),
        ("198.41.0.4", ""),
        ("198.42.0.4", "only for addresses in 198.41.0.0/16"),
        ("2606:4700::1", "only for addresses in 198.41.0.0/16"),
    ];
    let mut found = wrong(&policy, &rows);
    let none = constrained(
        &[(0x82, b"widgets.internal")],
        &[(0x87, &[0; 8]), (0x87, &[0; 32])],
    );
    found.extend(wrong(&none, &[("8.8.8.8", "may sign for no such address")]));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_offending_identifier_is_named_and_the_others_are_not() {
    // 8555-7.4-3
    // 8555-6.7.1-1
    let policy = names(&[(".denied.example", Some(false))]);
    let all = [
        "good.example",
        "a.denied.example",
        "*.denied.example",
        "10.0.0.1",
        "8.8.8.8",
    ];
    let problem = policy.judge(&all.map(identifier)).unwrap_err();
    assert_eq!(problem.kind, ProblemType::RejectedIdentifier);
    let named: Vec<(String, String)> = problem
        .subproblems
        .iter()
        .map(|s| s.identifier.clone().unwrap())
        .map(|i| (i.kind, i.value))
        .collect();
    let wanted = [
        ("dns", "a.denied.example"),
        ("dns", "*.denied.example"),
        ("ip", "10.0.0.1"),
    ];
    assert_eq!(named, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())));
}
