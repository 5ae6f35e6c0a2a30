//! Tests of what is SQLite's own: files, batches, disks, kills, backups. What every store must do is in `conformance`.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::*;
use crate::{
    clock::TestClock,
    model::{OrderState, Work, WorkSubject},
    store::{
        ConcludeIssuance, Decision, Filter, RegisterIssuer, ReserveCrlNumber, RowFault, Rows,
        TxError,
        conformance::{
            self, Broken, Factory, Hold, NOW, Watcher, account_id, authorization_id,
            begin_issuance, begin_validation, boot, conclude_issuance, conclude_validation,
            create_account, create_order, issuer, key_of_certificate, ready_orders, take_over,
        },
    },
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct InMemory;

impl Factory for InMemory {
    fn fresh(&self, observer: Arc<dyn Observer>, faults: Option<FaultHook>) -> Store {
        let options = OpenOptions {
            faults,
            ..OpenOptions::new(boot(1), observer, NOW)
        };
        Store::open(&Location::Memory, options).unwrap()
    }
}

/// Stores in directories of their own, which live as long as the factory.
#[derive(Default)]
struct OnDisk(Mutex<Vec<tempfile::TempDir>>);

impl Factory for OnDisk {
    fn fresh(&self, observer: Arc<dyn Observer>, faults: Option<FaultHook>) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions {
            faults,
            ..OpenOptions::new(boot(1), observer, NOW).create()
        };
        let store = Store::open(&Location::File(dir.path().to_owned()), options).unwrap();
        self.0.lock().unwrap().push(dir);
        store
    }
}

fn options() -> OpenOptions {
    OpenOptions::new(boot(1), Arc::new(Watcher::default()), NOW).create()
}

fn open(dir: &Path) -> Store {
    Store::open(&Location::File(dir.to_owned()), options()).unwrap()
}

fn database(dir: &Path) -> Connection {
    Connection::open(dir.join(FILE)).unwrap()
}

