//! Orders of the CA itself: for its own listener, and on an operator's word.

use super::{Decision, RowFault, Rows, Transaction};
use crate::{
    authority::internal_orders,
    model::{Method, Order},
    operator::OperatorGrant,
};

pub use crate::authority::internal_orders::{InternalName, InternalOrder};

/// An order for the CA's own listener's certificate: the one name is the configured host, and the authorization is valid by
/// that.
#[derive(Debug, Clone)]
pub struct CreateOwnOrder(pub InternalOrder);

impl Transaction for CreateOwnOrder {
    const NAME: &'static str = "create_own_order";
    type Answer = Order;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Order>, RowFault> {
        let existing = rows
            .account_by_key(self.0.account.directory, &self.0.account.thumbprint)
            .await?;
        let shown = internal_orders::Shown {
            event: "own-order-created",
            method: Method::OwnHost,
            detail: "the host of the configured url".to_owned(),
        };
        Ok(internal_orders::place(&self.0, existing, &shown))
    }
}

/// An order on an operator's word. It is worth nothing without the grant: `begin_issuance` asks for it again.
#[derive(Debug, Clone)]
pub struct CreateGrantedOrder {
    /// What is ordered.
    pub order: InternalOrder,
    /// By which word.
    pub grant: OperatorGrant,
}

impl Transaction for CreateGrantedOrder {
    const NAME: &'static str = "create_granted_order";
    type Answer = Order;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Order>, RowFault> {
        let existing = rows
            .account_by_key(self.order.account.directory, &self.order.account.thumbprint)
            .await?;
        let shown = internal_orders::Shown {
            event: "granted-order-created",
            method: Method::OperatorGrant,
            detail: format!("an operator's word for order {}", self.grant.order()),
        };
        Ok(internal_orders::place(&self.order, existing, &shown))
    }
}
