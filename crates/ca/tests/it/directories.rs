//! Several directories in one server: each has accounts, terms, profiles and challenges of its own.

use std::sync::Arc;

use cairn_acme::{challenge::ChallengeType, time::Timestamp};
use cairn_ca::config::{Config, DirectorySettings, ProfileSettings, Span};
use cairn_testkit::acme::{Client, Key, csr_for, encode};
use serde_json::{Value, json};

use crate::{
    revocation::leaf,
    steps::{finish, ready, wanted},
    world::World,
};

const TERMS: &str = "https://ca.test/terms/team";

fn team() -> DirectorySettings {
    DirectorySettings {
        name: "team".to_owned(),
        terms: Some(TERMS.to_owned()),
        terms_enforced_from: None,
        website: Some("https://ca.test/team".to_owned()),
        external: None,
        profiles: vec!["short".to_owned()],
        challenges: vec![ChallengeType::Http01],
    }
}

async fn world() -> World {
    World::with(|config| {
        config.website = Some("https://ca.test/".to_owned());
        let short = ProfileSettings {
            life: Span::from_secs(3600),
            ..ProfileSettings::default()
        };
        config.profile.others.insert("short".to_owned(), short);
        config.directory = vec![
            team(),
            DirectorySettings {
                name: "other".to_owned(),
                terms: None,
                website: None,
                profiles: vec![],
                challenges: vec![],
                ..team()
            },
        ];
    })
    .await
}

