//! A subscriber: one account, one connection, one certificate after the other, each for a name of its own by http-01.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cairn_acme::jws::{KeyRef, SigningKey, sign_request};
use cairn_acme::key::Algorithm;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::connection::{Answer, Connection, Target};
use crate::polling::Polling;
use crate::prepare::Prepared;
use crate::responder::Tokens;

/// After a failure, so that a broken subject is not hammered.
const PAUSE: Duration = Duration::from_millis(50);
/// Nonces that a subject may refuse in a row (RFC 8555 §6.5).
const NONCES_MAX: usize = 5;

/// Where a subject's resources are (RFC 8555 §7.1.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
}

/// What all clients of a run have in common.
pub(crate) struct Scene {
    pub(crate) target: Target,
    pub(crate) directory: Directory,
    pub(crate) tokens: Tokens,
    /// A new connection for each certificate.
    pub(crate) fresh_tls: bool,
    /// For authorizations and for orders.
    pub(crate) polling: [Polling; 2],
    pub(crate) work: RefCell<Box<dyn Iterator<Item = Prepared>>>,
    pub(crate) tally: Tally,
}

/// What the clients count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// When each certificate was finished, and how long it took.
    pub(crate) finished: RefCell<Vec<(Instant, Duration)>>,
    pub(crate) requests: AtomicU64,
    pub(crate) octets: Arc<AtomicU64>,
    pub(crate) failed: AtomicU64,
    pub(crate) first_failure: RefCell<Option<String>>,
}

impl Tally {
    fn fail(&self, fault: &anyhow::Error) {
        self.failed.fetch_add(1, Relaxed);
        let mut first = self.first_failure.borrow_mut();
        first.get_or_insert_with(|| format!("{fault:#}"));
    }
}

/// One client.
pub(crate) struct Client {
    scene: Rc<Scene>,
    key: SigningKey,
    thumbprint: String,
    account: Option<String>,
    connection: Option<Connection>,
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Order<'a> {
    status: &'a str,
    authorizations: Vec<&'a str>,
    finalize: &'a str,
    certificate: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Authorization<'a> {
    status: &'a str,
    challenges: Vec<Challenge<'a>>,
}

#[derive(Deserialize)]
struct Challenge<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    status: &'a str,
    url: &'a str,
    token: Option<&'a str>,
}

/// Fetches the directory.
pub(crate) async fn directory(target: &Target, url: &str) -> Result<Directory> {
    let mut connection = target.connect(&Arc::default()).await?;
    let answer = connection.send(Method::GET, url, String::new()).await?;
    serde_json::from_slice(answer.success()?).context("the directory")
}

impl Client {
    pub(crate) fn new(scene: Rc<Scene>) -> Result<Self> {
        let key = SigningKey::generate(Algorithm::ES256)?;
        let thumbprint = key.public_key().thumbprint().to_string();
        Ok(Self {
            scene,
            key,
            thumbprint,
            account: None,
            connection: None,
            nonce: None,
        })
    }

