//! Unfinished orders and pending authorizations of each account. The store tells of every commit; rows that ended
//! leave at once, rows that expired when room is sought, and in a sweep from time to time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cairn_acme::{status::AuthorizationStatus, time::Timestamp};

use crate::{
    id::{AccountId, AuthorizationId, OrderId},
    model::{Authorization, Order, OrderState},
};

/// Accounts that are counted. The rows themselves lie in the store; this bounds what memory says of them.
const ACCOUNTS: usize = 100_000;

/// A sweep after so many reservations.
const SWEEP_EACH: u32 = 16_384;

#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    accounts: HashMap<AccountId, Unfinished>,
    since_sweep: u32,
}

#[derive(Debug, Default)]
struct Unfinished {
    orders: HashMap<OrderId, Timestamp>,
    authorizations: HashMap<AuthorizationId, Timestamp>,
    reserved_orders: usize,
    reserved_authorizations: usize,
}

impl Unfinished {
    fn forget_expired(&mut self, now: Timestamp) {
        self.orders.retain(|_, expires| *expires > now);
        self.authorizations.retain(|_, expires| *expires > now);
    }

    fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.authorizations.is_empty() && self.reserved_orders == 0
    }
}

/// Which bound is reached, and when there will be room.
pub(super) enum Refusal {
    Orders(Duration),
    Authorizations(Duration),
}

/// Room for an order that is being created; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    pending: Arc<Pending>,
    account: AccountId,
    authorizations: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut table = self.pending.lock();
        if let Some(unfinished) = table.accounts.get_mut(&self.account) {
            unfinished.reserved_orders = unfinished.reserved_orders.saturating_sub(1);
            unfinished.reserved_authorizations = unfinished
                .reserved_authorizations
                .saturating_sub(self.authorizations);
            if unfinished.is_empty() {
                table.accounts.remove(&self.account);
            }
        }
    }
}

/// Reserves room for one order; `bounds` are those of orders and of authorizations.
pub(super) fn reserve(
    pending: &Arc<Pending>,
    account: AccountId,
    authorizations: usize,
    bounds: (usize, usize),
    now: Timestamp,
) -> Result<Reservation, Refusal> {
    let mut table = pending.lock();
    table.sweep(now);
    let unfinished = table.accounts.entry(account).or_default();
    let full = |unfinished: &Unfinished| {
        (
            unfinished.orders.len() + unfinished.reserved_orders >= bounds.0,
            unfinished.authorizations.len() + unfinished.reserved_authorizations + authorizations
                > bounds.1,
        )
    };
    if full(unfinished) != (false, false) {
        unfinished.forget_expired(now);
    }
    match full(unfinished) {
        (true, _) => return Err(Refusal::Orders(wait(unfinished.orders.values(), 1, now))),
        (_, true) => {
            let surplus = (unfinished.authorizations.len()
                + unfinished.reserved_authorizations
                + authorizations)
                .saturating_sub(bounds.1);
            return Err(Refusal::Authorizations(wait(
                unfinished.authorizations.values(),
                surplus,
                now,
            )));
        }
        _ => {}
    }
    unfinished.reserved_orders += 1;
    unfinished.reserved_authorizations += authorizations;
    Ok(Reservation {
        pending: Arc::clone(pending),
        account,
        authorizations,
    })
}

impl Pending {
    pub(super) fn on_order(&self, order: &Order) {
        let mut table = self.lock();
        if order.state == OrderState::Open {
            if let Some(unfinished) = table.of(order.account) {
                unfinished.orders.insert(order.id, order.expires);
            }
        } else {
            table.end(order.account, |unfinished| {
                unfinished.orders.remove(&order.id).is_some()
            });
        }
    }

    pub(super) fn on_authorization(&self, authorization: &Authorization) {
        let mut table = self.lock();
        if authorization.status == AuthorizationStatus::Pending {
            if let Some(unfinished) = table.of(authorization.account) {
                unfinished
                    .authorizations
                    .insert(authorization.id, authorization.expires);
            }
        } else {
            table.end(authorization.account, |unfinished| {
                unfinished
                    .authorizations
                    .remove(&authorization.id)
                    .is_some()
            });
        }
    }

    pub(super) fn accounts(&self) -> usize {
        self.lock().accounts.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Counts that a panic left behind are at worst a little off; expiry heals them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The account's entry; none for a new account when the table is full.
    fn of(&mut self, account: AccountId) -> Option<&mut Unfinished> {
        if self.accounts.len() >= ACCOUNTS && !self.accounts.contains_key(&account) {
            return None;
        }
        Some(self.accounts.entry(account).or_default())
    }

    fn end(&mut self, account: AccountId, remove: impl FnOnce(&mut Unfinished) -> bool) {
        if let Some(unfinished) = self.accounts.get_mut(&account)
            && remove(unfinished)
            && unfinished.is_empty()
        {
            self.accounts.remove(&account);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.since_sweep += 1;
        if self.since_sweep < SWEEP_EACH && self.accounts.len() < ACCOUNTS {
            return;
        }
        self.since_sweep = 0;
        self.accounts.retain(|_, unfinished| {
            unfinished.forget_expired(now);
            !unfinished.is_empty()
        });
    }
}

/// Until the `n`th of them to expire has done so.
fn wait<'a>(expiries: impl Iterator<Item = &'a Timestamp>, n: usize, now: Timestamp) -> Duration {
    let mut expiries: Vec<_> = expiries.copied().collect();
    expiries.sort_unstable();
    let at = expiries
        .get(n.saturating_sub(1))
        .or(expiries.last())
        .copied();
    // Reservations alone fill the account: they end within a request's time.
    at.map_or(Duration::from_secs(1), |at| at.since(now))
}
