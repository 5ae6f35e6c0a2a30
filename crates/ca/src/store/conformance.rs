//! What every store must do, whatever database lies under it: one suite, run over a [`Factory`].
//!
//! Its heart: for each stage of an aggregate's life and each ordered pair of transactions on it, two askers at once must
//! leave what one after the other would have left, and hear what they would have heard: side by side, beside a member
//! that fails, after a commit that died, and after one whose end nobody learned.

mod fixtures;

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use cairn_acme::problem::Problem;

pub(super) use self::fixtures::*;
use super::{
    AuditSubject, FaultHook, FaultPoint, InjectedFault, NoteValidationAttempt, Observer,
    RecordRefusal, RegisterIssuer, Store, StoreError, Transaction as _, TxError,
};
use crate::model::OrderState;

/// Makes empty stores of the kind under test.
pub(super) trait Factory {
    /// A new store, with its observer and strikes.
    fn fresh(&self, observer: Arc<dyn Observer>, faults: Option<FaultHook>) -> Store;
}

/// One asker's transaction; what it heard, as text.
type Step = (&'static str, fn(Store) -> Asking);
type Asking = std::pin::Pin<Box<dyn Future<Output = String> + Send>>;

macro_rules! step {
    ($label:literal, $transaction:expr) => {
        ($label, |store: Store| -> Asking {
            Box::pin(async move { heard(store.transact($transaction).await) })
        })
    };
}

fn heard<A: Debug>(answer: Result<A, TxError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(TxError::Refused(problem)) => {
            format!("refused: {} {}", problem.kind.urn(), problem.detail)
        }
        Err(other) => format!("failed: {other}"),
    }
}

/// Every transaction that the server runs on one account's things.
const STEPS: &[Step] = &[
    step!("create_account", create_account(1)),
    step!("create_account again", create_account(2)),
    step!("deactivate_account", deactivate_account()),
    step!("create_order", create_order(10, &["a.test"])),
    step!("create_order again", create_order(20, &["a.test"])),
    step!("begin_validation", begin_validation(10)),
    step!(
        "note_validation_attempt",
        NoteValidationAttempt {
            target: target(10),
            generation: 1,
            boot: boot(1),
            error: Problem::unauthorized("refused"),
            trace: "{}".to_owned(),
            lease: LEASE,
            now: NOW,
        }
    ),
    step!(
        "conclude_validation valid",
        conclude_validation(10, Some(1), true)
    ),
    step!(
        "conclude_validation invalid",
        conclude_validation(10, Some(1), false)
    ),
    step!(
        "conclude_validation at once",
        conclude_validation(10, None, true)
    ),
    step!("deactivate_authorization", deactivate_authorization(10)),
    step!("begin_issuance", begin_issuance(10, 1)),
    step!("begin_issuance other serial", begin_issuance(10, 2)),
    step!("conclude_issuance", conclude_issuance(10, 1)),
    step!("fail_issuance", fail_issuance(10, true)),
    step!("fail_issuance for good", fail_issuance(10, false)),
    step!("take_over", take_over(2)),
    step!("begin_issuance again", resume_issuance(10, 3)),
    step!("update_account", change_contacts()),
    step!("create_own_order", create_own_order(30)),
    step!("take_over late", take_over_late()),
    (SWEEP, |store: Store| -> Asking {
        Box::pin(async move { expire(&store).await })
    }),
    step!("revoke by account", revoke_by_account(1)),
    step!("revoke by key", revoke_by_key(1)),
];

/// No transaction but a task of the writer's: it runs between batches, before what waits, and is not repeated when its
/// commit dies.
const SWEEP: &str = "sweep";

const CRL_STEPS: &[Step] = &[
    step!("reserve_crl_number", reserve_crl()),
    step!(
        "put_crl first",
        put_crl(u64::try_from(NOW.as_seconds()).unwrap_or(0))
    ),
    step!(
        "put_crl second",
        put_crl(u64::try_from(NOW.as_seconds()).unwrap_or(0) + 1)
    ),
    step!(
        "register_issuer",
        RegisterIssuer {
            issuer: issuer(),
            add: true
        }
    ),
];

