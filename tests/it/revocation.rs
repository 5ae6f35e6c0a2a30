//! Revocation end to end: openssl refuses what was revoked, a kill loses no revocation that was acknowledged, a restore
//! brings none back, and the operator's commands.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use cairn_testkit::{
    acme::{Client, Obtained, csr, encode},
    block_on,
    ca::{self, HOST, PUBLICATION},
    http::Responder,
    issued, places, test_path, wait_for,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    openssl::openssl,
    operation::asked,
    world::{World, inside},
};

/// A revocation is on the published list within a minute; a loaded machine gets some more.
const PROMISE: Duration = Duration::from_secs(75);

fn serial(got: &Obtained) -> String {
    got.certificate.rsplit('/').next().unwrap().to_owned()
}

fn payload(got: &Obtained, reason: Option<i64>) -> Value {
    let der = encode(&got.leaf());
    match reason {
        Some(reason) => json!({ "certificate": der, "reason": reason }),
        None => json!({ "certificate": der }),
    }
}

/// The published list: its number, and the serials on it with their reasons, as openssl reads it.
fn list(world: &World) -> (u64, String) {
    let status = asked(&world.ca, &["status", "--json"]);
    let issuer = status["issuers"][0]["id"].as_str().unwrap().to_owned();
    let (code, der) = ca::get(PUBLICATION, &format!("/crl/{issuer}/0.crl")).unwrap();
    assert_eq!(code, 200);
    issued::keep_crl(&der);
    let file = world.folder.path().join("crl.der");
    std::fs::write(&file, &der).unwrap();
    let words = [
        "crl",
        "-inform",
        "DER",
        "-noout",
        "-text",
        "-crlnumber",
        "-in",
    ];
    let (done, said) = openssl(&[&words[..], &[file.to_str().unwrap()]].concat(), b"");
    assert!(done, "{said}");
    let number = said.rsplit_once("crlNumber=").unwrap().1;
    let number = number.lines().next().unwrap().trim_start_matches("0x");
    (u64::from_str_radix(number, 16).unwrap(), said)
}

fn lists(world: &World, serial: &str) -> bool {
    list(world).1.contains(&serial.to_uppercase())
}

/// openssl's verdict over a chain with the published list.
fn verify(world: &World, got: &Obtained) -> (bool, String) {
    let folder = world.folder.path();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    list(world);
    std::fs::write(at("chain.pem"), &got.chain).unwrap();
    let (der, pem) = (at("crl.der"), at("crl.pem"));
    openssl(&["crl", "-inform", "DER", "-in", &der, "-out", &pem], b"");
    let root = world.ca.root_path();
    openssl(
        &[
            "verify",
            "-x509_strict",
            "-extended_crl",
            "-crl_check",
            "-CRLfile",
            &pem,
            "-CAfile",
            root.to_str().unwrap(),
            "-untrusted",
            &at("chain.pem"),
            &at("chain.pem"),
        ],
        b"",
    )
}

#[test]
fn openssl_refuses_a_certificate_within_a_minute_of_its_revocation() {
    // 8555-7.6-1 8555-7.6-4 T-CA-107 5280-5-1 5280-5.2.5-1
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        let client = block_on(world.ca.subscriber());
        let got = block_on(client.obtain(&["gone.test"], &web));
        let kept = block_on(client.obtain(&["kept.test"], &web));
        let (good, said) = verify(&world, &got);
        assert!(good, "{said}");
        let (before, _) = list(&world);
        block_on(client.post(&client.url("revokeCert"), &payload(&got, Some(4)))).expect(200);
        let listed = || lists(&world, &serial(&got)).then_some(());
        wait_for(PROMISE, listed).expect("not on the list within a minute");
        let (number, text) = list(&world);
        assert!(number > before, "{number} after {before}");
        assert!(text.contains("Superseded"), "{text}");
        let (good, said) = verify(&world, &got);
        assert!(!good && said.contains("certificate revoked"), "{said}");
        let (good, said) = verify(&world, &kept);
        assert!(good, "{said}");
        let again = block_on(client.post(&client.url("revokeCert"), &payload(&got, None)));
        assert_eq!(again.expect(400).problem(), "alreadyRevoked");
    });
}

#[test]
fn an_operator_revokes_and_issues_from_the_command_line() {
    // T-CA-121 8555-7.6-6
    inside(test_path!(), |world| {
        let web = Responder::start((HOST, 80));
        let client = block_on(world.ca.subscriber());
        let one = block_on(client.obtain(&["one.cli.test"], &web));
        let two = block_on(client.obtain(&["two.cli.test"], &web));
        let file = world.folder.path().join("two.pem");
        std::fs::write(&file, &two.chain).unwrap();
        let file = file.to_str().unwrap();
        // Nobody is there to be asked.
        let (status, _, err) = world.ca.command(&["revoke", &serial(&one)]);
        assert_eq!(status.code(), Some(2), "{err}");
        assert!(err.contains("--yes"), "{err}");
        let (status, _, err) = world.ca.command(&["revoke", &"01".repeat(19), "--yes"]);
        assert_eq!(status.code(), Some(1), "{err}");
        let words = [
            "revoke",
            &one.certificate,
            "--certificate",
            file,
            "--reason",
            "key-compromise",
            "--yes",
        ];
        let (status, out, err) = world.ca.command(&words);
        assert!(status.success(), "{err}");
        assert!(
            out.contains("keyCompromise") && out.contains("two.cli.test"),
            "{out}"
        );
        assert!(err.contains("CRL of shard 0"), "{err}");
        // At once.
        assert!(lists(&world, &serial(&one)) && lists(&world, &serial(&two)));
        let revoked = asked(&world.ca, &["list", "--state", "revoked", "--json"]);
        assert_eq!(revoked["certificates"].as_array().unwrap().len(), 2);
        let none = asked(&world.ca, &["revoke", "--unconfirmed", "--yes", "--json"]);
        assert_eq!(none["changed"], false);

        let (request, _) = csr(&["made.cli.test"]);
        let path = world.folder.path().join("made.csr");
        std::fs::write(&path, &request).unwrap();
        let path = path.to_str().unwrap();
        let (status, chain, err) = world.ca.command(&["issue", "--csr", path]);
        assert!(status.success(), "{err}");
        issued::keep_chain(&chain);
        let fullchain = world.folder.path().join("made.pem");
        std::fs::write(&fullchain, &chain).unwrap();
        let names = ["made.cli.test".to_owned()];
        crate::world::assert_good(&fullchain, &world.ca.root_path(), &names);
        let (status, out, _) = world.ca.command(&["issue", "--csr", file]);
        assert_eq!((status.code(), out.as_str()), (Some(2), ""));
    });
}

