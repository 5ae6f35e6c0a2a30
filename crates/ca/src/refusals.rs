//! Refusals that no transaction describes, written down for the operator before the client hears of them.

use std::net::IpAddr;

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
        address: None,
        detail: cut(&problem.detail),
        now: ca.clock.wall(),
    };
    write(ca, record).await;
}

/// The same of a request that no account made, as far as its address's bound allows.
pub(crate) async fn note_stranger(
    ca: &Ca,
    event: &'static str,
    address: IpAddr,
    problem: &Problem,
) {
    if !ca.limits.may_note_stranger(address, ca.clock.monotonic()) {
        return;
    }
    let record = RecordRefusal {
        event,
        account: None,
        order: None,
        address: Some(address),
        detail: cut(&format!("{}: {}", problem.kind.name(), problem.detail)),
        now: ca.clock.wall(),
    };
    write(ca, record).await;
}

fn cut(detail: &str) -> String {
    detail.chars().take(DETAIL_CHARS_MAX).collect()
}

async fn write(ca: &Ca, record: RecordRefusal) {
    let event = record.event;
    if let Err(error) = ca.store.transact(record).await {
        warn!(event, %error, "a refusal could not be written down");
    }
}
