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

/// A sweep at most this often: it looks at every entry, and commits that tell of their rows wait for it.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// When to come again to a full table: orders end all the time.
const FULL_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Pending(Mutex<Table>);

#[derive(Debug)]
struct Table {
    accounts: HashMap<AccountId, Unfinished>,
    /// How many of them there may be.
    bound: usize,
    since_sweep: u32,
    swept: Timestamp,
}

impl Default for Pending {
    fn default() -> Self {
        Self::bounded(ACCOUNTS)
    }
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
    /// The table's own: more accounts than are counted have unfinished work.
    Accounts(Duration),
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
    // Whom nobody counts could have any number, so nobody new gets in (T-CA-115).
    let Some(unfinished) = table.of(account) else {
        return Err(Refusal::Accounts(FULL_WAIT));
    };
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
    let refusal = match full(unfinished) {
        (true, _) => Some(Refusal::Orders(wait(unfinished.orders.values(), 1, now))),
        (_, true) => {
            let surplus = (unfinished.authorizations.len()
                + unfinished.reserved_authorizations
                + authorizations)
                .saturating_sub(bounds.1);
            Some(Refusal::Authorizations(wait(
                unfinished.authorizations.values(),
                surplus,
                now,
            )))
        }
        _ => None,
    };
    if let Some(refusal) = refusal {
        if unfinished.is_empty() {
            table.accounts.remove(&account);
        }
        return Err(refusal);
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
    pub(super) fn bounded(bound: usize) -> Self {
        Self(Mutex::new(Table {
            accounts: HashMap::new(),
            bound,
            since_sweep: 0,
            swept: Timestamp::from_millis(0),
        }))
    }

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
        if self.accounts.len() >= self.bound && !self.accounts.contains_key(&account) {
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
        let wanted = self.since_sweep >= SWEEP_EACH || self.accounts.len() >= self.bound;
        if !wanted || now < self.swept.plus(SWEEP_PAUSE) {
            return;
        }
        (self.since_sweep, self.swept) = (0, now);
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