    /// Opens the account (RFC 8555 §7.3).
    pub(crate) async fn register(&mut self) -> Result<()> {
        let url = self.scene.directory.new_account.clone();
        let answer = self.post(&url, br#"{"termsOfServiceAgreed":true}"#).await?;
        answer.success()?;
        self.account = Some(
            answer
                .header("location")
                .context("newAccount without Location")?
                .to_owned(),
        );
        Ok(())
    }

    /// Obtains certificates until the work ends.
    pub(crate) async fn run(mut self) {
        loop {
            let Some(prepared) = self.scene.work.borrow_mut().next() else {
                return;
            };
            let start = Instant::now();
            match self.certificate(&prepared).await {
                Ok(()) => {
                    let now = Instant::now();
                    let took = now.duration_since(start);
                    self.scene.tally.finished.borrow_mut().push((now, took));
                }
                Err(fault) => {
                    self.scene.tally.fail(&fault);
                    self.connection = None;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if self.scene.fresh_tls {
                self.connection = None;
            }
        }
    }

    /// One certificate: with held answers five signed requests.
    async fn certificate(&mut self, prepared: &Prepared) -> Result<()> {
        let scene = Rc::clone(&self.scene);
        let placed = self
            .post(&scene.directory.new_order, prepared.order.as_bytes())
            .await?;
        let order: Order<'_> = serde_json::from_slice(placed.success()?).context("order")?;
        let order_url = placed
            .header("location")
            .context("newOrder without Location")?;
        if order.status == "pending" {
            let [authorization] = order.authorizations.as_slice() else {
                bail!("an order with one authorization")
            };
            self.authorize(authorization).await?;
        }
        let finalized = self
            .post(order.finalize, prepared.finalize.as_bytes())
            .await?;
        let certificate = self.issued(order_url, finalized).await?;
        let chain = self.post(&certificate, b"").await?;
        ensure!(
            chain.success()?.starts_with(b"-----BEGIN CERTIFICATE-----"),
            "the certificate is not PEM"
        );
        Ok(())
    }

    async fn authorize(&mut self, url: &str) -> Result<()> {
        let answer = self.post(url, b"").await?;
        let authorization: Authorization<'_> =
            serde_json::from_slice(answer.success()?).context("authorization")?;
        let challenge = authorization
            .challenges
            .iter()
            .find(|challenge| challenge.kind == "http-01");
        let challenge = challenge.context("an authorization with http-01")?;
        let token = challenge.token.context("a challenge with a token")?;
        let tokens = self.scene.tokens.clone();
        tokens.put(token, format!("{token}.{}", self.thumbprint));
        let proven = self.prove(url, challenge.url).await;
        tokens.remove(token);
        proven
    }

    /// Answers the challenge (RFC 8555 §7.5.1) and waits until the authorization is valid.
    async fn prove(&mut self, authorization: &str, challenge: &str) -> Result<()> {
        let scene = Rc::clone(&self.scene);
        let [polling, _] = &scene.polling;
        let answer = self.post(challenge, b"{}").await?;
        let answered: Challenge<'_> =
            serde_json::from_slice(answer.success()?).context("challenge")?;
        if answered.status == "valid" {
            return Ok(());
        }
        let mut wait = polling.start(answer.retry_after());
        loop {
            wait.next().await;
            let answer = self.post(authorization, b"").await?;
            let now: Authorization<'_> =
                serde_json::from_slice(answer.success()?).context("authorization")?;
            match now.status {
                "valid" => break,
                "pending" => wait.again(answer.retry_after()),
                _ => bail!("authorization: {}", String::from_utf8_lossy(&answer.body)),
            }
        }
        polling.done(&wait);
        Ok(())
    }

    /// Waits until the order has its certificate; its URL.
    async fn issued(&mut self, order_url: &str, mut answer: Answer) -> Result<String> {
        let scene = Rc::clone(&self.scene);
        let [_, polling] = &scene.polling;
        let mut wait = None;
        loop {
            let order: Order<'_> = serde_json::from_slice(answer.success()?).context("order")?;
            match (order.status, order.certificate) {
                ("valid", Some(url)) => {
                    let url = url.to_owned();
                    if let Some(wait) = wait {
                        polling.done(&wait);
                    }
                    return Ok(url);
                }
                ("processing", _) => {
                    let retry_after = answer.retry_after();
                    let wait = match &mut wait {
                        None => wait.insert(polling.start(retry_after)),
                        Some(wait) => {
                            wait.again(retry_after);
                            wait
                        }
                    };
                    wait.next().await;
                }
                _ => bail!("order: {}", String::from_utf8_lossy(&answer.body)),
            }
            answer = self.post(order_url, b"").await?;
        }
    }

    /// One signed request (RFC 8555 §6.2), again with a new nonce if that is all that was wrong, and later if the
    /// subject says so.
    async fn post(&mut self, url: &str, payload: &[u8]) -> Result<Answer> {
        for _ in 0..NONCES_MAX {
            let nonce = match self.nonce.take() {
                Some(nonce) => nonce,
                None => self.new_nonce().await?,
            };
            let key = match &self.account {
                Some(account) => KeyRef::Kid(account.clone()),
                None => KeyRef::Jwk(self.key.public_key().to_jwk()),
            };
            let body = sign_request(&self.key, key, &nonce, url, payload);
            self.scene.tally.requests.fetch_add(1, Relaxed);
            let answer = self.exchange(Method::POST, url, body).await?;
            let busy = matches!(
                answer.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            match answer.retry_after().filter(|_| busy) {
                Some(wait) => tokio::time::sleep(wait).await,
                None if is_bad_nonce(&answer) => {}
                None => return Ok(answer),
            }
        }
        bail!("{url}: refused {NONCES_MAX} times in a row")
    }

    async fn new_nonce(&mut self) -> Result<String> {
        let url = self.scene.directory.new_nonce.clone();
        self.exchange(Method::HEAD, &url, String::new()).await?;
        self.nonce.take().context("newNonce without a nonce")
    }

    async fn exchange(&mut self, method: Method, url: &str, body: String) -> Result<Answer> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.scene.target.connect(&self.scene.tally.octets).await?),
        };
        let answer = connection
            .send(method, url, body)
            .await
            .with_context(|| url.to_owned())?;
        self.nonce = answer.header("replay-nonce").map(str::to_owned);
        if answer
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
        {
            self.connection = None;
        }
        Ok(answer)
    }
}

fn is_bad_nonce(answer: &Answer) -> bool {
    const TYPE: &[u8] = b"urn:ietf:params:acme:error:badNonce";
    answer.status == StatusCode::BAD_REQUEST
        && answer.body.windows(TYPE.len()).any(|window| window == TYPE)
}
