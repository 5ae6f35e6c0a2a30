//! What an operator does and sees: starts that are refused with their reason, signals, backup and restore, lists, health,
//! logs.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::{Client, Key},
    block_on,
    ca::{self, HOST, PASSPHRASE, PUBLICATION, SUBSCRIBERS, TestCa},
    http::{Reply, Responder},
    peers, test_path, wait_for,
};
use serde_json::{Value, json};

use crate::world::inside;

const PATIENCE: Duration = Duration::from_secs(30);

/// A `cairn ca` command's result as JSON.
fn asked(ca: &TestCa, words: &[&str]) -> Value {
    let (status, out, err) = ca.command(words);
    assert!(status.success(), "{words:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{words:?}: {e}: {out}"))
}

/// What a start that is refused says.
fn refused(ca: &mut TestCa) -> (i32, String) {
    let status = ca.try_start().expect_err("it starts");
    (status.code().unwrap(), ca.log().join("\n"))
}

#[test]
fn a_second_server_a_strangers_key_and_a_strangers_store_are_refused() {
    // T-CA-100
    inside(test_path!(), |mut world| {
        let pid = world.ca.process().id();
        let (status, _, err) = world.ca.command(&["serve"]);
        assert_eq!(status.code(), Some(1));
        assert!(err.contains(&format!("{pid}")), "the first server's pid: {err}");
        assert_eq!(ca::get(PUBLICATION, "/health/ready").unwrap().0, 200, "the first is not hurt");
        world.ca.terminate();

        // Another CA of the same name: its files one by one in the place of ours.
        let other = TestCa::builder().init();
        let dir = world.ca.dir();
        let swap = |file: &str| {
            let (ours, theirs) = (dir.join(file), other.dir().join(file));
            let kept = std::fs::read(&ours).unwrap();
            std::fs::write(&ours, std::fs::read(theirs).unwrap()).unwrap();
            (ours, kept)
        };
        let back = |swapped: Vec<(std::path::PathBuf, Vec<u8>)>| {
            for (path, bytes) in swapped {
                std::fs::write(path, bytes).unwrap();
            }
        };
        let sets: [(&[&str], &str); 3] = [
            (&["keys/issuing.key.pem", "keys/passphrase"], "issuing.pem"),
            (&["issuing.pem"], "root.pem"),
            (&["keys/issuing.key.pem", "keys/passphrase", "issuing.pem", "root.pem"], "store"),
        ];
        for (files, says) in sets {
            let swapped = files.iter().map(|file| swap(file)).collect();
            let (code, said) = refused(&mut world.ca);
            back(swapped);
            assert_eq!(code, 1, "{said}");
            assert!(said.contains("does not start") && said.contains(says), "{files:?}: {said}");
        }
        world.ca.start();
    });
}

