//! The management interface of `cairn ca dev`: rubbish, the clock, its DNS, and what the CA publishes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cairn_testkit::acme::{Client, Obtained, encode};
use cairn_testkit::dev::DevCa;
use cairn_testkit::process::Signal;
use cairn_testkit::{block_on, netns, peers, places, test_path, wait_for};
use serde_json::{Value, json};

use crate::renewal::named;

/// A CRL follows soon; a loaded machine gets some more.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn rubbish_is_refused_with_a_reason() {
    netns::inside(test_path!(), || {
        let ca = DevCa::start(&[]);
        let large = format!("{{\"fault\": \"{}\"}}", "x".repeat(70_000));
        let table = [
            ("POST", "/faults", "", 400),
            ("POST", "/faults", "[]", 400),
            ("POST", "/faults", "\u{1}\u{2}", 400),
            ("POST", "/faults", r#"{"fault": "bad-nonse"}"#, 400),
            (
                "POST",
                "/faults",
                r#"{"fault": "finalize:503 sometimes"}"#,
                400,
            ),
            ("POST", "/faults", r#"{"fault": 503}"#, 400),
            ("POST", "/faults", &large, 413),
            ("PUT", "/faults", "", 405),
            ("DELETE", "/faults/77", "", 404),
            ("DELETE", "/faults/x", "", 404),
            ("POST", "/clock", "", 400),
            ("POST", "/clock", r#"{"advance": "-1d"}"#, 400),
            ("POST", "/clock", r#"{"advance": 30}"#, 400),
            ("POST", "/clock", r#"{"advance": "1d", "to": "x"}"#, 400),
            ("DELETE", "/clock", "", 405),
            ("GET", "/transcript?since=x", "", 400),
            ("GET", "/transcript?form=yaml", "", 400),
            ("POST", "/transcript", "", 405),
            ("GET", "/report?form=yaml", "", 400),
            ("POST", "/report", "", 405),
            ("POST", "/findings", "", 405),
            ("POST", "/root.pem", "", 405),
            ("POST", "/", "", 405),
            ("GET", "/nothing", "", 404),
            ("POST", "/nothing", "", 404),
            ("POST", "/set-default-ipv4", "", 400),
            ("POST", "/set-default-ipv6", "[", 400),
            ("POST", "/set-txt", "{}", 400),
            ("POST", "/clear-txt", "7", 400),
            ("POST", "/add-a", r#"{"host": 7}"#, 400),
            ("POST", "/clear-a", "x", 400),
            ("POST", "/add-aaaa", "{}", 400),
            ("POST", "/clear-aaaa", "", 400),
            ("POST", "/add-caa", r#"{"host": "a.test"}"#, 400),
            ("POST", "/clear-caa", "", 400),
            ("POST", "/set-cname", r#"{"host": "a.test"}"#, 400),
            ("POST", "/clear-cname", "", 400),
            ("POST", "/set-servfail", "{", 400),
            ("POST", "/clear-servfail", "", 400),
            ("POST", "/dns-request-history", "", 400),
            ("POST", "/clear-request-history", "", 400),
        ];
        // Every call that there is has a row.
        let calls = ca.call("GET", "/", "").body;
        let named = calls.split(|c: char| c.is_whitespace() || c == ',');
        let named = named.filter(|word| word.starts_with('/') && !word.contains(['…', 'I']));
        for call in named.filter(|call| *call != "/health/ready") {
            assert!(table.iter().any(|row| row.1 == call), "{call} has no row");
        }
        let mut wrong = Vec::new();
        for (method, path, body, status) in table {
            let told = ca.call(method, path, body);
            if told.status != status || told.body.trim().is_empty() {
                let shown: String = body.chars().take(60).collect();
                wrong.push(format!("{method} {path} {shown}: {told:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(ca.call("GET", "/faults", "").json(), json!([]));
        assert_eq!(ca.call("GET", "/clock", "").json()["ahead_seconds"], 0);
        assert_eq!(ca.stop(Signal::TERM).0, Some(0));
    });
}

#[test]
fn faults_are_put_in_force_listed_and_taken_out() {
    netns::inside(test_path!(), || {
        let ca = DevCa::start(&[]);
        let once = ca.fault("newOrder:503 once");
        let second = ca.fault("newAuthz:404");
        block_on(async {
            let mut client = ca.client().await;
            client.new_account().await.expect(201);
            client.new_order(&["a.fault.test"]).await.expect(503);
            client.new_order(&["a.fault.test"]).await.expect(201);
        });
        let list = ca.call("GET", "/faults", "").json();
        assert_eq!(list[0]["id"], once, "{list}");
        assert_eq!(
            (&list[0]["met"], &list[0]["struck"]),
            (&json!(2), &json!(1))
        );
        let gone = ca.call("DELETE", &format!("/faults/{once}"), "");
        assert_eq!(gone.status, 200);
        let list = ca.call("GET", "/faults", "").json();
        assert_eq!((&list[0]["id"], list[1].is_null()), (&json!(second), true));
        assert_eq!(ca.call("DELETE", "/faults", "").status, 200);
        assert_eq!(ca.call("GET", "/faults", "").json(), json!([]));
    });
}

/// What openssl says of a PEM on its standard input.
fn openssl(words: &[&str], file: &Path) -> String {
    let mut command = peers::system("openssl");
    let output = peers::run(command.args(words).arg("-in").arg(file));
    assert!(output.status.success(), "openssl {words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The chain in a file.
fn kept(folder: &Path, got: &Obtained) -> std::path::PathBuf {
    let name = got.certificate.rsplit('/').next().unwrap();
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, &got.chain).unwrap();
    file
}

/// The CRL that a certificate names, fetched into a file.
fn crl(folder: &Path, certificate: &Path) -> std::path::PathBuf {
    let shown = openssl(
        &["x509", "-noout", "-ext", "crlDistributionPoints"],
        certificate,
    );
    let (_, url) = shown.split_once("URI:").unwrap();
    let file = folder.join("list.crl");
    let mut curl = peers::system("curl");
    curl.args(["--silent", "--show-error", "--fail", "--output"])
        .arg(&file);
    assert!(peers::run(curl.arg(url.trim())).status.success());
    file
}

fn crl_number(folder: &Path, certificate: &Path) -> u64 {
    let file = crl(folder, certificate);
    let said = openssl(&["crl", "-inform", "DER", "-noout", "-crlnumber"], &file);
    let number = said.trim().rsplit_once('=').unwrap().1;
    u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap()
}

/// When a certificate begins, in the form of `/clock`.
fn begins(certificate: &Path) -> String {
    let words = ["x509", "-noout", "-startdate", "-dateopt", "iso_8601"];
    let said = openssl(&words, certificate);
    said.trim().rsplit_once('=').unwrap().1.replace(' ', "T")
}

async fn window_begins(client: &Client, got: &Obtained) -> String {
    let url = format!("{}/{}", client.url("renewalInfo"), named(&got.chain));
    let window = client.plain("GET", &url).await.expect(200).json();
    window["suggestedWindow"]["start"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_clock_moves_expiry_renewal_lists_and_new_certificates() {
    netns::inside(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let ca = DevCa::start(&[]);
        let web = ca.responder();
        let now = || {
            ca.call("GET", "/clock", "").json()["now"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        block_on(async {
            let mut client = ca.client().await;
            client.new_account().await.expect(201);
            let got = client.obtain(&["a.clock.test"], &web).await;
            let before = kept(folder.path(), &got);
            let open = client
                .new_order(&["b.clock.test"])
                .await
                .expect(201)
                .location();
            let (start, number) = (now(), crl_number(folder.path(), &before));
            assert!(window_begins(&client, &got).await > start);
            assert!(begins(&before) <= start, "{}", begins(&before));

            let told = ca.call("POST", "/clock", r#"{"advance": "91d"}"#);
            assert_eq!(
                (told.status, told.json()["ahead_seconds"].as_u64()),
                (200, Some(91 * 86_400))
            );

            assert_eq!(
                client.fetch(&open).await.expect(200).json()["status"],
                "invalid"
            );
            assert!(
                window_begins(&client, &got).await < now(),
                "its window is over"
            );
            let next = client.obtain(&["a.clock.test"], &web).await;
            let next = kept(folder.path(), &next);
            // Certificates begin a little before they are made.
            let day = |text: &str| text.split_once('T').unwrap().0.to_owned();
            assert!(begins(&next) > day(&start), "{}", begins(&next));
            assert!(
                begins(&next) > begins(&before)
                    && day(&begins(&next)) >= day(&window_begins(&client, &got).await)
            );
            let newer = wait_for(PATIENCE, || {
                (crl_number(folder.path(), &next) > number).then_some(())
            });
            assert!(newer.is_some(), "no newer list than {number}");
        });
        assert_eq!(ca.stop(Signal::TERM).0, Some(0));
    });
}

#[test]
fn caa_is_what_its_own_dns_says() {
    netns::inside(test_path!(), || {
        let ca = DevCa::start(&[]);
        let web = ca.responder();
        let name = "a.caa.test";
        let record =
            json!({ "host": name, "policies": [{ "tag": "issue", "value": "other.test" }] });
        assert_eq!(ca.call("POST", "/add-caa", &record.to_string()).status, 200);
        block_on(async {
            let mut client = ca.client().await;
            client.new_account().await.expect(201);
            let order = client.new_order(&[name]).await.expect(201);
            let authorization = order.json()["authorizations"][0]
                .as_str()
                .unwrap()
                .to_owned();
            client.answer(&authorization, &web).await;
            let ended = client.poll(&authorization, &["pending"]).await;
            assert_eq!(ended["status"], "invalid", "{ended}");
            let kind = ended["challenges"]
                .as_array()
                .unwrap()
                .iter()
                .find_map(|challenge| challenge["error"]["type"].as_str());
            assert_eq!(kind, Some("urn:ietf:params:acme:error:caa"), "{ended}");
            let host = json!({ "host": name }).to_string();
            assert_eq!(ca.call("POST", "/clear-caa", &host).status, 200);
            client.obtain(&[name], &web).await;
        });
    });
}

#[test]
fn what_is_revoked_is_on_the_list_that_it_names_and_commands_read_its_directory() {
    netns::inside(test_path!(), || {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("ca");
        let ca = DevCa::start(&["--dir", dir.to_str().unwrap()]);
        let web = ca.responder();
        let good = |file: &Path| {
            let list = crl(folder.path(), file);
            let list = list.to_str().unwrap();
            let mut pem = peers::system("openssl");
            let lists = folder.path().join("list.pem");
            pem.args(["crl", "-inform", "DER", "-in", list, "-out"])
                .arg(&lists);
            assert!(peers::run(&mut pem).status.success());
            let mut verify = peers::system("openssl");
            verify
                .args(["verify", "-crl_check", "-CAfile"])
                .arg(ca.root_path());
            verify
                .arg("-CRLfile")
                .arg(&lists)
                .arg("-untrusted")
                .arg(file)
                .arg(file);
            let output = peers::run(&mut verify);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let revoked = said.contains("certificate revoked");
            assert!(output.status.success() || revoked, "{said}");
            !revoked
        };
        let got = block_on(async {
            let mut client = ca.client().await;
            client.new_account().await.expect(201);
            let got = client.obtain(&["a.revoked.test"], &web).await;
            let file = kept(folder.path(), &got);
            assert!(good(&file));
            let payload = json!({ "certificate": encode(&got.leaf()), "reason": 4 });
            client
                .post(&client.url("revokeCert"), &payload)
                .await
                .expect(200);
            let listed = wait_for(PATIENCE, || (!good(&file)).then_some(()));
            assert!(listed.is_some(), "it is never on the list");
            got
        });
        let mut list = Command::new(places::cairn());
        list.args(["ca", "list", "--json", "--dir"]).arg(&dir);
        let output = peers::run(&mut list);
        assert!(output.status.success());
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let serial = got.certificate.rsplit('/').next().unwrap();
        assert!(shown.to_string().contains(serial), "{serial} in {shown}");
        assert_eq!(ca.stop(Signal::TERM).0, Some(0));
        assert!(dir.join("root.pem").exists(), "what was asked for stays");
    });
}
