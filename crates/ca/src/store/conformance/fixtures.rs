//! One account, its orders and their names; transactions to script with; an observer that watches for wrong steps.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use cairn_acme::{
    challenge::{ChallengeType, Token},
    identifier::Identifier,
    key::PublicKey,
    problem::Problem,
    renewal::CertId,
    status::{AccountStatus, AuthorizationStatus},
    time::Timestamp,
};
use cairn_x509::certificate::Serial;

use crate::{
    id::{AccountId, AuthorizationId, BootId, DirectoryId, IssuerId, OrderId},
    model::{
        Account, Authorization, CaaCheck, Certificate, CertificateKey, CertificateState, Evidence,
        IssuerRecord, Method, Order, OrderState, Requester, StoredCrl,
    },
    store::{
        BeginIssuance, BeginValidation, Changes, Claimant, ConcludeIssuance, ConcludeValidation,
        CreateAccount, CreateOrder, CreateOwnOrder, DeactivateAuthorization, Decision,
        ExternalClaim, FailIssuance, InternalName, InternalOrder, Observer, OrderPolicy, PutCrl,
        Replaced, ReserveCrlNumber, Revoke, RowFault, Rows, Running, Seed, SetCertificatesAside,
        Store, SweepPolicy, TakeOver, Target, Transaction, TxError, UpdateAccount,
    },
};

/// Where the tests stand in time.
pub(in crate::store) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(in crate::store) const LEASE: Duration = Duration::from_secs(60);
pub(in crate::store) const ISSUER: IssuerId = IssuerId([7; 16]);
pub(in crate::store) const PROFILE: [u8; 32] = [9; 32];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const REQUESTER: Requester = Requester { address: None };
const JWK: &[u8] =
    br#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

pub(in crate::store) fn boot(n: u8) -> BootId {
    BootId::from_bytes([n; 16])
}

pub(in crate::store) fn account_id(n: u8) -> AccountId {
    AccountId::new(NOW, [n; 10])
}

pub(in crate::store) fn order_id(n: u8) -> OrderId {
    OrderId::new(NOW, [n; 10])
}

pub(in crate::store) fn authorization_id(n: u8) -> AuthorizationId {
    AuthorizationId::new(NOW, [n; 10])
}

pub(in crate::store) fn name(text: &str) -> Identifier {
    Identifier::parse("dns", text).unwrap()
}

pub(in crate::store) fn key_of_certificate(n: u8) -> CertificateKey {
    CertificateKey {
        issuer: ISSUER,
        serial: Serial::new(1, 0, [n; 16]),
    }
}

pub(in crate::store) fn create_account(n: u8) -> CreateAccount {
    let key = PublicKey::from_jwk(JWK).unwrap();
    CreateAccount {
        id: account_id(n),
        directory: DirectoryId::FIRST,
        url: format!("https://ca.test/acme/account/{}", account_id(n)),
        spki_sha256: [0xfd; 32],
        key,
        contacts: Vec::new(),
        terms_agreed: true,
        only_return_existing: false,
        terms: None,
        external: ExternalClaim::None,
        requester: REQUESTER,
        now: NOW,
    }
}

/// For account 1; the order's id and its authorizations' ids follow from `n`.
pub(in crate::store) fn create_order(n: u8, names: &[&str]) -> CreateOrder {
    let seed = |i: usize| Seed {
        id: authorization_id(n + u8::try_from(i).unwrap()),
        token: Token::from_random(&[n + u8::try_from(i).unwrap(); 16]).unwrap(),
    };
    CreateOrder {
        id: order_id(n),
        account: account_id(1),
        directory: DirectoryId::FIRST,
        identifiers: names.iter().map(|n| name(n)).collect(),
        not_before: None,
        not_after: None,
        profile: None,
        profile_hash: PROFILE,
        replaces: None,
        authorization_seeds: (0..names.len()).map(seed).collect(),
        policy: OrderPolicy {
            order_life: 7 * DAY,
            pending_authorization_life: 7 * DAY,
            challenges: vec![ChallengeType::Http01],
        },
        requester: REQUESTER,
        now: NOW,
    }
}

