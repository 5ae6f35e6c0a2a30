//! Tests of the wire objects.

use serde::de::DeserializeOwned;

use super::*;
use crate::json;

fn refuses<T: DeserializeOwned>(cases: &[&str]) -> Vec<String> {
    cases
        .iter()
        .filter(|text| json::parse_object::<T>(text.as_bytes()).is_ok())
        .map(|text| (*text).to_owned())
        .collect()
}

/// Reads an object, writes it and compares as JSON.
fn same<T: DeserializeOwned + Serialize>(text: &str) {
    let object: T = json::parse_object(text.as_bytes()).unwrap();
    let want: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), want);
}

#[test]
fn member_types_are_strict() {
    // T-CA-40: "true" is no boolean; T-CA-48: dates without a zone or with second 60
    let accepted = [
        refuses::<NewAccount>(&[
            r#"{"termsOfServiceAgreed":"true"}"#,
            r#"{"termsOfServiceAgreed":1}"#,
            r#"{"onlyReturnExisting":"yes"}"#,
            r#"{"contact":"mailto:a@example.org"}"#,
            r#"{"contact":[1]}"#,
            "[]",
            "\"\"",
            "null",
            "",
        ]),
        refuses::<NewOrder>(&[
            "{}",
            r#"{"Identifiers":[]}"#,
            r#"{"identifiers":{}}"#,
            r#"{"identifiers":["example.com"]}"#,
            r#"{"identifiers":[{"type":"dns"}]}"#,
            r#"{"identifiers":[{"type":"dns","value":1}]}"#,
            r#"{"identifiers":[{"type":"dns","value":null}]}"#,
            r#"{"identifiers":[],"notBefore":"2026-11-25T02:33:01"}"#,
            r#"{"identifiers":[],"notAfter":"2026-12-31T23:59:60Z"}"#,
            r#"{"identifiers":[],"notAfter":1795573981}"#,
            r#"{"identifiers":[],"identifiers":[]}"#,
        ]),
        refuses::<Finalize>(&[
            "{}",
            r#"{"csr":1}"#,
            r#"{"Csr":"AA"}"#,
            r#"{"csr":"AA","csr":"AA"}"#,
        ]),
        refuses::<Deactivation>(&["{}", r#"{"status":true}"#]),
        refuses::<AccountUpdate>(&[r#"{"status":1}"#, r#"{"contact":{}}"#]),
    ]
    .concat();
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn unknown_members_are_ignored() {
    // 8555-7.3-1, T-CA-33: what is not listed is not taken
    let account: NewAccount = json::parse_object(
        br#"{"orders":"x","status":"revoked","id":7,"createdAt":{},"contact":[]}"#,
    )
    .unwrap();
    let echoed = serde_json::to_string(&account).unwrap();
    assert_eq!(echoed, r#"{"contact":[]}"#);
    let order: NewOrder = json::parse_object(
        br#"{"identifiers":[],"status":"ready","authorizations":["x"],"expires":"9999-12-31T23:59:59Z"}"#,
    )
    .unwrap();
    assert_eq!(
        serde_json::to_string(&order).unwrap(),
        r#"{"identifiers":[]}"#
    );
}

#[test]
fn objects_of_the_rfc_go_both_ways() {
    // The examples of RFC 8555 §7.1.
    same::<Directory>(
        r#"{"newNonce":"https://example.com/acme/new-nonce","newAccount":"https://example.com/acme/new-account",
        "newOrder":"https://example.com/acme/new-order","newAuthz":"https://example.com/acme/new-authz",
        "revokeCert":"https://example.com/acme/revoke-cert","keyChange":"https://example.com/acme/key-change",
        "meta":{"termsOfService":"https://example.com/acme/terms/2017-5-30","website":"https://www.example.com/",
        "caaIdentities":["example.com"]}}"#,
    );
    same::<Account>(
        r#"{"status":"valid","contact":["mailto:cert-admin@example.org","mailto:admin@example.org"],
        "termsOfServiceAgreed":true,"orders":"https://example.com/acme/orders/rzGoeA"}"#,
    );
    same::<Order>(
        r#"{"status":"valid","expires":"2016-01-20T14:09:07Z",
        "identifiers":[{"type":"dns","value":"www.example.org"},{"type":"dns","value":"example.org"}],
        "notBefore":"2016-01-01T00:00:00Z","notAfter":"2016-01-08T00:00:00Z",
        "authorizations":["https://example.com/acme/authz/PAniVnsZcis","https://example.com/acme/authz/r4HqLzrSrpI"],
        "finalize":"https://example.com/acme/order/TOlocE8rfgo/finalize",
        "certificate":"https://example.com/acme/cert/jWCdfHVGY2M"}"#,
    );
    same::<Authorization>(
        r#"{"status":"valid","expires":"2015-03-01T14:09:07Z","identifier":{"type":"dns","value":"www.example.org"},
        "challenges":[{"url":"https://example.com/acme/chall/prV_B7yEyA4","type":"http-01","status":"valid",
        "token":"DGyRejmCefe7v4NfDGDKfA","validated":"2014-12-01T12:05:58Z"}]}"#,
    );
    same::<Challenge>(
        r#"{"type":"http-01","url":"https://example.com/acme/chall/1","status":"invalid","token":"x",
        "error":{"type":"urn:ietf:params:acme:error:unauthorized","detail":"d","status":403}}"#,
    );
    same::<NewOrder>(
        r#"{"identifiers":[{"type":"dns","value":"www.example.org"}],"notBefore":"2016-01-01T00:04:00Z",
        "notAfter":"2016-01-08T00:04:00Z","profile":"shortlived","replaces":"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}"#,
    );
}

#[test]
fn the_client_takes_what_other_servers_send() {
    // 8555-7.1.1-1, 8555-7.1.4-1, 8555-7.1.5-1
    let directory: Directory = json::parse(
        br#"{"newNonce":"a","newAccount":"b","newOrder":"c","Gxy8w5T2xQo":"https://community.example/"}"#,
    )
    .unwrap();
    assert!(directory.meta.is_none());
    let authorization: Authorization = json::parse(
        br#"{"identifier":{"type":"dns","value":"example.org"},"status":"pending","wildcard":false,"challenges":[
        {"type":"new-01","url":"u","status":"pending","prize":{"x":1}},
        {"type":"http-01","url":"u","status":"pending","token":"../../../../etc/passwd-and-more"}]}"#,
    )
    .unwrap();
    let [unknown, http] = authorization.challenges.as_slice() else {
        panic!("two challenges")
    };
    assert_eq!(unknown.challenge_type(), None);
    assert_eq!(http.challenge_type(), Some(ChallengeType::Http01));
    assert_eq!(http.safe_token(), None);
}

#[test]
fn the_wildcard_member_is_true_or_absent() {
    // 8555-7.1.4-1
    let mut authorization = Authorization {
        identifier: Identifier::parse("dns", "example.org").unwrap(),
        status: AuthorizationStatus::Pending,
        expires: None,
        challenges: Vec::new(),
        wildcard: true,
    };
    assert!(
        serde_json::to_string(&authorization)
            .unwrap()
            .contains(r#""wildcard":true"#)
    );
    authorization.wildcard = false;
    assert!(
        !serde_json::to_string(&authorization)
            .unwrap()
            .contains("wildcard")
    );
}
