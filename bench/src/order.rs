//! How a client obtains a certificate (RFC 8555 §7.4): one order, its challenges, finalize, download; and how it renews
//! one (RFC 9773).

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use cairn_acme::renewal::CertId;
use cairn_x509::certificate::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use crate::client::{Client, Task};
use crate::connection::Answer;
use crate::prepare::Prepared;
use crate::proofs::Method;

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
    identifier: Identifier<'a>,
    challenges: Vec<Challenge<'a>>,
}

#[derive(Deserialize)]
struct Identifier<'a> {
    value: &'a str,
}

#[derive(Deserialize)]
struct Challenge<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    status: &'a str,
    url: &'a str,
    token: Option<&'a str>,
}

impl Client {
    /// One certificate; its chain. With held answers five signed requests, and two for each further name.
    pub(crate) async fn certificate(
        &mut self,
        prepared: &Prepared,
        replaces: Option<&str>,
    ) -> Result<Bytes> {
        let scene = Rc::clone(&self.scene);
        let placed = self
            .post(
                &scene.directory.new_order,
                prepared.order(replaces).as_bytes(),
            )
            .await?;
        let order: Order<'_> = serde_json::from_slice(placed.success()?).context("order")?;
        let order_url = placed
            .header("location")
            .context("newOrder without Location")?;
        if order.status == "pending" {
            self.authorize(order_url, &order.authorizations).await?;
        }
        let finalized = self
            .post(order.finalize, prepared.finalize().as_bytes())
            .await?;
        let certificate = self.issued(order_url, finalized).await?;
        let chain = self.post(&certificate, b"").await?;
        chain.success()?;
        ensure!(
            chain.body.starts_with(b"-----BEGIN CERTIFICATE-----"),
            "the certificate is not PEM"
        );
        Ok(chain.body)
    }

    /// Obtains a certificate to be renewed later.
    pub(crate) async fn own(&mut self, prepared: &Prepared) -> Result<()> {
        let chain = self.certificate(prepared, None).await?;
        self.owned
            .push_back((prepared.names.clone(), name_of(&chain)?));
        Ok(())
    }

    /// Renews the certificate that it has had for longest, with a new key.
    pub(crate) async fn renewal(&mut self) -> Result<()> {
        let (names, id) = self.owned.pop_front().context("nothing to renew")?;
        let prepared = Prepared::of(names)?;
        self.renewal_info(&id).await?;
        let chain = self.certificate(&prepared, Some(&id)).await?;
        self.owned.push_back((prepared.names, name_of(&chain)?));
        Ok(())
    }

    /// Looks when one of these certificates is to be renewed: each turn another.
    pub(crate) async fn look(&mut self, names: &[String], turn: usize) -> Result<()> {
        let name = names
            .get(turn % names.len().max(1))
            .context("no certificate to ask for")?;
        self.renewal_info(name).await
    }

    async fn renewal_info(&mut self, id: &str) -> Result<()> {
        let scene = Rc::clone(&self.scene);
        let base = scene.directory.renewal_info.as_deref();
        let url = format!("{}/{id}", base.context("no renewalInfo")?);
        self.get(&url).await?.success().map(drop)
    }

    /// Shows control of all names: reads each authorization, answers its challenge, and waits where that was not
    /// decided at once. The proofs are there before the first challenge is answered.
    async fn authorize(&mut self, order_url: &str, authorizations: &[&str]) -> Result<()> {
        let scene = Rc::clone(&self.scene);
        let method = match scene.task {
            Task::Obtain(method) => method,
            // Once for each name; what is renewed is still authorized.
            Task::Renew | Task::Look(_) => Method::Http01,
        };
        let mut proofs = Vec::with_capacity(authorizations.len());
        let mut challenges = Vec::with_capacity(authorizations.len());
        for url in authorizations {
            let answer = self.post(url, b"").await?;
            let authorization: Authorization<'_> =
                serde_json::from_slice(answer.success()?).context("authorization")?;
            let challenge = wanted(&authorization, method)?;
            let token = challenge.token.context("a challenge with a token")?;
            let name = authorization.identifier.value;
            proofs.push(scene.proofs.show(method, name, token, &self.thumbprint));
            challenges.push((*url, challenge.url.to_owned()));
        }
        let mut open = Vec::new();
        for (authorization, challenge) in &challenges {
            let answer = self.post(challenge, b"{}").await?;
            let answered: Challenge<'_> =
                serde_json::from_slice(answer.success()?).context("challenge")?;
            scene.tally.proven.fetch_add(1, Relaxed);
            if answered.status != "valid" {
                open.push((*authorization, answer));
            }
        }
        // The last of many was held until it was decided; then most often all are.
        if open.len() > 1 && self.is_ready(order_url).await? {
            return Ok(());
        }
        // What the first is told to wait, the others have waited then.
        let mut retry_after = open.first().and_then(|(_, answer)| answer.retry_after());
        for (authorization, _) in open {
            self.decided(authorization, retry_after).await?;
            retry_after = Some(Duration::ZERO);
        }
        Ok(())
    }

    async fn is_ready(&mut self, order_url: &str) -> Result<bool> {
        let answer = self.post(order_url, b"").await?;
        let order: Order<'_> = serde_json::from_slice(answer.success()?).context("order")?;
        Ok(order.status == "ready")
    }

    /// Waits until the authorization is valid (RFC 8555 §7.5.1).
    async fn decided(&mut self, authorization: &str, after: Option<Duration>) -> Result<()> {
        let scene = Rc::clone(&self.scene);
        let [polling, _] = &scene.polling;
        let mut wait = polling.start(after);
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
}

fn wanted<'a>(authorization: &Authorization<'a>, method: Method) -> Result<Challenge<'a>> {
    let kind = method.to_string();
    authorization
        .challenges
        .iter()
        .find(|challenge| challenge.kind == kind)
        .map(|challenge| Challenge { ..*challenge })
        .with_context(|| format!("an authorization without {kind}"))
}

/// What RFC 9773 calls the first certificate of a chain.
fn name_of(chain: &[u8]) -> Result<String> {
    let mut certificates = CertificateDer::pem_slice_iter(chain);
    let mut next = || {
        let der = certificates.next().context("a chain of two")??;
        Ok::<_, anyhow::Error>(Certificate::parse(&der)?)
    };
    let (leaf, issuer) = (next()?, next()?);
    Ok(CertId::new(issuer.key_id(), leaf.serial())?.to_string())
}
