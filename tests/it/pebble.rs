//! Pebble's place: the same configuration, the same calls and the same clients once with Debian's Pebble and once with Cairn
//! called by that name.

mod calls;
mod stage;
mod starts;

use serde_json::json;

use cairn_testkit::{peers, test_path};

use self::stage::{Subject, at, lego, openssl, stage};
use crate::renewal::named;

/// What `PEBBLE_ALTERNATE_ROOTS` and `PEBBLE_CHAIN_LENGTH` are in the test of them.
const ROOTS: usize = 2;
const LENGTH: usize = 3;

#[test]
fn each_alternate_chain_leads_to_its_own_root() {
    stage().run(test_path!(), || {
        for (subject, algorithm) in [
            (Subject::Debian, "rsa"),
            (Subject::Cairn, "rsa"),
            (Subject::Cairn, "ecdsa"),
        ] {
            let mut place = subject.place();
            place.set("keyAlgorithm", json!(algorithm));
            let roots = (ROOTS - 1).to_string();
            let length = LENGTH.to_string();
            let server = place.start(&[
                ("PEBBLE_ALTERNATE_ROOTS", &roots),
                ("PEBBLE_CHAIN_LENGTH", &length),
            ]);
            for number in 0..ROOTS {
                let root = place.keep(&format!("roots/{number}"));
                let name = openssl(
                    &["x509", "-noout", "-subject", "-nameopt", "RFC2253"],
                    &root,
                );
                let name = name.trim().strip_prefix("subject=CN=").unwrap().to_owned();
                let chain = lego(&place, "a.example.test", &["--preferred-chain", &name]);
                let text = std::fs::read_to_string(&chain).unwrap();
                assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 1 + LENGTH);
                let chain = chain.to_str().unwrap();
                for other in 0..ROOTS {
                    let root = place.keep(&format!("roots/{other}"));
                    let mut verify = peers::system("openssl");
                    verify.args(["verify", "-untrusted", chain, "-CAfile", &root, chain]);
                    let good = verify.output().unwrap().status.success();
                    assert_eq!(good, number == other, "{subject:?}: {name} by root {other}");
                }
                of_one_key(&place, number, algorithm);
            }
            drop(server);
        }
    });
}

/// The key that is shown is that of the certificate, in the form of its kind.
fn of_one_key(place: &stage::Place, number: usize, algorithm: &str) {
    for (certificate, key) in [
        ("roots", "root-keys"),
        ("intermediates", "intermediate-keys"),
    ] {
        let shown = place.keep(&format!("{key}/{number}"));
        let text = std::fs::read_to_string(&shown).unwrap();
        let kind = if algorithm == "rsa" { "RSA" } else { "EC" };
        assert!(text.starts_with(&format!("-----BEGIN {kind} PRIVATE KEY-----")));
        let certificate = place.keep(&format!("{certificate}/{number}"));
        assert_eq!(
            openssl(&["pkey", "-pubout"], &shown),
            openssl(&["x509", "-noout", "-pubkey"], &certificate)
        );
    }
}

#[test]
fn an_external_account_key_of_the_file_opens_accounts_again_and_again() {
    stage().run(test_path!(), || {
        let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
        for subject in [Subject::Debian, Subject::Cairn] {
            let mut place = subject.place();
            place.set("externalAccountBindingRequired", json!(true));
            place.set("externalAccountMACKeys", json!({ "kid-1": key }));
            let _server = place.start(&[]);
            let try_with = |home: &str, words: &[&str]| {
                stage::try_lego(&place, home, "a.example.test", words, &["run"])
            };
            let bound = |kid, key| ["--eab", "--kid", kid, "--hmac", key];
            assert!(!try_with("none", &[]), "{subject:?} without a key");
            assert!(try_with("one", &bound("kid-1", key)), "{subject:?}");
            assert!(try_with("two", &bound("kid-1", key)), "{subject:?}");
            let wrong = key.replace('z', "y");
            assert!(!try_with("wrong", &bound("kid-1", &wrong)), "{subject:?}");
            assert!(!try_with("other", &bound("kid-2", key)), "{subject:?}");
        }
    });
}

#[test]
fn renewal_information_is_passed_on_as_it_was_set() {
    stage().run(test_path!(), || {
        // Debian's 2.4 has neither; the answers are those of 2.8.
        let place = Subject::Cairn.place();
        let _server = place.start(&[]);
        let chain = lego(&place, "a.example.test", &[]);
        let text = std::fs::read_to_string(chain).unwrap();
        let leaf = text.split_inclusive("-----END CERTIFICATE-----\n").next();
        let set = |certificate: &str, response: &str| {
            let body = json!({ "certificate": certificate, "ARIResponse": response });
            at("set-renewal-info/", &["--data", &body.to_string()]).status
        };
        let directory: serde_json::Value =
            serde_json::from_str(&stage::directory(&place).body).unwrap();
        let url = directory["renewalInfo"].as_str().unwrap();
        let url = format!("{url}/{}", named(&text));
        let window = |body: &str| body.contains("suggestedWindow");
        assert!(window(&stage::curl(&url, &[]).body));
        for odd in ["{\"suggestedWindow\":", "no JSON at all", ""] {
            assert_eq!(set(leaf.unwrap(), odd), 200);
            let shown = stage::curl(&url, &[]);
            assert_eq!((shown.status, shown.body.as_str()), (200, odd));
        }
        let strange = std::fs::read_to_string(place.path("cert.pem")).unwrap();
        assert_eq!(set(&strange, "{}"), 404);
        assert_eq!(set("no PEM", "{}"), 400);
        for body in ["", "[]", "{", r#"{"Certificate":1}"#] {
            let refused = at("set-renewal-info/", &["--data", body]);
            assert_eq!(refused.status, 400, "{body}");
            assert!(refused.body.contains("malformed"), "{}", refused.body);
        }
    });
}
