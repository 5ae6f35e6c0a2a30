//! `replaces` in newOrder (RFC 9773 §5): each refusal, and that a certificate is replaced once.

use cairn_testkit::acme::{Client, Key, csr, encode};
use serde_json::{Value, json};

use crate::{
    renewal::named,
    steps::{finish, list, obtain, wanted},
    world::World,
};

fn replacing(names: &[&str], name: &str) -> Value {
    let mut order = wanted(names);
    order["replaces"] = json!(name);
    order
}

/// Status, problem type and detail; for a placed order its URL.
async fn asked(client: &Client, order: &Value) -> (u16, String, String) {
    let answer = client.post(&client.url("newOrder"), order).await;
    if answer.status == 201 {
        return (201, String::new(), answer.location());
    }
    let problem = answer.json();
    let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
    let kind = text("type")
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    (answer.status, kind, text("detail"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_is_refused_for_what_it_lacks() {
    // 9773-5-2 9773-4.1-2 T-CA-28 T-CA-49
    let world = World::start().await;
    let client = world.subscriber().await;
    let names = ["a.replaces.test", "b.replaces.test"];
    let got = client.obtain(&names, &world.web).await;
    let name = named(&world, &got.certificate);
    let mut other = client.with_key(Key::es256());
    other.new_account().await.expect(201);
    let (key_id, serial) = name.split_once('.').unwrap();
    let unknown = format!("{key_id}.{}", encode(&[1; 19]));
    let foreign = format!("{}.{serial}", encode(&[7; 20]));
    // The CA's own listener's certificate is another account's too.
    let own = std::fs::read(world.dir().join("keys/listener.pem")).unwrap();
    let own = {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let der = CertificateDer::from_pem_slice(&own).unwrap();
        let parsed = cairn_x509::certificate::Certificate::parse(&der).unwrap();
        format!("{key_id}.{}", encode(parsed.serial()))
    };
    let a = ["a.replaces.test"];
    let rows = [
        (
            "no name",
            &client,
            replacing(&a, "x"),
            400,
            "malformed",
            "replaces names no certificate: ",
        ),
        (
            "padded",
            &client,
            replacing(&a, &format!("{name}=")),
            400,
            "malformed",
            "base64url",
        ),
        (
            "empty",
            &client,
            replacing(&a, ""),
            400,
            "malformed",
            "one dot",
        ),
        (
            "unknown",
            &client,
            replacing(&a, &unknown),
            404,
            "malformed",
            "no certificate of this account",
        ),
        (
            "another issuer's",
            &client,
            replacing(&a, &foreign),
            404,
            "malformed",
            "no certificate of this account",
        ),
        (
            "another account's",
            &other,
            replacing(&a, &name),
            404,
            "malformed",
            "no certificate of this account",
        ),
        (
            "the CA's own",
            &client,
            replacing(&a, &own),
            404,
            "malformed",
            "no certificate of this account",
        ),
        (
            "no shared name",
            &client,
            replacing(&["c.replaces.test", "replaces.test"], &name),
            400,
            "malformed",
            "shares no identifier",
        ),
    ];
    let mut wrong = Vec::new();
    for (what, client, order, status, kind, part) in rows {
        let told = asked(client, &order).await;
        if (told.0, told.1.as_str()) != (status, kind) || !told.2.contains(part) {
            wrong.push(format!("{what}: {told:?}"));
        }
    }
    // Absent and foreign look the same.
    let absent = asked(&other, &replacing(&a, &unknown)).await;
    if asked(&other, &replacing(&a, &name)).await != absent {
        wrong.push("another account's is told apart from an absent one".to_owned());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // No refusal has left a claim behind.
    let placed = asked(&client, &replacing(&a, &name)).await;
    assert_eq!(placed.0, 201, "{placed:?}");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_once_and_the_order_says_so() {
    // 9773-5-2 9773-5-3 T-CA-49
    let world = World::start().await;
    let client = world.subscriber().await;
    let names = ["a.replaces.test", "b.replaces.test"];
    let got = client.obtain(&names, &world.web).await;
    let name = named(&world, &got.certificate);
    let first = replacing(&["a.replaces.test", "new.replaces.test"], &name);
    let placed = client
        .post(&client.url("newOrder"), &first)
        .await
        .expect(201);
    assert_eq!(placed.json()["replaces"], json!(name));
    // The same request finds the same order; the same names without it are another.
    assert_eq!(asked(&client, &first).await.2, placed.location());
    let plain = asked(&client, &wanted(&["a.replaces.test", "new.replaces.test"])).await;
    assert_eq!(plain.0, 201);
    assert_ne!(plain.2, placed.location());

    let second = replacing(&["a.replaces.test"], &name);
    let told = asked(&client, &second).await;
    assert_eq!(
        (told.0, told.1.as_str()),
        (409, "alreadyReplaced"),
        "{told:?}"
    );
    let order = placed.location().rsplit('/').next().unwrap().to_owned();
    assert!(told.2.contains(&order), "{told:?} names {order}");

    // It ends by a deactivated authorization: the certificate may be replaced by another order.
    let pending = list(&placed.json()["authorizations"]).remove(1);
    client
        .post(&pending, &json!({ "status": "deactivated" }))
        .await
        .expect(200);
    let (order, _) = obtain(&world, &client, &second, &csr(&["a.replaces.test"]).0).await;
    assert_eq!(
        (&order["replaces"], &order["status"]),
        (&json!(name), &json!("valid"))
    );
    // A valid one bars every other for good, the equal request too.
    for order in [&second, &first] {
        let told = asked(&client, order).await;
        assert_eq!(
            (told.0, told.1.as_str()),
            (409, "alreadyReplaced"),
            "{told:?}"
        );
    }
    // Its own certificate is the next to be replaced.
    let next = named(&world, order["certificate"].as_str().unwrap());
    let third = client
        .post(
            &client.url("newOrder"),
            &replacing(&["a.replaces.test"], &next),
        )
        .await
        .expect(201);
    let third = (third.location(), third.json());
    let ended = finish(&client, &third, &["a.replaces.test"]).await;
    assert_eq!(
        (&ended["replaces"], &ended["status"]),
        (&json!(next), &json!("valid"))
    );
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_orders_at_once_for_one_certificate_one_is_placed() {
    // 9773-5-2
    let world = World::start().await;
    let client = world.subscriber().await;
    let got = client.obtain(&["a.replaces.test"], &world.web).await;
    let name = named(&world, &got.certificate);
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let client = client.apart(&world.root());
            let other = format!("n{n}.replaces.test");
            let order = replacing(&["a.replaces.test", &other], &name);
            tokio::spawn(async move { asked(&client, &order).await.0 })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.push(task.await.unwrap());
    }
    told.sort_unstable();
    let mut want = vec![409; 12];
    want[0] = 201;
    assert_eq!(told, want);
    world.shutdown().await;
}
