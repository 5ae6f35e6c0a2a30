//! Tests of bindings: what verifies, and every way in which one does not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    jws::{SigningKey, sign_request},
    key::Algorithm,
    problem::ProblemType,
};

const URL: &str = "https://ca.example/acme/new-account";
const KEY_ID: &str = "keyid-00000000001";

/// RFC 7515 A.1's MAC key.
const SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// RFC 7515 A.3's key, as the account's.
const JWK: &str = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

fn secret() -> MacKey {
    MacKey::new(Zeroizing::new(base64url::decode(SECRET).unwrap()))
}

fn account_key() -> PublicKey {
    PublicKey::from_jwk(JWK.as_bytes()).unwrap()
}

fn header(algorithm: MacAlgorithm) -> Value {
    json!({ "alg": algorithm.name(), "kid": KEY_ID, "url": URL })
}

/// A binding with a MAC that fits, whatever its header says.
fn bind(algorithm: MacAlgorithm, key: &MacKey, header: &Value, payload: &str) -> String {
    let protected = base64url::encode(header.to_string().as_bytes());
    let payload = base64url::encode(payload.as_bytes());
    let key = hmac::Key::new(algorithm.hmac(), key.as_bytes());
    let mac = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
    let signature = base64url::encode(mac.as_ref());
    json!({ "protected": protected, "payload": payload, "signature": signature }).to_string()
}

fn parse(text: &str) -> Result<Binding, Problem> {
    Binding::parse(text.as_bytes(), URL, &account_key())
}

