//! A raw ACME client over the wire, with every part open to a test's alterations.
//!
//! It shares no code with the server. [`Client::post`] and the helpers above it do what a good
//! client does (a fresh nonce each, `badNonce` tried again); [`Client::send`] does what it is
//! told.

mod draft;
mod external;
mod key;
mod transport;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};

pub use draft::Draft;
pub use external::secret;
pub use key::{Key, encode};
pub use transport::Response;

use crate::http::Responder;
use crate::issued;
use transport::Transport;

/// How long [`Client::poll`] asks.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one directory with one key; clones share connections, nonces and account.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<Transport>,
    nonces: Arc<Mutex<Vec<String>>>,
    /// The directory object.
    pub directory: Value,
    /// The account key.
    pub key: Arc<Key>,
    /// The account's URL, once there is one.
    pub kid: Option<String>,
    /// Whether what it gets is kept for the judges.
    kept: bool,
}

/// What [`Client::obtain`] got.
#[derive(Debug, Clone)]
pub struct Obtained {
    /// The order's URL.
    pub order: String,
    /// The certificate's URL.
    pub certificate: String,
    /// The chain as sent, PEM.
    pub chain: String,
    /// The private key, PKCS#8 PEM.
    pub key: String,
}

impl Obtained {
    /// The certificate itself, DER.
    ///
    /// # Panics
    /// If the chain is none.
    pub fn leaf(&self) -> Vec<u8> {
        issued::leaf(&self.chain)
    }
}

impl Client {
    /// Fetches the directory, trusting this root alone; with a new ES256 key, no account yet.
    ///
    /// # Panics
    /// If there is no directory.
    pub async fn connect(directory: &str, root_pem: &str) -> Self {
        Self::over(Transport::new(root_pem), directory).await
    }

    /// The same with connections from this address of the host.
    pub async fn connect_from(directory: &str, root_pem: &str, from: impl Into<IpAddr>) -> Self {
        Self::over(
            Transport::from_address(root_pem, Some(from.into())),
            directory,
        )
        .await
    }

    async fn over(transport: Transport, directory: &str) -> Self {
        let transport = Arc::new(transport);
        let found = transport.send("GET", directory, &[], Vec::new()).await;
        let directory = found.expect("the directory").expect(200).json();
        let key = Arc::new(Key::es256());
        Self {
            transport,
            nonces: Arc::default(),
            directory,
            key,
            kid: None,
            kept: true,
        }
    }

    /// The same client of a CA that is not ours to judge.
    #[must_use]
    pub fn unjudged(self) -> Self {
        Self {
            kept: false,
            ..self
        }
    }

    /// The same server with another key and without an account.
    #[must_use]
    pub fn with_key(&self, key: Key) -> Self {
        Self {
            key: Arc::new(key),
            kid: None,
            ..self.clone()
        }
    }

    /// The same client over connections of its own.
    #[must_use]
    pub fn apart(&self, root_pem: &str) -> Self {
        Self {
            transport: Arc::new(Transport::new(root_pem)),
            ..self.clone()
        }
    }

    /// The same client over connections of its own that come from this address of the host.
    #[must_use]
    pub fn apart_from(&self, root_pem: &str, from: impl Into<IpAddr>) -> Self {
        Self {
            transport: Arc::new(Transport::from_address(root_pem, Some(from.into()))),
            ..self.clone()
        }
    }

