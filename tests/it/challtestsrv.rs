//! Cairn called `pebble-challtestsrv` beside Debian's program of that name: the same calls, the same answers over HTTP,
//! DNS and TLS. What 2.4 has not is held against its documents.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use cairn_testkit::{
    netns::Namespace,
    peers, places,
    process::{Process, Signal},
    test_path, wait_for,
};
use serde_json::Value;
use tempfile::TempDir;

const NAME: &str = "pebble-challtestsrv";

const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the body of each answer in curl's output.
const CUT: &str = "\n--cut--";

/// A program that takes `pebble-challtestsrv`'s flags, its ports moved by so much.
struct Server {
    process: Process,
    ports: u16,
}

/// Cairn by the other name, in a folder of its own.
fn cairn() -> (TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(NAME);
    std::os::unix::fs::symlink(places::cairn(), &link).unwrap();
    let command = Command::new(link);
    (folder, command)
}

impl Server {
    fn start(mut command: Command, ports: u16, flags: &[&str]) -> Self {
        for (flag, port) in [
            ("-http01", 5002),
            ("-https01", 5003),
            ("-dns01", 8053),
            ("--tlsalpn01", 5001),
        ] {
            command.arg(format!("{flag}=:{}", port + ports));
        }
        command.arg("-management").arg(format!(":{}", 8055 + ports));
        let process = Process::start(NAME, command.args(flags));
        let server = Self { process, ports };
        // Debian's says that it starts before it has.
        for port in [5001, 5002, 5003, 8053, 8055] {
            let address = (Ipv4Addr::LOCALHOST, port + ports);
            let up = || TcpStream::connect(address).ok();
            wait_for(PATIENCE, up).expect("it listens");
        }
        server
    }

    /// Both programs, Debian's first.
    fn both(folder_and_cairn: Command) -> [Self; 2] {
        [
            Self::start(peers::system(NAME), 0, &[]),
            Self::start(folder_and_cairn, 10_000, &[]),
        ]
    }

    /// Makes requests with one curl: status, content type and body of each. An empty body with the method alone is a GET.
    fn manage(&self, requests: &[(String, Option<String>)]) -> Vec<(String, String)> {
        let mut config = String::new();
        for (path, body) in requests {
            let url = format!("http://127.0.0.1:{}/{path}", 8055 + self.ports);
            config.push_str(&format!("url = \"{url}\"\nsilent\n"));
            if let Some(body) = body {
                let body = body.replace('\\', "\\\\").replace('"', "\\\"");
                config.push_str(&format!("data-raw = \"{body}\"\n"));
            }
            let cut = CUT.replace('\n', "\\n");
            let out = format!("write-out = \"{cut}%{{http_code}} %{{content_type}}\\n\"\nnext\n");
            config.push_str(&out);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config.strip_suffix("next\n").unwrap()).unwrap();
        let output = peers::system("curl")
            .arg("--config")
            .arg(file.path())
            .output();
        let output = String::from_utf8(output.unwrap().stdout).unwrap();
        let mut rest = output.as_str();
        let mut answers = Vec::new();
        while let Some((body, after)) = rest.split_once(CUT) {
            let (head, next) = after.split_once('\n').unwrap();
            answers.push((head.to_owned(), body.to_owned()));
            rest = next;
        }
        assert_eq!(answers.len(), requests.len(), "{output}");
        answers
    }

    fn call(&self, path: &str, body: &str) -> (String, String) {
        let request = (path.to_owned(), Some(body.to_owned()));
        self.manage(&[request]).remove(0)
    }

