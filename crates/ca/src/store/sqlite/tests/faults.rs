//! Faults: full and failing disks, bugs, kills.

use super::*;

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

struct Panicking;

impl Observer for Panicking {
    fn account(&self, _account: &Arc<Account>) {
        panic!("a bug outside of the store");
    }

    fn order(&self, _order: &Arc<Order>) {}

    fn authorization(&self, _authorization: &Arc<Authorization>) {}
}

#[tokio::test]
async fn nobody_waits_for_a_writer_that_ended() {
    let store = InMemory.fresh(Arc::new(Panicking), None);
    for _ in 0..2 {
        let closed = store.transact(create_account(1)).await;
        assert!(
            matches!(closed, Err(TxError::Store(StoreError::Closed))),
            "{closed:?}"
        );
    }
    assert!(store.read_only_reason().unwrap().contains("restart"));
    store.close().await;
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

/// The order is valid in the table before memory knows: whoever reads it there finds the certificate, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_there_as_soon_as_its_order_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let (committed, wait) = std::sync::mpsc::channel();
    let (go_on, pause) = std::sync::mpsc::channel::<()>();
    let ends = Mutex::new((committed, pause));
    let hook: FaultHook = Arc::new(move |at, name| {
        if (at, name) == (FaultPoint::AfterCommit, "conclude_issuance") {
            let ends = ends.lock().unwrap();
            ends.0.send(()).unwrap();
            ends.1.recv().unwrap();
        }
        None
    });
    let options = OpenOptions {
        faults: Some(hook),
        ..options()
    };
    let store = Store::open(&Location::File(dir.path().to_owned()), options).unwrap();
    ready_orders(&store, &[("a.test", 10)]).await;
    store.transact(begin_issuance(10, 10)).await.unwrap();
    let serial = key_of_certificate(10).serial;
    let state = async || store.certificate(serial).await.unwrap().unwrap().state;
    assert_eq!(state().await, CertificateState::Permitted);
    let concluding = tokio::spawn({
        let store = store.clone();
        async move { store.transact(conclude_issuance(10, 10)).await }
    });
    tokio::task::spawn_blocking(move || wait.recv())
        .await
        .unwrap()
        .unwrap();
    let seen = state().await;
    go_on.send(()).unwrap();
    concluding.await.unwrap().unwrap();
    assert_eq!(seen, CertificateState::Issued);
}
