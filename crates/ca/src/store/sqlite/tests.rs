//! Tests of what is SQLite's own: files, batches, disks, kills, backups. What every store must do is in `conformance`.

mod batches;
mod faults;
mod files;
#[cfg(feature = "dev")]
mod forgets;
mod restore;
mod revocations;
mod upkeep;

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
        ConcludeIssuance, Decision, Filter, Observer, RegisterIssuer, ReserveCrlNumber, RowFault,
        Rows, Running, TxError,
        conformance::{
            self, Broken, Factory, Hold, NOW, Watcher, account_id, authorization_id,
            begin_issuance, begin_validation, boot, conclude_issuance, conclude_validation,
            create_account, create_order, issuer, key_of_certificate, order_id, ready_orders,
            take_over,
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
    the_observer_hears_of_commits_only
}

#[tokio::test]
async fn a_busy_database_is_told_and_leaves_no_half_state() {
    // T-CA-51
    conformance::a_busy_database_is_told_and_leaves_no_half_state(&InMemory).await;
    conformance::a_busy_database_is_told_and_leaves_no_half_state(&OnDisk::default()).await;
}

#[tokio::test]
async fn concurrent_finalizes_of_one_order_get_one_serial() {
    // T-CA-41
    conformance::concurrent_finalizes_of_one_order_get_one_serial(&InMemory).await;
    conformance::concurrent_finalizes_of_one_order_get_one_serial(&OnDisk::default()).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_by_one_order_at_a_time() {
    // 9773-5-2
    conformance::a_certificate_is_replaced_by_one_order_at_a_time(&InMemory).await;
    conformance::a_certificate_is_replaced_by_one_order_at_a_time(&OnDisk::default()).await;
}

#[tokio::test]
async fn renewal_facts_follow_every_commit() {
    // T-CA-131
    conformance::renewal_facts_follow_every_commit(&InMemory).await;
    conformance::renewal_facts_follow_every_commit(&OnDisk::default()).await;
}

#[tokio::test]
async fn pairs_are_as_if_one_came_after_the_other() {
    // In memory alone: the writer is the same one, and the pairs are thousands.
    conformance::pairs_are_as_if_one_came_after_the_other(&InMemory).await;
}

#[tokio::test]
async fn a_deactivation_reads_the_orders_that_rest_on_the_authorization_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    ready_orders(&store, &[("a.test", 10), ("b.test", 20)]).await;
    // Shares the valid authorization of a.test, beside one of its own.
    let shared = store
        .transact(create_order(30, &["a.test", "c.test"]))
        .await
        .unwrap();
    assert_eq!(
        shared.authorizations.first().unwrap().id,
        authorization_id(10)
    );
    // An order that nobody can read any more: only a look at it would show.
    store.transact(create_order(40, &["d.test"])).await.unwrap();
    let damage = "UPDATE orders SET identifiers = 'x' WHERE id = ?1";
    let bad = conformance::order_id(40);
    assert_eq!(
        database(dir.path())
            .execute(damage, [bad.as_bytes()])
            .unwrap(),
        1
    );
    for _ in 0..2 {
        let gone = store
            .transact(conformance::deactivate_authorization(10))
            .await
            .unwrap();
        assert_eq!(
            gone.status,
            cairn_acme::status::AuthorizationStatus::Deactivated
        );
    }
    let state = async |n| {
        let order = store.order(account_id(1), conformance::order_id(n)).await;
        order.unwrap().unwrap().state
    };
    assert_eq!(
        [state(10).await, state(20).await, state(30).await],
        [OrderState::Invalid, OrderState::Open, OrderState::Invalid]
    );
}

fn statements() -> Vec<&'static str> {
    [
        accounts::STATEMENTS,
        audit::STATEMENTS,
        authorizations::STATEMENTS,
        certificates::STATEMENTS,
        crls::STATEMENTS,
        external::STATEMENTS,
        lists::STATEMENTS,
        meta::STATEMENTS,
        orders::STATEMENTS,
        super::reconcile::STATEMENTS,
        super::revocations::STATEMENTS,
        renewals::STATEMENTS,
        work::STATEMENTS,
    ]
    .concat()
}

#[test]
fn every_statement_prepares_on_a_migrated_database() {
    let conn = connect::memory().unwrap();
    migrate::upgrade(&conn, None, migrate::MIGRATIONS, NOW).unwrap();
    let faults: Vec<String> = statements()
        .iter()
        .filter_map(|sql| conn.prepare(sql).err().map(|e| format!("{sql}: {e}")))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_query_is_planned_anew_when_its_values_change() {
    let conn = connect::memory().unwrap();
    migrate::upgrade(&conn, None, migrate::MIGRATIONS, NOW).unwrap();
    let mut again = Vec::new();
    for sql in statements() {
        let mut statement = conn.prepare(sql).unwrap();
        if !statement.readonly() {
            continue;
        }
        for value in 1..=2 {
            for n in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(n, value).unwrap();
            }
            statement.raw_query().next().unwrap();
        }
        if statement.get_status(rusqlite::StatementStatus::RePrepare) > 0 {
            again.push(sql);
        }
    }
    assert!(again.is_empty(), "{}", again.join("\n"));
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
        external::STATEMENTS,
        orders::STATEMENTS,
        renewals::STATEMENTS,
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
