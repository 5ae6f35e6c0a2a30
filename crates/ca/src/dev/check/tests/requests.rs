//! Checks that one request shows.

use cairn_acme::base64url;
use http::Method;
use rcgen::KeyPair;
use serde_json::{Value, json};

use super::{
    Case, Rule,
    talk::{
        ACCOUNT, AUTHORIZATION, Ask, BASE, FINALIZE, NAME, ORDER, Talk, csr, csr_with_cn, inner,
        jws,
    },
};
use crate::dev::Step;

/// With an account, the request that is made of the talk.
fn one(ask: impl FnOnce(&Talk) -> Ask) -> Talk {
    let mut talk = Talk::with_order();
    let ask = ask(&talk);
    talk.send(ask);
    talk
}

fn ordered(identifiers: Value) -> Talk {
    one(|t| t.new_order(json!({ "identifiers": identifiers })))
}

fn named(kind: &str, value: &str) -> Talk {
    ordered(json!([{ "type": kind, "value": value }]))
}

fn account_with(payload: Value) -> Talk {
    one(|t| t.new_account().payload(payload.to_string().as_bytes()))
}

fn bound(alter: impl FnOnce(&mut Value, &mut Value)) -> Talk {
    one(|t| {
        let mut protected = json!({
            "alg": "HS256",
            "kid": "key-1",
            "url": format!("{BASE}/acme/new-account"),
        });
        let mut payload = t.jwk();
        alter(&mut protected, &mut payload);
        let binding = jws(&protected, &payload);
        let payload = json!({ "externalAccountBinding": binding }).to_string();
        t.new_account().payload(payload.as_bytes())
    })
}

fn changed(alter: impl FnOnce(&mut Value, &mut Value)) -> Talk {
    one(|t| {
        let key = KeyPair::generate().unwrap();
        let (mut protected, mut payload) = inner(t, &key);
        alter(&mut protected, &mut payload);
        t.post(
            Step::KeyChange,
            "/acme/key-change",
            jws(&protected, &payload),
        )
    })
}

/// A change to a key that the talk had in another part.
fn changed_to(other: bool) -> Talk {
    let mut talk = Talk::with_order();
    let key = KeyPair::generate().unwrap();
    if other {
        talk.other_account(&key);
    }
    let (protected, payload) = inner(&talk, &key);
    let ask = talk.post(
        Step::KeyChange,
        "/acme/key-change",
        jws(&protected, &payload),
    );
    talk.send(ask);
    // Whose answer did not reach it asks again.
    if !other {
        let ask = talk.post(
            Step::KeyChange,
            "/acme/key-change",
            jws(&protected, &payload),
        );
        talk.send(ask);
    }
    talk
}

fn finalized(csr: &[u8], refused: bool) -> Talk {
    let mut talk = Talk::with_order();
    talk.send(talk.look("ready"));
    let ask = talk.finalize(csr);
    talk.send(if refused {
        ask.refused(400, "badCSR")
    } else {
        ask
    });
    talk
}

/// A request whose CSR is for the account's key, or another.
fn own_key(own: bool) -> Talk {
    let mut talk = Talk::with_order();
    talk.send(talk.look("ready"));
    let csr = if own {
        csr(&talk.key, &["a.test"])
    } else {
        csr(&KeyPair::generate().unwrap(), &["a.test"])
    };
    let ask = talk.finalize(&csr);
    talk.send(if own { ask.refused(400, "badCSR") } else { ask });
    talk
}

fn revoked(certificate: &str) -> Talk {
    one(|t| {
        let payload = json!({ "certificate": certificate, "reason": 1 });
        t.post(Step::RevokeCert, "/acme/revoke-cert", payload)
    })
}

fn renewal(method: Method, path: &str) -> Talk {
    one(|t| t.plain(method, Some(Step::RenewalInfo), path))
}

