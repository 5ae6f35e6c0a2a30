//! CRLs (RFC 5280 §5): a signed one for each shard, on schedule, with numbers that never go back. A number is reserved
//! before it is used and the CRL is stored before it is published; one that cannot be written leaves the old in place.

use std::{sync::Arc, time::Duration};

use cairn_acme::{problem::Problem, time::Timestamp};
use cairn_x509::{
    crl::{Crl, CrlTemplate},
    lint::lint_crl,
};
use tracing::{error, info};

use super::{
    issuer::Issuer,
    signer::{Signable, SignerFault},
};
use crate::{
    model::StoredCrl,
    node::Ca,
    store::{PutCrl, ReserveCrlNumber, TxError},
};

/// How long a CRL's signature may take.
const SIGN_DEADLINE: Duration = Duration::from_secs(30);

/// thisUpdate lies this far back, for relying parties whose clocks are slow.
const BACKDATE: Duration = Duration::from_secs(60);

/// Why a shard has no new CRL.
#[derive(Debug, thiserror::Error)]
enum CrlFault {
    #[error("{}", .0.detail)]
    Stopped(Problem),
    #[error(transparent)]
    Store(#[from] TxError),
    #[error(transparent)]
    Signer(#[from] SignerFault),
    #[error("the CRL would not be fit: {0}")]
    Unfit(String),
}

/// Signs and publishes CRLs on schedule.
#[derive(Debug)]
pub struct CrlPublisher;

impl CrlPublisher {
    /// Publishes what the store holds, then signs what is due.
    pub async fn start(ca: &Arc<Ca>) {
        match ca.store.crls().await {
            Ok(stored) => {
                for crl in stored {
                    ca.crls.put_crl(&crl);
                }
            }
            Err(error) => error!(%error, "stored CRLs could not be read"),
        }
        Self::pass(ca).await;
    }

    /// Looks at the schedule for ever.
    pub async fn run(ca: Arc<Ca>) {
        loop {
            tokio::time::sleep(ca.timing.crl).await;
            Self::pass(&ca).await;
        }
    }

    /// Signs every shard whose CRL is due.
    async fn pass(ca: &Arc<Ca>) {
        let issuer = Arc::clone(ca.issuance.issuer());
        let every: Duration = ca.snapshot.load().config.crl.every.into();
        for shard in 0..issuer.crl_shards {
            let now = ca.clock.wall();
            if !is_due(ca.crls.this_update(&issuer.id, shard), every, now) {
                continue;
            }
            match Self::publish(ca, &issuer, shard).await {
                Ok(number) => info!(issuer = %issuer.id, shard, number, "crl signed"),
                Err(error) => {
                    ca.metrics.crl_failed();
                    error!(issuer = %issuer.id, shard, %error, "no new CRL; the one before stays published");
                }
            }
        }
    }

    async fn publish(ca: &Arc<Ca>, issuer: &Issuer, shard: u32) -> Result<u64, CrlFault> {
        let now = ca.issuance.clocks_agree(ca).map_err(CrlFault::Stopped)?;
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
        let url = snapshot.urls.crl(&issuer.id, shard);
        let template = CrlTemplate {
            issuer_subject_der: issuer.certificate.subject_der(),
            issuer_key_id: issuer.certificate.key_id(),
            number,
            this_update,
            next_update,
            idp_url: &url,
            only_user_certs: true,
            signature_algorithm: issuer.certificate.issues_with(),
        };
        let tbs = template.build([]);
        lint_crl(&tbs, &template, &issuer.certificate).map_err(|findings| {
            CrlFault::Unfit(
                findings
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        })?;
        let asked = ca
            .issuance
            .signer()
            .sign(Signable::crl(tbs.clone()), SIGN_DEADLINE);
        let signature = tokio::time::timeout(SIGN_DEADLINE, asked)
            .await
            .unwrap_or(Err(SignerFault::TimedOut(SIGN_DEADLINE)))?;
        issuer
            .certificate
            .verify_signature(&tbs, &signature)
            .map_err(|e| CrlFault::Unfit(format!("the signature does not verify: {e}")))?;
        let der = Crl::assemble(&tbs, issuer.certificate.issues_with(), &signature);
        let crl = StoredCrl {
            issuer: issuer.id,
            shard,
            number,
            this_update: Timestamp::from_seconds(this_update),
            next_update: Timestamp::from_seconds(next_update),
            der,
        };
        ca.store.transact(PutCrl { crl: crl.clone() }).await?;
        ca.crls.put_crl(&crl);
        Ok(number)
    }
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
