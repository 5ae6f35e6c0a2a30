//! A talk between a client and a CA, made up: what goes wrong in it is what a test alters.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use cairn_acme::{base64url, time::Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};

use crate::dev::{Answered, Delivery, Exchange, Finding, Step, check::Checker};

pub(super) const BASE: &str = "https://ca.test";
pub(super) const ACCOUNT: &str = "/acme/account/Acc0000000001";
pub(super) const ORDER: &str = "/acme/order/Ord0000000001";
pub(super) const FINALIZE: &str = "/acme/order/Ord0000000001/finalize";
pub(super) const AUTHORIZATION: &str = "/acme/authorization/Aut0000000001";
pub(super) const CHALLENGE: &str = "/acme/challenge/Aut0000000001/http-01";
pub(super) const CERTIFICATE: &str = "/acme/certificate/Cer0000000001";
pub(super) const NAME: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";

/// A request and its answer, right until they are altered.
pub(super) struct Ask {
    pub(super) exchange: Exchange,
    pub(super) protected: Value,
    pub(super) payload: Vec<u8>,
    /// Sent as it is in place of the JWS.
    pub(super) body: Option<Vec<u8>>,
    pub(super) wait: Duration,
    pub(super) answer: Answered,
}

pub(super) struct Talk {
    pub(super) checker: Checker,
    pub(super) key: KeyPair,
    kid: Option<String>,
    now: Duration,
    number: u64,
    nonce: String,
}

impl Talk {
    /// With a first nonce.
    pub(super) fn new() -> Self {
        let mut talk = Self::silent();
        let head = talk.plain(Method::HEAD, Some(Step::NewNonce), "/acme/new-nonce");
        talk.send(head);
        talk
    }

    /// Before anything was said.
    pub(super) fn silent() -> Self {
        Self {
            checker: Checker::default(),
            key: KeyPair::generate().unwrap(),
            kid: None,
            now: Duration::ZERO,
            number: 0,
            nonce: String::new(),
        }
    }

    /// With a directory, an account and an order that is pending.
    pub(super) fn with_order() -> Self {
        let mut talk = Self::new();
        talk.directory(json!({}));
        talk.account();
        talk.order(json!({}));
        talk
    }

    pub(super) fn plain(&self, method: Method, step: Option<Step>, path: &str) -> Ask {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "ca.test"),
            ("user-agent", "client/1.0 http/2"),
            ("accept-language", "en"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ask {
            exchange: Exchange {
                number: self.number + 1,
                connection: 1,
                at: Timestamp::from_millis(1_900_000_000_000),
                arrived: Duration::ZERO,
                answered: Duration::ZERO,
                ahead: Duration::ZERO,
                peer: Ipv4Addr::LOCALHOST.into(),
                step,
                method,
                path: path.to_owned(),
                headers,
                body: Bytes::new(),
                answer: None,
                delivery: Delivery::Whole,
                faults: Vec::new(),
                findings: Vec::new(),
            },
            protected: Value::Null,
            payload: Vec::new(),
            body: None,
            wait: Duration::from_millis(100),
            answer: Answered {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::new(),
            },
        }
        .told("replay-nonce", &format!("nonce-{:04}", self.number + 1))
    }

    /// POST-as-GET.
    pub(super) fn fetch(&self, step: Step, path: &str) -> Ask {
        let mut ask = self
            .plain(Method::POST, Some(step), path)
            .header("content-type", "application/jose+json");
        ask.protected = json!({
            "alg": "ES256",
            "nonce": self.nonce,
            "url": format!("{BASE}{path}"),
        });
        let (name, value) = match &self.kid {
            Some(kid) if step != Step::NewAccount => ("kid", json!(kid)),
            _ => ("jwk", self.jwk()),
        };
        ask.protected[name] = value;
        ask
    }

    pub(super) fn post(&self, step: Step, path: &str, payload: Value) -> Ask {
        let mut ask = self.fetch(step, path);
        ask.payload = payload.to_string().into_bytes();
        ask
    }

    pub(super) fn jwk(&self) -> Value {
        jwk(&self.key)
    }

    pub(super) fn send(&mut self, mut ask: Ask) -> Vec<Finding> {
        self.number += 1;
        self.now += ask.wait;
        let exchange = &mut ask.exchange;
        exchange.arrived = self.now;
        exchange.answered = self.now;
        exchange.body = match ask.body {
            Some(body) => body.into(),
            None if exchange.method == Method::POST => json!({
                "protected": base64url::encode(ask.protected.to_string().as_bytes()),
                "payload": base64url::encode(&ask.payload),
                "signature": "AAAA",
            })
            .to_string()
            .into(),
            None => Bytes::new(),
        };
        if let Some(nonce) = ask.answer.headers.get("replay-nonce") {
            self.nonce = nonce.to_str().unwrap().to_owned();
        }
        exchange.answer = Some(ask.answer);
        self.checker.check(exchange)
    }

    pub(super) fn directory(&mut self, more: Value) {
        let mut directory = json!({
            "newNonce": format!("{BASE}/acme/new-nonce"),
            "newAccount": format!("{BASE}/acme/new-account"),
            "newOrder": format!("{BASE}/acme/new-order"),
        });
        for (name, value) in more.as_object().unwrap() {
            directory[name] = value.clone();
        }
        let ask = self.plain(Method::GET, Some(Step::Directory), "/directory");
        self.send(ask.shows(200, directory));
    }

    pub(super) fn new_account(&self) -> Ask {
        let payload = json!({ "termsOfServiceAgreed": true });
        self.post(Step::NewAccount, "/acme/new-account", payload)
            .shows(201, json!({ "status": "valid" }))
            .told("location", &format!("{BASE}{ACCOUNT}"))
    }

