//! A server's life as its operator leads it: starts that are refused with their reason, signals, backup and restore.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::Client,
    block_on,
    ca::{self, HOST, PUBLICATION, TestCa},
    http::{Reply, Responder},
    peers, test_path, wait_for,
};
use serde_json::{Value, json};

use crate::world::inside;

const PATIENCE: Duration = Duration::from_secs(30);

/// A `cairn ca` command's result as JSON.
pub(crate) fn asked(ca: &TestCa, words: &[&str]) -> Value {
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
        assert!(
            err.contains(&format!("{pid}")),
            "the first server's pid: {err}"
        );
        assert_eq!(
            ca::get(PUBLICATION, "/health/ready").unwrap().0,
            200,
            "the first is not hurt"
        );
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
            (
                &[
                    "keys/issuing.key.pem",
                    "keys/passphrase",
                    "keys/ring.key.pem",
                    "issuing.pem",
                    "root.pem",
                ],
                "store",
            ),
        ];
        for (files, says) in sets {
            let swapped = files.iter().map(|file| swap(file)).collect();
            let (code, said) = refused(&mut world.ca);
            back(swapped);
            assert_eq!(code, 1, "{said}");
            assert!(
                said.contains("does not start") && said.contains(says),
                "{files:?}: {said}"
            );
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
            (
                "requests_in_flight = 1024",
                "requests_in_flight = \"many\"",
                &["requests_in_flight"],
            ),
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
                let line = 1
                    + good[..good.find(from).unwrap()].matches('\n').count()
                    + usize::from(to.contains("live"));
                assert!(
                    said.contains(&format!("cairn.toml:{line}")),
                    "{to}: line {line}: {said}"
                );
            }
        }
        world.ca.edit(|_| good.clone());

        let key = world.ca.dir().join("keys/issuing.key.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (_, said) = refused(&mut world.ca);
        assert!(
            said.contains("0644") && said.contains("chmod 600"),
            "{said}"
        );
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let passphrase = world.ca.dir().join("keys/passphrase");
        let right = std::fs::read(&passphrase).unwrap();
        std::fs::write(&passphrase, "wrong\n").unwrap();
        let (_, said) = refused(&mut world.ca);
        assert!(
            said.contains("passphrase") && said.contains("issuing.key.pem"),
            "{said}"
        );
        std::fs::write(&passphrase, right).unwrap();

        // The root's key is not needed.
        std::fs::rename(
            world.ca.dir().join("keys/root.key.pem"),
            world.folder.path().join("offline"),
        )
        .unwrap();
        world.ca.start();
        assert!(
            !world.ca.log().join("\n").contains("root's key"),
            "{:?}",
            world.ca.log()
        );
        let web = Responder::start((HOST, 80));
        block_on(async {
            world
                .ca
                .subscriber()
                .await
                .obtain(&["offline.test"], &web)
                .await
        });
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
            let shown = asked(
                ca,
                &[
                    "show",
                    got.certificate.rsplit('/').next().unwrap(),
                    "--json",
                ],
            );
            seconds(&shown["not_after"]) - seconds(&shown["not_before"])
        };
        assert_eq!(life(&world.ca, "a.reload.test") + 1, 90 * 86_400);
        let good = std::fs::read_to_string(world.ca.dir().join("cairn.toml")).unwrap();
        for (wrong, says) in [
            ("life = \"forever\"", "profile.default.life"),
            ("lifespan = \"1d\"", "lifespan"),
            ("life = \"90000d\"", ""),
        ] {
            world.ca.edit(|_| {
                good.replacen(
                    "[profile.default]",
                    &format!("[profile.default]\n{wrong}"),
                    1,
                )
                .replacen("\nlife = \"90d\"", "", 1)
            });
            let before = world.ca.log().len();
            world.ca.reload();
            let line = wait_for(PATIENCE, || {
                world
                    .ca
                    .log()
                    .into_iter()
                    .skip(before)
                    .find(|line| line.contains("not reloaded"))
            });
            let line = line.unwrap_or_else(|| panic!("{wrong}: {:#?}", world.ca.log()));
            assert!(
                line.contains("the old one stays in force") && line.contains(says),
                "{line}"
            );
        }
        world.ca.edit(|_| good.clone());
        world.ca.set("listen.publication", "[\"127.0.0.1:81\"]");
        world.ca.reload();
        let restart = world.ca.process().wait_line(PATIENCE, |line| {
            line.contains("listen") && line.contains("restart")
        });
        assert!(restart.is_some(), "{:#?}", world.ca.log());
        assert_eq!(life(&world.ca, "b.reload.test") + 1, 90 * 86_400);
        world.ca.edit(|_| good);
        world.ca.set("profile.default.life", "\"24h\"");
        world.ca.reload();
        assert!(
            world
                .ca
                .process()
                .wait_line(PATIENCE, |line| line.contains("configuration reloaded"))
                .is_some()
        );
        // a day, the last second included.
        assert_eq!(life(&world.ca, "c.reload.test") + 1, 86_400);
    });
}

