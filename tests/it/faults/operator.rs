//! Faults of the CA itself, F-98 to F-100: the subscriber is told whose they are, the operator is told the reason.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    time::Duration,
};

use cairn_testkit::{
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns,
    http::Responder,
    netns::small_disk,
    peers, test_path, wait_for,
};
use serde_json::{Value, json};

use super::assert_says;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_full_disk_is_told_with_a_number_that_the_operator_finds_its_reason_by() {
    // F-98
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let folder = tempfile::tempdir().unwrap();
        small_disk(folder.path(), 24 << 20);
        let mut ca = TestCa::builder().place(folder.path()).start();
        let refused = block_on(async {
            let client = ca.subscriber().await;
            let filler = folder.path().join("filler");
            let mut octets = 32 << 20;
            while octets >= 512 {
                use std::io::Write;
                let file = std::fs::File::options()
                    .append(true)
                    .create(true)
                    .open(&filler);
                if file.unwrap().write_all(&vec![0; octets]).is_err() {
                    octets /= 2;
                }
            }
            for number in 0..500 {
                let name = format!("n{number}.test");
                let answer = client.new_order(&[&name]).await;
                if answer.status != 201 {
                    return answer.json();
                }
            }
            panic!("the disk never fills");
        });
        let says = [
            "the server cannot write at present",
            "give the CA's operator the number",
        ];
        assert_says("F-98", &refused, "serverInternal", 503, &says);
        let detail = refused["detail"].as_str().unwrap();
        let incident = detail.rsplit(' ').next().unwrap().to_owned();
        let line = ca
            .process()
            .wait_line(PATIENCE, |line| line.contains(&incident));
        let line = line.unwrap_or_else(|| panic!("{incident} is not in the log"));
        assert!(
            line.contains("the store is read-only") && line.contains("full"),
            "{line}"
        );
        let (_, out, _) = ca.command(&["status"]);
        assert!(out.contains("READ-ONLY"), "{out}");
    });
}

#[test]
fn a_certificate_that_would_outlive_its_issuer_is_cut_and_the_operator_is_told_to_renew() {
    // F-99
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let web = Responder::start((HOST, 80));
        let mut ca = TestCa::builder()
            .set("profile.default.life", "\"3000d\"")
            .start();
        let ends = end_of(&ca.dir().join("issuing.pem"));
        let year: i32 = ends[..4].parse().unwrap();
        let later = format!("{}-01-15T00:00:00Z", year + 1);
        block_on(async {
            let client = ca.subscriber().await;
            let got = client.obtain(&["a.test"], &web).await;
            let file = ca.dir().join("leaf.pem");
            std::fs::write(&file, &got.chain).unwrap();
            assert_eq!(end_of(&file), ends, "not cut to the issuer's end");
            let order = json!({
                "identifiers": [{ "type": "dns", "value": "a.test" }], "notAfter": later,
            });
            let refused = client.post(&client.url("newOrder"), &order).await;
            let says = [later.as_str(), "the issuer's own end", &ends];
            assert_says("F-99", &refused.json(), "malformed", 400, &says);
        });
        let line = ca.process().wait_line(PATIENCE, |line| {
            line.contains("end with the issuing certificate")
        });
        let line = line.expect("a warning");
        assert!(line.contains("default") && line.contains(&ends), "{line}");
        let (_, out, _) = ca.command(&["status"]);
        assert!(
            out.contains("certificates of default are cut to its end: renew it"),
            "{out}"
        );
    });
}

/// When the first certificate of a file ends, as the CA writes times.
fn end_of(file: &Path) -> String {
    let mut openssl = peers::system("openssl");
    openssl.args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"]);
    let output = openssl.arg(file).output().expect("openssl");
    let said = String::from_utf8(output.stdout).unwrap();
    let end = said.trim().strip_prefix("notAfter=");
    end.unwrap_or_else(|| panic!("{said}")).replace(' ', "T")
}

#[test]
fn a_broken_resolver_is_told_as_the_cas_own_fault_and_its_operator_sees_it() {
    // F-100
    TestCa::namespace().run(test_path!(), || {
        let web = Responder::start((HOST, 80));
        // It takes every question and answers none.
        let _udp = UdpSocket::bind(SocketAddr::from(RESOLVER)).unwrap();
        let _tcp = TcpListener::bind(SocketAddr::from(RESOLVER)).unwrap();
        let mut ca = TestCa::builder().set("dns.timeout", "\"300ms\"").start();
        let error: Value = block_on(async {
            let client = ca.subscriber().await;
            let placed = client.new_order(&["a.test"]).await.expect(201).json();
            let authorization = placed["authorizations"][0].as_str().unwrap();
            client.answer(authorization, &web).await.unwrap().expect(200);
            let ended = client.poll(authorization, &["pending"]).await;
            ended["challenges"][0]["error"].clone()
        });
        let says = [
            "records of a.test failed: no answer in time.",
            "The resolver of this CA (127.0.0.1:53) answers no question at present, not even one for the root: the fault \
             is on the CA's side",
            "Nothing has to change at a.test",
        ];
        assert_says("F-100", &error, "dns", 400, &says);
        let line = ca
            .process()
            .wait_line(PATIENCE, |line| line.contains("the resolver answers no question at all"));
        assert!(line.expect("an error").contains("127.0.0.1:53"));
        let (_, out, _) = ca.command(&["status"]);
        let said = out.lines().find(|line| line.starts_with("Resolver")).unwrap_or_default();
        assert!(said.contains("127.0.0.1:53") && said.contains("NOTHING IS ANSWERED"), "{out}");
        let seen = wait_for(PATIENCE, || {
            let (_, out, _) = ca.command(&["status", "--json"]);
            let status: Value = serde_json::from_str(&out).ok()?;
            (status["resolver"]["broken"] == true).then_some(status)
        });
        assert_eq!(seen.expect("broken")["resolver"]["answered"], 0);
    });
}
