//! A profile shaped as the CA/Browser Forum's: its certificates before that forum's own linter.

use cairn_testkit::{
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns,
    http::Responder,
    peers, test_path,
};

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
        let chain = block_on(async {
            let client = ca.subscriber().await;
            client
                .obtain(&["www.example.org", "example.org"], &web)
                .await
                .chain
        });
        let folder = tempfile::tempdir().unwrap();
        let end = "-----END CERTIFICATE-----\n";
        let leaf = folder.path().join("leaf.pem");
        std::fs::write(&leaf, &chain[..chain.find(end).unwrap() + end.len()]).unwrap();
        let mut linter = peers::command("lint_cabf_serverauth_cert");
        linter
            .args(["lint", "-t", "DV-FINAL-CERTIFICATE", "-s", "NOTICE"])
            .arg(&leaf);
        let output = linter.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // The test CA's own host is no public name; nothing else may be found.
        let found: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with(' ') && !line.contains("\"ca.test\""))
            .collect();
        assert!(found.is_empty(), "{said}");
    });
}
