use super::*;
use crate::{
    config::Span,
    id::{DirectoryId, OrderId},
    model::OrderState,
};

fn limits() -> Limits {
    Limits::new(config::Limits {
        pending_orders: 3,
        pending_authorizations: 5,
        bad_signatures_per_minute: 4,
        hold: Span::from_secs(2),
        holds_per_account: 2,
        holds_per_address: 3,
        holds: 4,
        ..config::Limits::default()
    })
}

fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

#[test]
fn bad_signatures_of_an_address_are_bounded_a_minute() {
    // T-CA-112 8555-6.6-1
    let limits = limits();
    let (from, now) = (address("192.0.2.1"), Duration::from_secs(500));
    for _ in 0..4 {
        assert!(limits.may_verify(from, now).is_ok());
        limits.bad_signature(from, now);
    }
    let refusal = limits.may_verify(from, now).unwrap_err();
    assert_eq!(
        (refusal.kind.clone(), refusal.status),
        (ProblemType::RateLimited, 429)
    );
    let wait = refusal.retry_after.unwrap();
    assert!(
        wait >= Duration::from_secs(1) && wait <= Duration::from_secs(15),
        "{wait:?}"
    );
    // Honest: at the second named it works again, and others were never touched.
    assert!(limits.may_verify(from, now + wait).is_ok());
    assert!(limits.may_verify(address("192.0.2.2"), now).is_ok());
    assert!(
        limits.may_verify(address("::ffff:192.0.2.1"), now).is_err(),
        "mapped is the same address"
    );
}

#[test]
fn an_ipv6_slash_64_is_one_address() {
    let limits = limits();
    for host in 1..=4 {
        limits.bad_signature(address(&format!("2001:db8:0:1::{host}")), Duration::ZERO);
    }
    assert!(
        limits
            .may_verify(address("2001:db8:0:1:ffff::9"), Duration::ZERO)
            .is_err()
    );
    assert!(
        limits
            .may_verify(address("2001:db8:0:2::1"), Duration::ZERO)
            .is_ok()
    );
}

#[test]
fn the_table_of_addresses_is_bounded() {
    let table = signatures::BadSignatures::default();
    let bound = u32::try_from(signatures::ADDRESSES).unwrap();
    for n in 0..bound + 1000 {
        table.count(Network::V4(n.to_be_bytes()), 10, Duration::ZERO);
    }
    assert_eq!(table.len(), signatures::ADDRESSES);
    table.count(Network::V6([1; 8]), 10, Duration::from_secs(600));
    assert_eq!(table.len(), 1, "paid debts are swept when room is needed");
}

#[test]
fn reservations_count_until_they_are_dropped() {
    // T-CA-115 (bounds per account)
    let limits = limits();
    let first = limits.reserve_order(account(1), 2, NOW).unwrap();
    let second = limits.reserve_order(account(1), 2, NOW).unwrap();
    let refused = limits.reserve_order(account(1), 2, NOW).unwrap_err();
    assert_eq!(refused.status, 429);
    assert!(
        refused.detail.contains("pending authorizations"),
        "{}",
        refused.detail
    );
    let third = limits.reserve_order(account(1), 1, NOW).unwrap();
    assert!(
        limits
            .reserve_order(account(1), 0, NOW)
            .unwrap_err()
            .detail
            .contains("unfinished orders")
    );
    assert!(
        limits.reserve_order(account(2), 5, NOW).is_ok(),
        "another account is not touched"
    );
    drop((first, second, third));
    assert_eq!(limits.tracked(), (0, 0));
}

#[test]
fn the_table_of_pending_work_is_bounded_and_swept_once_a_second_at_most() {
    // T-CA-115
    let table = Arc::new(pending::Pending::bounded(2));
    let reserve =
        |n: u8, now: Timestamp| pending::reserve(&table, account(n), 1, (3, 5), now).map(drop);
    let order = |n: u8, expires: Timestamp| Order {
        id: OrderId::from_bytes([n; 16]),
        account: account(n),
        directory: DirectoryId::FIRST,
        state: OrderState::Open,
        attempts: 0,
        fingerprint: 0,
        expires,
        created_at: NOW,
        identifiers: Vec::new(),
        authorizations: Vec::new(),
        profile: None,
        profile_hash: [0; 32],
        replaces: None,
        not_before: None,
        not_after: None,
        certificate: None,
        error: None,
    };
    let second = Duration::from_secs(1);
    table.on_order(&order(1, NOW.plus(10 * second)));
    table.on_order(&order(2, NOW.plus(second / 2)));
    table.on_order(&order(3, NOW.plus(10 * second)));
    assert_eq!(table.accounts(), 2);
    // The first look sweeps, in vain.
    assert!(matches!(
        reserve(3, NOW),
        Err(pending::Refusal::Accounts(_))
    ));
    assert!(reserve(1, NOW).is_ok(), "who is counted goes on");
    // Account 2's order has expired, but the table was swept within the second.
    let soon = NOW.plus(second * 3 / 4);
    assert!(matches!(
        reserve(3, soon),
        Err(pending::Refusal::Accounts(_))
    ));
    assert!(reserve(3, NOW.plus(second)).is_ok());
    assert_eq!(table.accounts(), 1);
}

#[test]
fn holds_are_bounded_per_account_address_and_node() {
    let limits = limits();
    let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
    let mut held = vec![
        limits.hold(account(1), here).unwrap(),
        limits.hold(account(1), here).unwrap(),
    ];
    assert_eq!(
        limits.hold(account(1), there).unwrap_err(),
        HoldRefusal::Account
    );
    held.push(limits.hold(account(2), here).unwrap());
    assert_eq!(
        limits.hold(account(3), here).unwrap_err(),
        HoldRefusal::Address
    );
    held.push(limits.hold(account(3), there).unwrap());
    assert_eq!(
        limits.hold(account(4), there).unwrap_err(),
        HoldRefusal::Node
    );
    assert_eq!(limits.held(), 4);
    held.clear();
    assert_eq!(limits.held(), 0);
    assert!(limits.hold(account(1), here).is_ok());
}
