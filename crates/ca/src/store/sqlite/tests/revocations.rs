//! Revocations over their life: on the lists, off them, and through a restore.

use super::*;
use crate::{
    model::{ListedEntry, PublishedList, RevocationReason, RevokedBy, ShardState, StoredCrl},
    store::{
        PutCrl, Revoke,
        conformance::{ISSUER, revoke_by_key, revoke_by_operator},
    },
};

/// Certificates as rows, quickly: what an issuance takes is not the matter here.
fn insert_certificates(dir: &Path, count: u32, not_after: Timestamp) {
    let mut conn = database(dir);
    let transaction = conn.transaction().unwrap();
    for n in 0..count {
        let mut serial = [1; 19];
        serial[15..].copy_from_slice(&n.to_be_bytes());
        transaction
            .prepare_cached(
                "INSERT INTO certificates (row, issuer_id, serial, spki_sha256, account_id, order_id, directory_id, \
                 not_before, not_after, crl_shard, profile_hash, names, created_at) \
                 VALUES (?1, ?2, ?3, zeroblob(32), zeroblob(16), zeroblob(16), 1, 0, ?4, 0, zeroblob(32), '[]', 0)",
            )
            .unwrap()
            .execute(rusqlite::params![n + 1, ISSUER.0, serial, not_after.as_millis()])
            .unwrap();
        transaction
            .prepare_cached(
                "INSERT INTO certificate_bodies (certificate, tbs, lint, evidence, request) \
                 VALUES (?1, zeroblob(900), '', '{}', zeroblob(1200))",
            )
            .unwrap()
            .execute([n + 1])
            .unwrap();
    }
    transaction.commit().unwrap();
}

fn serial_number(n: u32) -> Serial {
    let mut octets = [1; 19];
    octets[15..].copy_from_slice(&n.to_be_bytes());
    Serial::from_bytes(octets).unwrap()
}

fn revoke(n: u32, now: Timestamp) -> Revoke {
    Revoke {
        certificate: crate::model::CertificateKey {
            issuer: ISSUER,
            serial: serial_number(n),
        },
        now,
        ..revoke_by_operator(1)
    }
}

async fn all_entries(store: &Store) -> Vec<ListedEntry> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |e: &ListedEntry| e.place);
        let page = store.crl_entries(ISSUER, 0, after).await.unwrap();
        assert!(page.len() <= ENTRIES_PAGE);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Puts the next CRL in force, made then, over all that is listed.
async fn publish(store: &Store, at: Timestamp, regular: bool) -> u64 {
    let reach = all_entries(store).await.last().map_or(0, |e| e.place);
    let number = store
        .transact(ReserveCrlNumber {
            issuer: ISSUER,
            shard: 0,
            now: at,
        })
        .await
        .unwrap();
    let crl = StoredCrl {
        issuer: ISSUER,
        shard: 0,
        number,
        this_update: at,
        next_update: at.plus(7 * DAY),
        reach,
        regular,
        der: vec![1],
    };
    store.transact(PutCrl { crl }).await.unwrap();
    number
}

async fn behind(store: &Store) -> bool {
    let states: Vec<ShardState> = store.crl_shards(ISSUER, 1).await.unwrap();
    states[0].behind
}

async fn sweep_all(store: &Store, now: Timestamp) -> usize {
    let policy = SweepPolicy {
        orders_after: 3650 * DAY,
        audit_after: 3650 * DAY,
    };
    let mut swept = 0;
    loop {
        let report = store.sweep(now, &policy, 64).await.unwrap();
        assert!(report.revocations <= 64);
        swept += report.revocations;
        if !report.more {
            return swept;
        }
    }
}

