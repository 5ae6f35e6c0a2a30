//! CAA from the DNS to the certificate's row: with every validation, and again for every name at finalize once a check
//! is seven hours old.

use std::{sync::Arc, time::Duration};

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock, TestClock},
    config::{Config, Dnssec},
    id::{AccountId, OrderId},
};
use cairn_testkit::{
    acme::{Client, csr},
    dns::{Behaviour, RecordType, ResponseCode},
};
use serde_json::{Value, json};

use crate::{
    steps::{finish, id, list, ready},
    world::World,
};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// A CA that records name as `ca.example`.
fn named(config: &mut Config) {
    config.caa_identities = vec!["ca.example".to_owned()];
}

/// The same in a world whose time moves only by hand.
async fn stopped(change: impl FnOnce(&mut Config)) -> (World, Arc<TestClock>) {
    let now = SystemClock::default().wall().as_seconds() + 1;
    let clock = Arc::new(TestClock::at(Timestamp::from_seconds(now)));
    let given = Arc::<TestClock>::clone(&clock);
    let world = World::with_parts(
        |config| {
            named(config);
            change(config);
        },
        |parts| parts.clock = given,
    )
    .await;
    (world, clock)
}

/// Answers the one challenge of an order for this name; the authorization as it ends.
async fn attempt(world: &World, client: &Client, name: &str) -> (String, Value) {
    let placed = client.new_order(&[name]).await.expect(201);
    let authorization = list(&placed.json()["authorizations"]).remove(0);
    client.answer(&authorization, &world.web).await;
    let ended = client.poll(&authorization, &["pending"]).await;
    (placed.location(), ended)
}

