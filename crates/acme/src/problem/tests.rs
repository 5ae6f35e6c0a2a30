//! Tests of problem documents.

use std::time::Duration;

use super::*;

#[test]
fn every_type_has_its_urn_and_status() {
    // 8555-6.7-3, 8555-6.7-3b, 8555-6.7-3c, 8555-6.7-3d
    let table: &[(&str, u16)] = &[
        ("accountDoesNotExist", 400),
        ("alreadyRevoked", 400),
        ("badCSR", 400),
        ("badNonce", 400),
        ("badPublicKey", 400),
        ("badRevocationReason", 400),
        ("badSignatureAlgorithm", 400),
        ("caa", 403),
        ("compound", 400),
        ("connection", 400),
        ("dns", 400),
        ("externalAccountRequired", 403),
        ("incorrectResponse", 403),
        ("invalidContact", 400),
        ("malformed", 400),
        ("orderNotReady", 403),
        ("rateLimited", 429),
        ("rejectedIdentifier", 400),
        ("serverInternal", 500),
        ("tls", 400),
        ("unauthorized", 403),
        ("unsupportedContact", 400),
        ("unsupportedIdentifier", 400),
        ("userActionRequired", 403),
        ("alreadyReplaced", 409),
        ("invalidProfile", 400),
        ("autoRenewalCanceled", 403),
        ("autoRenewalExpired", 403),
        ("autoRenewalCancellationInvalid", 400),
        ("autoRenewalRevocationNotSupported", 403),
        ("unknownDelegation", 403),
        ("onionCAARequired", 403),
        ("badAttestationStatement", 400),
    ];
    let wrong: Vec<_> = table
        .iter()
        .filter(|(name, status)| {
            let urn = format!("urn:ietf:params:acme:error:{name}");
            let kind = ProblemType::from_uri(&urn);
            kind.urn() != urn
                || kind.name() != *name
                || kind.default_status() != *status
                || !ProblemType::ALL.contains(&kind)
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(table.len(), ProblemType::ALL.len());
}

#[test]
fn the_document_has_type_detail_and_status_and_no_http_data() {
    // 8555-6.7-1, 8555-6.7-4
    let problem = Problem::malformed("no \"url\"")
        .status(415)
        .retry_after(Duration::from_secs(3))
        .location("https://ca/acct/1")
        .link("help", "https://ca/limits")
        .allow("POST");
    assert_eq!(
        problem.to_json(),
        r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"no \"url\"","status":415}"#
    );
}

#[test]
fn subproblems_name_identifiers_and_the_top_level_does_not() {
    // 8555-6.7.1-1
    let refused = WireIdentifier {
        kind: "dns".to_owned(),
        value: "a_b.example".to_owned(),
    };
    let problem = Problem::rejected_identifier("some names are refused")
        .subproblem(Subproblem::new(
            ProblemType::RejectedIdentifier,
            "an underscore",
            refused,
        ))
        .subproblem(Subproblem::new(
            ProblemType::Caa,
            "CAA forbids it",
            Identifier::parse("dns", "*.example.com").unwrap(),
        ));
    let json: serde_json::Value = serde_json::from_str(&problem.to_json()).unwrap();
    assert!(json.get("identifier").is_none());
    assert_eq!(json["subproblems"][0]["identifier"]["value"], "a_b.example");
    assert_eq!(
        json["subproblems"][1]["identifier"]["value"],
        "*.example.com"
    );
    assert_eq!(
        json["subproblems"][1]["type"],
        "urn:ietf:params:acme:error:caa"
    );
}

#[test]
fn a_stored_problem_reads_back() {
    let problem = Problem::bad_signature_algorithm("alg \"HS256\" is not accepted", &["ES256"])
        .instance("https://ca/terms")
        .subproblem(Subproblem {
            kind: ProblemType::Dns,
            detail: "x".to_owned(),
            identifier: None,
        });
    let back: Problem = serde_json::from_str(&problem.to_json()).unwrap();
    assert_eq!(back, problem);
}

#[test]
fn foreign_documents_are_taken_as_they_are() {
    // 8555-6.7-2: unknown and missing types, missing members, unknown members
    let cases: &[(&str, &str, u16, &str)] = &[
        ("{}", "about:blank", 500, ""),
        (
            r#"{"type":"urn:example:x","status":418,"extra":{"a":[1]}}"#,
            "urn:example:x",
            418,
            "",
        ),
        (
            r#"{"type":"urn:ietf:params:acme:error:future","detail":"d"}"#,
            "urn:ietf:params:acme:error:future",
            500,
            "d",
        ),
        (
            r#"{"type":"urn:ietf:params:acme:error:badNonce"}"#,
            "urn:ietf:params:acme:error:badNonce",
            400,
            "",
        ),
        (
            r#"{"title":"Not Found","status":404,"detail":null}"#,
            "about:blank",
            404,
            "Not Found",
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(json, ..)| serde_json::from_str::<Problem>(json).unwrap())
        .zip(cases)
        .filter(|(got, (_, uri, status, detail))| {
            got.kind.urn() != *uri || got.status != *status || got.detail != *detail
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let nameless = r#"{"type":"urn:ietf:params:acme:error:compound","subproblems":[{"type":"urn:x","identifier":{"type":"email","value":"a@b"}}]}"#;
    let problem: Problem = serde_json::from_str(nameless).unwrap();
    assert_eq!(
        problem.subproblems[0].identifier.as_ref().unwrap().kind,
        "email"
    );
}

#[test]
fn display_is_for_logs() {
    let problem = Problem::unauthorized("the account is not the order's");
    assert_eq!(
        problem.to_string(),
        "unauthorized: the account is not the order's"
    );
}
