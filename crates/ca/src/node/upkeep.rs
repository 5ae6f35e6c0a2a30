//! What a node does beside requests: it goes on with what was begun, and clears away what is over.

use std::{sync::Arc, time::Duration};

use tracing::{error, info, warn};

use super::Ca;
use crate::store::{Filter, Resumed, Running, SweepPolicy, TakeOver};
#[cfg(feature = "dev")]
use crate::{
    clock::{Clock, SystemClock},
    store::Forgotten,
};

/// How many rows one take-over or sweep handles in a transaction.
const CHUNK: usize = 256;

/// A taken-over row's lease.
const LEASE: Duration = Duration::from_secs(60);

/// Goes on with what another incarnation began, and with what nobody here works on any more; or ends it with a reason.
pub(super) async fn take_over(ca: &Arc<Ca>) {
    loop {
        let take = TakeOver {
            boot: ca.boot,
            lease: LEASE,
            limit: CHUNK,
            now: ca.clock.wall(),
            running: Running {
                validations: ca.validation.running(),
                issuances: ca.issuance.running(),
            },
        };
        let (resumed, more) = match ca.store.transact(take).await {
            Ok(answer) => answer,
            Err(error) => {
                error!(%error, "work of an earlier run could not be taken over; it tries again");
                return;
            }
        };
        for work in resumed {
            match work {
                Resumed::Validation {
                    work,
                    authorization,
                } => {
                    info!(name = %authorization.identifier, attempt = work.attempts, "validation taken over");
                    ca.validation.resume(ca, &work, &authorization);
                }
                Resumed::Issuance { work, order } => {
                    info!(order = %order.id, serials = order.attempts, "issuance taken over under a new serial");
                    ca.issuance.resume(ca, work, *order);
                }
            }
        }
        if !more {
            return;
        }
    }
}

/// Counts what earlier runs left open towards the accounts' bounds. Rows that end meanwhile tell of themselves, so a
/// page that is behind counts at most its own moment too much, until it expires.
pub(super) async fn count_unfinished(ca: Arc<Ca>) {
    let mut filter = Filter {
        state: Some("open".to_owned()),
        limit: CHUNK,
        ..Filter::default()
    };
    loop {
        let page = match ca.store.list_orders(filter.clone()).await {
            Ok(page) => page,
            Err(error) => {
                warn!(%error, "orders of earlier runs are not counted towards the bounds");
                return;
            }
        };
        for order in &page.items {
            // The newest state, should it have changed since the page was read.
            let Ok(Some(order)) = ca.store.order(order.account, order.id).await else {
                continue;
            };
            ca.limits.on_order(&order);
            for id in &order.authorizations {
                if let Ok(Some(authorization)) = ca.store.authorization(order.account, *id).await {
                    ca.limits.on_authorization(&authorization);
                }
            }
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return,
        }
    }
}

/// Expiry, sweeping, leases that ran out; and what a test CA forgets.
pub(super) async fn housekeeping(ca: Arc<Ca>) {
    #[cfg(feature = "dev")]
    let (mut forgotten, machine) = (Forgotten::default(), SystemClock::default());
    loop {
        tokio::time::sleep(ca.timing.housekeeping).await;
        take_over(&ca).await;
        #[cfg(feature = "dev")]
        if let Some(kept) = ca.doors.as_ref().and_then(|doors| doors.conduct().keeps) {
            match ca
                .store
                .forget(kept, forgotten.clone(), machine.monotonic())
                .await
            {
                Ok(so_far) => forgotten = so_far,
                Err(error) => warn!(%error, "the test CA cannot forget; it tries again"),
            }
        }
        let config = &ca.snapshot.load_full().config;
        let policy = SweepPolicy {
            orders_after: config.sweep.orders_after.into(),
            audit_after: config.sweep.audit_after.into(),
        };
        loop {
            match ca.store.sweep(ca.clock.wall(), &policy, CHUNK).await {
                Ok(report) if report.more => {}
                Ok(_) => break,
                Err(error) => {
                    warn!(%error, "sweeping failed; it tries again");
                    break;
                }
            }
        }
    }
}
