//! certbot (PyPI): standalone and webroot, renewal, its account commands, its errors.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cairn_testkit::process::Process;
use cairn_testkit::{block_on, issued, peers, test_path};
use serde_json::json;

use crate::operation::asked;
use crate::world::{World, assert_good, inside, names};

impl World {
    /// A certbot command with its folders inside the test's, trusting this CA alone.
    fn certbot(&self, words: &[&str]) -> Command {
        let mut command = peers::command("certbot");
        command
            .args(words)
            .args(["--non-interactive", "--server", &self.ca.directory()]);
        for folder in ["config", "work", "logs"] {
            command
                .arg(format!("--{folder}-dir"))
                .arg(self.folder.path().join(folder));
        }
        peers::trust(&mut command, &self.ca.root_path());
        command
    }

    /// `certbot certonly` for these names.
    fn certonly(&self, how: &[&str], names: &[String]) -> Output {
        let mut command = self.certbot(&["certonly", "--agree-tos"]);
        command.arg("--register-unsafely-without-email").args(how);
        for name in names {
            command.args(["-d", name]);
        }
        peers::run(&mut command)
    }

    fn lineage(&self, name: &str) -> PathBuf {
        self.folder.path().join("config/live").join(name)
    }

    fn assert_lineage(&self, names: &[String]) {
        let lineage = self.lineage(&names[0]);
        issued::keep_folder(&lineage);
        assert_good(&lineage.join("fullchain.pem"), &self.ca.root_path(), names);
    }
}

const STANDALONE: [&str; 3] = ["--standalone", "--http-01-address", "127.0.0.2"];

#[test]
fn standalone_gets_one_two_and_a_hundred_names() {
    inside(test_path!(), |world| {
        for count in [1, 2, 100] {
            let names = names(count, &format!("c{count}"));
            assert!(world.certonly(&STANDALONE, &names).status.success());
            world.assert_lineage(&names);
        }
    });
}

#[test]
fn webroot_gets_two_names_and_renews_them() {
    inside(test_path!(), |world| {
        let webroot = world.folder.path().join("www");
        std::fs::create_dir(&webroot).unwrap();
        let mut server = peers::command("python");
        server.args([
            "-u",
            "-m",
            "http.server",
            "--bind",
            "127.0.0.2",
            "--directory",
        ]);
        let server = Process::start("http.server", server.arg(&webroot).arg("80"));
        let serving = server.wait_line(Duration::from_secs(20), |line| line.contains("Serving"));
        assert!(serving.is_some());

        let names = names(2, "web");
        let webroot = webroot.to_str().unwrap();
        assert!(
            world
                .certonly(&["--webroot", "-w", webroot], &names)
                .status
                .success()
        );
        world.assert_lineage(&names);
        let before = std::fs::read(world.lineage(&names[0]).join("cert.pem")).unwrap();

        let mut renew = world.certbot(&["renew", "--force-renewal", "--no-random-sleep-on-renew"]);
        assert!(peers::run(&mut renew).status.success());
        world.assert_lineage(&names);
        let after = std::fs::read(world.lineage(&names[0]).join("cert.pem")).unwrap();
        assert_ne!(before, after, "renewal gave a new certificate");
    });
}

#[test]
fn an_rsa_key_and_a_csr_of_the_users_own_are_served() {
    inside(test_path!(), |world| {
        let rsa = names(1, "rsa");
        let how = [
            &STANDALONE[..],
            &["--key-type", "rsa", "--rsa-key-size", "2048"],
        ]
        .concat();
        assert!(world.certonly(&how, &rsa).status.success());
        world.assert_lineage(&rsa);

        let own = names(2, "csr");
        let folder = world.folder.path();
        let (csr, _) =
            cairn_testkit::acme::csr(&own.iter().map(String::as_str).collect::<Vec<_>>());
        std::fs::write(folder.join("own.csr"), csr).unwrap();
        let chain = folder.join("own.chain.pem");
        let mut command = world.certbot(&["certonly", "--agree-tos"]);
        command
            .arg("--register-unsafely-without-email")
            .args(STANDALONE);
        command.arg("--csr").arg(folder.join("own.csr"));
        command.arg("--fullchain-path").arg(&chain);
        command.arg("--cert-path").arg(folder.join("own.cert.pem"));
        command
            .arg("--chain-path")
            .arg(folder.join("own.issuer.pem"));
        assert!(peers::run(&mut command).status.success());
        issued::keep_chain(&std::fs::read_to_string(&chain).unwrap());
        assert_good(&chain, &world.ca.root_path(), &own);
    });
}

#[test]
fn an_account_is_registered_changed_shown_and_deactivated() {
    inside(test_path!(), |world| {
        let register = [
            "register",
            "--agree-tos",
            "-m",
            "one@example.org",
            "--no-eff-email",
        ];
        let steps: [&[&str]; 4] = [
            &register,
            &["update_account", "-m", "two@example.org", "--no-eff-email"],
            &["show_account"],
            &["unregister"],
        ];
        for step in steps {
            let output = peers::run(&mut world.certbot(step));
            assert!(output.status.success(), "{step:?}");
            if step[0] == "show_account" {
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(said.contains("two@example.org"), "{said}");
            }
        }
    });
}