    /// A HEAD whose nonce is not kept for later.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn head_quietly(&self, url: &str) -> std::io::Result<Response> {
        self.transport.send("HEAD", url, &[], Vec::new()).await
    }

    /// Any request without an envelope, with these headers.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn plain_with(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
    ) -> std::io::Result<Response> {
        let answer = self.transport.send(method, url, headers, Vec::new()).await;
        Ok(self.note(answer?))
    }

    /// The URL of a directory member.
    ///
    /// # Panics
    /// If there is none.
    pub fn url(&self, member: &str) -> String {
        self.directory[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}"))
            .to_owned()
    }

    /// Any request without an envelope.
    pub async fn plain(&self, method: &str, url: &str) -> Response {
        let answer = self.transport.send(method, url, &[], Vec::new()).await;
        self.note(answer.unwrap_or_else(|error| panic!("{method} {url}: {error}")))
    }

    /// A fresh nonce: one from an earlier answer, else a new one.
    ///
    /// # Panics
    /// If the server gives none.
    pub async fn nonce(&self) -> String {
        self.try_nonce().await.expect("a nonce")
    }

    /// A fresh nonce: one from an earlier answer, else a new one.
    ///
    /// # Errors
    /// If the server gives none, such as when it dies.
    pub async fn try_nonce(&self) -> std::io::Result<String> {
        let kept = self
            .nonces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(nonce) = kept {
            return Ok(nonce);
        }
        let url = self.url("newNonce");
        let answer = self.transport.send("HEAD", &url, &[], Vec::new()).await?;
        let nonce = answer.header("replay-nonce").map(str::to_owned);
        nonce.ok_or_else(|| std::io::Error::other(format!("no nonce: {}", answer.status)))
    }

    /// A correct request, to alter and [`send`](Self::send).
    pub async fn draft(&self, url: &str, payload: &Value) -> Draft<'_> {
        self.draft_bytes(url, payload.to_string().into_bytes())
            .await
    }

    /// The same with the payload's bytes; none for POST-as-GET.
    pub async fn draft_bytes(&self, url: &str, payload: Vec<u8>) -> Draft<'_> {
        Draft::new(
            url,
            &self.key,
            self.kid.as_deref(),
            &self.nonce().await,
            payload,
        )
    }

    /// As [`draft_bytes`](Self::draft_bytes).
    ///
    /// # Errors
    /// If there is no nonce to be had, such as when the server dies.
    pub async fn try_draft_bytes(&self, url: &str, payload: Vec<u8>) -> std::io::Result<Draft<'_>> {
        let nonce = self.try_nonce().await?;
        Ok(Draft::new(
            url,
            &self.key,
            self.kid.as_deref(),
            &nonce,
            payload,
        ))
    }

    /// keyChange's inner JWS (RFC 8555 §7.3.5), right in every part: the payload of the request to `keyChange`.
    pub fn key_change<'k>(&self, new: &'k Key) -> Draft<'k> {
        let old: Value = serde_json::from_str(self.key.jwk()).unwrap_or_default();
        let payload = json!({ "account": self.kid, "oldKey": old });
        let url = self.url("keyChange");
        let mut inner = Draft::new(&url, new, None, "", payload.to_string().into_bytes());
        inner.unprotect("nonce");
        inner
    }

    /// Sends a draft as it is, once.
    ///
    /// # Panics
    /// If there is no answer; see [`try_send`](Self::try_send).
    pub async fn send(&self, draft: &Draft<'_>) -> Response {
        let answer = self.try_send(draft).await;
        answer.unwrap_or_else(|error| panic!("{} {}: {error}", draft.method, draft.target))
    }

    /// Sends a draft as it is, once.
    ///
    /// # Errors
    /// If there is no answer, such as when the server dies.
    pub async fn try_send(&self, draft: &Draft<'_>) -> std::io::Result<Response> {
        let sent = self
            .transport
            .send(&draft.method, &draft.target, &draft.headers, draft.body());
        Ok(self.note(sent.await?))
    }

    /// POST; tried again while the server refuses the nonce, ten times in all.
    pub async fn post(&self, url: &str, payload: &Value) -> Response {
        self.post_bytes(url, payload.to_string().into_bytes()).await
    }

    /// POST-as-GET.
    pub async fn fetch(&self, url: &str) -> Response {
        self.post_bytes(url, Vec::new()).await
    }

    async fn post_bytes(&self, url: &str, payload: Vec<u8>) -> Response {
        let mut answer = self
            .send(&self.draft_bytes(url, payload.clone()).await)
            .await;
        for _ in 1..10 {
            if answer.problem() != "badNonce" {
                break;
            }
            answer = self
                .send(&self.draft_bytes(url, payload.clone()).await)
                .await;
        }
        answer
    }

    /// Creates (or finds) the account and uses it from now on.
    pub async fn new_account(&mut self) -> Response {
        self.new_account_with(json!({ "termsOfServiceAgreed": true }))
            .await
    }

    /// The same with a payload of the test's own; the account is used if the answer is good.
    pub async fn new_account_with(&mut self, payload: Value) -> Response {
        self.kid = None;
        let answer = self.post(&self.url("newAccount"), &payload).await;
        if answer.status < 300 {
            self.kid = Some(answer.location());
        }
        answer
    }

    /// Places an order for DNS names.
    pub async fn new_order(&self, names: &[&str]) -> Response {
        let dns = |name: &&str| json!({ "type": "dns", "value": name });
        let identifiers: Vec<_> = names.iter().map(dns).collect();
        self.post(
            &self.url("newOrder"),
            &json!({ "identifiers": identifiers }),
        )
        .await
    }

    /// Places an order for identifiers of these types and values.
    pub async fn new_order_of(&self, identifiers: &[(&str, &str)]) -> Response {
        let object = |(kind, value): &(&str, &str)| json!({ "type": kind, "value": value });
        let identifiers: Vec<_> = identifiers.iter().map(object).collect();
        self.post(
            &self.url("newOrder"),
            &json!({ "identifiers": identifiers }),
        )
        .await
    }

    /// The challenge of this type of an authorization.
    ///
    /// # Panics
    /// If it is not offered.
    pub async fn challenge(&self, authorization: &str, kind: &str) -> Challenge {
        let object = self.fetch(authorization).await.expect(200).json();
        let offered = object["challenges"].as_array().expect("challenges");
        let found = offered.iter().find(|challenge| challenge["type"] == kind);
        let found = found.unwrap_or_else(|| panic!("no {kind}: {object}"));
        let token = found["token"].as_str().expect("a token").to_owned();
        Challenge {
            url: found["url"].as_str().expect("a URL").to_owned(),
            key_authorization: self.key.authorization(&token),
            identifier: object["identifier"]["value"]
                .as_str()
                .expect("an identifier")
                .to_owned(),
            token,
        }
    }

    /// Puts the key authorization of the challenge of this type where the responder serves it,
    /// and answers the challenge; `None` if the authorization needs no answer.
    pub async fn answer(&self, authorization: &str, responder: &Responder) -> Option<Response> {
        let object = self.fetch(authorization).await.expect(200).json();
        if object["status"] != "pending" {
            return None;
        }
        let challenges = object["challenges"].as_array().expect("challenges");
        let challenge = challenges
            .iter()
            .find(|challenge| challenge["type"] == "http-01");
        let challenge = challenge.expect("an http-01 challenge");
        let token = challenge["token"].as_str().expect("a token");
        responder.token(token, &self.key.authorization(token));
        Some(
            self.post(challenge["url"].as_str().expect("a URL"), &json!({}))
                .await,
        )
    }

    /// Asks until the object's status is none of `while_`.
    ///
    /// # Panics
    /// After half a minute.
    pub async fn poll(&self, url: &str, while_: &[&str]) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let object = self.fetch(url).await.expect(200).json();
            let status = object["status"].as_str().unwrap_or_default();
            if !while_.contains(&status) {
                return object;
            }
            assert!(Instant::now() < end, "{url} is still {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a CSR to an order's finalize URL.
    pub async fn finalize(&self, order: &Value, csr: &[u8]) -> Response {
        let url = order["finalize"].as_str().expect("a finalize URL");
        self.post(url, &json!({ "csr": encode(csr) })).await
    }

    /// The whole way: order, challenges through the responder, finalize, download.
    ///
    /// # Panics
    /// Where anything is refused.
    pub async fn obtain(&self, names: &[&str], responder: &Responder) -> Obtained {
        let placed = self.new_order(names).await.expect(201);
        let (url, order) = (placed.location(), placed.json());
        for authorization in order["authorizations"].as_array().expect("authorizations") {
            let authorization = authorization.as_str().expect("a URL");
            if let Some(answer) = self.answer(authorization, responder).await {
                answer.expect(200);
            }
        }
        let order = match order["status"].as_str() {
            Some("ready") => order,
            _ => self.poll(&url, &["pending"]).await,
        };
        self.collect(&url, order, names).await
    }

    /// From an order that is ready to its certificate.
    ///
    /// # Panics
    /// Where anything is refused.
    pub async fn collect(&self, url: &str, mut order: Value, names: &[&str]) -> Obtained {
        assert_eq!(order["status"], "ready", "{order}");
        let (csr, key) = csr(names);
        let done = self.finalize(&order, &csr).await.expect(200).json();
        order = match done["status"].as_str() {
            Some("valid") => done,
            _ => self.poll(url, &["processing"]).await,
        };
        assert_eq!(order["status"], "valid", "{order}");
        let certificate = order["certificate"]
            .as_str()
            .expect("a certificate's URL")
            .to_owned();
        let chain = self.fetch(&certificate).await.expect(200).text();
        Obtained {
            order: url.to_owned(),
            certificate,
            chain,
            key,
        }
    }

    /// Keeps the nonce of an answer, and for the judges what was issued.
    fn note(&self, answer: Response) -> Response {
        if let Some(nonce) = answer.header("replay-nonce") {
            let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            nonces.push(nonce.to_owned());
        }
        if self.kept && answer.status == 200 {
            match answer.header("content-type") {
                Some("application/pem-certificate-chain") => issued::keep_chain(&answer.text()),
                Some("application/pkix-crl") => issued::keep_crl(&answer.body),
                _ => {}
            }
        }
        answer
    }
}

/// A challenge with all that its answer is made of.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Where it is answered.
    pub url: String,
    /// Its token.
    pub token: String,
    /// What http-01 serves.
    pub key_authorization: String,
    /// The value of its authorization's identifier.
    pub identifier: String,
}

impl Challenge {
    /// What dns-01 has in its TXT record.
    pub fn txt_value(&self) -> String {
        txt_value(&self.key_authorization)
    }
}

/// What dns-01 has in its TXT record for a key authorization.
pub fn txt_value(key_authorization: &str) -> String {
    encode(digest::digest(&digest::SHA256, key_authorization.as_bytes()).as_ref())
}

/// A CSR for these names by a new P-256 key, without a common name: DER, and the key as PEM.
pub fn csr(names: &[&str]) -> (Vec<u8>, String) {
    let key = KeyPair::generate().expect("a key");
    (csr_by(&key, names), key.serialize_pem())
}

/// The same by an ES256 key that also signs requests.
pub fn csr_for(key: &Key, names: &[&str]) -> Vec<u8> {
    csr_by(&key.for_a_csr(), names)
}

fn csr_by(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.distinguished_name = DistinguishedName::new();
    let csr = parameters.serialize_request(key).expect("a CSR");
    csr.der().to_vec()
}