#[test]
fn wrong_configurations_and_keys_are_refused_with_their_place() {
    // T-CA-124
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        let good = std::fs::read_to_string(world.ca.dir().join("cairn.toml")).unwrap();
        let cases: [(&str, &str, &[&str]); 5] = [
            ("[orders]", "[orders]\nlive = \"1d\"", &["live", "life"]),
            ("[orders]", "[orderz]", &["orderz", "orders"]),
            ("requests_in_flight = 1024", "requests_in_flight = \"many\"", &["requests_in_flight"]),
            ("preset = \"private\"", "preset = \"public\"", &["public"]),
            ("[orders]", "[orders", &["cairn.toml"]),
        ];
        for (from, to, says) in cases {
            assert!(good.contains(from), "{from}");
            world.ca.edit(|_| good.replacen(from, to, 1));
            let (code, said) = refused(&mut world.ca);
            assert_eq!(code, 2, "{to}: {said}");
            assert!(says.iter().all(|part| said.contains(part)), "{to}: {said}");
            if !to.contains("public") {
                let line = 1 + good[..good.find(from).unwrap()].matches('\n').count() + usize::from(to.contains("live"));
                assert!(said.contains(&format!("cairn.toml:{line}")), "{to}: line {line}: {said}");
            }
        }
        world.ca.edit(|_| good.clone());

        let key = world.ca.dir().join("keys/issuing.key.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (_, said) = refused(&mut world.ca);
        assert!(said.contains("0644") && said.contains("chmod 600"), "{said}");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let passphrase = world.ca.dir().join("keys/passphrase");
        let right = std::fs::read(&passphrase).unwrap();
        std::fs::write(&passphrase, "wrong\n").unwrap();
        let (_, said) = refused(&mut world.ca);
        assert!(said.contains("passphrase") && said.contains("issuing.key.pem"), "{said}");
        std::fs::write(&passphrase, right).unwrap();

        // The root's key is not needed.
        std::fs::rename(world.ca.dir().join("keys/root.key.pem"), world.folder.path().join("offline")).unwrap();
        world.ca.start();
        assert!(!world.ca.log().join("\n").contains("root's key"), "{:?}", world.ca.log());
        let web = Responder::start((HOST, 80));
        block_on(async { world.ca.subscriber().await.obtain(&["offline.test"], &web).await });
    });
}

#[test]
fn a_hangup_swaps_the_configuration_whole_or_not_at_all() {
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let client = block_on(world.ca.subscriber());
        let root = world.ca.root();
        let life = |ca: &TestCa, name: &str| {
            let got = block_on(async { client.apart(&root).obtain(&[name], &web).await });
            let shown = asked(ca, &["show", got.certificate.rsplit('/').next().unwrap(), "--json"]);
            seconds(&shown["not_after"]) - seconds(&shown["not_before"])
        };
        assert_eq!(life(&world.ca, "a.reload.test") + 1, 90 * 86_400);
        let good = std::fs::read_to_string(world.ca.dir().join("cairn.toml")).unwrap();
        for (wrong, says) in [("life = \"forever\"", "forever"), ("lifespan = \"1d\"", "lifespan"), ("life = \"90000d\"", "")] {
            world.ca.edit(|_| good.replacen("[profile.default]", &format!("[profile.default]\n{wrong}"), 1).replacen("\nlife = \"90d\"", "", 1));
            let before = world.ca.log().len();
            world.ca.reload();
            let line = wait_for(PATIENCE, || {
                world.ca.log().into_iter().skip(before).find(|line| line.contains("not reloaded"))
            });
            let line = line.unwrap_or_else(|| panic!("{wrong}: {:#?}", world.ca.log()));
            assert!(line.contains("the old one stays in force") && line.contains(says), "{line}");
        }
        world.ca.edit(|_| good.clone());
        world.ca.set("listen.publication", "[\"127.0.0.1:81\"]");
        world.ca.reload();
        let restart = world.ca.process().wait_line(PATIENCE, |line| line.contains("listen") && line.contains("restart"));
        assert!(restart.is_some(), "{:#?}", world.ca.log());
        assert_eq!(life(&world.ca, "b.reload.test") + 1, 90 * 86_400);
        world.ca.edit(|_| good);
        world.ca.set("profile.default.life", "\"24h\"");
        world.ca.reload();
        assert!(world.ca.process().wait_line(PATIENCE, |line| line.contains("configuration reloaded")).is_some());
        // a day, the last second included.
        assert_eq!(life(&world.ca, "c.reload.test") + 1, 86_400);
    });
}

