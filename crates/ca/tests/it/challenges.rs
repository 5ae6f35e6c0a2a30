//! Which challenges an authorization has, and what each of them shows: dns-01 with wildcards, tls-alpn-01, addresses.

use std::net::IpAddr;

use cairn_acme::challenge::ChallengeType;
use cairn_ca::config::AddressRule;
use cairn_testkit::{
    acme::{Client, csr},
    http::Responder,
    tls_alpn::{Answer, PROTOCOL, TlsServer},
};
use cairn_x509::certificate::Certificate;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    steps::{finish, list, ready},
    world::World,
};

fn types(authorization: &Value) -> Vec<String> {
    let challenges = authorization["challenges"].as_array().unwrap();
    let kind = |c: &Value| c["type"].as_str().unwrap().to_owned();
    challenges.iter().map(kind).collect()
}

/// The authorizations of a new order.
async fn ordered(
    client: &Client,
    identifiers: &[(&str, &str)],
) -> (String, Value, Vec<(String, Value)>) {
    let placed = client.new_order_of(identifiers).await.expect(201);
    let mut authorizations = Vec::new();
    for url in list(&placed.json()["authorizations"]) {
        let object = client.fetch(&url).await.expect(200).json();
        authorizations.push((url, object));
    }
    (placed.location(), placed.json(), authorizations)
}

/// Answers one challenge and gives the authorization as it then is.
async fn respond(client: &Client, authorization: &str, kind: &str) -> Value {
    let challenge = client.challenge(authorization, kind).await;
    client.post(&challenge.url, &json!({})).await.expect(200);
    client.poll(authorization, &["pending"]).await
}

async fn leaf(client: &Client, order: &Value) -> Certificate {
    let url = order["certificate"]
        .as_str()
        .unwrap_or_else(|| panic!("{order}"));
    let chain = client.fetch(url).await.expect(200).text();
    cairn_testkit::issued::keep_chain(&chain);
    let der = CertificateDer::pem_slice_iter(chain.as_bytes())
        .next()
        .unwrap()
        .unwrap();
    Certificate::parse(&der).unwrap()
}