#[tokio::test]
async fn an_entry_leaves_only_after_a_regular_list_showed_it_beyond_the_certificates_end() {
    // 5280-5.3-1 T-CA-104 R-16
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    let end = NOW.plus(10 * DAY);
    insert_certificates(dir.path(), 200, end);
    let store = open(dir.path());
    for n in 0..150 {
        store.transact(revoke(n, NOW)).await.unwrap();
    }
    assert!(behind(&store).await);
    let first = publish(&store, NOW, true).await;
    assert!(!behind(&store).await);
    let key = |n| revoke(n, NOW).certificate;
    assert_eq!(store.first_crl(key(7)).await.unwrap(), Some(first));
    assert_eq!(store.first_crl(key(199)).await.unwrap(), None);
    // One more makes the list behind again, and only it is new on the next.
    store.transact(revoke(150, NOW)).await.unwrap();
    assert!(behind(&store).await);
    assert_eq!(store.first_crl(key(150)).await.unwrap(), None);
    let second = publish(&store, NOW.plus(DAY), false).await;
    assert_eq!(store.first_crl(key(150)).await.unwrap(), Some(second));
    assert_eq!(store.first_crl(key(7)).await.unwrap(), Some(first));

    let second_after = end.plus(Duration::from_secs(1));
    // Expired, and no list since: all stay.
    assert_eq!(sweep_all(&store, second_after.plus(DAY)).await, 0);
    // A list on demand is not a regular one.
    publish(&store, second_after, false).await;
    assert_eq!(sweep_all(&store, second_after.plus(DAY)).await, 0);
    // One that was made in the certificate's last second is not beyond its end.
    publish(&store, end, true).await;
    assert_eq!(sweep_all(&store, second_after.plus(DAY)).await, 0);
    assert_eq!(all_entries(&store).await.len(), 151);
    publish(&store, second_after, true).await;
    assert_eq!(sweep_all(&store, second_after).await, 151);
    assert_eq!(all_entries(&store).await.len(), 0);
    assert!(!behind(&store).await);
    // What left the lists is revoked all the same.
    let known = store.certificate(serial_number(7)).await.unwrap().unwrap();
    assert_eq!(known.revocation.unwrap().by, RevokedBy::Operator);
    store.close().await;
    // Places go on after a restart: what comes next is news.
    insert_more(dir.path(), 500, second_after.plus(DAY));
    let store = open(dir.path());
    store.transact(revoke(500, second_after)).await.unwrap();
    assert!(behind(&store).await);
    store.close().await;
}

fn insert_more(dir: &Path, n: u32, not_after: Timestamp) {
    let conn = database(dir);
    conn.execute(
        "INSERT INTO certificates (row, issuer_id, serial, spki_sha256, account_id, order_id, directory_id, \
         not_before, not_after, crl_shard, profile_hash, names, created_at) \
         VALUES (?1, ?2, ?3, zeroblob(32), zeroblob(16), zeroblob(16), 1, 0, ?4, 0, zeroblob(32), '[]', 0)",
        rusqlite::params![n + 1, ISSUER.0, serial_number(n).as_bytes(), not_after.as_millis()],
    )
    .unwrap();
    conn.execute(
        "INSERT INTO certificate_bodies (certificate, tbs, lint, evidence, request) VALUES (?1, x'00', '', '{}', x'00')",
        [n + 1],
    )
    .unwrap();
}