/// A client of that directory with a key of its own or of another's.
async fn of(world: &World, directory: &str, key: Option<&Arc<Key>>) -> Client {
    let url = format!("{}/acme/{directory}/directory", world.url);
    let mut client = Client::connect(&url, &world.root()).await;
    if let Some(key) = key {
        client.key = Arc::clone(key);
    }
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_directory_tells_its_own_urls_terms_profiles_and_challenges() {
    // 8555-7.1.1-2 8555-7.3.3-1
    let world = world().await;
    let first = world.stranger().await;
    let mut client = of(&world, "team", None).await;
    let meta = |client: &Client| client.directory["meta"].clone();
    assert_eq!(meta(&first)["website"], "https://ca.test/");
    assert!(meta(&first)["termsOfService"].is_null());
    assert_eq!(meta(&client)["website"], "https://ca.test/team");
    assert_eq!(meta(&client)["termsOfService"], TERMS);
    let profiles = |client: &Client| -> Vec<String> {
        let profiles = meta(client)["profiles"].as_object().unwrap().clone();
        profiles.keys().cloned().collect()
    };
    assert_eq!(profiles(&first), ["default", "short"]);
    assert_eq!(profiles(&client), ["short"]);
    let prefix = format!("{}/acme/team/", world.url);
    for (member, url) in client.directory.as_object().unwrap() {
        if let Some(url) = url.as_str() {
            assert!(url.starts_with(&prefix), "{member}: {url}");
        }
    }
    // Its terms are its accounts' to agree to.
    let refused = client.new_account_with(json!({})).await.expect(403);
    assert_eq!(refused.problem(), "userActionRequired");
    assert_eq!(refused.json()["instance"], TERMS);
    let link = format!("<{TERMS}>;rel=\"terms-of-service\"");
    assert!(refused.links().contains(&link.as_str()));
    let made = client.new_account().await.expect(201);
    assert!(made.location().starts_with(&prefix), "{}", made.location());
    assert!(made.links().contains(&link.as_str()), "{:?}", made.links());
    let index = format!("<{prefix}directory>;rel=\"index\"");
    assert!(made.links().contains(&index.as_str()), "{:?}", made.links());
    // An order that names no profile gets the first that is on offer, and its challenges.
    let names = ["order.team.test"];
    let (url, order) = ready(&world, &client, &names).await;
    assert!(url.starts_with(&prefix), "{url}");
    for member in ["finalize", "authorizations"] {
        assert!(order[member].to_string().contains(&prefix), "{order}");
    }
    assert_eq!(order["profile"], "short");
    let authorization = order["authorizations"][0].as_str().unwrap();
    let object = client.fetch(authorization).await.expect(200).json();
    let kinds: Vec<&Value> = object["challenges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["type"])
        .collect();
    assert_eq!(kinds, ["http-01"]);
    let ended = finish(&client, &(url, order), &names).await;
    let certificate = ended["certificate"].as_str().unwrap();
    assert!(certificate.starts_with(&prefix), "{certificate}");
    client.fetch(certificate).await.expect(200);
    for profile in ["default", "none"] {
        let mut wanted = wanted(&["more.team.test"]);
        wanted["profile"] = profile.into();
        let refused = client.post(&client.url("newOrder"), &wanted).await;
        assert_eq!(refused.problem(), "invalidProfile", "{profile}");
        assert!(
            refused.json()["detail"]
                .to_string()
                .contains("offers short")
        );
    }
    let text = world.ca().metrics.text();
    for directory in ["default", "team", "other"] {
        let line = format!("cairn_directory_requests_total{{directory=\"{directory}\"}}");
        assert!(text.contains(&line), "{line}");
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_one_directory_is_none_in_another() {
    // T-CA-28 T-CA-12
    let world = world().await;
    let first = world.subscriber().await;
    let mut second = of(&world, "other", Some(&first.key)).await;
    let only = json!({ "onlyReturnExisting": true });
    let unknown = second.new_account_with(only).await.expect(400);
    assert_eq!(unknown.problem(), "accountDoesNotExist");
    // The same key may have an account in each.
    second.new_account().await.expect(201);
    let (kid, other) = (first.kid.clone().unwrap(), second.kid.clone().unwrap());
    assert_ne!(kid, other);

    // By its own URL it is foreign; by the other directory's form of it, unknown.
    let wanted = wanted(&["mixed.test"]);
    let id = kid.rsplit('/').next().unwrap();
    let disguised = format!("{}/acme/other/account/{id}", world.url);
    for (kid, problem) in [(&kid, "malformed"), (&disguised, "accountDoesNotExist")] {
        let mut draft = second.draft(&second.url("newOrder"), &wanted).await;
        draft.protect("kid", kid.clone());
        let refused = second.send(&draft).await;
        assert_eq!(refused.problem(), problem, "{kid}");
    }
    // A request that was signed for one directory does nothing in the other.
    let mut moved = first.draft(&first.url("newOrder"), &wanted).await;
    moved.target = second.url("newOrder");
    let refused = first.send(&moved).await.expect(400);
    assert_eq!(refused.problem(), "malformed");
    moved = second.draft(&first.url("newOrder"), &wanted).await;
    moved.target = second.url("newOrder");
    let refused = second.send(&moved).await.expect(403);
    assert_eq!(refused.problem(), "unauthorized");

    // Objects of one are absent in the other, under whichever path.
    let (order, _) = ready(&world, &first, &["mixed.test"]).await;
    let below = order.replace("/acme/", "/acme/other/");
    for (client, url) in [(&second, &order), (&second, &below), (&first, &below)] {
        let answer = client.fetch(url).await;
        assert!(
            [400, 404].contains(&answer.status),
            "{url}: {}",
            answer.text()
        );
    }
    // Nor is a proof in one a proof in the other.
    let again = second.new_order(&["mixed.test"]).await.expect(201).json();
    assert_eq!(again["status"], "pending");
    // What one deactivates lives in the other.
    let end = json!({ "status": "deactivated" });
    first.post(&kid, &end).await.expect(200);
    second.fetch(&other).await.expect(200);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificates_key_revokes_it_from_each_directory() {
    // 8555-7.6-1
    let world = world().await;
    let client = world.subscriber().await;
    for (n, directory) in ["team", "other"].into_iter().enumerate() {
        let holder = of(&world, directory, None).await;
        let name = format!("r{n}.held.test");
        let names = [name.as_str()];
        let (url, order) = ready(&world, &client, &names).await;
        let csr = csr_for(&holder.key, &names);
        client.finalize(&order, &csr).await.expect(200);
        let order = client.poll(&url, &["processing"]).await;
        let chain = client.fetch(order["certificate"].as_str().unwrap()).await;
        let payload = json!({ "certificate": encode(&leaf(&chain.expect(200).text())) });
        let revoked = holder.post(&holder.url("revokeCert"), &payload).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_its_accounts_when_it_leaves_the_configuration_and_comes_back() {
    let world = world().await;
    let mut client = of(&world, "other", None).await;
    client.new_account().await.expect(201);
    let kid = client.kid.clone().unwrap();
    let reload = async |change: &dyn Fn(&mut Config)| {
        let before = world.ca().snapshot.load_full();
        let mut config = before.config.clone();
        change(&mut config);
        let blocked = before.blocked.clone();
        world.node.reload(config, blocked).await.unwrap();
    };
    let all = world.ca().snapshot.load().config.directory.clone();
    reload(&|config| config.directory.clear()).await;
    let gone = client.plain("GET", &client.url("newNonce")).await;
    assert_eq!(gone.status, 404);
    // In another place, and beside a new one.
    reload(&|config| {
        config.directory = all.iter().rev().cloned().collect();
        config.directory.insert(
            0,
            DirectorySettings {
                name: "new".to_owned(),
                ..team()
            },
        );
    })
    .await;
    client.fetch(&kid).await.expect(200);
    let stranger = of(&world, "new", Some(&client.key)).await;
    let mut draft = stranger.draft(&stranger.url("newOrder"), &json!({})).await;
    draft.unprotect("jwk");
    draft.protect("kid", kid.replace("/other/", "/new/"));
    let refused = stranger.send(&draft).await;
    assert_eq!(refused.problem(), "accountDoesNotExist");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_that_a_directory_withdraws_validates_no_more_there() {
    let world = world().await;
    let mut team = of(&world, "team", None).await;
    team.new_account().await.expect(201);
    let order = team.new_order(&["withdrawn.test"]).await.expect(201);
    let order = order.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = team.challenge(authorization, "http-01").await;

    let snapshot = world.ca().snapshot.load_full();
    let mut config = snapshot.config.clone();
    config.directory[0].challenges = vec![ChallengeType::Dns01];
    let blocked = snapshot.blocked.clone();
    world.node.reload(config, blocked).await.unwrap();

    let refused = team.post(&challenge.url, &json!({})).await.expect(400);
    let text = refused.text();
    assert!(text.contains("no longer validates by http-01"), "{text}");
    let object = team.fetch(authorization).await.expect(200).json();
    assert_eq!(object["status"], "pending", "{object}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_terms_stop_new_orders_from_their_day_on_until_the_account_agrees() {
    // 8555-7.3.3-1 T-CA-40
    let (old, new) = ("https://ca.test/terms/1", "https://ca.test/terms/2");
    let world = World::with(|config| config.accounts.terms = Some(old.to_owned())).await;
    let client = world.subscriber().await;
    let kid = client.kid.clone().unwrap();
    let now = Timestamp::from_seconds(1_700_000_000);
    let set = async |terms: &str, from: Option<Timestamp>| {
        let before = world.ca().snapshot.load_full();
        let mut config = before.config.clone();
        config.accounts.terms = Some(terms.to_owned());
        config.accounts.terms_enforced_from = from;
        world
            .node
            .reload(config, before.blocked.clone())
            .await
            .unwrap();
    };
    let order = || client.new_order(&["terms.test"]);
    // Other terms alone stop nobody, nor does a day to come.
    set(new, None).await;
    order().await.expect(201);
    set(new, Some(Timestamp::from_seconds(4_000_000_000))).await;
    order().await.expect(201);
    set(new, Some(now)).await;
    let pre = json!({ "identifier": { "type": "dns", "value": "terms.test" } });
    let refusals = [
        order().await,
        client.post(&client.url("newAuthz"), &pre).await,
    ];
    for refused in refusals {
        let refused = refused.expect(403);
        assert_eq!(refused.problem(), "userActionRequired");
        let body = refused.json();
        assert_eq!(body["instance"], new);
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(old) && detail.contains(new), "{detail}");
        let link = format!("<{new}>;rel=\"terms-of-service\"");
        assert!(refused.links().contains(&link.as_str()));
    }
    // What is no consent changes nothing; nor does asking for the account (RFC 8555 section 7.3.1).
    for payload in [json!({ "termsOfServiceAgreed": false }), json!({})] {
        client.post(&kid, &payload).await.expect(200);
    }
    let mut again = client.clone();
    again.new_account().await.expect(200);
    assert_eq!(order().await.status, 403);
    let agree = json!({ "termsOfServiceAgreed": true });
    let agreed = client.post(&kid, &agree).await.expect(200).json();
    assert_eq!(agreed["termsOfServiceAgreed"], true);
    order().await.expect(201);
    let id = kid.rsplit('/').next().unwrap().parse().unwrap();
    let account = world.ca().store.account(id).await.unwrap().unwrap();
    assert_eq!(account.terms.as_ref().unwrap().url, new);
    // It is kept over a restart.
    let world = world.restarted(|_| {}).await;
    let client = client.apart(&world.root());
    client.new_order(&["terms.test"]).await.expect(201);
    let account = world.ca().store.account(id).await.unwrap().unwrap();
    assert_eq!(account.terms.as_ref().unwrap().url, new);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_has_a_rule_of_its_own_on_external_accounts() {
    // 8555-7.1.1-2
    use cairn_ca::config::External;
    let world = World::with(|config| {
        config.directory = vec![DirectorySettings {
            terms: None,
            profiles: vec![],
            external: Some(External::Required),
            ..team()
        }];
    })
    .await;
    let first = world.subscriber().await;
    let required = |client: &Client| client.directory["meta"]["externalAccountRequired"].clone();
    assert!(required(&first).is_null());
    let mut client = of(&world, "team", None).await;
    assert_eq!(required(&client), true);
    let refused = client.new_account().await.expect(403);
    assert_eq!(refused.problem(), "externalAccountRequired");
    world.shutdown().await;
}
