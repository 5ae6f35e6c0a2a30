//! One generated matrix over the wire: every flaw of the JWS envelope times every signed route,
//! each cell its exact status and problem, and nothing changed by any of them.

use cairn_testkit::acme::{Client, Draft, Key, encode};
use cairn_testkit::ca::HOST;
use cairn_testkit::http::Responder;
use cairn_testkit::{block_on, test_path};
use serde_json::{Map, Value, json};

use crate::world::inside;

/// A flaw, and what it gets.
struct Flaw {
    name: &'static str,
    break_it: fn(&mut Draft<'_>),
    want: (u16, &'static str),
}

const fn flaw(name: &'static str, want: (u16, &'static str), break_it: fn(&mut Draft<'_>)) -> Flaw {
    Flaw {
        name,
        break_it,
        want,
    }
}

const MALFORMED: (u16, &str) = (400, "malformed");
const MEDIA: (u16, &str) = (415, "malformed");
const SIZE: (u16, &str) = (413, "malformed");
const NONCE: (u16, &str) = (400, "badNonce");
const ALGORITHM: (u16, &str) = (400, "badSignatureAlgorithm");
const KEY: (u16, &str) = (400, "badPublicKey");

/// Flaws of every route.
const FLAWS: [Flaw; 33] = [
    flaw("no content type", MEDIA, |draft| {
        draft.header("content-type", None);
    }),
    flaw("application/json", MEDIA, |draft| {
        draft.header("content-type", Some("application/json"));
    }),
    flaw("a form's text/plain", MEDIA, |draft| {
        draft.header("content-type", Some("text/plain"));
    }),
    flaw("a body over 64 KiB", SIZE, |draft| {
        draft.raw_body = Some(vec![b' '; 64 * 1024 + 1])
    }),
    flaw("an empty body", MALFORMED, |draft| {
        draft.raw_body = Some(Vec::new())
    }),
    flaw("no JSON", MALFORMED, |draft| {
        draft.raw_body = Some(b"hello".to_vec())
    }),
    flaw("an array", MALFORMED, |draft| {
        draft.raw_body = Some(b"[]".to_vec())
    }),
    flaw("compact serialization", MALFORMED, |draft| {
        let envelope = draft.envelope();
        let part = |name: &str| envelope[name].as_str().unwrap().to_owned();
        let compact = [part("protected"), part("payload"), part("signature")].join(".");
        draft.raw_body = Some(compact.into_bytes());
    }),
    flaw("bytes after the object", MALFORMED, |draft| {
        draft.raw_body = Some([draft.body(), b" {}".to_vec()].concat());
    }),
    flaw("a byte order mark", MALFORMED, |draft| {
        draft.raw_body = Some([b"\xef\xbb\xbf".to_vec(), draft.body()].concat());
    }),
    flaw("a member twice", MALFORMED, |draft| {
        let body = String::from_utf8(draft.body()).unwrap();
        draft.raw_body = Some(body.replacen('{', r#"{"payload":"e30","#, 1).into_bytes());
    }),
    flaw("an unprotected header", MALFORMED, |draft| {
        draft.extra.insert("header".into(), json!({ "kid": "x" }));
    }),
    flaw("several signatures", MALFORMED, |draft| {
        draft.extra.insert("signatures".into(), json!([]));
    }),
    flaw("no signature", MALFORMED, |draft| {
        without(draft, "signature")
    }),
    flaw("no payload", MALFORMED, |draft| without(draft, "payload")),
    flaw("no protected header", MALFORMED, |draft| {
        without(draft, "protected")
    }),
    flaw("padding", MALFORMED, |draft| {
        let mut envelope = draft.envelope();
        let signature = envelope["signature"].as_str().unwrap().to_owned() + "==";
        envelope.insert("signature".into(), json!(signature));
        draft.raw_body = Some(Value::Object(envelope).to_string().into_bytes());
    }),
    flaw("a protected header that is no object", MALFORMED, |draft| {
        draft.raw_protected = Some("[]".into());
    }),
    flaw(
        "a member of the protected header twice",
        MALFORMED,
        |draft| {
            let text = Value::Object(draft.protected.clone()).to_string();
            draft.raw_protected = Some(text.replacen('{', r#"{"alg":"none","#, 1));
        },
    ),
    flaw("crit", MALFORMED, |draft| {
        draft.protect("crit", json!(["exp"]));
    }),
    flaw("b64", MALFORMED, |draft| {
        draft.protect("b64", false);
    }),
    flaw("no alg", MALFORMED, |draft| {
        draft.unprotect("alg");
    }),
    flaw("no url", MALFORMED, |draft| {
        draft.unprotect("url");
    }),
    flaw("no nonce", NONCE, |draft| {
        draft.unprotect("nonce");
    }),
    flaw("a nonce of no base64url", MALFORMED, |draft| {
        draft.protect("nonce", "a+b/c=");
    }),
    flaw("a nonce that nobody minted", NONCE, |draft| {
        draft.protect("nonce", encode(&[7; 32]));
    }),
    flaw("neither jwk nor kid", MALFORMED, |draft| {
        draft.unprotect("jwk").unprotect("kid");
    }),
    flaw("both jwk and kid", MALFORMED, |draft| {
        let jwk: Value = serde_json::from_str(draft.key.jwk()).unwrap();
        draft
            .protect("jwk", jwk)
            .protect("kid", "https://ca.test/acme/account/x");
    }),
    flaw("alg none", ALGORITHM, |draft| {
        draft.protect("alg", "none");
    }),
    flaw("a MAC", ALGORITHM, |draft| {
        draft.protect("alg", "HS256");
    }),
    flaw("an alg that does not fit the key", KEY, |draft| {
        draft.protect("alg", "ES384");
    }),
    flaw("a signature of other bytes", MALFORMED, |draft| {
        draft.signature = Some(draft.key.sign(b"other"));
    }),
    flaw(
        "the url of another resource",
        (403, "unauthorized"),
        |draft| {
            draft.protect("url", "https://ca.test/acme/else");
        },
    ),
];

/// Flaws of the routes that take an account.
const KID_FLAWS: [Flaw; 3] = [
    flaw("jwk where an account is asked for", MALFORMED, |draft| {
        let jwk: Value = serde_json::from_str(draft.key.jwk()).unwrap();
        draft.unprotect("kid").protect("jwk", jwk);
    }),
    flaw(
        "an account that is not there",
        (400, "accountDoesNotExist"),
        |draft| {
            // As long as a real one, with another random part.
            let kid = draft.protected["kid"].as_str().unwrap().to_owned();
            let (place, id) = kid.rsplit_once('/').unwrap();
            let other: String = id.chars().rev().collect();
            draft.protect("kid", format!("{place}/{other}"));
        },
    ),
    flaw("an account of another server", MALFORMED, |draft| {
        draft.protect("kid", "https://evil.test/acme/account/x");
    }),
];

/// Sends the envelope without one of its members.
fn without(draft: &mut Draft<'_>, member: &str) {
    let mut envelope: Map<String, Value> = draft.envelope();
    envelope.remove(member);
    draft.raw_body = Some(Value::Object(envelope).to_string().into_bytes());
}

/// Every signed route of this client, with a payload that would be good.
async fn routes(client: &Client, web: &Responder) -> Vec<(&'static str, String, Option<Value>)> {
    let got = client.obtain(&["one.envelope.test"], web).await;
    let done = client.fetch(&got.order).await.expect(200).json();
    let placed = client.new_order(&["two.envelope.test"]).await.expect(201);
    let order = placed.json();
    let authorization = order["authorizations"][0].as_str().unwrap().to_owned();
    let object = client.fetch(&authorization).await.expect(200).json();
    let challenge = object["challenges"][0]["url"].as_str().unwrap().to_owned();
    let identifiers = json!([{ "type": "dns", "value": "three.envelope.test" }]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    vec![
        (
            "newOrder",
            client.url("newOrder"),
            Some(json!({ "identifiers": identifiers })),
        ),
        ("account", client.kid.clone().unwrap(), None),
        ("order", placed.location(), None),
        ("authorization", authorization, None),
        ("challenge", challenge, Some(json!({}))),
        (
            "finalize",
            text(&order["finalize"]),
            Some(json!({ "csr": "AA" })),
        ),
        ("certificate", text(&done["certificate"]), None),
    ]
}

#[test]
fn every_flaw_of_the_envelope_gets_its_problem_on_every_route_and_changes_nothing() {
    // 8555-6.2-1 8555-6.2-2 8555-6.2-3 8555-6.2-4 8555-6.2-5 8555-6.2-7 8555-6.2-9 8555-6.2-10
    // 8555-6.2-11 8555-6.2-13 8555-6.4-1 8555-6.5-2 8555-6.5-3 T-CA-10 T-CA-11 T-CA-20
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.set("limits.bad_signatures_per_minute", "100000");
        world.ca.start();
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let stranger = client.with_key(Key::es256());
            let routes = routes(&client, &web).await;
            let mut wrong = Vec::new();
            for (route, url, payload) in &routes {
                for flaw in FLAWS.iter().chain(&KID_FLAWS) {
                    wrong.extend(cell(&client, route, url, payload.as_ref(), flaw).await);
                }
            }
            let new_account = (
                client.url("newAccount"),
                json!({ "termsOfServiceAgreed": true }),
            );
            for flaw in &FLAWS {
                let (url, payload) = (&new_account.0, Some(&new_account.1));
                wrong.extend(cell(&stranger, "newAccount", url, payload, flaw).await);
            }
            assert!(
                wrong.is_empty(),
                "{} cells are wrong:\n{}",
                wrong.len(),
                wrong.join("\n")
            );

            // Nothing was made or changed by any of them.
            let only = json!({ "onlyReturnExisting": true });
            let answer = stranger.post(&new_account.0, &only).await;
            assert_eq!(answer.problem(), "accountDoesNotExist");
            let order = client.fetch(&routes[2].1).await.expect(200).json();
            assert_eq!(order["status"], "pending");
            let account = client.fetch(&routes[1].1).await.expect(200).json();
            assert_eq!(account["status"], "valid");
        });
    });
}

/// One cell of the matrix; what is wrong with it.
async fn cell(
    client: &Client,
    route: &str,
    url: &str,
    payload: Option<&Value>,
    flaw: &Flaw,
) -> Option<String> {
    let payload = payload
        .map(|payload| payload.to_string().into_bytes())
        .unwrap_or_default();
    let mut draft = client.draft_bytes(url, payload).await;
    (flaw.break_it)(&mut draft);
    let answer = match client.try_send(&draft).await {
        Ok(answer) => answer,
        Err(error) => return Some(format!("{route}, {}: no answer: {error}", flaw.name)),
    };
    let (got, kind) = (
        (answer.status, answer.problem()),
        answer.header("content-type"),
    );
    let mut faults = Vec::new();
    if (got.0, got.1.as_str()) != flaw.want {
        faults.push(format!(
            "got {} {}, want {:?}: {}",
            got.0,
            got.1,
            flaw.want,
            answer.text()
        ));
    }
    if kind != Some("application/problem+json") {
        faults.push(format!("content type {kind:?}"));
    }
    if answer.header("replay-nonce").is_none() {
        faults.push("no nonce".into());
    }
    if flaw.want == ALGORITHM && !answer.json()["algorithms"].is_array() {
        faults.push("no list of algorithms".into());
    }
    (!faults.is_empty()).then(|| format!("{route}, {}: {}", flaw.name, faults.join("; ")))
}

#[test]
fn a_nonce_is_good_once_also_when_its_request_was_refused() {
    // 8555-6.5-1 T-CA-22 T-CA-27
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.subscriber().await;
            let account = client.kid.clone().unwrap();
            let good = client.draft_bytes(&account, Vec::new()).await;
            client.send(&good).await.expect(200);
            assert_eq!(client.send(&good).await.problem(), "badNonce");

            let mut bad = client.draft_bytes(&account, Vec::new()).await;
            bad.signature = Some(client.key.sign(b"other"));
            assert_eq!(client.send(&bad).await.problem(), "malformed");
            bad.signature = None;
            assert_eq!(client.send(&bad).await.problem(), "badNonce");

            // Fifty at once: one gets through.
            let draft = client.draft_bytes(&account, Vec::new()).await;
            let sent = (0..50).map(|_| {
                let (client, body) = (client.clone(), draft.body());
                let target = draft.target.clone();
                tokio::spawn(async move {
                    let mut copy = Draft::new(&target, &client.key, None, "", Vec::new());
                    copy.raw_body = Some(body);
                    client.send(&copy).await.status
                })
            });
            let mut good = 0;
            for answer in sent.collect::<Vec<_>>() {
                good += usize::from(answer.await.unwrap() == 200);
            }
            assert_eq!(good, 1);
        });
    });
}

#[test]
fn get_is_refused_on_signed_resources_and_names_what_is_allowed() {
    // 8555-6.3-1
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let mut wrong = Vec::new();
            for (route, url, _) in routes(&client, &web).await {
                let answer = client.plain("GET", &url).await;
                let allow = answer.header("allow").unwrap_or_default().to_owned();
                if (answer.status, answer.problem().as_str()) != (405, "malformed")
                    || allow != "POST"
                {
                    wrong.push(format!(
                        "{route}: {} {} {allow:?}",
                        answer.status,
                        answer.problem()
                    ));
                }
            }
            assert!(wrong.is_empty(), "{wrong:#?}");
        });
    });
}
