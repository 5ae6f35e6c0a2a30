//! Talks that are right and were once accused: nothing is found in them, neither a MUST nor advice.

use http::Method;
use serde_json::json;

use super::talk::{ACCOUNT, AUTHORIZATION, Ask, BASE, CHALLENGE, NAME, ORDER, Talk, csr, order};
use crate::dev::{Delivery, Finding, Step};

struct Right {
    name: &'static str,
    talk: fn(&mut Talk),
}

fn finalize(talk: &Talk) -> Ask {
    talk.finalize(&csr(&rcgen::KeyPair::generate().unwrap(), &["a.test"]))
}

const RIGHT: &[Right] = &[
    Right {
        name: "an answer has a Content-Type with a parameter, or none",
        talk: |t| {
            let path = ORDER.replace("Ord0000000001", "Ord0000000002");
            let mut other = order("pending");
            other["authorizations"] = json!([format!("{BASE}/acme/authorization/Ord0000000002")]);
            let ask = t.new_order(json!({})).shows(201, other);
            let ask = ask.told("location", &format!("{BASE}{path}"));
            t.send(ask.told("content-type", "application/json; charset=utf-8"));
            t.send(t.fetch(Step::Authorization, "/acme/authorization/Ord0000000002"));
            let mut ask = t.look("ready");
            ask.answer.headers.remove("content-type");
            let body = json!({ "certificate": format!("{BASE}/acme/certificate/Ord0000000001") });
            ask.answer.body = body.to_string().into();
            t.send(ask);
            t.send(t.fetch(Step::Certificate, "/acme/certificate/Ord0000000001"));
        },
    },
    Right {
        name: "the server hands a nonce out again",
        talk: |t| {
            let nonce = t.look("pending").protected["nonce"].clone();
            let same = nonce.as_str().unwrap().to_owned();
            t.send(t.look("pending").told("replay-nonce", &same));
            t.send(t.look("pending").protect("nonce", nonce));
        },
    },
    Right {
        name: "the server hands one nonce to two clients, one of which is told to wait",
        talk: |t| {
            let ask = t.look("processing").told("retry-after", "3");
            t.send(ask.told("replay-nonce", "nonce-0000"));
            let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
            t.send(head.on(2).told("replay-nonce", "nonce-0000"));
            t.send(t.look("processing").on(2).after(100));
        },
    },
    Right {
        name: "an account's URL was told under two hosts",
        talk: |t| {
            let url = format!("https://other.test{ACCOUNT}");
            t.send(t.new_account().told("location", &url));
            t.send(t.look("pending"));
            t.send(t.look("pending").protect("kid", url));
        },
    },
    Right {
        name: "the answer to a challenge showed it valid, and the order is not yet ready",
        talk: |t| {
            t.send(t.authorization("pending"));
            let valid = json!({ "status": "valid", "url": format!("{BASE}{CHALLENGE}") });
            t.send(t.challenge().shows(200, valid));
            t.send(finalize(t).refused(403, "orderNotReady"));
        },
    },
    Right {
        name: "the clock was moved since the order was looked at",
        talk: |t| {
            t.send(t.look("pending"));
            t.send(finalize(t).refused(403, "orderNotReady").moved(3600));
        },
    },
    Right {
        name: "JSON that is no JWS is sent to what is no resource",
        talk: |t| {
            let path = format!("{ORDER}/hook");
            let ask = t.plain(Method::POST, None, &path);
            t.send(ask.body(r#"{"ping":1}"#));
        },
    },
    Right {
        name: "each new order has an authorization that ended long ago",
        talk: |t| {
            for _ in 0..9 {
                t.order(json!({}));
                t.send(t.authorization("valid"));
            }
        },
    },
    Right {
        name: "an order was given twice",
        talk: |t| {
            t.order(json!({}));
            t.send(t.look("processing").told("retry-after", "3"));
            t.send(t.look("processing").after(100));
        },
    },
    Right {
        name: "a date is cut down to its second",
        talk: |t| {
            // 2030-03-17T17:46:40.9Z, and 2 s later without what is behind the second.
            let mut ask = t.look("processing");
            ask.exchange.at = cairn_acme::time::Timestamp::from_millis(1_900_000_000_900);
            t.send(ask.told("retry-after", "Sun, 17 Mar 2030 17:46:42 GMT"));
            t.send(t.look("processing").after(1100));
        },
    },
    Right {
        name: "a date is by the clock that was moved",
        talk: |t| {
            let ask = t.look("processing").moved(3600);
            t.send(ask.told("retry-after", "Sun, 17 Mar 2030 18:46:43 GMT"));
            t.send(t.look("processing").moved(3600).after(3000));
        },
    },
    Right {
        name: "badNonce comes with a nonce that is none",
        talk: |t| {
            let good = t.look("pending").protected["nonce"].clone();
            let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
            t.send(head);
            let ask = t.look("pending").refused(400, "badNonce");
            t.send(ask.told("replay-nonce", "no nonce!"));
            t.send(t.look("pending").protect("nonce", good));
        },
    },
    Right {
        name: "the retry after badNonce has a fresher nonce",
        talk: |t| {
            t.send(t.look("pending").refused(400, "badNonce"));
            let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
            t.send(head);
            t.send(t.look("pending"));
        },
    },
    Right {
        name: "the same is asked again and again while the clock moves on",
        talk: |t| (0..20).for_each(|n| drop(t.send(t.look("pending").moved(n * 3600)))),
    },
    Right {
        name: "two clients behind one address ask for one certificate's renewal",
        talk: |t| {
            let path = format!("/acme/renewal-info/{NAME}");
            for connection in [1, 2] {
                let ask = t.plain(Method::GET, Some(Step::RenewalInfo), &path);
                t.send(ask.told("retry-after", "3600").on(connection));
            }
        },
    },
];

#[test]
fn what_is_right_is_not_accused() {
    let mut wrong = Vec::new();
    for right in RIGHT {
        let mut talk = Talk::with_order();
        (right.talk)(&mut talk);
        let found = talk.checker.ledger().findings();
        if !found.is_empty() {
            wrong.push((right.name, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A client that kept a nonce over a restart of the server uses it before any was handed out.
#[test]
fn a_nonce_of_an_earlier_run_is_not_accused() {
    let ask = Talk::new().new_account().refused(400, "badNonce");
    let mut talk = Talk::silent();
    talk.send(ask);
    assert_eq!(talk.checker.ledger().findings(), Vec::<Finding>::new());
}

/// Addresses are masked in what a finding says, and of whom.
#[test]
fn a_finding_holds_no_address() {
    let mut talk = Talk::with_order();
    let ask = talk.look("pending").header("user-agent", "joe@example.org");
    let mut found = talk.send(ask);
    let path = format!("{AUTHORIZATION}/joe@example.org");
    found.extend(talk.send(talk.fetch(Step::Authorization, &path)));
    let ask = talk.plain(Method::POST, Some(Step::NewOrder), "/acme/new-order");
    let ask = ask.body("[]").header("user-agent", "c/1 joe@example.org");
    found.extend(talk.send(ask));
    assert!(found.len() > 2, "{found:?}");
    for finding in found {
        assert!(!format!("{finding:?}").contains("joe"), "{finding:?}");
    }
}

/// An answer that came in drips may have come in part: it binds nobody.
#[test]
fn an_answer_of_which_a_part_may_have_come_binds_nobody() {
    let mut talk = Talk::with_order();
    let mut ask = talk.look("processing").told("retry-after", "3");
    ask.exchange.delivery = Delivery::Part;
    talk.send(ask);
    talk.send(talk.look("processing").after(100));
    assert_eq!(talk.checker.ledger().findings(), Vec::<Finding>::new());
}