    /// What c-ares makes of its answers.
    fn resolve(&self, questions: &[&str]) -> Vec<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/resolve.js");
        let address = format!("127.0.0.1:{}", 8053 + self.ports);
        let mut node = peers::system("node");
        let output = peers::run(node.arg(script).arg(address).args(questions));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// A page: what curl says of it, its own ports taken out. `scheme` names the server.
    fn page(&self, scheme: &str, host: &str, path: &str, more: &[&str]) -> String {
        let port = self.ports + if scheme == "http" { 5002 } else { 5003 };
        let mut curl = peers::system("curl");
        let say = "\n%{http_code} %{content_type} %{redirect_url}";
        curl.args(["--silent", "--insecure", "--http1.1", "--write-out", say])
            .args(["--connect-to", &format!("::[::1]:{port}")])
            .args(more)
            .arg(format!("{scheme}://{host}{path}"));
        let output = curl.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What openssl reads in the certificate of a handshake; empty if it was refused.
    fn handshake(&self, options: &[&str]) -> String {
        let mut client = peers::system("openssl");
        let address = format!("127.0.0.1:{}", 5001 + self.ports);
        client
            .args(["s_client", "-connect", &address])
            .args(options);
        let shown = client.output().unwrap();
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        if !text.contains("BEGIN CERTIFICATE") {
            assert!(String::from_utf8_lossy(&shown.stderr).contains("alert"));
            return String::new();
        }
        let pem = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pem.path(), text).unwrap();
        let mut reader = peers::system("openssl");
        let read = peers::run(
            reader
                .args(["x509", "-noout", "-text", "-in"])
                .arg(pem.path()),
        );
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let extension = |name: &str| {
            let at = lines.iter().position(|line| line.starts_with(name));
            lines[at.expect(name)..][..2].join(" ")
        };
        let names = extension("X509v3 Subject Alternative Name:");
        let names = names.split_once(": ").unwrap().1.replace("critical ", "");
        format!("{} {names}", extension("1.3.6.1.5.5.7.1.31"))
    }
}

