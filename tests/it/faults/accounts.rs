//! Accounts that the CA does not take, F-63 to F-69.

use cairn_testkit::{acme::Key, block_on, test_path};
use serde_json::json;

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
