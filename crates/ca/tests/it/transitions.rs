//! Random operations on one account's objects, by the store's own transactions: whatever happens in whatever order, no
//! object is ever seen to change in a way that RFC 8555 §7.1.6 does not draw.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use cairn_acme::{
    challenge::{ChallengeType, Token},
    identifier::Identifier,
    key::PublicKey,
    problem::Problem,
    status::{AccountStatus, AuthorizationStatus, ChallengeStatus, OrderStatus},
    time::Timestamp,
};
use cairn_ca::{
    authority::{authorizations, orders},
    id::{AccountId, AuthorizationId, BootId, DirectoryId, IssuerId, OrderId},
    model::{
        Account, Authorization, CaaCheck, Certificate, CertificateKey, CertificateState, Evidence,
        IssuerRecord, Method, Order, Requester,
    },
    store::{
        BeginIssuance, BeginValidation, ConcludeIssuance, ConcludeValidation, CreateAccount,
        CreateOrder, DeactivateAuthorization, ExternalClaim, FailIssuance, Location,
        NoteValidationAttempt, Observer, OpenOptions, OrderPolicy, RegisterIssuer, RegisterProfile,
        Resumed, Running, Seed, Store, SweepPolicy, TakeOver, Target, UpdateAccount,
    },
};
use cairn_testkit::acme::Key;
use cairn_x509::certificate::Serial;
use proptest::{prelude::*, test_runner::TestRunner};

const HOUR: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(60);
const ISSUER: IssuerId = IssuerId([1; 16]);
const PROFILE: [u8; 32] = [2; 32];
const NAMES: [&str; 3] = ["a.test", "b.test", "c.test"];
const BOOTS: usize = 3;

