//! Checks that several exchanges show.

use http::Method;
use serde_json::json;

use super::{
    Case, Rule,
    talk::{AUTHORIZATION, Ask, NAME, Talk, csr, order},
};
use crate::dev::Step;

fn with(steps: impl FnOnce(&mut Talk)) -> Talk {
    let mut talk = Talk::with_order();
    steps(&mut talk);
    talk
}

fn finalize(talk: &Talk) -> Ask {
    talk.finalize(&csr(&rcgen::KeyPair::generate().unwrap(), &["a.test"]))
}

fn window(talk: &Talk) -> Ask {
    let path = format!("/acme/renewal-info/{NAME}");
    talk.plain(Method::GET, Some(Step::RenewalInfo), &path)
        .told("retry-after", "3600")
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = nonces();
    cases.extend(pauses());
    cases.extend(states());
    cases
}

fn nonces() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::NonceTwice,
            breaks: || {
                with(|t| {
                    let first = t.look("pending");
                    let nonce = first.protected["nonce"].clone();
                    t.send(first);
                    t.send(t.authorization("pending").protect("nonce", nonce));
                })
            },
            // The same octets again, after the answer to the first was lost.
            right: || {
                with(|t| {
                    let (first, again) = (t.look("pending"), t.look("pending"));
                    t.send(first.lost());
                    t.send(again.on(2));
                })
            },
        },
        Case {
            rule: Rule::NonceUnknown,
            breaks: || with(|t| drop(t.send(t.look("pending").protect("nonce", "made-up")))),
            // Of the length that the server's have: an earlier run of it may have handed it out.
            right: || with(|t| drop(t.send(t.look("pending").protect("nonce", "nonce-9999")))),
        },
        Case {
            rule: Rule::NonceInvalid,
            breaks: || {
                with(|t| {
                    t.send(t.look("pending").told("replay-nonce", "no nonce!"));
                    t.send(t.look("pending"));
                })
            },
            right: || {
                with(|t| {
                    let kept = t.look("pending").protected["nonce"].clone();
                    t.send(
                        t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce")
                            .told("replay-nonce", "no nonce!"),
                    );
                    t.send(t.look("pending").protect("nonce", kept));
                })
            },
        },
        Case {
            rule: Rule::BadNonceRetry,
            breaks: || {
                with(|t| {
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head);
                    let pooled = t.look("pending").protected["nonce"].clone();
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head);
                    t.send(t.look("pending").refused(400, "badNonce"));
                    t.send(t.look("pending").protect("nonce", pooled));
                })
            },
            // The next poll is no retry, and another client's request is none either.
            right: || {
                with(|t| {
                    t.send(t.look("pending").refused(400, "badNonce"));
                    t.send(t.look("pending"));
                    t.send(t.look("pending").refused(400, "badNonce"));
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head.on(2));
                    t.send(t.look("pending").on(2));
                    t.send(t.look("pending").refused(400, "badNonce"));
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head);
                    t.send(t.look("pending").after(2000));
                })
            },
        },
        Case {
            rule: Rule::AlgorithmAgain,
            breaks: || {
                with(|t| {
                    let refuse = |ask: Ask| {
                        let mut ask = ask.refused(400, "badSignatureAlgorithm");
                        let problem = json!({
                            "type": "urn:ietf:params:acme:error:badSignatureAlgorithm",
                            "algorithms": ["ES256"],
                        });
                        ask.answer.body = problem.to_string().into();
                        ask.protect("alg", "PS256")
                    };
                    t.send(refuse(t.new_account()));
                    t.send(refuse(t.new_account()));
                })
            },
            right: || {
                with(|t| {
                    let ask = t.new_account().refused(400, "badSignatureAlgorithm");
                    t.send(ask.protect("alg", "PS256"));
                    t.send(t.new_account());
                })
            },
        },
    ]
}