/// Seconds of an RFC 3339 time of this suite's years, by date(1): no second implementation of calendars here.
fn seconds(time: &Value) -> i64 {
    let mut date = peers::system("date");
    date.args(["+%s", "-d", time.as_str().unwrap()]);
    String::from_utf8(date.output().unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn a_stop_finishes_what_is_under_way_and_keeps_unused_nonces() {
    // T-CA-23
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let root = world.ca.root();
        let mut client = block_on(world.ca.subscriber());
        let used = client.clone();
        let (unused, spent) = block_on(async {
            // An answer that is held: its responder is slow.
            let placed = client.new_order(&["held.stop.test"]).await.expect(201).json();
            let authorization = placed["authorizations"][0].as_str().unwrap();
            let object = client.fetch(authorization).await.expect(200).json();
            let token = object["challenges"][0]["token"].as_str().unwrap();
            let body = Reply::Body(client.key.authorization(token).into_bytes());
            web.on(&format!("/.well-known/acme-challenge/{token}"), Reply::Delay(Duration::from_millis(800), Box::new(body)));
            let challenge = object["challenges"][0]["url"].as_str().unwrap().to_owned();
            let held = { let client = client.clone(); tokio::spawn(async move { client.post(&challenge, &json!({})).await }) };
            assert!(wait_for(PATIENCE, || web.log().first().cloned()).is_some());
            let unused = client.plain("HEAD", &client.url("newNonce")).await.header("replay-nonce").unwrap().to_owned();
            let spent = client.plain("HEAD", &client.url("newNonce")).await.header("replay-nonce").unwrap().to_owned();
            assert_eq!(with_nonce(&client, &spent).await.status, 200);
            let began = Instant::now();
            let status = tokio::task::block_in_place(|| world.ca.terminate());
            assert!(status.success(), "{status}");
            let answer = held.await.unwrap().expect(200).json();
            assert_eq!(answer["status"], "valid", "the held answer was cut off: {answer}");
            assert!(began.elapsed() < Duration::from_secs(15));
            (unused, spent)
        });
        assert!(world.ca.log().iter().any(|line| line.contains("stopped")), "{:#?}", world.ca.log());
        world.ca.start();
        client = used.apart(&root);
        block_on(async {
            with_nonce(&client, &unused).await.expect(200);
            // What was spent stays spent.
            for nonce in [&spent, &unused] {
                assert_eq!(with_nonce(&client, nonce).await.problem(), "badNonce");
            }
        });
        let kept = block_on(async { client.plain("HEAD", &client.url("newNonce")).await.header("replay-nonce").unwrap().to_owned() });
        world.ca.crash();
        client = used.apart(&root);
        block_on(async {
            for nonce in [&kept, &unused, &spent] {
                let refused = with_nonce(&client, nonce).await.expect(400);
                assert_eq!(refused.problem(), "badNonce");
                let fresh = refused.header("replay-nonce").unwrap();
                with_nonce(&client, fresh).await.expect(200);
            }
        });
    });
}

/// Reads the account with this nonce, once.
async fn with_nonce(client: &Client, nonce: &str) -> cairn_testkit::acme::Response {
    let mut draft = client.draft_bytes(client.kid.as_ref().unwrap(), Vec::new()).await;
    draft.protect("nonce", nonce);
    client.send(&draft).await
}

