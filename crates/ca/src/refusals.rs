//! Refusals that no transaction describes, written down for the operator before the client hears of them.

use std::net::IpAddr;

use cairn_acme::problem::Problem;
use tracing::warn;

use crate::{
    id::{AccountId, OrderId},
    model::Certificate,
    node::Ca,
    store::{Claimant, RecordRefusal},
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
        serial: None,
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
        serial: None,
        address: Some(address),
        detail: cut(&format!("{}: {}", problem.kind.name(), problem.detail)),
        now: ca.clock.wall(),
    };
    write(ca, record).await;
}

/// The same of a revocation, as far as the bound of who asked allows; it is found with the certificate.
pub(crate) async fn note_revocation(
    ca: &Ca,
    claimant: &Claimant,
    certificate: &Certificate,
    address: Option<IpAddr>,
    problem: &Problem,
) {
    let now = ca.clock.monotonic();
    let (account, has_room) = match claimant {
        Claimant::Account(account) => (Some(*account), ca.limits.may_note_refusal(*account, now)),
        Claimant::Key(_) | Claimant::Operator => {
            let has_room = |address| ca.limits.may_note_stranger(address, now);
            (None, address.is_some_and(has_room))
        }
    };
    if !has_room {
        return;
    }
    // A stranger's try is no event of the order: else strangers fill its history until nobody finds what happened.
    let is_own = account == Some(certificate.account);
    let record = RecordRefusal {
        event: "revocation-refused",
        account,
        order: is_own.then_some(certificate.order),
        serial: Some(certificate.key.serial),
        address,
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