/// An answer to a challenge, which the authorization had shown.
fn challenged(alter: impl FnOnce(Ask) -> Ask) -> Talk {
    let mut talk = Talk::with_order();
    talk.send(talk.authorization("pending"));
    let ask = alter(talk.challenge());
    talk.send(ask);
    talk
}

fn fresh() -> KeyPair {
    KeyPair::generate().unwrap()
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = headers();
    cases.extend(envelopes());
    cases.extend(payloads());
    cases
}

fn headers() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::AgentMissing,
            breaks: || one(|t| t.look("pending").no_header("user-agent")),
            // Whoever waits for the server reads the directory.
            right: || {
                one(|t| {
                    t.plain(Method::GET, Some(Step::Directory), "/directory")
                        .no_header("user-agent")
                })
            },
        },
        Case {
            rule: Rule::AgentVague,
            breaks: || one(|t| t.look("pending").header("user-agent", "client")),
            right: || {
                one(|t| {
                    t.look("pending")
                        .header("user-agent", "My client (x) lib/3")
                })
            },
        },
        Case {
            rule: Rule::Language,
            breaks: || one(|t| t.look("pending").no_header("accept-language")),
            right: || one(|t| t.look("pending").header("accept-language", "*")),
        },
        Case {
            rule: Rule::NonceHeader,
            breaks: || one(|t| t.look("pending").header("replay-nonce", "nonce-0001")),
            right: || one(|t| t.look("pending")),
        },
        Case {
            rule: Rule::ContentType,
            breaks: || one(|t| t.look("pending").header("content-type", "application/json")),
            right: || {
                one(|t| {
                    t.look("pending")
                        .header("content-type", "Application/JOSE+json; charset=utf-8")
                })
            },
        },
        Case {
            rule: Rule::PlainGet,
            breaks: || one(|t| t.plain(Method::GET, Some(Step::Order), ORDER)),
            right: || {
                let mut talk = one(|t| t.look("pending"));
                let get = talk.plain(Method::GET, Some(Step::Order), ORDER);
                talk.send(get.header("user-agent", "Mozilla/5.0 (a person)"));
                talk
            },
        },
        Case {
            rule: Rule::RenewalPost,
            breaks: || renewal(Method::POST, &format!("/acme/renewal-info/{NAME}")),
            right: || renewal(Method::HEAD, &format!("/acme/renewal-info/{NAME}")),
        },
        Case {
            rule: Rule::RenewalUrl,
            breaks: || renewal(Method::GET, &format!("/acme/renewal-info/{NAME}?now")),
            right: || renewal(Method::GET, &format!("/acme/renewal-info/{NAME}")),
        },
        Case {
            rule: Rule::CertId,
            // The vector of RFC 9773 §4.1 without its zero octet.
            breaks: || {
                renewal(
                    Method::GET,
                    "/acme/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ",
                )
            },
            right: || renewal(Method::GET, &format!("/acme/renewal-info/{NAME}")),
        },
    ]
}