#[test]
fn a_backup_made_while_serving_restores_under_a_new_epoch() {
    // T-CA-122
    // T-CA-23
    // 5280-5-1
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let root = world.ca.root();
        let client = block_on(world.ca.subscriber());
        let before = block_on(async { client.obtain(&["before.backup.test"], &web).await });
        let file = world.folder.path().join("backup");
        let path = file.to_str().unwrap();
        let report = asked(&world.ca, &["backup", path, "--json"]);
        assert_eq!(report["changed"], true);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (status, _, err) = world.ca.command(&["backup", path]);
        assert!(!status.success() && err.contains("nothing is overwritten"), "{err}");
        let (lost, nonce) = block_on(async {
            let client = client.apart(&root);
            let lost = client.obtain(&["after.backup.test"], &web).await;
            (lost, client.nonce().await)
        });
        let (epoch, number) = state(&world.ca);

        // A directory that is in use, and one that has a store, are refused.
        let restore = |ca: &TestCa, more: &[&str]| {
            let mut command = std::process::Command::new(cairn_testkit::places::cairn());
            command.args(["ca", "restore", path]).arg(ca.dir()).args(more);
            let output = command.output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (done, err) = restore(&world.ca, &["--replace"]);
        assert!(!done && err.contains(&world.ca.process().id().to_string()), "{err}");
        world.ca.terminate();
        let (done, err) = restore(&world.ca, &[]);
        assert!(!done && err.contains("--replace"), "{err}");
        let (done, err) = restore(&world.ca, &["--replace"]);
        assert!(done, "{err}");
        world.ca.start();

        let (new_epoch, new_number) = state(&world.ca);
        assert_eq!(new_epoch, epoch + 1);
        assert!(new_number > number, "CRL {number}, then {new_number}");
        let client = client.apart(&root);
        block_on(async {
            assert_eq!(with_nonce(&client, &nonce).await.problem(), "badNonce");
            assert_eq!(client.fetch(&before.certificate).await.expect(200).text(), before.chain);
            assert_eq!(client.fetch(&lost.certificate).await.status, 404, "it came after the backup");
            let again = client.obtain(&["again.backup.test"], &web).await;
            let serial = |url: &str| url.rsplit('/').next().unwrap().to_owned();
            assert_ne!(serial(&again.certificate)[..2], serial(&lost.certificate)[..2], "serials of the two epochs can meet");
        });
    });
}

/// Epoch and CRL number.
fn state(ca: &TestCa) -> (i64, i64) {
    let status = asked(ca, &["status", "--json"]);
    (status["epoch"].as_i64().unwrap(), status["crls"][0]["number"].as_i64().unwrap())
}

#[test]
fn lists_and_details_are_the_same_with_a_server_and_without() {
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let (account, got) = block_on(async {
            let mut client = world.ca.client().await;
            client.new_account_with(json!({ "contact": ["mailto:a@list.test"] })).await.expect(201);
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
            vec!["list", "certificates", "--expires-within", "91d", "--limit", "1"],
            vec!["list", "certificates", "--unconfirmed"],
            vec!["list", "orders", "--account", &account],
            vec!["list", "orders", "--state", "valid", "--name", "a.list.test"],
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
        let counts = [count(0, "certificates"), count(1, "certificates"), count(2, "certificates"), count(3, "certificates"), count(4, "certificates")];
        assert_eq!(counts, [2, 1, 1, 1, 0], "{running:#?}");
        assert_eq!([count(5, "orders"), count(6, "orders"), count(7, "accounts")], [2, 1, 2], "{running:#?}");
        assert_eq!(running[3]["more"], true);
        assert_eq!(running[8]["serial"], serial.as_str());
        assert_eq!(running[8]["names"], json!(["a.list.test", "b.list.test"]));
        assert_eq!(running[8], running[9], "a URL is as good as its last part");
        assert!(running[8]["evidence"].to_string().contains("127.0.0.2"), "{}", running[8]);
        assert!(running[10]["audit"].as_array().is_some_and(|rows| !rows.is_empty()));
        assert_eq!(running[11]["contacts"], json!(["mailto:a@list.test"]));
        for (words, value) in questions.iter().zip(&running) {
            let text = value.to_string();
            assert!(!text.contains("PRIVATE") && !text.contains("\"tbs\""), "{words:?}");
        }
        let (status, _, err) = world.ca.command(&["show", "nothing", "--json"]);
        assert!(status.code() == Some(1) && err.contains("nothing"), "{err}");
        let (status, out, _) = world.ca.command(&["list", "certificates", "--name", "a.list.test"]);
        assert!(status.success() && out.contains("SERIAL") && out.contains(&serial), "{out}");
        let online = asked(&world.ca, &["status", "--json"]);
        assert_eq!((&online["rows"]["certificates"], &online["rows"]["orders_unfinished"]), (&json!(2), &json!(1)), "{online}");

        world.ca.terminate();
        for (at, (words, (then, now))) in questions.iter().zip(running.iter().zip(all(&world.ca))).enumerate() {
            assert_eq!(*then, now, "{at}: {words:?}");
        }
        assert_eq!(asked(&world.ca, &["status", "--json"])["rows"]["certificates"], 2);
        world.ca.start();
    });
}

