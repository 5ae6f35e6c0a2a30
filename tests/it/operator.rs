//! What an operator is shown: lists and details, health, metrics, logs; and what nobody is shown.

use std::{
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    time::Duration,
};

use cairn_testkit::{
    acme::{Key, encode},
    block_on,
    ca::{self, HOST, PUBLICATION, TestCa},
    http::Responder,
    process::Signal,
    test_path, wait_for,
};
use serde_json::{Value, json};

use crate::{operation::asked, world::inside};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn lists_and_details_are_the_same_with_a_server_and_without() {
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let (account, got) = block_on(async {
            let mut client = world.ca.client().await;
            client
                .new_account_with(json!({ "contact": ["mailto:a@list.test"] }))
                .await
                .expect(201);
            let got = client.obtain(&["a.list.test", "b.list.test"], &web).await;
            client.new_order(&["open.list.test"]).await.expect(201);
            (client.kid.unwrap(), got)
        });
        let id = |url: &str| url.rsplit('/').next().unwrap().to_owned();
        let (account, serial, order) = (id(&account), id(&got.certificate), id(&got.order));
        let questions: Vec<Vec<&str>> = vec![
            vec!["list", "certificates"],
            vec!["list", "certificates", "--name", "B.list.test"],
            vec!["list", "certificates", "--account", &account],
            vec![
                "list",
                "certificates",
                "--expires-within",
                "91d",
                "--limit",
                "1",
            ],
            vec!["list", "certificates", "--unconfirmed"],
            vec!["list", "orders", "--account", &account],
            vec![
                "list",
                "orders",
                "--state",
                "valid",
                "--name",
                "a.list.test",
            ],
            vec!["list", "accounts"],
            vec!["show", &serial],
            vec!["show", &got.certificate],
            vec!["show", &order],
            vec!["show", &account],
        ];
        let all = |ca: &TestCa| -> Vec<Value> {
            let json = |words: &Vec<&str>| asked(ca, &[words.as_slice(), &["--json"]].concat());
            questions.iter().map(json).collect()
        };
        let running = all(&world.ca);
        let count = |at: usize, member: &str| running[at][member].as_array().unwrap().len();
        // The CA's own certificate, order and account are listed too.
        let counts = [
            count(0, "certificates"),
            count(1, "certificates"),
            count(2, "certificates"),
            count(3, "certificates"),
            count(4, "certificates"),
        ];
        assert_eq!(counts, [2, 1, 1, 1, 0], "{running:#?}");
        assert_eq!(
            [count(5, "orders"), count(6, "orders"), count(7, "accounts")],
            [2, 1, 2],
            "{running:#?}"
        );
        assert_eq!(running[3]["more"], true);
        assert_eq!(running[8]["serial"], serial.as_str());
        assert_eq!(running[8]["names"], json!(["a.list.test", "b.list.test"]));
        assert_eq!(running[8], running[9], "a URL is as good as its last part");
        assert!(
            running[8]["evidence"].to_string().contains("127.0.0.2"),
            "{}",
            running[8]
        );
        assert!(
            running[10]["audit"]
                .as_array()
                .is_some_and(|rows| !rows.is_empty())
        );
        assert_eq!(running[11]["contacts"], json!(["mailto:a@list.test"]));
        for (words, value) in questions.iter().zip(&running) {
            let text = value.to_string();
            assert!(
                !text.contains("PRIVATE") && !text.contains("\"tbs\""),
                "{words:?}"
            );
        }
        let (status, _, err) = world.ca.command(&["show", "nothing", "--json"]);
        assert!(status.code() == Some(1) && err.contains("nothing"), "{err}");
        let (status, out, _) = world
            .ca
            .command(&["list", "certificates", "--name", "a.list.test"]);
        assert!(
            status.success() && out.contains("SERIAL") && out.contains(&serial),
            "{out}"
        );
        let online = asked(&world.ca, &["status", "--json"]);
        assert_eq!(
            (
                &online["rows"]["certificates"],
                &online["rows"]["orders_unfinished"]
            ),
            (&json!(2), &json!(1)),
            "{online}"
        );

        world.ca.terminate();
        for (at, (words, (then, now))) in questions
            .iter()
            .zip(running.iter().zip(all(&world.ca)))
            .enumerate()
        {
            assert_eq!(*then, now, "{at}: {words:?}");
        }
        assert_eq!(
            asked(&world.ca, &["status", "--json"])["rows"]["certificates"],
            2
        );
        world.ca.start();
    });
}

