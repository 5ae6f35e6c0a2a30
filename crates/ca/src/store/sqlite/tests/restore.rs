//! Restore against what lies around it: logs of a store that is gone, damaged stores, other people's files.

use std::path::PathBuf;

use cairn_acme::{
    key::PublicKey,
    status::{AccountStatus, AuthorizationStatus},
};

use super::*;
use crate::{
    id::ExternalKeyId,
    model::{ExternalKey, Requester},
    store::{
        AddExternalKey, ChangeKey, CreateAccount, ExternalClaim,
        conformance::{account_id, authorization_id, deactivate_account, deactivate_authorization},
    },
};

/// A backup, and the files as a kill leaves them after the store went on: database and log.
async fn killed_after_a_backup(dir: &Path) -> (PathBuf, tempfile::TempDir) {
    let store = open(dir);
    ready_orders(&store, &[("a.test", 10)]).await;
    let copy = dir.join("copy.db");
    store.backup(&copy).await.unwrap();
    store.transact(begin_issuance(10, 1)).await.unwrap();
    let left = tempfile::tempdir().unwrap();
    for file in ["cairn.db", "cairn.db-wal"] {
        std::fs::copy(dir.join(file), left.path().join(file)).unwrap();
    }
    store.close().await;
    (copy, left)
}

#[tokio::test]
async fn a_log_without_its_database_does_not_come_back_into_the_restored_one() {
    // T-CA-122
    let dir = tempfile::tempdir().unwrap();
    let (copy, left) = killed_after_a_backup(dir.path()).await;
    assert!(left.path().join("cairn.db-wal").metadata().unwrap().len() > 0);
    std::fs::remove_file(left.path().join("cairn.db")).unwrap();

    let report = restore(&copy, &[], left.path(), NOW, false, None).unwrap();
    assert_eq!((report.epoch, report.replaced), (2, None));
    let store = open(left.path());
    assert_eq!(store.epoch(), 2);
    assert_eq!(store.sizes(NOW).await.unwrap().certificates, 0);
    store.close().await;
}

#[tokio::test]
async fn what_is_replaced_is_kept_whole_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let (copy, left) = killed_after_a_backup(dir.path()).await;
    let report = restore(&copy, &[], left.path(), NOW, true, None).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let replaced = report.replaced.unwrap();
    std::fs::copy(&replaced, kept.path().join("cairn.db")).unwrap();
    let store = open(kept.path());
    assert_eq!(store.sizes(NOW).await.unwrap().certificates, 1);
    store.close().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_replaced_only_under_a_named_epoch() {
    // T-CA-122
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ready_orders(&store, &[("a.test", 10)]).await;
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    store.close().await;
    std::fs::write(dir.path().join("cairn.db"), vec![0xa5; 8192]).unwrap();
    for (epoch, fits) in [
        (None, false),
        (Some(1), false),
        (Some(128), false),
        (Some(9), true),
    ] {
        let done = restore(&copy, &[], dir.path(), NOW, true, epoch);
        assert_eq!(done.is_ok(), fits, "{epoch:?}: {done:?}");
        match epoch {
            None => assert!(matches!(done, Err(RestoreError::Unreadable(_))), "{done:?}"),
            Some(1) => assert!(
                matches!(done, Err(RestoreError::SpentEpoch { asked: 1, least: 2 })),
                "{done:?}"
            ),
            _ => {}
        }
    }
    let store = open(dir.path());
    assert_eq!(store.epoch(), 9);
    store.close().await;
}

#[tokio::test]
async fn crl_numbers_go_on_above_those_of_the_store_that_is_replaced() {
    // T-CA-103
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let add = RegisterIssuer {
        issuer: issuer(),
        add: true,
    };
    store.transact(add).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    // Numbers that ran ahead of the seconds, in a shard that the backup does not know.
    let reserve = |now| ReserveCrlNumber {
        issuer: issuer().id,
        shard: 0,
        now,
    };
    let lost = store.transact(reserve(NOW.plus(DAY))).await.unwrap();
    store.close().await;
    restore(&copy, &[], dir.path(), NOW, true, None).unwrap();
    let store = open(dir.path());
    let next = store.transact(reserve(NOW)).await.unwrap();
    assert!(next > lost, "{next} after {lost}");
    store.close().await;
}

#[tokio::test]
async fn a_backup_touches_no_file_that_it_did_not_make() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (copy, theirs) = (dir.path().join("copy.db"), dir.path().join("copy.db.part"));
    std::fs::write(&theirs, b"theirs").unwrap();
    store.backup(&copy).await.unwrap();
    assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
    // Nor does one that comes too late leave anything.
    assert!(matches!(
        store.backup(&copy).await,
        Err(BackupError::Exists(_))
    ));
    let nowhere = dir.path().join("nowhere").join("copy.db");
    assert!(store.backup(&nowhere).await.is_err());
    store.close().await;
    let parts = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension() == Some("part".as_ref()))
        .count();
    assert_eq!(parts, 1);
}