#[test]
fn health_and_metrics_are_on_the_operators_socket_and_only_there() {
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        block_on(async { world.ca.subscriber().await.obtain(&["metrics.test"], &web).await });
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
        // T-CA-121: neither listener of strangers has a second door.
        for path in ["/metrics", "/query", "/..%2fmetrics", "//metrics", "/health/../metrics"] {
            assert_eq!(ca::get(PUBLICATION, path).unwrap().0, 404, "{path}");
            let client = block_on(world.ca.client());
            let answer = block_on(async { client.apart(&world.ca.root()).plain("GET", &format!("https://ca.test{path}")).await });
            assert_eq!(answer.status, 404, "{path}");
        }
        let mode = std::fs::metadata(world.ca.dir().join("operator.sock")).unwrap().permissions().mode();
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
        let evil = "x\n{\"level\":\"audit\",\"event\":\"issued\"}\r\n\u{1b}[2J{{7*7}}${HOME}%s\u{202e}";
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
            draft.header("user-agent", Some(&format!("a\u{1b}[31m{}", "A".repeat(8_000)).replace('\u{1b}', "")));
            assert_eq!(client.send(&draft).await.status, 400);
            let mut draft = client.draft(&new_order, &json!({ (evil): evil })).await;
            draft.protect("url", evil);
            assert!(client.send(&draft).await.status >= 400);
            let escaped = "https://ca.test/acme/%0a%1b[2J/%7b%7d";
            assert_eq!(client.plain("GET", escaped).await.status, 404);
        });
        let lines = world.ca.log();
        let mut refused = 0;
        for line in lines.iter().filter(|line| !line.starts_with("cairn ca:") && !line.starts_with("warning")) {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(record["level"].is_string() && record["level"] != "audit", "{line}");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line}");
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
        block_on(async { world.ca.subscriber().await.obtain(&["secret.test"], &web).await });
        let passphrase = std::fs::read_to_string(world.ca.dir().join("keys/passphrase")).unwrap();
        let key = std::fs::read_to_string(world.ca.dir().join("keys/issuing.key.pem")).unwrap();
        let secrets = [passphrase.trim(), key.lines().nth(2).unwrap()];
        let process = world.ca.process();
        let seen = [process.proc("cmdline"), process.proc("environ"), process.lines().join("\n").into_bytes()];
        for text in seen {
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
        }
        let limits = String::from_utf8(process.proc("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        // A process that cannot be dumped belongs to root in /proc; its memory is nobody's to read.
        let status = String::from_utf8(process.proc("status")).unwrap();
        assert!(status.contains("CoreDumping:\t0"), "{status}");
        for entry in walk(&world.ca.dir()) {
            let mode = std::fs::metadata(&entry).unwrap().permissions().mode();
            let public = entry.extension().is_some_and(|e| e == "pem") && !entry.to_string_lossy().contains("key");
            let shared = public || entry.ends_with("cairn.toml");
            assert!(shared || mode & 0o077 == 0, "{} has mode {mode:o}", entry.display());
        }
    });
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
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
            assert!([200, 400, 421].contains(&fooled.status), "{}", fooled.text());
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

/// openssl's verdict: whether it succeeded, and all it said.
fn openssl(words: &[&str], input: &[u8]) -> (bool, String) {
    let mut command = peers::system("openssl");
    command.args(words).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).ok();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

