//! The one transaction of faults: an authorization or an order takes an end that nobody asked for. What follows from it,
//! follows by the rules that always hold.

use cairn_acme::{problem::Problem, status::AuthorizationStatus, time::Timestamp};

use super::Fate;
use crate::{
    authority::audit,
    id::{AccountId, AuthorizationId, OrderId},
    model::{Authorization, Order, OrderState},
    store::{Changes, Decision, RowFault, Rows, Transaction},
};

/// What shall end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// That authorization.
    Authorization(AuthorizationId, Fate),
    /// The first one of that order.
    FirstOf(OrderId, Fate),
    /// That order, if it is open.
    Order(OrderId),
}

/// Ends it, if it is that account's.
#[derive(Debug, Clone)]
pub(crate) struct Disturb {
    pub(crate) account: AccountId,
    pub(crate) target: Target,
    pub(crate) now: Timestamp,
}

impl Transaction for Disturb {
    const NAME: &'static str = "disturb";
    type Answer = ();

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<()>, RowFault> {
        let (id, fate) = match self.target {
            Target::Order(id) => {
                let order = rows.order(self.account, id).await?;
                return Ok(self.order(order));
            }
            Target::Authorization(id, fate) => (Some(id), fate),
            Target::FirstOf(id, fate) => {
                let order = rows.order(self.account, id).await?;
                let first = order.and_then(|order| order.authorizations.first().copied());
                (first, fate)
            }
        };
        let found = match id {
            Some(id) => rows.authorization(self.account, id).await?,
            None => None,
        };
        Ok(self.authorization(found, fate))
    }
}

impl Disturb {
    fn order(&self, order: Option<Order>) -> Decision<()> {
        let Some(mut order) = order.filter(|order| order.state == OrderState::Open) else {
            return Decision::unchanged(());
        };
        order.state = OrderState::Invalid;
        order.error = Some(Problem::server_internal(
            "this test CA was told to let the order fail",
        ));
        let row = audit(
            self.now,
            "order-disturbed",
            Some(self.account),
            Some(order.id),
            &[],
        );
        Decision {
            changes: Changes {
                update_orders: vec![order],
                audit: vec![row],
                ..Changes::default()
            },
            answer: Ok(()),
        }
    }

    fn authorization(&self, found: Option<Authorization>, fate: Fate) -> Decision<()> {
        let Some(mut authorization) = found else {
            return Decision::unchanged(());
        };
        let live = [AuthorizationStatus::Pending, AuthorizationStatus::Valid];
        if !live.contains(&authorization.status) {
            return Decision::unchanged(());
        }
        match fate {
            Fate::Revoked => authorization.status = AuthorizationStatus::Revoked,
            Fate::Deactivated => authorization.status = AuthorizationStatus::Deactivated,
            // `expired` follows from the clock.
            Fate::Expired => authorization.expires = authorization.expires.min(self.now),
        }
        let row = audit(
            self.now,
            "authorization-disturbed",
            Some(self.account),
            authorization.order,
            &[
                ("identifier", &authorization.identifier.to_string()),
                ("fate", &fate.to_string()),
            ],
        );
        Decision {
            changes: Changes {
                update_authorizations: vec![authorization],
                audit: vec![row],
                ..Changes::default()
            },
            answer: Ok(()),
        }
    }
}