/// The same, to replace the certificate of that number.
pub(in crate::store) fn create_order_replacing(
    n: u8,
    names: &[&str],
    certificate: u8,
) -> CreateOrder {
    let key = key_of_certificate(certificate);
    CreateOrder {
        replaces: Some(Replaced {
            id: cert_id(certificate),
            key,
        }),
        ..create_order(n, names)
    }
}

pub(in crate::store) fn cert_id(certificate: u8) -> CertId {
    CertId::new(&[5; 20], key_of_certificate(certificate).serial.as_bytes()).unwrap()
}

pub(in crate::store) fn set_aside(certificate: u8) -> SetCertificatesAside {
    SetCertificatesAside {
        certificates: vec![key_of_certificate(certificate)],
        explanation: Some("https://ca.test/why".to_owned()),
        now: NOW,
    }
}

pub(in crate::store) fn target(n: u8) -> Target {
    Target {
        account: account_id(1),
        authorization: authorization_id(n),
        challenge: ChallengeType::Http01,
    }
}

pub(in crate::store) fn begin_validation(n: u8) -> BeginValidation {
    BeginValidation {
        target: target(n),
        key_authorization: "token.thumbprint".to_owned(),
        boot: boot(1),
        lease: LEASE,
        now: NOW,
    }
}

pub(in crate::store) fn conclude_validation(
    n: u8,
    generation: Option<u32>,
    valid: bool,
) -> ConcludeValidation {
    let evidence = Evidence {
        method: Method::Challenge(ChallengeType::Http01),
        validated_at: NOW,
        addresses: vec!["192.0.2.1".parse().unwrap()],
        detail: "found".to_owned(),
        caa: None,
    };
    ConcludeValidation {
        target: target(n),
        key_authorization: "token.thumbprint".to_owned(),
        generation,
        boot: boot(1),
        outcome: if valid {
            Ok(evidence)
        } else {
            Err(Problem::unauthorized("wrong body"))
        },
        trace: "{}".to_owned(),
        life: 30 * DAY,
        now: NOW,
    }
}

/// For an order of `a.test`.
pub(in crate::store) fn begin_issuance(order: u8, serial: u8) -> BeginIssuance {
    begin_issuance_of("a.test", order, serial)
}

pub(in crate::store) fn begin_issuance_of(only: &str, order: u8, serial: u8) -> BeginIssuance {
    let certificate = Certificate {
        key: key_of_certificate(serial),
        account: account_id(1),
        order: order_id(order),
        directory: DirectoryId::FIRST,
        state: CertificateState::Permitted,
        names: vec![name(only)],
        not_before: NOW,
        not_after: NOW.plus(90 * DAY),
        tbs: vec![serial; 700],
        signature: None,
        spki_sha256: [serial; 32],
        profile_hash: PROFILE,
        crl_shard: 0,
        lint: "[]".to_owned(),
        evidence: "{}".to_owned(),
        request: vec![0x30; 900],
        created_at: NOW,
        issued_at: None,
        revocation: None,
    };
    BeginIssuance {
        account: account_id(1),
        order: order_id(order),
        resumes: None,
        grant: None,
        certificate,
        caa: vec![Some(CaaCheck {
            name: only.to_owned(),
            checked_at: NOW,
            found_at: None,
            aliases: Vec::new(),
            records: Vec::new(),
            resolver: None,
            dnssec: false,
            not_asked: None,
        })],
        boot: boot(1),
        lease: LEASE,
        now: NOW,
    }
}

pub(in crate::store) fn conclude_issuance(order: u8, serial: u8) -> ConcludeIssuance {
    ConcludeIssuance {
        account: account_id(1),
        order: order_id(order),
        certificate: key_of_certificate(serial),
        generation: 1,
        boot: boot(1),
        signature: vec![serial; 71],
        now: NOW,
    }
}

pub(in crate::store) fn fail_issuance(order: u8, try_again: bool) -> FailIssuance {
    FailIssuance {
        account: account_id(1),
        order: order_id(order),
        generation: 1,
        boot: boot(1),
        problem: Problem::server_internal("the signer failed"),
        try_again,
        lease: LEASE,
        now: NOW,
    }
}

