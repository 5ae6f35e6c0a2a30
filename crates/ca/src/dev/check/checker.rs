//! The way of an exchange through the checks: first the request is judged by what clients knew, then its answer is learnt.

use super::{
    Finding, Ledger,
    asks::Asks,
    look::{Look, Sink},
    nonces::Nonces,
    objects::{Known, Objects},
    payload,
    renewal::Renewals,
    transport,
    urls::Urls,
};
use crate::dev::Exchange;

/// What clients were told and what they did wrong.
#[derive(Debug, Default)]
pub struct Checker {
    ledger: Ledger,
    turn: u64,
    nonces: Nonces,
    asks: Asks,
    urls: Urls,
    objects: Objects,
    renewals: Renewals,
}

impl Checker {
    /// Checks an exchange that has ended, against what was before it.
    pub fn check(&mut self, exchange: &Exchange) -> Vec<Finding> {
        self.turn += 1;
        let mut look = Look::at(exchange, self.turn);
        let mut sink = Sink {
            ledger: &mut self.ledger,
            found: Vec::new(),
        };
        self.nonces.used(&mut look, &mut sink);
        transport::check(&look, &mut sink);
        self.asks.check(&look, &self.nonces, &mut sink);
        self.urls.check(&look, &mut sink);
        payload::check(&look, &mut sink);
        let known = Known {
            nonces: &self.nonces,
            is_account_key: &|key| self.urls.is_account_key(key),
        };
        self.objects.check(&look, &known, &mut sink);
        self.renewals.check(&look, &self.nonces, &mut sink);

        self.nonces.learn(&look);
        self.asks.learn(&look, &mut sink);
        self.urls.learn(&look);
        self.objects.learn(&look);
        sink.found
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
