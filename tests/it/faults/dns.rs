//! Faults of a zone and its servers, F-01 to F-16.

use cairn_testkit::{
    acme::txt_value,
    dns::{Behaviour, RecordType, ResponseCode},
};

use super::{Case, NS1, PUBLIC, Row, Scene, row};

/// A signature of the set, by key 4711, that ended on 2023-11-14.
fn expired() -> Vec<u8> {
    let mut octets = vec![0; 19];
    octets[1] = 1;
    octets[8..12].copy_from_slice(&1_700_000_000_u32.to_be_bytes());
    octets[16..18].copy_from_slice(&4711_u16.to_be_bytes());
    octets
}

/// What the challenge's TXT record is called.
fn asked(case: &Case) -> String {
    format!("_acme-challenge.{}", case.name)
}

/// Every server of the world fails so for the name.
fn all_fail(scene: &Scene, name: &str, behaviour: &Behaviour) {
    for dns in [&scene.dns, &scene.ns1, &scene.ns2] {
        dns.behave(name, None, behaviour.clone());
    }
}

pub(super) fn rows() -> Vec<Row> {
    let http = "http-01";
    vec![
        row(
            "F-01",
            "www.f01.test",
            http,
            "dns",
            &[
                "{name} has no DNS entry: the answer was NXDOMAIN.",
                "The zone is f01.test, serial 7.",
                "f01.test exists.",
                "ns1.f01.test (198.41.0.7, serial 7): NXDOMAIN",
                "Add an A or AAAA record",
            ],
            |scene, case| {
                scene.zone(case.zone());
                scene.dns.add_address(case.zone(), PUBLIC);
            },
        ),
        row(
            "F-02",
            "www.f02.test",
            http,
            "dns",
            &[
                "{name} exists in DNS, but has neither an A nor an AAAA record.",
                "It has records of type TXT.",
                "Add one, or use dns-01",
            ],
            |scene, case| {
                scene.zone(case.zone());
                scene.dns.add_txt(&case.name, "x");
            },
        ),
        row(
            "F-03",
            "www.f03.test",
            http,
            "dns",
            &[
                "records of {name} failed: SERVFAIL.",
                "This CA's resolver 127.0.0.1:53 answers SERVFAIL, with DNSSEC checking off (CD=1) SERVFAIL as well, so \
                 it is not DNSSEC.",
                "ns1.f03.test (198.41.0.7, serial 7): SERVFAIL; ns2.f03.test (198.41.0.8, serial 7): SERVFAIL",
                "The operator of ns1.f03.test, ns2.f03.test has to repair f03.test (see: dig @ns1.f03.test {name} ",
            ],
            |scene, case| {
                scene.zone(case.zone());
                all_fail(scene, &case.name, &Behaviour::Code(ResponseCode::ServFail));
            },
        ),
        row(
            "F-04",
            "www.f04.test",
            http,
            "dns",
            &[
                "records of {name} failed: no answer in time.",
                "resolver 127.0.0.1:53 has no answer over UDP or TCP for it, and answers for other names",
                "ns2.f04.test (198.41.0.8, serial 7): no answer over UDP or TCP",
                "Open UDP and TCP port 53 to ns1.f04.test, ns2.f04.test, or move f04.test",
            ],
            |scene, case| {
                scene.zone(case.zone());
                all_fail(scene, &case.name, &Behaviour::Drop);
            },
        ),
        row(
            "F-05 an old signature",
            "www.f05a.test",
            http,
            "dns",
            &[
                "records of {name} failed: SERVFAIL.",
                "(EDE 7 Signature Expired \"RRSIG is old\")",
                "but NOERROR with DNSSEC checking off (CD=1): what fails is the DNSSEC signature of f05a.test.",
                "The signature by key 4711 ended on 2023-11-14T22:13:20Z.",
                "Sign f05a.test anew.",
            ],
            |scene, case| {
                scene.zone(case.zone());
                scene
                    .dns
                    .add_address(&case.name, PUBLIC)
                    .add_raw(&case.name, RecordType::RRSIG, &expired())
                    .behave(
                        &case.name,
                        None,
                        Behaviour::Bogus(7, "RRSIG is old".to_owned()),
                    );
            },
        ),
        row(
            "F-05 an old DS",
            "www.f05b.test",
            http,
            "dns",
            &[
                "(EDE 9 DNSKEY Missing)",
                "The DS records at the parent are for key 4711; the zone has key 3337.",
                "Delete the DS of key 4711 at the registrar of f05b.test",
            ],
            |scene, case| {
                scene.zone(case.zone());
                scene
                    .dns
                    .add_address(&case.name, PUBLIC)
                    .behave(&case.name, None, Behaviour::Bogus(9, String::new()))
                    .add_raw(case.zone(), RecordType::DS, &[0x12, 0x67, 8, 2, 1, 1])
                    .add_raw(
                        case.zone(),
                        RecordType::DNSKEY,
                        &[1, 1, 3, 8, 0xff, 0xff, 9],
                    );
            },
        ),
        row(
            "F-06",
            "www.f06.test",
            http,
            "dns",
            &[
                "ns1.f06.test (198.41.0.7, serial 7): an answer; ns2.f06.test (198.41.0.8): REFUSED",
                "ns2.f06.test is named for f06.test but does not serve it, so look-ups fail by chance",
                "take it out of the NS records",
            ],
            |scene, case| {
                scene.zone(case.zone());
                scene.ns1.add_address(&case.name, PUBLIC);
                let fails = Behaviour::Code(ResponseCode::ServFail);
                scene.dns.behave(&case.name, None, fails);
                let refuses = Behaviour::Code(ResponseCode::Refused);
                scene.ns2.behave(&case.name, None, refuses.clone());
                scene.ns2.behave(case.zone(), None, refuses);
            },
        ),
        row(
            "F-08",
            "www.f08.test",
            http,
            "dns",
            &[
                "{name} leads to 10.0.0.5 (private use, RFC 1918), where this CA may not connect",
                "use dns-01, which connects nowhere",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, [10, 0, 0, 5]);
            },
        ),
        row(
            "F-11",
            "www.f11.test",
            "dns-01",
            "dns",
            &[
                "there is no TXT record at _acme-challenge.{name}: the answer was NXDOMAIN.",
                "The zone is f11.test, serial 7.",
                "Asked directly for TXT: ns1.f11.test (198.41.0.7, serial 8): NXDOMAIN; ns2.f11.test (198.41.0.8, serial \
                 7): NXDOMAIN.",
                "Add one with the value \"{value}\"",
            ],
            |scene, case| {
                scene.zone(case.zone());
                scene.ns1.add_zone(case.zone(), 8);
            },
        ),
        row(
            "F-12",
            "www.f12.test",
            "dns-01",
            "unauthorized",
            &[
                "Found \"of-an-earlier-try\"; expected \"{value}\".",
                "Resolvers may keep what they have for another 60 s.",
                "ns1.f12.test (198.41.0.7, serial 8): \"{value}\" (TTL 60 s)",
                "ns2.f12.test (198.41.0.8, serial 7): \"of-an-earlier-try\" (TTL 60 s)",
                "ns1.f12.test has the value and ns2.f12.test has not",
            ],
            |scene, case| {
                scene.zone(case.zone());
                let (name, value) = (asked(case), txt_value(&case.key_authorization));
                scene.dns.add_txt(&name, "of-an-earlier-try");
                scene.ns2.add_txt(&name, "of-an-earlier-try");
                scene.ns1.add_zone(case.zone(), 8).add_txt(&name, &value);
            },
        ),
        row(
            "F-15",
            "www.f15.test",
            "dns-01",
            "dns",
            &[
                "look-up of TXT records of _acme-challenge.{name} failed: SERVFAIL.",
                "It is an alias, _acme-challenge.{name} -> here.gone15.test; there the answer is SERVFAIL.",
                "Restore here.gone15.test and its zone, or remove the CNAME record at _acme-challenge.{name}.",
            ],
            |scene, case| {
                let fails = || Behaviour::Code(ResponseCode::ServFail);
                let (name, target) = (asked(case), "here.gone15.test");
                scene
                    .dns
                    .add_cname(&name, target)
                    .behave(&name, RecordType::TXT, fails())
                    .behave(target, None, fails());
            },
        ),
        row(
            "F-16",
            "www.f16.test",
            http,
            "dns",
            &[
                "failed: a loop of CNAME records, {name} -> b.{name} -> {name}.",
                "Correct the CNAME records",
            ],
            |scene, case| {
                let other = format!("b.{}", case.name);
                scene
                    .dns
                    .add_cname(&case.name, &other)
                    .add_cname(&other, &case.name);
            },
        ),
        // What the zone's owner names as its server is asked only where this CA may connect.
        row(
            "F-03 servers inside",
            "www.f03i.test",
            http,
            "dns",
            &["ns.f03i.test (10.1.2.3) was not asked, for this CA may not ask there (private use"],
            |scene, case| {
                let server = format!("ns.{}", case.zone());
                scene
                    .dns
                    .add_zone(case.zone(), 7)
                    .add_ns(case.zone(), &server)
                    .add_address(&server, [10, 1, 2, 3])
                    .behave(&case.name, None, Behaviour::Code(ResponseCode::ServFail));
            },
        ),
        // The zone itself answers nothing: its servers are known from the one above it.
        row(
            "F-03 by delegation",
            "www.sub.f03d.test",
            http,
            "dns",
            &[
                "ns2.sub.f03d.test (198.41.0.8, serial 7): SERVFAIL",
                "The operator of ns2.sub.f03d.test has to repair sub.f03d.test",
            ],
            |scene, case| {
                let (parent, zone) = ("f03d.test", "sub.f03d.test");
                let fails = || Behaviour::Code(ResponseCode::ServFail);
                scene
                    .dns
                    .add_zone(parent, 7)
                    .add_ns(parent, "ns1.f03d.test")
                    .add_address("ns1.f03d.test", NS1)
                    .behave(zone, None, fails())
                    .behave(&case.name, None, fails());
                scene.ns1.refer(zone, "ns2.sub.f03d.test", super::NS2);
                scene.ns2.add_zone(zone, 7).add_txt(zone, "apex");
                scene.ns2.behave(&case.name, None, fails());
            },
        ),
    ]
}