fn envelopes() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::Utf8,
            breaks: || one(|t| t.new_order(json!({})).payload(b"{\"a\":\"\xff\"}")),
            right: || one(|t| t.new_account().payload("{\"é\":1}".as_bytes())),
        },
        Case {
            rule: Rule::DuplicateMember,
            breaks: || {
                one(|t| {
                    let ask = t.look("pending");
                    let header = ask.protected.to_string();
                    let twice = header.replacen('{', "{\"alg\":\"ES256\",", 1);
                    let encoded = base64url::encode(twice.as_bytes());
                    ask.whole("protected", encoded)
                })
            },
            right: || one(|t| t.look("pending").protect("typ", "alg")),
        },
        Case {
            rule: Rule::Base64,
            breaks: || one(|t| t.look("pending").whole("signature", "AAA=")),
            right: || one(|t| t.look("pending").whole("signature", "_-8")),
        },
        Case {
            rule: Rule::JwsForm,
            breaks: || one(|t| t.look("pending").whole("header", json!({}))),
            right: || one(|t| t.look("pending").whole("signature", "")),
        },
        Case {
            rule: Rule::HeaderMembers,
            breaks: || one(|t| t.look("pending").protect("jwk", t.jwk())),
            right: || one(|t| t.look("pending").protect("typ", "JWS")),
        },
        Case {
            rule: Rule::MacOrNone,
            breaks: || one(|t| t.look("pending").protect("alg", "HS256")),
            right: || one(|t| t.look("pending").protect("alg", "PS256")),
        },
        Case {
            rule: Rule::JwkForKid,
            breaks: || one(|t| t.look("pending").unprotect("kid").protect("jwk", t.jwk())),
            right: || {
                one(|t| {
                    let payload = json!({ "certificate": "MAA" });
                    let ask = t.post(Step::RevokeCert, "/acme/revoke-cert", payload);
                    ask.unprotect("kid").protect("jwk", t.jwk())
                })
            },
        },
        Case {
            rule: Rule::KidForJwk,
            breaks: || {
                one(|t| {
                    let kid = format!("{BASE}{ACCOUNT}");
                    t.new_account().unprotect("jwk").protect("kid", kid)
                })
            },
            right: || one(Talk::new_account),
        },
        Case {
            rule: Rule::KidAltered,
            breaks: || {
                one(|t| {
                    t.look("pending")
                        .protect("kid", format!("{BASE}{ACCOUNT}/"))
                })
            },
            // An account of an earlier run of the server.
            right: || {
                one(|t| {
                    let kid = format!("{BASE}/acme/account/Old0000000001");
                    t.look("pending").protect("kid", kid)
                })
            },
        },
        Case {
            rule: Rule::UrlHeader,
            breaks: || one(|t| t.look("pending").protect("url", format!("{BASE}{ORDER}/"))),
            right: || {
                one(|t| {
                    t.look("pending")
                        .header("host", "CA.test:443")
                        .protect("url", format!("{BASE}{ORDER}"))
                })
            },
        },
        Case {
            rule: Rule::EmptyObject,
            breaks: || one(|t| t.look("pending").payload(b"{}")),
            // What deactivates an authorization is no look at it.
            right: || {
                one(|t| {
                    let payload = json!({ "status": "deactivated" });
                    t.post(Step::Authorization, AUTHORIZATION, payload)
                })
            },
        },
        Case {
            rule: Rule::UrlBuilt,
            breaks: || {
                one(|t| {
                    let path = ORDER.replace("order", "authorization");
                    t.fetch(Step::Authorization, &path)
                })
            },
            // Of an earlier run of the server.
            right: || one(|t| t.fetch(Step::Order, "/acme/order/Old0000000001")),
        },
        Case {
            rule: Rule::ResourceMember,
            breaks: || one(|t| t.new_order(json!({ "resource": "new-order" }))),
            right: || one(|t| t.new_order(json!({}))),
        },
    ]
}

