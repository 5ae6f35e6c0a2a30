//! Faults of a TLS server that should answer tls-alpn-01, F-55 to F-58.

use cairn_testkit::tls_alpn::{Answer, acme_identifier};
use rcgen::SanType;

use super::{Case, PLAIN, PUBLIC, Row, row};

/// A row whose TLS server shows what is made of the case.
fn shows(
    fault: &'static str,
    name: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    answer: impl Fn(&Case) -> Answer + Send + Sync + 'static,
) -> Row {
    row(
        fault,
        name,
        "tls-alpn-01",
        kind,
        says,
        move |scene, case| {
            scene.dns.add_address(&case.name, PUBLIC);
            scene.tls.present(&case.name, answer(case));
        },
    )
}

fn names(all: &[&str]) -> Vec<SanType> {
    let name = |name: &&str| SanType::DnsName((*name).to_owned().try_into().unwrap());
    all.iter().map(name).collect()
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        shows(
            "F-55",
            "f55.test",
            "unauthorized",
            &[
                "at 198.41.0.4:443 the TLS server did not select the protocol acme-tls/1 (it selected none)",
                "it showed a certificate for \"front.f55.test, f55.test\", issued by \"rcgen self signed cert\"",
                "has to pass them on by server name and protocol",
            ],
            |case| Answer::with(names(&["front.f55.test", &case.name]), vec![]).protocols(&[]),
        ),
        shows(
            "F-56",
            "f56.test",
            "tls",
            &[
                "at 198.41.0.4:443 the TLS server refused the protocol acme-tls/1 (alert 120, no_application_protocol)",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
            |case| Answer::with(names(&[&case.name]), vec![]).protocols(&[b"h2"]),
        ),
        shows(
            "F-57 another token",
            "f57a.test",
            "unauthorized",
            &[
                // The digest of "of-another.try".
                "its acmeIdentifier extension has another digest, 7c7d58f2c5f8fb3ef258df1ca0f101a2",
                "has to be the SHA-256 of this challenge's key authorization, ",
            ],
            |case| {
                Answer::with(
                    names(&[&case.name]),
                    vec![acme_identifier("of-another.try")],
                )
            },
        ),
        shows(
            "F-57 another name",
            "f57b.test",
            "unauthorized",
            &["is not the one dNSName f57b.test alone; it has \"f57b.test, extra.test\""],
            |case| {
                let right = acme_identifier(&case.key_authorization);
                Answer::with(names(&[&case.name, "extra.test"]), vec![right])
            },
        ),
        row(
            "F-58",
            "f58.test",
            "tls-alpn-01",
            "tls",
            &[
                "at 198.41.0.6:443 the TLS handshake failed: the answer was not TLS, it begins with \"HTTP/1.1 400 Bad",
                "That is plain HTTP: let the port speak TLS (nginx: \"listen 443 ssl\").",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PLAIN);
            },
        ),
    ]
}
