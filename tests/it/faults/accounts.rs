//! Accounts that the CA does not take, F-63 to F-69, and what external accounts may not, F-86.

use cairn_testkit::{
    acme::{Key, secret},
    block_on,
    ca::{HOST, RESOLVER, TestCa},
    dns, test_path,
};
use serde_json::{Value, json};

use super::assert_says;
use crate::world::inside;

#[test]
fn faults_of_accounts_are_told_with_the_url_and_the_value_that_is_wrong() {
    // F-63 F-64 F-69
    inside(test_path!(), |world| {
        block_on(async {
            let client = world.ca.subscriber().await;
            let url = client.kid.clone().unwrap();
            let gone = json!({ "status": "deactivated" });
            client.post(&url, &gone).await.expect(200);
            let refused = client.new_order(&["a.test"]).await;
            let says = [
                url.as_str(),
                "the account was deactivated by its owner; it stays so",
                "register a new key",
            ];
            assert_says("F-63", &refused.json(), "unauthorized", 401, &says);

            // Of another CA, or of this one before it was set up anew.
            let mut stranger = client.with_key(Key::es256());
            stranger.kid =
                Some(url.replace(url.rsplit('/').next().unwrap(), "AAAAAAAAAAAAAAAAAAAAAA"));
            let refused = stranger.new_order(&["a.test"]).await;
            let says = [
                stranger.kid.as_deref().unwrap(),
                "before this CA was set up anew",
                "Register its key with newAccount",
            ];
            assert_says("F-64", &refused.json(), "accountDoesNotExist", 400, &says);
            let only = json!({ "onlyReturnExisting": true });
            let refused = stranger.new_account_with(only).await;
            let says = ["no account has this key"];
            assert_says("F-64", &refused.json(), "accountDoesNotExist", 400, &says);

            for (contact, kind, says) in [
                (
                    "mailto:foo@@bar.test",
                    "invalidContact",
                    "contact \"mailto:foo@@bar.test\" is invalid: it has more than one @",
                ),
                (
                    "mailto:foo@",
                    "invalidContact",
                    "contact \"mailto:foo@\" is invalid: the part after the @ is not a domain name",
                ),
                (
                    "tel:+123",
                    "unsupportedContact",
                    "contact \"tel:+123\" has a scheme that is not supported; mailto is",
                ),
            ] {
                let mut client = client.with_key(Key::es256());
                let payload = json!({ "termsOfServiceAgreed": true, "contact": [contact] });
                let refused = client.new_account_with(payload).await;
                assert_says("F-69", &refused.json(), kind, 400, &[says]);
            }
        });
    });
}

#[test]
fn terms_that_are_new_to_an_account_are_told_with_both_urls_and_how_to_agree() {
    // F-68
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let (old, new) = ("https://ca.test/terms/2025", "https://ca.test/terms/2026");
        let kind = "userActionRequired";
        let mut ca = TestCa::builder()
            .set("accounts.terms", &format!("\"{old}\""))
            .start();
        let client = block_on(async {
            let mut client = ca.client().await;
            for payload in [json!({}), json!({ "termsOfServiceAgreed": false })] {
                let refused = client.new_account_with(payload).await;
                let says = [
                    "an account needs consent to the terms of service at https://ca.test/terms/2025",
                    "read them, then send termsOfServiceAgreed: true (many clients: --agree-tos)",
                ];
                assert_says("F-68 no consent", &refused.json(), kind, 403, &says);
                assert_eq!(refused.json()["instance"], old);
            }
            client.new_account().await.expect(201);
            client.new_order(&["a.test"]).await.expect(201);
            client
        });
        // Other terms and a day to come stop nobody.
        ca.set("accounts.terms", &format!("\"{new}\""));
        ca.set("accounts.terms_enforced_from", "\"2999-01-01T00:00:00Z\"");
        ca.terminate();
        ca.start();
        block_on(async {
            let client = client.apart(&ca.root());
            client.new_order(&["b.test"]).await.expect(201);
        });
        ca.set("accounts.terms_enforced_from", "\"2026-01-01T00:00:00Z\"");
        ca.terminate();
        ca.start();
        block_on(async {
            let client = client.apart(&ca.root());
            let url = client.kid.clone().unwrap();
            let refused = client.new_order(&["c.test"]).await;
            let post = format!(
                "read them, then POST {{\"termsOfServiceAgreed\": true}} to the account's URL, {url}"
            );
            let says = [
                "the terms of service are those at https://ca.test/terms/2026 now",
                "this account agreed to https://ca.test/terms/2025",
                post.as_str(),
            ];
            assert_says("F-68 changed", &refused.json(), kind, 403, &says);
            assert_eq!(refused.json()["instance"], new);
            let link = format!("<{new}>;rel=\"terms-of-service\"");
            assert!(refused.links().contains(&link.as_str()));
            // The remedy is one.
            let agree = json!({ "termsOfServiceAgreed": true });
            client.post(&url, &agree).await.expect(200);
            client.new_order(&["c.test"]).await.expect(201);
        });
    });
}