/// What may happen around the replacement of a certificate that is there.
const REPLACEMENT_STEPS: &[Step] = &[
    step!(
        "create_order replacing",
        create_order_replacing(30, &["a.test"], 1)
    ),
    step!(
        "create_order replacing too",
        create_order_replacing(40, &["a.test", "b.test"], 1)
    ),
    step!(
        "create_order replacing what is not there",
        create_order_replacing(50, &["a.test"], 9)
    ),
    step!(
        "conclude_validation invalid",
        conclude_validation(41, None, false)
    ),
    step!("deactivate_authorization", deactivate_authorization(10)),
    step!("deactivate_account", deactivate_account()),
    step!("set_certificates_aside", set_aside(1)),
];

/// How far the replacement is before the pair comes.
const REPLACEMENT_STAGES: &[(&str, &[usize])] = &[
    ("not replaced", &[]),
    ("claimed", &[1]),
    ("claim given up", &[1, 3]),
    ("set aside", &[6]),
];

/// How far the aggregate is before the pair comes: the steps that bring it there.
const STAGES: &[(&str, &[usize])] = &[
    ("nothing", &[]),
    ("account", &[0]),
    ("order pending", &[0, 3]),
    ("validating", &[0, 3, 5]),
    ("order ready", &[0, 3, 9]),
    ("processing", &[0, 3, 9, 11]),
    ("taken over", &[0, 3, 9, 11, 16]),
    ("processing again", &[0, 3, 9, 11, 16, 17]),
    ("valid", &[0, 3, 9, 11, 13]),
    ("revoked", &[0, 3, 9, 11, 13, 22]),
];

/// What the store holds of it all, as text.
async fn state(store: &Store) -> String {
    let mut text = String::new();
    for n in [1, 2, 3] {
        text += &format!("{:?}\n", store.account(account_id(n)).await.unwrap());
        text += &format!(
            "{:?}\n",
            store
                .certificate(key_of_certificate(n).serial)
                .await
                .unwrap()
        );
    }
    for n in [10, 20, 30, 40, 50] {
        text += &format!(
            "{:?}\n",
            store.order(account_id(1), order_id(n)).await.unwrap()
        );
        text += &format!(
            "{:?}\n",
            store
                .authorization(account_id(1), authorization_id(n))
                .await
                .unwrap()
        );
        text += &format!(
            "{:?}\n",
            store
                .audit(AuditSubject::Order(order_id(n)), 100)
                .await
                .unwrap()
        );
    }
    text += &format!(
        "{:?}\n",
        store
            .audit(AuditSubject::Account(account_id(1)), 100)
            .await
            .unwrap()
    );
    text += &format!("{:?}\n", store.crls().await.unwrap());
    let sizes = store.sizes(NOW).await.unwrap();
    text += &format!(
        "work {} certificates {} unconfirmed {}\n",
        sizes.work, sizes.certificates, sizes.unconfirmed
    );
    text
}

/// How the two askers meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// One hears its answer before the other asks: the measure of the others.
    OneAfterTheOther,
    /// Both in one commit, if the store has such.
    Together,
    /// With a failing transaction between them.
    AroundAFailingOne,
    /// Their common commit dies.
    CommitDies,
}

/// Where the next strike comes, and what it does.
type Strike = Option<(FaultPoint, InjectedFault)>;

/// A hook that strikes when told: at that point, once.
fn striking() -> (Arc<Mutex<Strike>>, FaultHook) {
    let next = Arc::new(Mutex::new(Strike::None));
    let armed = Arc::clone(&next);
    let hook: FaultHook = Arc::new(move |point, name| {
        if name == Hold::NAME {
            return None;
        }
        let mut armed = armed.lock().unwrap();
        match *armed {
            Some((at, fault)) if at == point => {
                *armed = None;
                Some(fault)
            }
            _ => None,
        }
    });
    (next, hook)
}