#[test]
fn a_binding_verifies_under_its_own_secret_and_algorithm_alone() {
    // 8555-7.3.4-2 T-CA-36
    let other = MacKey::new(Zeroizing::new(vec![7; MacKey::OCTETS]));
    for algorithm in MacAlgorithm::ALL {
        let text = bind(algorithm, &secret(), &header(algorithm), JWK);
        let binding = parse(&text).unwrap();
        assert_eq!(binding.key_id(), KEY_ID);
        assert!(binding.is_made_with(&secret()), "{}", algorithm.name());
        assert!(!binding.is_made_with(&other), "{}", algorithm.name());
        // The MAC of one algorithm under the name of another, longer and shorter ones among them.
        for named in MacAlgorithm::ALL {
            let text = bind(algorithm, &secret(), &header(named), JWK);
            let verifies = parse(&text).unwrap().is_made_with(&secret());
            assert_eq!(verifies, named == algorithm);
        }
    }
    // The key may be written in another order, with members that do not belong to it.
    let spelt = JWK.replacen('{', r#"{"use":"sig","#, 1);
    let text = bind(
        MacAlgorithm::HS256,
        &secret(),
        &header(MacAlgorithm::HS256),
        &spelt,
    );
    assert!(parse(&text).unwrap().is_made_with(&secret()));
}

#[test]
fn a_binding_made_elsewhere_verifies() {
    // 8555-7.3.4-2
    // Made with Python's hmac and base64 for the keys above: header {"alg": "HS256", "kid": "keyid-00000000001", "url": …}.
    let text = include_str!("vector.json");
    let binding = parse(text).unwrap();
    assert_eq!(binding.key_id(), KEY_ID);
    assert!(binding.is_made_with(&secret()));
}

#[test]
fn a_mac_that_is_cut_or_changed_does_not_verify() {
    // 8555-7.3.4-2 T-CA-36
    let text = bind(
        MacAlgorithm::HS256,
        &secret(),
        &header(MacAlgorithm::HS256),
        JWK,
    );
    let value: Value = serde_json::from_str(&text).unwrap();
    let mac = base64url::decode(value["signature"].as_str().unwrap()).unwrap();
    let changed = |mac: &[u8]| {
        let mut value = value.clone();
        value["signature"] = base64url::encode(mac).into();
        parse(&value.to_string()).unwrap().is_made_with(&secret())
    };
    assert!(changed(&mac));
    for length in 0..mac.len() {
        assert!(!changed(&mac[..length]), "{length} octets of it");
    }
    assert!(!changed(&[mac.as_slice(), &[0]].concat()));
    for at in 0..mac.len() {
        let mut other = mac.clone();
        other[at] ^= 1;
        assert!(!changed(&other), "octet {at}");
    }
}

#[test]
fn what_is_no_binding_for_this_request_is_told_why() {
    // 8555-7.3.4-2 8555-6.2-4 T-CA-02 T-CA-35
    use ProblemType::{Malformed, Unauthorized};
    let with = |member: &str, value: Value| {
        let mut header = header(MacAlgorithm::HS256);
        header[member] = value;
        bind(MacAlgorithm::HS256, &secret(), &header, JWK)
    };
    let without = |member: &str| {
        let mut header = header(MacAlgorithm::HS256);
        header.as_object_mut().unwrap().remove(member);
        bind(MacAlgorithm::HS256, &secret(), &header, JWK)
    };
    let payload = |payload: &str| {
        let header = header(MacAlgorithm::HS256);
        bind(MacAlgorithm::HS256, &secret(), &header, payload)
    };
    let good = payload(JWK);
    let mut with_jwk = header(MacAlgorithm::HS256);
    with_jwk.as_object_mut().unwrap().remove("kid");
    with_jwk["jwk"] = serde_json::from_str(JWK).unwrap();
    let with_jwk = bind(MacAlgorithm::HS256, &secret(), &with_jwk, JWK);
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let own = SigningKey::generate(Algorithm::ES256).unwrap();
    let signed = sign_request(
        &own,
        KeyRef::Kid(KEY_ID.to_owned()),
        "AAAA",
        URL,
        JWK.as_bytes(),
    );
    let private = JWK.replacen('{', r#"{"d":"AA","#, 1);
    let cases: Vec<(&str, String, ProblemType, &str)> = vec![
        ("alg none", with("alg", json!("none")), Malformed, "no MAC"),
        (
            "alg ES256",
            with("alg", json!("ES256")),
            Malformed,
            "no MAC",
        ),
        (
            "alg RS256",
            with("alg", json!("RS256")),
            Malformed,
            "no MAC",
        ),
        (
            "alg hs256",
            with("alg", json!("hs256")),
            Malformed,
            "no MAC",
        ),
        ("alg of no text", with("alg", json!(1)), Malformed, "alg"),
        ("no alg", without("alg"), Malformed, "no alg"),
        ("a signature", signed, Malformed, "no MAC"),
        ("a nonce", with("nonce", json!("AAAA")), Malformed, "nonce"),
        (
            "a nonce of any length",
            with("nonce", json!("A".repeat(200))),
            Malformed,
            "nonce",
        ),
        ("no kid", without("kid"), Malformed, "neither jwk nor kid"),
        ("jwk for kid", with_jwk, Malformed, "has a jwk"),
        (
            "jwk and kid",
            with("jwk", serde_json::from_str(JWK).unwrap()),
            Malformed,
            "both jwk and kid",
        ),
        ("crit", with("crit", json!(["exp"])), Malformed, "critical"),
        ("b64", with("b64", json!(false)), Malformed, "b64"),
        (
            "another url",
            with("url", json!("https://other.example/new")),
            Unauthorized,
            "another CA",
        ),
        ("no url", without("url"), Malformed, "no url"),
        (
            "another account's key",
            payload(&stranger.public_key().to_jwk()),
            Unauthorized,
            "one account key",
        ),
        ("no payload", payload(""), Malformed, "payload"),
        ("no key", payload("{}"), Malformed, "payload"),
        ("a private key", payload(&private), Malformed, "private"),
        ("null", "null".to_owned(), Malformed, ""),
        ("a text", format!("{good:?}"), Malformed, ""),
        (
            "another member",
            good.replacen('{', r#"{"x":1,"#, 1),
            Malformed,
            "no member",
        ),
        (
            "too long",
            with("x", json!("x".repeat(BINDING))),
            Malformed,
            "longer than",
        ),
    ];
    assert!(parse(&good).is_ok());
    let mut wrong = Vec::new();
    for (name, text, kind, says) in cases {
        match parse(&text) {
            Ok(_) => wrong.push(format!("{name}: taken")),
            Err(problem) if problem.kind != kind || !problem.detail.contains(says) => {
                wrong.push(format!("{name}: {problem}"));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_secret_is_never_shown() {
    // T-CA-36
    let shown = format!("{:?}", Some(secret()));
    assert!(!shown.contains("AyM1") && !shown.contains("35"), "{shown}");
    assert_eq!(secret().to_text().as_str(), SECRET);
}

proptest! {
    #[test]
    fn bytes_of_any_kind_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Binding::parse(&bytes, URL, &account_key());
    }

    #[test]
    fn a_changed_octet_never_verifies(at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
        // T-CA-35
        let text = bind(MacAlgorithm::HS256, &secret(), &header(MacAlgorithm::HS256), JWK);
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(binding) = Binding::parse(&bytes, URL, &account_key()) {
            prop_assert!(!binding.is_made_with(&secret()));
        }
    }
}
