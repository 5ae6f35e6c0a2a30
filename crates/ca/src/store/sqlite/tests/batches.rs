//! Batches: who shares a commit, and when it goes.

use super::*;

#[tokio::test]
async fn waiting_transactions_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.transact(create_account(1)).await.unwrap();
    let before = store.stats();
    let held = Hold::the_writer(&store).await;
    let asked: Vec<_> = (10..138)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .transact(create_order(n, &[&format!("n{n}.test")]))
                    .await
            })
        })
        .collect();
    while store.queue_length() < 128 {
        tokio::task::yield_now().await;
    }
    held.release().await;
    for asking in asked {
        asking.await.unwrap().unwrap();
    }
    assert_eq!(
        store.stats().commits - before.commits,
        2,
        "128 transactions in two batches of 64"
    );
}

#[tokio::test]
async fn a_batch_gathers_while_requests_are_in_progress_and_goes_when_all_wait() {
    let dir = tempfile::tempdir().unwrap();
    let batch = BatchBounds {
        gather: Duration::from_secs(3600),
        ..BatchBounds::default()
    };
    let store = Store::open(
        &Location::File(dir.path().to_owned()),
        OpenOptions { batch, ..options() },
    )
    .unwrap();
    store.transact(create_account(1)).await.unwrap();
    let mut requests: Vec<_> = (0..6).map(|_| store.request()).collect();
    let before = store.stats();
    let asked: Vec<_> = (10..15)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .transact(create_order(n, &[&format!("n{n}.test")]))
                    .await
            })
        })
        .collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(
        store.stats().commits,
        before.commits,
        "five of six wait: the batch gathers"
    );
    // The sixth goes away without a transaction.
    requests.pop();
    for asking in asked {
        asking.await.unwrap().unwrap();
    }
    assert_eq!(store.stats().commits - before.commits, 1);
}

#[tokio::test]
async fn a_full_queue_refuses_early() {
    let batch = BatchBounds {
        waiting: 2,
        ..BatchBounds::default()
    };
    let store = Store::open(&Location::Memory, OpenOptions { batch, ..options() }).unwrap();
    let held = Hold::the_writer(&store).await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.transact(create_account(1)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(store.queue_length(), 2);
    let refused = store.transact(create_account(2)).await;
    assert!(
        matches!(refused, Err(TxError::Store(StoreError::Overloaded(_)))),
        "{refused:?}"
    );
    held.release().await;
    for asking in waiting {
        asking.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn another_members_uncommitted_rows_are_seen_inside_the_batch_only() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    let held = Hold::the_writer(&store).await;
    let account = tokio::spawn({
        let store = store.clone();
        async move { store.transact(create_account(1)).await }
    });
    tokio::task::yield_now().await;
    let order = tokio::spawn({
        let store = store.clone();
        async move { store.transact(create_order(10, &["a.test"])).await }
    });
    tokio::task::yield_now().await;
    held.release().await;
    account.await.unwrap().unwrap();
    order.await.unwrap().unwrap();
}

#[tokio::test]
async fn work_rows_are_one_for_each_subject() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    let subject = WorkSubject::Issue {
        account: account_id(1),
        order: conformance::order_id(1),
    };
    let row = Work {
        subject: subject.clone(),
        boot: boot(1),
        generation: 1,
        attempts: 1,
        until: NOW,
    };
    let (first, second) = (
        row.clone(),
        Work {
            generation: 2,
            until: NOW.plus(DAY),
            ..row
        },
    );
    store
        .write("test", move |w| {
            work::put(w.conn(), &first).and_then(|()| work::put(w.conn(), &second))
        })
        .await
        .unwrap();
    let found = store
        .read(move |conn| work::by_subject(conn, &subject))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.generation, found.until), (2, NOW.plus(DAY)));
    assert_eq!(store.sizes(NOW).await.unwrap().work, 1);
}