async fn meet(
    factory: &impl Factory,
    setup: &[Step],
    (a, b): (Step, Step),
    how: Meeting,
) -> (String, String, String) {
    let watcher = Arc::new(Watcher::default());
    let (strike, hook) = striking();
    let store = factory.fresh(Arc::<Watcher>::clone(&watcher), Some(hook));
    for (_, run) in setup {
        run(store.clone()).await;
    }
    let (first, second) = if how == Meeting::OneAfterTheOther {
        (a.1(store.clone()).await, b.1(store.clone()).await)
    } else {
        let held = Hold::the_writer(&store).await;
        // Spawned in order and polled in order: they wait in order.
        let first = tokio::spawn(a.1(store.clone()));
        tokio::task::yield_now().await;
        let broken = (how == Meeting::AroundAFailingOne).then(|| {
            let store = store.clone();
            tokio::spawn(async move { store.transact(Broken).await })
        });
        tokio::task::yield_now().await;
        let second = tokio::spawn(b.1(store.clone()));
        tokio::task::yield_now().await;
        if how == Meeting::CommitDies {
            // When both have written their rows; the hold's own commit is spared.
            *strike.lock().unwrap() = Some((FaultPoint::BeforeCommit, InjectedFault::DiskFailure));
        }
        held.release().await;
        if let Some(broken) = broken {
            assert!(broken.await.unwrap().is_err());
        }
        (first.await.unwrap(), second.await.unwrap())
    };
    let state = state(&store).await;
    let wrong = watcher.wrong.lock().unwrap().clone();
    assert!(wrong.is_empty(), "{} then {}: {wrong:?}", a.0, b.0);
    store.close().await;
    (first, second, state)
}

