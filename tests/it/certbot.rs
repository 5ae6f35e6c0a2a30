//! certbot (PyPI): standalone and webroot, renewal, its account commands, its errors.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cairn_testkit::process::Process;
use cairn_testkit::{issued, peers, test_path};

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
