//! Tables of addresses, names and ports.

use super::*;

fn name(text: &str) -> Host {
    Host::Name(DnsName::parse(text).unwrap())
}

fn rule(suffix: &str, dial: &[&str]) -> NameRule {
    NameRule {
        suffix: DnsName::parse(suffix).unwrap(),
        exact: false,
        dial: dial.iter().map(|net| net.parse().unwrap()).collect(),
        http_port: None,
        tls_port: None,
    }
}

fn rules(all: Vec<NameRule>) -> NameRules {
    NameRules::new(all, Vec::new())
}

/// Every special range with the first and last address, and where there are, other spellings.
const SPECIAL: &[(&str, &str)] = &[
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("10.0.0.0", "private"),
    ("10.255.255.255", "private"),
    ("172.16.0.0", "private"),
    ("172.31.255.255", "private"),
    ("192.168.0.1", "private"),
    ("192.168.255.255", "private"),
    ("100.64.0.0", "shared"),
    ("100.127.255.255", "shared"),
    ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"),
    ("169.254.0.1", "link local"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("0.0.0.0", "this network"),
    ("0.1.2.3", "this network"),
    ("192.0.0.192", "metadata"),
    ("192.0.0.9", "IETF"),
    ("192.0.0.255", "IETF"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4"),
    ("198.18.0.0", "benchmarking"),
    ("198.19.255.255", "benchmarking"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.7", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "IPv4-mapped"),
    ("::ffff:8.8.8.8", "IPv4-mapped"),
    ("::127.0.0.1", "IPv4-compatible"),
    ("::8.8.8.8", "IPv4-compatible"),
    ("64:ff9b::7f00:1", "NAT64"),
    ("64:ff9b::10.1.2.3", "NAT64"),
    ("64:ff9b::169.254.169.254", "NAT64"),
    ("64:ff9b:1::", "local NAT64"),
    ("64:ff9b:1:ffff::8.8.8.8", "local NAT64"),
    ("100::1", "discard"),
    ("100:0:0:1::1", "dummy"),
    ("2001::1", "Teredo"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
    ("2001:2::1", "benchmarking"),
    ("2001:10::1", "IETF"),
    ("2001:1ff:ffff::1", "IETF"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::", "6to4"),
    ("2002:808:808::1", "6to4"),
    ("3fff::1", "documentation"),
    ("3fff:fff:ffff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique local"),
    ("fdff::1", "unique local"),
    ("fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "metadata"),
    ("fe80::1", "link local"),
    ("febf::1", "link local"),
    ("fec0::1", "site local"),
    ("ff02::1", "multicast"),
    ("4000::1", "not allocated"),
    ("::ffff:0:127.0.0.1", "not allocated"),
    ("1::1", "not allocated"),
];

#[test]
fn a_name_outside_any_rule_leads_to_no_special_address_and_the_range_is_named() {
    // T-CA-64
    // 8555-10.4-1
    let rules = rules(vec![rule("internal", &["0.0.0.0/0", "::/0"])]);
    let mut wrong = Vec::new();
    for (address, range) in SPECIAL {
        let judged = rules.judge(&name("shop.example.org"), address.parse().unwrap(), 80);
        if !judged
            .as_ref()
            .is_err_and(|denied| denied.range.contains(range))
        {
            wrong.push(format!("{address}: {judged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_name_outside_any_rule_leads_to_global_addresses() {
    // T-CA-64
    let rules = NameRules::default();
    let mut wrong = Vec::new();
    for address in [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2001:200::1",
        "2003::1",
        "2a00::1",
        "64:ff9b::8.8.8.8",
    ] {
        let judged = rules.judge(&name("shop.example.org"), address.parse().unwrap(), 443);
        if judged != Ok(Granted { range: None }) {
            wrong.push(format!("{address}: {judged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_rule_opens_its_ranges_but_delicate_ones_only_when_it_names_them() {
    // T-CA-64
    // 8555-10.4-2
    struct Case {
        dial: &'static str,
        address: &'static str,
        granted: bool,
    }
    const fn case(dial: &'static str, address: &'static str, granted: bool) -> Case {
        Case {
            dial,
            address,
            granted,
        }
    }
    let cases = [
        case("10.0.0.0/8", "10.1.2.3", true),
        case("10.0.0.0/8", "8.8.8.8", true),
        case("10.0.0.0/8", "192.168.0.1", false),
        case("10.0.0.0/8", "::ffff:10.1.2.3", false),
        case("0.0.0.0/0", "192.168.0.1", true),
        case("0.0.0.0/0", "127.0.0.1", false),
        case("0.0.0.0/0", "169.254.1.1", false),
        case("0.0.0.0/0", "169.254.169.254", false),
        case("0.0.0.0/0", "224.0.0.1", false),
        case("0.0.0.0/0", "0.0.0.0", false),
        case("0.0.0.0/0", "255.255.255.255", false),
        case("127.0.0.0/8", "127.0.0.1", true),
        case("127.0.0.1/32", "127.0.0.2", false),
        case("169.254.0.0/16", "169.254.1.1", true),
        case("169.254.0.0/16", "169.254.169.254", false),
        case("169.254.169.254/32", "169.254.169.254", true),
        case("100.64.0.0/10", "100.100.100.200", false),
        case("192.0.0.0/24", "192.0.0.192", false),
        case("0.0.0.0/0", "168.63.129.16", false),
        case("::/0", "::1", false),
        case("::1/128", "::1", true),
        case("::/0", "fe80::1", false),
        case("fe80::/10", "fe80::1", true),
        case("fd00::/8", "fd12::1", true),
        case("fd00::/8", "fd00:ec2::254", false),
        case("fd00:ec2::254/128", "fd00:ec2::254", true),
        case("fc00::/7", "fd12::1", true),
        case("::/0", "::ffff:127.0.0.1", false),
        case("::ffff:0:0/96", "::ffff:127.0.0.1", false),
        case("64:ff9b::/96", "64:ff9b::10.1.2.3", false),
        case("64:ff9b:1::/48", "64:ff9b:1::10.1.2.3", false),
        case("64:ff9b:1::/48", "64:ff9b:1::8.8.8.8", true),
        case("2002::/16", "2002:7f00:1::", false),
        case("2002::/16", "2002:808:808::1", true),
        case("::/0", "2002:808:808::1", false),
        case("2001::/32", "2001:0:4136:e378:8000:63bf:80ff:fffe", false),
        case("2001:db8::/32", "2001:db8::1", true),
    ];
    let mut wrong = Vec::new();
    for case in cases {
        let rules = rules(vec![rule("internal", &[case.dial])]);
        let judged = rules.judge(&name("a.internal"), case.address.parse().unwrap(), 80);
        if judged.is_ok() != case.granted {
            wrong.push(format!("{} {}: {judged:?}", case.dial, case.address));
        }
    }
    // The address behind the translator is granted as well.
    let both = rules(vec![rule("internal", &["64:ff9b::/96", "10.0.0.0/8"])]);
    let judged = both.judge(
        &name("a.internal"),
        "64:ff9b::10.1.2.3".parse().unwrap(),
        80,
    );
    assert!(judged.is_ok(), "{judged:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_longest_suffix_decides_and_only_at_label_boundaries() {
    // 8555-10.4-2
    let rules = rules(vec![
        rule("internal", &["10.0.0.0/8"]),
        rule("dmz.internal", &["192.168.0.0/16"]),
    ]);
    let cases = [
        ("internal", "10.0.0.1", true),
        ("a.internal", "10.0.0.1", true),
        ("dmz.internal", "10.0.0.1", false),
        ("dmz.internal", "192.168.0.1", true),
        ("x.dmz.internal", "10.0.0.1", false),
        ("xdmz.internal", "10.0.0.1", true),
        ("evilinternal", "10.0.0.1", false),
        ("internal.example", "10.0.0.1", false),
    ];
    let mut wrong = Vec::new();
    for (host, address, granted) in cases {
        let judged = rules.judge(&name(host), address.parse().unwrap(), 80);
        if judged.is_ok() != granted {
            wrong.push(format!("{host} {address}: {judged:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_usual_ports_and_the_rules_own_are_used() {
    // T-CA-67
    //
    let mut own_ports = rule("localhost", &["127.0.0.0/8"]);
    own_ports.http_port = Some(14480);
    own_ports.tls_port = Some(14441);
    let rules = rules(vec![own_ports]);
    let judge = |host: &str, ip: &str, port| rules.judge(&name(host), ip.parse().unwrap(), port);
    for port in [80, 443, 14480, 14441] {
        assert!(judge("a.localhost", "127.0.0.1", port).is_ok(), "{port}");
    }
    for port in [0, 22, 25, 8080, 14443] {
        let judged = judge("a.localhost", "127.0.0.1", port);
        assert_eq!(judged.unwrap_err().reason, DenialReason::Port, "{port}");
    }
    assert!(judge("a.example", "8.8.8.8", 80).is_ok());
    assert_eq!(
        judge("a.example", "8.8.8.8", 14480).unwrap_err().reason,
        DenialReason::Port
    );
    assert_eq!(rules.http_port(&name("a.localhost")), 14480);
    assert_eq!(rules.tls_port(&name("a.localhost")), 14441);
    assert_eq!(rules.http_port(&name("a.example")), 80);
}

#[test]
fn the_cas_own_listeners_stay_closed_unless_a_rule_sends_validation_there() {
    // T-CA-64
    let own: Vec<SocketAddr> = [
        "127.0.0.1:443",
        "0.0.0.0:80",
        "[2001:db8::5]:443",
        "8.8.4.4:443",
    ]
    .iter()
    .map(|a| a.parse().unwrap())
    .collect();
    let dial = ["127.0.0.0/8", "::1/128", "2001:db8::/32"];
    let closed = NameRules::new(vec![rule("internal", &dial)], own.clone());
    let judge = |rules: &NameRules, ip: &str, port| {
        rules
            .judge(&name("a.internal"), ip.parse().unwrap(), port)
            .map_err(|d| d.reason)
    };
    for (ip, port) in [
        ("127.0.0.1", 443),
        ("127.0.0.1", 80),
        ("127.0.0.9", 80),
        ("::1", 80),
        ("2001:db8::5", 443),
        ("8.8.4.4", 443),
    ] {
        assert_eq!(
            judge(&closed, ip, port),
            Err(DenialReason::OwnListener),
            "{ip} {port}"
        );
    }
    assert!(judge(&closed, "127.0.0.2", 443).is_ok());
    let mut sent = rule("internal", &dial);
    sent.http_port = Some(80);
    sent.tls_port = Some(443);
    let open = NameRules::new(vec![sent], own);
    assert!(judge(&open, "127.0.0.1", 80).is_ok());
    assert!(judge(&open, "127.0.0.1", 443).is_ok());
    let still = judge(&open, "8.8.4.4", 443);
    assert_eq!(
        still,
        Err(DenialReason::OwnListener),
        "no range of the rule holds it"
    );
}

#[test]
fn a_connection_that_ends_at_this_host_is_dropped_where_the_ca_listens_everywhere() {
    // T-CA-64
    let own = vec!["0.0.0.0:80".parse().unwrap()];
    let rules = NameRules::new(Vec::new(), own);
    let here: IpAddr = "8.8.4.4".parse().unwrap();
    let judge = |local: IpAddr, port| {
        rules.judge_connected(&name("a.example"), local, SocketAddr::new(here, port))
    };
    assert!(judge(here, 80).is_err());
    assert!(judge(here, 443).is_ok(), "nothing of ours listens there");
    assert!(
        judge("8.8.4.5".parse().unwrap(), 80).is_ok(),
        "another host"
    );
}

#[test]
fn localhost_has_addresses_only_under_a_rule() {
    // T-CA-64
    let none = NameRules::default();
    let some = rules(vec![rule("localhost", &["127.0.0.0/8"])]);
    for host in ["localhost", "demo.localhost"] {
        assert_eq!(none.localhost(&name(host)), Some(Vec::new()), "{host}");
        let found = some.localhost(&name(host)).unwrap();
        assert_eq!(
            found,
            [
                "::1".parse::<IpAddr>().unwrap(),
                "127.0.0.1".parse().unwrap()
            ]
        );
    }
    for host in ["localhost.example", "notlocalhost"] {
        assert_eq!(some.localhost(&name(host)), None, "{host}");
    }
}

#[test]
fn an_exact_rule_is_for_its_name_alone_and_goes_before_the_suffix() {
    // T-CA-62
    let port = |suffix: &str, exact, port| NameRule {
        suffix: DnsName::parse(suffix).unwrap(),
        exact,
        dial: Vec::new(),
        http_port: Some(port),
        tls_port: None,
    };
    let rules = rules(vec![
        port("internal", false, 1),
        port("a.internal", true, 2),
        port("a.internal", false, 3),
        port("b.internal", true, 4),
    ]);
    let cases = [
        ("internal", 1),
        ("c.internal", 1),
        ("a.internal", 2),
        ("x.a.internal", 3),
        ("b.internal", 4),
        ("x.b.internal", 1),
        ("xinternal", 80),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(text, want)| rules.http_port(&name(text)) != *want)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn an_address_is_dialled_if_it_is_global_or_in_a_range_of_its_own_rules() {
    // T-CA-64
    // 8738-4-1
    let of = |range: &str, port| AddressRule {
        range: range.parse().unwrap(),
        http_port: port,
        tls_port: None,
    };
    // What a rule on names grants counts for names alone.
    let own = vec!["127.0.0.1:80".parse().unwrap()];
    let rules =
        NameRules::new(vec![rule("internal", &["192.168.0.0/16"])], own).with_addresses(vec![
            of("10.0.0.0/8", None),
            of("10.1.0.0/16", Some(8080)),
            of("127.0.0.0/8", None),
            of("0.0.0.0/0", None),
            of("169.254.169.254/32", None),
        ]);
    let cases: &[(&str, u16, bool)] = &[
        ("8.8.8.8", 80, true),
        ("8.8.8.8", 443, true),
        ("8.8.8.8", 22, false),
        ("10.2.3.4", 80, true),
        ("10.2.3.4", 8080, false),
        ("10.1.3.4", 8080, true),
        ("169.254.169.254", 80, true),
        ("169.254.1.1", 80, false),
        ("127.0.0.2", 80, true),
        // The CA's own listener.
        ("127.0.0.1", 80, false),
        ("fd00::1", 80, false),
        ("2606:4700::1", 443, true),
        ("::ffff:10.1.2.3", 80, false),
    ];
    let mut wrong = Vec::new();
    for (text, port, want) in cases {
        let ip = text.parse().unwrap();
        let judged = rules.judge(&Host::Address(ip), ip, *port);
        if judged.is_ok() != *want {
            wrong.push(format!("{text}:{port}: {judged:?}"));
        }
    }
    assert!(
        rules
            .judge(&name("a.internal"), "10.2.3.4".parse().unwrap(), 80)
            .is_err()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}