#[test]
fn health_and_metrics_are_on_the_operators_socket_and_only_there() {
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async {
            world
                .ca
                .subscriber()
                .await
                .obtain(&["metrics.test"], &web)
                .await
        });
        for path in ["/health/live", "/health/ready"] {
            let (status, body) = world.ca.operator(path).unwrap();
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            assert_eq!(ca::get(PUBLICATION, path).unwrap().0, 200);
        }
        let (status, body) = world.ca.operator("/metrics").unwrap();
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, 200);
        assert!(text.ends_with("# EOF\n"), "not OpenMetrics");
        for line in [
            "cairn_issuances_total{outcome=\"issued\"} 2",
            "cairn_validations_total{outcome=\"valid\"} 1",
            "cairn_requests_total{route=\"new-order\",status=\"201\"} 1",
            "cairn_store_rows{table=\"certificates\"} 2",
            "cairn_crl_next_update_timestamp_seconds{path=\"/crl/",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        // Neither listener of strangers has a second door.
        for path in [
            "/metrics",
            "/query",
            "/..%2fmetrics",
            "//metrics",
            "/health/../metrics",
        ] {
            assert_eq!(ca::get(PUBLICATION, path).unwrap().0, 404, "{path}");
            let client = block_on(world.ca.client());
            let answer = block_on(async {
                client
                    .apart(&world.ca.root())
                    .plain("GET", &format!("https://ca.test{path}"))
                    .await
            });
            assert_eq!(answer.status, 404, "{path}");
        }
        let mode = std::fs::metadata(world.ca.dir().join("operator.sock"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}

#[test]
fn whatever_a_requester_sends_is_one_line_of_the_log() {
    // T-CA-119
    // T-CA-128
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.set("log.format", "\"json\"");
        world.ca.set("log.level", "\"debug\"");
        world.ca.start();
        let evil =
            "x\n{\"level\":\"audit\",\"event\":\"issued\"}\r\n\u{1b}[2J{{7*7}}${HOME}%s\u{202e}";
        block_on(async {
            let client = world.ca.subscriber().await;
            let new_order = client.url("newOrder");
            let identifiers = json!({ "identifiers": [{ "type": evil, "value": evil }, { "type": "dns", "value": evil }] });
            assert_eq!(client.post(&new_order, &identifiers).await.status, 400);
            let mut stranger = client.with_key(Key::es256());
            let contact = json!({ "contact": [format!("mailto:{evil}")] });
            assert_eq!(stranger.new_account_with(contact).await.status, 400);
            let mut draft = client.draft(&new_order, &json!({})).await;
            draft.protect("alg", evil);
            draft.header(
                "user-agent",
                Some(&format!("a\u{1b}[31m{}", "A".repeat(8_000)).replace('\u{1b}', "")),
            );
            assert_eq!(client.send(&draft).await.status, 400);
            let mut draft = client.draft(&new_order, &json!({ (evil): evil })).await;
            draft.protect("url", evil);
            assert!(client.send(&draft).await.status >= 400);
            let escaped = "https://ca.test/acme/%0a%1b[2J/%7b%7d";
            assert_eq!(client.plain("GET", escaped).await.status, 404);
        });
        let logged = wait_for(PATIENCE, || {
            let lines = world.ca.log();
            let refused = |line: &&String| line.contains("\"event\":\"refused\"");
            (lines.iter().filter(refused).count() >= 5).then_some(())
        });
        let lines = world.ca.log();
        assert!(logged.is_some(), "{lines:#?}");
        let mut refused = 0;
        for line in lines
            .iter()
            .filter(|line| !line.starts_with("cairn ca:") && !line.starts_with("warning"))
        {
            let record: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(
                record["level"].is_string() && record["level"] != "audit",
                "{line}"
            );
            assert!(
                !line.chars().any(|c| c.is_control() || c == '\u{202e}'),
                "{line}"
            );
            assert!(line.len() < 8_000, "{} bytes", line.len());
            refused += usize::from(record["event"] == "refused");
        }
        assert!(refused >= 5, "{lines:#?}");
    });
}

