//! Every call of the management interface, good and bad: the same answers of both.

use serde_json::{Value, json};

use cairn_testkit::test_path;

use super::stage::{Place, Shown, Subject, at, lego, openssl, stage, try_lego};

/// Certificates name it; nobody asks it.
const RESPONDER: &str = "http://127.0.0.1:4002";

/// What has to be the same of an answer: status, media type, alternates, where to, and the body's shape.
fn essence(shown: &Shown, head_only: bool) -> Value {
    let body = match serde_json::from_str(&shown.body) {
        Ok(json) => shape(json),
        Err(_) if shown.body.starts_with("-----BEGIN") => {
            json!(shown.body.lines().next())
        }
        Err(_) => json!(shown.body.trim_end()),
    };
    json!({
        "status": shown.status,
        "media": shown.all("content-type"),
        "links": shown.all("link"),
        "location": shown.all("location"),
        "body": if head_only { Value::Null } else { body },
    })
}

/// The types in place of the values; what is one of few texts stays.
fn shape(json: Value) -> Value {
    match json {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| match name.as_str() {
                "Status" | "Reason" => (name, value),
                "RevokedAt" => (name, json!(dated(value.as_str().unwrap()))),
                _ => (name, shape(value)),
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(shape).collect()),
        Value::String(_) => json!("a text"),
        Value::Number(_) => json!("a number"),
        other => other,
    }
}

/// How a date is written, without fractions of a second: those that are zero are left out.
fn dated(text: &str) -> String {
    let whole = match text.split_once('.') {
        Some((whole, rest)) => {
            whole.to_owned() + rest.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        None => text.to_owned(),
    };
    let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
    whole.chars().map(digit).collect()
}

/// Each call with its answer's essence.
fn calls(place: &Place) -> Vec<(String, Value)> {
    let chain = lego(place, "a.example.test", &[]);
    let responder = openssl(&["x509", "-noout", "-ocsp_uri"], &chain);
    assert_eq!(responder.trim(), RESPONDER);
    let serial = openssl(&["x509", "-noout", "-serial"], &chain);
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    let status = format!("cert-status-by-serial/{serial}");
    let lower = format!("cert-status-by-serial/000{}", serial.to_lowercase());
    let shown: Value = serde_json::from_str(&at(&status, &[]).body).unwrap();
    let told = shown["Serial"].as_str().unwrap();
    assert_eq!(told, serial.to_lowercase().trim_start_matches('0'));
    let leaf = std::fs::read_to_string(&chain).unwrap();
    assert!(leaf.starts_with(shown["Certificate"].as_str().unwrap()));
    let mut all = Vec::new();
    let mut call = |label: &str, path: &str, words: &[&str]| {
        let is_head = words.contains(&"--head");
        let path_shown = path
            .replace(serial, "SERIAL")
            .replace(&serial.to_lowercase(), "serial");
        let essence = essence(&at(path, words), is_head);
        all.push((format!("{label} /{path_shown}"), essence));
    };
    for kind in ["roots", "root-keys", "intermediates", "intermediate-keys"] {
        for number in ["/0", "/1", "/2", "/3", "/x", "/-1", "/", "", "/0/", "/00"] {
            call("GET", &format!("{kind}{number}"), &[]);
        }
        let first = format!("{kind}/0");
        call("HEAD", &first, &["--head"]);
        call("POST", &first, &["--data", "x"]);
        call("PUT", &first, &["--request", "PUT"]);
    }
    for path in [
        "cert-status-by-serial",
        "cert-status-by-serial/",
        "cert-status-by-serial/zz",
        "cert-status-by-serial/0xff",
        "cert-status-by-serial/ff",
        "cert-status-by-serial/-ff",
        "cert-status-by-serial/ff/",
        &status,
        &lower,
        "",
        "nothing",
        "dir",
    ] {
        call("GET", path, &[]);
    }
    call("POST", &status, &["--data", "x"]);
    let home = "lego-";
    let revoked = try_lego(
        place,
        home,
        "a.example.test",
        &[],
        &["revoke", "--reason", "4"],
    );
    assert!(revoked, "lego revokes");
    call("revoked: GET", &status, &[]);
    all
}

#[test]
fn every_call_is_answered_as_debians_pebble_answers() {
    stage().run(test_path!(), || {
        let answers = [Subject::Debian, Subject::Cairn].map(|subject| {
            let mut place = subject.place();
            place.set("ocspResponderURL", json!(RESPONDER));
            let _server = place.start(&[("PEBBLE_ALTERNATE_ROOTS", "2")]);
            calls(&place)
        });
        let [debian, cairn] = answers;
        assert_eq!(debian.len(), cairn.len());
        let other = |(theirs, ours): (&(String, Value), &(String, Value))| {
            (theirs != ours).then(|| format!("{theirs:?}\n{ours:?}"))
        };
        let others: Vec<String> = debian.iter().zip(&cairn).filter_map(other).collect();
        assert!(others.is_empty(), "{}", others.join("\n\n"));
    });
}