#[test]
fn openssl_accepts_the_cas_own_chain_and_its_crl() {
    // 5280-5.2.5-1
    // 5280-4.2.1.13-1
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        let root = world.ca.root_path();
        let root = root.to_str().unwrap();
        let (done, said) = openssl(
            &["s_client", "-connect", SUBSCRIBERS, "-servername", "ca.test", "-verify_hostname", "ca.test", "-CAfile", root, "-verify_return_error", "-x509_strict"],
            b"",
        );
        assert!(done && said.contains("Verify return code: 0"), "{said}");
        assert!(said.contains("Test Issuing") && said.contains("TLSv1.3"), "{said}");
        for old in ["-tls1", "-tls1_1"] {
            assert!(!openssl(&["s_client", "-connect", SUBSCRIBERS, old], b"").0, "{old}");
        }
        let got = block_on(async { world.ca.subscriber().await.obtain(&["crl.test"], &web).await });
        let leaf = world.folder.path().join("chain.pem");
        std::fs::write(&leaf, &got.chain).unwrap();
        let leaf = leaf.to_str().unwrap();
        let (_, text) = openssl(&["x509", "-in", leaf, "-noout", "-text"], b"");
        let url = |after: &str| {
            let rest = text.split_once(after).unwrap_or_else(|| panic!("{after}: {text}")).1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let crl_url = url("Full Name:\n                  URI:");
        let path = crl_url.strip_prefix("http://ca.test").unwrap();
        let (status, crl) = ca::get(PUBLICATION, path).unwrap();
        assert_eq!(status, 200);
        let file = world.folder.path().join("crl.der");
        std::fs::write(&file, &crl).unwrap();
        let (_, shown) = openssl(&["crl", "-inform", "DER", "-in", file.to_str().unwrap(), "-noout", "-text"], b"");
        let idp = shown.split_once("Issuing Distribution Point: critical").unwrap_or_else(|| panic!("{shown}")).1;
        assert!(idp.contains(&crl_url) && idp.contains("Only User Certificates"), "{shown}");
        assert!(shown.contains("X509v3 CRL Number"), "{shown}");
        let issuer_path = url("CA Issuers - URI:");
        let (status, issuer) = ca::get(PUBLICATION, issuer_path.strip_prefix("http://ca.test").unwrap()).unwrap();
        assert_eq!(status, 200);
        let issuer_file = world.folder.path().join("issuer.der");
        std::fs::write(&issuer_file, issuer).unwrap();
        let (done, said) = openssl(
            &["crl", "-inform", "DER", "-in", file.to_str().unwrap(), "-noout", "-CAfile", issuer_file.to_str().unwrap()],
            b"",
        );
        assert!(said.contains("verify OK") || !done, "{said}");
        let pem = world.folder.path().join("crl.pem");
        openssl(&["crl", "-inform", "DER", "-in", file.to_str().unwrap(), "-out", pem.to_str().unwrap()], b"");
        let (done, said) = openssl(
            &["verify", "-x509_strict", "-extended_crl", "-crl_check", "-CRLfile", pem.to_str().unwrap(), "-CAfile", root, "-untrusted", leaf, leaf],
            b"",
        );
        assert!(done, "{said}");
    });
}