#[test]
fn kills_around_revocations_lose_none_that_was_acknowledged() {
    // T-CA-50 T-CA-103 T-CA-107
    inside(test_path!(), |mut world| {
        const ROUNDS: usize = 4;
        const EACH: usize = 6;
        let web = Responder::start((HOST, 80));
        let root = world.ca.root();
        let mut client = block_on(world.ca.subscriber());
        let mut open: Vec<Obtained> = block_on(async {
            let mut all = Vec::new();
            for n in 0..ROUNDS * EACH {
                let name = format!("n{n}.kill.test");
                all.push(client.obtain(&[&name], &web).await);
            }
            all
        });
        let mut acknowledged: Vec<Obtained> = Vec::new();
        let mut numbers = vec![list(&world).0];
        for round in 0..ROUNDS {
            let batch: Vec<Obtained> = open.split_off(open.len() - EACH);
            let told = block_on(async {
                let mut asking = JoinSet::new();
                for got in batch {
                    let client = client.clone();
                    asking.spawn(async move { (try_revoke(&client, &got).await, got) });
                }
                let mut told = Vec::new();
                // The server dies after so many answers.
                while let Some(answer) = asking.join_next().await {
                    let (revoked, got) = answer.unwrap();
                    if revoked {
                        told.push(got);
                    }
                    if told.len() == round + 1 {
                        world.ca.kill();
                    }
                }
                told
            });
            acknowledged.extend(told);
            world.ca.start();
            client = client.apart(&root);
            numbers.push(list(&world).0);
            for got in &acknowledged {
                let again = block_on(client.post(&client.url("revokeCert"), &payload(got, None)));
                assert_eq!(again.expect(400).problem(), "alreadyRevoked");
            }
        }
        assert!(acknowledged.len() >= ROUNDS);
        let wanted: BTreeSet<String> = acknowledged.iter().map(serial).collect();
        let all = || {
            let text = list(&world).1;
            wanted
                .iter()
                .all(|s| text.contains(&s.to_uppercase()))
                .then_some(())
        };
        wait_for(PROMISE, all).expect("not on the list within a minute");
        numbers.push(list(&world).0);
        assert!(numbers.windows(2).all(|n| n[0] <= n[1]), "{numbers:?}");
    });
}

/// Whether the server acknowledged; it may die meanwhile.
async fn try_revoke(client: &Client, got: &Obtained) -> bool {
    let url = client.url("revokeCert");
    let bytes = payload(got, Some(1)).to_string().into_bytes();
    for _ in 0..10 {
        let Ok(draft) = client.try_draft_bytes(&url, bytes.clone()).await else {
            return false;
        };
        match client.try_send(&draft).await {
            Ok(answer) if answer.problem() == "badNonce" => {}
            Ok(answer) => return answer.status == 200,
            Err(_) => return false,
        }
    }
    false
}

#[test]
fn a_certificate_revoked_after_the_backup_is_revoked_after_the_restore() {
    // T-CA-122
    inside(test_path!(), |mut world| {
        let web = Responder::start((HOST, 80));
        let client = block_on(world.ca.subscriber());
        let before = block_on(client.obtain(&["before.restore.test"], &web));
        let backup = world.folder.path().join("backup.db");
        asked(&world.ca, &["backup", backup.to_str().unwrap(), "--json"]);
        let after = block_on(client.obtain(&["after.restore.test"], &web));
        let (first, second) = (serial(&before), serial(&after));
        asked(&world.ca, &["revoke", &first, &second, "--yes", "--json"]);
        assert!(lists(&world, &first) && lists(&world, &second));
        world.ca.kill();
        // The disk took the store; the rest of the directory is there.
        for name in ["cairn.db", "cairn.db-wal", "cairn.db-shm"] {
            let _ = std::fs::remove_file(world.ca.dir().join(name));
        }
        let restored = restore(&backup, &world.ca.dir());
        assert_eq!(restored["revocations"], 2, "{restored}");
        world.ca.start();
        assert!(lists(&world, &first) && lists(&world, &second));
        let (good, said) = verify(&world, &before);
        assert!(!good && said.contains("certificate revoked"), "{said}");
    });
}

fn restore(backup: &Path, dir: &Path) -> Value {
    let mut command = Command::new(places::cairn());
    command
        .args(["ca", "restore", "--json"])
        .arg(backup)
        .arg(dir);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