/// A key from `cairn ca eab add` with these words: its id and its secret.
fn give(ca: &TestCa, words: &[&str]) -> (String, String) {
    let (status, out, err) = ca.command(&[&["eab", "add", "--json"], words].concat());
    assert!(status.success(), "{err}");
    let given: Value = serde_json::from_str(&out).unwrap();
    let text = |member: &str| given[member].as_str().unwrap().to_owned();
    (text("id"), text("hmac_key"))
}

#[test]
fn faults_of_external_accounts_are_told_with_the_key_and_where_another_comes_from() {
    // F-65 F-66 F-67 F-86
    TestCa::namespace().run(test_path!(), || {
        let dns = dns::Server::start(RESOLVER);
        dns.add_wildcard("test", HOST)
            .add_address("ca.test", [127, 0, 0, 1]);
        let source = "ask team-pki@widgets.test for one";
        let ca = TestCa::builder()
            .set("accounts.external", "\"required\"")
            .set("accounts.external_source", &format!("\"{source}\""))
            .start();
        let (id, hmac_key) = give(&ca, &["--owner", "team a", "--names", ".team.test"]);
        let (other, other_key) = give(&ca, &[]);
        let account = block_on(async {
            let client = ca.client().await;
            let refused = client.clone().new_account().await;
            let says = [
                source,
                "a new account needs an externalAccountBinding",
                "--eab-kid",
            ];
            assert_says(
                "F-65",
                &refused.json(),
                "externalAccountRequired",
                403,
                &says,
            );

            let cut = secret(&hmac_key)[..63].to_vec();
            for (fault, octets) in [
                ("F-66 cut", cut),
                ("F-66 not decoded", hmac_key.as_bytes().to_vec()),
                ("F-66 another's", secret(&other_key)),
            ] {
                let binding = client.binding(&id).mac(&octets);
                let payload =
                    json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding });
                let refused = client.clone().new_account_with(payload).await;
                let unverified = format!("no key \"{id}\" is here that made this MAC");
                let says = [
                    unverified.as_str(),
                    "base64url, 86 characters, 64 octets once decoded",
                    source,
                ];
                assert_says(fault, &refused.json(), "unauthorized", 403, &says);
            }

            let unknown = "AZqAAAAAAAAAAAAAAAAAAA";
            let refused = client.clone().new_bound_account(unknown, &hmac_key).await;
            let none = format!("no key \"{unknown}\" is here");
            let says = [none.as_str(), source];
            assert_says("F-67 unknown", &refused.json(), "unauthorized", 403, &says);

            let mut client = client.clone();
            let made = client.new_bound_account(&id, &hmac_key).await.expect(201);
            let mut second = client.with_key(Key::es256());
            let refused = second.new_bound_account(&id, &hmac_key).await;
            let used = format!("external key {id} was used at 20");
            let says = [
                used.as_str(),
                "it opens one account only: use that account with its own key",
                source,
            ];
            assert_says("F-67 used", &refused.json(), "unauthorized", 403, &says);

            let refused = client.new_order(&["www.team.test", "www.other.test"]).await;
            let whose = format!(
                "www.other.test: this account was opened with external key {id} of \"team a\""
            );
            let says = [
                whose.as_str(),
                "may order only .team.test",
                "order such a name, or ask the operator",
            ];
            assert_says("F-86", &refused.json(), "rejectedIdentifier", 400, &says);
            made.location().rsplit('/').next().unwrap().to_owned()
        });
        let (status, _, err) = ca.command(&["eab", "revoke", &other]);
        assert!(status.success(), "{err}");
        block_on(async {
            let mut client = ca.client().await;
            let refused = client.new_bound_account(&other, &other_key).await;
            let revoked = format!("external key {other} was revoked at 20");
            let says = [revoked.as_str(), source];
            assert_says("F-67 revoked", &refused.json(), "unauthorized", 403, &says);
        });
        // The operator sees whose it became; who is refused does not.
        let (_, out, err) = ca.command(&["show", &id, "--json"]);
        let key: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
        assert_eq!(key["state"], "used", "{key}");
        assert_eq!(key["account"], account.as_str(), "{key}");
        // F-86 is for the operator too: the refusal stands in the account's history.
        let (_, out, _) = ca.command(&["show", &account, "--json"]);
        assert!(out.contains("www.other.test"), "{out}");
    });
}
