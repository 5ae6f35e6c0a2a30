//! Authorizations (RFC 8555 §7.1.4, §7.1.6): how they look from outside, what may be reused, deactivation.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use std::time::Duration;

use cairn_acme::{
    challenge::{ChallengeType, Token},
    identifier::Identifier,
    problem::Problem,
    status::{AccountStatus, AuthorizationStatus, ChallengeStatus},
    time::Timestamp,
};

use super::{accounts, audit, no_such_object};
use crate::{
    id::{AccountId, AuthorizationId, DirectoryId, OrderId},
    model::{Account, Authorization, Challenge, Order, OrderState, Requester},
    store::{Changes, Decision},
};

/// The status as seen from outside: `expired` follows from the clock.
#[must_use]
pub fn view(authorization: &Authorization, now: Timestamp) -> AuthorizationStatus {
    match authorization.status {
        AuthorizationStatus::Pending | AuthorizationStatus::Valid
            if authorization.expires <= now =>
        {
            AuthorizationStatus::Expired
        }
        status => status,
    }
}

/// What a new authorization is made of.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Its id.
    pub id: AuthorizationId,
    /// The token of all its challenges.
    pub token: Token,
}

/// Makes a pending authorization with those of the offered challenges that can show control of the identifier.
#[must_use]
pub fn pending(
    seed: Seed,
    (account, order, directory): (AccountId, Option<OrderId>, DirectoryId),
    identifier: &Identifier,
    offered: &[ChallengeType],
    now: Timestamp,
    life: Duration,
) -> Authorization {
    let challenges = offered
        .iter()
        .filter(|kind| kind.fits(identifier))
        .map(|kind| Challenge {
            kind: *kind,
            status: ChallengeStatus::Pending,
            validated: None,
            error: None,
            key_authorization: None,
        })
        .collect();
    Authorization {
        id: seed.id,
        account,
        order,
        directory,
        identifier: identifier.base(),
        wildcard: identifier.is_wildcard(),
        status: AuthorizationStatus::Pending,
        expires: now.plus(life),
        token: seed.token,
        challenges,
        evidence: None,
        trace: None,
        created_at: now,
    }
}

/// What newAuthz asks for, judged by the policy on names (RFC 8555 §7.4.1).
#[derive(Debug, Clone)]
pub struct CreateAuthorization {
    pub seed: Seed,
    pub account: AccountId,
    pub directory: DirectoryId,
    /// No wildcard.
    pub identifier: Identifier,
    /// Offered, in this order.
    pub challenges: Vec<ChallengeType>,
    pub life: Duration,
    pub requester: Requester,
    pub now: Timestamp,
}

/// Makes a pending authorization without an order. A later order takes it once it is valid.
#[must_use]
pub fn create(input: &CreateAuthorization, account: Option<Account>) -> Decision<Authorization> {
    match account {
        Some(account) if account.status == AccountStatus::Valid => {}
        Some(account) => return Decision::refuse(accounts::not_valid(account.status)),
        None => return Decision::refuse(no_such_object("account")),
    }
    let authorization = pending(
        input.seed.clone(),
        (input.account, None, input.directory),
        &input.identifier,
        &input.challenges,
        input.now,
        input.life,
    );
    let row = audit(
        input.now,
        "authorization-created",
        Some(input.account),
        None,
        &[
            ("identifier", &authorization.identifier.to_string()),
            ("address", &accounts::address(&input.requester)),
        ],
    );
    Decision {
        changes: Changes {
            insert_authorizations: vec![authorization.clone()],
            audit: vec![row],
            ..Changes::default()
        },
        answer: Ok(authorization),
    }
}

/// Whether a valid authorization may stand in for a new one: same method still offered, and living past the order it
/// joins. Its age counts from the validation, not from the last use (T-CA-46): `expires` was set then.
#[must_use]
pub fn reusable(
    authorization: &Authorization,
    offered: &[ChallengeType],
    needed_until: Timestamp,
    now: Timestamp,
) -> bool {
    view(authorization, now) == AuthorizationStatus::Valid
        && authorization.expires >= needed_until
        && authorization
            .challenges
            .iter()
            .any(|c| c.status == ChallengeStatus::Valid && offered.contains(&c.kind))
}

/// What a deactivation asks for (RFC 8555 §7.5.2).
#[derive(Debug, Clone)]
pub struct DeactivateAuthorization {
    pub account: AccountId,
    pub authorization: AuthorizationId,
    pub requester: Requester,
    pub now: Timestamp,
}

/// Whether a deactivation will change it.
#[must_use]
pub fn can_be_deactivated(authorization: &Authorization, now: Timestamp) -> bool {
    matches!(
        view(authorization, now),
        AuthorizationStatus::Pending | AuthorizationStatus::Valid
    )
}

/// Deactivates for good; open orders that rest on it become invalid (8555-7.5.2-1).
#[must_use]
pub fn deactivate(
    input: &DeactivateAuthorization,
    account: Option<Account>,
    authorization: Option<Authorization>,
    resting: Vec<Order>,
) -> Decision<Authorization> {
    match account {
        Some(account) if account.status == AccountStatus::Valid => {}
        Some(account) => return Decision::refuse(accounts::not_valid(account.status)),
        None => return Decision::refuse(no_such_object("authorization")),
    }
    let Some(mut authorization) = authorization else {
        return Decision::refuse(no_such_object("authorization"));
    };
    if !can_be_deactivated(&authorization, input.now) {
        return match view(&authorization, input.now) {
            AuthorizationStatus::Deactivated => Decision::unchanged(authorization),
            status => Decision::refuse(Problem::malformed(format!(
                "the authorization is {}; only a pending or valid one can be deactivated",
                super::orders::word(&status)
            ))),
        };
    }
    authorization.status = AuthorizationStatus::Deactivated;
    let mut changes = Changes::default();
    for mut order in resting {
        if order.state == OrderState::Open && order.authorizations.contains(&authorization.id) {
            order.state = OrderState::Invalid;
            order.error = Some(Problem::unauthorized(format!(
                "the authorization of {} was deactivated",
                authorization.identifier
            )));
            changes.update_orders.push(order);
        }
    }
    changes.audit.push(audit(
        input.now,
        "authorization-deactivated",
        Some(input.account),
        authorization.order,
        &[("identifier", &authorization.identifier.to_string())],
    ));
    changes.update_authorizations.push(authorization.clone());
    Decision {
        changes,
        answer: Ok(authorization),
    }
}
