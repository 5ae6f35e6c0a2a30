//! Upkeep: backup and restore, sweeping, lists, the log.

use super::*;

#[tokio::test]
async fn a_backup_taken_while_the_server_serves_is_whole_and_restores_under_a_new_epoch() {
    // T-CA-122, T-CA-103
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
        restore(&copy, &[], dir.path(), later, false, None),
        Err(RestoreError::Exists(_))
    ));
    let report = restore(&copy, &[], dir.path(), later, true, None).unwrap();
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
    let report = restore(&copy, &[], dir.path(), later.plus(DAY), true, None).unwrap();
    assert_eq!(report.epoch, 3);
    // While a server runs it is refused.
    let store = open(dir.path());
    assert!(matches!(
        restore(&copy, &[], dir.path(), later, true, None),
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
    assert!(restore(&copy, &[], dir.path(), NOW, true, None).is_err());
    std::fs::write(&copy, b"no backup").unwrap();
    assert!(restore(&copy, &[], dir.path(), NOW, true, None).is_err());
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
async fn a_validation_that_runs_here_past_its_lease_keeps_its_row() {
    // T-CA-116: what waits for a place is not begun again, and not given up after three leases.
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.transact(create_account(1)).await.unwrap();
    for n in [10, 20] {
        let order = create_order(n, &[&format!("n{n}.test")]);
        store.transact(order).await.unwrap();
        store.transact(begin_validation(n)).await.unwrap();
    }
    for day in 1..=5_u32 {
        // Of this boot are both; one of them runs.
        let take = crate::store::TakeOver {
            now: NOW.plus(day * DAY / 1000),
            running: Running {
                validations: [authorization_id(10)].into(),
                ..Running::default()
            },
            ..take_over(1)
        };
        let (resumed, _) = store.transact(take).await.unwrap();
        let taken: Vec<_> = resumed
            .iter()
            .map(|r| match r {
                crate::store::Resumed::Validation { authorization, .. } => authorization.id,
                other @ crate::store::Resumed::Issuance { .. } => panic!("{other:?}"),
            })
            .collect();
        assert!(!taken.contains(&authorization_id(10)), "round {day}");
        assert_eq!(taken.is_empty(), day > 2, "round {day}: {taken:?}");
    }
    // Its result still counts, under the generation that it began with.
    let valid = store
        .transact(conclude_validation(10, Some(1), true))
        .await
        .unwrap();
    assert_eq!(valid.status, cairn_acme::status::AuthorizationStatus::Valid);
}

#[tokio::test]
async fn an_issuance_that_runs_here_keeps_its_serial_wherever_the_clock_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let orders = [("a.test", 10), ("b.test", 20)];
    ready_orders(&store, &orders).await;
    for (name, n) in orders {
        let begin = conformance::begin_issuance_of(name, n, n);
        store.transact(begin).await.unwrap();
    }
    let take = crate::store::TakeOver {
        now: NOW.plus(DAY),
        running: Running {
            issuances: [order_id(10)].into(),
            ..Running::default()
        },
        ..take_over(1)
    };
    let (resumed, _) = store.transact(take).await.unwrap();
    let [crate::store::Resumed::Issuance { order, .. }] = &resumed[..] else {
        panic!("{resumed:?}");
    };
    assert_eq!(order.id, order_id(20), "that which nobody goes on with");
    // Its signature still counts; the other's serial was given up.
    let valid = store.transact(conclude_issuance(10, 10)).await.unwrap();
    assert_eq!(valid.state, OrderState::Valid);
    assert!(store.transact(conclude_issuance(20, 20)).await.is_err());
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
