//! newOrder as Pebble has it: always a new order, and valid authorizations are taken over by chance.

use crate::{
    authority::orders,
    store::{CreateOrder, Decision, OrderPlaced, RowFault, Rows, Transaction},
};

/// Places an order and finds none.
#[derive(Debug, Clone)]
pub(crate) struct FreshOrder {
    pub(crate) wanted: CreateOrder,
    /// For each identifier, whether a valid authorization is taken over.
    pub(crate) reuse: Vec<bool>,
}

impl Transaction for FreshOrder {
    const NAME: &'static str = "create_fresh_order";
    type Answer = OrderPlaced;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<OrderPlaced>, RowFault> {
        let mut known = self.wanted.known(rows).await?;
        for (valid, reuse) in known.valid.iter_mut().zip(&self.reuse) {
            *valid = valid.take().filter(|_| *reuse);
        }
        Ok(orders::create(
            &self.wanted,
            known.account,
            Vec::new(),
            known.valid,
            known.predecessor,
        ))
    }
}
