//! One generated matrix over the wire: every flaw of the JWS envelope times every signed route,
//! each cell its exact status and problem, and nothing changed by any of them.

use cairn_testkit::acme::{Client, Draft, Key, Response, csr, encode};
use cairn_testkit::ca::{HOST, TestCa};
use cairn_testkit::http::Responder;
use cairn_testkit::{block_on, test_path};
use serde_json::{Map, Value, json};

use crate::{operation::asked, world::inside};

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
const URL: (u16, &str) = (403, "unauthorized");

/// Flaws of every route.
const FLAWS: [Flaw; 40] = [
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
    flaw("the url of another resource", URL, |draft| {
        draft.protect("url", "https://ca.test/acme/else");
    }),
    flaw("the url of another CA", URL, |draft| {
        change_url(draft, |url| url.replacen("ca.test", "evil.test", 1));
    }),
    flaw("its url with another scheme", URL, |draft| {
        change_url(draft, |url| url.replacen("https:", "http:", 1));
    }),
    flaw("its url in another case", URL, |draft| {
        change_url(draft, |url| url.replacen("ca.test", "CA.test", 1));
    }),
    flaw("its url with the default port", URL, |draft| {
        change_url(draft, |url| url.replacen("ca.test", "ca.test:443", 1));
    }),
    flaw("its url with a doubled slash", URL, |draft| {
        change_url(draft, |url| url.replacen("ca.test/", "ca.test//", 1));
    }),
    flaw("its url with dot segments", URL, |draft| {
        change_url(draft, |url| url.replacen("ca.test/", "ca.test/x/../", 1));
    }),
    flaw("its url with a query", URL, |draft| {
        change_url(draft, |url| format!("{url}?"));
    }),
];

fn change_url(draft: &mut Draft<'_>, change: impl FnOnce(&str) -> String) {
    let url = change(&draft.target);
    draft.protect("url", url);
}

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

/// What else is read by POST-as-GET; a plain GET may read it as well.
fn open_routes(client: &Client, directory: String) -> Vec<(&'static str, String, Option<Value>)> {
    vec![
        ("directory", directory, None),
        ("newNonce", client.url("newNonce"), None),
    ]
}

/// All that the operator sees of accounts, orders and certificates.
fn seen(ca: &TestCa) -> Vec<Value> {
    let list = |what| asked(ca, &["list", what, "--json"]);
    let mut seen = ["accounts", "orders", "certificates"].map(list).to_vec();
    seen.push(asked(ca, &["status", "--json"])["rows"].clone());
    seen
}

#[test]
fn every_flaw_of_the_envelope_gets_its_problem_on_every_route_and_changes_nothing() {
    // 8555-6.2-1 8555-6.2-2 8555-6.2-3 8555-6.2-4 8555-6.2-5 8555-6.2-7 8555-6.2-9 8555-6.2-10
    // 8555-6.2-6 8555-6.2-11 8555-6.2-13 8555-6.4-1 8555-6.5-2 8555-7.1-2
    // T-CA-04 T-CA-10 T-CA-11 T-CA-12 T-CA-20 T-CA-26
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.set("limits.bad_signatures_per_minute", "100000");
        world.ca.start();
        let web = Responder::start((HOST, 80));
        block_on(async {
            let client = world.ca.subscriber().await;
            let stranger = client.with_key(Key::es256());
            let mut routes = routes(&client, &web).await;
            routes.extend(open_routes(&client, world.ca.directory()));
            let before = tokio::task::block_in_place(|| seen(&world.ca));
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
            let kid = flaw("an account where a key is asked for", MALFORMED, |_| {});
            wrong.extend(
                cell(
                    &client,
                    "newAccount",
                    &new_account.0,
                    Some(&new_account.1),
                    &kid,
                )
                .await,
            );
            assert!(
                wrong.is_empty(),
                "{} cells are wrong:\n{}",
                wrong.len(),
                wrong.join("\n")
            );

            // Nothing was made or changed by any of them.
            let after = tokio::task::block_in_place(|| seen(&world.ca));
            assert_eq!(before, after);
            assert_eq!(web.log().len(), 1, "a challenge was begun");
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
    faults.extend(common_faults(route, &answer));
    if flaw.want == ALGORITHM && !answer.json()["algorithms"].is_array() {
        faults.push("no list of algorithms".into());
    }
    (!faults.is_empty()).then(|| format!("{route}, {}: {}", flaw.name, faults.join("; ")))
}

/// What each answer to a POST must have, good or bad.
fn common_faults(route: &str, answer: &Response) -> Vec<String> {
    let mut faults = Vec::new();
    if answer.header("replay-nonce").is_none() {
        faults.push("no nonce".into());
    }
    if answer.header("cache-control") != Some("no-store") {
        faults.push("may be cached, and its nonce with it".into());
    }
    let index = "<https://ca.test/directory>;rel=\"index\"";
    if answer.links().contains(&index) == (route == "directory") {
        faults.push(format!("links {:?}", answer.links()));
    }
    faults
}

#[test]
fn good_requests_get_a_nonce_a_link_to_the_directory_and_no_place_in_a_cache() {
    // 8555-6.5-2 8555-7.1-2 T-CA-26
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            let mut client = world.ca.client().await;
            let mut answers = vec![
                ("newAccount", client.new_account().await.expect(201)),
                ("newAccount", client.new_account().await.expect(200)),
            ];
            let mut all = routes(&client, &web).await;
            all.extend(open_routes(&client, world.ca.directory()));
            for (route, url, payload) in &all {
                let (answer, want) = match (*route, payload) {
                    ("finalize", _) => continue,
                    ("newOrder", Some(payload)) => (client.post(url, payload).await, 201),
                    (_, Some(payload)) => (client.post(url, payload).await, 200),
                    ("newNonce", None) => (client.fetch(url).await, 204),
                    (_, None) => (client.fetch(url).await, 200),
                };
                answers.push((route, answer.expect(want)));
            }
            let placed = client.new_order(&["one.envelope.test"]).await.expect(201);
            let order = placed.json();
            assert_eq!(order["status"], "ready", "{order}");
            let (der, _) = csr(&["one.envelope.test"]);
            answers.push(("finalize", client.finalize(&order, &der).await.expect(200)));
            let wrong: Vec<_> = answers
                .iter()
                .map(|(route, answer)| (route, common_faults(route, answer)))
                .filter(|(_, faults)| !faults.is_empty())
                .collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
        });
    });
}