/// What the certificate's row says of each name's CAA.
async fn evidence(world: &World, client: &Client, order: &str) -> Vec<Value> {
    let store = &world.ca().store;
    let account = id::<AccountId>(client.kid.as_ref().unwrap());
    let order = store.order(account, id::<OrderId>(order)).await;
    let key = order.unwrap().unwrap().certificate.unwrap();
    let row = store.certificate(key.serial).await.unwrap().unwrap();
    let evidence: Value = serde_json::from_str(&row.evidence).unwrap();
    let names = evidence["names"].as_array().unwrap();
    names.iter().map(|n| n["shown"]["caa"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validation_passes_only_if_caa_lets_this_ca_issue_and_says_what_was_found() {
    // 8659-3-3
    // 8659-5-1
    //
    //
    // T-CA-86
    let world = World::with(named).await;
    let client = world.subscriber().await;
    let account = client.kid.clone().unwrap();
    let (mine, other) = (
        format!("ca.example; accounturi={account}"),
        format!("ca.example; accounturi={account}x"),
    );
    world
        .dns
        .add_caa("caa.test", 0, "issue", "other-ca.example")
        .add_caa("none.caa.test", 0, "issue", ";")
        .add_caa("ours.caa.test", 0, "issue", "ca.example")
        .add_caa("mine.caa.test", 0, "issue", &mine)
        .add_caa("else.caa.test", 0, "issue", &other)
        .add_caa(
            "dns01.caa.test",
            0,
            "issue",
            "ca.example; validationmethods=dns-01",
        )
        .add_caa(
            "http.caa.test",
            0,
            "issue",
            "ca.example; validationmethods=http-01",
        )
        .add_caa("critical.caa.test", 128, "foo", "bar")
        .add_caa("typo.caa.test", 0, "issue", "ca.exampel")
        .add_caa("free.caa.test", 0, "iodef", "mailto:x@caa.test");
    for name in [
        "none", "ours", "mine", "else", "dns01", "http", "critical", "typo", "free",
    ] {
        world
            .dns
            .add_address(&format!("{name}.caa.test"), [127, 0, 0, 1]);
    }
    let fails = Behaviour::Code(ResponseCode::ServFail);
    world.dns.behave("fails.caa.test", RecordType::CAA, fails);
    // Fault, type, status, what the text says.
    type Row<'a> = (&'a str, &'a str, u16, &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (
            "none.caa.test",
            "caa",
            403,
            &[
                "CAA of none.caa.test forbids every CA",
                "Record: none.caa.test. CAA 0 issue \";\"",
                "Replace it: none.caa.test. CAA 0 issue \"ca.example\"",
            ],
        ),
        (
            "child.caa.test",
            "caa",
            403,
            &[
                "CAA of caa.test, which child.caa.test inherits, allows only \"other-ca.example\"",
                "Add: caa.test. CAA 0 issue \"ca.example\"",
            ],
        ),
        (
            "else.caa.test",
            "caa",
            403,
            &[&other, &account, "accounturi="],
        ),
        (
            "dns01.caa.test",
            "caa",
            403,
            &[
                "by \"dns-01\" alone; http-01 was used",
                "validationmethods=http-01",
            ],
        ),
        (
            "critical.caa.test",
            "caa",
            403,
            &["critical property \"foo\"", "CAA 128 foo \"bar\""],
        ),
        (
            "typo.caa.test",
            "caa",
            403,
            &["\"ca.exampel\", which is not \"ca.example\""],
        ),
        (
            "fails.caa.test",
            "dns",
            400,
            &[
                "CAA records of fails.caa.test failed",
                "SERVFAIL",
                "The challenge itself passed",
            ],
        ),
        ("ours.caa.test", "", 0, &[]),
        ("mine.caa.test", "", 0, &[]),
        ("http.caa.test", "", 0, &[]),
        ("free.caa.test", "", 0, &[]),
        ("untouched.test", "", 0, &[]),
    ];
    let mut wrong = Vec::new();
    for (name, kind, status, says) in rows {
        let (order, ended) = attempt(&world, &client, name).await;
        let error = &ended["challenges"][0]["error"];
        if kind.is_empty() {
            if ended["status"] != "valid" {
                wrong.push(format!("{name}: {ended}"));
            }
            continue;
        }
        let detail = error["detail"].as_str().unwrap_or_default();
        if ended["status"] != "invalid"
            || error["type"] != format!("urn:ietf:params:acme:error:{kind}")
            || error["status"] != *status
            || !detail.starts_with(&format!("{name}: "))
        {
            wrong.push(format!("{name}: {ended}"));
        }
        for part in *says {
            if !detail.contains(part) {
                wrong.push(format!("{name}: {part:?} not in {detail:?}"));
            }
        }
        let order = client.fetch(&order).await.expect(200).json();
        if order["status"] != "invalid" {
            wrong.push(format!("{name}: {order}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A name that is not under a set was climbed to the top, the root left out.
    let asked = |name: &str| world.dns.count(name, RecordType::CAA);
    assert_eq!((asked("untouched.test"), asked("")), (1, 0));
    assert!(asked("test") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_is_kept_with_the_certificate_and_published_in_the_directory() {
    // 8659-5-1
    // 8657-5-1
    // 8657-5.6-1
    // 8555-7.1.1-2
    let world = World::with(|config| {
        named(config);
        config.caa_identities.push("second.example".to_owned());
        config.dns.dnssec = Dnssec::TrustResolver;
    })
    .await;
    world.dns.authentic(true);
    let client = world.subscriber().await;
    let directory = client
        .plain("GET", &format!("{}/directory", world.url))
        .await;
    assert_eq!(
        directory.json()["meta"]["caaIdentities"],
        json!(["ca.example", "second.example"])
    );
    world.dns.add_caa("kept.test", 0, "issue", "second.example");
    let names = ["a.kept.test", "b.none.test"];
    let order = ready(&world, &client, &names).await;
    finish(&client, &order, &names).await;
    let kept = evidence(&world, &client, &order.0).await;
    assert_eq!(kept[0]["name"], "a.kept.test");
    assert_eq!(kept[0]["found_at"], "kept.test");
    assert_eq!(
        kept[0]["records"],
        json!(["CAA 0 issue \"second.example\""])
    );
    assert_eq!(kept[0]["resolver"], world.dns.address().to_string());
    assert_eq!(kept[0]["dnssec"], true);
    assert_eq!(kept[1]["name"], "b.none.test");
    assert_eq!(kept[1]["found_at"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_name_of_an_order_is_checked_again_by_itself_when_its_check_is_old() {
    //
    // T-CA-90
    // 8657-4-3
    // 8555-7.4-12
    let (world, clock) = stopped(|_| {}).await;
    let client = world.subscriber().await;
    let names = [
        "a.again.test",
        "b.again.test",
        "c.again.test",
        "d.again.test",
    ];
    let order = ready(&world, &client, &names).await;
    clock.advance(9 * HOUR);
    let mut wrong = Vec::new();
    for denied in names {
        world
            .dns
            .add_address(denied, [127, 0, 0, 1])
            .add_caa(denied, 0, "issue", "other-ca.example")
            .clear_log();
        let refused = client.finalize(&order.1, &csr(&names).0).await;
        let problem = refused.json();
        let named: Vec<&Value> = problem["subproblems"]
            .as_array()
            .map(|all| all.iter().map(|s| &s["identifier"]["value"]).collect())
            .unwrap_or_default();
        if refused.problem() != "caa" || problem["status"] != 403 || named != [&json!(denied)] {
            wrong.push(format!("{denied}: {problem}"));
        }
        for name in names {
            let asked = world.dns.count(name, RecordType::CAA);
            if asked != 1 {
                wrong.push(format!(
                    "{denied} is denied: {name} was asked {asked} times"
                ));
            }
        }
        // The order is as it was: the records can be put right.
        let now = client.fetch(&order.0).await.expect(200).json();
        if now["status"] != "ready" {
            wrong.push(format!("{denied}: {now}"));
        }
        world.dns.clear(denied);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Two at once are two subproblems; a failed look-up is of another type, and both together are compound.
    world.dns.add_caa("b.again.test", 0, "issue", ";");
    world.dns.add_caa("d.again.test", 0, "issue", ";");
    let problem = client.finalize(&order.1, &csr(&names).0).await.json();
    assert_eq!(
        problem["subproblems"].as_array().unwrap().len(),
        2,
        "{problem}"
    );
    let fails = Behaviour::Code(ResponseCode::Refused);
    world.dns.behave("a.again.test", RecordType::CAA, fails);
    let refused = client.finalize(&order.1, &csr(&names).0).await;
    assert_eq!(refused.problem(), "compound");
    let kinds: Vec<Value> = refused.json()["subproblems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["type"].clone())
        .collect();
    let urn = |kind: &str| json!(format!("urn:ietf:params:acme:error:{kind}"));
    assert_eq!(kinds, [urn("dns"), urn("caa"), urn("caa")]);
    for name in names {
        world.dns.clear(name);
    }

    // Put right, the same order is issued; its row says when CAA was looked at last.
    let ended = finish(&client, &order, &names).await;
    assert_eq!(ended["status"], "valid", "{ended}");
    let kept = evidence(&world, &client, &order.0).await;
    let found: Vec<&str> = kept.iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(found, names);
    for check in &kept {
        let at: Timestamp = check["checked_at"].as_str().unwrap().parse().unwrap();
        assert!(clock.wall().since(at) < MINUTE, "{check}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_is_made_again_after_seven_hours_also_of_a_reused_authorization() {
    // T-CA-46
    // T-CA-90
    // 8657-4-3
    let (world, clock) = stopped(|_| {}).await;
    let client = world.subscriber().await;
    let name = ["old.test"];
    let first = ready(&world, &client, &name).await;
    world.dns.clear_log();
    // Young enough: not asked again.
    clock.advance(7 * HOUR - MINUTE);
    finish(&client, &first, &name).await;
    assert_eq!(world.dns.count("old.test", RecordType::CAA), 0);

    // Reused and older: the stored method and account decide.
    clock.advance(2 * MINUTE);
    world.dns.add_caa(
        "old.test",
        0,
        "issue",
        "ca.example; validationmethods=dns-01",
    );
    let placed = client.new_order(&name).await.expect(201);
    let second = (placed.location(), placed.json());
    assert_eq!(second.1["status"], "ready", "its authorization is reused");
    let refused = client.finalize(&second.1, &csr(&name).0).await;
    assert_eq!(refused.problem(), "caa", "{}", refused.text());
    assert!(
        refused.text().contains("http-01 was used"),
        "{}",
        refused.text()
    );
    world.dns.clear("old.test");
    let account = client.kid.clone().unwrap();
    let mine = format!("ca.example; validationmethods=http-01; accounturi={account}");
    world.dns.add_caa("old.test", 0, "issue", &mine);
    let ended = finish(&client, &second, &name).await;
    assert_eq!(ended["status"], "valid", "{ended}");
    assert_eq!(world.dns.count("old.test", RecordType::CAA), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accounts_url_of_an_earlier_time_is_recognised() {
    // 8657-3-1
    let world = World::with(|config| {
        named(config);
        config.caa_account_prefixes = vec!["https://old.example/acme/acct/".to_owned()];
    })
    .await;
    let client = world.subscriber().await;
    let number = client.kid.as_ref().unwrap().rsplit('/').next().unwrap();
    let of =
        |number: &str| format!("ca.example; accounturi=https://old.example/acme/acct/{number}");
    world.dns.add_address("mine.former.test", [127, 0, 0, 1]);
    world
        .dns
        .add_caa("mine.former.test", 0, "issue", &of(number));
    world.dns.add_address("else.former.test", [127, 0, 0, 1]);
    world.dns.add_caa("else.former.test", 0, "issue", &of("1"));
    let (_, ended) = attempt(&world, &client, "mine.former.test").await;
    assert_eq!(ended["status"], "valid", "{ended}");
    let (_, ended) = attempt(&world, &client, "else.former.test").await;
    assert_eq!(ended["status"], "invalid", "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_zone_is_asked_to_its_apex_and_no_further() {
    // 8659-3-1
    let world = World::with(|config| config.private_zones = vec!["zone.test".to_owned()]).await;
    let client = world.subscriber().await;
    // An isolated network's resolver has no way to the servers above.
    let fails = Behaviour::Code(ResponseCode::ServFail);
    world.dns.behave("test", RecordType::CAA, fails);
    let (_, ended) = attempt(&world, &client, "a.zone.test").await;
    assert_eq!(ended["status"], "valid", "{ended}");
    assert_eq!(world.dns.count("zone.test", RecordType::CAA), 1);
    assert_eq!(world.dns.count("test", RecordType::CAA), 0);
    let (_, ended) = attempt(&world, &client, "a.outside.test").await;
    let error = &ended["challenges"][0]["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:dns", "{ended}");
}
