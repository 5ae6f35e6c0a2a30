//! A profile shaped as the CA/Browser Forum's: its certificates before that forum's own linter.

use std::collections::BTreeSet;

use cairn_testkit::{
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns,
    http::Responder,
    peers, test_path,
};
use serde::Deserialize;
use serde_json::Value;

const JUDGE: &str = "lint_cabf_serverauth_cert";

/// `accepted-findings.toml`, as far as it is read here; `judges.rs` reads the other judges' part.
#[derive(Deserialize)]
struct Accepted {
    finding: Vec<Acceptance>,
}

#[derive(Deserialize)]
struct Acceptance {
    judge: String,
    code: String,
    on: String,
}

/// The codes of what the linter finds on a chain's leaf.
fn found(chain: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let end = "-----END CERTIFICATE-----\n";
    let leaf = folder.path().join("leaf.pem");
    std::fs::write(&leaf, &chain[..chain.find(end).unwrap() + end.len()]).unwrap();
    let mut linter = peers::command(JUDGE);
    linter.args(["lint", "-t", "DV-FINAL-CERTIFICATE", "-s", "NOTICE"]);
    let output = linter.args(["-f", "JSON"]).arg(&leaf).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = report["results"].as_array().unwrap().iter();
    let codes: Vec<String> = results
        .flat_map(|result| result["finding_descriptions"].as_array().unwrap())
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect();
    // It ends with the number of what it found: nothing was lost on the way.
    assert_eq!(output.status.code(), i32::try_from(codes.len()).ok());
    codes
}

#[test]
fn a_profile_shaped_as_public_passes_the_forums_linter() {
    // T-CA-95
    //
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("example.org", HOST)
            .add_address("example.org", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let ca = TestCa::builder()
            .set("profile.default.life", "\"47d\"")
            .set("profile.default.common_name", "false")
            .set("profile.default.policies", "[\"2.23.140.1.2.1\"]")
            .tables("[[names]]\nsuffix = \"example.org\"\ndial = [\"127.0.0.0/8\"]")
            .start();
        let web = Responder::start((HOST, 80));
        let chains = block_on(async {
            let client = ca.subscriber().await;
            let two = ["www.example.org", "example.org"];
            [
                client.obtain(&two, &web).await.chain,
                client.obtain(&["one.example.org"], &web).await.chain,
            ]
        });
        let accepted: Accepted = toml::from_str(include_str!("../accepted-findings.toml")).unwrap();
        let accepted = accepted.finding.into_iter();
        let accepted: BTreeSet<String> = accepted
            .filter(|one| one.judge == JUDGE && one.on == "leaf")
            .map(|one| one.code)
            .collect();
        for chain in chains {
            // What is accepted must be found, or it goes from the file.
            let found: BTreeSet<String> = found(&chain).into_iter().collect();
            assert_eq!(found, accepted, "{chain}");
        }
    });
}
