//! The transcript over the wire: what it has, what it hides, what becomes of its file; and its reports.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use cairn_ca::dev::{Delivery, Format, Verdict};
use cairn_testkit::wait_for;
use serde_json::{Value, json};

use crate::site::Site;

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exchange_is_kept_and_written_without_what_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript");
    let site = Site::written("", Some(path.clone())).await;
    let mut client = site.stranger().await;
    let contact = json!({ "contact": ["mailto:somebody@private.example"] });
    client.new_account_with(contact).await.expect(201);
    let bad = json!({ "contact": ["mailto:some body@private.example"] });
    let account = client.kid.clone().unwrap();
    client.post(&account, &bad).await;
    let mut draft = client.draft(&client.url("newAccount"), &json!({})).await;
    draft.unprotect("kid");
    let mut jwk: Value = serde_json::from_str(client.key.jwk()).unwrap();
    jwk["d"] = "c2VjcmV0LW51bWJlcg".into();
    draft.protect("jwk", jwk);
    client.send(&draft).await;
    site.fault("certificate:chain=with-key once");
    client.obtain(&["a.private.test"], &site.web).await;
    site.fault("directory:lost once");
    let lost = client.plain_with("GET", site.ca.directory(), &[]).await;
    assert!(lost.is_err());

    let transcript = site.transcript();
    let kept = transcript.since(0);
    let json = transcript.lines(0);
    let read = lines(&json);
    assert_eq!(read.len(), kept.len());
    let numbers: Vec<_> = read
        .iter()
        .map(|line| line["number"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted() && numbers.first() == Some(&1));
    let order = read.iter().find(|line| line["step"] == "newOrder").unwrap();
    assert_eq!(order["method"], "POST");
    assert_eq!(order["answer"]["status"], 201);
    assert_eq!(order["request"]["protected"]["kid"], account);
    assert_eq!(
        order["request"]["payload"]["identifiers"][0]["value"],
        "a.private.test"
    );
    assert!(order["request"].get("signature").is_none());
    assert!(order["answer"]["headers"]["replay-nonce"].is_string());
    let chain = read
        .iter()
        .find(|line| line["step"] == "certificate")
        .unwrap();
    assert_eq!(
        chain["answer"]["body"]["pem"]
            .as_array()
            .unwrap()
            .last()
            .unwrap(),
        "PRIVATE KEY"
    );
    assert_eq!(chain["faults"], json!(["chain"]));
    assert!(
        kept.iter()
            .any(|exchange| exchange.delivery == Delivery::None)
    );
    // From a number on.
    let last = *numbers.last().unwrap();
    assert_eq!(transcript.since(last).len(), 1);

    let text = transcript.text(0);
    assert!(text.contains("POST /acme/new-order  (newOrder)"), "{text}");
    site.ca.shutdown().await;
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines(&written).len(), read.len());
    for form in [&json, &text, &written] {
        for private in ["private.example", "somebody", "c2VjcmV0", "BEGIN PRIVATE"] {
            assert!(!form.contains(private), "{private}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_before_its_answer_is_kept_too() {
    let site = Site::start().await;
    let client = site.subscriber().await;
    site.fault("newOrder:delay=1h once");
    let order = client.new_order(&["a.gone.test"]);
    let gone = tokio::time::timeout(Duration::from_millis(300), order).await;
    assert!(gone.is_err());
    let found = wait_for(Duration::from_secs(60), || {
        let kept = site.transcript().since(0);
        kept.into_iter().find(|exchange| exchange.answer.is_none())
    });
    assert_eq!(found.unwrap().path, "/acme/new-order");
    assert!(
        site.transcript()
            .text(0)
            .contains("no answer: the client had gone")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_file_and_nothing_else() {
    let site = Site::written("", Some("/dev/full".into())).await;
    let client = site.subscriber().await;
    client.obtain(&["a.full.test"], &site.web).await;
    assert!(site.transcript().since(0).len() > 5);
    site.ca.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_read_by_programs_and_people() {
    let site = Site::start().await;
    let transcript = site.transcript();
    assert!(
        transcript
            .report(Format::Text, false)
            .starts_with("No client")
    );
    let client = site.subscriber().await;
    let url = client.url("newOrder");
    let mut draft = client.draft(&url, &json!({})).await;
    draft.header("user-agent", Some("<odd> & \"new\"/1 ]]>"));
    draft.header("content-type", Some("text/<plain>&\"'"));
    client.send(&draft).await;

    assert_eq!(transcript.verdict(false), Verdict::Fail);
    let report: Value = serde_json::from_str(&transcript.report(Format::Json, false)).unwrap();
    assert_eq!(report["verdict"], "fail");
    let checks = report["checks"].as_array().unwrap();
    let media = checks
        .iter()
        .find(|check| check["check"] == "content-type")
        .unwrap();
    assert_eq!(
        (&media["broken"], &media["level"]),
        (&json!(1), &json!("MUST"))
    );
    let text = transcript.report(Format::Text, false);
    let (broken, advice) = (text.find("Broken:").unwrap(), text.find("Advice:").unwrap());
    assert!(
        broken < advice && text.contains("The client fails"),
        "{text}"
    );

    let count = |strict| junit(&transcript.report(Format::Junit, strict));
    let (plain, strict) = (count(false), count(true));
    assert_eq!(plain["cases"], checks.len());
    let failed = |level: &str| {
        let broken = checks.iter().filter(|check| check["broken"] != 0);
        broken
            .filter(|check| level.contains(check["level"].as_str().unwrap()))
            .count()
    };
    assert_eq!(plain["failures"], failed("MUST"));
    assert_eq!(strict["failures"], failed("MUST SHOULD"));
    assert!(strict["failures"].as_u64() > plain["failures"].as_u64());
    assert!(
        plain["text"]
            .as_str()
            .unwrap()
            .contains("Content-Type is \"text/<plain>&\\\"'\""),
        "{plain}"
    );

    transcript.clear();
    assert_eq!(transcript.verdict(true), Verdict::Pass);
    assert!(transcript.since(0).is_empty());
    // What was handed out before is known still.
    client.new_order(&["a.clear.test"]).await.expect(201);
    assert_eq!(site.broken("nonce-unknown") + site.broken("url-built"), 0);
    assert_eq!(transcript.since(0).len(), 1);
}

/// What Python's parser makes of a suite.
fn junit(xml: &str) -> Value {
    const READ: &str = "\
import json, sys, xml.etree.ElementTree as tree
suite = tree.fromstring(sys.stdin.buffer.read())
cases = suite.findall('testcase')
failures = [case.find('failure') for case in cases if case.find('failure') is not None]
assert suite.tag == 'testsuite' and all(case.get('name') and case.get('classname') for case in cases)
assert int(suite.get('tests')) == len(cases) and int(suite.get('failures')) == len(failures)
text = ''.join(failure.get('message') + failure.text for failure in failures)
print(json.dumps({'cases': len(cases), 'failures': len(failures), 'text': text}))
";
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(xml.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{xml}");
    serde_json::from_slice(&output.stdout).unwrap()
}
