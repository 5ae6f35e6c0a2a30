//! certbot, the newest (PyPI) and Debian's: an RSA account key, http-01 by itself, dns-01 by a hook. What its commands and
//! errors look like to a user stands in `it/certbot.rs`.

use std::path::PathBuf;
use std::process::Command;

use cairn_testkit::seen::What;
use cairn_testkit::test_path;

use super::stand::{
    ADDRESS, Client, HOOK, Key, Said, Stand, Tried, beside_cairn, beside_pebble, pairs, said,
    serial,
};
use crate::other_root;

const CHALLENGES: [What; 2] = [What::Http01, What::Dns01];
const KEYS: [Key; 3] = [Key::P256, Key::Rsa2048, Key::P384];

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Pypi,
    Debian,
}

struct Certbot<'a> {
    client: Client<'a>,
    from: From,
}

impl<'a> Certbot<'a> {
    fn new(stand: &'a Stand, from: From) -> Self {
        let version = said(program(stand, from).arg("--version")).expect_good("--version");
        let version = version.trim().rsplit(' ').next().unwrap_or_default();
        let name = match from {
            From::Pypi => "certbot (PyPI)",
            From::Debian => "certbot (Debian)",
        };
        Self {
            client: stand.client(name, version),
            from,
        }
    }

    /// Neither reads what the other wrote.
    fn home(&self) -> PathBuf {
        let name = match self.from {
            From::Pypi => "certbot",
            From::Debian => "certbot-debian",
        };
        self.client.stand.folder().join(name)
    }

    fn run(&self, words: &[&str]) -> Said {
        let stand = self.client.stand;
        let mut certbot = program(stand, self.from);
        certbot
            .args(words)
            .args(["--non-interactive", "--server", &stand.directory()]);
        for folder in ["config", "work", "logs"] {
            let place = self.home().join(folder);
            certbot.arg(format!("--{folder}-dir")).arg(place);
        }
        said(&mut certbot)
    }

    /// `certonly`, into a lineage that is called as the first name; a second time it renews.
    fn certonly(&self, how: What, key: Key, names: &[&str]) -> Said {
        let mut words = vec![
            "certonly",
            "--force-renewal",
            "--agree-tos",
            "-m",
            "one@example.org",
            "--no-eff-email",
        ];
        match how {
            What::Http01 => words.extend(["--standalone", "--http-01-address", ADDRESS]),
            _ => words.extend([
                "--manual",
                "--preferred-challenges",
                "dns",
                "--manual-auth-hook",
                HOOK,
                "--manual-cleanup-hook",
                HOOK,
            ]),
        }
        words.extend(match key {
            Key::Rsa2048 => ["--key-type", "rsa", "--rsa-key-size", "2048"],
            Key::P256 => ["--key-type", "ecdsa", "--elliptic-curve", "secp256r1"],
            Key::P384 => ["--key-type", "ecdsa", "--elliptic-curve", "secp384r1"],
        });
        words.extend(["--cert-name", lineage(names)]);
        for name in names {
            let flag = match name.parse::<std::net::IpAddr>() {
                Ok(_) => "--ip-address",
                Err(_) => "-d",
            };
            words.extend([flag, name]);
        }
        self.run(&words)
    }

    fn chain(&self, names: &[&str]) -> PathBuf {
        let live = self.home().join("config/live");
        live.join(lineage(names)).join("fullchain.pem")
    }

    fn obtains(&self, how: What, key: Key, names: &[&str]) -> PathBuf {
        self.certonly(how, key, names).expect_good(how.title());
        self.client.obtained(&self.chain(names), names, how, key);
        self.chain(names)
    }

    /// What the two have in common.
    fn common(&self) {
        let client = &self.client;
        for (number, (how, key)) in pairs(&CHALLENGES, &KEYS).into_iter().enumerate() {
            let names = match how {
                What::Http01 => [
                    format!("a{number}.certbot.test"),
                    format!("b{number}.certbot.test"),
                ],
                _ => [
                    format!("*.w{number}.certbot.test"),
                    format!("w{number}.certbot.test"),
                ],
            };
            self.obtains(how, key, &[&names[0], &names[1]]);
        }
        client.does(What::AccountRsa);

        let name = "other.certbot.test";
        let how = ["--standalone", "--http-01-address", ADDRESS, "-d", name];
        let preferred = ["certonly", "--preferred-chain", other_root::NAME];
        self.run(&[&preferred[..], &how].concat())
            .expect_good("--preferred-chain");
        client.prefers(&self.chain(&[name]), name);
    }

