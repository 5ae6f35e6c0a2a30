//! Orders (RFC 8555 §7.1.3, §7.4): how they look from outside, creation, reuse.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use std::time::Duration;

use aws_lc_rs::digest;
use cairn_acme::{
    challenge::ChallengeType,
    identifier::Identifier,
    problem::Problem,
    status::{AccountStatus, AuthorizationStatus, OrderStatus},
    time::Timestamp,
};
use serde::Serialize;

use super::{
    accounts, audit, authorizations, no_such_object,
    order_request::NOT_BEFORE_SLACK,
    replacements::{self, Predecessor, Replaced},
};
use crate::{
    id::{AccountId, DirectoryId, OrderId},
    model::{Account, Authorization, Order, OrderState, Requester},
    store::{Changes, Claim, Decision},
};

/// The status as seen from outside. A stored open order is pending, ready or, once an authorization or its own time
/// has ended, invalid.
pub fn view<'a>(
    order: &Order,
    authorizations: impl IntoIterator<Item = &'a Authorization>,
    now: Timestamp,
) -> OrderStatus {
    match order.state {
        OrderState::Valid => return OrderStatus::Valid,
        OrderState::Invalid => return OrderStatus::Invalid,
        OrderState::Processing => return OrderStatus::Processing,
        OrderState::Open if order.expires <= now => return OrderStatus::Invalid,
        OrderState::Open => {}
    }
    let mut status = OrderStatus::Ready;
    for authorization in authorizations {
        match authorizations::view(authorization, now) {
            AuthorizationStatus::Valid => {}
            AuthorizationStatus::Pending => status = OrderStatus::Pending,
            _ => return OrderStatus::Invalid,
        }
    }
    status
}

