//! What happens at the same moment: a deactivation beside everything else, one request a hundred times, clients that
//! hang up at the worst moment.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use cairn_ca::{
    config::Span,
    id::{AccountId, AuthorizationId},
    model::OrderState,
    store::{FaultHook, FaultPoint, Filter},
};
use cairn_testkit::{
    acme::{Draft, Key, Response, csr, encode},
    http::{CHALLENGES, Reply},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, task::JoinSet};

use crate::{
    listener::connect,
    steps::{challenge, id, list, ready, until},
    world::World,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_validation_does_not_revive_a_deactivated_authorization() {
    // T-CA-43 8555-7.5.2-1
    let world = World::start().await;
    let client = world.subscriber().await;
    for (name, wait) in [("quick.race.test", 60), ("durable.race.test", 600)] {
        let placed = client.new_order(&[name]).await.expect(201);
        let authorization = list(&placed.json()["authorizations"]).remove(0);
        let (url, token) = challenge(&client, &authorization).await;
        let (target, answer) = (
            format!("{CHALLENGES}{token}"),
            client.key.authorization(&token),
        );
        let late = Reply::Delay(
            Duration::from_millis(wait),
            Box::new(Reply::Body(answer.into_bytes())),
        );
        world.web.on_host(name, &target, late);
        let posted = tokio::spawn({
            let (client, url) = (client.clone(), url.clone());
            async move { client.post(&url, &json!({})).await }
        });
        until("the responder is asked", async || {
            world.web.log().iter().any(|r| r.target == target)
        })
        .await;
        let answer = client
            .post(&authorization, &json!({ "status": "deactivated" }))
            .await
            .expect(200);
        assert_eq!(answer.json()["status"], "deactivated");
        posted.await.unwrap();
        let running = id::<AuthorizationId>(&authorization);
        until("the validation has ended", async || {
            !world.ca().validation.is_running(running)
        })
        .await;
        let object = client.fetch(&authorization).await.expect(200).json();
        assert_eq!(object["status"], "deactivated", "{name}: {object}");
        let order = client.fetch(&placed.location()).await.expect(200).json();
        assert_eq!(order["status"], "invalid", "{name}: {order}");
        assert!(
            order["error"]["detail"]
                .as_str()
                .unwrap()
                .contains("deactivated"),
            "{order}"
        );
        let refused = client.finalize(&order, &csr(&[name]).0).await.expect(403);
        assert_eq!(refused.problem(), "orderNotReady");
    }
    assert_eq!(
        world
            .ca()
            .store
            .sizes(world.ca().clock.wall())
            .await
            .unwrap()
            .work,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_deactivated_account_succeeds_after_it() {
    // T-CA-31 8555-7.3.6-1 8555-7.3.6-2
    let world = World::start().await;
    let client = world.subscriber().await;
    let kid = client.kid.clone().unwrap();
    world.web.answer_for(&client.key.thumbprint());
    let mut finals = Vec::new();
    let mut challenges = Vec::new();
    for n in 0..8 {
        finals.push((
            format!("f{n}.race.test"),
            ready(&world, &client, &[&format!("f{n}.race.test")])
                .await
                .1,
        ));
        let placed = client
            .new_order(&[&format!("c{n}.race.test")])
            .await
            .expect(201)
            .json();
        challenges.push(
            challenge(&client, &list(&placed["authorizations"])[0])
                .await
                .0,
        );
    }
    let gone = Arc::new(AtomicBool::new(false));
    let late = Arc::new(Mutex::new(Vec::new()));
    let judge = {
        let (gone, late) = (Arc::clone(&gone), Arc::clone(&late));
        // A request that began after the deactivation was answered must not succeed.
        move |what: &str, began_after: bool, answer: &Response| {
            if began_after && answer.status != 401 {
                late.lock()
                    .unwrap()
                    .push(format!("{what}: {} {}", answer.status, answer.text()));
            }
            gone.load(Ordering::SeqCst)
        }
    };
    let logged = || world.web.log().len();
    let before = logged();
    let mut work = JoinSet::new();
    let (a, d, j) = (client.clone(), Arc::clone(&gone), judge.clone());
    work.spawn(async move {
        for n in 0.. {
            let after = d.load(Ordering::SeqCst);
            let answer = a.new_order(&[&format!("n{n}.race.test")]).await;
            if j("newOrder", after, &answer) && after {
                return;
            }
        }
    });
    let (a, d, j) = (client.clone(), Arc::clone(&gone), judge.clone());
    work.spawn(async move {
        for (name, order) in finals {
            let after = d.load(Ordering::SeqCst);
            let answer = a.finalize(&order, &csr(&[&name]).0).await;
            j("finalize", after, &answer);
        }
    });
    let (a, d, j) = (client.clone(), Arc::clone(&gone), judge.clone());
    work.spawn(async move {
        for url in challenges {
            let after = d.load(Ordering::SeqCst);
            let answer = a.post(&url, &json!({})).await;
            j("challenge", after, &answer);
        }
    });
    until("the work is under way", async || logged() > before + 1).await;
    client
        .post(&kid, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    gone.store(true, Ordering::SeqCst);
    work.join_all().await;
    assert_eq!(*late.lock().unwrap(), Vec::<String>::new());

    // The deactivation ended every open order in its transaction: one that is open now was placed after it.
    let of_account = Filter {
        account: Some(id::<AccountId>(&kid)),
        limit: 1000,
        ..Filter::default()
    };
    let store = &world.ca().store;
    until("what was being signed has ended", async || {
        store.sizes(world.ca().clock.wall()).await.unwrap().work == 0
    })
    .await;
    let orders = store.list_orders(of_account).await.unwrap().items;
    let odd: Vec<_> = orders
        .iter()
        .filter(|o| !matches!(o.state, OrderState::Valid | OrderState::Invalid))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
    assert!(orders.iter().any(|o| o.state == OrderState::Invalid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_responses_to_one_challenge_are_one_validation() {
    // T-CA-44
    let world = World::start().await;
    let client = world.subscriber().await;
    for (name, wait) in [("fast.race.test", 0), ("slow.race.test", 300)] {
        let placed = client.new_order(&[name]).await.expect(201).json();
        let (url, token) = challenge(&client, &list(&placed["authorizations"])[0]).await;
        let target = format!("{CHALLENGES}{token}");
        let answer = Reply::Body(client.key.authorization(&token).into_bytes());
        let answer = Reply::Delay(Duration::from_millis(wait), Box::new(answer));
        world.web.on_host(name, &target, answer);
        let mut posts = JoinSet::new();
        for _ in 0..100 {
            let (client, url) = (client.clone(), url.clone());
            posts.spawn(async move { client.post(&url, &json!({})).await });
        }
        for answer in posts.join_all().await {
            let status = answer.expect(200).json()["status"].clone();
            assert!(
                status == "valid" || status == "processing",
                "{name}: {status}"
            );
        }
        let fetched = world
            .web
            .log()
            .iter()
            .filter(|r| r.target == target)
            .count();
        assert_eq!(fetched, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_new_accounts_of_one_key_are_one_account() {
    // 8555-7.3-7
    let world = World::start().await;
    let client = world.stranger().await.with_key(Key::es256());
    let accounts = async || {
        world
            .ca()
            .store
            .sizes(world.ca().clock.wall())
            .await
            .unwrap()
            .accounts
    };
    let before = accounts().await;
    let mut asked = JoinSet::new();
    for _ in 0..20 {
        let mut client = client.clone();
        asked.spawn(async move { client.new_account().await });
    }
    let answers = asked.join_all().await;
    let made = answers.iter().filter(|a| a.status == 201).count();
    let found = answers.iter().filter(|a| a.status == 200).count();
    assert_eq!((made, found), (1, 19));
    let mut urls: Vec<_> = answers.iter().map(Response::location).collect();
    urls.dedup();
    assert_eq!(urls.len(), 1);
    assert_eq!(accounts().await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identical_request_sent_fifty_times_at_once_is_taken_once() {
    // T-CA-22
    let world = World::start().await;
    let client = world.subscriber().await;
    let wanted = json!({ "identifiers": [{ "type": "dns", "value": "replay.race.test" }] });
    let url = client.url("newOrder");
    let draft = client.draft(&url, &wanted).await;
    let mut sent = JoinSet::new();
    for _ in 0..50 {
        let (client, body) = (client.clone(), draft.body());
        let (target, headers) = (draft.target.clone(), draft.headers.clone());
        sent.spawn(async move {
            let mut copy = client.draft_bytes(&target, Vec::new()).await;
            copy.raw_body = Some(body);
            copy.headers = headers;
            client.send(&copy).await
        });
    }
    let answers = sent.join_all().await;
    assert_eq!(answers.iter().filter(|a| a.status == 201).count(), 1);
    assert_eq!(
        answers.iter().filter(|a| a.problem() == "badNonce").count(),
        49
    );
    assert!(answers.iter().all(|a| a.header("replay-nonce").is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_the_servers_are_not_taken_from_a_request() {
    // T-CA-33 T-CA-32
    let world = World::start().await;
    let (owner, other) = (
        world.subscriber().await,
        world.stranger().await.with_key(Key::es256()),
    );
    let mut other = other;
    other.new_account().await.expect(201);
    let (_, theirs) = ready(&world, &owner, &["theirs.race.test"]).await;
    let placed = other
        .post(
            &other.url("newOrder"),
            &json!({
                "identifiers": [{ "type": "dns", "value": "theirs.race.test" }],
                "status": "ready",
                "authorizations": theirs["authorizations"],
                "expires": "9999-12-31T23:59:59Z",
                "account": owner.kid,
                "finalize": theirs["finalize"],
            }),
        )
        .await
        .expect(201)
        .json();
    assert_eq!(placed["status"], "pending");
    assert_ne!(placed["authorizations"], theirs["authorizations"]);
    assert_ne!(placed["finalize"], theirs["finalize"]);
    assert!(placed["expires"].as_str().unwrap() < "9999");
    let (url, _) = challenge(&other, &list(&placed["authorizations"])[0]).await;
    let answer = other
        .post(
            &url,
            &json!({ "status": "valid", "validated": "2020-01-01T00:00:00Z", "token": "x" }),
        )
        .await
        .expect(200)
        .json();
    assert_ne!(answer["status"], "valid", "{answer}");
    let kid = other.kid.clone().unwrap();
    let changed = json!({ "status": "valid", "id": "x", "orders": "x", "createdAt": "x", "externalAccountBinding": {} });
    assert_eq!(
        other.post(&kid, &changed).await.expect(200).json()["status"],
        "valid"
    );
    let again = other
        .clone()
        .new_account_with(json!({ "status": "deactivated", "contact": ["mailto:x@race.test"] }))
        .await;
    assert_eq!(again.expect(200).json()["status"], "valid");
    assert_eq!(
        other.fetch(&kid).await.expect(200).json()["contact"],
        json!([])
    );

    // A path that puts the owner's account before an order: the same, whether there is such an order or not.
    let below = |order: &str| format!("{}{order}", owner.kid.clone().unwrap());
    let there = theirs["finalize"]
        .as_str()
        .unwrap()
        .split_once("/acme")
        .unwrap()
        .1;
    let (there, absent) = (
        below(there),
        below("/order/AAAAAAAAAAAAAAAAAAAAAA/finalize"),
    );
    let (there, absent) = (other.fetch(&there).await, other.fetch(&absent).await);
    assert_eq!((there.status, there.text()), (absent.status, absent.text()));
    assert!(there.status >= 400, "{}", there.text());
}

/// Stops the store's writer before one transaction's COMMIT, once, until it is let go.
struct Gate {
    reached: Arc<AtomicBool>,
    go: mpsc::Sender<()>,
}

/// Closed for a name once `arm` holds it.
fn gate(arm: &Arc<Mutex<Option<&'static str>>>) -> (FaultHook, Gate) {
    let (go, wait) = mpsc::channel();
    let reached = Arc::new(AtomicBool::new(false));
    let (arm, told, wait) = (Arc::clone(arm), Arc::clone(&reached), Mutex::new(wait));
    let hook: FaultHook = Arc::new(move |point, name| {
        let mut armed = arm.lock().unwrap();
        if point == FaultPoint::BeforeCommit && *armed == Some(name) {
            *armed = None;
            drop(armed);
            told.store(true, Ordering::SeqCst);
            // The test that ended does not let go.
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
        }
        None
    });
    (hook, Gate { reached, go })
}

/// A request's bytes as they go over the wire.
fn raw(draft: &Draft<'_>, authority: &str) -> Vec<u8> {
    let path = draft.target.split_once(authority).unwrap().1;
    let body = draft.body();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/jose+json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Whether the server holds nothing of anybody.
fn is_idle(world: &World) -> bool {
    let ca = world.ca();
    ca.store.requests_in_progress() == 0 && ca.limits.held() == 0 && ca.holds.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_around_the_commit_leaves_work_that_goes_on() {
    // T-CA-50
    let arm = Arc::new(Mutex::new(None));
    let (hook, gate) = gate(&arm);
    // Not held, so that the validation begins in the request.
    let world = World::with_parts(
        |config| config.limits.hold = Span::from_millis(0),
        |parts| parts.faults = Some(hook),
    )
    .await;
    let client = world.subscriber().await;
    let authority = world.url.strip_prefix("https://").unwrap();
    let name = "gone.race.test";
    let placed = client.new_order(&[name]).await.expect(201);
    let authorization = list(&placed.json()["authorizations"]).remove(0);
    let (url, token) = challenge(&client, &authorization).await;
    world.web.token(&token, &client.key.authorization(&token));
    let finalize = placed.json()["finalize"].as_str().unwrap().to_owned();
    let wanted = json!({ "csr": encode(&csr(&[name]).0) });
    let steps = [
        (
            "begin_validation",
            client.draft(&url, &json!({})).await,
            authorization.clone(),
            "valid",
        ),
        (
            "begin_issuance",
            client.draft(&finalize, &wanted).await,
            placed.location(),
            "valid",
        ),
    ];
    for (transaction, draft, watched, want) in steps {
        gate.reached.store(false, Ordering::SeqCst);
        *arm.lock().unwrap() = Some(transaction);
        let mut stream = connect(world.address(), &world.root()).await.unwrap();
        stream.write_all(&raw(&draft, authority)).await.unwrap();
        stream.flush().await.unwrap();
        until(transaction, async || gate.reached.load(Ordering::SeqCst)).await;
        drop(stream);
        until("the request is dropped", async || is_idle(&world)).await;
        gate.go.send(()).unwrap();
        let ended = client
            .poll(&watched, &["pending", "ready", "processing"])
            .await;
        assert_eq!(ended["status"], want, "{transaction}: {ended}");
    }
    until("nothing is left", async || is_idle(&world)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_after_each_request_leave_nothing_behind() {
    let world = World::start().await;
    let mut client = world.subscriber().await;
    let authority = world.url.strip_prefix("https://").unwrap().to_owned();
    let got = client.obtain(&["kept.race.test"], &world.web).await;
    let names = ["hangup.race.test"];
    let placed = client.new_order(&names).await.expect(201);
    let authorization = list(&placed.json()["authorizations"]).remove(0);
    let (url, token) = challenge(&client, &authorization).await;
    // Slow enough that the answer is held when the client goes.
    let answer = Reply::Body(client.key.authorization(&token).into_bytes());
    let answer = Reply::Delay(Duration::from_millis(200), Box::new(answer));
    world
        .web
        .on_host(names[0], &format!("{CHALLENGES}{token}"), answer);
    let finalize = placed.json()["finalize"].as_str().unwrap().to_owned();
    let kid = client.kid.clone().unwrap();
    let wanted = json!({ "csr": encode(&csr(&names).0) });
    let requests: [(&str, String, Value); 9] = [
        (
            "newOrder",
            client.url("newOrder"),
            json!({ "identifiers": [{ "type": "dns", "value": "new.race.test" }] }),
        ),
        (
            "account",
            kid.clone(),
            json!({ "contact": ["mailto:a@race.test"] }),
        ),
        ("order", placed.location(), Value::Null),
        ("authorization", authorization.clone(), Value::Null),
        ("challenge", url, json!({})),
        ("held authorization", authorization.clone(), Value::Null),
        ("early finalize", finalize.clone(), wanted.clone()),
        ("certificate", got.certificate, Value::Null),
        ("directory", format!("{}/directory", world.url), Value::Null),
    ];
    let write = async |draft: &Draft<'_>, cut: bool| {
        let bytes = raw(draft, &authority);
        let end = if cut { bytes.len() - 10 } else { bytes.len() };
        let mut stream = connect(world.address(), &world.root()).await.unwrap();
        stream.write_all(&bytes[..end]).await.unwrap();
        stream.flush().await.unwrap();
    };
    let payload = |value: &Value| {
        if value.is_null() {
            Vec::new()
        } else {
            value.to_string().into_bytes()
        }
    };
    for (_, url, value) in &requests {
        for cut in [true, false] {
            write(&client.draft_bytes(url, payload(value)).await, cut).await;
        }
    }
    let stranger = client.with_key(Key::es256());
    for cut in [true, false] {
        let agreed = json!({ "termsOfServiceAgreed": true });
        write(
            &stranger.draft(&stranger.url("newAccount"), &agreed).await,
            cut,
        )
        .await;
    }
    until("nothing is left", async || is_idle(&world)).await;
    // What was asked may have been done or not; asking again is right in both cases, and the way goes on.
    client.post(&requests[4].1, &json!({})).await.expect(200);
    assert_eq!(
        client.poll(&authorization, &["pending"]).await["status"],
        "valid"
    );
    for cut in [true, false] {
        write(&client.draft(&finalize, &wanted).await, cut).await;
    }
    until("nothing is left", async || is_idle(&world)).await;
    let order = client.poll(&placed.location(), &["processing"]).await;
    if order["status"] == "ready" {
        // The whole one of the two above may be read as late as now: then it is the one that finalizes.
        let answer = client.finalize(&order, &csr(&names).0).await;
        if answer.status != 200 {
            assert_eq!(answer.problem(), "orderNotReady", "{}", answer.text());
        }
    }
    assert_eq!(
        client
            .poll(&placed.location(), &["ready", "processing"])
            .await["status"],
        "valid"
    );
    client.new_account().await.expect(200);
    until("nothing is left", async || is_idle(&world)).await;
    assert_eq!(
        world
            .ca()
            .store
            .sizes(world.ca().clock.wall())
            .await
            .unwrap()
            .work,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anothers_objects_and_absent_ones_are_answered_alike_on_every_route() {
    // T-CA-28
    let world = World::start().await;
    let (owner, mut other) = (
        world.subscriber().await,
        world.stranger().await.with_key(Key::es256()),
    );
    other.new_account().await.expect(201);
    let got = owner.obtain(&["mine.race.test"], &world.web).await;
    let placed = owner.new_order(&["open.race.test"]).await.expect(201);
    let authorization = list(&placed.json()["authorizations"]).remove(0);
    let (challenge, _) = challenge(&owner, &authorization).await;
    let finalize = placed.json()["finalize"].as_str().unwrap().to_owned();
    let wanted = json!({ "csr": encode(&csr(&["open.race.test"]).0) });
    let rows: [(&str, String, Vec<Value>); 5] = [
        ("order", placed.location(), vec![Value::Null, json!({})]),
        (
            "authorization",
            authorization,
            vec![Value::Null, json!({ "status": "deactivated" })],
        ),
        ("challenge", challenge, vec![Value::Null, json!({})]),
        ("finalize", finalize, vec![wanted, json!({ "csr": "A" })]),
        ("certificate", got.certificate, vec![Value::Null, json!({})]),
    ];
    let mut wrong = Vec::new();
    for (what, url, payloads) in rows {
        // Another id of the same form: its last six characters differ.
        let at = url
            .strip_suffix("/finalize")
            .or(url.strip_suffix("/http-01"))
            .unwrap_or(&url)
            .len();
        let absent = format!(
            "{}{}{}",
            &url[..at - 6],
            if what == "certificate" {
                "012345"
            } else {
                "AAAAAA"
            },
            &url[at..]
        );
        for payload in payloads {
            let ask = async |url: &str| match &payload {
                Value::Null => other.fetch(url).await,
                payload => other.post(url, payload).await,
            };
            let (foreign, absent) = (ask(&url).await, ask(&absent).await);
            let shape = |a: &Response| {
                let mut names: Vec<_> = a.headers.keys().map(ToString::to_string).collect();
                names.sort();
                (a.status, a.text(), names)
            };
            if shape(&foreign) != shape(&absent) || foreign.status < 400 {
                wrong.push(format!(
                    "{what} {payload}: {:?} and {:?}",
                    shape(&foreign),
                    shape(&absent)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        owner.fetch(&placed.location()).await.expect(200).json()["status"],
        "pending"
    );
}
