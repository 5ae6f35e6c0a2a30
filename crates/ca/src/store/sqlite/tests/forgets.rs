//! What a test CA's store forgets, and what it does not.

use super::{
    super::forget::{GRACE, forget},
    *,
};
use crate::{
    model::{Authorization, Certificate},
    store::conformance::begin_issuance_of,
};

/// So many of the newest are kept.
const KEPT: u8 = 8;

/// Orders 1 to `count`, issued; each has the certificate of its number.
async fn issued(count: u8) -> Store {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    let names: Vec<String> = (1..=count).map(|n| format!("n{n}.test")).collect();
    let orders: Vec<(&str, u8)> = names.iter().map(String::as_str).zip(1..).collect();
    ready_orders(&store, &orders).await;
    for (name, n) in orders {
        store.transact(begin_issuance_of(name, n, n)).await.unwrap();
        store.transact(conclude_issuance(n, n)).await.unwrap();
    }
    store
}

/// One look, so long after the first.
async fn look(store: &Store, before: Forgotten, after: Duration) -> Forgotten {
    let kept = i64::from(KEPT);
    let looked = store.at_writer(move |w| {
        let newest: i64 = w
            .conn()
            .query_row("SELECT max(row) FROM orders", [], |row| row.get(0))
            .map_err(Fault::from)?;
        w.transaction("forget", |w| forget(w, (kept, newest, after), before))
    });
    looked.await.unwrap()
}

/// As the table says.
async fn has_order(store: &Store, n: u8) -> bool {
    store.inner.shared.cache.clear();
    let order = store.order(account_id(1), order_id(n)).await.unwrap();
    order.is_some()
}

async fn authorization(store: &Store, n: u8) -> Option<Arc<Authorization>> {
    store.inner.shared.cache.clear();
    let id = authorization_id(n);
    store.authorization(account_id(1), id).await.unwrap()
}

async fn has_authorization(store: &Store, n: u8) -> bool {
    authorization(store, n).await.is_some()
}

/// From the table, whatever memory holds.
async fn certificate(store: &Store, n: u8) -> Certificate {
    store.inner.shared.cache.clear();
    let serial = key_of_certificate(n).serial;
    let found = store.certificate(serial).await.unwrap().unwrap();
    Certificate::clone(&found)
}

#[tokio::test]
async fn ended_orders_go_a_while_after_they_ended_and_the_newest_stay() {
    let store = issued(20).await;
    let before = look(&store, Forgotten::default(), Duration::ZERO).await;
    for n in 1..=20 {
        assert!(has_order(&store, n).await, "order {n} has just ended");
    }
    let before = look(&store, before, GRACE / 2).await;
    assert!(has_order(&store, 1).await);
    look(&store, before, GRACE).await;
    for n in 1..=20 {
        let stays = n > 20 - KEPT;
        assert_eq!(has_order(&store, n).await, stays, "order {n}");
        assert_eq!(
            has_authorization(&store, n).await,
            stays,
            "authorization {n}"
        );
    }
}

#[tokio::test]
async fn a_certificate_is_delivered_for_ever_and_how_it_came_about_is_told_of_the_newest() {
    let store = issued(20).await;
    let (old, new) = (certificate(&store, 1).await, certificate(&store, 20).await);
    let before = look(&store, Forgotten::default(), Duration::ZERO).await;
    look(&store, before, GRACE).await;
    let left = Certificate {
        lint: String::new(),
        evidence: "{}".to_owned(),
        request: Vec::new(),
        ..old.clone()
    };
    let told = |certificate: &Certificate| format!("{certificate:?}");
    assert_ne!(told(&left), told(&old));
    assert_eq!(told(&certificate(&store, 1).await), told(&left));
    assert_eq!(told(&certificate(&store, 20).await), told(&new));
}

#[tokio::test]
async fn a_certificate_whose_signature_is_awaited_keeps_the_request_that_it_is_built_from() {
    let store = issued(20).await;
    ready_orders(&store, &[("slow.test", 101)]).await;
    let slow = begin_issuance_of("slow.test", 101, 101);
    store.transact(slow).await.unwrap();
    let many: Vec<String> = (120..130).map(|n| format!("n{n}.test")).collect();
    let many: Vec<(&str, u8)> = many.iter().map(String::as_str).zip(120..).collect();
    ready_orders(&store, &many).await;
    for (name, n) in many {
        let begin = begin_issuance_of(name, n, n);
        store.transact(begin).await.unwrap();
        store.transact(conclude_issuance(n, n)).await.unwrap();
    }
    let before = look(&store, Forgotten::default(), Duration::ZERO).await;
    look(&store, before, GRACE).await;
    assert!(!certificate(&store, 101).await.request.is_empty());
    assert!(certificate(&store, 120).await.request.is_empty());
}

#[tokio::test]
async fn what_attempts_saw_is_told_of_the_newest_authorizations_alone() {
    let store = issued(20).await;
    let before = authorization(&store, 15).await.unwrap();
    let newest = authorization(&store, 20).await.unwrap();
    look(&store, Forgotten::default(), Duration::ZERO).await;
    let left = Authorization {
        trace: None,
        ..Authorization::clone(&before)
    };
    let told = |authorization: &Authorization| format!("{authorization:?}");
    assert_ne!(told(&left), told(&before));
    let after = authorization(&store, 15).await.unwrap();
    assert_eq!(told(&after), told(&left));
    let after = authorization(&store, 20).await.unwrap();
    assert_eq!(told(&after), told(&newest));
}

#[tokio::test]
async fn open_orders_and_what_they_name_stay_however_old() {
    let store = issued(20).await;
    // It names the authorization of the first order, which is valid.
    let open = create_order(101, &["n1.test", "other.test"]);
    let open = store.transact(open).await.unwrap();
    assert!(open.order.authorizations.contains(&authorization_id(1)));
    for n in 120..140 {
        let order = create_order(n, &[&format!("n{n}.test")]);
        store.transact(order).await.unwrap();
    }
    let before = look(&store, Forgotten::default(), Duration::ZERO).await;
    look(&store, before, GRACE).await;
    assert!(!has_order(&store, 1).await && has_authorization(&store, 1).await);
    assert!(!has_authorization(&store, 2).await);
    assert!(has_order(&store, 101).await);
}

#[tokio::test]
async fn rows_that_were_cut_leave_their_room_to_others() {
    let store = issued(200).await;
    let in_use = async || {
        let pages = store.at_writer(|w| {
            let count = |sql: &str| w.conn().query_row(sql, [], |row| row.get::<_, i64>(0));
            let all = count("PRAGMA page_count").map_err(Fault::from)?;
            Ok(all - count("PRAGMA freelist_count").map_err(Fault::from)?)
        });
        pages.await.unwrap()
    };
    let whole = in_use().await;
    let before = look(&store, Forgotten::default(), Duration::ZERO).await;
    let cut = in_use().await;
    // A body of 1,600 octets has two to a page, one of 700 has five.
    assert!(whole - cut > 45, "{whole} pages, {cut} after");
    look(&store, before, GRACE).await;
    assert!(in_use().await < cut);
}
