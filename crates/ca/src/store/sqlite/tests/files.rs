//! Files: what is kept, whose they are, what is refused.

use super::*;

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ready_orders(&store, &[("a.test", 10)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    let before = (
        store.account(account_id(1)).await.unwrap().unwrap(),
        store
            .order(account_id(1), conformance::order_id(10))
            .await
            .unwrap()
            .unwrap(),
        store
            .authorization(account_id(1), authorization_id(10))
            .await
            .unwrap()
            .unwrap(),
        store
            .certificate(key_of_certificate(1).serial)
            .await
            .unwrap()
            .unwrap(),
    );
    store.close().await;
    let store = open(dir.path());
    let after = (
        store.account(account_id(1)).await.unwrap().unwrap(),
        store
            .order(account_id(1), conformance::order_id(10))
            .await
            .unwrap()
            .unwrap(),
        store
            .authorization(account_id(1), authorization_id(10))
            .await
            .unwrap()
            .unwrap(),
        store
            .certificate(key_of_certificate(1).serial)
            .await
            .unwrap()
            .unwrap(),
    );
    // The first four came from the commits' own values, these from the tables.
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert_eq!(before.1.state, OrderState::Valid);
}

#[tokio::test]
async fn one_issuance_is_four_commits_and_a_dozen_rows() {
    let store = open(tempfile::tempdir().unwrap().path());
    store.transact(create_account(1)).await.unwrap();
    let before = store.stats();
    store.transact(create_order(10, &["a.test"])).await.unwrap();
    store
        .transact(conclude_validation(10, None, true))
        .await
        .unwrap();
    store.transact(begin_issuance(10, 1)).await.unwrap();
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    let after = store.stats();
    assert_eq!(after.commits - before.commits, 4);
    // Order 3, authorization 2, certificate, body, name, outcome, audit, work there and gone again.
    assert_eq!(after.rows - before.rows, 12);
}

#[tokio::test]
async fn a_second_server_on_the_directory_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = Store::open(&Location::File(dir.path().to_owned()), options()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{refused}"
    );
    store.close().await;
    open(dir.path()).close().await;
}

#[tokio::test]
async fn files_are_their_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.transact(create_account(1)).await.unwrap();
    store.backup(&dir.path().join("copy.db")).await.unwrap();
    let modes: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|f| f.unwrap())
        .map(|f| {
            (
                f.file_name(),
                f.metadata().unwrap().permissions().mode() & 0o777,
            )
        })
        .collect();
    assert!(modes.len() >= 5, "{modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[test]
fn what_is_no_store_of_ours_is_refused_and_left_alone() {
    let cases: [(&str, &[u8]); 2] = [
        ("no database", b"certificates of 2019, by hand\n"),
        ("not SQLite", &[0x5a; 8192]),
    ];
    for (label, bytes) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), bytes).unwrap();
        let refused = Store::open(&Location::File(dir.path().to_owned()), options()).unwrap_err();
        assert!(
            matches!(refused, OpenError::Foreign(_)),
            "{label}: {refused}"
        );
        assert_eq!(
            std::fs::read(dir.path().join(FILE)).unwrap(),
            bytes,
            "{label}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let theirs = database(dir.path());
    theirs.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(theirs);
    let before = std::fs::read(dir.path().join(FILE)).unwrap();
    assert!(matches!(
        Store::open(&Location::File(dir.path().to_owned()), options()),
        Err(OpenError::Foreign(_))
    ));
    assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), before);
    let missing = Store::open(
        &Location::File(tempfile::tempdir().unwrap().path().to_owned()),
        OpenOptions {
            create: false,
            ..options()
        },
    );
    assert!(missing.is_err());
}

#[tokio::test]
async fn a_missing_database_is_not_made_anew_by_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Store::open(
        &Location::File(dir.path().to_owned()),
        OpenOptions {
            create: false,
            ..options()
        },
    )
    .unwrap_err();
    assert!(matches!(refused, OpenError::Missing(_)), "{refused}");
    assert!(!dir.path().join(FILE).exists());
}

#[tokio::test]
async fn a_value_of_a_later_version_is_refused_not_taken_for_another() {
    // T-CA-123
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ready_orders(&store, &[("a.test", 10), ("b.test", 20)]).await;
    store.transact(begin_validation(10)).await.unwrap();
    store.close().await;
    let later = database(dir.path());
    later
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON; \
             UPDATE orders SET state = 9 WHERE row = 1; UPDATE authorizations SET status = 9 WHERE row = 2; \
             INSERT INTO work SELECT 0, id, 0, 2, account_id, zeroblob(16), 1, 1, 0 FROM authorizations WHERE row = 1;",
        )
        .unwrap();
    drop(later);
    let store = open(dir.path());
    let refused = store
        .order(account_id(1), conformance::order_id(10))
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("table orders: value 9 is not known to this version"),
        "{refused}"
    );
    assert!(
        store
            .authorization(account_id(1), authorization_id(20))
            .await
            .is_err()
    );
    assert!(
        store
            .order(account_id(1), conformance::order_id(20))
            .await
            .unwrap()
            .is_some(),
        "the others are served"
    );
    let refused = store.transact(begin_issuance(10, 1)).await;
    assert!(
        matches!(refused, Err(TxError::Store(StoreError::Failed(_)))),
        "{refused:?}"
    );
    // A later version's work waits for that version.
    let (resumed, more) = store.transact(take_over(2)).await.unwrap();
    assert!(resumed.is_empty() && !more);
}