fn pauses() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::RetryAfter,
            breaks: || {
                with(|t| {
                    let later = t.new_order(json!({})).refused(429, "rateLimited");
                    t.send(later.told("retry-after", "3"));
                    t.send(t.new_order(json!({})).after(2000));
                })
            },
            // By a date, and then a lost answer, and then another order, which is another request.
            right: || {
                with(|t| {
                    let later = t.new_order(json!({})).refused(503, "serverInternal");
                    t.send(later.told("retry-after", "Sun, 17 Mar 2030 17:46:43 GMT"));
                    let later = t.new_order(json!({})).refused(429, "rateLimited");
                    t.send(later.told("retry-after", "900").after(2950).lost());
                    let later = t.new_order(json!({})).refused(429, "rateLimited");
                    t.send(later.told("retry-after", "900"));
                    // Nobody waits for ever.
                    let later = t.new_order(json!({})).refused(429, "rateLimited");
                    t.send(later.told("retry-after", "900").after(300_000));
                    let names = json!({ "identifiers": [{ "type": "dns", "value": "b.test" }] });
                    t.send(t.new_order(names));
                    // Of another process with the same account.
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head.on(2));
                    t.send(t.new_order(json!({})).on(2));
                })
            },
        },
        Case {
            rule: Rule::HotLoop,
            breaks: || with(|t| (0..12).for_each(|_| drop(t.send(t.look("pending").after(50))))),
            right: || {
                with(|t| {
                    (0..9).for_each(|_| drop(t.send(t.look("pending").after(50))));
                    t.send(t.look("pending").after(2000));
                    (0..20).for_each(|_| drop(t.send(t.look("pending").after(150))));
                    // Whoever is served may come as often as it likes.
                    (0..20).for_each(|_| t.order(json!({})));
                })
            },
        },
        Case {
            rule: Rule::ActionRequired,
            breaks: || {
                with(|t| {
                    t.send(t.new_order(json!({})).refused(403, "userActionRequired"));
                    t.send(t.new_order(json!({})).after(100));
                })
            },
            right: || {
                with(|t| {
                    t.send(t.new_order(json!({})).refused(403, "userActionRequired"));
                    t.send(t.new_order(json!({})).after(60_000));
                })
            },
        },
        Case {
            rule: Rule::PollOrder,
            breaks: || {
                with(|t| {
                    t.send(t.look("processing").told("retry-after", "3"));
                    t.send(t.look("valid").after(100));
                })
            },
            right: || {
                with(|t| {
                    t.send(t.look("processing").told("retry-after", "3"));
                    // Another process of the account does not know it, however soon it looks.
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head.on(2).after(1));
                    t.send(t.look("processing").on(2).told("retry-after", "3"));
                    t.send(
                        t.look("processing")
                            .on(2)
                            .after(2990)
                            .told("retry-after", "3")
                            .lost(),
                    );
                    t.send(
                        t.look("processing")
                            .on(2)
                            .after(1)
                            .told("retry-after", "900"),
                    );
                    // The test lets time pass.
                    t.send(t.look("processing").on(2).moved(1000));
                })
            },
        },
        Case {
            rule: Rule::PollAuthz,
            breaks: || {
                with(|t| {
                    t.send(t.authorization("pending").told("retry-after", "3"));
                    // The next connection uses the nonce of the last: it is the same client.
                    t.send(t.authorization("pending").on(2).after(100));
                })
            },
            right: || {
                with(|t| {
                    t.send(t.authorization("pending").told("retry-after", "3"));
                    t.send(
                        t.authorization("valid")
                            .on(2)
                            .after(3000)
                            .told("retry-after", "3"),
                    );
                    t.send(t.authorization("valid").on(2).after(1));
                })
            },
        },
        Case {
            rule: Rule::RenewalEarly,
            breaks: || {
                with(|t| {
                    t.send(window(t));
                    t.send(window(t).after(1000));
                })
            },
            right: || {
                with(|t| {
                    t.send(window(t));
                    t.send(window(t).header("user-agent", "other/1"));
                    t.send(window(t).after(3_600_000));
                    t.send(window(t).moved(3600));
                })
            },
        },
        Case {
            rule: Rule::RenewalHot,
            breaks: || {
                with(|t| {
                    (0..6).for_each(|_| drop(t.send(window(t).refused(500, "serverInternal"))));
                })
            },
            right: || {
                with(|t| {
                    (0..4).for_each(|_| drop(t.send(window(t).refused(500, "serverInternal"))));
                    t.send(window(t).refused(500, "serverInternal").after(2000));
                    t.send(window(t));
                })
            },
        },
    ]
}

