//! Tests of what a key opens and of what its accounts may order.

use std::time::Duration;

use cairn_acme::problem::ProblemType;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn key() -> ExternalKey {
    ExternalKey {
        id: ExternalKeyId::from_bytes([1; 16]),
        directory: DirectoryId::FIRST,
        owner: Some("web team".to_owned()),
        allowed: Vec::new(),
        many: false,
        expires: None,
        sealed: vec![0],
        created_at: NOW,
        revoked_at: None,
        uses: 0,
        last_use: None,
    }
}

fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

fn used(key: Option<ExternalKey>, n: u8) -> Result<ExternalKey, Problem> {
    consume(key, (DirectoryId::FIRST, account(n), NOW), "ask ops")
}

#[test]
fn a_key_opens_accounts_until_it_is_used_over_or_taken_back() {
    // T-CA-35
    let second = Duration::from_secs(1);
    let until = |end| ExternalKey {
        expires: Some(end),
        ..key()
    };
    let spent = used(Some(key()), 1).unwrap();
    assert_eq!((spent.uses, spent.last_use), (1, Some((account(1), NOW))));
    let many = ExternalKey {
        many: true,
        uses: 7,
        ..key()
    };
    let revoked = ExternalKey {
        revoked_at: Some(NOW),
        ..many.clone()
    };
    let elsewhere = ExternalKey {
        directory: DirectoryId(2),
        ..key()
    };
    let cases = [
        ("new", Some(key()), None),
        ("to its last moment", Some(until(NOW.plus(second))), None),
        (
            "at its end",
            Some(until(NOW)),
            Some("expired at 2027-01-15"),
        ),
        ("after it", Some(until(NOW.minus(second))), Some("expired")),
        ("used", Some(spent), Some("was used at 2027-01-15")),
        ("for many", Some(many), None),
        ("taken back", Some(revoked), Some("was revoked at 2027")),
        ("another directory's", Some(elsewhere), Some("not here")),
        ("gone", None, Some("not here any more")),
    ];
    let mut wrong = Vec::new();
    for (name, key, refused) in cases {
        match (used(key, 2), refused) {
            (Ok(_), None) => {}
            (Err(problem), Some(says))
                if problem.kind == ProblemType::Unauthorized
                    && problem.status == 403
                    && problem.detail.contains(says)
                    && problem.detail.contains("ask ops") => {}
            (got, _) => wrong.push(format!("{name}: {got:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_key_is_taken_back_once() {
    let first = revoke(Some(key()), NOW);
    assert_eq!(first.changes.audit.len(), 1);
    let (key, changed) = first.answer.unwrap().unwrap();
    assert!(changed);
    // Also in the same millisecond.
    for later in [Duration::ZERO, Duration::from_secs(5)] {
        let again = revoke(Some(key.clone()), NOW.plus(later));
        assert!(again.changes.update_external_keys.is_empty() && again.changes.audit.is_empty());
        let (again, changed) = again.answer.unwrap().unwrap();
        assert_eq!((again.revoked_at, changed), (Some(NOW), false));
    }
    assert!(revoke(None, NOW).answer.unwrap().is_none());
}

#[test]
fn allowed_names_are_compared_as_rules_on_names_are() {
    // T-CA-62
    let external = |allowed: &[&str]| ExternalAccount {
        key: key().id,
        owner: None,
        allowed: allowed.iter().map(|text| text.parse().unwrap()).collect(),
        binding: String::new(),
    };
    let list = [
        ".team.example",
        "www.example",
        "10.8.0.0/16",
        "2001:db8::/32",
    ];
    // Kind, identifier, whether the list allows it.
    let cases = [
        ("dns", "team.example", true),
        ("dns", "a.b.team.example", true),
        ("dns", "*.team.example", true),
        ("dns", "notteam.example", false),
        ("dns", "team.example.org", false),
        ("dns", "example", false),
        ("dns", "*.example", false),
        ("dns", "www.example", true),
        ("dns", "a.www.example", false),
        ("dns", "*.www.example", false),
        ("ip", "10.8.200.1", true),
        ("ip", "10.9.0.1", false),
        ("ip", "2001:db8::1", true),
        ("ip", "::1", false),
    ];
    let mut wrong = Vec::new();
    for (kind, text, allowed) in cases {
        let identifier = Identifier::parse(kind, text).unwrap();
        let fault = external(&list).fault(&identifier);
        if fault.is_none() != allowed {
            wrong.push(format!("{text}: {fault:?}"));
        }
        assert_eq!(external(&[]).fault(&identifier), None, "{text}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let owned = ExternalAccount {
        owner: Some("web\u{1b} team".to_owned()),
        ..external(&list)
    };
    let other = Identifier::parse("dns", "other.example").unwrap();
    let told = owned.fault(&other).unwrap();
    for part in [
        key().id.to_string().as_str(),
        "of \"web\\u{1b} team\"",
        ".team.example, www.example, 10.8.0.0/16",
        "ask the operator",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn what_a_key_allows_prints_as_it_is_written() {
    for (text, printed) in [
        ("www.Example", "www.example"),
        (".Team.example", ".team.example"),
        ("10.8.1.2/16", "10.8.0.0/16"),
    ] {
        let allowed: Allowed = text.parse().unwrap();
        assert_eq!(allowed.to_string(), printed);
        assert_eq!(printed.parse(), Ok(allowed));
    }
    for text in [
        "",
        ".",
        "*.a.example",
        "a b",
        "..a",
        "10.0.0.1",
        "a/8",
        "a,b",
    ] {
        assert!(text.parse::<Allowed>().is_err(), "{text:?}");
    }
}
