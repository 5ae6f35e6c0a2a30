//! What each resource answers: statuses, headers, members.

use cairn_ca::config::Span;
use cairn_testkit::acme::{Client, Key, Response, csr};
use serde_json::{Value, json};

use crate::world::World;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn links(answer: &Response) -> Vec<String> {
    answer
        .headers
        .get_all("link")
        .iter()
        .map(|link| link.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directory_and_new_nonce_answer_get_head_and_post_as_get() {
    // 8555-7.1-1 8555-7.1.1-1 8555-7.2-1 8555-6.3-1 8555-6.3-2
    let world = World::start().await;
    let client = world.subscriber().await;
    let directory = format!("{}/directory", world.url);
    for answer in [
        client.plain("GET", &directory).await,
        client.fetch(&directory).await,
    ] {
        let answer = answer.expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        for member in ["newNonce", "newAccount", "newOrder"] {
            assert!(
                text(&answer.json()[member]).starts_with(&world.url),
                "{member}"
            );
        }
        assert!(
            links(&answer).is_empty(),
            "the directory has no link to itself"
        );
    }
    let new_nonce = client.url("newNonce");
    for (answer, status) in [
        (client.plain("HEAD", &new_nonce).await, 200),
        (client.plain("GET", &new_nonce).await, 204),
        (client.fetch(&new_nonce).await, 204),
    ] {
        let answer = answer.expect(status);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("replay-nonce")
                .is_some_and(|nonce| nonce.len() <= 43)
        );
    }
    assert_eq!(
        client
            .post(&new_nonce, &json!({}))
            .await
            .expect(400)
            .problem(),
        "malformed"
    );
    let wrong = client.plain("PUT", &directory).await.expect(405);
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, POST"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_come_from_the_configuration_and_never_from_the_host_header() {
    // T-CA-132 T-CA-12 8555-6.4-2
    let world = World::start().await;
    let client = world.subscriber().await;
    for (name, value) in [
        ("host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "host=evil.test"),
    ] {
        let mut draft = client
            .draft_bytes(&format!("{}/directory", world.url), Vec::new())
            .await;
        draft.header(name, Some(value));
        let answer = client.send(&draft).await.expect(200);
        assert!(!answer.text().contains("evil"), "{name}");
        let mut draft = client
            .draft(
                &client.url("newOrder"),
                &json!({ "identifiers": [{ "type": "dns", "value": "a.test" }] }),
            )
            .await;
        draft
            .protect("url", "https://evil.test/acme/new-order")
            .header(name, Some(value));
        assert_eq!(
            client.send(&draft).await.expect(403).problem(),
            "unauthorized",
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_made_found_updated_and_deactivated() {
    // 8555-7.3-2 8555-7.3-3 8555-7.3.1-1 8555-7.3.2-1 8555-7.3.2-2 8555-7.3.6-1 8555-7.3.6-2 T-CA-32 T-CA-33
    let world = World::start().await;
    let mut client = world.stranger().await;
    let new_account = client.url("newAccount");
    let only = json!({ "onlyReturnExisting": true });
    assert_eq!(
        client.post(&new_account, &only).await.expect(400).problem(),
        "accountDoesNotExist"
    );
    let wanted = json!({ "contact": ["mailto:a@example.test"], "status": "deactivated", "orders": "x", "unknown": 1, "onlyReturnExisting": false });
    let made = client.new_account_with(wanted).await.expect(201);
    assert_eq!(made.json()["status"], "valid");
    assert_eq!(made.json()["contact"], json!(["mailto:a@example.test"]));
    assert!(
        made.json().get("onlyReturnExisting").is_none() && made.json().get("unknown").is_none()
    );
    assert_eq!(
        links(&made),
        [format!("<{}/directory>;rel=\"index\"", world.url)]
    );
    let kid = made.location();

    let other_contacts = json!({ "contact": ["mailto:b@example.test"] });
    let found = client.post(&new_account, &other_contacts).await;
    assert_eq!(
        found.problem(),
        "malformed",
        "newAccount wants the key, not the account: {}",
        found.text()
    );
    let mut again = client.clone();
    let found = again
        .new_account_with(other_contacts.clone())
        .await
        .expect(200);
    assert_eq!(
        (found.location(), &found.json()["contact"]),
        (kid.clone(), &json!(["mailto:a@example.test"]))
    );
    let found = again
        .new_account_with(json!({ "contact": ["tel:+1"] }))
        .await
        .expect(200);
    assert_eq!(
        found.location(),
        kid,
        "what the request says of contacts is ignored for a known key"
    );

    let update = json!({ "contact": ["mailto:b@example.test"], "status": "valid", "id": "x", "createdAt": "x", "termsOfServiceAgreed": false });
    let updated = client.post(&kid, &update).await.expect(200);
    assert_eq!(updated.json()["contact"], json!(["mailto:b@example.test"]));
    assert_eq!(
        client.fetch(&kid).await.expect(200).json()["contact"],
        json!(["mailto:b@example.test"])
    );

    let stranger = world.subscriber().await;
    for url in [
        kid.clone(),
        format!("{}/acme/account/AAAAAAAAAAAAAAAAAAAAAA", world.url),
        format!("{}/acme/account/x", world.url),
    ] {
        assert_eq!(
            stranger.fetch(&url).await.expect(403).problem(),
            "unauthorized",
            "{url}"
        );
    }

    assert_eq!(
        client
            .post(&kid, &json!({ "status": "deactivated" }))
            .await
            .expect(200)
            .json()["status"],
        "deactivated"
    );
    assert_eq!(
        client.fetch(&kid).await.expect(401).problem(),
        "unauthorized"
    );
    assert_eq!(
        client.clone().new_account().await.expect(401).problem(),
        "unauthorized"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_that_cannot_be_taken_are_refused_and_make_no_account() {
    // 8555-7.3-5 8555-7.3-6 T-CA-34
    let world = World::start().await;
    let mut client = world.stranger().await;
    let mut wrong = Vec::new();
    for (contact, want) in [
        ("tel:+123", "unsupportedContact"),
        ("javascript:alert(1)", "unsupportedContact"),
        ("mailto:a@example.test?bcc=b@example.test", "invalidContact"),
        ("mailto:a@example.test,b@example.test", "invalidContact"),
        ("", "invalidContact"),
    ] {
        let answer = client
            .new_account_with(json!({ "contact": [contact] }))
            .await;
        if (answer.status, answer.problem().as_str()) != (400, want) {
            wrong.push(format!(
                "{contact:?}: {} {}",
                answer.status,
                answer.problem()
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let only = client
        .new_account_with(json!({ "onlyReturnExisting": true }))
        .await;
    assert_eq!(only.problem(), "accountDoesNotExist");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_must_be_agreed_to_where_there_are_terms() {
    // T-CA-40 8555-7.3-4 8555-7.3.3-1
    let terms = "https://ca.test/terms";
    let world = World::with(|config| config.accounts.terms = Some(terms.to_owned())).await;
    let mut client = world.stranger().await;
    assert_eq!(client.directory["meta"]["termsOfService"], terms);
    for payload in [json!({}), json!({ "termsOfServiceAgreed": false })] {
        let answer = client.new_account_with(payload).await.expect(403);
        assert_eq!(answer.problem(), "userActionRequired");
        assert_eq!(answer.json()["instance"], terms);
        assert!(links(&answer).contains(&format!("<{terms}>;rel=\"terms-of-service\"")));
    }
    let text = client
        .new_account_with(json!({ "termsOfServiceAgreed": "true" }))
        .await
        .expect(400);
    assert_eq!(text.problem(), "malformed");
    assert_eq!(
        client.new_account().await.expect(201).json()["termsOfServiceAgreed"],
        true
    );
}

/// One order's objects of a client.
async fn objects(client: &Client, name: &str) -> Vec<(&'static str, String)> {
    let placed = client.new_order(&[name]).await.expect(201);
    let order = placed.json();
    let authorization = text(&order["authorizations"][0]);
    let challenge =
        text(&client.fetch(&authorization).await.expect(200).json()["challenges"][0]["url"]);
    vec![
        ("order", placed.location()),
        ("authorization", authorization),
        ("challenge", challenge),
        ("finalize", text(&order["finalize"])),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_objects_look_like_absent_ones() {
    // T-CA-28 T-CA-30 8555-6.3-3 8555-7.4.2-7 8555-6.7-3b 8555-10.2-1 8555-10.5-3
    let world = World::start().await;
    let (owner, stranger) = (
        world.subscriber().await,
        world.stranger().await.with_key(Key::es256()),
    );
    let mut stranger = stranger;
    stranger.new_account().await.expect(201);
    let mut theirs = objects(&owner, "a.foreign.test").await;
    let got = owner.obtain(&["b.foreign.test"], &world.web).await;
    theirs.push(("certificate", got.certificate));
    let theirs_order = theirs[0].1.clone();
    for (what, url) in theirs {
        let (place, id) = match what {
            "finalize" => url.trim_end_matches("/finalize").rsplit_once('/').unwrap(),
            "challenge" => url.trim_end_matches("/http-01").rsplit_once('/').unwrap(),
            _ => url.rsplit_once('/').unwrap(),
        };
        // The first characters stay: an id of another time would be one that was never given.
        let (head, tail) = id.split_at(id.len() - 6);
        let other = if what == "certificate" {
            "012345"
        } else {
            "AAAAAA"
        };
        assert_ne!(tail, other);
        let absent = url.replace(&format!("{place}/{id}"), &format!("{place}/{head}{other}"));
        let payloads = if what == "finalize" {
            vec![json!({ "csr": "AA" })]
        } else {
            vec![Value::Null, json!({ "status": "deactivated" })]
        };
        for payload in payloads {
            let ask = async |url: &str| {
                if payload.is_null() {
                    stranger.fetch(url).await
                } else {
                    stranger.post(url, &payload).await
                }
            };
            let (foreign, absent) = (ask(&url).await, ask(&absent).await);
            assert_eq!(
                (foreign.status, foreign.text()),
                (absent.status, absent.text()),
                "{what} {payload}"
            );
            let read_only = !payload.is_null() && matches!(what, "order" | "certificate");
            assert_eq!(
                foreign.status,
                if read_only { 400 } else { 404 },
                "{what} {payload}: {}",
                foreign.text()
            );
            assert_eq!(foreign.problem(), "malformed", "{what} {payload}");
        }
    }
    // An id in the place of another kind is absent as well, for its owner, too.
    let again = objects(&owner, "a.foreign.test").await;
    let id = |at: usize| again[at].1.rsplit('/').next().unwrap().to_owned();
    for url in [
        again[0].1.replace(&id(0), &id(1)),
        again[1].1.replace(&id(1), &id(0)),
        again[2].1.replace(&id(1), &id(0)),
        again[3].1.replace(&id(0), &id(1)),
    ] {
        let answer = match url.ends_with("/finalize") {
            true => owner.post(&url, &json!({ "csr": "AA" })).await,
            false => owner.fetch(&url).await,
        };
        assert_eq!(answer.expect(404).problem(), "malformed", "{url}");
    }
    // A stranger's answer to the challenge began nothing.
    assert_eq!(again[0].1, theirs_order);
    for (what, url) in &again[..3] {
        let object = owner.fetch(url).await.expect(200).json();
        assert_eq!(object["status"], "pending", "{what}");
    }
    assert_eq!(world.web.log().len(), 1, "one name was validated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_and_serials_cannot_be_guessed_from_those_before() {
    // T-CA-29 8555-10.5-3
    let world = World::start().await;
    let client = world.subscriber().await;
    let last = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let mut ids = Vec::new();
    for n in 0..24 {
        let placed = client.new_order(&[&format!("n{n}.id.test")]).await;
        ids.push(last(&placed.expect(201).location()));
    }
    let mut serials = Vec::new();
    for n in 0..12 {
        let name = format!("s{n}.id.test");
        serials.push(last(&client.obtain(&[&name], &world.web).await.certificate));
    }
    // The last sixty bits: twelve characters of base64url, fifteen of hexadecimal. Each place of each takes many values.
    for (given, places) in [(ids, 10), (serials, 15)] {
        for back in 1..=places {
            let seen = given.iter().map(|one| one.as_bytes()[one.len() - back]);
            let seen: std::collections::BTreeSet<u8> = seen.collect();
            assert!(seen.len() > 2, "{back} from the end: {given:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_order_on_its_way_shows_the_headers_and_members_of_each_step() {
    // 8555-7.4-1 8555-7.4-7 8555-7.4-9 8555-7.4-10 8555-7.4.2-1 8555-7.5.1-2 8555-7.5.1-7 8555-7.1-2 8555-7.1.3-1
    // 8555-7.1.4-1 8555-8-1 T-CA-33
    let world = World::with(|config| config.limits.hold = Span::from_secs(30)).await;
    let client = world.subscriber().await;
    let wanted = json!({
        "identifiers": [{ "type": "dns", "value": "Way.Resource.test" }, { "type": "dns", "value": "way.resource.test" }],
        "status": "ready", "authorizations": [], "expires": "9999-01-01T00:00:00Z",
    });
    let placed = client
        .post(&client.url("newOrder"), &wanted)
        .await
        .expect(201);
    let (url, order) = (placed.location(), placed.json());
    assert_eq!(order["status"], "pending");
    assert_eq!(
        order["identifiers"],
        json!([{ "type": "dns", "value": "way.resource.test" }])
    );
    assert_ne!(order["expires"], "9999-01-01T00:00:00Z");
    assert!(
        order["expires"].is_string()
            && order.get("certificate").is_none()
            && order.get("error").is_none()
    );
    let (request, _) = csr(&["way.resource.test"]);
    assert_eq!(
        client
            .finalize(&order, &request)
            .await
            .expect(403)
            .problem(),
        "orderNotReady"
    );

    let authorization_url = text(&order["authorizations"][0]);
    let authorization = client.fetch(&authorization_url).await.expect(200).json();
    assert_eq!(authorization["status"], "pending");
    assert!(authorization.get("wildcard").is_none());
    let challenge = authorization["challenges"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == "http-01")
        .unwrap();
    let challenge_url = text(&challenge["url"]);
    let read = client.fetch(&challenge_url).await.expect(200);
    assert_eq!(
        read.json()["status"],
        "pending",
        "a POST-as-GET starts nothing"
    );
    assert!(links(&read).contains(&format!("<{authorization_url}>;rel=\"up\"")));
    let token = text(&challenge["token"]);
    world.web.token(&token, &client.key.authorization(&token));
    assert_eq!(
        client
            .post(&challenge_url, &json!([]))
            .await
            .expect(400)
            .problem(),
        "malformed"
    );
    let answered = client
        .post(&challenge_url, &json!({ "unknown": true }))
        .await
        .expect(200);
    assert_eq!(
        answered.json()["status"],
        "valid",
        "held until the validation ended: {}",
        answered.text()
    );
    assert!(answered.json()["validated"].is_string());
    assert_eq!(
        client
            .post(&challenge_url, &json!({}))
            .await
            .expect(200)
            .json()["status"],
        "valid",
        "a valid one is shown"
    );
    assert_eq!(
        client.fetch(&authorization_url).await.expect(200).json()["status"],
        "valid"
    );

    let ready = client.fetch(&url).await.expect(200);
    assert_eq!(
        (ready.json()["status"].as_str(), ready.location()),
        (Some("ready"), url.clone())
    );
    assert_eq!(
        client
            .post(&text(&order["finalize"]), &json!({ "csr": "A===" }))
            .await
            .expect(400)
            .problem(),
        "malformed"
    );
    assert_eq!(
        client
            .post(&text(&order["finalize"]), &json!({ "csr": "AAAA" }))
            .await
            .expect(400)
            .problem(),
        "badCSR"
    );
    assert_eq!(
        client.fetch(&url).await.json()["status"],
        "ready",
        "a refused CSR leaves the order ready"
    );
    let done = client.finalize(&order, &request).await.expect(200);
    assert_eq!(
        (done.json()["status"].as_str(), done.location()),
        (Some("valid"), url.clone()),
        "{}",
        done.text()
    );
    assert_eq!(
        client
            .finalize(&order, &request)
            .await
            .expect(403)
            .problem(),
        "orderNotReady"
    );

    let chain = client
        .fetch(&text(&done.json()["certificate"]))
        .await
        .expect(200);
    assert_eq!(
        chain.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    assert_eq!(chain.header("cache-control"), Some("no-store"));
    assert!(chain.text().starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert_eq!(
        client
            .post(&text(&done.json()["certificate"]), &json!({}))
            .await
            .expect(400)
            .problem(),
        "malformed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_is_deactivated_for_good_and_its_order_with_it() {
    // 8555-7.5.2-1 8555-7.1.6-3
    let world = World::start().await;
    let client = world.subscriber().await;
    let found = objects(&client, "gone.resource.test").await;
    let url = |what: &str| {
        found
            .iter()
            .find(|(other, _)| *other == what)
            .unwrap()
            .1
            .clone()
    };
    let authorization = url("authorization");
    assert_eq!(
        client
            .post(&authorization, &json!({ "status": "valid" }))
            .await
            .expect(400)
            .problem(),
        "malformed"
    );
    assert_eq!(
        client
            .post(&authorization, &json!({ "status": "deactivated" }))
            .await
            .expect(200)
            .json()["status"],
        "deactivated"
    );
    assert_eq!(
        client.fetch(&url("order")).await.expect(200).json()["status"],
        "invalid"
    );
    assert_eq!(
        client
            .post(&url("challenge"), &json!({}))
            .await
            .expect(400)
            .problem(),
        "malformed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_orders_of_an_account_are_bounded_and_identical_ones_are_one() {
    // T-CA-115 8555-6.6-1
    let world = World::with(|config| config.limits.pending_orders = 2).await;
    let client = world.subscriber().await;
    let first = client.new_order(&["a.bound.test"]).await.expect(201);
    assert_eq!(
        client
            .new_order(&["A.bound.test"])
            .await
            .expect(201)
            .location(),
        first.location()
    );
    client.new_order(&["b.bound.test"]).await.expect(201);
    let refused = client.new_order(&["c.bound.test"]).await.expect(429);
    assert_eq!(refused.problem(), "rateLimited");
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    let authorization = text(&first.json()["authorizations"][0]);
    client
        .post(&authorization, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    client.new_order(&["c.bound.test"]).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_signatures_of_an_address_are_bounded_before_they_are_verified() {
    // T-CA-112
    let world = World::with(|config| config.limits.bad_signatures_per_minute = 3).await;
    let client = world.subscriber().await;
    let kid = client.kid.clone().unwrap();
    for want in [400, 400, 400, 429] {
        let mut draft = client.draft_bytes(&kid, Vec::new()).await;
        draft.signature = Some(client.key.sign(b"other"));
        let answer = client.send(&draft).await.expect(want);
        assert!(answer.header("replay-nonce").is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_comes_as_a_chain_or_as_the_leaf_alone_as_the_client_likes() {
    // 8555-7.4.2-1 8555-7.4.2-3 8555-7.4.2-6
    let world = World::start().await;
    let client = world.subscriber().await;
    let got = client.obtain(&["accept.test"], &world.web).await;
    let ask = async |accept: Option<&str>| {
        let mut draft = client.draft_bytes(&got.certificate, Vec::new()).await;
        draft.header("accept", accept);
        client.send(&draft).await.expect(200)
    };
    for accept in [
        None,
        Some("application/pkcs7-mime"),
        Some("*/*, application/pkix-cert"),
    ] {
        let answer = ask(accept).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/pem-certificate-chain")
        );
        assert_eq!(answer.text(), got.chain);
    }
    let answer = ask(Some("application/pkix-cert, */*;q=0.1")).await;
    assert_eq!(answer.header("content-type"), Some("application/pkix-cert"));
    assert_eq!(answer.body, got.leaf());
    let up = answer.links().into_iter().find(|l| l.contains("\"up\""));
    let up = up.expect("a link to the issuer").to_owned();
    let path = up.split(['<', '>']).nth(1).unwrap();
    let path = path.splitn(4, '/').nth(3).unwrap();
    // The link leads to the certificate that verifies this one.
    let published = format!("http://{}/{path}", world.publication());
    let issuer = client.plain("GET", &published).await.expect(200).body;
    let chain: Vec<&str> = got.chain.split("\n\n").collect();
    assert_eq!(
        cairn_x509::certificate::pem("CERTIFICATE", &issuer),
        chain[1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_mean_nothing_here_change_nothing() {
    let world = World::start().await;
    let client = world.subscriber().await;
    let new_order = client.url("newOrder");
    let wanted = json!({ "identifiers": [] });
    let plain = client.post(&new_order, &wanted).await.expect(400);
    // 8555-6.1-3
    let mut draft = client.draft(&new_order, &wanted).await;
    draft.header("accept-language", Some("de-CH, de;q=0.9, *;q=0.5"));
    let german = client.send(&draft).await.expect(400);
    assert_eq!(german.header("content-language"), Some("en"));
    assert_eq!(german.json()["detail"], plain.json()["detail"]);
    // 8555-6.5.1-1: the nonce that counts is the signed one.
    let mut draft = client
        .draft_bytes(&client.url("newNonce"), Vec::new())
        .await;
    draft.header("replay-nonce", Some("bm90LWEtbm9uY2U"));
    client.send(&draft).await.expect(204);
}
