//! The rules, pure: from what was just read, the input and the time to what shall be written and answered. Nothing here
//! names HTTP, SQL, a socket, a clock or a random source.

pub mod accounts;
pub mod authorizations;
pub mod caa;
pub mod external;
pub mod internal_orders;
pub mod issuance;
pub mod keys;
pub mod order_request;
pub mod orders;
pub mod policy;
pub mod profiles;
pub mod public_suffix;
pub mod renewal;
pub mod replacements;
pub mod revocations;
pub mod validations;

use cairn_acme::{problem::Problem, time::Timestamp};

use crate::{
    id::{AccountId, OrderId},
    model::AuditEvent,
};

/// The answer for an object that is not there or is another account's: the same for both (T-CA-28).
#[must_use]
pub fn no_such_object(what: &str) -> Problem {
    Problem::malformed(format!("there is no such {what}")).status(404)
}

/// An audit row. `detail` becomes a JSON object of string members.
#[must_use]
pub fn audit(
    at: Timestamp,
    event: &'static str,
    account: Option<AccountId>,
    order: Option<OrderId>,
    detail: &[(&str, &str)],
) -> AuditEvent {
    let members = detail
        .iter()
        .map(|(k, v)| ((*k).to_owned(), serde_json::Value::from(*v)))
        .collect();
    AuditEvent {
        at,
        event,
        account,
        order,
        serial: None,
        detail: serde_json::Value::Object(members).to_string(),
    }
}
