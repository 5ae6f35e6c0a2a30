//! CAA again, right before a signature: for every name whose check is older than 7 hours (BR 4.2.2, T-CA-90).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cairn_acme::{
    identifier::Identifier,
    problem::{Problem, ProblemType, Subproblem},
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use crate::{
    authority::caa,
    id::AccountId,
    model::{Authorization, CaaCheck, Order},
    node::Ca,
    refusals,
    store::TxError,
    validation::{CaaQuestion, Failure},
};

/// The longest that all names of an order may take: the client waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names that are looked up at once for one order.
const AT_ONCE: usize = 16;

/// Finalizes whose names are looked at again, of one account and in all: each may wait for slow name servers, and none of
/// them may keep requests of others from their place.
const FINALIZES_PER_ACCOUNT: usize = 16;
const FINALIZES: usize = 256;

/// When one over the bound may come again.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// The finalizes that look at CAA again now.
#[derive(Debug, Default)]
pub(super) struct Rechecks(Mutex<HashMap<AccountId, usize>>);

/// One of them; its place is free again when it is dropped.
pub(super) struct Recheck {
    all: Arc<Rechecks>,
    account: AccountId,
}

impl Rechecks {
    /// Takes a place.
    ///
    /// # Errors
    /// `rateLimited` at either bound.
    pub(super) fn enter(all: &Arc<Self>, account: AccountId) -> Result<Recheck, Problem> {
        let mut running = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (whole, own) = (
            running.values().sum::<usize>(),
            running.get(&account).copied().unwrap_or_default(),
        );
        if whole >= FINALIZES || own >= FINALIZES_PER_ACCOUNT {
            return Err(Problem::rate_limited(
                "too many finalizes wait for CAA records that are looked up again; finalize again in a moment",
            )
            .retry_after(COME_AGAIN));
        }
        running.insert(account, own + 1);
        Ok(Recheck {
            all: Arc::clone(all),
            account,
        })
    }
}

impl Drop for Recheck {
    fn drop(&mut self) {
        let mut running = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = running.get_mut(&self.account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                running.remove(&self.account);
            }
        }
    }
}

/// Looks again at each name whose check is too old: by itself, with the method and the account of its authorization. The
/// answer has a place for each authorization, empty where nothing was due. An order that `resumes` after an interruption was
/// finalized already.
///
/// # Errors
/// `caa` or `dns`, with a subproblem for each name that must not be issued for; the store's.
pub(super) async fn recheck(
    ca: &Arc<Ca>,
    order: &Order,
    authorizations: &[Arc<Authorization>],
    resumes: bool,
) -> Result<Vec<Option<CaaCheck>>, TxError> {
    let mut checks: Vec<Option<CaaCheck>> = vec![None; authorizations.len()];
    let now = ca.clock.wall();
    if !authorizations.iter().any(|a| caa::is_due(a, now)) {
        return Ok(checks);
    }
    let snapshot = ca.snapshot.load_full();
    let accounts = match ca.store.account(order.account).await? {
        Some(account) => ca.caa_urls(&snapshot, &account),
        None => Vec::new(),
    };
    let deadline = Instant::now() + PATIENCE;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for (place, authorization) in authorizations.iter().enumerate() {
        let (Identifier::Dns(name), Some(method), true) = (
            &authorization.identifier,
            caa::method_of(authorization),
            caa::is_due(authorization, now),
        ) else {
            continue;
        };
        let question = CaaQuestion {
            name: name.clone(),
            wildcard: authorization.wildcard,
            accounts: accounts.clone(),
            method,
            asked_at: now,
        };
        let (ca, snapshot, places) = (Arc::clone(ca), Arc::clone(&snapshot), Arc::clone(&places));
        tasks.spawn(async move {
            let _place = places.acquire().await;
            let left = deadline.saturating_duration_since(Instant::now());
            let validator = ca.validation.validator();
            let checked = validator
                .check_caa(&question, &snapshot.caa, &snapshot.rules, left)
                .await;
            (place, checked.outcome)
        });
    }
    let mut failed: Vec<(usize, Failure)> = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((place, Ok(check))) => {
                if let Some(slot) = checks.get_mut(place) {
                    *slot = Some(check);
                }
            }
            Ok((place, Err(failure))) => failed.push((place, failure)),
            // A task that ended otherwise leaves its place empty, and an empty place of an old check permits nothing.
            Err(_) => {}
        }
    }
    if failed.is_empty() {
        return Ok(checks);
    }
    failed.sort_by_key(|(place, _)| *place);
    for (_, failure) in &failed {
        let (event, id) = ("caa-refused", Some(order.id));
        refusals::note(ca, event, order.account, id, &failure.problem).await;
    }
    Err(TxError::Refused(Box::new(refusal(order, failed, resumes))))
}

/// One problem for all. The order stays ready: the CSR was not at fault, and once the records are right the same order
/// can be finalized (RFC 8555 §7.4). One that resumes is in processing, and from there it can only end.
fn refusal(order: &Order, failed: Vec<(usize, Failure)>, resumes: bool) -> Problem {
    let transient = failed.iter().any(|(_, f)| f.transient);
    let mut kinds: Vec<ProblemType> = failed.iter().map(|(_, f)| f.problem.kind.clone()).collect();
    kinds.dedup();
    let kind = match kinds.as_slice() {
        [kind] => kind.clone(),
        _ => ProblemType::Compound,
    };
    let subproblems: Vec<Subproblem> = failed
        .into_iter()
        .filter_map(|(place, failure)| {
            let identifier = order.identifiers.get(place)?;
            Some(Subproblem::new(
                failure.problem.kind,
                failure.problem.detail,
                identifier,
            ))
        })
        .collect();
    let remedy = match resumes {
        false => "The order stays ready: finalize it again after that.",
        true => {
            "The CA was interrupted after this order's finalize, and the order ends so: place a new one after that."
        }
    };
    let detail = match subproblems.as_slice() {
        [one] => format!("{} {remedy}", one.detail),
        several => format!(
            "{} of the order's {} names must not be issued for now, see the subproblems. Put their records right. {remedy}",
            several.len(),
            order.identifiers.len()
        ),
    };
    let mut problem = Problem::new(kind, detail);
    problem.subproblems = subproblems;
    if transient {
        problem = problem.retry_after(RETRY_AFTER);
    }
    problem
}

/// When a look-up that failed may fare better.
const RETRY_AFTER: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_and_all_accounts_wait_for_the_dns_within_bounds() {
        // T-CA-116
        let all = Arc::new(Rechecks::default());
        let account = |n: usize| AccountId::from_bytes((n as u128).to_be_bytes());
        let mut held: Vec<Recheck> = (0..FINALIZES_PER_ACCOUNT)
            .map(|_| Rechecks::enter(&all, account(1)).unwrap())
            .collect();
        assert!(
            Rechecks::enter(&all, account(1))
                .is_err_and(|p| p.status == 429 && p.retry_after == Some(COME_AGAIN))
        );
        held.extend(
            (held.len()..FINALIZES).map(|n| Rechecks::enter(&all, account(n + 2)).unwrap()),
        );
        assert!(Rechecks::enter(&all, account(0)).is_err());
        held.truncate(1);
        assert!(Rechecks::enter(&all, account(1)).is_ok());
        held.clear();
        assert!(all.0.lock().unwrap().is_empty());
    }
}
