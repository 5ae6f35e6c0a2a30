//! Faults of a TLS server that should answer tls-alpn-01, F-55 to F-59.

use cairn_testkit::tls_alpn::{Answer, acme_identifier};
use rcgen::SanType;

use super::servers::{APACHE, CADDY, EAGER, FRONT, GO, H2, NGINX, OLD, SWAPPED, TRAEFIK};
use super::{Case, PUBLIC, Row, row};

/// A row whose name leads to this server.
fn at(
    server: [u8; 4],
    fault: &'static str,
    name: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
) -> Row {
    row(
        fault,
        name,
        "tls-alpn-01",
        kind,
        says,
        move |scene, case| {
            scene.dns.add_address(&case.name, server);
        },
    )
}

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
        at(
            FRONT,
            "F-55",
            "f55a.test",
            "unauthorized",
            &[
                "at 198.41.0.16:443 the TLS server did not select the protocol acme-tls/1 (it selected none)",
                "it showed a certificate for \"front.f55a.test, f55a.test\", issued by \"rcgen self signed cert\"",
                "has to pass them on by server name and protocol",
            ],
        ),
        at(
            NGINX,
            "F-56 nginx",
            "f56a.test",
            "tls",
            &[
                "at 198.41.0.10:443 the TLS server refused the protocol acme-tls/1 (alert 120, no_application_protocol)",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
        at(
            H2,
            "F-56 s_server",
            "f56b.test",
            "tls",
            &[
                "at 198.41.0.18:443 the TLS server refused the protocol acme-tls/1 (alert 120, no_application_protocol)",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
        at(
            GO,
            "F-56 Go",
            "f56c.test",
            "tls",
            &[
                "at 198.41.0.20:443 the TLS server refused the protocol acme-tls/1 (alert 120, no_application_protocol)",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
        // Both speak acme-tls/1, for challenges of their own.
        at(
            CADDY,
            "F-56 Caddy",
            "f56d.test",
            "tls",
            &[
                "at 198.41.0.22:443 the TLS handshake failed: the server sent the alert InternalError",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
        at(
            TRAEFIK,
            "F-56 Traefik",
            "f56e.test",
            "tls",
            &[
                "at 198.41.0.23:443 the TLS server refused the server name f56e.test (alert unrecognized_name)",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
        at(
            EAGER,
            "F-57 the site's own",
            "f57c.test",
            "unauthorized",
            &[
                "at 198.41.0.19:443 the TLS server showed a certificate for f57c.test that does not answer the challenge",
                "is not the one dNSName f57c.test alone; it has \"front.f55a.test, f55a.test\"",
            ],
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
        at(
            SWAPPED,
            "F-58",
            "f58.test",
            "tls",
            &[
                "at 198.41.0.11:443 the TLS handshake failed: the answer was not TLS, it begins with \"HTTP/1.1 400 Bad",
                "That is plain HTTP: let the port speak TLS (nginx: \"listen 443 ssl\").",
            ],
        ),
        at(
            APACHE,
            "F-59",
            "f59.test",
            "tls",
            &[
                "at 198.41.0.12:443 the TLS server refused the server name f59.test (alert unrecognized_name)",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
        at(
            OLD,
            "TLS 1.1 alone",
            "f59b.test",
            "tls",
            &[
                "at 198.41.0.17:443 the TLS handshake failed: the server sent the alert ProtocolVersion",
                "Let the server of that port answer for tls-alpn-01, or use another challenge.",
            ],
        ),
    ]
}
