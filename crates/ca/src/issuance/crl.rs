//! CRLs (RFC 5280 §5): a signed one for each shard, by schedule and soon after a revocation, with numbers that never go
//! back. A number is reserved before it is used and the CRL is stored before it is published; one that cannot be written
//! leaves the old in place, and readiness says so long before that one ends.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cairn_acme::{problem::Problem, time::Timestamp};
use cairn_x509::{
    certificate::Serial,
    crl::{Crl, CrlTemplate, Entry},
    lint::lint_crl,
};
use tracing::{error, info, warn};

use super::{
    crl_copy,
    issuer::Issuer,
    issuers::Signing,
    signer::{Signable, SignerFault},
};
use crate::{
    id::IssuerId,
    model::{RevocationReason, StoredCrl},
    node::Ca,
    store::{PutCrl, ReserveCrlNumber, StoreError, TxError},
};

/// How long a CRL's signature may take.
const SIGN_DEADLINE: Duration = Duration::from_secs(30);

/// thisUpdate lies this far back, for relying parties whose clocks are slow.
const BACKDATE: Duration = Duration::from_secs(60);

/// A shard that could not be renewed for this long is a fault of the node: a revocation is promised to be listed within it.
const PROMISE: Duration = Duration::from_secs(60);

/// Why a shard has no new CRL.
#[derive(Debug, thiserror::Error)]
pub enum CrlFault {
    /// Nothing is signed now.
    #[error("{}", .0.detail)]
    Stopped(Problem),
    /// The store's.
    #[error(transparent)]
    Store(#[from] TxError),
    /// The signer's.
    #[error(transparent)]
    Signer(#[from] SignerFault),
    /// What would be published is no CRL to be proud of.
    #[error("the CRL would not be fit: {0}")]
    Unfit(String),
}

impl From<StoreError> for CrlFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// A shard that waits for its CRL.
#[derive(Debug, Clone)]
struct Overdue {
    /// By the monotonic clock.
    since: Duration,
    why: String,
}

/// One shard's new CRL, or why there is none.
#[derive(Debug)]
pub struct Published {
    /// Whose.
    pub issuer: IssuerId,
    /// Which shard.
    pub shard: u32,
    /// The CRL's number.
    pub number: Result<u64, CrlFault>,
}

/// Which shards a pass is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Those that are due, and those with revocations to list whose last CRL has rested.
    Scheduled,
    /// Also those whose last CRL is young.
    AtOnce,
}

/// Signs and publishes CRLs.
#[derive(Debug)]
pub struct CrlPublisher {
    /// One pass at a time.
    turn: tokio::sync::Mutex<()>,
    overdue: Mutex<BTreeMap<(IssuerId, u32), Overdue>>,
    /// Where a copy of each published CRL is kept, for a restore.
    copies: PathBuf,
}

impl CrlPublisher {
    /// Keeps copies there.
    #[must_use]
    pub fn new(copies: PathBuf) -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            overdue: Mutex::default(),
            copies,
        }
    }

    /// Publishes what the store holds, then signs what is due.
    pub async fn start(ca: &Arc<Ca>) {
        match ca.store.crls().await {
            Ok(stored) => {
                let now = ca.clock.wall();
                for crl in stored {
                    if ca.issuance.issuers().with_id(crl.issuer).is_some() {
                        ca.crls.put_crl(&crl);
                    } else if now < crl.next_update {
                        let (issuer, end) = (crl.issuer, crl.next_update);
                        warn!(%issuer, shard = crl.shard, %end, "an issuer is configured no more: nobody renews its CRL, which is served until it ends");
                        ca.crls.put_crl(&crl);
                    }
                }
            }
            Err(error) => error!(%error, "stored CRLs could not be read"),
        }
        Self::pass(ca, Pass::Scheduled).await;
    }

    /// Looks at the schedule and for revocations for ever.
    pub async fn run(ca: Arc<Ca>) {
        loop {
            tokio::time::sleep(ca.timing.crl).await;
            Self::pass(&ca, Pass::Scheduled).await;
        }
    }

    /// Lists at once what was revoked and is on no CRL yet. A shard that has nothing new is left as it is.
    pub async fn publish_now(ca: &Arc<Ca>) -> Vec<Published> {
        Self::pass(ca, Pass::AtOnce).await
    }

    /// Shards that wait for their CRL longer than is promised, with the reason.
    #[must_use]
    pub fn overdue(&self, monotonic: Duration) -> Vec<((IssuerId, u32), String)> {
        let overdue = self.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        overdue
            .iter()
            .filter(|(_, o)| monotonic.saturating_sub(o.since) >= PROMISE)
            .map(|(which, o)| (*which, o.why.clone()))
            .collect()
    }

    async fn pass(ca: &Arc<Ca>, pass: Pass) -> Vec<Published> {
        let _turn = ca.publisher.turn.lock().await;
        let mut published = Vec::new();
        let now = ca.clock.wall().as_seconds();
        for signing in ca.issuance.issuers().iter() {
            // All that it signed has ended with it, and nobody asks for its list.
            if signing.issuer.certificate.not_after() < now
                && signing.is_retired(&ca.snapshot.load())
            {
                continue;
            }
            published.extend(Self::pass_of(ca, signing, pass).await);
        }
        published
    }

    async fn pass_of(ca: &Arc<Ca>, signing: &Signing, pass: Pass) -> Vec<Published> {
        let issuer = &signing.issuer;
        let every: Duration = ca.snapshot.load().config.crl.every.into();
        let states = match ca.store.crl_shards(issuer.id, issuer.crl_shards).await {
            Ok(states) => states,
            Err(error) => {
                error!(issuer = %issuer.id, %error, "it is not known which CRLs are due; they stay as they are");
                for shard in 0..issuer.crl_shards {
                    ca.publisher.failed(ca, (issuer.id, shard), &error);
                }
                return Vec::new();
            }
        };
        let mut published = Vec::new();
        for state in states {
            let now = ca.clock.wall();
            let regular = is_due(state.signed_at.map(|(_, regular)| regular), every, now);
            // A burst of revocations shares CRLs: each rests a little before the next.
            let rested = is_due(
                state.signed_at.map(|(last, _)| last),
                ca.timing.crl_rest,
                now,
            );
            if !regular && !(state.behind && (rested || pass == Pass::AtOnce)) {
                continue;
            }
            let number = Self::publish(ca, signing, state.shard, regular).await;
            match &number {
                Ok(number) => {
                    ca.publisher.lock().remove(&(issuer.id, state.shard));
                    info!(issuer = %issuer.id, shard = state.shard, number, "crl signed");
                }
                Err(error) => {
                    ca.metrics.crl_failed();
                    ca.publisher.failed(ca, (issuer.id, state.shard), error);
                    error!(issuer = %issuer.id, shard = state.shard, %error, "no new CRL; the one before stays published");
                }
            }
            published.push(Published {
                issuer: issuer.id,
                shard: state.shard,
                number,
            });
        }
        published
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(IssuerId, u32), Overdue>> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, ca: &Ca, which: (IssuerId, u32), why: &dyn std::fmt::Display) {
        let why = why.to_string();
        let since = ca.clock.monotonic();
        self.lock()
            .entry(which)
            .and_modify(|o| o.why.clone_from(&why))
            .or_insert(Overdue { since, why });
    }

    async fn publish(
        ca: &Arc<Ca>,
        signing: &Signing,
        shard: u32,
        regular: bool,
    ) -> Result<u64, CrlFault> {
        let issuer = &signing.issuer;
        let now = ca
            .issuance
            .clocks_agree(ca, issuer)
            .map_err(CrlFault::Stopped)?;
        let number = ca
            .store
            .transact(ReserveCrlNumber {
                issuer: issuer.id,
                shard,
                now,
            })
            .await?;
        let snapshot = ca.snapshot.load_full();
        let life: Duration = snapshot.config.crl.life.into();
        let this_update = now.minus(BACKDATE).as_seconds();
        let next_update = now
            .plus(life)
            .as_seconds()
            .min(issuer.certificate.not_after());
        let (entries, reach) = entries(ca, issuer, shard, this_update).await?;
        let draft = Draft {
            issuer: Arc::clone(issuer),
            url: snapshot.urls.crl(&issuer.id, shard),
            number,
            dates: (this_update, next_update),
        };
        // Long lists take long to put together and to look over: not on the workers that answer requests.
        let (draft, tbs) = aside(move || draft.build(entries).map(|tbs| (draft, tbs))).await?;
        let asked = signing
            .signer
            .sign(Signable::crl(tbs.clone()), SIGN_DEADLINE);
        let signature = tokio::time::timeout(SIGN_DEADLINE, asked)
            .await
            .unwrap_or(Err(SignerFault::TimedOut(SIGN_DEADLINE)))?;
        let der = aside(move || draft.assemble(&tbs, &signature)).await?;
        let crl = StoredCrl {
            issuer: issuer.id,
            shard,
            number,
            this_update: Timestamp::from_seconds(this_update),
            next_update: Timestamp::from_seconds(next_update),
            reach,
            regular,
            der,
        };
        ca.store.transact(PutCrl { crl: crl.clone() }).await?;
        ca.crls.put_crl(&crl);
        // The store has it: without the copy only a restore would miss something.
        let copies = ca.publisher.copies.clone();
        if let Err(error) = crl_copy::keep(copies, crl).await {
            warn!(%error, shard, "no copy of the CRL was kept for a restore");
        }
        Ok(number)
    }
}

