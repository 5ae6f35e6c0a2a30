//! How it starts, what it says, how it refuses to start, how it ends.

use std::{collections::BTreeSet, net::TcpListener, time::Duration};

use serde_json::{Value, json};

use cairn_testkit::process::Signal;
use cairn_testkit::{peers, test_path};

use super::stage::{Subject, stage};

/// A line without its date, its random digits, and what Cairn's names have more than Pebble's.
fn timeless(line: &str) -> String {
    let rest = line.strip_prefix("Pebble ").expect(line);
    let (date, text) = rest.split_at_checked(20).expect(line);
    assert_eq!(date.len(), "2026/11/29 10:00:00 ".len());
    let shape: String = date
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000/00/00 00:00:00 ");
    let word = |word: &str| {
        let is_random = word.len() >= 6 && word.bytes().all(|b| b.is_ascii_hexdigit());
        if is_random {
            "X".to_owned()
        } else {
            word.to_owned()
        }
    };
    let words: Vec<String> = text.split(' ').filter(|w| *w != "TEST").map(word).collect();
    words.join(" ")
}

#[test]
fn the_lines_that_scripts_wait_for_are_debians() {
    stage().run(test_path!(), || {
        let said = [Subject::Debian, Subject::Cairn].map(|subject| {
            let mut place = subject.place();
            place.set("ocspResponderURL", json!("http://127.0.0.1:4002"));
            let server = place.start(&[
                ("PEBBLE_ALTERNATE_ROOTS", "1"),
                ("PEBBLE_CHAIN_LENGTH", "2"),
                ("PEBBLE_WFE_NONCEREJECT", "17"),
                ("PEBBLE_AUTHZREUSE", "18"),
                ("PEBBLE_WFE_ORDERS_PER_PAGE", "19"),
            ]);
            // Go's HTTP server has a log of its own, in which it tells of whoever looked whether it listens.
            let own = server.lines().into_iter();
            let own = own.filter(|line| line.starts_with("Pebble "));
            let lines: Vec<String> = own.map(|line| timeless(&line)).collect();
            // Debian's makes the certificates above before the one that signs leaves, ours tells them by lineage; and Go
            // prints a chain's length of life that is the version's own.
            let (born, rest): (Vec<_>, Vec<_>) =
                lines.into_iter().partition(|l| l.starts_with("Generated"));
            (born.into_iter().collect::<BTreeSet<_>>(), rest)
        });
        let [debian, cairn] = said;
        assert_eq!(debian.0, cairn.0);
        assert_eq!(debian.1, cairn.1);
    });
}

#[test]
fn flags_are_refused_and_explained_as_debians() {
    stage().run(test_path!(), || {
        for words in [&["-nope"][..], &["-config"], &["-strict=x"], &["-h"]] {
            let said = [Subject::Debian, Subject::Cairn].map(|subject| {
                let place = subject.place();
                let output = peers::run(&mut place.command(words));
                let text = String::from_utf8(output.stderr).unwrap();
                let newer = "  -version\n    \tPrint the software version\n";
                (
                    output.status.code(),
                    text.replace(newer, "").replace("/usr/bin/", ""),
                )
            });
            assert_eq!(said[0], said[1], "{words:?}");
        }
        let place = Subject::Cairn.place();
        let version = peers::run(&mut place.command(&["-version"]));
        assert!(version.status.success());
        assert!(version.stdout.starts_with(b"Pebble version: "));
    });
}

#[test]
fn a_configuration_that_cannot_be_served_is_one_line_with_the_keys_path() {
    stage().run(test_path!(), || {
        let rows: [(&str, Value, &str); 9] = [
            (
                "listenAddress",
                json!(1),
                "pebble.listenAddress: a number, not a text",
            ),
            (
                "listenAddress",
                json!("x"),
                "pebble.listenAddress: \"x\": missing port in address",
            ),
            (
                "managementListenAddress",
                json!("127.0.0.1"),
                "pebble.managementListenAddress: ",
            ),
            (
                "httpPort",
                json!("5002"),
                "pebble.httpPort: a text, not a number",
            ),
            (
                "certificate",
                json!("no.pem"),
                "pebble.certificate: no.pem: No such file",
            ),
            (
                "certificate",
                json!("key.pem"),
                "pebble.certificate: key.pem: no certificate in it",
            ),
            (
                "privateKey",
                json!("cert.pem"),
                "pebble.privateKey: cert.pem: ",
            ),
            (
                "keyAlgorithm",
                json!("dsa"),
                "pebble.keyAlgorithm: \"dsa\" is neither",
            ),
            (
                "externalAccountMACKeys",
                json!({"k": "*"}),
                "pebble.externalAccountMACKeys.k: ",
            ),
        ];
        let mut wrong = Vec::new();
        let mut judge = |what: &str, place: &super::stage::Place, told: &str, chain: &str| {
            let mut command = place.command(&["-config", "pebble.json"]);
            let output = peers::run(command.env("PEBBLE_CHAIN_LENGTH", chain));
            let said = String::from_utf8(output.stderr).unwrap();
            let lines: Vec<&str> = said.lines().collect();
            let good =
                matches!(lines.as_slice(), [line] if line.starts_with(&format!("error: {told}")));
            if !good || output.status.code() != Some(2) {
                wrong.push(format!("{what}: {:?} {said}", output.status));
            }
        };
        for (key, value, told) in rows {
            let mut place = Subject::Cairn.place();
            place.set(key, value);
            judge(key, &place, told, "1");
        }
        let place = Subject::Cairn.place();
        judge("chain", &place, "PEBBLE_CHAIN_LENGTH: 0 is not from 1", "0");
        for (port, key) in [(14000, "listenAddress"), (15000, "managementListenAddress")] {
            let _taken = TcpListener::bind(("0.0.0.0", port)).unwrap();
            let told =
                format!("pebble.{key}: cannot listen on 0.0.0.0:{port}: Address already in use");
            judge("a port in use", &place, &told, "1");
        }
        std::fs::remove_file(place.path("pebble.json")).unwrap();
        judge("no file", &place, "-config pebble.json: No such file", "1");
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn an_unknown_key_is_a_warning_and_a_signal_leaves_nothing_behind() {
    stage().run(test_path!(), || {
        let mut place = Subject::Cairn.place();
        place.set("listenAdress", json!(":1"));
        place.set("domainBlocklist", json!(["*.blocked.example"]));
        place.set("ocspResponderURL", json!("https://o.test"));
        let mut server = place.start(&[]);
        let warned = server.lines();
        for told in [
            "pebble.listenAdress has no meaning here and is ignored; is pebble.listenAddress meant?",
            "pebble.domainBlocklist: \"*.blocked.example\" blocks nothing: ",
            "pebble.ocspResponderURL: \"https://o.test\" is left out: ",
        ] {
            let told = format!("warning: {told}");
            assert!(warned.iter().any(|line| line.starts_with(&told)), "{warned:#?}");
        }
        server.signal(Signal::TERM);
        let ended = server.wait(Duration::from_secs(60)).expect("an end");
        assert_eq!(ended.code(), Some(128 + 15));
        let left: Vec<_> = std::fs::read_dir(place.path("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    });
}