macro_rules! conforms {
    ($($test:ident)*) => {
        mod in_memory {
            $(#[tokio::test] async fn $test() { super::conformance::$test(&super::InMemory).await; })*
        }
        mod on_disk {
            $(#[tokio::test] async fn $test() { super::conformance::$test(&super::OnDisk::default()).await; })*
        }
    };
}

conforms! {
    a_repeat_after_an_unknown_commit_finds_its_own_rows
    a_serial_is_given_once
    a_refusal_is_audited
    a_hang_up_does_not_stop_a_transaction
    a_busy_database_is_told_and_leaves_no_half_state
    concurrent_finalizes_of_one_order_get_one_serial
    the_observer_hears_of_commits_only
}

#[tokio::test]
async fn pairs_are_as_if_one_came_after_the_other() {
    // In memory alone: the writer is the same one, and the pairs are thousands.
    conformance::pairs_are_as_if_one_came_after_the_other(&InMemory).await;
}

#[test]
fn every_statement_prepares_on_a_migrated_database() {
    let conn = connect::memory().unwrap();
    migrate::upgrade(&conn, None, migrate::MIGRATIONS, NOW).unwrap();
    let files = [
        accounts::STATEMENTS,
        audit::STATEMENTS,
        authorizations::STATEMENTS,
        certificates::STATEMENTS,
        crls::STATEMENTS,
        lists::STATEMENTS,
        meta::STATEMENTS,
        orders::STATEMENTS,
        work::STATEMENTS,
    ];
    let faults: Vec<String> = files
        .iter()
        .flat_map(|f| f.iter())
        .filter_map(|sql| conn.prepare(sql).err().map(|e| format!("{sql}: {e}")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_statement_of_a_request_scans_a_table() {
    let conn = connect::memory().unwrap();
    migrate::upgrade(&conn, None, migrate::MIGRATIONS, NOW).unwrap();
    let mut scans = Vec::new();
    for sql in [
        accounts::STATEMENTS,
        authorizations::STATEMENTS,
        certificates::STATEMENTS,
        orders::STATEMENTS,
    ]
    .concat()
    {
        // Lists and sweeps walk a table from one end on purpose, and stop at a limit.
        if sql.contains("LIMIT") && !sql.contains("LIMIT 1") {
            continue;
        }
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for n in 1..=statement.parameter_count() {
            statement
                .raw_bind_parameter(n, rusqlite::types::Null)
                .unwrap();
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let plan: String = row.get(3).unwrap();
            if plan.starts_with("SCAN") {
                scans.push(format!("{sql}: {plan}"));
            }
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}

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
    // T-CA-128
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

/// Fills the database so that it cannot grow: SQLITE_FULL for real.
async fn fill(store: &Store) {
    store
        .at_writer(|w| {
            let pages: i64 = w
                .conn()
                .query_row("PRAGMA page_count", [], |row| row.get(0))
                .map_err(Fault::from)?;
            w.conn()
                .pragma_update(None, "max_page_count", pages)
                .map_err(Fault::from)?;
            Ok(())
        })
        .await
        .unwrap();
}

async fn free(store: &Store) {
    store
        .at_writer(|w| {
            Ok(w.conn()
                .pragma_update(None, "max_page_count", 1_000_000)
                .map_err(Fault::from)?)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_means_read_only_service_until_it_takes_writes_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock::at(NOW));
    let options = OpenOptions {
        clock: Arc::<TestClock>::clone(&clock),
        ..options()
    };
    let store = Store::open(&Location::File(dir.path().to_owned()), options).unwrap();
    ready_orders(&store, &[("a.test", 10)]).await;
    clock.advance(Duration::from_secs(10));
    fill(&store).await;
    let mut acknowledged = vec![10];
    let mut refused = None;
    for n in 20..250 {
        match store
            .transact(create_order(n, &[&format!("n{n}.test")]))
            .await
        {
            Ok(_) => acknowledged.push(n),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(
        matches!(refused, Some(TxError::Store(StoreError::ReadOnly(_)))),
        "{refused:?}"
    );
    assert!(
        store.read_only_reason().unwrap().contains("full"),
        "{:?}",
        store.read_only_reason()
    );
    // Reads go on, also from the tables.
    store.inner.shared.cache.clear();
    for n in &acknowledged {
        assert!(
            store
                .order(account_id(1), conformance::order_id(*n))
                .await
                .unwrap()
                .is_some(),
            "order {n}"
        );
    }
    // The disk is asked at most once a second.
    free(&store).await;
    let again = store.transact(create_order(251, &["z.test"])).await;
    assert!(
        matches!(again, Err(TxError::Store(StoreError::ReadOnly(_)))),
        "{again:?}"
    );
    clock.advance(Duration::from_secs(1));
    store
        .transact(create_order(251, &["z.test"]))
        .await
        .unwrap();
    assert_eq!(store.read_only_reason(), None);
}

#[tokio::test]
async fn a_disk_that_stays_full_is_probed_and_stays_read_only() {
    let clock = Arc::new(TestClock::at(NOW));
    let full = Arc::new(AtomicBool::new(false));
    let hook: FaultHook = {
        let full = Arc::clone(&full);
        Arc::new(move |point, _| {
            (point == FaultPoint::BeforeCommit && full.load(Ordering::Relaxed))
                .then_some(InjectedFault::DiskFull)
        })
    };
    let options = OpenOptions {
        clock: Arc::<TestClock>::clone(&clock),
        faults: Some(hook),
        ..options()
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Location::File(dir.path().to_owned()), options).unwrap();
    store.transact(create_account(1)).await.unwrap();
    full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(2));
        let refused = store.transact(create_order(10, &["a.test"])).await;
        assert!(
            matches!(refused, Err(TxError::Store(StoreError::ReadOnly(_)))),
            "{refused:?}"
        );
    }
    full.store(false, Ordering::Relaxed);
    clock.advance(Duration::from_secs(2));
    assert!(
        store
            .transact(create_order(10, &["a.test"]))
            .await
            .unwrap()
            .created
    );
}

#[tokio::test]
async fn a_member_at_fault_fails_alone() {
    // The commit of three dies whenever the middle one is in it.
    let hook: FaultHook = Arc::new(|point, name| {
        (point == FaultPoint::BeforeCommit && name == "broken")
            .then_some(InjectedFault::DiskFailure)
    });
    let store = InMemory.fresh(Arc::new(Watcher::default()), Some(hook));
    let held = Hold::the_writer(&store).await;
    let ask = |n| {
        let store = store.clone();
        tokio::spawn(async move {
            store
                .transact(create_order(n, &[&format!("n{n}.test")]))
                .await
        })
    };
    let account = tokio::spawn({
        let store = store.clone();
        async move { store.transact(create_account(1)).await }
    });
    tokio::task::yield_now().await;
    let first = ask(10);
    tokio::task::yield_now().await;
    let broken = tokio::spawn({
        let store = store.clone();
        async move { store.transact(Failing).await }
    });
    tokio::task::yield_now().await;
    let last = ask(20);
    tokio::task::yield_now().await;
    held.release().await;
    account.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert!(broken.await.unwrap().is_err());
    // The last one wrote: the disk takes writes.
    assert_eq!(store.read_only_reason(), None);
}

/// Changes nothing; its name is struck.
struct Failing;

impl Transaction for Failing {
    const NAME: &'static str = "broken";
    type Answer = ();

    async fn run<R: Rows>(&self, _rows: &R) -> Result<Decision<()>, RowFault> {
        Ok(Decision::unchanged(()))
    }
}

struct Panics;

impl Transaction for Panics {
    const NAME: &'static str = "panics";
    type Answer = ();

    async fn run<R: Rows>(&self, _rows: &R) -> Result<Decision<()>, RowFault> {
        panic!("a bug");
    }
}

struct Waits;

impl Transaction for Waits {
    const NAME: &'static str = "waits";
    type Answer = ();

    async fn run<R: Rows>(&self, _rows: &R) -> Result<Decision<()>, RowFault> {
        tokio::task::yield_now().await;
        Ok(Decision::unchanged(()))
    }
}

#[tokio::test]
async fn a_bug_in_a_transaction_is_an_error_and_the_writer_lives() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    assert!(matches!(
        store.transact(Panics).await,
        Err(TxError::Store(StoreError::Failed(_)))
    ));
    assert!(matches!(
        store.transact(Waits).await,
        Err(TxError::Store(StoreError::Failed(_)))
    ));
    assert!(store.transact(Broken).await.is_err());
    store.transact(create_account(1)).await.unwrap();
}

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

/// A kill at every step of an issuance, before and after COMMIT: what was answered is there, what was not is whole or
/// absent, and the work goes on or ends with a reason.
#[tokio::test]
async fn a_kill_at_any_step_loses_nothing_acknowledged() {
    for point in [
        FaultPoint::BeforeRun,
        FaultPoint::BeforeCommit,
        FaultPoint::AfterCommit,
    ] {
        for victim in [
            "create_account",
            "create_order",
            "begin_validation",
            "conclude_validation",
            "begin_issuance",
            "conclude_issuance",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let hook: FaultHook = Arc::new(move |at, name| {
                (at == point && name == victim).then_some(InjectedFault::Kill)
            });
            let store = Store::open(
                &Location::File(dir.path().to_owned()),
                OpenOptions {
                    faults: Some(hook),
                    ..options()
                },
            )
            .unwrap();
            let done = issue(&store).await;
            let case = format!("killed {point:?} of {victim} after {done:?}");
            assert_eq!(
                done.len(),
                [
                    "create_account",
                    "create_order",
                    "begin_validation",
                    "conclude_validation",
                    "begin_issuance",
                    "conclude_issuance"
                ]
                .iter()
                .position(|v| *v == victim)
                .unwrap(),
                "{case}"
            );
            let closed = store.transact(create_account(3)).await;
            assert!(
                matches!(closed, Err(TxError::Store(StoreError::Closed))),
                "{case}"
            );
            store.close().await;

            let store = open(dir.path());
            check_after_kill(&store, &done, &case).await;
            store.transact(take_over(2)).await.unwrap();
            let unconfirmed = store.unconfirmed().await.unwrap();
            let permitted = done.contains(&"begin_issuance")
                || (victim == "begin_issuance" && point == FaultPoint::AfterCommit);
            let concluded = victim == "conclude_issuance" && point == FaultPoint::AfterCommit;
            assert_eq!(
                unconfirmed.len(),
                usize::from(permitted && !concluded),
                "{case}"
            );
        }
    }
}

async fn issue(store: &Store) -> Vec<&'static str> {
    let mut done = Vec::new();
    macro_rules! go {
        ($transaction:expr, $name:literal) => {
            match store.transact($transaction).await {
                Ok(_) => done.push($name),
                Err(TxError::Store(StoreError::Closed)) => return done,
                Err(other) => panic!("{other:?}"),
            }
        };
    }
    go!(create_account(1), "create_account");
    go!(create_order(10, &["a.test"]), "create_order");
    go!(begin_validation(10), "begin_validation");
    go!(
        conclude_validation(10, Some(1), true),
        "conclude_validation"
    );
    go!(begin_issuance(10, 1), "begin_issuance");
    go!(conclude_issuance(10, 1), "conclude_issuance");
    done
}

async fn check_after_kill(store: &Store, done: &[&str], case: &str) {
    let account = store.account(account_id(1)).await.unwrap();
    let order = store
        .order(account_id(1), conformance::order_id(10))
        .await
        .unwrap();
    let authorization = store
        .authorization(account_id(1), authorization_id(10))
        .await
        .unwrap();
    let certificate = store
        .certificate(key_of_certificate(1).serial)
        .await
        .unwrap();
    assert!(
        account.is_some() || !done.contains(&"create_account"),
        "{case}"
    );
    assert!(order.is_some() || !done.contains(&"create_order"), "{case}");
    // Whole or absent.
    assert_eq!(order.is_some(), authorization.is_some(), "{case}");
    if done.contains(&"conclude_validation") {
        assert!(authorization.unwrap().evidence.is_some(), "{case}");
    }
    if done.contains(&"begin_issuance") {
        let certificate = certificate.as_ref().unwrap();
        assert_eq!(
            certificate.tbs,
            vec![1; 700],
            "{case}: the bytes that may have been signed"
        );
    }
    if let Some(certificate) = certificate {
        let order = order.unwrap();
        assert_eq!(order.certificate, Some(certificate.key), "{case}");
        assert_eq!(
            order.state == OrderState::Valid,
            certificate.signature.is_some(),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_late_signature_never_replaces_one_that_is_stored() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    let late = ConcludeIssuance {
        signature: vec![0xee; 70],
        ..conclude_issuance(10, 1)
    };
    assert!(store.transact(late).await.is_err());
    // The tables hold to it too, whatever a decision says.
    let mut other = (*store
        .certificate(key_of_certificate(1).serial)
        .await
        .unwrap()
        .unwrap())
    .clone();
    other.signature = Some(vec![0xee; 70]);
    let refused = store
        .write("test", move |w| certificates::update(w.conn(), &other))
        .await;
    assert!(refused.is_err(), "{refused:?}");
    let kept = store
        .certificate(key_of_certificate(1).serial)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.signature, Some(vec![1; 71]));
}

#[tokio::test]
async fn a_backup_taken_while_the_server_serves_is_whole_and_restores_under_a_new_epoch() {
    // T-CA-122
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store
        .transact(RegisterIssuer {
            issuer: issuer(),
            add: true,
        })
        .await
        .unwrap();
    store.set_base_url("https://ca.test", NOW).await.unwrap();
    ready_orders(&store, &[("a.test", 10)]).await;
    let number = store
        .transact(ReserveCrlNumber {
            issuer: issuer().id,
            shard: 0,
            now: NOW,
        })
        .await
        .unwrap();
    store.transact(conformance::put_crl(number)).await.unwrap();
    store.save_nonce_window(b"window").await.unwrap();
    // Enough pages that the copy takes many steps, between which orders go on.
    for n in 0..200_u8 {
        let text = "x".repeat(40_000);
        store
            .transact(crate::store::RegisterProfile {
                hash: [n; 32],
                text,
            })
            .await
            .unwrap();
    }
    let copy = dir.path().join("copy.db");
    let backing_up = tokio::spawn({
        let (store, copy) = (store.clone(), copy.clone());
        async move { store.backup(&copy).await }
    });
    let mut during = Vec::new();
    let mut n = 20;
    while !backing_up.is_finished() && n < 250 {
        store
            .transact(create_order(n, &[&format!("n{n}.test")]))
            .await
            .unwrap();
        during.push(n);
        n += 1;
    }
    let report = backing_up.await.unwrap().unwrap();
    assert!(report.bytes > 8_000_000);
    assert!(during.len() > 1, "no order was placed during the backup");
    assert!(matches!(
        store.backup(&copy).await,
        Err(BackupError::Exists(_))
    ));
    // Lost with the store that is replaced.
    let lost = store
        .transact(ReserveCrlNumber {
            issuer: issuer().id,
            shard: 0,
            now: NOW,
        })
        .await
        .unwrap();
    store.close().await;

    let later = NOW.plus(Duration::from_secs(3600));
    assert!(matches!(
        restore(&copy, dir.path(), later, false),
        Err(RestoreError::Exists(_))
    ));
    let report = restore(&copy, dir.path(), later, true).unwrap();
    assert_eq!(report.epoch, 2);
    assert!(report.replaced.unwrap().exists());
    let store = open(dir.path());
    assert_eq!(store.epoch(), 2);
    assert_eq!(store.take_nonce_window().await.unwrap(), None);
    assert!(
        store
            .order(account_id(1), conformance::order_id(10))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        store.base_urls(DirectoryId::FIRST).await.unwrap(),
        ["https://ca.test"]
    );
    let next = store
        .transact(ReserveCrlNumber {
            issuer: issuer().id,
            shard: 0,
            now: later,
        })
        .await
        .unwrap();
    assert!(next > lost, "{next} after {lost}");
    store.close().await;

    // Once more from the same backup: the epoch of what is replaced counts.
    let report = restore(&copy, dir.path(), later.plus(DAY), true).unwrap();
    assert_eq!(report.epoch, 3);
    // While a server runs it is refused.
    let store = open(dir.path());
    assert!(matches!(
        restore(&copy, dir.path(), later, true),
        Err(RestoreError::Open(OpenError::InUse { .. }))
    ));
    store.close().await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ready_orders(&store, &[("a.test", 10)]).await;
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    std::fs::write(&copy, &bytes).unwrap();
    assert!(restore(&copy, dir.path(), NOW, true).is_err());
    std::fs::write(&copy, b"no backup").unwrap();
    assert!(restore(&copy, dir.path(), NOW, true).is_err());
    let store = open(dir.path());
    assert_eq!(store.epoch(), 1);
    assert!(store.account(account_id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn the_nonce_window_is_gone_once_it_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.take_nonce_window().await.unwrap(), None);
    store.save_nonce_window(b"window").await.unwrap();
    store.close().await;
    let store = open(dir.path());
    assert_eq!(store.take_nonce_window().await.unwrap().unwrap(), b"window");
    store.close().await;
    assert_eq!(open(dir.path()).take_nonce_window().await.unwrap(), None);
}

#[tokio::test]
async fn sweeping_is_bounded_and_keeps_certificates() {
    // T-CA-115
    let watcher = Arc::new(Watcher::default());
    let store = InMemory.fresh(Arc::<Watcher>::clone(&watcher), None);
    ready_orders(&store, &[("a.test", 10)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    for n in 20..250 {
        store
            .transact(create_order(n, &[&format!("n{n}.test")]))
            .await
            .unwrap();
    }
    let policy = SweepPolicy {
        orders_after: 30 * DAY,
        audit_after: 365 * DAY,
    };
    let young = store.sweep(NOW.plus(6 * DAY), &policy, 64).await.unwrap();
    assert_eq!(young, SweepReport::default());

    let at = NOW.plus(8 * DAY);
    let mut expired = 0;
    loop {
        let report = store.sweep(at, &policy, 64).await.unwrap();
        assert!(report.expired <= 64 && report.orders == 0);
        expired += report.expired;
        if !report.more {
            break;
        }
    }
    assert_eq!(expired, 230);
    let order = store
        .order(account_id(1), conformance::order_id(20))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(order.state, OrderState::Invalid);
    let audit = store
        .audit(AuditSubject::Order(conformance::order_id(20)), 10)
        .await
        .unwrap();
    assert_eq!(audit.last().unwrap().event, "order-expired");

    let at = NOW.plus(400 * DAY);
    loop {
        let report = store.sweep(at, &policy, 64).await.unwrap();
        assert!(report.orders <= 64 && report.authorizations <= 64 && report.audit <= 64);
        if !report.more {
            break;
        }
    }
    let sizes = store.sizes(at).await.unwrap();
    assert_eq!(
        (sizes.orders, sizes.authorizations, sizes.certificates),
        (0, 0, 1)
    );
    assert_eq!(
        store
            .order(account_id(1), conformance::order_id(20))
            .await
            .unwrap()
            .map(|o| o.id),
        None
    );
    assert!(
        store
            .certificate(key_of_certificate(1).serial)
            .await
            .unwrap()
            .unwrap()
            .signature
            .is_some()
    );
    assert!(store.latest_time() >= at);
    assert!(watcher.wrong.lock().unwrap().is_empty());
}

#[tokio::test]
async fn lists_filter_and_page() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    store.transact(create_account(1)).await.unwrap();
    for n in 10..40 {
        store
            .transact(create_order(n, &[&format!("n{n}.test")]))
            .await
            .unwrap();
    }
    ready_orders(&store, &[("a.test", 100)]).await;
    store.transact(begin_issuance(100, 1)).await.unwrap();

    let mut filter = Filter {
        limit: 7,
        ..Filter::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = store.list_orders(filter.clone()).await.unwrap();
        seen.extend(page.items.iter().map(|o| o.id));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen.len(), 31);
    assert_eq!(seen[0], conformance::order_id(100), "newest first");

    let limit = 10;
    let by = |filter: Filter| async { store.list_orders(filter).await.unwrap().items.len() };
    assert_eq!(
        by(Filter {
            name: Some("n12.test".into()),
            limit,
            ..Filter::default()
        })
        .await,
        1
    );
    assert_eq!(
        by(Filter {
            name: Some("2.test".into()),
            limit,
            ..Filter::default()
        })
        .await,
        0
    );
    assert_eq!(
        by(Filter {
            state: Some("processing".into()),
            limit,
            ..Filter::default()
        })
        .await,
        1
    );
    assert_eq!(
        by(Filter {
            account: Some(account_id(2)),
            limit,
            ..Filter::default()
        })
        .await,
        0
    );
    assert!(
        store
            .list_orders(Filter {
                state: Some("lost".into()),
                limit,
                ..Filter::default()
            })
            .await
            .is_err()
    );

    let certificates =
        |filter: Filter| async { store.list_certificates(filter).await.unwrap().items.len() };
    assert_eq!(
        certificates(Filter {
            name: Some("a.test".into()),
            limit,
            ..Filter::default()
        })
        .await,
        1
    );
    assert_eq!(
        certificates(Filter {
            state: Some("permitted".into()),
            limit,
            ..Filter::default()
        })
        .await,
        1
    );
    assert_eq!(
        certificates(Filter {
            unconfirmed: true,
            limit,
            ..Filter::default()
        })
        .await,
        0
    );
    assert_eq!(
        certificates(Filter {
            expires_before: Some(NOW),
            limit,
            ..Filter::default()
        })
        .await,
        0
    );
    assert_eq!(
        certificates(Filter {
            serial: Some(key_of_certificate(1).serial),
            limit,
            ..Filter::default()
        })
        .await,
        1
    );
    store.transact(take_over(2)).await.unwrap();
    assert_eq!(
        certificates(Filter {
            unconfirmed: true,
            limit,
            ..Filter::default()
        })
        .await,
        1
    );
    assert_eq!(
        store
            .list_accounts(Filter {
                limit,
                ..Filter::default()
            })
            .await
            .unwrap()
            .items
            .len(),
        1
    );

    let detail = store
        .order_detail(conformance::order_id(100))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(detail.authorizations.len(), 1);
    assert!(
        detail.audit.iter().any(|e| e.event == "unconfirmed"),
        "{:?}",
        detail.audit
    );
}

#[tokio::test]
async fn a_stop_of_issuance_is_in_force_at_once() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10)]).await;
    store
        .stop_issuance(None, None, "an incident", NOW)
        .await
        .unwrap();
    let refused = store.transact(begin_issuance(10, 1)).await;
    assert!(
        matches!(&refused, Err(TxError::Refused(p)) if p.detail.contains("an incident")),
        "{refused:?}"
    );
    assert_eq!(store.resume_issuance().await.unwrap(), 1);
    store.transact(begin_issuance(10, 1)).await.unwrap();
}

#[tokio::test]
async fn a_changed_base_url_is_refused_in_words() {
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    assert!(
        store
            .check_base_url("https://ca.test")
            .await
            .unwrap_err()
            .contains("cairn ca init")
    );
    store.set_base_url("https://ca.test", NOW).await.unwrap();
    store.check_base_url("https://ca.test").await.unwrap();
    assert!(
        store
            .check_base_url("https://other.test")
            .await
            .unwrap_err()
            .contains("https://ca.test")
    );
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
async fn the_write_ahead_log_stays_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.transact(create_account(1)).await.unwrap();
    let log = dir.path().join("cairn.db-wal");
    let text = "x".repeat(1 << 20);
    for n in 0..120_u32 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        store
            .transact(crate::store::RegisterProfile {
                hash,
                text: text.clone(),
            })
            .await
            .unwrap();
        if n % 20 == 19 {
            let checkpoints = &store.inner.shared.checkpoints;
            let before = checkpoints.passes();
            checkpoints.ask();
            while checkpoints.passes() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let size = std::fs::metadata(&log).unwrap().len();
    assert!(size < 40 << 20, "{size} bytes of log after 120 MB written");
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
