//! Tests of envelopes: what must not pass, and the signing side against the verifying one.

use proptest::prelude::*;

use super::*;
use crate::problem::ProblemType;

const URL: &str = "https://ca.example/acme/new-order";
const KID: &str = "https://ca.example/acme/acct/1";
const NONCE: &str = "oFvnlFP1wIhRlYS2jTaXbA";

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn kid() -> KeyRef {
    KeyRef::Kid(KID.to_owned())
}

fn request() -> String {
    sign_request(&key(), kid(), NONCE, URL, b"{}")
}

/// A body with a header and texts of one's own; the signature means nothing.
fn body(header: &str, payload: &str, signature: &str) -> String {
    let protected = base64url::encode(header.as_bytes());
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
}

fn header(rest: &str) -> String {
    format!(r#"{{"alg":"ES256","nonce":"{NONCE}","url":"{URL}"{rest}}}"#)
}

fn refusal(body: &str) -> Option<String> {
    Envelope::parse(body.as_bytes())
        .err()
        .map(|problem| problem.kind.name().to_owned())
}

/// Reports the bodies that are not refused as `malformed`.
fn not_malformed(cases: &[(&str, String)]) -> Vec<String> {
    cases
        .iter()
        .map(|(name, body)| (name, refusal(body)))
        .filter(|(_, got)| got.as_deref() != Some("malformed"))
        .map(|(name, got)| format!("{name}: {got:?}"))
        .collect()
}

#[test]
fn a_signed_request_goes_through() {
    // 8555-6.2-8
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(*algorithm).unwrap();
        let jwk = KeyRef::Jwk(key.public_key().to_jwk());
        for key_ref in [kid(), jwk] {
            let body = sign_request(&key, key_ref.clone(), NONCE, URL, b"{\"a\":1}");
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            assert_eq!(envelope.header.alg, algorithm.name());
            assert_eq!(envelope.header.nonce.as_deref(), Some(NONCE));
            assert_eq!(envelope.header.url, URL);
            assert_eq!(envelope.header.key, key_ref);
            assert_eq!(envelope.payload, b"{\"a\":1}");
            assert_eq!(envelope.algorithm().unwrap(), *algorithm);
            envelope.verify_with(key.public_key()).unwrap();
        }
    }
}