#[test]
fn an_account_is_opened_with_a_key_that_the_operator_gave_out() {
    // 8555-7.3.4-2 8555-7.3.4-4 T-CA-35
    inside(test_path!(), |mut world| {
        world.ca.set("accounts.external", "\"required\"");
        world.ca.terminate();
        world.ca.start();
        let names = names(1, "team");
        let said = |output: &Output| {
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)
        };
        let without = world.certonly(&STANDALONE, &names);
        assert!(!without.status.success(), "{}", said(&without));
        let words = [
            "eab",
            "add",
            "--owner",
            "web team",
            "--names",
            ".team.test",
            "--json",
        ];
        let key = asked(&world.ca, &words);
        let text = |name: &str| key[name].as_str().unwrap();
        let bound = |hmac_key: &str, names: &[String]| {
            let eab = ["--eab-kid", text("id"), "--eab-hmac-key", hmac_key];
            world.certonly(&[&STANDALONE[..], &eab].concat(), names)
        };
        let wrong = bound(&"A".repeat(86), &names);
        assert!(!wrong.status.success());
        assert!(
            said(&wrong).contains("HMAC key is not that id's"),
            "{}",
            said(&wrong)
        );
        let got = bound(text("hmac_key"), &names);
        assert!(got.status.success(), "{}", said(&got));
        world.assert_lineage(&names);
        let other = world.certonly(&STANDALONE, &["www.test".to_owned()]);
        assert!(!other.status.success());
        assert!(said(&other).contains("only .team.test"), "{}", said(&other));

        // What was used stays used, whatever happens to the server.
        world.ca.kill();
        world.ca.start();
        let listed = asked(&world.ca, &["eab", "list", "--state", "used", "--json"]);
        assert_eq!(listed["keys"][0]["id"], key["id"], "{listed}");
        assert_eq!(listed["keys"][0]["accounts"], 1, "{listed}");
        let answer = block_on(async {
            let mut client = world.ca.client().await;
            client.new_bound_account(text("id"), text("hmac_key")).await
        });
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "unauthorized")
        );
        assert!(answer.text().contains("was used at"), "{}", answer.text());

        // What a person reads: the secret once, ready to paste; never in a list.
        let (status, out, err) = world
            .ca
            .command(&["eab", "add", "--many", "--expires", "7d"]);
        assert!(status.success(), "{err}");
        let line = |head: &str| {
            let found = out.lines().find_map(|line| line.strip_prefix(head));
            found
                .unwrap_or_else(|| panic!("{head} in {out}"))
                .trim()
                .to_owned()
        };
        let (id, hmac_key) = (line("Key id "), line("HMAC key "));
        assert_eq!(
            line("certbot "),
            format!("--eab-kid {id} --eab-hmac-key {hmac_key}")
        );
        assert!(
            line("Opens ").starts_with("any number of accounts, in 7 days"),
            "{out}"
        );
        assert!(err.contains("shown this once"), "{err}");
        let (_, out, _) = world.ca.command(&["eab", "list"]);
        assert!(out.contains(&id) && out.contains("web team"), "{out}");
        assert!(!out.contains(&hmac_key), "{out}");
        let (status, out, _) = world.ca.command(&["eab", "revoke", &id]);
        assert!(status.success() && out.contains("Revoked"), "{out}");
        let (status, _, err) = world.ca.command(&["eab", "list", "--state", "spent"]);
        assert_eq!(status.code(), Some(2), "{err}");
        // Listed and taken back without a server; made only by one.
        world.ca.terminate();
        let listed = asked(&world.ca, &["eab", "list", "--state", "revoked", "--json"]);
        assert_eq!(listed["keys"][0]["id"], json!(id), "{listed}");
        let (status, _, err) = world.ca.command(&["eab", "add"]);
        assert_eq!(status.code(), Some(1));
        assert!(err.contains("cairn ca serve"), "{err}");
    });
}

#[test]
fn a_name_that_leads_nowhere_is_explained_to_the_user() {
    inside(test_path!(), |world| {
        // Nobody listens at this address.
        world.dns.add_address("dead.test", [127, 0, 0, 9]);
        let output = world.certonly(&STANDALONE, &["dead.test".to_owned()]);
        assert_eq!(output.status.code(), Some(1));
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("127.0.0.9") && said.contains("refused"),
            "{said}"
        );
        assert!(!world.lineage("dead.test").exists());
    });
}

#[test]
fn twenty_names_take_no_longer_with_holds_than_without() {
    inside(test_path!(), |mut world| {
        // certbot polls once a second: less than that is noise.
        let noise = Duration::from_millis(900);
        // The best of each, taken in turn, so that a slow minute of the machine falls on both.
        let [mut without, mut with] = [Duration::MAX; 2];
        for round in 0..5 {
            for (hold, best) in [("0s", &mut without), ("2s", &mut with)] {
                world.ca.terminate();
                world.ca.set("limits.hold", &format!("\"{hold}\""));
                world.ca.start();
                let names = names(20, &format!("h{round}of{hold}"));
                let start = Instant::now();
                assert!(world.certonly(&STANDALONE, &names).status.success());
                *best = start.elapsed().min(*best);
            }
            if with <= without + noise {
                return;
            }
        }
        panic!("{with:?} with holds, {without:?} without");
    });
}
