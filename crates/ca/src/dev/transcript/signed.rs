//! A request's JWS, read as far as it can be: a transcript shows what is wrong, it does not refuse it.

use std::borrow::Cow;

use cairn_acme::base64url;
use serde_json::Value;

/// A JWS whose parts may be anything.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    /// The JSON object as it came.
    pub(crate) whole: Value,
    /// The protected header's octets.
    pub(crate) header: Option<Vec<u8>>,
    /// The protected header.
    pub(crate) protected: Option<Value>,
    /// The payload's octets.
    pub(crate) payload: Option<Vec<u8>>,
    /// The payload as JSON.
    pub(crate) object: Option<Value>,
}

impl Signed {
    /// Reads a body; none if it is no JSON object.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice(body).ok()?)
    }

    /// Reads a JSON object.
    pub(crate) fn of(whole: Value) -> Option<Self> {
        if !whole.is_object() {
            return None;
        }
        let part = |name: &str| whole.get(name).and_then(Value::as_str).and_then(lenient);
        let header = part("protected");
        let protected = header
            .as_deref()
            .and_then(|octets| serde_json::from_slice(octets).ok());
        let payload = part("payload");
        let object = payload
            .as_deref()
            .and_then(|octets| serde_json::from_slice(octets).ok());
        Some(Self {
            whole,
            header,
            protected,
            payload,
            object,
        })
    }

    /// A text of the protected header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.protected.as_ref()?.get(name)?.as_str()
    }

    /// The key in the protected header.
    pub(crate) fn jwk(&self) -> Option<&Value> {
        self.protected.as_ref()?.get("jwk")
    }

    /// Whether it asks for a representation: the payload is empty.
    pub(crate) fn is_get(&self) -> bool {
        self.payload.as_ref().is_some_and(Vec::is_empty)
    }

    /// A member of the payload.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.object.as_ref()?.get(name)
    }
}

/// Octets of a text that is nearly base64url.
fn lenient(text: &str) -> Option<Vec<u8>> {
    let other = |c: char| c.is_whitespace() || matches!(c, '+' | '/');
    let text = if text.contains(other) {
        let kept = text.split_whitespace().collect::<String>();
        Cow::Owned(kept.replace('+', "-").replace('/', "_"))
    } else {
        Cow::Borrowed(text)
    };
    base64url::decode(text.trim_end_matches('=')).ok()
}
