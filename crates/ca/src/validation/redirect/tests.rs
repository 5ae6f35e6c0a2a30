//! Tables of Location headers.

use super::super::rules::NameRule;
use super::*;

fn rules() -> NameRules {
    NameRules::new(
        vec![NameRule {
            suffix: DnsName::parse("mapped.example").unwrap(),
            exact: false,
            dial: Vec::new(),
            http_port: Some(8080),
            tls_port: Some(8443),
        }],
        Vec::new(),
    )
}

fn from() -> Target {
    Target::first(&Host::Name(DnsName::parse("a.example").unwrap()), "token")
}

#[test]
fn hostile_locations_are_refused_cleanly() {
    // T-CA-67
    // 8555-8.3-4
    let long = format!("http://b.example/{}", "x".repeat(64 * 1024));
    let cases: Vec<(&str, NotFollowed)> = vec![
        ("http://a@10.0.0.1/", NotFollowed::UserInfo),
        ("http://user:password@b.example/", NotFollowed::UserInfo),
        ("gopher://b.example/", NotFollowed::Scheme),
        ("file:///etc/passwd", NotFollowed::Scheme),
        ("ftp://b.example/", NotFollowed::Scheme),
        ("javascript:alert(1)", NotFollowed::Scheme),
        ("data:,x", NotFollowed::Scheme),
        ("http:b.example", NotFollowed::Scheme),
        ("", NotFollowed::Scheme),
        ("../x", NotFollowed::Scheme),
        ("?q", NotFollowed::Scheme),
        ("http://x.example:22/", NotFollowed::Port),
        ("http://x.example:443/", NotFollowed::Port),
        ("https://x.example:80/", NotFollowed::Port),
        ("http://x.example:8080/", NotFollowed::Port),
        ("http://x.example:080000/", NotFollowed::Port),
        ("http://x.example:-1/", NotFollowed::Port),
        ("http://x.example:65616/", NotFollowed::Port),
        ("http://x.example:80:80/", NotFollowed::Port),
        ("http://[::1]/", NotFollowed::Host),
        ("http://127.0.0.1/", NotFollowed::Host),
        ("http://2130706433/", NotFollowed::Host),
        ("http://0x7f.1/", NotFollowed::Host),
        ("http://0x7f000001/", NotFollowed::Host),
        ("http://017700000001/", NotFollowed::Host),
        ("http:///path", NotFollowed::Host),
        ("///path", NotFollowed::Host),
        ("http://", NotFollowed::Host),
        ("http://a..example/", NotFollowed::Host),
        ("http://a.example./", NotFollowed::Host),
        ("http://%61.example/", NotFollowed::Host),
        ("http://x\\@y/", NotFollowed::Characters),
        ("http://b.example/\r\nX: y", NotFollowed::Characters),
        ("http://b.example/ x", NotFollowed::Characters),
        ("http://b\u{e4}.example/", NotFollowed::Characters),
        ("/\u{0}", NotFollowed::Characters),
        (&long, NotFollowed::TooLong),
    ];
    let mut wrong = Vec::new();
    for (location, want) in cases {
        let got = follow(&from(), location.as_bytes(), &rules());
        if got != Err(want) {
            wrong.push(format!("{:.60}: {got:?}", location));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn fair_locations_are_followed() {
    // 8555-8.3-3
    let cases = [
        ("/x?y=z#f", "http://a.example/x?y=z", 80),
        ("https://a.example/x", "https://a.example/x", 443),
        ("HTTPS://A.Example:443", "https://a.example/", 443),
        ("http://b.example:80/", "http://b.example/", 80),
        ("http://b.example:/", "http://b.example/", 80),
        ("//b.example?q", "http://b.example/?q", 80),
        ("/a:b//c", "http://a.example/a:b//c", 80),
        ("http://w.mapped.example/", "http://w.mapped.example/", 8080),
        (
            "http://w.mapped.example:80/",
            "http://w.mapped.example/",
            8080,
        ),
        (
            "https://w.mapped.example/",
            "https://w.mapped.example/",
            8443,
        ),
        (
            "https://w.mapped.example:8443/",
            "https://w.mapped.example:8443/",
            8443,
        ),
    ];
    let mut wrong = Vec::new();
    for (location, url, port) in cases {
        match follow(&from(), location.as_bytes(), &rules()) {
            Ok(to) if to.to_string() == url && to.port(&rules()) == port => {}
            other => wrong.push(format!("{location}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_first_target_is_the_one_that_the_rfc_fixes() {
    // 8555-8.3-3
    //
    let first = from();
    assert_eq!(
        first.to_string(),
        "http://a.example/.well-known/acme-challenge/token"
    );
    assert_eq!(first.host_header(), "a.example");
    assert_eq!(first.port(&rules()), 80);
    let mapped = Target::first(
        &Host::Name(DnsName::parse("mapped.example").unwrap()),
        "token",
    );
    assert_eq!(mapped.port(&rules()), 8080);
    assert_eq!(
        mapped.host_header(),
        "mapped.example",
        "Host is the domain, whatever the port"
    );
}

#[test]
fn an_address_redirects_to_names_and_to_itself_and_to_no_other_address() {
    // T-CA-67
    // 8738-5-1
    let at = |text: &str| Target::first(&Host::Address(text.parse().unwrap()), "token");
    let cases: &[(&str, &str, Result<&str, NotFollowed>)] = &[
        (
            "192.0.2.1",
            "https://192.0.2.1/x",
            Ok("https://192.0.2.1/x"),
        ),
        ("192.0.2.1", "https://192.0.2.1", Ok("https://192.0.2.1/")),
        (
            "192.0.2.1",
            "http://192.0.2.1:80/x",
            Ok("http://192.0.2.1/x"),
        ),
        ("192.0.2.1", "/x", Ok("http://192.0.2.1/x")),
        (
            "192.0.2.1",
            "https://a.example/x",
            Ok("https://a.example/x"),
        ),
        (
            "2001:db8::1",
            "https://[2001:db8::1]/x",
            Ok("https://[2001:db8::1]/x"),
        ),
        ("2001:db8::1", "/x", Ok("http://[2001:db8::1]/x")),
        (
            "192.0.2.1",
            "https://192.0.2.1:8443/x",
            Err(NotFollowed::Port),
        ),
        ("192.0.2.1", "https://192.0.2.10/x", Err(NotFollowed::Host)),
        ("192.0.2.1", "https://192.0.2.2/x", Err(NotFollowed::Host)),
        ("192.0.2.1", "https://127.0.0.1/x", Err(NotFollowed::Host)),
        ("192.0.2.1", "https://[::1]/x", Err(NotFollowed::Host)),
        (
            "192.0.2.1",
            "https://[::ffff:192.0.2.1]/x",
            Err(NotFollowed::Host),
        ),
        (
            "2001:db8::1",
            "https://[2001:db8:0::1]/x",
            Err(NotFollowed::Host),
        ),
        (
            "2001:db8::1",
            "https://[2001:db8::1%25eth0]/x",
            Err(NotFollowed::Host),
        ),
        (
            "2001:db8::1",
            "https://2001:db8::1/x",
            Err(NotFollowed::Host),
        ),
    ];
    let mut wrong = Vec::new();
    for (from, location, want) in cases {
        let found = follow(&at(from), location.as_bytes(), &rules()).map(|t| t.to_string());
        if found.as_deref() != want.as_deref() {
            wrong.push(format!("{from} to {location}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
