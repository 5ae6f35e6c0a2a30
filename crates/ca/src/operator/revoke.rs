//! Revocation by an operator: of serials, whatever is known of their signatures.

use std::sync::Arc;

use cairn_acme::{problem::Problem, time::Timestamp};
use cairn_x509::certificate::Serial;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{QueryFault, show};
use crate::{
    authority::revocations::{NOT_LISTED, no_such_certificate},
    id::IssuerId,
    issuance::CrlPublisher,
    model::{Certificate, Requester},
    node::Ca,
    store::{Claimant, Revoke, Store, TxError},
};

/// How many the store is asked for at once: enough to share commits, few enough that everybody else's transactions wait
/// for no long batch.
const AT_ONCE: usize = 64;

/// What shall be revoked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeQuery {
    /// Serials in hex.
    pub serials: Vec<String>,
    /// The CRLReason; none is unspecified.
    #[serde(default)]
    pub reason: Option<i64>,
}

/// Revokes each on its own; one that cannot be is told of and stops none of the others. A running server knows the `issuers`
/// whose lists it signs.
pub(super) async fn revoke(
    store: &Store,
    query: &RevokeQuery,
    issuers: Option<&[IssuerId]>,
    now: Timestamp,
) -> Result<Value, QueryFault> {
    let issuers: Option<Arc<[IssuerId]>> = issuers.map(Arc::from);
    let (mut revoked, mut failed) = (Vec::new(), Vec::new());
    for some in query.serials.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for (position, serial) in some.iter().enumerate() {
            let (store, serial, reason) = (store.clone(), serial.clone(), query.reason);
            let issuers = issuers.clone();
            asked.spawn(async move {
                let answer = one(&store, &serial, reason, issuers.as_deref(), now).await;
                (position, answer, serial)
            });
        }
        let mut answers = Vec::with_capacity(some.len());
        while let Some(answer) = asked.join_next().await {
            // A task that panicked said nothing; its serial is missed in the answer.
            answers.extend(answer);
        }
        answers.sort_by_key(|(position, ..)| *position);
        for (_, answer, serial) in answers {
            match answer {
                Ok(certificate) => revoked.push(show::certificate(&certificate)),
                Err(TxError::Refused(problem)) => failed.push(json!({
                    "serial": serial,
                    "problem": problem.kind.name(),
                    "detail": problem.detail,
                })),
                Err(error) => failed.push(json!({ "serial": serial, "detail": error.to_string() })),
            }
        }
    }
    let changed = !revoked.is_empty();
    Ok(json!({ "revoked": revoked, "failed": failed, "changed": changed }))
}

async fn one(
    store: &Store,
    serial: &str,
    reason: Option<i64>,
    issuers: Option<&[IssuerId]>,
    now: Timestamp,
) -> Result<Certificate, TxError> {
    let unknown = || TxError::Refused(Box::new(no_such_certificate()));
    let serial: Serial = serial.parse().map_err(|_| unknown())?;
    let known = store.certificate(serial).await?.ok_or_else(unknown)?;
    if issuers.is_some_and(|issuers| !issuers.contains(&known.key.issuer)) {
        let problem = Problem::server_internal(NOT_LISTED);
        return Err(TxError::Refused(Box::new(problem)));
    }
    store
        .transact(Revoke {
            certificate: known.key,
            claimant: Claimant::Operator,
            reason,
            requester: Requester { address: None },
            now,
        })
        .await
}

/// Puts on the CRLs what is on none yet.
pub(super) async fn publish(ca: &Arc<Ca>) -> Value {
    let crls: Vec<Value> = CrlPublisher::publish_now(ca)
        .await
        .into_iter()
        .map(|published| match published.number {
            Ok(number) => json!({ "issuer": published.issuer.to_string(), "shard": published.shard, "number": number }),
            Err(error) => json!({ "issuer": published.issuer.to_string(), "shard": published.shard, "error": error.to_string() }),
        })
        .collect();
    json!({ "crls": crls, "running": true })
}
