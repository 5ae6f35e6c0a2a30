//! A subscriber: one account, one connection, one piece of work after the other. How a certificate is obtained is
//! `order`'s.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cairn_acme::jws::{KeyRef, SigningKey, sign_request};
use cairn_acme::key::Algorithm;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::connection::{Answer, Connection, Target};
use crate::polling::Polling;
use crate::prepare::Prepared;
use crate::proofs::{Method as Challenge, Proofs};

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
    pub(crate) new_order: String,
    /// RFC 9773; Cairn alone is asked.
    pub(crate) renewal_info: Option<String>,
}

/// What the clients do over and over.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Obtain certificates by this challenge.
    Obtain(Challenge),
    /// Renew what they have: look when, and replace it.
    Renew,
    /// Only look when to renew: these certificates, by the names that RFC 9773 gives them.
    Look(Rc<Vec<String>>),
}

/// What all clients of a run have in common.
pub(crate) struct Scene {
    pub(crate) target: Target,
    pub(crate) directory: Directory,
    pub(crate) proofs: Proofs,
    pub(crate) task: Task,
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
    /// When each piece of work was finished, and how long it took.
    pub(crate) finished: RefCell<Vec<(Instant, Duration)>>,
    /// The same of each signed request.
    pub(crate) answered: RefCell<Vec<(Instant, Duration)>>,
    pub(crate) requests: AtomicU64,
    /// Names whose challenge was answered.
    pub(crate) proven: AtomicU64,
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
    pub(crate) scene: Rc<Scene>,
    key: SigningKey,
    pub(crate) thumbprint: String,
    account: Option<String>,
    connection: Option<Connection>,
    nonce: Option<String>,
    /// Names of certificates that it has and will renew, and what RFC 9773 calls these.
    pub(crate) owned: VecDeque<(Vec<String>, String)>,
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
            owned: VecDeque::new(),
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

    /// Works until there is no more to do.
    pub(crate) async fn run(mut self) {
        let scene = Rc::clone(&self.scene);
        let mut turn = 0;
        loop {
            let prepared = match scene.task {
                Task::Obtain(_) => match scene.work.borrow_mut().next() {
                    Some(prepared) => Some(prepared),
                    None => return,
                },
                Task::Renew | Task::Look(_) => None,
            };
            let start = Instant::now();
            let done = match (&scene.task, &prepared) {
                (Task::Look(names), _) => {
                    turn += 1;
                    self.look(names, turn).await
                }
                (_, Some(prepared)) => self.certificate(prepared, None).await.map(drop),
                (_, None) => self.renewal().await,
            };
            match done {
                Ok(()) => {
                    let now = Instant::now();
                    let took = now.duration_since(start);
                    scene.tally.finished.borrow_mut().push((now, took));
                }
                Err(fault) => {
                    scene.tally.fail(&fault);
                    self.connection = None;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if scene.fresh_tls {
                self.connection = None;
            }
        }
    }

    /// Reads a resource that needs no signature.
    pub(crate) async fn get(&mut self, url: &str) -> Result<Answer> {
        self.exchange(Method::GET, url, String::new()).await
    }

    /// One signed request (RFC 8555 §6.2), again with a new nonce if that is all that was wrong, and later if the
    /// subject says so.
    pub(crate) async fn post(&mut self, url: &str, payload: &[u8]) -> Result<Answer> {
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
            let start = Instant::now();
            let answer = self.exchange(Method::POST, url, body).await?;
            let now = Instant::now();
            let took = now.duration_since(start);
            self.scene.tally.answered.borrow_mut().push((now, took));
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