/// Every ordered pair at every stage, met in every way, is as if one came after the other.
pub(super) async fn pairs_are_as_if_one_came_after_the_other(factory: &impl Factory) {
    let mut failures = Vec::new();
    let mut pairs = 0;
    for (stage, setup) in STAGES {
        let setup: Vec<Step> = setup.iter().map(|n| STEPS[*n]).collect();
        pairs += all_pairs(factory, stage, &setup, STEPS, &mut failures).await;
    }
    pairs += all_pairs(factory, "crl", &[], CRL_STEPS, &mut failures).await;
    for (stage, setup) in REPLACEMENT_STAGES {
        let issued = STAGES.last().map_or(&[][..], |(_, steps)| steps);
        let setup: Vec<Step> = issued
            .iter()
            .map(|n| STEPS[*n])
            .chain(setup.iter().map(|n| REPLACEMENT_STEPS[*n]))
            .collect();
        pairs += all_pairs(factory, stage, &setup, REPLACEMENT_STEPS, &mut failures).await;
    }
    assert!(
        failures.is_empty(),
        "{} of {pairs} pairs:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

async fn all_pairs(
    factory: &impl Factory,
    stage: &str,
    setup: &[Step],
    steps: &[Step],
    failures: &mut Vec<String>,
) -> usize {
    let untouched = {
        let store = factory.fresh(Arc::new(Watcher::default()), None);
        for (_, run) in setup {
            run(store.clone()).await;
        }
        state(&store).await
    };
    for a in steps {
        for b in steps {
            let measure = meet(factory, setup, (*a, *b), Meeting::OneAfterTheOther).await;
            // Two that write nothing at this stage cannot come into each other's way.
            if measure.2 == untouched {
                continue;
            }
            let swept = a.0 == SWEEP || b.0 == SWEEP;
            let overtaken = if swept {
                let (second, first, state) =
                    meet(factory, setup, (*b, *a), Meeting::OneAfterTheOther).await;
                Some((first, second, state))
            } else {
                None
            };
            for how in [
                Meeting::Together,
                Meeting::AroundAFailingOne,
                Meeting::CommitDies,
            ] {
                if swept && how == Meeting::CommitDies {
                    continue;
                }
                let met = meet(factory, setup, (*a, *b), how).await;
                if met != measure && Some(&met) != overtaken.as_ref() {
                    failures.push(format!(
                        "{stage}: {} then {}, {how:?}:\n  {met:?}\n  {measure:?}",
                        a.0, b.0
                    ));
                }
            }
        }
    }
    steps.len() * steps.len()
}

/// A transaction whose COMMIT nobody learned of runs again and finds its own rows.
pub(super) async fn a_repeat_after_an_unknown_commit_finds_its_own_rows(factory: &impl Factory) {
    let mut failures = Vec::new();
    // Those that a client or the server itself repeats; each after the stage that it needs.
    for (n, setup) in [
        (0, &[][..]),
        (3, &[0]),
        (5, &[0, 3]),
        (9, &[0, 3]),
        (13, &[0, 3, 9, 11]),
        (22, &[0, 3, 9, 11, 13]),
    ] {
        let (strike, hook) = striking();
        let store = factory.fresh(Arc::new(Watcher::default()), Some(hook));
        for step in setup {
            STEPS[*step].1(store.clone()).await;
        }
        let (label, run) = STEPS[n];
        let before = state(&store).await;
        *strike.lock().unwrap() = Some((FaultPoint::AfterCommit, InjectedFault::Busy));
        let unknown = run(store.clone()).await;
        let between = state(&store).await;
        let again = run(store.clone()).await;
        let after = state(&store).await;
        if !unknown.starts_with("failed")
            || between == before
            || after != between
            || again.starts_with("failed")
        {
            failures.push(format!(
                "{label}: {unknown} / {again}\n  {before}\n  {between}\n  {after}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Of two orders that would replace one certificate the first does; when it becomes invalid, however it does, the
/// next one may (9773-5-2).
pub(super) async fn a_certificate_is_replaced_by_one_order_at_a_time(factory: &impl Factory) {
    let store = factory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    let asked = |n: u8, names: &'static [&'static str]| {
        let store = store.clone();
        async move { heard(store.transact(create_order_replacing(n, names, 1)).await) }
    };
    let taken = |said: &str| said.starts_with("refused") && said.contains("alreadyReplaced");
    // 40 and 41 are the authorizations of its two names.
    let first = asked(40, &["a.test", "b.test"]).await;
    assert!(first.contains("OrderPlaced"), "{first}");
    let again = asked(60, &["a.test", "b.test"]).await;
    assert!(
        again.contains("created: false"),
        "the equal request finds it: {again}"
    );
    let second = asked(30, &["a.test"]).await;
    assert!(taken(&second), "{second}");
    // A failed validation ends the first order in the same transaction.
    store
        .transact(conclude_validation(41, None, false))
        .await
        .unwrap();
    let third = asked(30, &["a.test"]).await;
    assert!(third.contains("created: true"), "{third}");
    // An order that has expired gives way before the sweep has said so, and the sweep then takes nothing from its heir.
    let mut late = create_order_replacing(70, &["a.test", "c.test"], 1);
    late.now = NOW.plus(std::time::Duration::from_secs(8 * 86_400));
    let later = late.now;
    store.transact(late).await.unwrap();
    let policy = super::SweepPolicy {
        orders_after: std::time::Duration::from_secs(86_400 * 30),
        audit_after: std::time::Duration::from_secs(86_400 * 30),
    };
    store.sweep(later, &policy, 100).await.unwrap();
    let mut last = create_order_replacing(80, &["a.test", "d.test"], 1);
    last.now = later;
    let last = heard(store.transact(last).await);
    assert!(taken(&last), "{last}");
}

/// What is told of a renewal is what was committed last, and an absent certificate is not looked for twice.
pub(super) async fn renewal_facts_follow_every_commit(factory: &impl Factory) {
    let store = factory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10)]).await;
    let serial = key_of_certificate(1).serial;
    assert_eq!(store.remembered_renewal_facts(serial), None);
    assert_eq!(store.renewal_facts(serial).await.unwrap(), None);
    assert_eq!(store.remembered_renewal_facts(serial), Some(None));
    // Neither the permission nor the doubt is an issued certificate.
    store.transact(begin_issuance(10, 1)).await.unwrap();
    assert_eq!(store.renewal_facts(serial).await.unwrap(), None);
    store.transact(conclude_issuance(10, 1)).await.unwrap();
    assert_eq!(store.remembered_renewal_facts(serial), None, "forgotten");
    let facts = store.renewal_facts(serial).await.unwrap().unwrap();
    assert_eq!(
        (facts.key, &facts.set_aside),
        (key_of_certificate(1), &None)
    );
    assert!(store.remembered_renewal_facts(serial).is_some());
    store.transact(set_aside(1)).await.unwrap();
    let facts = store.renewal_facts(serial).await.unwrap().unwrap();
    let aside = facts.set_aside.clone().unwrap();
    assert_eq!(aside.at, NOW);
    // Once more says so and changes nothing.
    let again = store.transact(set_aside(1)).await.unwrap();
    assert_eq!((again.moved, again.unchanged), (vec![], vec![serial]));
    // One unknown serial among them, and nothing is moved.
    let mut two = set_aside(1);
    two.explanation = Some("https://ca.test/other".to_owned());
    two.certificates.push(key_of_certificate(2));
    assert!(matches!(
        store.transact(two).await,
        Err(TxError::Refused(_))
    ));
    let same = store.renewal_facts(serial).await.unwrap().unwrap();
    assert_eq!(same.set_aside, Some(aside));
}

/// A serial is given once: the second draw is told to draw again, and nothing of it is written.
pub(super) async fn a_serial_is_given_once(factory: &impl Factory) {
    let store = factory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10), ("b.test", 20)]).await;
    store.transact(begin_issuance(10, 1)).await.unwrap();
    let mut second = begin_issuance_of("b.test", 20, 1);
    let refused = store.transact(second.clone()).await;
    assert!(matches!(refused, Err(TxError::Collision)), "{refused:?}");
    let order = store
        .order(account_id(1), order_id(20))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((order.state, order.attempts), (OrderState::Open, 0));
    second.certificate.key = key_of_certificate(2);
    store.transact(second).await.unwrap();
}