/// Seconds of an RFC 3339 time of this suite's years, by date(1): no second implementation of calendars here.
fn seconds(time: &Value) -> i64 {
    let mut date = peers::system("date");
    date.args(["+%s", "-d", time.as_str().unwrap()]);
    String::from_utf8(date.output().unwrap().stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn a_stop_finishes_what_is_under_way_and_keeps_unused_nonces() {
    // T-CA-23
    // 8555-6.5-3
    inside(test_path!(), |mut world| {
        world.ca.terminate();
        world.ca.set("limits.hold", "\"10s\"");
        world.ca.start();
        let web = Responder::start((HOST, 80));
        let root = world.ca.root();
        let mut client = block_on(world.ca.subscriber());
        let used = client.clone();
        let (unused, spent) = block_on(async {
            // An answer that is held: its responder is slow.
            let placed = client
                .new_order(&["held.stop.test"])
                .await
                .expect(201)
                .json();
            let authorization = placed["authorizations"][0].as_str().unwrap();
            let object = client.fetch(authorization).await.expect(200).json();
            let token = object["challenges"][0]["token"].as_str().unwrap();
            let body = Reply::Body(client.key.authorization(token).into_bytes());
            web.on(
                &format!("/.well-known/acme-challenge/{token}"),
                Reply::Delay(Duration::from_millis(800), Box::new(body)),
            );
            let challenge = object["challenges"][0]["url"].as_str().unwrap().to_owned();
            let held = {
                let client = client.clone();
                tokio::spawn(async move { client.post(&challenge, &json!({})).await })
            };
            assert!(wait_for(PATIENCE, || web.log().first().cloned()).is_some());
            let unused = client
                .plain("HEAD", &client.url("newNonce"))
                .await
                .header("replay-nonce")
                .unwrap()
                .to_owned();
            let spent = client
                .plain("HEAD", &client.url("newNonce"))
                .await
                .header("replay-nonce")
                .unwrap()
                .to_owned();
            assert_eq!(with_nonce(&client, &spent).await.status, 200);
            let began = Instant::now();
            let status = tokio::task::block_in_place(|| world.ca.terminate());
            assert!(status.success(), "{status}");
            let answer = held.await.unwrap().expect(200).json();
            assert_eq!(
                answer["status"], "valid",
                "the held answer was cut off: {answer}"
            );
            assert!(began.elapsed() < Duration::from_secs(15));
            (unused, spent)
        });
        assert!(
            world.ca.log().iter().any(|line| line.contains("stopped")),
            "{:#?}",
            world.ca.log()
        );
        world.ca.start();
        client = used.apart(&root);
        block_on(async {
            with_nonce(&client, &unused).await.expect(200);
            // What was spent stays spent.
            for nonce in [&spent, &unused] {
                assert_eq!(with_nonce(&client, nonce).await.problem(), "badNonce");
            }
        });
        let kept = block_on(async {
            client
                .plain("HEAD", &client.url("newNonce"))
                .await
                .header("replay-nonce")
                .unwrap()
                .to_owned()
        });
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
    let mut draft = client
        .draft_bytes(client.kid.as_ref().unwrap(), Vec::new())
        .await;
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
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let (status, _, err) = world.ca.command(&["backup", path]);
        assert!(
            !status.success() && err.contains("nothing is overwritten"),
            "{err}"
        );
        let (lost, nonce) = block_on(async {
            let client = client.apart(&root);
            let lost = client.obtain(&["after.backup.test"], &web).await;
            (lost, client.nonce().await)
        });
        let (epoch, number) = state(&world.ca);

        // A directory that is in use, and one that has a store, are refused.
        let restore = |ca: &TestCa, more: &[&str]| {
            let mut command = std::process::Command::new(cairn_testkit::places::cairn());
            command
                .args(["ca", "restore", path])
                .arg(ca.dir())
                .args(more);
            let output = command.output().unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )
        };
        let (done, err) = restore(&world.ca, &["--replace"]);
        assert!(
            !done && err.contains(&world.ca.process().id().to_string()),
            "{err}"
        );
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
            assert_eq!(
                client.fetch(&before.certificate).await.expect(200).text(),
                before.chain
            );
            assert_eq!(
                client.fetch(&lost.certificate).await.status,
                404,
                "it came after the backup"
            );
            let again = client.obtain(&["again.backup.test"], &web).await;
            let serial = |url: &str| url.rsplit('/').next().unwrap().to_owned();
            assert_ne!(
                serial(&again.certificate)[..2],
                serial(&lost.certificate)[..2],
                "serials of the two epochs can meet"
            );
        });
    });
}

/// Epoch and CRL number.
fn state(ca: &TestCa) -> (i64, i64) {
    let status = asked(ca, &["status", "--json"]);
    (
        status["epoch"].as_i64().unwrap(),
        status["crls"][0]["number"].as_i64().unwrap(),
    )
}