/// A good body for each call.
const GOOD: [(&str, &str); 24] = [
    ("set-default-ipv4", r#"{"ip":"192.0.2.4"}"#),
    ("set-default-ipv6", r#"{"IP":"2001:db8::6"}"#),
    ("set-txt", r#"{"host":"txt.test.","value":"a value"}"#),
    ("clear-txt", r#"{"host":"no.test"}"#),
    (
        "add-a",
        r#"{"host":"a.test","addresses":["192.0.2.1","192.0.2.2"]}"#,
    ),
    ("clear-a", r#"{"host":"no.test"}"#),
    (
        "add-aaaa",
        r#"{"host":"a.test","addresses":["2001:db8::1"]}"#,
    ),
    ("clear-aaaa", r#"{"host":"no.test"}"#),
    (
        "add-caa",
        r#"{"host":"a.test","policies":[{"tag":"issue","value":"ca.test"},{"Tag":"iodef","Value":"mailto:x"}]}"#,
    ),
    ("clear-caa", r#"{"host":"no.test"}"#),
    ("set-cname", r#"{"host":"alias.test","target":"a.test"}"#),
    ("clear-cname", r#"{"host":"no.test"}"#),
    ("set-servfail", r#"{"host":"broken.test"}"#),
    ("clear-servfail", r#"{"host":"no.test"}"#),
    ("add-http01", r#"{"token":"tok-1","content":"tok-1.thumb"}"#),
    ("del-http01", r#"{"token":"no"}"#),
    (
        "add-redirect",
        r#"{"path":"/away","targetURL":"https://other.test/x?a=1&b=<>"}"#,
    ),
    ("del-redirect", r#"{"path":"/no"}"#),
    (
        "add-tlsalpn01",
        r#"{"host":"alpn.test","content":"tok-2.thumb"}"#,
    ),
    ("del-tlsalpn01", r#"{"host":"no.test"}"#),
    (
        "clear-request-history",
        r#"{"host":"no.test","type":"dns"}"#,
    ),
    ("http-request-history", r#"{"host":"no.test"}"#),
    ("dns-request-history", r#"{"host":"no.test"}"#),
    ("tlsalpn01-request-history", r#"{"host":"no.test"}"#),
];

#[test]
fn every_management_call_answers_as_debians_does() {
    Namespace::new().run(test_path!(), || {
        let (_folder, command) = cairn();
        let both = Server::both(command);
        let mut requests = Vec::new();
        // Which of them are told in the reader's own words.
        let mut own_words = Vec::new();
        let mut add = |path: &str, body: Option<&str>, own: bool| {
            requests.push((path.to_owned(), body.map(ToOwned::to_owned)));
            own_words.push(own);
        };
        for (path, good) in GOOD {
            add(path, Some(good), false);
            add(path, None, false);
            add(path, Some(""), false);
            add(path, Some("{}"), false);
            add(path, Some("null"), false);
            add(path, Some(r#"{"unknown":[1,{}]}"#), false);
            for rubbish in ["not json", "[]", "\"x\"", "{\"", "{} {}"] {
                add(path, Some(rubbish), true);
            }
            let members: Value = serde_json::from_str(good).unwrap();
            for member in members.as_object().unwrap().keys() {
                let without = |value: Option<Value>| {
                    let mut changed = members.clone();
                    let all = changed.as_object_mut().unwrap();
                    all.remove(member);
                    all.extend(value.map(|value| (member.clone(), value)));
                    changed.to_string()
                };
                add(path, Some(&without(None)), false);
                add(
                    path,
                    Some(&without(Some("".into()))),
                    members[member].is_array(),
                );
                add(path, Some(&without(Some(Value::Null))), false);
                add(path, Some(&without(Some(5.into()))), true);
                add(path, Some(&without(Some(true.into()))), true);
                add(path, Some(&without(Some(serde_json::json!({})))), true);
                add(
                    path,
                    Some(&without(Some(serde_json::json!([])))),
                    !members[member].is_array(),
                );
                add(
                    path,
                    Some(&without(Some(serde_json::json!([null])))),
                    !members[member].is_array(),
                );
                add(path, Some(&without(Some(serde_json::json!([5])))), true);
            }
        }
        add(
            "clear-request-history",
            Some(r#"{"host":"a","type":"smtp"}"#),
            false,
        );
        add(
            "add-caa",
            Some(r#"{"host":"a","policies":[{"tag":5}]}"#),
            true,
        );
        add("", Some("{}"), false);
        add("nothing", None, false);
        add("set-txt/", Some("{}"), false);
        add("%73et-txt?x=1", Some("{}"), false);

        let answers = both.each_ref().map(|server| server.manage(&requests));
        let mut wrong = Vec::new();
        for (at, request) in requests.iter().enumerate() {
            let [theirs, ours] = [&answers[0][at], &answers[1][at]];
            // 2.4 writes "Expected", its successors "expected".
            let same = match own_words[at] {
                true => theirs.1.is_empty() == ours.1.is_empty(),
                false => theirs.1.eq_ignore_ascii_case(&ours.1),
            };
            if theirs.0 != ours.0 || !same {
                wrong.push(format!("{request:?}: {theirs:?}, {ours:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        let refused = answers[1]
            .iter()
            .filter(|(head, _)| head.starts_with("400"));
        assert!(refused.count() > 200, "the rubbish is refused");

        // What they did is logged alike, but for the words on TXT, which are 2.10's.
        let said = both.each_ref().map(|server| {
            let all = server.process.lines().into_iter();
            let told = all.filter(|line| {
                line.starts_with(NAME) && !line.contains("TXT") && !line.contains(" server on ")
            });
            // Behind the prefix a date of 20 columns.
            let told = told.map(|line| line[NAME.len() + 23..].to_owned());
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        });
        assert_eq!(said[0], said[1]);
    });
}

/// Questions whose answers depend on what was set.
const QUESTIONS: [&str; 17] = [
    "a.test/A",
    "a.test/AAAA",
    "A.TEST/A",
    "a.test/CAA",
    "a.test/TXT",
    "txt.test/TXT",
    "txt.test/CAA",
    "other.test/A",
    "other.test/AAAA",
    "alias.test/A",
    "alias.test/AAAA",
    "alias.test/CNAME",
    "a.test/CNAME",
    "broken.test/A",
    "broken.test/TXT",
    "a.test/MX",
    "a.test/NS",
];

/// What undoes [`GOOD`].
const UNDO: [(&str, &str); 12] = [
    ("set-default-ipv4", r#"{"ip":""}"#),
    ("set-default-ipv6", r#"{"ip":""}"#),
    ("clear-txt", r#"{"host":"txt.test."}"#),
    ("clear-a", r#"{"host":"a.test"}"#),
    ("clear-aaaa", r#"{"host":"a.test"}"#),
    ("clear-caa", r#"{"host":"a.test"}"#),
    ("clear-cname", r#"{"host":"alias.test"}"#),
    ("clear-servfail", r#"{"host":"broken.test"}"#),
    ("del-http01", r#"{"token":"tok-1"}"#),
    ("del-redirect", r#"{"path":"/away"}"#),
    ("del-tlsalpn01", r#"{"host":"alpn.test"}"#),
    (
        "clear-request-history",
        r#"{"host":"page.test","type":"http"}"#,
    ),
];

/// Everything that can be seen from outside.
fn seen(server: &Server) -> Vec<String> {
    // c-ares' case is not ours to compare: Debian's takes names as they come.
    let lower: Vec<_> = QUESTIONS
        .iter()
        .filter(|q| !q.contains("TEST"))
        .copied()
        .collect();
    let mut seen = server.resolve(&lower);
    for scheme in ["http", "https"] {
        for path in [
            "/",
            "/away",
            "/away?x",
            "/.well-known/acme-challenge/tok-1",
            "/.well-known/acme-challenge/no",
        ] {
            seen.push(server.page(scheme, "page.test", path, &[]));
        }
        seen.push(server.page(
            scheme,
            "page.test",
            "/away",
            &["--head", "--output", "/dev/null"],
        ));
        seen.push(server.page(scheme, "page.test", "/away", &["--data", "x"]));
    }
    for options in [
        &["-alpn", "acme-tls/1", "-servername", "alpn.test"][..],
        &["-alpn", "acme-tls/1,http/1.1", "-servername", "alpn.test"],
        &["-alpn", "acme-tls/1", "-servername", "unknown.test"],
        &["-servername", "alpn.test"],
        &["-alpn", "acme-tls/1", "-noservername"],
    ] {
        seen.push(server.handshake(options));
    }
    for (kind, hosts) in [
        ("http", ["page.test", "other.test"]),
        ("dns", ["a.test", "txt.test"]),
        ("tlsalpn01", ["alpn.test", "unknown.test"]),
    ] {
        for host in hosts {
            let body = serde_json::json!({ "host": host }).to_string();
            let (head, list) = server.call(&format!("{kind}-request-history"), &body);
            let mut list: Value = serde_json::from_str(&list).unwrap();
            for event in list.as_array_mut().unwrap() {
                // What 2.10 added.
                event.as_object_mut().unwrap().remove("UserAgent");
            }
            seen.push(format!("{kind} {host} {head} {list}"));
        }
    }
    seen
}

#[test]
fn what_is_set_is_served_as_debians_serves_it_until_it_is_taken_back() {
    Namespace::new().run(test_path!(), || {
        let (_folder, command) = cairn();
        let mut both = Server::both(command);
        let mut states = Vec::new();
        for calls in [&GOOD[..], &UNDO[..]] {
            let requests: Vec<_> = calls
                .iter()
                .map(|(path, body)| ((*path).to_owned(), Some((*body).to_owned())))
                .collect();
            let after = both.each_ref().map(|server| {
                let answers = server.manage(&requests);
                assert!(answers.iter().all(|(head, _)| head.starts_with("200")));
                seen(server)
            });
            assert_eq!(after[0], after[1]);
            states.push(after);
        }
        let [set, undone] = [&states[0][1], &states[1][1]].map(|seen| seen.join("\n"));
        for shown in [
            "192.0.2.1",
            "2001:db8::6",
            "a value",
            "mailto:x",
            "ESERVFAIL",
            "ENOTIMP",
            "tok-1.thumb",
            "302 text/html; charset=utf-8 https://other.test/x?a=1&b=<>",
            "1.3.6.1.5.5.7.1.31: critical",
            "DNS:alpn.test",
            "\"Qtype\":16",
        ] {
            assert!(set.contains(shown), "{shown}: {set}");
        }
        for gone in ["192.0.2", "ESERVFAIL", "302 ", "DNS:alpn.test", "a value"] {
            assert!(!undone.contains(gone), "{gone}: {undone}");
        }

        // Cairn's own: a name is one in any case, and a long answer comes over TCP.
        let ours = &both[1];
        ours.call("add-a", r#"{"host":"Case.Test","addresses":["192.0.2.9"]}"#);
        let long = "x".repeat(700);
        for _ in 0..5 {
            let body = serde_json::json!({ "host": "long.test", "value": long });
            ours.call("set-txt", &body.to_string());
        }
        let answers = ours.resolve(&["cAsE.tEsT/A", "long.test/TXT"]);
        assert_eq!(answers[0], r#"["cAsE.tEsT/A",["192.0.2.9"]]"#);
        assert_eq!(answers[1].matches(&"x".repeat(255)).count(), 10);

        for (server, signal) in both.iter_mut().zip([Signal::TERM, Signal::INT]) {
            server.process.signal(signal);
            assert!(server.process.wait(PATIENCE).unwrap().success());
        }
        let lines = both[1].process.lines();
        assert!(lines.last().unwrap().ends_with(" Goodbye!"), "{lines:?}");
    });
}

#[test]
fn a_wrong_flag_ends_as_debians_does_and_a_port_in_use_in_one_line_that_names_it() {
    Namespace::new().run(test_path!(), || {
        let (folder, _) = cairn();
        let ours = |flags: &[&str]| {
            let mut command = Command::new(folder.path().join(NAME));
            // Nothing of Pebble's environment is its own.
            command.env("PEBBLE_VA_NOSLEEP", "rubbish");
            peers::run(command.args(flags))
        };
        for flags in [&["-nope"][..], &["-http01"], &["-h"]] {
            let theirs = peers::run(peers::system(NAME).args(flags));
            let ours = ours(flags);
            assert_eq!(ours.status.code(), theirs.status.code(), "{flags:?}");
            assert!(ours.stdout.is_empty());
            let [theirs, ours] = [theirs, ours].map(|o| String::from_utf8(o.stderr).unwrap());
            assert_eq!(ours.lines().next(), theirs.lines().next(), "{flags:?}");
            // All of its flags are ours, with their defaults.
            let defaults = theirs
                .lines()
                .filter_map(|line| line.split_once(" (default "));
            for (_, default) in defaults {
                assert!(ours.contains(&format!(" (default {default}")), "{default}");
            }
        }
        let _taken = TcpListener::bind("127.0.0.1:5002").unwrap();
        let _other = TcpListener::bind("127.0.0.1:8053").unwrap();
        let rows: [(&[&str], &str); 6] = [
            (&[], "-http01: \":5002\": Address already in use"),
            (
                &["-http01", "127.0.0.1:6000, xx"],
                "-http01: \"xx\": missing port in address",
            ),
            (
                &["-http01", "", "-dns01", "127.0.0.1:8053"],
                "-dns01: \"127.0.0.1:8053\": Address already in use",
            ),
            (
                &["-http01", "", "-dnsserver", "127.0.0.1:8053"],
                "-dnsserver: \"127.0.0.1:8053\": Address already in use",
            ),
            (
                &["-http01=", "-https01=", "-dns01=", "-tlsalpn01="],
                "nothing to serve",
            ),
            (
                &[
                    "-http01",
                    "",
                    "-dns01",
                    "",
                    "-doh-cert",
                    "/nothing",
                    "-doh-cert-key",
                    "/nothing",
                ],
                "-doh: \":8443\": /nothing is no PEM of certificates",
            ),
        ];
        let mut wrong = Vec::new();
        for (flags, reason) in rows {
            let output = ours(flags);
            let said = String::from_utf8(output.stderr).unwrap();
            if output.status.code() != Some(2)
                || said.lines().count() != 1
                || !said.contains(reason)
            {
                wrong.push(format!("{flags:?}: {} {said}", output.status));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn an_absent_server_has_no_calls_as_debians() {
    Namespace::new().run(test_path!(), || {
        let (folder, _) = cairn();
        let asked: Vec<_> = GOOD
            .iter()
            .map(|(path, _)| ((*path).to_owned(), None))
            .collect();
        let rows = [
            ["-http01=", "-https01=", "-dns01="],
            ["-http01=", "-https01=", "-tlsalpn01="],
            ["-dns01=", "-tlsalpn01=", "-https01="],
        ];
        for flags in rows {
            let both = [
                (peers::system(NAME), 0),
                (Command::new(folder.path().join(NAME)), 10_000),
            ];
            let heads = both.map(|(mut command, ports)| {
                let management = format!("127.0.0.1:{}", 8055 + ports);
                let left = |flag: &str, port: u16| format!("{flag}=127.0.0.1:{}", port + ports);
                command.arg(format!("-management={management}"));
                // The last of a flag counts.
                command.args([left("-http01", 5002), left("-https01", 5003)]);
                command.args([left("-dns01", 8053), left("-tlsalpn01", 5001)]);
                let process = Process::start(NAME, command.args(flags));
                wait_for(PATIENCE, || TcpStream::connect(&management).ok()).expect("it listens");
                let server = Server { process, ports };
                let answers = server.manage(&asked).into_iter();
                answers.map(|(head, _)| head).collect::<Vec<_>>()
            });
            assert_eq!(heads[0], heads[1], "{flags:?}");
            assert!(
                heads[1].iter().any(|head| head.starts_with("404")),
                "{flags:?}"
            );
        }
    });
}

#[test]
fn dns_over_https_answers_curl_and_both_forms_of_rfc_8484() {
    Namespace::new().run(test_path!(), || {
        let (folder, command) = cairn();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let certificate = file("doh.pem", made.cert.pem());
        let key = file("doh.key.pem", made.signing_key.serialize_pem());
        let flags = ["-doh-cert", &certificate, "-doh-cert-key", &key];
        let server = Server::start(command, 0, &flags);
        server.call("add-http01", r#"{"token":"t","content":"over https"}"#);
        server.call("add-a", r#"{"host":"doh.test","addresses":["127.0.0.1"]}"#);

        // Nothing but DoH knows the name.
        let curl = |more: &[&str]| {
            let mut curl = peers::system("curl");
            let output = peers::run(
                curl.args(["--silent", "--show-error", "--http1.1"])
                    .args(more),
            );
            (output.status.success(), output.stdout)
        };
        let page = curl(&[
            "--doh-url",
            "https://127.0.0.1:8443/dns-query",
            "--doh-insecure",
            "--user-agent",
            "a-resolver/1",
            "--ipv4",
            "http://doh.test:5002/.well-known/acme-challenge/t",
        ]);
        assert_eq!(page, (true, b"over https".to_vec()));
        let (_, history) = server.call("dns-request-history", r#"{"host":"doh.test"}"#);
        assert!(history.contains("\"Qtype\": 1"), "{history}");

        // RFC 8484 §4.1.1's example question, as GET and as POST.
        let question = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        let body = folder.path().join("question");
        let octets = data_encoding::BASE64URL_NOPAD
            .decode(question.as_bytes())
            .unwrap();
        std::fs::write(&body, octets).unwrap();
        let url = "https://localhost:8443/dns-query";
        let trust = ["--cacert", &certificate];
        let get = format!("{url}?dns={question}");
        let say = "%{http_code} %{content_type}";
        let answer = |path: &Path, more: &[&str]| {
            let out = ["--output", path.to_str().unwrap(), "--write-out", say];
            let said = curl(&[&trust[..], &out, more].concat()).1;
            (
                String::from_utf8(said).unwrap(),
                std::fs::read(path).unwrap_or_default(),
            )
        };
        let out = folder.path().join("answer");
        let by_get = answer(&out, &[&get]);
        let data = format!("@{}", body.display());
        let kind = "content-type: application/dns-message";
        let agent = ["--user-agent", "a-resolver/1"];
        let post = ["--header", kind, "--data-binary", &data, url];
        let by_post = answer(&out, &[&agent[..], &post].concat());
        assert_eq!(by_get.0, "200 application/dns-message");
        assert_eq!(by_get, by_post);
        // One question, one answer: 127.0.0.1.
        assert_eq!(by_get.1[4..8], [0, 1, 0, 1]);
        assert!(by_get.1.windows(6).any(|w| w == [0, 4, 127, 0, 0, 1]));
        let (_, history) = server.call("dns-request-history", r#"{"host":"www.example.com"}"#);
        assert!(
            history.contains("\"UserAgent\": \"a-resolver/1\""),
            "{history}"
        );

        for (more, status) in [
            (&["--request", "PUT", url][..], "405"),
            (&[url], "400"),
            (&["--data", "rubbish", url], "400"),
            (&[&format!("{url}?dns=*")], "400"),
        ] {
            let (said, _) = answer(&out, more);
            assert!(said.starts_with(status), "{more:?}: {said}");
        }
    });
}
