//! Where an inquiry may ask.

use super::*;
use crate::validation::rules::NameRule;

#[test]
fn a_zone_cannot_send_an_inquiry_to_where_another_name_may_lead() {
    // T-CA-64 T-CA-69
    let internal = NameRule {
        suffix: DnsName::parse("internal").unwrap(),
        exact: false,
        dial: vec!["10.0.0.0/8".parse().unwrap()],
        http_port: None,
        tls_port: None,
    };
    let rules = NameRules::new(vec![internal], Vec::new());
    let (inside, outside) = ("10.1.2.3", "198.41.0.4");
    // Whatever the servers are called.
    for (subject, address, is_permitted) in [
        ("x.evil.example", inside, false),
        ("*.evil.example", inside, false),
        ("x.evil.example", outside, true),
        ("x.internal", inside, true),
        ("*.x.internal", inside, true),
        ("198.41.0.4", outside, false),
    ] {
        let doubt = Doubt {
            problem: ProblemType::Dns,
            subject: subject.to_owned(),
            name: subject.to_owned(),
            kind: RecordKind::A,
            what: Doubted::NoSuchName,
            cause: String::new(),
            remedy: String::new(),
            wanted: None,
            transient: false,
        };
        let judged = Judge::of(&doubt, &rules).permitted(&[address.parse().unwrap()]);
        assert_eq!(judged.is_ok(), is_permitted, "{subject} at {address}");
    }
}
