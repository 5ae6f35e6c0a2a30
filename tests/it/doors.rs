//! One way to a signature: whatever else is asked, on whichever listener, nothing is signed (T-CA-121, R-13).

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use cairn_testkit::{block_on, ca::HOST, http::Responder, test_path};
use serde_json::{Value, json};

use crate::world::{World, inside};

fn certificates(world: &World) -> usize {
    let (status, out, err) = world.ca.command(&["list", "certificates", "--json"]);
    assert!(status.success(), "{err}");
    serde_json::from_str::<Value>(&out).unwrap()["certificates"]
        .as_array()
        .unwrap()
        .len()
}

/// Sends a request line to the operator's socket and reads the status.
fn operator(world: &World, request: &str) -> String {
    let mut socket = UnixStream::connect(world.ca.dir().join("operator.sock")).unwrap();
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .unwrap();
    write!(
        socket,
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut said = String::new();
    let _ = socket.read_to_string(&mut said);
    said.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn nothing_is_signed_without_an_account_and_its_order() {
    // T-CA-121
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        let (paths, before) = block_on(async {
            let client = world.ca.subscriber().await;
            let got = client.obtain(&["door.test"], &web).await;
            let order = client.fetch(&got.order).await.json();
            let object = client
                .fetch(order["authorizations"][0].as_str().unwrap())
                .await
                .json();
            let mut paths: Vec<String> = ["newNonce", "newAccount", "newOrder"]
                .map(|m| client.url(m))
                .to_vec();
            paths.push(client.kid.clone().unwrap());
            paths.extend([got.order, got.certificate]);
            paths.push(order["finalize"].as_str().unwrap().to_owned());
            paths.push(order["authorizations"][0].as_str().unwrap().to_owned());
            paths.push(object["challenges"][0]["url"].as_str().unwrap().to_owned());
            for guess in [
                "/",
                "/acme",
                "/admin",
                "/sign",
                "/1.0/sign",
                "/api/v1/sign",
                "/.well-known/est/simpleenroll",
                "/scep",
                "/acme/revoke-cert",
                "/acme/issue",
            ] {
                paths.push(format!("https://ca.test{guess}"));
            }
            (paths, certificates(&world))
        });
        block_on(async {
            let client = world.ca.client().await;
            for path in &paths {
                for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                    let status = client.plain(method, path).await.status;
                    let fine = path.ends_with("new-nonce") && matches!(method, "GET" | "HEAD");
                    // Tells the methods and does nothing.
                    let told = method == "OPTIONS" && status == 204;
                    assert!(
                        fine || told || status >= 400,
                        "{method} {path} answered {status}"
                    );
                }
            }
        });
        for path in [
            "/",
            "/sign",
            "/issue",
            "/certificates",
            "/directory",
            "/acme/new-order",
        ] {
            for method in ["POST", "PUT", "DELETE"] {
                let said = operator(&world, &format!("{method} {path}"));
                assert!(said.contains(" 4"), "operator: {method} {path}: {said}");
            }
            let answer = cairn_testkit::ca::get("127.0.0.1:80", path).unwrap();
            assert_eq!(answer.0, 404, "publication: {path}");
        }
        assert_eq!(certificates(&world), before, "something was signed");
    });
}

#[test]
fn an_order_carries_a_hundred_names_and_no_more() {
    // T-CA-57
    // 8555-7.4-3
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.subscriber().await;
            let names: Vec<String> = (0..101).map(|n| format!("n{n}.count.test")).collect();
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let refused = client.new_order(&all).await;
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (400, "rejectedIdentifier")
            );
            assert!(
                refused.json()["detail"].as_str().unwrap().contains("100"),
                "{}",
                refused.text()
            );
            let order = client.new_order(&all[..100]).await.expect(201).json();
            assert_eq!(order["authorizations"].as_array().unwrap().len(), 100);
            let same = vec!["twin.count.test"; 101];
            let order = client.new_order(&same).await.expect(201).json();
            assert_eq!(
                order["identifiers"],
                json!([{ "type": "dns", "value": "twin.count.test" }])
            );
            let order = client
                .new_order(&["A.count.test", "a.count.test"])
                .await
                .expect(201)
                .json();
            assert_eq!(order["identifiers"].as_array().unwrap().len(), 1);
            // Several offending names are each named.
            let refused = client
                .new_order(&["good.test", "bad_name.test", "192.0.2.1"])
                .await;
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (400, "rejectedIdentifier")
            );
            assert_eq!(
                refused.json()["subproblems"].as_array().unwrap().len(),
                2,
                "{}",
                refused.text()
            );
            let mail = json!({ "identifiers": [{ "type": "email", "value": "a@example.test" }] });
            let refused = client.post(&client.url("newOrder"), &mail).await;
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (400, "unsupportedIdentifier")
            );
        });
    });
}