/// What the shard's CRL lists, and up to which place. Read in pages, so that nobody waits for a long list; what changes
/// meanwhile comes again behind and counts as it then is.
async fn entries(
    ca: &Ca,
    issuer: &Issuer,
    shard: u32,
    this_update: i64,
) -> Result<(BTreeMap<Serial, Entry>, i64), CrlFault> {
    let mut listed = BTreeMap::new();
    let mut reach = 0;
    loop {
        let page = ca.store.crl_entries(issuer.id, shard, reach).await?;
        let Some(last) = page.last() else {
            return Ok((listed, reach));
        };
        reach = last.place;
        listed.extend(page.into_iter().map(|entry| {
            let reason = match entry.reason {
                RevocationReason::Unspecified => None,
                reason => Some(reason.code()),
            };
            let entry = Entry {
                serial: entry.serial,
                revoked_at: entry.at.as_seconds().min(this_update),
                reason,
            };
            (entry.serial, entry)
        }));
    }
}

/// A CRL in the making.
struct Draft {
    issuer: Arc<Issuer>,
    url: String,
    number: u64,
    dates: (i64, i64),
}

impl Draft {
    /// The bytes to sign, linted.
    fn build(&self, entries: BTreeMap<Serial, Entry>) -> Result<Vec<u8>, CrlFault> {
        let certificate = &self.issuer.certificate;
        let template = CrlTemplate {
            issuer_subject_der: certificate.subject_der(),
            issuer_key_id: certificate.key_id(),
            number: self.number,
            this_update: self.dates.0,
            next_update: self.dates.1,
            idp_url: &self.url,
            only_user_certs: true,
            signature_algorithm: certificate.issues_with(),
        };
        let tbs = template.build(entries.into_values());
        lint_crl(&tbs, &template, certificate).map_err(|findings| {
            CrlFault::Unfit(
                findings
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        })?;
        Ok(tbs)
    }

    /// The CRL, if the signature is one.
    fn assemble(&self, tbs: &[u8], signature: &[u8]) -> Result<Vec<u8>, CrlFault> {
        let certificate = &self.issuer.certificate;
        certificate
            .verify_signature(tbs, signature)
            .map_err(|e| CrlFault::Unfit(format!("the signature does not verify: {e}")))?;
        Ok(Crl::assemble(tbs, certificate.issues_with(), signature))
    }
}

async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CrlFault> + Send + 'static,
) -> Result<T, CrlFault> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(CrlFault::Unfit("it could not be put together".to_owned())))
}

/// Whether a new CRL is due, `every` so long after the moment at which the last one was signed.
fn is_due(this_update: Option<Timestamp>, every: Duration, now: Timestamp) -> bool {
    this_update.is_none_or(|last| now.since(last.plus(BACKDATE)) >= every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_of_one_minute_signs_once_a_minute() {
        // T-CA-103
        let every = Duration::from_secs(60);
        let start = Timestamp::from_seconds(1_800_000_000);
        let (mut last, mut signed) = (None, 0);
        // Looked at every five seconds for an hour.
        for look in 0..720 {
            let now = start.plus(Duration::from_secs(5 * look));
            if is_due(last, every, now) {
                last = Some(Timestamp::from_seconds(now.minus(BACKDATE).as_seconds()));
                signed += 1;
            }
        }
        assert_eq!(signed, 60);
    }
}