fn addresses(range: &str, http_port: u16, tls_port: u16) -> AddressRule {
    AddressRule {
        range: range.parse().unwrap(),
        allow: None,
        http_port: Some(http_port),
        tls_port: Some(tls_port),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_fits_the_identifier_and_stands_in_a_fixed_order() {
    // 8555-7.1.4-1
    // 8555-8.3-6
    // 8737-3-1
    // 8738-4-1
    // 8738-7-1
    // T-CA-60
    let all = ["http-01", "dns-01", "tls-alpn-01"];
    let some = |offered: Vec<ChallengeType>| {
        World::with(move |config| {
            config.orders.challenges = offered;
            config.addresses = vec![addresses("127.0.0.0/8", 9, 9), addresses("::1/128", 9, 9)];
        })
    };
    let world = some(ChallengeType::ALL.to_vec()).await;
    let client = world.subscriber().await;
    let rows: [(&str, &str, &[&str]); 4] = [
        ("dns", "a.offer.test", &all),
        ("dns", "*.offer.test", &["dns-01"]),
        ("ip", "127.0.0.7", &["http-01", "tls-alpn-01"]),
        ("ip", "::1", &["http-01", "tls-alpn-01"]),
    ];
    for (kind, value, want) in rows {
        let (_, order, authorizations) = ordered(&client, &[(kind, value)]).await;
        let object = &authorizations[0].1;
        assert_eq!(types(object), want, "{value}");
        assert_eq!(
            order["identifiers"],
            json!([{ "type": kind, "value": value }])
        );
        let wildcard = value.strip_prefix("*.");
        assert_eq!(object["identifier"]["value"], wildcard.unwrap_or(value));
        assert_eq!(
            object.get("wildcard"),
            wildcard.map(|_| json!(true)).as_ref()
        );
    }
    world.shutdown().await;
    // Two types that the setting leaves, and what they cannot show.
    let world = some(vec![ChallengeType::Http01, ChallengeType::TlsAlpn01]).await;
    let client = world.subscriber().await;
    let (_, _, authorizations) = ordered(&client, &[("dns", "a.offer.test")]).await;
    assert_eq!(types(&authorizations[0].1), ["http-01", "tls-alpn-01"]);
    let refused = client
        .new_order_of(&[("dns", "*.offer.test"), ("dns", "a.offer.test")])
        .await
        .expect(400);
    assert_eq!(refused.problem(), "rejectedIdentifier");
    assert!(
        refused.text().contains("a wildcard needs dns-01"),
        "{}",
        refused.text()
    );
    assert_eq!(
        refused.json()["subproblems"][0]["identifier"]["value"],
        "*.offer.test"
    );
    world.shutdown().await;
    let world = some(vec![ChallengeType::Dns01]).await;
    let client = world.subscriber().await;
    let refused = client
        .new_order_of(&[("ip", "127.0.0.7")])
        .await
        .expect(400);
    assert_eq!(refused.problem(), "rejectedIdentifier");
    assert!(
        refused
            .text()
            .contains("an address needs http-01 or tls-alpn-01"),
        "{}",
        refused.text()
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_and_its_base_are_shown_each_by_its_own_authorization() {
    // 8555-7.1.4-3
    // 8555-8.4-2
    // 8555-8.4-3
    // T-CA-60
    // T-CA-45
    let world = World::start().await;
    let client = world.subscriber().await;
    let both = [("dns", "wild.test"), ("dns", "*.wild.test")];
    let (url, _, authorizations) = ordered(&client, &both).await;
    assert_eq!(authorizations.len(), 2);
    // Both values stand at one name.
    let mut urls = Vec::new();
    for (authorization, _) in &authorizations {
        let challenge = client.challenge(authorization, "dns-01").await;
        world
            .dns
            .add_txt("_acme-challenge.wild.test", &challenge.txt_value());
        urls.push(authorization.clone());
    }
    let wildcard = urls[authorizations
        .iter()
        .position(|a| a.1["wildcard"] == true)
        .unwrap()]
    .clone();
    let base = urls.iter().find(|u| **u != wildcard).unwrap().clone();
    let object = respond(&client, &wildcard, "dns-01").await;
    assert_eq!(
        (&object["status"], &object["wildcard"]),
        (&json!("valid"), &json!(true)),
        "{object}"
    );
    assert_eq!(types(&object), ["dns-01"]);
    // The wildcard's proof is none of the base, and the order waits for it.
    let object = client.fetch(&base).await.expect(200).json();
    assert_eq!(object["status"], "pending", "{object}");
    assert_eq!(
        client.fetch(&url).await.expect(200).json()["status"],
        "pending"
    );
    let pair = [("dns", "wild.test"), ("dns", "x.wild.test")];
    let (_, order, _) = ordered(&client, &pair).await;
    assert_eq!(order["status"], "pending", "{order}");
    assert_eq!(respond(&client, &base, "dns-01").await["status"], "valid");
    let order = client.poll(&url, &["pending"]).await;
    // The CSR has to have both.
    for names in [
        &["wild.test"][..],
        &["*.wild.test"],
        &["wild.test", "*.wild.test", "a.wild.test"],
    ] {
        let refused = client.finalize(&order, &csr(names).0).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (400, "badCSR"),
            "{names:?}"
        );
    }
    let names = ["wild.test", "*.wild.test"];
    let done = finish(&client, &(url, order), &names).await;
    assert_eq!(leaf(&client, &done).await.dns_names(), names);
    // What is valid is used again, each for its own.
    for (name, challenges) in [("wild.test", 1), ("*.wild.test", 1), ("*.a.wild.test", 0)] {
        let (_, order, authorizations) = ordered(&client, &[("dns", name)]).await;
        let valid = order["status"] == "ready";
        assert_eq!(valid, challenges == 1, "{name}: {order}");
        assert_eq!(authorizations[0].1["status"] == "valid", valid, "{name}");
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_shown_over_http_says_nothing_of_the_wildcard() {
    // 8555-7.1.4-3
    // T-CA-45
    // T-CA-60
    let world = World::start().await;
    let client = world.subscriber().await;
    ready(&world, &client, &["base.test"]).await;
    let (url, order, authorizations) = ordered(&client, &[("dns", "*.base.test")]).await;
    assert_eq!(order["status"], "pending", "{order}");
    assert_eq!(types(&authorizations[0].1), ["dns-01"]);
    // The challenge of another type has no URL; a guessed one is none.
    let dns01 = client.challenge(&authorizations[0].0, "dns-01").await;
    let guessed = dns01.url.replace("dns-01", "http-01");
    if guessed != dns01.url {
        client.post(&guessed, &json!({})).await.expect(404);
    }
    // A text that is another challenge's shows nothing.
    let (_, _, others) = ordered(&client, &[("dns", "*.other.test")]).await;
    let other = client.challenge(&others[0].0, "dns-01").await;
    world
        .dns
        .add_txt("_acme-challenge.base.test", &other.txt_value());
    let object = respond(&client, &authorizations[0].0, "dns-01").await;
    assert_eq!(object["status"], "invalid", "{object}");
    let error = &object["challenges"][0]["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:unauthorized");
    let detail = error["detail"].as_str().unwrap();
    for part in [
        "*.base.test: no TXT record at _acme-challenge.base.test has this challenge's value",
        &format!("Found \"{}\"", other.txt_value()),
        &format!("expected \"{}\"", dns01.txt_value()),
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    let order = client.fetch(&url).await.expect(200).json();
    assert_eq!(order["status"], "invalid", "{order}");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_comes_late_passes_at_the_next_attempt() {
    // 8555-8.2-2
    // 8555-8.4-2
    let world = World::start().await;
    let client = world.subscriber().await;
    let (_, _, authorizations) = ordered(&client, &[("dns", "late.test")]).await;
    let authorization = &authorizations[0].0;
    let challenge = client.challenge(authorization, "dns-01").await;
    client.post(&challenge.url, &json!({})).await.expect(200);
    let shown = loop {
        let shown = client.fetch(&challenge.url).await.expect(200).json();
        if shown["error"].is_object() {
            break shown;
        }
    };
    assert_eq!(shown["status"], "processing", "{shown}");
    let detail = shown["error"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("there is no TXT record at _acme-challenge.late.test"),
        "{detail}"
    );
    assert!(detail.contains("tries again in"), "{detail}");
    world
        .dns
        .add_txt("_acme-challenge.late.test", &challenge.txt_value());
    assert_eq!(
        client.poll(authorization, &["pending"]).await["status"],
        "valid"
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_alpn_01_shows_names_and_addresses_of_both_families() {
    // 8737-3-5
    // 8737-3-6
    // 8738-3-1
    // 8738-3-2
    // 8738-4-1
    // 8738-6-1
    // T-CA-76
    let (four, six) = (
        TlsServer::start(([127, 0, 0, 1], 0)),
        TlsServer::start((IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 0)),
    );
    let ports = (four.address().port(), six.address().port());
    let world = World::with(|config| {
        config.names[0].tls_port = Some(ports.0);
        config.addresses = vec![
            addresses("127.0.0.0/8", 9, ports.0),
            addresses("::1/128", 9, ports.1),
        ];
    })
    .await;
    let client = world.subscriber().await;
    let reverse6 = format!("1.{}ip6.arpa", "0.".repeat(31));
    let names = [
        ("dns", "alpn.test", "alpn.test", &four),
        ("ip", "127.0.0.1", "1.0.0.127.in-addr.arpa", &four),
        ("ip", "::1", reverse6.as_str(), &six),
    ];
    let (url, _, authorizations) = ordered(&client, &names.map(|(k, v, ..)| (k, v))).await;
    for (authorization, object) in &authorizations {
        let value = object["identifier"]["value"].as_str().unwrap();
        let (_, _, server_name, server) = names.iter().find(|(_, v, ..)| *v == value).unwrap();
        let challenge = client.challenge(authorization, "tls-alpn-01").await;
        server.present(
            server_name,
            Answer::challenge(value, &challenge.key_authorization),
        );
        let object = respond(&client, authorization, "tls-alpn-01").await;
        assert_eq!(object["status"], "valid", "{object}");
        let said = server.log().pop().unwrap();
        assert_eq!(said.name.as_deref(), Some(*server_name));
        assert_eq!(said.protocols, [PROTOCOL]);
    }
    let order = client.poll(&url, &["pending"]).await;
    // Digits are no DNS name, in the common name neither.
    let bad = ["alpn.test", "127.0.0.1"];
    let refused = client.finalize(&order, &csr(&bad).0).await.expect(400);
    assert_eq!(refused.problem(), "badCSR");
    assert!(
        refused.text().contains("it lacks ::1"),
        "{}",
        refused.text()
    );
    let names = ["alpn.test", "127.0.0.1", "::1"];
    let done = finish(&client, &(url, order), &names).await;
    let leaf = leaf(&client, &done).await;
    assert_eq!(leaf.dns_names(), ["alpn.test"]);
    let wanted: Vec<IpAddr> = ["127.0.0.1", "::1"].map(|a| a.parse().unwrap()).into();
    assert_eq!(leaf.ip_addresses(), wanted);
    assert_eq!(four.octets_after() + six.octets_after(), 0);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_01_shows_addresses_with_themselves_in_the_host_header() {
    // 8738-4-1
    // 8738-5-1
    let four = Responder::start(([127, 0, 0, 1], 0));
    let six = Responder::start((IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 0));
    let ports = (four.address().port(), six.address().port());
    let world = World::with(|config| {
        config.addresses = vec![
            addresses("127.0.0.0/8", ports.0, 9),
            addresses("::1/128", ports.1, 9),
        ];
    })
    .await;
    let client = world.subscriber().await;
    let (url, _, authorizations) = ordered(&client, &[("ip", "127.0.0.1"), ("ip", "::1")]).await;
    for (authorization, object) in &authorizations {
        let value = object["identifier"]["value"].as_str().unwrap();
        let (server, host) = match value {
            "::1" => (&six, "[::1]"),
            _ => (&four, "127.0.0.1"),
        };
        let challenge = client.challenge(authorization, "http-01").await;
        server.token(&challenge.token, &challenge.key_authorization);
        let object = respond(&client, authorization, "http-01").await;
        assert_eq!(object["status"], "valid", "{object}");
        assert_eq!(server.log().pop().unwrap().host, host);
    }
    let order = client.poll(&url, &["pending"]).await;
    let done = finish(&client, &(url, order), &["127.0.0.1", "::1"]).await;
    let leaf = leaf(&client, &done).await;
    assert!(leaf.dns_names().is_empty(), "{:?}", leaf.dns_names());
    assert_eq!(leaf.ip_addresses().len(), 2);
    // Nobody was asked about them.
    assert!(
        world
            .dns
            .log()
            .iter()
            .all(|q| !q.name.contains("127") && !q.name.contains("arpa"))
    );
    world.shutdown().await;
}
