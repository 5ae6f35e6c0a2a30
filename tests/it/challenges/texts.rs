//! What the DNS may answer to dns-01: one row each.

use std::time::Duration;

use cairn_testkit::dns::{self, Behaviour, RecordType, ResponseCode};

use super::{PUBLIC, Row, value};

/// A row about the TXT record, whose name is given.
fn text(
    label: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    arrange: impl Fn(&dns::Server, &str, &str) + Send + Sync + 'static,
) -> Row {
    Row {
        label,
        challenge: "dns-01",
        arrange: Box::new(move |scene, name, key_authorization| {
            arrange(
                &scene.dns,
                &format!("_acme-challenge.{name}"),
                key_authorization,
            );
        }),
        kind,
        says,
    }
}

/// The rows of dns-01.
pub(super) fn rows() -> Vec<Row> {
    vec![
        text("right-txt", "", &[], |dns, at, k| {
            dns.add_txt(at, "of another client").add_txt(at, &value(k));
        }),
        text(
            "nxdomain",
            "dns",
            &[
                "there is no TXT record at _acme-challenge.nxdomain.public.test: the answer was NXDOMAIN.",
                "Add one with the value \"",
            ],
            |_, _, _| {},
        ),
        text(
            "no-txt",
            "unauthorized",
            &["there is no TXT record at _acme-challenge.no-txt.public.test; the name exists"],
            |dns, at, _| {
                dns.add_address(at, PUBLIC);
            },
        ),
        text(
            "servfail",
            "dns",
            &[
                "look-up of TXT records of _acme-challenge.servfail.public.test failed: SERVFAIL",
                "DNSSEC",
            ],
            |dns, at, _| {
                dns.behave(at, None, Behaviour::Code(ResponseCode::ServFail));
            },
        ),
        text(
            "silent",
            "dns",
            &["failed: no answer in time"],
            |dns, at, _| {
                dns.behave(at, None, Behaviour::Drop);
            },
        ),
        // T-CA-77
        text(
            "loop",
            "dns",
            &["a loop of CNAME records, ", "Correct the CNAME records"],
            |dns, at, _| {
                let other = format!("b.{at}");
                dns.add_cname(at, &other).add_cname(&other, at);
            },
        ),
        // T-CA-81
        text(
            "key-authorization",
            "unauthorized",
            &["holds the key authorization itself; its SHA-256 in base64url belongs there"],
            |dns, at, k| {
                dns.add_txt(at, k);
            },
        ),
        text(
            "quoted",
            "unauthorized",
            &["quotation marks that are part of it"],
            |dns, at, k| {
                dns.add_txt(at, &format!("\"{}\"", value(k)));
            },
        ),
        text(
            "markup",
            "unauthorized",
            &[
                r#"Found "\x3csvg\x3e"; expected ""#,
                "Add a record with that value",
            ],
            |dns, at, _| {
                dns.add_txt(at, "<svg>");
            },
        ),
        text(
            "many",
            "unauthorized",
            &[r#"Found "0", "1", "2" and 17 more; expected ""#],
            |dns, at, _| {
                for n in 0..20 {
                    dns.add_txt(at, &n.to_string());
                }
            },
        ),
        // T-CA-85
        text(
            "garbage",
            "dns",
            &["_acme-challenge.garbage.public.test failed: "],
            |dns, at, _| {
                dns.behave(
                    at,
                    None,
                    Behaviour::Raw(vec![0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0, 0xc0]),
                );
            },
        ),
        // T-CA-79
        text(
            "forged",
            "dns",
            &["failed: no answer in time"],
            |dns, at, k| {
                dns.add_txt(at, &value(k))
                    .behave(at, None, Behaviour::WrongId);
            },
        ),
        text("flood-of-answers", "", &[], |dns, at, k| {
            dns.add_txt(at, &value(k))
                .behave(at, RecordType::TXT, Behaviour::Flood(200));
        }),
        text(
            "other-zone",
            "dns",
            &["failed: no answer in time"],
            |dns, at, k| {
                dns.add_txt(at, &value(k))
                    .behave(at, None, Behaviour::WrongName);
            },
        ),
        text(
            "other-port",
            "dns",
            &["failed: no answer in time"],
            |dns, at, k| {
                dns.add_txt(at, &value(k))
                    .behave(at, None, Behaviour::WrongPort);
            },
        ),
        text("other-case", "", &[], |dns, at, k| {
            dns.add_txt(at, &value(k))
                .behave(at, None, Behaviour::WrongCase);
        }),
        text("no-question-once", "", &[], |dns, at, k| {
            let once = Behaviour::Times(1, Box::new(Behaviour::NoQuestion));
            dns.add_txt(at, &value(k)).behave(at, RecordType::TXT, once);
        }),
        text(
            "no-question",
            "dns",
            &[
                "_acme-challenge.no-question.public.test failed: ",
                "no question",
            ],
            |dns, at, k| {
                dns.add_txt(at, &value(k))
                    .behave(at, None, Behaviour::NoQuestion);
            },
        ),
        text("slow", "", &[], |dns, at, k| {
            let late = Behaviour::Delay(Duration::from_secs(1));
            dns.add_txt(at, &value(k)).behave(at, RecordType::TXT, late);
        }),
        text(
            "too-slow",
            "dns",
            &["failed: no answer in time"],
            |dns, at, k| {
                let never = Behaviour::Delay(Duration::from_secs(600));
                dns.add_txt(at, &value(k)).behave(at, None, never);
            },
        ),
        // T-CA-78
        text("thousand", "", &[], |dns, at, k| {
            for n in 1..1000 {
                dns.add_txt(at, &n.to_string());
            }
            dns.add_txt(at, &value(k));
        }),
        text(
            "eleven-hundred",
            "dns",
            &["failed: ", "more than 1024 records"],
            |dns, at, k| {
                for n in 1..1100 {
                    dns.add_txt(at, &n.to_string());
                }
                dns.add_txt(at, &value(k));
            },
        ),
        text("64-kib", "", &[], |dns, at, k| {
            for n in 0..200 {
                dns.add_txt(at, &format!("{n:-<240}"));
            }
            dns.add_txt(at, &value(k));
        }),
        text(
            "4000-strings",
            "unauthorized",
            &["Found \"01234567890123456789"],
            |dns, at, _| {
                dns.add_txt_strings(at, vec!["0123456789".to_owned(); 4000]);
            },
        ),
        text(
            "cut-always",
            "dns",
            &["cut short over TCP as well"],
            |dns, at, k| {
                dns.add_txt(at, &value(k))
                    .behave(at, None, Behaviour::TruncateAlways);
            },
        ),
    ]
}