#[test]
fn post_as_get_has_no_octets_of_payload() {
    // 8555-6.3-2: the empty string is told from {}
    let get = sign_request(&key(), kid(), NONCE, URL, b"");
    assert!(get.contains(r#""payload":"""#));
    assert!(Envelope::parse(get.as_bytes()).unwrap().payload.is_empty());
    assert_eq!(
        Envelope::parse(request().as_bytes()).unwrap().payload,
        b"{}"
    );
}

#[test]
fn only_the_flattened_form_with_its_three_members_is_accepted() {
    // 8555-6.2-1, 8555-6.2-2, T-CA-07, T-CA-10, T-CA-11
    let good = request();
    let without = |member: &str| {
        let mut value: serde_json::Value = serde_json::from_str(&good).unwrap();
        value.as_object_mut().unwrap().remove(member);
        value.to_string()
    };
    let with = |member: &str| format!("{},{member}}}", good.strip_suffix('}').unwrap());
    let value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let part = |name: &str| value[name].as_str().unwrap().to_owned();
    let cases = [
        ("empty", String::new()),
        (
            "compact form",
            format!(
                "{}.{}.{}",
                part("protected"),
                part("payload"),
                part("signature")
            ),
        ),
        ("quoted compact form", "\"a.b.c\"".to_owned()),
        ("array", format!("[{good}]")),
        ("no payload: detached", without("payload")),
        ("no protected", without("protected")),
        ("no signature", without("signature")),
        ("unprotected header", with(r#""header":{"kid":"x"}"#)),
        ("empty unprotected header", with(r#""header":{}"#)),
        ("signatures", with(r#""signatures":[]"#)),
        (
            "general serialization",
            format!(r#"{{"payload":"","signatures":[{good},{good}]}}"#),
        ),
        ("another member", with(r#""x":1"#)),
        ("case twin", with(r#""Payload":"""#)),
        ("second signature", with(r#""signature":"AA""#)),
        ("second payload", with(r#""payload":"""#)),
        ("escaped second payload", with(r#""p\u0061yload":"""#)),
        (
            "payload is an object",
            body(&header(r#","kid":"x""#), "", "").replace(r#""payload":"""#, r#""payload":{}"#),
        ),
        (
            "payload is null",
            body(&header(r#","kid":"x""#), "", "").replace(r#""payload":"""#, r#""payload":null"#),
        ),
        ("trailing text", format!("{good}x")),
        ("two bodies", format!("{good}{good}")),
        ("byte order mark", format!("\u{feff}{good}")),
    ];
    let wrong = not_malformed(&cases);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn base64url_is_strict_in_every_text() {
    // 8555-6.1-5, 8555-6.5.2-1, T-CA-13
    let good = header(&format!(r#","kid":"{KID}""#));
    let protected = base64url::encode(good.as_bytes());
    let raw =
        |protected: &str| format!(r#"{{"protected":"{protected}","payload":"","signature":""}}"#);
    let nonce = |nonce: &str| body(&good.replace(NONCE, nonce), "", "");
    assert_eq!(refusal(&raw(&protected)), None);
    let cases = [
        ("protected padded", raw(&format!("{protected}="))),
        (
            "protected with a line break",
            raw(&format!("{protected}\\n")),
        ),
        ("protected empty", raw("")),
        ("payload padded", body(&good, "e30=", "")),
        ("payload with a space", body(&good, "e3 0", "")),
        ("payload with trailing bits", body(&good, "e31", "")),
        ("payload in the other alphabet", body(&good, "++//", "")),
        ("signature padded", body(&good, "", "AA==")),
        ("signature with trailing bits", body(&good, "", "AB")),
        ("signature with a line break", body(&good, "", "AA\\r\\n")),
        ("nonce padded", nonce("AA==")),
        ("nonce with trailing bits", nonce("AB")),
        ("nonce in the other alphabet", nonce("+/AA")),
        ("nonce with a line break", nonce("AAAA\\n")),
        ("nonce empty", nonce("")),
        ("nonce beyond ASCII", nonce("\u{e9}\u{e9}")),
    ];
    let wrong = not_malformed(&cases);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_protected_header_is_strict() {
    // 8555-6.2-2, 8555-6.2-3, T-CA-04, T-CA-05, T-CA-07, T-CA-09, T-CA-10
    let jwk = key().public_key().to_jwk();
    let kid = format!(r#","kid":"{KID}""#);
    let long = "a".repeat(URL_MAX + 1);
    let of = |header: &str| body(header, "", "");
    let cases = [
        ("no object", of("[]")),
        (
            "not UTF-8",
            r#"{"protected":"_w","payload":"","signature":""}"#.to_owned(),
        ),
        ("not JSON", of("{alg:1}")),
        ("jwk and kid", of(&header(&format!(r#"{kid},"jwk":{jwk}"#)))),
        (
            "jwk and kid, the other order",
            of(&header(&format!(r#","jwk":{jwk}{kid}"#))),
        ),
        ("neither jwk nor kid", of(&header(""))),
        ("kid null", of(&header(r#","kid":null"#))),
        ("jwk null", of(&header(r#","jwk":null"#))),
        (
            "jwk null beside kid",
            of(&header(&format!(r#"{kid},"jwk":null"#))),
        ),
        ("jwk a text", of(&header(r#","jwk":"{}""#))),
        ("jwk an array", of(&header(r#","jwk":[]"#))),
        (
            "crit",
            of(&header(&format!(r#"{kid},"crit":["exp"],"exp":1"#))),
        ),
        ("crit empty", of(&header(&format!(r#"{kid},"crit":[]"#)))),
        (
            "crit b64",
            of(&header(&format!(r#"{kid},"crit":["b64"],"b64":false"#))),
        ),
        (
            "crit a text",
            of(&header(&format!(r#"{kid},"crit":"url""#))),
        ),
        ("crit null", of(&header(&format!(r#"{kid},"crit":null"#)))),
        (
            "crit escaped",
            of(&header(&format!(r#"{kid},"\u0063rit":["exp"]"#))),
        ),
        (
            "b64 false without crit",
            of(&header(&format!(r#"{kid},"b64":false"#))),
        ),
        ("b64 true", of(&header(&format!(r#"{kid},"b64":true"#)))),
        (
            "two nonces",
            of(&header(&format!(r#"{kid},"nonce":"AAAA""#))),
        ),
        ("two urls", of(&header(&format!(r#"{kid},"url":"x""#)))),
        ("two kids", of(&header(&format!("{kid}{kid}")))),
        ("two algs", of(&header(&format!(r#"{kid},"alg":"none""#)))),
        (
            "duplicate inside of jwk",
            of(&header(r#","jwk":{"kty":"EC","kty":"EC"}"#)),
        ),
        (
            "duplicate inside of an unknown member",
            of(&header(&format!(r#"{kid},"x":{{"a":1,"a":1}}"#))),
        ),
        ("no alg", of(&header(&kid).replace(r#""alg":"ES256","#, ""))),
        (
            "alg a number",
            of(&header(&kid).replace(r#""ES256""#, "256")),
        ),
        (
            "no url",
            of(&header(&kid).replace(&format!(r#","url":"{URL}""#), "")),
        ),
        (
            "URL in capitals",
            of(&header(&kid).replace(r#""url""#, r#""URL""#)),
        ),
        (
            "nonce a number",
            of(&header(&kid).replace(&format!("\"{NONCE}\""), "1")),
        ),
        (
            "nonce null",
            of(&header(&kid).replace(&format!("\"{NONCE}\""), "null")),
        ),
        ("url too long", of(&header(&kid).replace(URL, &long))),
        ("kid too long", of(&header(&kid).replace(KID, &long))),
        (
            "too deep",
            of(&header(&format!(
                r#"{kid},"x":{}{}"#,
                "[".repeat(16),
                "]".repeat(16)
            ))),
        ),
    ];
    let wrong = not_malformed(&cases);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unknown_header_parameters_are_ignored() {
    // RFC 7515 §4
    let header = header(&format!(
        r#","kid":"{KID}","typ":"JOSE","x5u":"https://evil.example/","z":[1]"#
    ));
    assert_eq!(refusal(&body(&header, "", "")), None);
}

#[test]
fn a_missing_nonce_is_left_to_the_caller_and_an_overlong_one_is_not_ours() {
    // T-CA-24: too long is badNonce
    let without =
        header(&format!(r#","kid":"{KID}""#)).replace(&format!(r#""nonce":"{NONCE}","#), "");
    let envelope = Envelope::parse(body(&without, "", "").as_bytes()).unwrap();
    assert_eq!(envelope.header.nonce, None);
    let long = header(&format!(r#","kid":"{KID}""#)).replace(NONCE, &"A".repeat(NONCE_MAX + 4));
    assert_eq!(refusal(&body(&long, "", "")).as_deref(), Some("badNonce"));
}

#[test]
fn an_algorithm_outside_the_list_is_told_the_list() {
    // 8555-6.2-4, 8555-6.2-9, T-CA-01, T-CA-02
    let key = key();
    for alg in [
        "none", "None", "NONE", "", "HS256", "HS384", "ES256K", "PS256", "RS384", "es256",
    ] {
        let header = header(&format!(r#","kid":"{KID}""#)).replace("ES256", alg);
        for signature in ["", "AAAA"] {
            let envelope = Envelope::parse(body(&header, "e30", signature).as_bytes()).unwrap();
            for problem in [
                envelope.algorithm().unwrap_err(),
                envelope.verify_with(key.public_key()).unwrap_err(),
            ] {
                assert_eq!(problem.kind, ProblemType::BadSignatureAlgorithm, "{alg}");
                assert_eq!(problem.status, 400);
                let listed = problem.algorithms.unwrap();
                assert_eq!(listed, ["ES256", "ES384", "ES512", "EdDSA", "RS256"]);
            }
        }
    }
}

#[test]
fn a_mac_with_the_public_key_is_no_signature() {
    // T-CA-02
    use aws_lc_rs::hmac;
    let key = key();
    let header = header(&format!(r#","kid":"{KID}""#)).replace("ES256", "HS256");
    let input = format!("{}.e30", base64url::encode(header.as_bytes()));
    for secret in [
        key.public_key().to_spki_der(),
        key.public_key().to_jwk().into_bytes(),
    ] {
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            input.as_bytes(),
        );
        let body = body(&header, "e30", &base64url::encode(tag.as_ref()));
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        let problem = envelope.verify_with(key.public_key()).unwrap_err();
        assert_eq!(problem.kind, ProblemType::BadSignatureAlgorithm);
    }
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_a_bad_public_key() {
    // 8555-6.2-10, T-CA-03
    let keys: Vec<_> = Algorithm::ALL
        .iter()
        .map(|a| SigningKey::generate(*a).unwrap())
        .collect();
    for signer in &keys {
        for named in Algorithm::ALL {
            let header = ProtectedHeader {
                alg: named.name().to_owned(),
                nonce: Some(NONCE.to_owned()),
                url: URL.to_owned(),
                key: kid(),
            };
            let envelope = Envelope::parse(sign(signer, &header, b"{}").as_bytes()).unwrap();
            let verdict = envelope
                .verify_with(signer.public_key())
                .map_err(|p| p.kind);
            let want = if *named == signer.algorithm() {
                Ok(())
            } else {
                Err(ProblemType::BadPublicKey)
            };
            assert_eq!(verdict, want, "{named} by {}", signer.algorithm());
        }
    }
}

#[test]
fn ecdsa_signatures_have_one_width_and_numbers_in_range() {
    // 8555-6.2-12, T-CA-14
    let order: [u8; 32] = data_encoding::HEXLOWER
        .decode(b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        .unwrap()
        .try_into()
        .unwrap();
    let key = key();
    let message = b"message";
    let good = key.sign(message);
    let (r, s) = good.split_at(32);
    let der = {
        let integer = |number: &[u8]| [&[2, 33, 0], number].concat();
        let (r, s) = (integer(r), integer(s));
        [&[0x30, 70], r.as_slice(), s.as_slice()].concat()
    };
    let cases: [(&str, Vec<u8>); 11] = [
        ("DER", der),
        ("empty", vec![]),
        ("63 octets", good[1..].to_vec()),
        ("65 octets", [&[0], good.as_slice()].concat()),
        ("66 octets, each padded", [&[0], r, &[0], s].concat()),
        ("r = 0", [&[0; 32], s].concat()),
        ("s = 0", [r, &[0; 32]].concat()),
        ("all zero", vec![0; 64]),
        ("r = n", [&order, s].concat()),
        ("s = n", [r, &order].concat()),
        ("all ones", vec![0xff; 64]),
    ];
    assert!(key.public_key().verify(message, &good).is_ok());
    let accepted: Vec<_> = cases
        .iter()
        .filter(|(_, signature)| key.public_key().verify(message, signature).is_ok())
        .map(|(name, _)| name)
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn a_changed_request_does_not_verify() {
    let key = key();
    let other = self::key();
    let body = sign_request(&key, kid(), NONCE, URL, b"{}");
    let envelope = Envelope::parse(body.as_bytes()).unwrap();
    let problem = envelope.verify_with(other.public_key()).unwrap_err();
    assert_eq!(
        (problem.kind, problem.status),
        (ProblemType::Malformed, 400)
    );
    assert_eq!(problem.detail, "JWS verification error");
    let changed = body.replace(r#""payload":"e30""#, r#""payload":"e31d""#);
    assert_ne!(changed, body);
    let envelope = Envelope::parse(changed.as_bytes()).unwrap();
    assert!(envelope.verify_with(key.public_key()).is_err());
}

#[test]
fn the_inner_jws_of_a_key_change_has_no_nonce() {
    // RFC 8555 §7.3.5
    let key = key();
    let header = ProtectedHeader {
        alg: "ES256".to_owned(),
        nonce: None,
        url: URL.to_owned(),
        key: KeyRef::Jwk(key.public_key().to_jwk()),
    };
    let envelope = Envelope::parse(sign(&key, &header, b"{}").as_bytes()).unwrap();
    assert_eq!(envelope.header, header);
    envelope.verify_with(key.public_key()).unwrap();
}

#[test]
fn private_keys_are_stored_and_read_and_never_shown() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(*algorithm).unwrap();
        let der = key.to_pkcs8().unwrap();
        let back = SigningKey::from_pkcs8(&der).unwrap();
        assert_eq!(back.public_key(), key.public_key(), "{algorithm}");
        assert!(
            key.public_key().verify(b"m", &back.sign(b"m")).is_ok(),
            "{algorithm}"
        );
        let shown = format!("{key:?}");
        assert_eq!(
            shown,
            format!("SigningKey {{ public: {:?}, .. }}", key.public_key())
        );
    }
    assert_eq!(
        SigningKey::from_pkcs8(b"no key").unwrap_err(),
        SigningFault::Unreadable
    );
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::parse(&bytes);
    }

    #[test]
    fn any_text_as_protected_header_is_judged_without_panic(text in "\\PC{0,60}") {
        let _ = Envelope::parse(body(&text, "", "").as_bytes());
    }

    #[test]
    fn what_is_signed_is_what_is_read(
        nonce in proptest::collection::vec(any::<u8>(), 1..60),
        url in "\\PC{1,100}",
        kid in "\\PC{1,100}",
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let key = key();
        let nonce = base64url::encode(&nonce);
        let body = sign_request(&key, KeyRef::Kid(kid.clone()), &nonce, &url, &payload);
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        prop_assert_eq!(envelope.header.nonce.as_deref(), Some(nonce.as_str()));
        prop_assert_eq!(&envelope.header.url, &url);
        prop_assert_eq!(&envelope.header.key, &KeyRef::Kid(kid));
        prop_assert_eq!(&envelope.payload, &payload);
        prop_assert!(envelope.verify_with(key.public_key()).is_ok());
    }

    #[test]
    fn one_changed_character_never_verifies(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
        let key = key();
        let body = sign_request(&key, kid(), NONCE, URL, b"{\"a\":1}");
        let at = at.index(body.len());
        let mut changed = body.clone();
        changed.replace_range(at..=at, &to);
        if changed != body && let Ok(envelope) = Envelope::parse(changed.as_bytes()) {
            prop_assert!(envelope.verify_with(key.public_key()).is_err());
        }
    }
}