#[tokio::test]
async fn a_restore_takes_back_every_external_key_that_could_still_open_an_account() {
    // T-CA-122
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let key = |n: u8, many| ExternalKey {
        id: ExternalKeyId::from_bytes([n; 16]),
        directory: DirectoryId::FIRST,
        owner: None,
        allowed: vec![".a.test".parse().unwrap()],
        many,
        expires: None,
        sealed: vec![n; 93],
        created_at: NOW,
        revoked_at: None,
        uses: 0,
        last_use: None,
    };
    for key in [key(1, false), key(2, true), key(3, false)] {
        store.transact(AddExternalKey(key)).await.unwrap();
    }
    let with = |n: u8| CreateAccount {
        external: ExternalClaim::Verified {
            key: ExternalKeyId::from_bytes([n; 16]),
            binding: "{}".to_owned(),
            source: String::new(),
        },
        ..create_account(1)
    };
    store.transact(with(3)).await.unwrap();
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    // Used up after the backup, of which the backup knows nothing.
    let other = CreateAccount {
        id: account_id(2),
        directory: DirectoryId(1),
        key: cairn_acme::key::PublicKey::from_jwk(
            br#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        )
        .unwrap(),
        ..with(1)
    };
    store.transact(other.clone()).await.unwrap();
    store.close().await;

    let later = NOW.plus(DAY);
    let report = restore(&copy, &[], dir.path(), later, true, None).unwrap();
    assert_eq!(report.external_keys, 2);
    let store = open(dir.path());
    let read = async |n: u8| {
        let id = ExternalKeyId::from_bytes([n; 16]);
        store.external_key(id).await.unwrap().unwrap()
    };
    assert_eq!(read(1).await.revoked_at, Some(later));
    assert_eq!(read(2).await.revoked_at, Some(later));
    let spent = read(3).await;
    assert_eq!((spent.revoked_at, spent.uses), (None, 1));
    let refused = store.transact(other).await.unwrap_err();
    assert!(matches!(refused, TxError::Refused(_)), "{refused:?}");
    // What the account may order came back with it.
    let account = store.account(account_id(1)).await.unwrap().unwrap();
    let external = account.external.as_ref().unwrap();
    assert_eq!(external.allowed, [".a.test".parse().unwrap()]);
    store.close().await;
}

#[tokio::test]
async fn what_ended_after_the_backup_stays_ended_and_a_changed_key_stays_changed() {
    // T-CA-122 8555-7.3.6-1
    let names = [("a.test", 10), ("b.test", 20)];
    let valid = async |store: &Store, n: u8| {
        let found = store.authorization(account_id(1), authorization_id(n));
        found.await.unwrap().unwrap().status == AuthorizationStatus::Valid
    };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ready_orders(&store, &names).await;
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    let account = store.account(account_id(1)).await.unwrap().unwrap();
    let jwk = br#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    let new = PublicKey::from_jwk(jwk).unwrap();
    let change = ChangeKey {
        account: account_id(1),
        directory: account.directory,
        old: account.thumbprint,
        new: new.clone(),
        spki_sha256: [7; 32],
        requester: Requester { address: None },
        now: NOW,
    };
    store.transact(change).await.unwrap();
    let given_back = deactivate_authorization(10);
    store.transact(given_back).await.unwrap();
    store.close().await;

    let report = restore(&copy, &[], dir.path(), NOW.plus(DAY), true, None).unwrap();
    assert_eq!(report.ended, 2, "{report:?}");
    let store = open(dir.path());
    let account = store.account(account_id(1)).await.unwrap().unwrap();
    assert_eq!(account.thumbprint, new.thumbprint());
    assert!(!valid(&store, 10).await && valid(&store, 20).await);
    store.transact(deactivate_account()).await.unwrap();
    store.close().await;
    let report = restore(&copy, &[], dir.path(), NOW.plus(2 * DAY), true, None).unwrap();
    let store = open(dir.path());
    let account = store.account(account_id(1)).await.unwrap().unwrap();
    assert_eq!(account.status, AccountStatus::Deactivated, "{report:?}");
    store.close().await;

    // With nothing to tell what was given back, all names have to be shown anew.
    let bare = tempfile::tempdir().unwrap();
    let report = restore(&copy, &[], bare.path(), NOW.plus(DAY), false, None).unwrap();
    assert_eq!(report.ended, 2, "{report:?}");
    let store = open(bare.path());
    assert!(!valid(&store, 10).await && !valid(&store, 20).await);
    store.close().await;
}