#[test]
fn a_constrained_ca_signs_inside_and_refuses_outside() {
    // 5280-4.2.1.10-1
    // 8555-6.7.1-1
    TestCa::namespace().address([10, 9, 8, 7]).run(test_path!(), || {
        let dns = cairn_testkit::dns::Server::start(ca::RESOLVER);
        dns.add_wildcard("widgets.internal", [10, 9, 8, 7]).add_address("ca.test", [127, 0, 0, 1]);
        let world = TestCa::builder().argument("--permit-dns").argument("widgets.internal").start();
        let web = Responder::start(([10, 9, 8, 7], 80));
        let folder = tempfile::tempdir().unwrap();
        let got = block_on(async {
            let client = world.subscriber().await;
            for outside in ["widgets.example", "evilwidgets.internal", "internal", "widgets.internal.evil.example"] {
                let refused = client.new_order(&["a.widgets.internal", outside]).await.expect(400);
                assert_eq!(refused.problem(), "rejectedIdentifier", "{}", refused.text());
                assert!(refused.text().contains(outside), "{}", refused.text());
                assert!(!refused.json()["subproblems"].to_string().contains("a.widgets"), "{}", refused.text());
            }
            let address = json!({ "identifiers": [{ "type": "ip", "value": "10.9.8.7" }] });
            let refused = client.post(&client.url("newOrder"), &address).await.expect(400);
            assert!(["rejectedIdentifier", "unsupportedIdentifier"].contains(&refused.problem().as_str()), "{}", refused.text());
            client.obtain(&["a.widgets.internal", "widgets.internal"], &web).await
        });
        let chain = folder.path().join("chain.pem");
        std::fs::write(&chain, &got.chain).unwrap();
        let names = ["a.widgets.internal", "widgets.internal"].map(str::to_owned);
        crate::world::assert_good(&chain, &world.root_path(), &names);
        let issuing = world.dir().join("issuing.pem");
        let (_, text) = openssl(&["x509", "-in", issuing.to_str().unwrap(), "-noout", "-text"], b"");
        let constraints = text.split_once("X509v3 Name Constraints: critical").unwrap_or_else(|| panic!("{text}")).1;
        assert!(constraints.contains("DNS:widgets.internal"), "{text}");
        assert!(constraints.contains("IP:0.0.0.0/0.0.0.0"), "addresses are excluded: {text}");
        // Even the CA's own key could not sign outside: a chain for an address is refused by openssl.
        assert_refused_for_an_address(&world, folder.path());
    });
}

/// A certificate for an address under this issuer is good for nobody: made here by openssl with the CA's key.
fn assert_refused_for_an_address(ca: &TestCa, folder: &Path) {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let inside = |name: &str| ca.dir().join(name).to_str().unwrap().to_owned();
    let passphrase = format!("file:{}", inside("keys/passphrase"));
    for (name, san, good) in [("inside", "DNS:b.widgets.internal", true), ("address", "IP:10.9.8.7", false), ("outside", "DNS:b.example", false)] {
        let (key, csr, leaf, extensions) = (at("k"), at("csr"), at("leaf"), at("ext"));
        std::fs::write(&extensions, format!("subjectAltName={san}\nbasicConstraints=CA:FALSE\n")).unwrap();
        let (done, said) = openssl(&["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", &key, "-subj", "/O=x", "-out", &csr], b"");
        assert!(done, "{said}");
        let (done, said) = openssl(
            &["x509", "-req", "-in", &csr, "-CA", &inside("issuing.pem"), "-CAkey", &inside("keys/issuing.key.pem"), "-passin", &passphrase, "-extfile", &extensions, "-days", "1", "-out", &leaf],
            b"",
        );
        assert!(done, "{said}");
        let (verified, said) = openssl(&["verify", "-CAfile", &inside("root.pem"), "-untrusted", &inside("issuing.pem"), &leaf], b"");
        assert_eq!(verified, good, "{name}: {said}");
    }
}

#[test]
fn every_kind_of_key_issues_and_a_passphrase_may_come_from_a_pipe() {
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        world.ca.terminate();
        for kind in ["p256", "p384", "rsa2048"] {
            let mut ca = TestCa::builder().argument("--key-type").argument(kind).prompts().init();
            assert!(!ca.dir().join("keys/passphrase").exists());
            if kind == "p256" {
                let status = ca.try_start_with(b"a wrong passphrase\n").expect_err("it starts");
                assert_eq!(status.code(), Some(1));
                assert!(ca.log().join("\n").contains("passphrase"), "{:?}", ca.log());
                ca.try_start_with(b"").expect_err("without a passphrase");
            }
            ca.start();
            assert!(!ca.log().join("\n").contains(PASSPHRASE));
            let name = format!("{kind}.kind.test");
            let got = block_on(async { ca.subscriber().await.obtain(&[&name], &web).await });
            let chain = world.folder.path().join(kind);
            std::fs::write(&chain, &got.chain).unwrap();
            crate::world::assert_good(&chain, &ca.root_path(), &[name]);
            ca.terminate();
        }
    });
}