    pub(super) fn account(&mut self) {
        self.send(self.new_account());
        self.kid = Some(format!("{BASE}{ACCOUNT}"));
    }

    /// Another account by another key; the talk goes on with the first one.
    pub(super) fn other_account(&mut self, key: &KeyPair) {
        let mut ask = self
            .new_account()
            .told("location", &format!("{BASE}/acme/account/Acc0000000002"));
        ask.protected["jwk"] = jwk(key);
        self.send(ask);
    }

    pub(super) fn new_order(&self, more: Value) -> Ask {
        let mut payload = json!({ "identifiers": [{ "type": "dns", "value": "a.test" }] });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        self.post(Step::NewOrder, "/acme/new-order", payload)
            .shows(201, order("pending"))
            .told("location", &format!("{BASE}{ORDER}"))
    }

    pub(super) fn order(&mut self, more: Value) {
        self.send(self.new_order(more));
    }

    /// A look at the order.
    pub(super) fn look(&self, status: &str) -> Ask {
        self.fetch(Step::Order, ORDER).shows(200, order(status))
    }

    /// A look at the authorization.
    pub(super) fn authorization(&self, status: &str) -> Ask {
        let object = json!({
            "status": status,
            "identifier": { "type": "dns", "value": "a.test" },
            "challenges": [{
                "type": "http-01",
                "status": "pending",
                "url": format!("{BASE}{CHALLENGE}"),
                "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ",
            }],
        });
        self.fetch(Step::Authorization, AUTHORIZATION)
            .shows(200, object)
    }

    pub(super) fn challenge(&self) -> Ask {
        self.post(Step::Challenge, CHALLENGE, json!({})).shows(
            200,
            json!({ "status": "processing", "url": format!("{BASE}{CHALLENGE}") }),
        )
    }

    pub(super) fn finalize(&self, csr: &[u8]) -> Ask {
        let payload = json!({ "csr": base64url::encode(csr) });
        self.post(Step::Finalize, FINALIZE, payload)
            .shows(200, order("processing"))
    }
}

impl Ask {
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.exchange.headers.insert(name, value);
        self
    }

    pub(super) fn no_header(mut self, name: &'static str) -> Self {
        self.exchange.headers.remove(name);
        self
    }

    pub(super) fn protect(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.protected[name] = value.into();
        self
    }

    pub(super) fn unprotect(mut self, name: &str) -> Self {
        self.protected.as_object_mut().unwrap().remove(name);
        self
    }

    pub(super) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The JWS with another member, or another value of one.
    pub(super) fn whole(self, name: &str, value: impl Into<Value>) -> Self {
        let mut whole = json!({
            "protected": base64url::encode(self.protected.to_string().as_bytes()),
            "payload": base64url::encode(&self.payload),
            "signature": "AAAA",
        });
        whole[name] = value.into();
        self.body(whole.to_string())
    }

    pub(super) fn shows(mut self, status: u16, object: Value) -> Self {
        self.answer.status = StatusCode::from_u16(status).unwrap();
        self.answer.body = object.to_string().into();
        self.told("content-type", "application/json")
    }

    pub(super) fn refused(self, status: u16, kind: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        self.shows(status, json!({ "type": kind, "status": status }))
            .told("content-type", "application/problem+json")
    }

    pub(super) fn told(mut self, name: &'static str, value: &str) -> Self {
        self.answer.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
        self
    }

    pub(super) fn after(mut self, millis: u64) -> Self {
        self.wait = Duration::from_millis(millis);
        self
    }

    pub(super) fn on(mut self, connection: u64) -> Self {
        self.exchange.connection = connection;
        self
    }

    pub(super) fn moved(mut self, seconds: u64) -> Self {
        self.exchange.ahead = Duration::from_secs(seconds);
        self
    }

    pub(super) fn lost(mut self) -> Self {
        self.exchange.delivery = Delivery::None;
        self
    }
}

pub(super) fn order(status: &str) -> Value {
    let mut order = json!({
        "status": status,
        "identifiers": [{ "type": "dns", "value": "a.test" }],
        "authorizations": [format!("{BASE}{AUTHORIZATION}")],
        "finalize": format!("{BASE}{FINALIZE}"),
    });
    if status == "valid" {
        order["certificate"] = format!("{BASE}{CERTIFICATE}").into();
    }
    order
}

pub(super) fn jwk(key: &KeyPair) -> Value {
    let point = key.der_bytes();
    let (x, y) = (point.get(1..33).unwrap(), point.get(33..65).unwrap());
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": base64url::encode(x),
        "y": base64url::encode(y),
    })
}

/// A CSR for these names by that key, the names of it in the SAN alone.
pub(super) fn csr(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.serialize_request(key).unwrap().der().to_vec()
}

/// A CSR that has a name as its CN.
pub(super) fn csr_with_cn(key: &KeyPair, cn: &str) -> Vec<u8> {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, cn);
    parameters.serialize_request(key).unwrap().der().to_vec()
}

/// keyChange's inner JWS by that key.
pub(super) fn inner(talk: &Talk, key: &KeyPair) -> (Value, Value) {
    (
        json!({
            "alg": "ES256",
            "url": format!("{BASE}/acme/key-change"),
            "jwk": jwk(key),
        }),
        json!({ "account": format!("{BASE}{ACCOUNT}"), "oldKey": talk.jwk() }),
    )
}

/// A JWS as a value.
pub(super) fn jws(protected: &Value, payload: &Value) -> Value {
    json!({
        "protected": base64url::encode(protected.to_string().as_bytes()),
        "payload": base64url::encode(payload.to_string().as_bytes()),
        "signature": "AAAA",
    })
}