pub(super) async fn ready_orders(store: &Store, orders: &[(&str, u8)]) {
    store.transact(create_account(1)).await.unwrap();
    for (name, n) in orders {
        store.transact(create_order(*n, &[name])).await.unwrap();
        store
            .transact(conclude_validation(*n, None, true))
            .await
            .unwrap();
    }
}

/// A refusal's audit row is as durable as a grant's.
pub(super) async fn a_refusal_is_audited(factory: &impl Factory) {
    let store = factory.fresh(Arc::new(Watcher::default()), None);
    store.transact(create_account(1)).await.unwrap();
    let told = RecordRefusal {
        event: "policy-refused",
        account: Some(account_id(1)),
        order: None,
        serial: None,
        address: None,
        detail: "no such name".to_owned(),
        now: NOW,
    };
    store.transact(told).await.unwrap();
    let audit = store
        .audit(AuditSubject::Account(account_id(1)), 10)
        .await
        .unwrap();
    assert!(
        audit.iter().any(|e| e.event == "policy-refused"),
        "{audit:?}"
    );
    // Of more than are asked for, the newest.
    let newest = store
        .audit(AuditSubject::Account(account_id(1)), 1)
        .await
        .unwrap();
    assert_eq!(newest, audit[audit.len() - 1..]);
}

