//! Bounds held in memory: bad signatures of an address, unfinished orders and authorizations of an account
//! (RFC 8555 §6.6, §10.3), and how many answers may be held at once. Each table is bounded itself.

mod holding;
mod pending;
mod refusals;
mod signatures;

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cairn_acme::{
    problem::{Problem, ProblemType},
    time::Timestamp,
};

pub use holding::{Held, HoldRefusal};
pub use pending::Reservation;

use crate::{
    config,
    id::AccountId,
    model::{Authorization, Order},
};

/// All bounds of one node.
#[derive(Debug)]
pub struct Limits {
    bounds: ArcSwap<config::Limits>,
    signatures: signatures::BadSignatures,
    pending: Arc<pending::Pending>,
    holding: Arc<holding::Holding>,
    refusals: refusals::Refusals,
}

impl Limits {
    /// Starts with nothing counted.
    #[must_use]
    pub fn new(bounds: config::Limits) -> Self {
        Self {
            bounds: ArcSwap::from_pointee(bounds),
            signatures: signatures::BadSignatures::default(),
            pending: Arc::default(),
            holding: Arc::default(),
            refusals: refusals::Refusals::default(),
        }
    }

    /// Puts other bounds in force; what was counted stays.
    pub fn set(&self, bounds: config::Limits) {
        self.bounds.store(Arc::new(bounds));
    }

    /// Whether this address may still have a signature verified. `now` is monotonic.
    ///
    /// # Errors
    /// `rateLimited` with the time to wait.
    pub fn may_verify(&self, address: IpAddr, now: Duration) -> Result<(), Problem> {
        let rate = self.bounds.load().bad_signatures_per_minute;
        self.signatures.may_verify(Network::of(address), rate, now).map_err(|wait| {
            limited(
                format!("more than {rate} bad signatures a minute came from {}; check the account key and the clock of whatever signs there", Network::of(address)),
                wait,
            )
        })
    }

    /// Counts a bad signature. `now` is monotonic.
    pub fn bad_signature(&self, address: IpAddr, now: Duration) {
        let rate = self.bounds.load().bad_signatures_per_minute;
        self.signatures.count(Network::of(address), rate, now);
    }

    /// Reserves room for one more order with that many authorizations, until the reservation is dropped; from its
    /// commit on the order is counted by [`Limits::on_order`].
    ///
    /// # Errors
    /// `rateLimited` with the time after which enough of them will have expired; 503 when so many accounts have
    /// unfinished work that no further one can be counted.
    pub fn reserve_order(
        &self,
        account: AccountId,
        authorizations: usize,
        now: Timestamp,
    ) -> Result<Reservation, Problem> {
        let bounds = self.bounds.load();
        let (orders, pending) = (bounds.pending_orders, bounds.pending_authorizations);
        pending::reserve(&self.pending, account, authorizations, (orders, pending), now).map_err(|refusal| match refusal {
            pending::Refusal::Orders(wait) => limited(
                format!("the account has {orders} unfinished orders, the most that one may have; finish or abandon some"),
                wait,
            ),
            pending::Refusal::Authorizations(wait) => limited(
                format!("the account would have more than {pending} pending authorizations; answer or deactivate some"),
                wait,
            ),
            pending::Refusal::Accounts(wait) => Problem::server_internal(
                "too many accounts have unfinished orders here; come again later",
            )
            .status(503)
            .retry_after(wait),
        })
    }

    /// Reserves room for one authorization without an order.
    ///
    /// # Errors
    /// As [`Limits::reserve_order`].
    pub fn reserve_authorization(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Reservation, Problem> {
        self.reserve_order(account, 1, now)
    }

    /// Whether a refusal of this account's request may be written down, which counts. `now` is monotonic.
    #[must_use]
    pub fn may_note_refusal(&self, account: AccountId, now: Duration) -> bool {
        self.refusals.take(refusals::Party::Account(account), now)
    }

    /// Whether a refusal of a request from this address, of no account, may be written down, which counts. `now` is
    /// monotonic.
    #[must_use]
    pub fn may_note_stranger(&self, address: IpAddr, now: Duration) -> bool {
        let party = refusals::Party::Network(Network::of(address));
        self.refusals.take(party, now)
    }

    /// Hears of an order that a commit touched.
    pub fn on_order(&self, order: &Order) {
        self.pending.on_order(order);
    }

    /// Hears of an authorization that a commit touched.
    pub fn on_authorization(&self, authorization: &Authorization) {
        self.pending.on_authorization(authorization);
    }

    /// Asks to hold one answer. The guard frees the place, also when the client hangs up and its request is dropped.
    ///
    /// # Errors
    /// Says which bound is reached; the answer is then given as things stand, which is no error to the client.
    pub fn hold(&self, account: AccountId, address: IpAddr) -> Result<Held, HoldRefusal> {
        let bounds = self.bounds.load();
        holding::take(&self.holding, account, Network::of(address), &bounds)
    }

    /// How long an answer is held at most.
    #[must_use]
    pub fn hold_time(&self) -> Duration {
        self.bounds.load().hold.into()
    }

    /// How many answers are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.holding.len()
    }

    /// Accounts and addresses that are counted: (accounts with unfinished work, addresses with bad signatures).
    #[must_use]
    pub fn tracked(&self) -> (usize, usize) {
        (self.pending.accounts(), self.signatures.len())
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64 (T-CA-109). Mapped IPv4 is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Network {
    /// One IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4(octets) => IpAddr::from(*octets).fmt(f),
            Self::V6(octets) => {
                let mut whole = [0; 16];
                whole[..8].copy_from_slice(octets);
                write!(f, "{}/64", IpAddr::from(whole))
            }
        }
    }
}

fn limited(detail: String, wait: Duration) -> Problem {
    // Whole seconds, rounded up: a client that comes at the second named is served (T-CA-111).
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(ProblemType::RateLimited, detail).retry_after(Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests;