fn payloads() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::AccountObject,
            breaks: || account_with(json!({ "contact": "mailto:a@example.org" })),
            right: || account_with(json!({ "contact": null, "onlyReturnExisting": false })),
        },
        Case {
            rule: Rule::Contact,
            breaks: || account_with(json!({ "contact": ["mailto:a@example.org?subject=x"] })),
            right: || account_with(json!({ "contact": ["mailto:a@example.org", "tel:1,2"] })),
        },
        Case {
            rule: Rule::Binding,
            breaks: || bound(|protected, _| protected["nonce"] = "abc".into()),
            right: || bound(|protected, _| protected["alg"] = "HS512".into()),
        },
        Case {
            rule: Rule::KeyChange,
            breaks: || changed(|protected, _| protected["url"] = format!("{BASE}/other").into()),
            right: || changed(|_, payload| payload["more"] = 1.into()),
        },
        Case {
            rule: Rule::KeyReused,
            breaks: || changed_to(true),
            right: || changed_to(false),
        },
        Case {
            rule: Rule::OrderObject,
            breaks: || ordered(json!([])),
            right: || one(|t| t.new_order(json!({ "notBefore": null, "more": 1 }))),
        },
        Case {
            rule: Rule::NameNotAscii,
            breaks: || named("dns", "bücher.test"),
            right: || named("dns", "xn--bcher-kva.test"),
        },
        Case {
            rule: Rule::IpText,
            breaks: || named("ip", "2001:DB8::1"),
            right: || named("ip", "2001:db8::1"),
        },
        Case {
            rule: Rule::Revocation,
            breaks: || revoked("-----BEGIN CERTIFICATE-----"),
            right: || revoked("MAA"),
        },
        Case {
            rule: Rule::FinalizeCsr,
            breaks: || finalized(b"-----BEGIN CERTIFICATE REQUEST-----", true),
            right: || finalized(&csr(&fresh(), &["a.test"]), false),
        },
        Case {
            rule: Rule::CsrNames,
            breaks: || finalized(&csr(&fresh(), &["a.test", "b.test"]), true),
            // Refused for another reason: names are compared in lower case, and may stand in the CN.
            right: || finalized(&csr_with_cn(&fresh(), "A.test"), true),
        },
        Case {
            rule: Rule::CsrAccountKey,
            breaks: || own_key(true),
            right: || own_key(false),
        },
        Case {
            rule: Rule::IpAsName,
            breaks: || finalized(&csr_with_cn(&fresh(), "127.0.0.1"), true),
            right: || finalized(&csr(&fresh(), &["a.test"]), true),
        },
        Case {
            rule: Rule::ChallengePayload,
            breaks: || challenged(|ask| ask.payload(b"[]")),
            right: || challenged(|ask| ask),
        },
        Case {
            rule: Rule::ChallengeMembers,
            breaks: || challenged(|ask| ask.payload(b"{\"keyAuthorization\":\"x\"}")),
            right: || challenged(|ask| ask),
        },
        Case {
            rule: Rule::NewAuthz,
            breaks: || one(|t| t.post(Step::NewAuthz, "/acme/new-authz", json!({}))),
            right: || {
                let mut talk = Talk::with_order();
                talk.directory(json!({ "newAuthz": format!("{BASE}/acme/new-authz") }));
                let ask = talk.post(Step::NewAuthz, "/acme/new-authz", json!({}));
                talk.send(ask);
                talk
            },
        },
        Case {
            rule: Rule::ReplacesUnoffered,
            breaks: || one(|t| t.new_order(json!({ "replaces": NAME }))),
            right: || {
                let mut talk = Talk::with_order();
                talk.directory(json!({ "renewalInfo": format!("{BASE}/acme/renewal-info") }));
                talk.order(json!({ "replaces": NAME }));
                talk
            },
        },
        Case {
            rule: Rule::ProfileUnknown,
            breaks: || one(|t| t.new_order(json!({ "profile": "short" }))),
            right: || {
                let mut talk = Talk::with_order();
                talk.directory(json!({ "meta": { "profiles": { "short": "a week" } } }));
                talk.order(json!({ "profile": "short" }));
                talk
            },
        },
        Case {
            rule: Rule::FinalizeEarly,
            breaks: || {
                one(|t| {
                    t.finalize(&csr(&fresh(), &["a.test"]))
                        .refused(403, "orderNotReady")
                })
            },
            // Both were shown valid; that the order ended since was not shown.
            right: || {
                let mut talk = Talk::with_order();
                talk.send(talk.authorization("valid"));
                let csr = csr(&fresh(), &["a.test"]);
                let ask = talk.finalize(&csr).refused(403, "orderNotReady");
                talk.send(ask);
                talk.send(talk.look("ready"));
                let ask = talk.post(
                    Step::Finalize,
                    FINALIZE,
                    json!({ "csr": base64url::encode(&csr) }),
                );
                talk.send(ask);
                talk
            },
        },
    ]
}