    /// What becomes of an account and its certificates.
    fn lives_on(&self) {
        let (client, stand) = (&self.client, self.client.stand);
        self.run(&["update_account", "-m", "two@example.org", "--no-eff-email"])
            .expect_good("update");
        client.does(What::Update);

        let name = ["r.certbot.test"];
        let before = serial(&self.obtains(What::Http01, Key::P256, &name));
        let words = [
            "renew",
            "--cert-name",
            name[0],
            "--force-renewal",
            "--no-random-sleep-on-renew",
        ];
        self.run(&words).expect_good("renew");
        let chain = self.chain(&name);
        client.obtained(&chain, &name, What::Http01, Key::P256);
        assert_ne!(before, serial(&chain), "a new certificate");
        client.does(What::Renewal);

        stand.assert_revoked(&chain, false);
        let keep = "--no-delete-after-revoke";
        self.run(&[
            "revoke",
            "--cert-name",
            name[0],
            "--reason",
            "superseded",
            keep,
        ])
        .expect_good("revoke");
        stand.assert_revoked(&chain, true);
        client.does(What::Revocation);
        let chain = self.obtains(What::Http01, Key::P256, &["k.certbot.test"]);
        let (file, key) = (
            chain.with_file_name("cert.pem"),
            chain.with_file_name("privkey.pem"),
        );
        let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
        let words = ["revoke", "--cert-path", file, "--key-path", key, keep];
        self.run(&words).expect_good("revoke by key");
        stand.assert_revoked(&chain, true);
        client.does(What::RevocationByKey);
    }

    /// Last, since the account is gone then.
    fn unregisters(&self) {
        self.run(&["unregister"]).expect_good("unregister");
        self.client.does(What::Deactivation);
    }

    /// What it has not; its account ends, and another begins with a key of the operator's.
    fn ends(&self) {
        let help = self.run(&["--help", "all"]).text;
        self.client.lacks(What::TlsAlpn01, &help, "tls-alpn-01");
        self.client.lacks(What::KeyChange, &help, "rollover");
        self.client
            .lacks(What::AccountP256, &help, "account-key-type");
        self.client
            .lacks(What::AccountP384, &help, "account-key-type");
        self.unregisters();
        let (id, secret) = self.client.stand.external_key();
        let words = [
            "register",
            "--agree-tos",
            "-m",
            "one@example.org",
            "--no-eff-email",
        ];
        let bound = ["--eab-kid", &id, "--eab-hmac-key", &secret];
        self.run(&[&words[..], &bound].concat())
            .expect_good("register");
        self.client.opened_with(&id);
    }
}

fn program(stand: &Stand, from: From) -> Command {
    match from {
        From::Pypi => stand.peer("certbot"),
        From::Debian => stand.system("/usr/bin/certbot"),
    }
}

fn lineage<'a>(names: &[&'a str]) -> &'a str {
    names[0].trim_start_matches("*.")
}

const RENEW: [&str; 2] = ["renew", "--no-random-sleep-on-renew"];

/// One order of the newest, whatever becomes of it.
pub(crate) fn newest_tries(stand: &Stand) -> Tried<'_> {
    tries(stand, From::Pypi)
}

/// The same of Debian's.
pub(crate) fn debians_tries(stand: &Stand) -> Tried<'_> {
    tries(stand, From::Debian)
}

fn tries(stand: &Stand, from: From) -> Tried<'_> {
    let certbot = Certbot::new(stand, from);
    let tried = certbot.certonly(What::Http01, Key::P256, &["a.certbot.test"]);
    (certbot.client, tried.is_good())
}

#[test]
fn the_newest_certbot_obtains_with_every_key_and_renews_when_told_by_the_ca() {
    beside_cairn(test_path!(), |stand| {
        let certbot = Certbot::new(stand, From::Pypi);
        certbot.common();
        certbot.lives_on();
        certbot.obtains(What::Http01, Key::P256, &[ADDRESS]);

        // Of two that are far from their end it replaces the one whose window the CA moved.
        let names = [["moved.certbot.test"], ["stays.certbot.test"]];
        let before = names.map(|name| serial(&certbot.obtains(What::Http01, Key::P256, &name)));
        let (status, out, err) = stand.cairn().command(&["ari", "move", &before[0]]);
        assert!(status.success(), "{out}{err}");
        certbot.run(&RENEW).expect_good("renew");
        let after = names.map(|name| serial(&certbot.chain(&name)));
        assert_ne!(before[0], after[0], "the one that was moved is replaced");
        assert_eq!(before[1], after[1], "the other is not");
        certbot.client.does(What::RenewalInfo);
        certbot.ends();
    });
}

#[test]
fn debians_certbot_obtains_with_every_key_and_lives_on() {
    beside_cairn(test_path!(), |stand| {
        let certbot = Certbot::new(stand, From::Debian);
        certbot.common();
        certbot.lives_on();
        let help = certbot.run(&["--help", "all"]).text;
        certbot.client.lacks(What::Address, &help, "--ip-address");

        let name = ["moved.certbot.test"];
        let before = serial(&certbot.obtains(What::Http01, Key::P256, &name));
        let (status, out, err) = stand.cairn().command(&["ari", "move", &before]);
        assert!(status.success(), "{out}{err}");
        certbot.run(&RENEW).expect_good("renew");
        assert_eq!(
            before,
            serial(&certbot.chain(&name)),
            "it does not ask the CA"
        );
        certbot.client.lacks(What::RenewalInfo, &help, "ari_");
        certbot.ends();
    });
}

#[test]
fn both_certbots_obtain_by_every_challenge_and_live_on_at_pebble() {
    beside_pebble(test_path!(), |stand| {
        for from in [From::Pypi, From::Debian] {
            let certbot = Certbot::new(stand, from);
            certbot.obtains(
                What::Http01,
                Key::P256,
                &["a.certbot.test", "b.certbot.test"],
            );
            certbot.obtains(What::Dns01, Key::P256, &["*.w.certbot.test"]);
            certbot.lives_on();
            certbot.unregisters();
        }
    });
}