#[test]
fn a_running_server_shows_no_secret_and_cannot_be_dumped() {
    // T-CA-125
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        world.ca.terminate();
        world.ca.set("log.level", "\"trace\"");
        world.ca.start();
        block_on(async {
            world
                .ca
                .subscriber()
                .await
                .obtain(&["secret.test"], &web)
                .await
        });
        let passphrase = std::fs::read_to_string(world.ca.dir().join("keys/passphrase")).unwrap();
        let key = std::fs::read_to_string(world.ca.dir().join("keys/issuing.key.pem")).unwrap();
        let secrets = [passphrase.trim(), key.lines().nth(2).unwrap()];
        let process = world.ca.process();
        let seen = [
            process.proc("cmdline"),
            process.proc("environ"),
            process.lines().join("\n").into_bytes(),
        ];
        for text in seen {
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(
                secrets.iter().all(|secret| !text.contains(secret)),
                "{text}"
            );
        }
        let limits = String::from_utf8(process.proc("limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        for entry in walk(&world.ca.dir()) {
            let mode = std::fs::metadata(&entry).unwrap().permissions().mode();
            let public = entry.extension().is_some_and(|e| e == "pem")
                && !entry.to_string_lossy().contains("key");
            let shared = public || entry.ends_with("cairn.toml");
            assert!(
                shared || mode & 0o077 == 0,
                "{} has mode {mode:o}",
                entry.display()
            );
        }
        let process = world.ca.process();
        process.signal(Signal::ABORT);
        let status = process.wait(PATIENCE).unwrap();
        assert!(!status.success() && !status.core_dumped(), "{status}");
    });
}

#[test]
fn a_private_key_in_a_request_is_refused_and_written_nowhere() {
    // T-CA-17
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.set("log.level", "\"trace\"");
        world.ca.start();
        let private = encode(b"thirty-two octets of a secret...");
        let mut secrets = vec![private.clone()];
        block_on(async {
            let client = world.ca.client().await;
            let members: [(&str, &[&str]); 3] = [
                ("ES256", &["d", "k"]),
                ("EdDSA", &["d"]),
                ("RS256", &["d", "p", "q", "dp", "dq", "qi", "oth", "k"]),
            ];
            for (algorithm, members) in members {
                let client = client.with_key(Key::generate(algorithm));
                for member in members {
                    let mut draft = client.draft(&client.url("newAccount"), &json!({})).await;
                    let mut jwk: Value = serde_json::from_str(client.key.jwk()).unwrap();
                    jwk[*member] = json!(private);
                    draft.protect("jwk", jwk);
                    let answer = client.send(&draft).await;
                    assert_eq!(
                        (answer.status, answer.problem().as_str()),
                        (400, "badPublicKey"),
                        "{algorithm} {member}: {}",
                        answer.text()
                    );
                    assert!(!answer.text().contains(&private), "{}", answer.text());
                    // Nor as it came, within the envelope.
                    secrets.push(draft.envelope()["protected"].as_str().unwrap().to_owned());
                }
            }
        });
        let mut places: Vec<String> = Vec::new();
        for secret in &secrets {
            let files = walk(&world.ca.dir()).into_iter();
            let holding = files.filter(|file| ca::holds(file, secret));
            places.extend(holding.map(|file| file.display().to_string()));
            let lines = world.ca.log().into_iter();
            places.extend(lines.filter(|line| line.contains(secret)));
        }
        assert!(places.is_empty(), "{places:#?}");
    });
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|e| {
            if e.path().is_dir() {
                walk(&e.path())
            } else {
                vec![e.path()]
            }
        })
        .collect()
}

#[test]
fn urls_are_the_configured_ones_whatever_host_a_request_names() {
    // T-CA-132
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.subscriber().await;
            let evil: Vec<(String, String)> = [
                ("host", "evil.example"),
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-proto", "http"),
                ("forwarded", "host=evil.example;proto=http"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
            let url = world.ca.directory();
            let honest = client.plain("GET", &url).await.expect(200);
            let fooled = client.plain_with("GET", &url, &evil).await.unwrap();
            assert!(
                [200, 400, 421].contains(&fooled.status),
                "{}",
                fooled.text()
            );
            if fooled.status == 200 {
                assert_eq!(fooled.text(), honest.text());
            }
            let order = json!({ "identifiers": [{ "type": "dns", "value": "host.test" }] });
            let mut draft = client.draft(&client.url("newOrder"), &order).await;
            draft.headers.extend(evil);
            let answer = client.send(&draft).await;
            let said = format!("{:?} {}", answer.headers, answer.text());
            assert!(!said.contains("evil"), "{said}");
        });
    });
}
