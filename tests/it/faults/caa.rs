//! CAA sets that stand against this CA, F-20 to F-27. In each the challenge itself is answered.

use cairn_testkit::{
    acme::txt_value,
    dns::{Behaviour, RecordType, ResponseCode},
    http::Reply,
};

use super::{Case, PUBLIC, Row, Scene, row};

/// The name leads to the web server, which has the file.
fn serve(scene: &Scene, case: &Case) {
    let file = Reply::Body(case.key_authorization.clone().into_bytes());
    scene.dns.add_address(&case.name, PUBLIC);
    scene.web.on_host(&case.name, &case.path, file);
}

/// A row with one record at the name or above it.
fn record(
    fault: &'static str,
    name: &'static str,
    (at, flags, tag, value): (&'static str, u8, &'static str, &'static str),
    says: &'static [&'static str],
) -> Row {
    row(fault, name, "http-01", "caa", says, move |scene, case| {
        serve(scene, case);
        scene.dns.add_caa(at, flags, tag, value);
    })
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        record(
            "F-20",
            "f20.test",
            ("f20.test", 0, "issue", ";"),
            &[
                "CAA of f20.test forbids every CA. Record: f20.test. CAA 0 issue \";\".",
                "Replace it: f20.test. CAA 0 issue \"ca.test\".",
                "Until then a new order is refused too.",
            ],
        ),
        record(
            "F-21",
            "a.b.f21.test",
            ("f21.test", 0, "issue", "other-ca.example"),
            &[
                "CAA of f21.test, which {name} inherits, allows only \"other-ca.example\"",
                "Add: f21.test. CAA 0 issue \"ca.test\", or give {name} CAA records of its own",
            ],
        ),
        row(
            "F-22",
            "www.f22.test",
            "http-01",
            "dns",
            &[
                "the look-up of CAA records of {name} failed, and without it a CA must not issue: SERVFAIL.",
                "For type A of {name} the same resolver answers NOERROR: it fails for type CAA alone.",
                "ns1.f22.test (198.41.0.7, serial 7): SERVFAIL",
                "Repair or upgrade ns1.f22.test, ns2.f22.test",
                "NOERROR with no records",
            ],
            |scene, case| {
                serve(scene, case);
                scene.zone(case.zone());
                for dns in [&scene.dns, &scene.ns1, &scene.ns2] {
                    let fails = Behaviour::Code(ResponseCode::ServFail);
                    dns.behave(&case.name, RecordType::CAA, fails);
                }
            },
        ),
        row(
            "F-23",
            "f23.test",
            "http-01",
            "caa",
            &[
                "allows this CA for the account \"https://ca.test/account/of-somebody-else\" alone; this is account \
                 \"{account}\"",
                "f23.test. CAA 0 issue \"ca.test; accounturi={account}\"",
            ],
            |scene, case| {
                serve(scene, case);
                let value = "ca.test; accounturi=https://ca.test/account/of-somebody-else";
                scene.dns.add_caa(&case.name, 0, "issue", value);
            },
        ),
        record(
            "F-24",
            "f24.test",
            ("f24.test", 0, "issue", "ca.test; validationmethods=dns-01"),
            &[
                "allows this CA by \"dns-01\" alone; http-01 was used",
                "Record: f24.test. CAA 0 issue \"ca.test; validationmethods=dns-01\".",
                "f24.test. CAA 0 issue \"ca.test; validationmethods=http-01\"",
            ],
        ),
        row(
            "F-25",
            "*.f25.test",
            "dns-01",
            "caa",
            &[
                "*.f25.test: CAA of f25.test allows single names and not the wildcard: issuewild forbids every CA.",
                "Records: f25.test. CAA 0 issue \"ca.test\" and f25.test. CAA 0 issuewild \";\".",
                "Replace the issuewild record: f25.test. CAA 0 issuewild \"ca.test\", or order without the wildcard.",
            ],
            |scene, case| {
                let value = txt_value(&case.key_authorization);
                scene
                    .dns
                    .add_txt(&format!("_acme-challenge.{}", case.name), &value)
                    .add_caa(&case.name, 0, "issue", "ca.test")
                    .add_caa(&case.name, 0, "issuewild", ";");
            },
        ),
        record(
            "F-26",
            "f26.test",
            ("f26.test", 128, "foo", "bar"),
            &[
                "has the critical property \"foo\", which this CA does not know",
                "Record: f26.test. CAA 128 foo \"bar\".",
                "set its flags to 0",
            ],
        ),
        record(
            "F-27 a typing error",
            "f27a.test",
            ("f27a.test", 0, "issue", "ca.tset"),
            &[
                "allows only \"ca.tset\", which is not \"ca.test\"",
                "Add: f27a.test. CAA 0 issue \"ca.test\"",
            ],
        ),
        record(
            "F-27 quotation marks",
            "f27b.test",
            ("f27b.test", 0, "issue", "\"ca.test\""),
            &[
                "has a value that names no CA",
                "Correct it: f27b.test. CAA 0 issue \"ca.test\"",
            ],
        ),
    ]
}