/// By whoever has the key, for a compromise.
pub(in crate::store) fn revoke_by_key(serial: u8) -> Revoke {
    Revoke {
        claimant: Claimant::Key([serial; 32]),
        reason: Some(1),
        ..revoke_by_operator(serial)
    }
}

/// By the account that it was issued to.
pub(in crate::store) fn revoke_by_account(serial: u8) -> Revoke {
    Revoke {
        claimant: Claimant::Account(account_id(1)),
        ..revoke_by_operator(serial)
    }
}

pub(in crate::store) fn revoke_by_operator(serial: u8) -> Revoke {
    Revoke {
        certificate: key_of_certificate(serial),
        claimant: Claimant::Operator,
        reason: Some(4),
        requester: REQUESTER,
        now: NOW,
    }
}

pub(in crate::store) fn deactivate_account() -> UpdateAccount {
    UpdateAccount {
        account: account_id(1),
        contacts: None,
        deactivate: true,
        agrees_to: None,
        requester: REQUESTER,
        now: NOW,
    }
}

pub(in crate::store) fn deactivate_authorization(n: u8) -> DeactivateAuthorization {
    DeactivateAuthorization {
        account: account_id(1),
        authorization: authorization_id(n),
        requester: REQUESTER,
        now: NOW,
    }
}

/// Goes on under a new serial after [`take_over`] by boot 2.
pub(in crate::store) fn resume_issuance(order: u8, serial: u8) -> BeginIssuance {
    BeginIssuance {
        resumes: Some(2),
        boot: boot(2),
        ..begin_issuance(order, serial)
    }
}

pub(in crate::store) fn change_contacts() -> UpdateAccount {
    UpdateAccount {
        contacts: Some(vec!["mailto:ops@a.test".parse().unwrap()]),
        deactivate: false,
        agrees_to: None,
        ..deactivate_account()
    }
}

/// By the account that [`create_account`] makes, so that it meets the others.
pub(in crate::store) fn create_own_order(n: u8) -> CreateOwnOrder {
    let asked = create_account(3);
    let account = Account {
        id: asked.id,
        directory: asked.directory,
        thumbprint: asked.key.thumbprint(),
        spki_sha256: asked.spki_sha256,
        key: asked.key,
        status: AccountStatus::Valid,
        contacts: Vec::new(),
        terms_agreed: true,
        terms: None,
        url: asked.url,
        external: None,
        created_at: NOW,
    };
    CreateOwnOrder(InternalOrder {
        account,
        order: order_id(n),
        names: vec![InternalName {
            name: name("ca.test"),
            authorization: Seed {
                id: authorization_id(n),
                token: Token::from_random(&[n; 16]).unwrap(),
            },
        }],
        profile: None,
        profile_hash: PROFILE,
        life: DAY,
        now: NOW,
    })
}

/// This boot's own work after its lease.
pub(in crate::store) fn take_over_late() -> TakeOver {
    TakeOver {
        now: NOW.plus(LEASE),
        ..take_over(1)
    }
}

/// Lets open orders expire, and deletes nothing.
pub(in crate::store) async fn expire(store: &Store) -> String {
    let policy = SweepPolicy {
        orders_after: 400 * DAY,
        audit_after: 400 * DAY,
    };
    format!(
        "{:?}",
        store.sweep(NOW.plus(8 * DAY), &policy, 64).await.is_ok()
    )
}

pub(in crate::store) fn take_over(boot_number: u8) -> TakeOver {
    TakeOver {
        boot: boot(boot_number),
        lease: LEASE,
        limit: 16,
        now: NOW,
        running: Running::default(),
    }
}

pub(in crate::store) fn issuer() -> IssuerRecord {
    IssuerRecord {
        id: ISSUER,
        certificate_der: vec![1, 2, 3],
        crl_shards: 1,
        created_at: NOW,
    }
}

pub(in crate::store) fn reserve_crl() -> ReserveCrlNumber {
    ReserveCrlNumber {
        issuer: ISSUER,
        shard: 0,
        now: NOW,
    }
}

pub(in crate::store) fn put_crl(number: u64) -> PutCrl {
    let crl = StoredCrl {
        issuer: ISSUER,
        shard: 0,
        number,
        this_update: NOW,
        next_update: NOW.plus(7 * DAY),
        reach: 0,
        regular: true,
        der: vec![5; 200],
    };
    PutCrl { crl }
}