/// One step; numbers pick among what there is.
#[derive(Debug, Clone)]
enum Step {
    Order(Vec<usize>),
    Begin(usize),
    Note(usize),
    Pass(usize),
    Fail(usize),
    DeactivateAuthorization(usize),
    Finalize(usize),
    Signed(usize),
    NotSigned(usize, bool),
    TakeOver,
    Contacts,
    DeactivateAccount,
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || any::<usize>();
    prop_oneof![
        4 => proptest::sample::subsequence(vec![0, 1, 2], 1..=3).prop_map(Step::Order),
        3 => pick().prop_map(Step::Begin),
        1 => pick().prop_map(Step::Note),
        6 => pick().prop_map(Step::Pass),
        1 => pick().prop_map(Step::Fail),
        1 => pick().prop_map(Step::DeactivateAuthorization),
        5 => pick().prop_map(Step::Finalize),
        4 => pick().prop_map(Step::Signed),
        2 => (pick(), any::<bool>()).prop_map(|(n, again)| Step::NotSigned(n, again)),
        2 => Just(Step::TakeOver),
        1 => Just(Step::Contacts),
        1 => (0_u8..8).prop_map(|n| if n == 0 { Step::DeactivateAccount } else { Step::Contacts }),
        3 => (1_u64..30_000).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

struct Nobody;

impl Observer for Nobody {
    fn account(&self, _: &Arc<Account>) {}
    fn order(&self, _: &Arc<Order>) {}
    fn authorization(&self, _: &Arc<Authorization>) {}
}

/// What was seen of each object last, in the wire's words.
#[derive(Default)]
struct Seen(BTreeMap<String, String>);

impl Seen {
    /// Notes the state; it must be the one before, or follow it.
    fn see<S: Display + FromStr<Err: std::fmt::Debug> + Copy + PartialEq>(
        &mut self,
        what: String,
        now: S,
        follows: impl Fn(S, S) -> bool,
    ) -> Result<(), TestCaseError> {
        if let Some(before) = self.0.insert(what.clone(), now.to_string()) {
            let before: S = before.parse().unwrap();
            prop_assert!(
                before == now || follows(before, now),
                "{} went from {} to {}",
                what,
                before,
                now
            );
        }
        Ok(())
    }
}

/// Two of the figure's steps may lie between two looks: a challenge that ends before it had to be stored.
fn challenge_follows(before: ChallengeStatus, now: ChallengeStatus) -> bool {
    before.can_become(now)
        || before
            .successors()
            .iter()
            .any(|between| between.can_become(now))
}

struct Case {
    store: Store,
    account: AccountId,
    now: Timestamp,
    /// The process incarnation; a take-over begins another.
    boot: usize,
    drawn: u64,
    orders: Vec<OrderId>,
    authorizations: BTreeSet<AuthorizationId>,
    /// Permits that were given and not used, also stale ones.
    permits: Vec<(OrderId, CertificateKey, u32, usize)>,
    /// Generations of validations, also stale ones.
    validations: Vec<(AuthorizationId, u32, usize)>,
    seen: Seen,
}

impl Case {
    async fn new(key: &PublicKey) -> Self {
        let now = Timestamp::from_seconds(1_800_000_000);
        let boot = BootId::new(now, [0; 10]);
        let store = Store::open(
            &Location::Memory,
            OpenOptions::new(boot, Arc::new(Nobody), now),
        )
        .unwrap();
        let issuer = IssuerRecord {
            id: ISSUER,
            certificate_der: vec![1],
            crl_shards: 1,
            created_at: now,
        };
        store
            .transact(RegisterIssuer { issuer, add: true })
            .await
            .unwrap();
        store
            .transact(RegisterProfile {
                hash: PROFILE,
                text: "{}".to_owned(),
            })
            .await
            .unwrap();
        let id = AccountId::new(now, [3; 10]);
        let create = CreateAccount {
            id,
            directory: DirectoryId::FIRST,
            url: "https://ca.test/acme/account/1".to_owned(),
            key: key.clone(),
            spki_sha256: [4; 32],
            contacts: Vec::new(),
            terms_agreed: true,
            only_return_existing: false,
            terms: None,
            external: ExternalClaim::None,
            requester: Requester { address: None },
            now,
        };
        store.transact(create).await.unwrap();
        Self {
            store,
            account: id,
            now,
            boot: 0,
            drawn: 0,
            orders: Vec::new(),
            authorizations: BTreeSet::new(),
            permits: Vec::new(),
            validations: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn seed(&mut self) -> [u8; 10] {
        self.drawn += 1;
        let mut seed = [0; 10];
        seed[2..].copy_from_slice(&self.drawn.to_be_bytes());
        seed
    }

    fn boot_of(n: usize) -> BootId {
        BootId::new(
            Timestamp::from_seconds(1_800_000_000),
            [u8::try_from(n % 256).unwrap(); 10],
        )
    }

    fn target(&self, authorization: AuthorizationId) -> Target {
        Target {
            account: self.account,
            authorization,
            challenge: ChallengeType::Http01,
        }
    }

    fn pick<T: Copy>(from: impl IntoIterator<Item = T>, n: usize) -> Option<T> {
        let all: Vec<T> = from.into_iter().collect();
        all.get(n.checked_rem(all.len())?).copied()
    }

    async fn certificate(&mut self, order: &Order) -> Certificate {
        let seed = self.seed();
        let mut random = [0; 16];
        random[..10].copy_from_slice(&seed);
        Certificate {
            key: CertificateKey {
                issuer: ISSUER,
                serial: Serial::new(1, 1, random),
            },
            account: order.account,
            order: order.id,
            directory: order.directory,
            state: CertificateState::Permitted,
            names: order.identifiers.clone(),
            not_before: self.now,
            not_after: self.now.plus(HOUR),
            tbs: seed.to_vec(),
            signature: None,
            spki_sha256: [9; 32],
            profile_hash: order.profile_hash,
            crl_shard: 0,
            lint: String::new(),
            evidence: "{}".to_owned(),
            request: vec![1],
            created_at: self.now,
            issued_at: None,
            revocation: None,
        }
    }

    /// Asks for a permit; refusals are part of the game.
    async fn begin(&mut self, order: OrderId, resumes: Option<u32>) {
        let Some(found) = self.store.order(self.account, order).await.unwrap() else {
            return;
        };
        let certificate = self.certificate(&found).await;
        let begin = BeginIssuance {
            account: self.account,
            order,
            resumes,
            grant: None,
            certificate,
            caa: vec![None; found.identifiers.len()],
            boot: Self::boot_of(self.boot),
            lease: LEASE,
            now: self.now,
        };
        if let Ok(begun) = self.store.transact(begin).await {
            self.permits.push((
                order,
                begun.permit.certificate(),
                begun.permit.generation(),
                self.boot,
            ));
        }
    }

    async fn conclude(&mut self, n: usize, outcome: Result<(), ()>) {
        // By a task that began durably, perhaps one that was taken over meanwhile; or by one that did not have to.
        let begun = Self::pick(self.validations.clone(), n);
        let (authorization, generation, boot) = match begun.filter(|_| !n.is_multiple_of(3)) {
            Some((authorization, generation, boot)) => (authorization, Some(generation), boot),
            None => match Self::pick(self.authorizations.iter().copied(), n) {
                Some(authorization) => (authorization, None, self.boot),
                None => return,
            },
        };
        let found = self.store.authorization(self.account, authorization);
        let name = found.await.unwrap().map(|a| a.identifier.to_string());
        let evidence = Evidence {
            method: Method::Challenge(ChallengeType::Http01),
            validated_at: self.now,
            addresses: Vec::new(),
            detail: String::new(),
            caa: Some(CaaCheck {
                name: name.unwrap_or_default(),
                checked_at: self.now,
                found_at: None,
                aliases: Vec::new(),
                records: Vec::new(),
                resolver: None,
                dnssec: false,
                not_asked: None,
            }),
        };
        let conclude = ConcludeValidation {
            target: self.target(authorization),
            key_authorization: "x.y".to_owned(),
            generation,
            boot: Self::boot_of(boot),
            outcome: outcome
                .map(|()| evidence)
                .map_err(|()| Problem::unauthorized("no")),
            trace: "{}".to_owned(),
            life: 5 * HOUR,
            now: self.now,
        };
        let _ = self.store.transact(conclude).await;
    }

    async fn take(&mut self, step: &Step) {
        let (now, account) = (self.now, self.account);
        let requester = Requester { address: None };
        match step {
            Step::Order(names) => {
                let identifiers: Vec<_> = names
                    .iter()
                    .map(|n| Identifier::parse("dns", NAMES[*n]).unwrap())
                    .collect();
                let mut authorization_seeds = Vec::new();
                for _ in &identifiers {
                    let seed = self.seed();
                    let mut token = [0; 32];
                    token[..10].copy_from_slice(&seed);
                    let token = Token::from_random(&token).unwrap();
                    authorization_seeds.push(Seed {
                        id: AuthorizationId::new(now, seed),
                        token,
                    });
                }
                let create = CreateOrder {
                    id: OrderId::new(now, self.seed()),
                    account,
                    directory: DirectoryId::FIRST,
                    identifiers,
                    not_before: None,
                    not_after: None,
                    profile: None,
                    profile_hash: PROFILE,
                    replaces: None,
                    authorization_seeds,
                    policy: OrderPolicy {
                        order_life: 4 * HOUR,
                        pending_authorization_life: 3 * HOUR,
                        challenges: vec![ChallengeType::Http01],
                    },
                    requester,
                    now,
                };
                if let Ok(placed) = self.store.transact(create).await {
                    self.orders.push(placed.order.id);
                    self.authorizations.extend(placed.order.authorizations);
                }
            }
            Step::Begin(n) => {
                let Some(authorization) = Self::pick(self.authorizations.iter().copied(), *n)
                else {
                    return;
                };
                let begin = BeginValidation {
                    target: self.target(authorization),
                    key_authorization: "x.y".to_owned(),
                    boot: Self::boot_of(self.boot),
                    lease: LEASE,
                    now,
                };
                if let Ok(begun) = self.store.transact(begin).await
                    && let Some(generation) = begun.generation
                {
                    self.validations
                        .push((authorization, generation, self.boot));
                }
            }
            Step::Note(n) => {
                let Some((authorization, generation, boot)) =
                    Self::pick(self.validations.clone(), *n)
                else {
                    return;
                };
                let note = NoteValidationAttempt {
                    target: self.target(authorization),
                    generation,
                    boot: Self::boot_of(boot),
                    error: Problem::unauthorized("not yet"),
                    trace: "{}".to_owned(),
                    lease: LEASE,
                    now,
                };
                self.store.transact(note).await.unwrap();
            }
            Step::Pass(n) => self.conclude(*n, Ok(())).await,
            Step::Fail(n) => self.conclude(*n, Err(())).await,
            Step::DeactivateAuthorization(n) => {
                if let Some(authorization) = Self::pick(self.authorizations.iter().copied(), *n) {
                    let deactivate = DeactivateAuthorization {
                        account,
                        authorization,
                        requester,
                        now,
                    };
                    let _ = self.store.transact(deactivate).await;
                }
            }
            Step::Finalize(n) => {
                if let Some(order) = Self::pick(self.orders.clone(), *n) {
                    self.begin(order, None).await;
                }
            }
            Step::Signed(n) => {
                // The same permit may be concluded again, and one that was given up, late.
                let Some((order, certificate, generation, boot)) =
                    Self::pick(self.permits.clone(), *n)
                else {
                    return;
                };
                let boot = Self::boot_of(boot);
                let conclude = ConcludeIssuance {
                    account,
                    order,
                    certificate,
                    generation,
                    boot,
                    signature: vec![1],
                    now,
                };
                let _ = self.store.transact(conclude).await;
            }
            Step::NotSigned(n, try_again) => {
                let Some((order, _, generation, boot)) = Self::pick(self.permits.clone(), *n)
                else {
                    return;
                };
                let fail = FailIssuance {
                    account,
                    order,
                    generation,
                    boot: Self::boot_of(boot),
                    problem: Problem::server_internal("no signature"),
                    try_again: *try_again,
                    lease: LEASE,
                    now,
                };
                if let Some(work) = self.store.transact(fail).await.unwrap()
                    && boot == self.boot
                {
                    self.begin(order, Some(work.generation)).await;
                }
            }
            Step::TakeOver => {
                self.boot = (self.boot + 1) % BOOTS;
                let take = TakeOver {
                    boot: Self::boot_of(self.boot),
                    lease: LEASE,
                    limit: 100,
                    now,
                    running: Running::default(),
                };
                let (resumed, _) = self.store.transact(take).await.unwrap();
                for work in resumed {
                    match work {
                        Resumed::Validation {
                            work,
                            authorization,
                        } => {
                            self.validations
                                .push((authorization.id, work.generation, self.boot));
                        }
                        Resumed::Issuance { work, order } => {
                            self.begin(order.id, Some(work.generation)).await
                        }
                    }
                }
            }
            Step::Contacts | Step::DeactivateAccount => {
                let deactivate = matches!(step, Step::DeactivateAccount);
                let update = UpdateAccount {
                    account,
                    contacts: Some(Vec::new()),
                    deactivate,
                    agrees_to: None,
                    requester,
                    now,
                };
                let _ = self.store.transact(update).await;
            }
            Step::Wait(seconds) => self.now = now.plus(Duration::from_secs(*seconds)),
            Step::Sweep => {
                let policy = SweepPolicy {
                    orders_after: 2 * HOUR,
                    audit_after: HOUR,
                };
                self.store.sweep(now, &policy, 100).await.unwrap();
            }
        }
    }

    /// Looks at everything, as the resources show it.
    async fn look(&mut self) -> Result<(), TestCaseError> {
        let account = self.store.account(self.account).await.unwrap().unwrap();
        self.seen.see(
            "account".to_owned(),
            account.status,
            AccountStatus::can_become,
        )?;
        for id in self.orders.clone() {
            // What was swept is not seen any more.
            let Some(order) = self.store.order(self.account, id).await.unwrap() else {
                continue;
            };
            let mut found = Vec::new();
            for id in &order.authorizations {
                found.extend(self.store.authorization(self.account, *id).await.unwrap());
            }
            let status = orders::view(&order, found.iter().map(|a| &**a), self.now);
            self.seen
                .see(format!("order {id}"), status, OrderStatus::can_become)?;
            prop_assert!(
                status != OrderStatus::Invalid || order.certificate.is_none(),
                "an invalid order names a certificate"
            );
            prop_assert!(order.attempts <= 3, "{} serials", order.attempts);
        }
        for id in self.authorizations.clone() {
            let Some(authorization) = self.store.authorization(self.account, id).await.unwrap()
            else {
                continue;
            };
            let status = authorizations::view(&authorization, self.now);
            self.seen.see(
                format!("authorization {id}"),
                status,
                AuthorizationStatus::can_become,
            )?;
            for challenge in &authorization.challenges {
                self.seen.see(
                    format!("challenge of {id}"),
                    challenge.status,
                    challenge_follows,
                )?;
            }
        }
        Ok(())
    }
}

#[test]
fn no_transition_outside_the_figures_is_ever_seen() {
    // 8555-7.1.6-6 8555-7.1.6-1 8555-7.1.6-2 8555-7.1.6-3 8555-7.1.6-5
    let cases = if cairn_testkit::soak() { 5000 } else { 150 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let key = PublicKey::from_jwk(Key::es256().jwk().as_bytes()).unwrap();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let tally = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
    let result = TestRunner::new(config).run(&proptest::collection::vec(step(), 1..60), |steps| {
        runtime.block_on(async {
            let mut case = Case::new(&key).await;
            for step in &steps {
                case.take(step).await;
                case.look().await?;
            }
            for (what, state) in &case.seen.0 {
                let kind = what.split(' ').next().unwrap();
                *tally
                    .borrow_mut()
                    .entry(format!("{kind} {state}"))
                    .or_default() += 1;
            }
            case.store.close().await;
            Ok(())
        })
    });
    result.unwrap();
    // A run that never gets anywhere would show nothing.
    let tally = tally.into_inner();
    for reached in [
        "order valid",
        "order invalid",
        "order processing",
        "authorization expired",
        "challenge processing",
        "account deactivated",
    ] {
        assert!(
            tally.contains_key(reached),
            "{reached} was never seen: {tally:?}"
        );
    }
}