/// The wire's word for a status.
pub(crate) fn word(status: &impl Serialize) -> String {
    serde_json::to_value(status)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Equal for two requests that ask for the same thing; orders with equal fingerprints are still compared member by
/// member.
#[must_use]
pub fn fingerprint(input: &CreateOrder) -> i64 {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut member = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    member(&input.directory.0.to_be_bytes());
    for identifier in &input.identifiers {
        member(identifier.to_string().as_bytes());
    }
    member(input.profile.as_deref().unwrap_or_default().as_bytes());
    let replaces = input.replaces.as_ref().map(|r| r.id.to_string());
    member(replaces.as_deref().unwrap_or_default().as_bytes());
    for time in [input.not_before, input.not_after] {
        member(&time.map_or(0, Timestamp::as_millis).to_be_bytes());
    }
    let hash = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    i64::from_be_bytes(first)
}

/// The bounds under which an order is made; from the configuration snapshot that the request keeps.
#[derive(Debug, Clone)]
pub struct OrderPolicy {
    /// How long an order may stay open.
    pub order_life: Duration,
    /// How long a pending authorization waits.
    pub pending_authorization_life: Duration,
    /// Offered, in this order.
    pub challenges: Vec<ChallengeType>,
}

/// What newOrder asks for, parsed and judged by the policy on names.
#[derive(Debug, Clone)]
pub struct CreateOrder {
    pub id: OrderId,
    pub account: AccountId,
    pub directory: DirectoryId,
    /// Canonical, sorted, without duplicates.
    pub identifiers: Vec<Identifier>,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    pub profile: Option<String>,
    pub profile_hash: [u8; 32],
    pub replaces: Option<Replaced>,
    /// One for each identifier; those of reused authorizations stay unused.
    pub authorization_seeds: Vec<authorizations::Seed>,
    pub policy: OrderPolicy,
    pub requester: Requester,
    pub now: Timestamp,
}

/// What newOrder answers.
#[derive(Debug, Clone)]
pub struct OrderPlaced {
    /// The order.
    pub order: Order,
    /// Its authorizations, in the order of its identifiers.
    pub authorizations: Vec<Authorization>,
    /// Whether this request made it; else an equal one is open.
    pub created: bool,
}

/// Whether an open order is what the request asks for, with a quarter of its life left.
#[must_use]
pub fn same_request(input: &CreateOrder, order: &Order) -> bool {
    order.state == OrderState::Open
        && order.account == input.account
        && order.directory == input.directory
        && order.identifiers == input.identifiers
        && order.profile == input.profile
        && order.profile_hash == input.profile_hash
        && order.not_before == input.not_before
        && order.not_after == input.not_after
        && order.replaces == input.replaces.as_ref().map(|r| r.id)
        && order.expires.since(input.now) >= order.expires.since(order.created_at) / 4
}

/// Whether each challenge that the order still waits for is offered: a client may take any of them.
fn answerable(input: &CreateOrder, authorizations: &[Authorization]) -> bool {
    authorizations
        .iter()
        .filter(|a| authorizations::view(a, input.now) == AuthorizationStatus::Pending)
        .flat_map(|a| &a.challenges)
        .all(|challenge| input.policy.challenges.contains(&challenge.kind))
}

/// Places an order, or finds the equal one that is open. `candidates` are open orders of the same fingerprint with their
/// authorizations; `valid` holds, for each identifier, the newest valid authorization if there is one; `predecessor` is
/// what is known of the certificate to be replaced.
#[must_use]
pub fn create(
    input: &CreateOrder,
    account: Option<Account>,
    candidates: Vec<(Order, Vec<Authorization>)>,
    valid: Vec<Option<Authorization>>,
    predecessor: Option<Predecessor>,
) -> Decision<OrderPlaced> {
    match account {
        Some(account) if account.status == AccountStatus::Valid => {}
        Some(account) => return Decision::refuse(accounts::not_valid(account.status)),
        None => return Decision::refuse(no_such_object("account")),
    }
    for (order, authorizations) in candidates {
        if same_request(input, &order)
            && view(&order, &authorizations, input.now) != OrderStatus::Invalid
            && answerable(input, &authorizations)
        {
            return Decision::unchanged(OrderPlaced {
                order,
                authorizations,
                created: false,
            });
        }
    }
    if input.authorization_seeds.len() != input.identifiers.len() {
        return Decision::refuse(Problem::server_internal("an order could not be prepared"));
    }
    let mut changes = Changes::default();
    if let (Some(replaced), Some(predecessor)) = (&input.replaces, predecessor) {
        match replacements::judge(input, predecessor) {
            Ok(instead_of) => changes.claim_replacements.push(Claim {
                certificate: replaced.id,
                order: input.id,
                instead_of,
            }),
            Err(problem) => return Decision::refuse(problem),
        }
    }
    let expires = finishable_until(input.now.plus(input.policy.order_life), input);
    let mut authorizations = Vec::with_capacity(input.identifiers.len());
    let mut order_expires = expires;
    for ((identifier, seed), valid) in input
        .identifiers
        .iter()
        .zip(&input.authorization_seeds)
        .zip(valid)
    {
        // A reused authorization must live past the order; a quarter of the order's life is enough, for the order then
        // ends with it.
        let reused = valid.filter(|a| {
            authorizations::reusable(
                a,
                &input.policy.challenges,
                input.now.plus(input.policy.order_life / 4),
                input.now,
            )
        });
        let authorization = match reused {
            Some(authorization) => {
                order_expires = order_expires.min(authorization.expires);
                authorization
            }
            None => {
                let made = authorizations::pending(
                    seed.clone(),
                    (input.account, Some(input.id), input.directory),
                    identifier,
                    &input.policy.challenges,
                    input.now,
                    input
                        .policy
                        .pending_authorization_life
                        .min(input.policy.order_life),
                );
                changes.insert_authorizations.push(made.clone());
                made
            }
        };
        authorizations.push(authorization);
    }
    let order = Order {
        id: input.id,
        account: input.account,
        directory: input.directory,
        identifiers: input.identifiers.clone(),
        not_before: input.not_before,
        not_after: input.not_after,
        profile: input.profile.clone(),
        profile_hash: input.profile_hash,
        replaces: input.replaces.as_ref().map(|r| r.id),
        fingerprint: fingerprint(input),
        state: OrderState::Open,
        expires: order_expires,
        authorizations: authorizations.iter().map(|a| a.id).collect(),
        certificate: None,
        error: None,
        attempts: 0,
        created_at: input.now,
    };
    changes.insert_orders.push(order.clone());
    Decision {
        changes,
        answer: Ok(OrderPlaced {
            order,
            authorizations,
            created: true,
        }),
    }
}

/// An order with dates of its own can be finalized only while these still make sense ([`out_of_dates`]).
fn finishable_until(life: Timestamp, input: &CreateOrder) -> Timestamp {
    // A second more than the slack: one that lies just within it is not born expired.
    let start = input
        .not_before
        .map(|start| start.plus(NOT_BEFORE_SLACK + Duration::from_secs(1)));
    [start, input.not_after]
        .into_iter()
        .flatten()
        .fold(life, Ord::min)
}

/// Why an order can no longer have a certificate with the dates that it asked for: one that ended already, or that
/// vouches for a past that nobody checked.
#[must_use]
pub fn out_of_dates(order: &Order, now: Timestamp) -> Option<Problem> {
    if let Some(end) = order.not_after.filter(|end| *end <= now) {
        return Some(Problem::order_not_ready(format!(
            "the order's notAfter, {end}, has passed; place a new order"
        )));
    }
    let start = order
        .not_before
        .filter(|s| now.since(*s) > NOT_BEFORE_SLACK)?;
    Some(Problem::order_not_ready(format!(
        "the order's notBefore, {start}, lies more than an hour in the past; place a new order"
    )))
}

/// Marks an open order whose time has passed, for the sweeper; one row and its audit.
#[must_use]
pub fn expire(mut order: Order, now: Timestamp) -> Option<Changes> {
    if order.state != OrderState::Open || order.expires > now {
        return None;
    }
    order.state = OrderState::Invalid;
    order.error = Some(Problem::malformed(
        "the order expired before it was finalized",
    ));
    let row = audit(
        now,
        "order-expired",
        Some(order.account),
        Some(order.id),
        &[],
    );
    Some(Changes {
        update_orders: vec![order],
        audit: vec![row],
        ..Changes::default()
    })
}