fn states() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::OrderChanged,
            breaks: || {
                with(|t| {
                    let mut other = order("ready");
                    other["identifiers"] = json!([{ "type": "dns", "value": "b.test" }]);
                    t.send(t.look("ready").shows(200, other));
                    t.send(finalize(t));
                })
            },
            right: || {
                with(|t| {
                    let mut same = order("ready");
                    same["identifiers"] = json!([{ "value": "A.test", "type": "dns" }]);
                    t.send(t.look("ready").shows(200, same));
                    t.send(finalize(t));
                })
            },
        },
        Case {
            rule: Rule::FinalizeEnded,
            breaks: || {
                with(|t| {
                    t.send(t.look("valid"));
                    t.send(finalize(t).refused(403, "orderNotReady"));
                })
            },
            // The answer to the first was lost; and a refusal ends nothing.
            right: || {
                with(|t| {
                    t.send(t.look("ready"));
                    t.send(finalize(t).lost());
                    t.send(finalize(t).refused(500, "serverInternal"));
                    t.send(finalize(t));
                })
            },
        },
        Case {
            rule: Rule::PollEnded,
            breaks: || with(|t| (0..8).for_each(|_| drop(t.send(t.look("valid").after(500))))),
            right: || {
                with(|t| {
                    (0..4).for_each(|_| drop(t.send(t.look("valid").after(500))));
                    (0..9).for_each(|_| drop(t.send(t.authorization("pending").after(500))));
                })
            },
        },
        Case {
            rule: Rule::AnsweredEnded,
            breaks: || {
                with(|t| {
                    t.send(t.authorization("valid"));
                    t.send(t.challenge());
                })
            },
            // Again while it is under way, which RFC 8555 §8.2 allows; and when another client knew that it had ended.
            right: || {
                with(|t| {
                    t.send(t.authorization("pending"));
                    t.send(t.challenge());
                    t.send(t.challenge());
                    t.send(t.authorization("valid"));
                    let head = t.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
                    t.send(head.on(2));
                    t.send(t.challenge().on(2));
                })
            },
        },
        Case {
            rule: Rule::BadToken,
            breaks: || {
                with(|t| {
                    let mut ask = t.authorization("pending");
                    let body = String::from_utf8(ask.answer.body.to_vec()).unwrap();
                    ask.answer.body = body.replace("evaGxfADs6pSRb", "../../../../etc").into();
                    t.send(ask);
                    t.send(t.challenge());
                })
            },
            right: || {
                with(|t| {
                    t.send(t.authorization("pending"));
                    t.send(t.challenge());
                })
            },
        },
        Case {
            rule: Rule::ReplacesAgain,
            breaks: || {
                with(|t| {
                    let replaces = json!({ "replaces": NAME });
                    t.directory(json!({ "renewalInfo": "x" }));
                    t.send(
                        t.new_order(replaces.clone())
                            .refused(409, "alreadyReplaced"),
                    );
                    t.order(replaces);
                })
            },
            // An order that came to nothing replaces nothing.
            right: || {
                with(|t| {
                    t.directory(json!({ "renewalInfo": "x" }));
                    t.order(json!({ "replaces": NAME }));
                    t.send(t.look("invalid"));
                    t.order(json!({ "replaces": NAME }));
                    t.send(t.fetch(Step::Authorization, AUTHORIZATION));
                })
            },
        },
    ]
}
