//! One subscriber: orders, authorizations before any order, revocations, changes of the key. It stops at the first
//! request without an answer.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cairn_testkit::{
    acme::{Client, Key, Response, csr, encode},
    http::Responder,
    issued,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::told::{Keys, Told};

/// How long a running server may turn a client away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests answered since the last restart, and the number at which the server is killed.
#[derive(Debug, Default)]
pub(super) struct Fuse {
    answered: AtomicU64,
    pub(super) burns_at: AtomicU64,
    pub(super) burnt: Notify,
}

impl Fuse {
    fn answered(&self) {
        if self.answered.fetch_add(1, Ordering::SeqCst) + 1 == self.burns_at.load(Ordering::SeqCst)
        {
            self.burnt.notify_one();
        }
    }
}

pub(super) struct Subscriber {
    pub(super) number: usize,
    pub(super) client: Client,
    pub(super) told: Arc<Mutex<Told>>,
    pub(super) fuse: Arc<Fuse>,
    pub(super) web: Arc<Responder>,
}

impl Subscriber {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // Another subscriber's failure is told by its own panic.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, url: &str, payload: Option<Value>) -> Option<Response> {
        let bytes = payload.map_or_else(Vec::new, |p| p.to_string().into_bytes());
        self.ask_bytes(url, bytes).await
    }

    async fn ask_bytes(&self, url: &str, bytes: Vec<u8>) -> Option<Response> {
        let end = Instant::now() + PATIENCE;
        loop {
            let draft = self.client.try_draft_bytes(url, bytes.clone()).await.ok()?;
            let answer = self.client.try_send(&draft).await.ok()?;
            self.fuse.answered();
            match (answer.status, answer.problem().as_str()) {
                (_, "badNonce") => {}
                (503, _) => {
                    assert!(Instant::now() < end, "{url}: {}", answer.text());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => return Some(answer),
            }
        }
    }

    /// One turn of its work, which turn says what else than an order there is.
    pub(super) async fn turn(&mut self, turn: usize, name: &str) -> Option<()> {
        if turn.is_multiple_of(4) {
            self.change_key().await?;
        }
        if turn % 3 == 1 {
            self.authorize_before(name).await?;
        }
        let certificate = self.order(name).await?;
        if turn % 3 == 2 {
            self.revoke(&certificate).await?;
        }
        Some(())
    }

    /// The certificate's URL.
    async fn order(&self, name: &str) -> Option<String> {
        let new_order = self.client.url("newOrder");
        let wanted = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        let placed = self.ask(&new_order, Some(wanted)).await?.expect(201);
        let url = placed.location();
        self.note(&url, &placed.json());
        let ended = self.finish(&url).await?;
        assert_eq!(ended["status"], "valid", "{url}: {ended}");
        Some(ended["certificate"].as_str()?.to_owned())
    }

    fn note(&self, url: &str, order: &Value) {
        self.told().order(self.number, url, order);
    }

    async fn read(&self, url: &str) -> Option<Value> {
        let order = self.ask(url, None).await?.expect(200).json();
        self.note(url, &order);
        Some(order)
    }

    /// From wherever an order is to its end, and its certificate.
    async fn finish(&self, url: &str) -> Option<Value> {
        let mut order = self.read(url).await?;
        let name = order["identifiers"][0]["value"]
            .as_str()
            .unwrap()
            .to_owned();
        loop {
            match order["status"].as_str().unwrap() {
                "pending" => {
                    for authorization in order["authorizations"].as_array().unwrap() {
                        self.authorize(authorization.as_str().unwrap()).await?;
                    }
                }
                "ready" => {
                    let (der, _) = csr(&[&name]);
                    let finalize = order["finalize"].as_str().unwrap();
                    let answer = self.ask(finalize, Some(json!({ "csr": encode(&der) })));
                    self.note(url, &answer.await?.expect(200).json());
                }
                "processing" => {}
                "valid" => break,
                _ => return Some(order),
            }
            order = self.read(url).await?;
        }
        let certificate = order["certificate"].as_str().unwrap();
        let chain = self.ask(certificate, None).await?.expect(200).text();
        self.told().certificate(self.number, certificate, chain);
        Some(order)
    }

    /// newAuthz; the order that follows finds the name authorized.
    async fn authorize_before(&self, name: &str) -> Option<()> {
        let wanted = json!({ "identifier": { "type": "dns", "value": name } });
        let new_authz = self.client.url("newAuthz");
        let made = self.ask(&new_authz, Some(wanted)).await?.expect(201);
        self.told().new_authorizations += 1;
        self.authorize(&made.location()).await
    }

    /// Answers the challenge, and asks until the authorization has ended.
    async fn authorize(&self, url: &str) -> Option<()> {
        let object = self.ask(url, None).await?.expect(200).json();
        let challenges = object["challenges"].as_array().unwrap();
        let challenge = challenges.iter().find(|c| c["type"] == "http-01").unwrap();
        let token = challenge["token"].as_str().unwrap();
        self.web.token(token, &self.client.key.authorization(token));
        if object["status"] == "pending" {
            self.ask(challenge["url"].as_str().unwrap(), Some(json!({})))
                .await?
                .expect(200);
        }
        loop {
            let object = self.ask(url, None).await?.expect(200).json();
            if object["status"] != "pending" {
                self.told().authorization(self.number, url, &object);
                break;
            }
        }
        self.web.remove_token(token);
        Some(())
    }

    async fn revoke(&self, certificate: &str) -> Option<()> {
        let leaf = issued::leaf(&self.told().certificates[certificate].1);
        let payload = json!({ "certificate": encode(&leaf), "reason": 4 });
        self.told().revocation(self.number, certificate, false);
        let url = self.client.url("revokeCert");
        let answer = self.ask(&url, Some(payload)).await?;
        // Asked again after a kill that took the first answer.
        if answer.status != 200 {
            assert_eq!(answer.problem(), "alreadyRevoked", "{}", answer.text());
        }
        self.told().revocation(self.number, certificate, true);
        Some(())
    }

    async fn change_key(&mut self) -> Option<()> {
        let new = Arc::new(Key::es256());
        let keys = |wanted| Keys {
            current: Arc::clone(&self.client.key),
            wanted,
        };
        let tried = keys(Some(Arc::clone(&new)));
        self.told().keys.insert(self.number, tried);
        let inner = self.client.key_change(&new).body();
        self.ask_bytes(&self.client.url("keyChange"), inner)
            .await?
            .expect(200);
        let old = std::mem::replace(&mut self.client.key, new);
        self.told().key_changes += 1;
        self.note_key();
        // The old one is nobody's now.
        let mut stranger = self.client.clone();
        stranger.key = old;
        let account = stranger.kid.clone()?;
        let draft = stranger.try_draft_bytes(&account, Vec::new()).await.ok()?;
        let answer = stranger.try_send(&draft).await.ok()?;
        assert!(answer.status >= 400, "the old key still signs");
        Some(())
    }

    fn note_key(&self) {
        let current = Arc::clone(&self.client.key);
        let keys = Keys {
            current,
            wanted: None,
        };
        self.told().keys.insert(self.number, keys);
    }

    /// Takes up the account's key: a change that was asked for happened wholly or not at all.
    async fn take_up_key(&mut self) {
        let Some((current, wanted)) = self
            .told()
            .keys
            .get(&self.number)
            .map(|keys| (Arc::clone(&keys.current), keys.wanted.clone()))
        else {
            return;
        };
        self.client.key = current;
        if let Some(wanted) = wanted {
            let mut changed = self.client.clone();
            changed.key = wanted;
            let account = changed.kid.clone().unwrap();
            let held = |status| status == 200;
            let (new, old) = (
                held(changed.fetch(&account).await.status),
                held(self.client.fetch(&account).await.status),
            );
            assert!(new != old, "{account}: new key {new}, old key {old}");
            if new {
                self.client = changed;
            }
        }
        self.note_key();
    }

    /// Everything acknowledged since the last kill is as it was, or further; then every order is brought to its end.
    pub(super) async fn compare(&mut self) {
        self.take_up_key().await;
        let (orders, authorizations, certificates, revocations) = {
            let told = self.told();
            (
                told.fresh_of(&told.orders, self.number),
                told.fresh_of(&told.authorizations, self.number),
                told.fresh_of(&told.certificates, self.number),
                told.fresh_of(&told.revocations, self.number),
            )
        };
        let read = async |url: &str| {
            let answer = self.ask(url, None).await;
            answer.unwrap_or_else(|| panic!("{url}: no answer of a running server"))
        };
        for url in certificates {
            let chain = read(&url).await.expect(200).text();
            self.told().certificate(self.number, &url, chain);
        }
        for url in authorizations {
            let object = read(&url).await.expect(200).json();
            self.told().authorization(self.number, &url, &object);
        }
        for url in orders {
            let ended = self.finish(&url).await;
            ended.unwrap_or_else(|| panic!("{url}: no answer of a running server"));
        }
        for url in revocations {
            let acknowledged = self.told().revocations[&url].1;
            let leaf = issued::leaf(&self.told().certificates[&url].1);
            let payload = json!({ "certificate": encode(&leaf) });
            let again = self
                .ask(&self.client.url("revokeCert"), Some(payload))
                .await;
            let again = again.unwrap_or_else(|| panic!("{url}: no answer of a running server"));
            match (acknowledged, again.status) {
                (false, 200) => {}
                _ => assert_eq!(again.problem(), "alreadyRevoked", "{url}: {}", again.text()),
            }
            self.told().revocation(self.number, &url, true);
        }
    }
}
