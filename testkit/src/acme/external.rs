//! External account bindings, RFC 8555 §7.3.4: a [`Draft`] with a MAC in the signature's place.

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{Client, Draft, Response, encode};

impl Draft<'_> {
    /// The envelope under a MAC, by the algorithm that its header names, else HS256.
    pub fn mac(&self, secret: &[u8]) -> Value {
        let algorithm = match self.protected.get("alg").and_then(Value::as_str) {
            Some("HS384") => hmac::HMAC_SHA384,
            Some("HS512") => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let mut envelope = self.envelope();
        let text = |name: &str| envelope[name].as_str().unwrap_or_default().to_owned();
        let input = format!("{}.{}", text("protected"), text("payload"));
        let mac = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
        envelope.insert("signature".into(), json!(encode(mac.as_ref())));
        Value::Object(envelope)
    }
}

/// The octets of a secret as it is given out.
///
/// # Panics
/// If it is not base64url.
pub fn secret(text: &str) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url")
}

impl Client {
    /// A right binding of this client's key to the external account `key_id`, by HS256; see [`Draft::mac`].
    pub fn binding(&self, key_id: &str) -> Draft<'_> {
        let jwk = self.key.jwk().as_bytes().to_vec();
        let mut draft = Draft::new(&self.url("newAccount"), &self.key, Some(key_id), "", jwk);
        draft.unprotect("nonce").protect("alg", "HS256");
        draft
    }

    /// Opens an account with an external key, its secret as it was given out.
    pub async fn new_bound_account(&mut self, key_id: &str, hmac_key: &str) -> Response {
        let binding = self.binding(key_id).mac(&secret(hmac_key));
        self.new_account_with(
            json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding }),
        )
        .await
    }
}
