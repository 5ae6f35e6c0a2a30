//! CAA over the wire: a zone that forbids, inherits, fails and permits, the real binary, real ports.

use cairn_testkit::{
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns::{self, Behaviour, RecordType, ResponseCode},
    http::Responder,
    test_path,
};
use serde_json::Value;

#[test]
fn a_zone_decides_who_issues_for_its_names_and_the_row_keeps_what_it_said() {
    //
    // 8659-3-3
    // 8659-5-1
    // 8657-5.6-1
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1])
            .authentic(true)
            .add_caa("no.test", 0, "issue", ";")
            .add_caa("yes.test", 0, "issue", "ca.test")
            .behave(
                "broken.test",
                RecordType::CAA,
                Behaviour::Code(ResponseCode::Refused),
            );
        let web = Responder::start((HOST, 80));
        let ca = TestCa::builder()
            .set("dns.dnssec", "\"trust-resolver\"")
            .start();
        let serial = block_on(async {
            let client = ca.subscriber().await;
            let directory = client.plain("GET", &ca.directory()).await.json();
            assert_eq!(directory["meta"]["caaIdentities"][0], "ca.test");
            let mut wrong = Vec::new();
            for (name, kind, says) in [
                (
                    "www.no.test",
                    "caa",
                    "Replace it: no.test. CAA 0 issue \"ca.test\"",
                ),
                ("www.broken.test", "dns", "CAA records of broken.test"),
            ] {
                let placed = client.new_order(&[name]).await.expect(201).json();
                let authorization = placed["authorizations"][0].as_str().unwrap();
                client.answer(authorization, &web).await;
                let ended = client.poll(authorization, &["pending"]).await;
                let error = &ended["challenges"][0]["error"];
                let detail = error["detail"].as_str().unwrap_or_default();
                if error["type"] != format!("urn:ietf:params:acme:error:{kind}")
                    || !detail.contains(says)
                {
                    wrong.push(format!("{name}: {ended}"));
                }
            }
            assert!(wrong.is_empty(), "{wrong:#?}");
            let got = client.obtain(&["www.yes.test"], &web).await;
            got.certificate.rsplit('/').next().unwrap().to_owned()
        });
        let (status, out, err) = ca.command(&["show", &serial, "--json"]);
        assert!(status.success(), "{err}");
        let shown: Value = serde_json::from_str(&out).unwrap();
        let kept = &shown["evidence"]["names"][0]["shown"]["caa"];
        assert_eq!(kept["found_at"], "yes.test", "{shown:#}");
        assert_eq!(kept["records"][0], "CAA 0 issue \"ca.test\"");
        assert_eq!(kept["dnssec"], true);
    });
}
