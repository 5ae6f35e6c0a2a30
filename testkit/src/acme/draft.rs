//! A request that a test may alter in every part before it is sent.

use serde_json::{Map, Value, json};

use super::key::{Key, encode};

/// One request in parts. [`Draft::body`] signs what the parts say at that moment, unless
/// `raw_body` is set; so altering a part keeps the signature right, altering the body does not.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The HTTP method.
    pub method: String,
    /// Where the request goes; `protected["url"]` is what it says in the envelope.
    pub target: String,
    /// The HTTP headers.
    pub headers: Vec<(String, String)>,
    /// The protected header.
    pub protected: Map<String, Value>,
    /// The protected header as text, in place of `protected`.
    pub raw_protected: Option<String>,
    /// The payload's bytes; empty for POST-as-GET.
    pub payload: Vec<u8>,
    /// Who signs.
    pub key: &'a Key,
    /// Further members of the envelope, such as an unprotected `header`.
    pub extra: Map<String, Value>,
    /// The signature in place of the right one.
    pub signature: Option<Vec<u8>>,
    /// The HTTP body in place of the envelope.
    pub raw_body: Option<Vec<u8>>,
}

impl<'a> Draft<'a> {
    /// A correct request: `kid` names the account, else the envelope carries the key itself.
    pub fn new(url: &str, key: &'a Key, kid: Option<&str>, nonce: &str, payload: Vec<u8>) -> Self {
        let mut protected = Map::new();
        protected.insert("alg".into(), json!(key.algorithm()));
        protected.insert("nonce".into(), json!(nonce));
        protected.insert("url".into(), json!(url));
        match kid {
            Some(kid) => protected.insert("kid".into(), json!(kid)),
            None => {
                let jwk: Value = serde_json::from_str(key.jwk()).expect("our own JWK");
                protected.insert("jwk".into(), jwk)
            }
        };
        Self {
            method: String::from("POST"),
            target: url.to_owned(),
            headers: vec![("content-type".into(), "application/jose+json".into())],
            protected,
            raw_protected: None,
            payload,
            key,
            extra: Map::new(),
            signature: None,
            raw_body: None,
        }
    }

    /// Sets a member of the protected header.
    pub fn protect(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.protected.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a member of the protected header.
    pub fn unprotect(&mut self, name: &str) -> &mut Self {
        self.protected.remove(name);
        self
    }

    /// Sets or, with `None`, removes an HTTP header.
    pub fn header(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// The envelope as an object, signed.
    pub fn envelope(&self) -> Map<String, Value> {
        let protected = match &self.raw_protected {
            Some(text) => text.clone(),
            None => Value::Object(self.protected.clone()).to_string(),
        };
        let (protected, payload) = (encode(protected.as_bytes()), encode(&self.payload));
        let signature = match &self.signature {
            Some(signature) => signature.clone(),
            None => self.key.sign(format!("{protected}.{payload}").as_bytes()),
        };
        let mut envelope = self.extra.clone();
        envelope.insert("protected".into(), json!(protected));
        envelope.insert("payload".into(), json!(payload));
        envelope.insert("signature".into(), json!(encode(&signature)));
        envelope
    }

    /// The HTTP body.
    pub fn body(&self) -> Vec<u8> {
        match &self.raw_body {
            Some(body) => body.clone(),
            None => Value::Object(self.envelope()).to_string().into_bytes(),
        }
    }
}
