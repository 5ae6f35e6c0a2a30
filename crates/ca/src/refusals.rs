//! Refusals that no transaction describes, written down for the operator before the client hears of them.

use cairn_acme::problem::Problem;
use tracing::warn;

use crate::{
    id::{AccountId, OrderId},
    node::Ca,
    store::RecordRefusal,
};

/// Of a detail, which may repeat what the client sent.
const DETAIL_CHARS_MAX: usize = 400;

/// Writes one down, as far as the account's bound allows. A store that cannot write does not keep the client from its
/// answer, which changes nothing.
pub(crate) async fn note(
    ca: &Ca,
    event: &'static str,
    account: AccountId,
    order: Option<OrderId>,
    problem: &Problem,
) {
    if !ca.limits.may_note_refusal(account, ca.clock.monotonic()) {
        return;
    }
    let record = RecordRefusal {
        event,
        account: Some(account),
        order,
        detail: problem.detail.chars().take(DETAIL_CHARS_MAX).collect(),
        now: ca.clock.wall(),
    };
    if let Err(error) = ca.store.transact(record).await {
        warn!(%account, %error, "a refusal could not be written down");
    }
}
