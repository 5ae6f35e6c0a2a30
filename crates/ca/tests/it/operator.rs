//! The operator's socket: health, metrics, queries; and the same queries on the store when no server runs.

use std::os::unix::fs::PermissionsExt;

use cairn_ca::{
    operator::{self, Query, client},
    store::Filter,
};

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_tells_what_is_issued_and_how_the_node_is() {
    let world = World::start().await;
    let subscriber = world.subscriber().await;
    let got = subscriber.obtain(&["a.operator.test"], &world.web).await;
    let dir = world.dir();
    let mode = std::fs::metadata(dir.join(operator::SOCKET))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let serial = got.certificate.rsplit('/').next().unwrap().to_owned();
    let list = operator::ask(
        &dir,
        Query::ListCertificates(Filter {
            name: Some("a.operator.test".to_owned()),
            limit: 10,
            ..Filter::default()
        }),
    )
    .await
    .unwrap();
    assert_eq!(list["certificates"][0]["serial"], serial.as_str(), "{list}");
    let shown = operator::ask(&dir, Query::Show(serial)).await.unwrap();
    assert!(shown.to_string().contains("a.operator.test"), "{shown}");
    let order = got.order.rsplit('/').next().unwrap().to_owned();
    let shown = operator::ask(&dir, Query::Show(order)).await.unwrap();
    assert!(shown.to_string().contains("trace"), "{shown}");
    // What a failing client prints, and openssl's spelling of a serial.
    let authorization = shown["authorizations"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let serial = got.certificate.rsplit('/').next().unwrap().to_uppercase();
    let pairs: Vec<String> = serial
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    let base = world.ca().snapshot.load().urls.base().to_owned();
    let mut failed = Vec::new();
    for (name, word) in [
        (format!("{}/finalize", got.order), "authorizations"),
        (got.certificate.clone(), "spki_sha256"),
        (format!("serial={serial}"), "spki_sha256"),
        (pairs.join(":"), "spki_sha256"),
        (
            format!("{base}/acme/authorization/{authorization}"),
            "trace",
        ),
        (
            format!("{base}/acme/challenge/{authorization}/http-01"),
            "trace",
        ),
        (authorization, "trace"),
    ] {
        match operator::ask(&dir, Query::Show(name.clone())).await {
            Ok(shown) if shown.get(word).is_some() => {}
            other => failed.push(format!("{name}: {other:?}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // A reason that is behind the fault arrives too.
    let fault = operator::ask(&dir, Query::Backup("/nonexistent/b.db".into()))
        .await
        .unwrap_err();
    assert!(fault.to_string().contains("No such file"), "{fault}");
    // A list that cannot apply a filter says so.
    let fault = operator::ask(
        &dir,
        Query::ListAccounts(Filter {
            name: Some("a.operator.test".to_owned()),
            ..Filter::default()
        }),
    )
    .await
    .unwrap_err();
    assert!(matches!(fault, operator::AskFault::Unfit(_)), "{fault}");
    let status = operator::ask(&dir, Query::Status).await.unwrap();
    assert!(status["issuers"][0]["name"].is_string(), "{status}");
    assert!(
        status["own_certificates"][0]["not_after"].is_string(),
        "{status}"
    );
    assert!(
        operator::ask(&dir, Query::Show("nothing".to_owned()))
            .await
            .is_err()
    );
    assert!(operator::ask(&dir, Query::Status).await.unwrap()["rows"].is_object());

    let (status, text) = client::get(&dir, "/metrics").await.unwrap();
    assert_eq!(status, 200);
    for line in [
        "cairn_issuances_total{outcome=\"issued\"}",
        "cairn_requests_total{route=\"new-order\",status=\"201\"} 1",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert_eq!(client::get(&dir, "/health/live").await.unwrap().0, 200);
    let (status, text) = client::get(&dir, "/health/ready").await.unwrap();
    assert_eq!(status, 200, "{text}");
    assert_eq!(client::get(&dir, "/else").await.unwrap().0, 404);
}
