//! What is known of the clients, and the way of an exchange through the checks.

use super::{Finding, Ledger};
use crate::dev::Exchange;

/// What clients were told and what they did wrong.
#[derive(Debug, Default)]
pub struct Checker {
    ledger: Ledger,
}

impl Checker {
    /// Checks an exchange against what was before it.
    pub fn check(&mut self, _exchange: &Exchange) -> Vec<Finding> {
        Vec::new()
    }

    /// The counts.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Forgets what was found, not what was told.
    pub fn clear(&mut self) {
        self.ledger = Ledger::default();
    }
}