#[test]
fn an_empty_payload_makes_nothing() {
    // 8555-6.3-4
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.subscriber().await;
            let stranger = client.with_key(Key::es256());
            let order = client.new_order(&["empty.envelope.test"]).await.expect(201);
            let finalize = order.json()["finalize"].as_str().unwrap().to_owned();
            for (who, url) in [
                (&stranger, client.url("newAccount")),
                (&client, client.url("newOrder")),
                (&client, finalize),
            ] {
                let answer = who.fetch(&url).await;
                assert_eq!(
                    (answer.status, answer.problem().as_str()),
                    MALFORMED,
                    "{url}: {}",
                    answer.text()
                );
            }
        });
    });
}

#[test]
fn of_several_flaws_the_first_in_the_servers_order_is_told() {
    // 8555-6.2-6
    let find = |name: &str| FLAWS.iter().chain(&KID_FLAWS).find(|f| f.name == name);
    let order = [
        "application/json",
        "crit",
        "a nonce that nobody minted",
        "alg none",
        "an account that is not there",
        "a signature of other bytes",
        "the url of another resource",
    ]
    .map(|name| find(name).unwrap());
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.subscriber().await;
            let mut wrong = Vec::new();
            for (at, first) in order.iter().enumerate() {
                for second in &order[at + 1..] {
                    let url = client.kid.clone().unwrap();
                    let mut draft = client.draft_bytes(&url, Vec::new()).await;
                    (second.break_it)(&mut draft);
                    (first.break_it)(&mut draft);
                    let answer = client.send(&draft).await;
                    let got = (answer.status, answer.problem());
                    if (got.0, got.1.as_str()) != first.want {
                        wrong.push(format!("{} and {}: {got:?}", first.name, second.name));
                    }
                }
            }
            assert!(wrong.is_empty(), "{wrong:#?}");
        });
    });
}

#[test]
fn signatures_in_another_form_than_the_one_are_refused() {
    // T-CA-19
    inside(test_path!(), |world| {
        block_on(async {
            let first = world.ca.client().await;
            let mut eddsa = first.with_key(Key::generate("EdDSA"));
            let mut ecdsa = first.with_key(Key::es256());
            for client in [&mut eddsa, &mut ecdsa] {
                client.new_account().await.expect(201);
            }
            let zero = |signature: &[u8], half: usize| {
                let mut changed = signature.to_vec();
                changed[32 * half..32 * (half + 1)].fill(0);
                changed
            };
            type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
            let rows: [(&str, &Client, Change<'_>); 7] = [
                ("EdDSA, S + L", &eddsa, &plus_order),
                ("EdDSA, short", &eddsa, &|s| s[..63].to_vec()),
                ("ECDSA, DER", &ecdsa, &der_of),
                ("ECDSA, r = 0", &ecdsa, &|s| zero(s, 0)),
                ("ECDSA, s = 0", &ecdsa, &|s| zero(s, 1)),
                ("ECDSA, a zero before", &ecdsa, &|s| [&[0], s].concat()),
                ("ECDSA, short", &ecdsa, &|s| s[..63].to_vec()),
            ];
            let mut wrong = Vec::new();
            for (row, client, change) in rows {
                let url = client.kid.clone().unwrap();
                let mut draft = client.draft_bytes(&url, Vec::new()).await;
                let good = draft.envelope();
                let part = |name: &str| good[name].as_str().unwrap().to_owned();
                let message = format!("{}.{}", part("protected"), part("payload"));
                let signature = client.key.sign(message.as_bytes());
                draft.signature = Some(change(&signature));
                let answer = client.send(&draft).await;
                if (answer.status, answer.problem().as_str()) != MALFORMED {
                    wrong.push(format!("{row}: {} {}", answer.status, answer.text()));
                }
            }
            assert!(wrong.is_empty(), "{wrong:#?}");
        });
    });
}

/// The same point of the curve, with a scalar that is not reduced (RFC 8032 §5.1.7 refuses it).
fn plus_order(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut changed = signature.to_vec();
    let mut carry = 0;
    for (octet, more) in changed[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*octet) + u16::from(more) + carry;
        *octet = sum as u8;
        carry = sum >> 8;
    }
    changed
}

/// r and s as certificates have them, not as JWS wants them.
fn der_of(signature: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
    let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [&[0x30, both.len() as u8], both.as_slice()].concat()
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