#[tokio::test]
async fn ten_thousand_revocations_are_listed_once_each_and_in_pages() {
    // R-10 T-CA-107
    const COUNT: u32 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().await;
    insert_certificates(dir.path(), COUNT, NOW.plus(10 * DAY));
    let store = open(dir.path());
    // Lists are read meanwhile: each has everything up to the place that it reaches.
    let reading = tokio::spawn({
        let store = store.clone();
        async move {
            let mut lists = Vec::new();
            loop {
                let list = all_entries(&store).await;
                let done = list.len() >= COUNT as usize;
                lists.push(list);
                if done {
                    return lists;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..COUNT {
        if asked.len() >= 32 {
            asked.join_next().await.unwrap().unwrap();
        }
        let store = store.clone();
        asked.spawn(async move {
            store.transact(revoke(n, NOW)).await.unwrap();
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    let entries = all_entries(&store).await;
    let distinct: std::collections::BTreeSet<Serial> = entries.iter().map(|e| e.serial).collect();
    assert_eq!((entries.len(), distinct.len()), (10_000, 10_000));
    assert!(entries.windows(2).all(|pair| pair[0].place < pair[1].place));
    for list in reading.await.unwrap() {
        let reach = list.last().map_or(0, |e| e.place);
        let wanted = entries.iter().filter(|e| e.place <= reach).count();
        assert_eq!(list.len(), wanted, "up to {reach}");
    }
    assert_eq!(store.sizes(NOW).await.unwrap().revoked, 10_000);
    store.close().await;
}

#[tokio::test]
async fn a_reason_that_becomes_a_compromise_is_news_for_the_list_and_blocks_the_key() {
    // 8555-7.6-6 T-CA-39 T-CA-107
    let store = InMemory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10), ("b.test", 20)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    // Also while it is being signed, and when nobody knows whether it is.
    let revoked = store.transact(revoke_by_operator(1)).await.unwrap();
    assert_eq!(
        revoked.revocation.unwrap().reason,
        RevocationReason::Superseded
    );
    publish(&store, NOW, true).await;
    assert!(!behind(&store).await);
    store.transact(take_over(2)).await.unwrap();
    let unconfirmed = store.certificate(key_of_certificate(1).serial).await;
    assert_eq!(unconfirmed.unwrap().unwrap().revocation, revoked.revocation);
    store.transact(revoke_by_key(1)).await.unwrap();
    assert!(behind(&store).await);
    let entries = all_entries(&store).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].reason, RevocationReason::KeyCompromise);

    // Its key goes into no other certificate and opens no account.
    let mut begin = begin_issuance(20, 3);
    begin.certificate.names = vec![conformance::name("b.test")];
    begin.certificate.spki_sha256 = [1; 32];
    let refused = store.transact(begin).await.unwrap_err();
    assert!(
        matches!(&refused, TxError::Refused(p) if p.kind.name() == "badCSR" && p.detail.contains("others have the key")),
        "{refused:?}"
    );
    let mut create = create_account(5);
    create.key = cairn_acme::key::PublicKey::from_jwk(
        br#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    )
    .unwrap();
    create.spki_sha256 = [1; 32];
    let refused = store.transact(create).await.unwrap_err();
    assert!(
        matches!(&refused, TxError::Refused(p) if p.kind.name() == "badPublicKey" && p.detail.contains("others have the key")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_was_revoked_after_the_backup_is_revoked_after_the_restore() {
    // T-CA-122
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let known = RegisterIssuer {
        issuer: issuer(),
        add: true,
    };
    store.transact(known).await.unwrap();
    ready_orders(&store, &[("a.test", 10), ("b.test", 20)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    // Revoked since; and one that was issued and revoked since.
    store.transact(revoke_by_key(1)).await.unwrap();
    let mut begin = begin_issuance(20, 2);
    begin.certificate.names = vec![conformance::name("b.test")];
    for check in begin.caa.iter_mut().flatten() {
        check.name = "b.test".to_owned();
    }
    store.transact(begin).await.unwrap();
    store.transact(revoke_by_operator(2)).await.unwrap();
    store.close().await;

    let lost = Serial::new(1, 9, [9; 16]);
    let list = PublishedList {
        issuer: ISSUER,
        shard: 0,
        number: 7,
        until: NOW.plus(1000 * DAY),
        entries: vec![
            (lost, NOW, RevocationReason::CessationOfOperation),
            // Older than what the replaced store knows: a compromise stays one.
            (
                key_of_certificate(1).serial,
                NOW,
                RevocationReason::Superseded,
            ),
        ],
    };
    let report = restore(&copy, &[list], dir.path(), NOW.plus(DAY), true, None).unwrap();
    assert_eq!((report.revocations, report.unread), (3, None));
    let store = open(dir.path());
    let listed = all_entries(&store).await;
    let serials: std::collections::BTreeSet<Serial> = listed.iter().map(|e| e.serial).collect();
    let wanted = [
        key_of_certificate(1).serial,
        key_of_certificate(2).serial,
        lost,
    ];
    assert_eq!(serials, wanted.into_iter().collect());
    assert!(behind(&store).await);
    let first = store.certificate(wanted[0]).await.unwrap().unwrap();
    assert_eq!(
        first.revocation.unwrap().reason,
        RevocationReason::KeyCompromise
    );
    // The blocked key came along.
    ready_orders(&store, &[("c.test", 30)]).await;
    let mut begin = begin_issuance(30, 4);
    begin.certificate.names = vec![conformance::name("c.test")];
    begin.certificate.spki_sha256 = [1; 32];
    assert!(matches!(
        store.transact(begin).await,
        Err(TxError::Refused(p)) if p.kind.name() == "badCSR"
    ));
    store.close().await;

    // A replaced store that cannot be read does not stop a restore, and is told of.
    for name in ["cairn.db-wal", "cairn.db-shm"] {
        let _ = std::fs::remove_file(dir.path().join(name));
    }
    std::fs::write(dir.path().join(FILE), b"what a broken disk left").unwrap();
    let report = restore(&copy, &[], dir.path(), NOW.plus(2 * DAY), true, Some(9)).unwrap();
    assert_eq!(report.revocations, 0);
    assert!(report.unread.is_some());
}
