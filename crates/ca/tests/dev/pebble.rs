//! A test CA with Pebble's paths, media types and manners, that follows the request's Host.

use cairn_ca::{
    config::Profiles,
    dev::{Conduct, Layout},
};
use cairn_testkit::acme::{Client, Key, Response, csr};
use cairn_x509::certificate::Certificate;
use instant_acme::OrderStatus;
use serde_json::{Value, json};

use crate::{
    clients::{account, answer, patient, place},
    site::{Site, finalize, first},
};

/// Pebble's paths and host, without what takes time or goes by chance.
fn outside() -> Conduct {
    Conduct {
        layout: Layout::Pebble,
        follow_host: true,
        ..Conduct::default()
    }
}

fn path<'u>(site: &Site, url: &'u str) -> &'u str {
    let base = site.ca.directory().strip_suffix("/dir").unwrap();
    url.strip_prefix(base).unwrap()
}

/// What follows the folder in a URL's path.
fn below<'u>(site: &Site, url: &'u str, folder: &str) -> &'u str {
    let path = path(site, url);
    path.strip_prefix(folder)
        .unwrap_or_else(|| panic!("{path} is not below {folder}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_resource_lies_where_pebble_has_it() {
    let site = Site::behaving(outside()).await;
    let mut client = site.stranger().await;
    let answer = client.plain("GET", site.ca.directory()).await.expect(200);
    let mut directory = answer.json();
    let meta = directory.as_object_mut().unwrap().remove("meta").unwrap();
    assert_eq!(meta["externalAccountRequired"], false, "{meta}");
    let mut members: Vec<_> = directory
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, url)| (name.as_str(), path(&site, url.as_str().unwrap())))
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            ("keyChange", "/rollover-account-key"),
            ("newAccount", "/sign-me-up"),
            ("newNonce", "/nonce-plz"),
            ("newOrder", "/order-plz"),
            ("renewalInfo", "/draft-ietf-acme-ari-03/renewalInfo"),
            ("revokeCert", "/revoke-cert"),
        ]
    );
    let new = client.new_account().await.expect(201);
    let id = below(&site, &new.location(), "/my-account/").to_owned();
    let orders = new.json()["orders"].as_str().unwrap().to_owned();
    assert_eq!(below(&site, &orders, "/list-orderz/"), id);
    let placed = client.new_order(&["a.paths.test"]).await.expect(201);
    let order = placed.json();
    let number = below(&site, &placed.location(), "/my-order/").to_owned();
    let finalize = order["finalize"].as_str().unwrap();
    assert_eq!(below(&site, finalize, "/finalize-order/"), number);
    below(&site, &first(&order), "/authZ/");
    let challenge = client.challenge(&first(&order), "http-01").await.url;
    assert!(!below(&site, &challenge, "/chalZ/").contains('/'));
    let got = client.obtain(&["a.paths.test"], &site.web).await;
    below(&site, &got.certificate, "/certZ/");
    let name = {
        let leaf = Certificate::parse(&got.leaf()).unwrap();
        let issuer = &site.node().issuance.issuers().first().certificate;
        cairn_acme::renewal::CertId::new(issuer.key_id(), leaf.serial()).unwrap()
    };
    let ari = format!("{}/{name}", client.url("renewalInfo"));
    client.plain("GET", &ari).await.expect(200);
    client.plain("GET", &format!("{ari}x")).await.expect(400);
    // Revocation and a change of key go by the same paths.
    let payload = json!({ "certificate": cairn_acme::base64url::encode(&got.leaf()) });
    client
        .post(&client.url("revokeCert"), &payload)
        .await
        .expect(200);
    let new = Key::es256();
    let inner = Value::Object(client.key_change(&new).envelope());
    client
        .post(&client.url("keyChange"), &inner)
        .await
        .expect(200);
    // Nothing is left where it was.
    let base = site.ca.directory().strip_suffix("/dir").unwrap();
    for gone in ["/directory", "/acme/new-nonce", "/acme/new-order"] {
        let answer = client.plain("GET", &format!("{base}{gone}")).await;
        assert_eq!(answer.status, 404, "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_media_types_go_with_pebbles_paths_in_every_directory() {
    let site = Site::tuned(|settings, _| {
        let text = "[[directory]]\nname = \"team\"\n";
        let whole = format!("name = \"x\"\nurl = \"{}\"\n{text}", settings.config.url);
        let parsed = cairn_ca::config::Config::parse(&whole, std::path::Path::new("x")).unwrap();
        settings.config.directory = parsed.directory;
        settings.conduct = outside();
    })
    .await;
    let base = site.ca.directory().strip_suffix("/dir").unwrap().to_owned();
    let team = format!("{base}/acme/team/dir");
    let mut of_team = Client::connect(&team, site.ca.root_pem()).await.unjudged();
    assert_eq!(
        of_team.url("newOrder"),
        format!("{base}/acme/team/order-plz")
    );
    of_team.new_account().await.expect(201);
    let of_first = site.subscriber().await;
    for client in [&of_team, &of_first] {
        let got = client.obtain(&["a.team.test"], &site.web).await;
        let chain = client.fetch(&got.certificate).await;
        let media = |answer: &Response| answer.header("content-type").unwrap().to_owned();
        assert_eq!(
            media(&chain),
            "application/pem-certificate-chain; charset=utf-8"
        );
        let order = client.fetch(&got.order).await;
        assert_eq!(media(&order), "application/json; charset=utf-8");
        let fault = site.fault("newOrder:503 once");
        let refused = client.new_order(&["b.team.test"]).await.expect(503);
        assert_eq!(media(&refused), "application/problem+json; charset=utf-8");
        let index = format!("<{}>;rel=\"index\"", directory_of(client));
        assert!(refused.links().contains(&index.as_str()), "{index}");
        assert_eq!(site.counts(fault), (1, 1));
        assert!(site.ca.doors().remove(fault));
        client.new_order(&["b.team.test"]).await.expect(201);
    }
}

fn directory_of(client: &Client) -> String {
    client.url("newOrder").replace("/order-plz", "/dir")
}

/// A request under another host than that of the connection.
async fn under(client: &Client, host: &str, target: &str, payload: Value) -> Response {
    let path = target.splitn(4, '/').nth(3).unwrap();
    let mut draft = client.draft(target, &payload).await;
    draft.header("host", Some(host));
    draft.protect("url", format!("https://{host}/{path}"));
    client.send(&draft).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_are_made_from_the_host_that_a_request_names() {
    let site = Site::behaving(outside()).await;
    let client = site.subscriber().await;
    let url = site.ca.directory();
    let named = |host: &str| vec![("host".to_owned(), host.to_owned())];
    for host in ["pebble:14000", "my_pebble", "127.0.0.1:1", "[::1]:14000"] {
        let answer = client.plain_with("GET", url, &named(host)).await.unwrap();
        let directory = answer.expect(200).json();
        assert_eq!(
            directory["newOrder"],
            format!("https://{host}/order-plz"),
            "{host}"
        );
    }
    // What is no host is not followed.
    for odd in ["pebble/x", "a b", "user@pebble", "pebble?"] {
        let answer = client.plain_with("GET", url, &named(odd)).await;
        if let Ok(answer) = answer {
            let newer = answer.json()["newOrder"].as_str().map(str::to_owned);
            assert!(
                newer.is_none_or(|u| u == client.url("newOrder")),
                "{odd} is followed"
            );
        }
    }
    // An account made under one host is good under each that answered, and what it gets has that host.
    let order = json!({"identifiers": [{"type": "dns", "value": "a.host.test"}]});
    let new_order = client.url("newOrder");
    let placed = under(&client, "pebble:14000", &new_order, order.clone()).await;
    let placed = placed.expect(201);
    assert!(
        placed
            .location()
            .starts_with("https://pebble:14000/my-order/")
    );
    let placed = placed.json();
    for url in [&placed["finalize"], &placed["authorizations"][0]] {
        assert!(
            url.as_str().unwrap().starts_with("https://pebble:14000/"),
            "{url}"
        );
    }
    let mut moved = client.clone();
    let kid = client.kid.clone().unwrap();
    let base = url.strip_suffix("/dir").unwrap();
    moved.kid = Some(kid.replace(base, "https://pebble:14000"));
    moved.new_order(&["b.host.test"]).await.expect(201);
    moved.kid = Some(kid.replace(base, "https://never.asked"));
    let refused = moved.new_order(&["b.host.test"]).await.expect(400);
    assert_eq!(refused.problem(), "malformed");
    // The url that is signed has the request's host.
    let mut draft = client.draft(&new_order, &order).await;
    draft.header("host", Some("pebble:14000"));
    let refused = client.send(&draft).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (403, "unauthorized")
    );
    // The same key finds its account there under the URL of there.
    let other = client.with_key(Key::es256());
    let new_account = client.url("newAccount");
    let mut draft = other
        .draft(&new_account, &json!({"termsOfServiceAgreed": true}))
        .await;
    draft.header("host", Some("pebble:14000"));
    draft.protect("url", "https://pebble:14000/sign-me-up");
    let made = client.send(&draft).await.expect(201);
    assert!(
        made.location()
            .starts_with("https://pebble:14000/my-account/")
    );
    draft.protect("nonce", client.nonce().await);
    draft.header("host", None);
    draft.protect("url", new_account.as_str());
    let found = client.send(&draft).await.expect(200);
    assert_eq!(
        found.location(),
        made.location().replace("https://pebble:14000", base)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caa_record_may_name_the_account_under_any_host_that_was_followed() {
    let site = Site::tuned(|settings, _| {
        settings.config.caa_identities = vec!["ca.test".to_owned()];
        settings.conduct = outside();
    })
    .await;
    let client = site.subscriber().await;
    let named = [("host".to_owned(), "pebble:14000".to_owned())];
    let url = site.ca.directory();
    client.plain_with("GET", url, &named).await.unwrap();
    let kid = client.kid.clone().unwrap();
    let base = url.strip_suffix("/dir").unwrap();
    let allow = |name: &str, host: &str| {
        let account = kid.replace(base, host);
        let value = format!("ca.test; accounturi={account}");
        site.dns
            .add_caa(name, 0, "issue", &value)
            .add_address(name, std::net::Ipv4Addr::LOCALHOST);
    };
    allow("a.caa.test", "https://pebble:14000");
    client.obtain(&["a.caa.test"], &site.web).await;
    allow("b.caa.test", "https://never.asked");
    let placed = client.new_order(&["b.caa.test"]).await.expect(201);
    client.answer(&first(&placed.json()), &site.web).await;
    let ended = client.poll(&first(&placed.json()), &["pending"]).await;
    assert_eq!(ended["status"], "invalid", "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_word_about_it_a_test_ca_has_cairns_paths_and_its_configured_host() {
    let site = Site::start().await;
    let client = site.subscriber().await;
    let url = site.ca.directory();
    let named = [("host".to_owned(), "pebble:14000".to_owned())];
    let answer = client.plain_with("GET", url, &named).await.unwrap();
    let directory = answer.json();
    let base = url.strip_suffix("/directory").unwrap();
    assert_eq!(
        directory["newAuthz"],
        format!("{base}/acme/new-authz"),
        "{directory}"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(directory["meta"]["externalAccountRequired"].is_null());
    let order = client.plain("GET", &format!("{base}/dir")).await;
    assert_eq!(order.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_wants_a_bare_answer_and_no_request_goes_without_an_agent() {
    let site = Site::behaving(Conduct {
        strict: true,
        ..outside()
    })
    .await;
    let client = site.subscriber().await;
    let placed = client.new_order(&["a.strict.test"]).await.expect(201);
    let challenge = client.challenge(&first(&placed.json()), "http-01").await;
    site.web
        .token(&challenge.token, &challenge.key_authorization);
    let odd = json!({"keyAuthorization": challenge.key_authorization});
    let refused = client.post(&challenge.url, &odd).await.expect(400);
    assert_eq!(refused.problem(), "malformed");
    let with_resource = json!({"resource": "new-order", "identifiers": []});
    let url = client.url("newOrder");
    let refused = client.post(&url, &with_resource).await.expect(400);
    assert!(refused.text().contains("ACME v1"), "{}", refused.text());
    client.post(&challenge.url, &json!({})).await.expect(200);
    let site = Site::behaving(Conduct {
        wants_agent: true,
        ..Conduct::default()
    })
    .await;
    // The tests' own client has no User-Agent; a directory is asked for by hand.
    let lax = Site::start().await;
    let client = lax.stranger().await.apart(site.ca.root_pem());
    let url = site.ca.directory();
    let refused = client.plain("GET", url).await.expect(400);
    assert_eq!(refused.problem(), "malformed");
    let agent = [("user-agent".to_owned(), "test/1".to_owned())];
    let answer = client.plain_with("GET", url, &agent).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_nonces_are_refused_in_pebbles_words_until_that_is_cleared() {
    let site = Site::behaving(Conduct {
        nonces_refused: 100,
        ..outside()
    })
    .await;
    let client = site.stranger().await;
    let nonce = client.nonce().await;
    let url = client.url("newAccount");
    let mut draft = client.draft(&url, &json!({})).await;
    draft.protect("nonce", nonce.as_str());
    let refused = client.send(&draft).await.expect(400);
    assert_eq!(refused.problem(), "badNonce");
    let said = format!("JWS has an invalid anti-replay nonce: {nonce}");
    assert_eq!(refused.json()["detail"], said);
    let listed = site.ca.doors().list();
    assert_eq!(listed.len(), 1);
    site.ca.doors().clear();
    site.subscriber().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instant_acme_gets_a_certificate_with_everything_of_pebbles_on() {
    let site = Site::tuned(|settings, ports| {
        settings.conduct = Conduct::pebble(ports);
        settings.config.accounts.terms = Some("data:text/plain,Do%20what%20thou%20wilt".to_owned());
    })
    .await;
    let account = account(&site).await;
    let mut order = place(&account, "a.everything.test").await.unwrap();
    answer(&mut order).await;
    assert_eq!(
        order.poll_ready(&patient()).await.unwrap(),
        OrderStatus::Ready
    );
    let (csr, _) = csr(&["a.everything.test"]);
    order.finalize_csr(&csr).await.unwrap();
    let chain = order.poll_certificate(&patient()).await.unwrap();
    assert!(chain.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(order.url().contains("/my-order/"), "{}", order.url());
}

/// Two profiles beside the default one.
fn profiles(lives: &[(&str, u64)]) -> Profiles {
    let mut text = String::from("name = \"x\"\nurl = \"https://localhost\"\n");
    for (name, days) in lives {
        text.push_str(&format!("[profile.{name}]\nlife = \"{days}d\"\n"));
    }
    cairn_ca::config::Config::parse(&text, std::path::Path::new("x"))
        .unwrap()
        .profile
}

async fn ordered_profiles(seed: u32) -> Vec<String> {
    let site = Site::tuned(|settings, _| {
        settings.config.profile = profiles(&[("short", 6), ("long", 60)]);
        settings.scenario.seed = seed;
        settings.conduct.random_profile = true;
    })
    .await;
    let client = site.subscriber().await;
    let mut seen = Vec::new();
    for n in 0..24 {
        let placed = client.new_order(&[&format!("n{n}.random.test")]).await;
        let profile = placed.expect(201).json()["profile"].clone();
        seen.push(profile.as_str().unwrap().to_owned());
    }
    // Who names one gets it.
    let named =
        json!({"identifiers": [{"type": "dns", "value": "x.random.test"}], "profile": "long"});
    for _ in 0..8 {
        let placed = client.post(&client.url("newOrder"), &named).await;
        assert_eq!(placed.json()["profile"], "long");
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_names_no_profile_gets_any_and_the_same_ones_by_the_same_seed() {
    let (one, again, other) = (
        ordered_profiles(7).await,
        ordered_profiles(7).await,
        ordered_profiles(8).await,
    );
    assert_eq!(one, again);
    assert_ne!(one, other);
    for name in ["default", "short", "long"] {
        assert!(one.iter().any(|seen| seen == name), "{name}: {one:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_profile_can_be_the_only_one() {
    let site = Site::tuned(|settings, _| {
        settings.config.profile = profiles(&[("short", 6), ("long", 60)]);
        settings.conduct.profiles = vec!["short".to_owned()];
        settings.conduct.random_profile = true;
    })
    .await;
    let client = site.subscriber().await;
    let directory = client.plain("GET", site.ca.directory()).await.json();
    let offered = directory["meta"]["profiles"].as_object().unwrap();
    assert_eq!(offered.keys().collect::<Vec<_>>(), ["short"]);
    let (_, order) = site.ready(&client, "a.only.test").await;
    assert_eq!(order["profile"], "short");
    finalize(&client, &order, "a.only.test").await.expect(200);
    let long = json!({"identifiers": [{"type": "dns", "value": "b.only.test"}], "profile": "long"});
    let refused = client
        .post(&client.url("newOrder"), &long)
        .await
        .expect(400);
    assert_eq!(refused.problem(), "invalidProfile");
}