/// Stops the writer until it is let go, so that what is asked meanwhile meets in one batch.
pub(in crate::store) struct Hold {
    held: Mutex<mpsc::Receiver<()>>,
    started: mpsc::Sender<()>,
}

/// The end of a [`Hold`], from outside.
pub(in crate::store) struct Held {
    release: mpsc::Sender<()>,
    asked: tokio::task::JoinHandle<Result<(), TxError>>,
}

impl Hold {
    /// Returns when the writer stands still.
    pub(in crate::store) async fn the_writer(store: &Store) -> Held {
        let (release, held) = mpsc::channel();
        let (started, standing) = mpsc::channel();
        let store = store.clone();
        let asked = tokio::spawn(async move {
            store
                .transact(Self {
                    held: Mutex::new(held),
                    started,
                })
                .await
        });
        tokio::task::yield_now().await;
        standing.recv().unwrap();
        Held { release, asked }
    }
}

impl Held {
    pub(in crate::store) async fn release(self) {
        drop(self.release);
        self.asked.await.unwrap().unwrap();
    }
}

impl Transaction for Hold {
    const NAME: &'static str = "hold";
    type Answer = ();

    async fn run<R: Rows>(&self, _rows: &R) -> Result<Decision<()>, RowFault> {
        let _ = self.started.send(());
        // Ends when the sender is dropped, and at once if it runs again.
        let _ = self.held.lock().unwrap().recv();
        Ok(Decision::unchanged(()))
    }
}

/// Writes a row and then one that cannot be written.
pub(in crate::store) struct Broken;

impl Transaction for Broken {
    const NAME: &'static str = "broken";
    type Answer = ();

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<()>, RowFault> {
        let mut changes = Changes::default();
        if let Some(mut account) = rows.account(account_id(1)).await? {
            account.terms_agreed = false;
            changes.update_accounts.push(account);
        }
        let mut missing = begin_issuance(10, 77).certificate;
        missing.state = CertificateState::Unconfirmed;
        changes.update_certificates.push(missing);
        Ok(Decision {
            changes,
            answer: Ok(()),
        })
    }
}

/// An observer that holds every step against the RFC's figures: no state may follow that must not (RFC 8555 §7.1.6).
#[derive(Default)]
pub(in crate::store) struct Watcher {
    accounts: Mutex<HashMap<AccountId, AccountStatus>>,
    orders: Mutex<HashMap<OrderId, OrderState>>,
    authorizations: Mutex<HashMap<AuthorizationId, AuthorizationStatus>>,
    pub(in crate::store) wrong: Mutex<Vec<String>>,
    pub(in crate::store) heard: AtomicUsize,
}

impl Watcher {
    fn step<K: std::hash::Hash + Eq + Debug, S: Copy + PartialEq + Debug>(
        &self,
        seen: &Mutex<HashMap<K, S>>,
        id: K,
        state: S,
        allowed: impl Fn(S, S) -> bool,
    ) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let text = format!("{id:?}");
        if let Some(before) = seen.lock().unwrap().insert(id, state)
            && before != state
            && !allowed(before, state)
        {
            self.wrong
                .lock()
                .unwrap()
                .push(format!("{text}: {before:?} became {state:?}"));
        }
    }
}

impl Observer for Watcher {
    fn account(&self, account: &Arc<Account>) {
        self.step(
            &self.accounts,
            account.id,
            account.status,
            AccountStatus::can_become,
        );
    }

    fn order(&self, order: &Arc<Order>) {
        let allowed = |before, after| {
            matches!(
                (before, after),
                (
                    OrderState::Open,
                    OrderState::Processing | OrderState::Invalid
                ) | (
                    OrderState::Processing,
                    OrderState::Valid | OrderState::Invalid
                )
            )
        };
        self.step(&self.orders, order.id, order.state, allowed);
    }

    fn authorization(&self, authorization: &Arc<Authorization>) {
        self.step(
            &self.authorizations,
            authorization.id,
            authorization.status,
            AuthorizationStatus::can_become,
        );
    }
}
