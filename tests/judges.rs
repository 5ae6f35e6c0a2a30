//! Foreign programs judge every certificate and CRL that the other suites saw issued: pkilint,
//! openssl, and a count of serials. `make test` runs this last.
//!
//! A finding stands only if `accepted-findings.toml` lists it with its reason.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use cairn_testkit::{issued, peers, places};
use serde::Deserialize;

#[derive(Deserialize)]
struct Verdict {
    judged: BTreeMap<String, usize>,
    judges: BTreeSet<String>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    judge: String,
    code: String,
    on: String,
    file: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    finding: Vec<Acceptance>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    judge: String,
    code: String,
    on: String,
    reason: String,
}

#[test]
fn foreign_judges_find_nothing_that_is_not_explained() {
    for kind in ["root", "chain", "crl"] {
        assert!(
            !issued::all(kind).is_empty(),
            "no {kind} was issued: run the other suites first"
        );
    }
    let mut command = peers::command("python");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/judge.py"))
        .arg(places::issued());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdict: Verdict = serde_json::from_slice(&output.stdout).unwrap();
    for kind in ["leaf", "issuing", "root", "crl"] {
        assert!(
            verdict.judged.get(kind).is_some_and(|count| *count > 0),
            "no {kind} was judged"
        );
    }
    let accepted: Accepted = toml::from_str(include_str!("accepted-findings.toml")).unwrap();
    let explains = |finding: &Finding, accepted: &Acceptance| {
        !accepted.reason.is_empty()
            && (&finding.judge, &finding.code, &finding.on)
                == (&accepted.judge, &accepted.code, &accepted.on)
    };
    // One example of each is enough to read.
    let mut open = BTreeMap::new();
    for finding in &verdict.findings {
        if !accepted
            .finding
            .iter()
            .any(|accepted| explains(finding, accepted))
        {
            let kind = (&finding.judge, &finding.code, &finding.on);
            open.entry(kind)
                .or_insert_with(|| format!("{}: {}", finding.file, finding.text));
        }
    }
    // What explains nothing any more goes; another judge of the file stands in it/public_shape.rs.
    let idle: Vec<_> = accepted
        .finding
        .iter()
        .filter(|accepted| verdict.judges.contains(&accepted.judge))
        .filter(|accepted| !verdict.findings.iter().any(|one| explains(one, accepted)))
        .collect();
    assert!(idle.is_empty(), "these explain no finding: {idle:#?}");
    assert!(open.is_empty(), "{open:#?}\njudged: {:?}", verdict.judged);
}
