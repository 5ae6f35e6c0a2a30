//! What a client does wrong, told from the exchanges alone: (state, exchange) → (state, findings), without a clock, a socket
//! or a random source. [`CHECKS`] is the table of what is looked for; `unseen` lists what a server cannot see, so that the
//! two together are every line for clients of RFC 8555, 8737, 8738, 9773 and the profiles draft.
//!
//! A false alarm is worse than a miss. What a client knows is what the answers that were *sent* told it, not what the server
//! did; an answer that may have been lost binds nobody; and what one client was told never binds another.

mod asks;
mod bounded;
mod checker;
mod junit;
mod ledger;
mod look;
mod nonces;
mod objects;
mod payload;
mod renewal;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod transport;
mod unseen;
mod urls;

pub use self::{
    checker::Checker,
    ledger::{Finding, Ledger, Tally, Verdict},
    report::{Format, report},
    table::{CHECKS, Check, Level, Rule, markdown as checks_markdown},
    unseen::{UNSEEN, Unseen, markdown as unseen_markdown},
};