/// Whoever hangs up does not hear of the transaction, which stands.
pub(super) async fn a_hang_up_does_not_stop_a_transaction(factory: &impl Factory) {
    let store = factory.fresh(Arc::new(Watcher::default()), None);
    let held = Hold::the_writer(&store).await;
    let asking = tokio::spawn({
        let store = store.clone();
        async move { store.transact(create_account(1)).await }
    });
    tokio::task::yield_now().await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    held.release().await;
    // The next one comes after it in any case.
    let found = store.transact(create_account(2)).await.unwrap();
    assert!(!found.created);
    assert_eq!(found.account.id, account_id(1));
}

/// A lock that another process holds is a reason to come back, never half a state (T-CA-51).
pub(super) async fn a_busy_database_is_told_and_leaves_no_half_state(factory: &impl Factory) {
    let turn = AtomicUsize::new(0);
    let hook: FaultHook = Arc::new(move |point, _| {
        // Two periods that share no factor: over the flows every transaction is struck at both points.
        let n = turn.fetch_add(1, Ordering::Relaxed);
        match point {
            FaultPoint::BeforeCommit if n % 7 == 3 => Some(InjectedFault::Busy),
            FaultPoint::BeforeRun if n % 11 == 5 => Some(InjectedFault::Busy),
            _ => None,
        }
    });
    let watcher = Arc::new(Watcher::default());
    let store = factory.fresh(Arc::<Watcher>::clone(&watcher), Some(hook));
    let mut busy = 0;
    insist(&mut busy, || store.transact(create_account(1))).await;
    for n in (10..250).step_by(2) {
        let label = format!("n{n}.test");
        let placed = insist(&mut busy, || store.transact(create_order(n, &[&label]))).await;
        assert_eq!(placed.order.id, order_id(n));
        insist(&mut busy, || {
            store.transact(conclude_validation(n, None, true))
        })
        .await;
        let begin = begin_issuance_of(&label, n, n);
        insist(&mut busy, || store.transact(begin.clone())).await;
        let order = insist(&mut busy, || store.transact(conclude_issuance(n, n))).await;
        assert_eq!(order.state, OrderState::Valid);
    }
    assert!(busy > 50, "only {busy} strikes");
    assert!(watcher.wrong.lock().unwrap().is_empty());
    let sizes = store.sizes(NOW).await.unwrap();
    assert_eq!(
        (
            sizes.orders,
            sizes.certificates,
            sizes.unconfirmed,
            sizes.work
        ),
        (120, 120, 0, 0)
    );
}

async fn insist<A, F: Future<Output = Result<A, TxError>>>(
    busy: &mut usize,
    ask: impl Fn() -> F,
) -> A {
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(TxError::Store(StoreError::Overloaded(_))) => *busy += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Fifty finalizes of one order get one serial; one signature is all that may follow (T-CA-41).
pub(super) async fn concurrent_finalizes_of_one_order_get_one_serial(factory: &impl Factory) {
    let store = factory.fresh(Arc::new(Watcher::default()), None);
    ready_orders(&store, &[("a.test", 10)]).await;
    let asked: Vec<_> = (1..=50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.transact(begin_issuance(10, n)).await })
        })
        .collect();
    let mut granted = 0;
    for asking in asked {
        match asking.await.unwrap() {
            Ok(_) => granted += 1,
            Err(TxError::Refused(problem)) => {
                assert!(problem.kind.urn().ends_with("orderNotReady"), "{problem:?}")
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, 1);
    assert_eq!(store.sizes(NOW).await.unwrap().certificates, 1);
}

/// An observer hears before the asker, and finds in the store what it heard.
pub(super) async fn the_observer_hears_of_commits_only(factory: &impl Factory) {
    let watcher = Arc::new(Watcher::default());
    let store = factory.fresh(Arc::<Watcher>::clone(&watcher), None);
    store.transact(create_account(1)).await.unwrap();
    assert_eq!(watcher.heard.load(Ordering::Relaxed), 1);
    assert!(store.transact(Broken).await.is_err());
    assert_eq!(watcher.heard.load(Ordering::Relaxed), 1);
    let account = store.account(account_id(1)).await.unwrap().unwrap();
    assert!(account.terms_agreed, "a failed transaction left a trace");
}
