//! Orders of the CA itself. The account is the issuing key's, so that no subscriber can have it, and the authorizations
//! are valid by what the server knows, not by a challenge. They end in the one issuance function as every order does.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use std::time::Duration;

use cairn_acme::{
    challenge::ChallengeType,
    identifier::Identifier,
    status::{AccountStatus, AuthorizationStatus, ChallengeStatus},
    time::Timestamp,
};

use super::{
    accounts, audit,
    authorizations::{self, Seed},
};
use crate::{
    id::OrderId,
    model::{Account, Challenge, Evidence, Method, Order, OrderState},
    store::{Changes, Decision},
};

/// One name of such an order.
#[derive(Debug, Clone)]
pub struct InternalName {
    pub name: Identifier,
    pub authorization: Seed,
}

/// An order of the CA itself.
#[derive(Debug, Clone)]
pub struct InternalOrder {
    /// The CA's own account, as it is made if it is not there.
    pub account: Account,
    pub order: OrderId,
    /// Sorted, without duplicates.
    pub names: Vec<InternalName>,
    pub profile: Option<String>,
    pub profile_hash: [u8; 32],
    pub life: Duration,
    pub now: Timestamp,
}

/// By what its names are shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The audit row's name.
    pub event: &'static str,
    pub method: Method,
    pub detail: String,
}

/// Places the order, ready to be issued.
#[must_use]
pub fn place(input: &InternalOrder, existing: Option<Account>, shown: &Shown) -> Decision<Order> {
    let mut changes = Changes::default();
    let account = match existing {
        Some(account) => account,
        None => {
            changes.insert_accounts.push(input.account.clone());
            input.account.clone()
        }
    };
    if account.status != AccountStatus::Valid {
        return Decision::refuse(accounts::not_valid(account.status));
    }
    let ids = (account.id, Some(input.order), account.directory);
    for InternalName {
        name,
        authorization,
    } in &input.names
    {
        let seed = authorization.clone();
        let mut made = authorizations::pending(seed, ids, name, &[], input.now, input.life);
        made.status = AuthorizationStatus::Valid;
        // Never answered: no other order may reuse it.
        made.challenges = vec![Challenge {
            kind: ChallengeType::Http01,
            status: ChallengeStatus::Pending,
            validated: None,
            error: None,
            key_authorization: None,
        }];
        made.evidence = Some(Evidence {
            method: shown.method,
            validated_at: input.now,
            addresses: Vec::new(),
            detail: shown.detail.clone(),
            caa: None,
        });
        changes.insert_authorizations.push(made);
    }
    let order = Order {
        id: input.order,
        account: account.id,
        directory: account.directory,
        identifiers: input.names.iter().map(|n| n.name.clone()).collect(),
        not_before: None,
        not_after: None,
        profile: input.profile.clone(),
        profile_hash: input.profile_hash,
        replaces: None,
        // Never looked for: each of these orders is used at once.
        fingerprint: 0,
        state: OrderState::Open,
        expires: input.now.plus(input.life),
        authorizations: changes.insert_authorizations.iter().map(|a| a.id).collect(),
        certificate: None,
        error: None,
        attempts: 0,
        created_at: input.now,
    };
    let names: Vec<String> = order.identifiers.iter().map(ToString::to_string).collect();
    changes.audit.push(audit(
        input.now,
        shown.event,
        Some(account.id),
        Some(order.id),
        &[("names", &names.join(","))],
    ));
    changes.insert_orders.push(order.clone());
    Decision {
        changes,
        answer: Ok(order),
    }
}
