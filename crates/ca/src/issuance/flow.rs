//! One order's way to its certificate (design.md §2.6).

use std::{collections::HashSet, sync::Arc, time::Duration};

use cairn_acme::{
    identifier::Identifier,
    jws::Envelope,
    object::Finalize,
    problem::{Problem, ProblemType},
    renewal::CertId,
    time::Timestamp,
};
use cairn_x509::{certificate::Serial, csr::Csr};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::{
    body::{Request, build},
    caa_recheck::{Rechecks, recheck},
    issuer::Issuer,
    issuers::Issuers,
    judgement,
    profile::Profile,
    signer::{Signable, SignerFault},
    under_way::UnderWay,
};
use crate::{
    authority::{caa, orders},
    clock::{self, Readings},
    config::{DEFAULT_PROFILE, Span},
    id::OrderId,
    model::{Account, Authorization, CertificateKey, Method, Order, Work},
    node::Ca,
    operator::OperatorGrant,
    refusals,
    store::{
        BeginIssuance, ConcludeIssuance, FailIssuance, IssuanceBegun, SigningPermit, StoreError,
        TxError,
    },
};

/// When a signer with a full queue is asked again; it gave no signature, so the permit still stands.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// An issuance's lease; signing and storing end well before.
const LEASE: Duration = Duration::from_secs(60);

/// How long a finished signature waits for a store that cannot write.
const STORE_PATIENCE: Duration = Duration::from_secs(30);

/// How often a serial is drawn anew when it was taken; with 128 random bits once is a fault of the random source.
const DRAWS_MAX: usize = 3;

/// The one door to a signature over a certificate.
pub struct Issuance {
    issuers: Issuers,
    under_way: Arc<UnderWay>,
    rechecks: Arc<Rechecks>,
}

impl std::fmt::Debug for Issuance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuance")
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

impl Issuance {
    /// Puts the parts together.
    #[must_use]
    pub fn new(issuers: Issuers) -> Self {
        Self {
            issuers,
            under_way: Arc::default(),
            rechecks: Arc::default(),
        }
    }

    /// Who signs.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// The store's key of a certificate that a client names (RFC 9773 §4.1), if the issuer and the serial's form are ours.
    #[must_use]
    pub fn certificate_named(&self, id: &CertId) -> Option<CertificateKey> {
        let mut issuers = self.issuers.iter().map(|signing| &signing.issuer);
        let issuer = issuers.find(|issuer| issuer.certificate.key_id() == id.key_id())?;
        let serial = Serial::from_bytes(id.serial().try_into().ok()?)?;
        Some(CertificateKey {
            issuer: issuer.id,
            serial,
        })
    }

    /// The orders whose issuance runs in this process.
    #[must_use]
    pub fn running(&self) -> HashSet<OrderId> {
        self.under_way.orders()
    }

    /// Returns when no issuance is under way.
    pub async fn drained(&self) {
        self.under_way.none().await;
    }

    /// Stops signing while the clocks disagree (T-CA-96), or outside the issuer's own life.
    pub(super) fn clocks_agree(&self, ca: &Ca, issuer: &Issuer) -> Result<Timestamp, Problem> {
        let Some(fault) = self.clock_fault(ca, issuer) else {
            return Ok(ca.clock.wall());
        };
        error!(%fault, "signing stopped");
        ca.metrics.signing_stopped();
        Err(Problem::server_internal(
            "this CA has stopped signing for now; its operator has been told why",
        )
        .status(503)
        .retry_after(Duration::from_secs(60)))
    }

    /// Why nothing is signed by this issuer now, as far as the clocks go.
    #[must_use]
    pub fn clock_fault(&self, ca: &Ca, issuer: &Issuer) -> Option<String> {
        // The store's first: what is written meanwhile is not younger than the clock.
        let database = ca.store.latest_time();
        let now = ca.clock.moment();
        let now = Readings {
            wall: now.claimed,
            expected: now.wall,
            database,
        };
        let issuer = &issuer.certificate;
        match clock::agree(&now) {
            Err(fault) => Some(fault.to_string()),
            Ok(()) if now.wall.as_seconds() < issuer.not_before() => {
                Some("the clock is before the issuer's certificate begins".to_owned())
            }
            Ok(()) if now.wall.as_seconds() > issuer.not_after() => {
                Some("the issuer's certificate has ended".to_owned())
            }
            Ok(()) => None,
        }
    }

    /// Accepts a finalize: judges the CSR, commits the permission to sign and starts the signature. The order is
    /// `processing` when this returns.
    ///
    /// # Errors
    /// `badCSR`, `orderNotReady` and the store's.
    pub async fn finalize(
        &self,
        ca: &Arc<Ca>,
        account: &Account,
        order: &Order,
        authorizations: &[Arc<Authorization>],
        csr_der: &[u8],
        request: &[u8],
    ) -> Result<(), TxError> {
        if let Err(problem) = judgement::in_force(account, order, &ca.snapshot.load()) {
            let (event, order) = ("finalize-refused", Some(order.id));
            refusals::note(ca, event, account.id, order, &problem).await;
            return Err(TxError::Refused(Box::new(problem)));
        }
        let bytes = (csr_der, request);
        self.accept(ca, account, order, authorizations, bytes, None)
            .await
    }

    /// The same for an order of the CA itself, with the operator's grant if it rests on one.
    ///
    /// # Errors
    /// As [`finalize`](Self::finalize).
    pub(super) async fn finalize_own(
        &self,
        ca: &Arc<Ca>,
        account: &Account,
        order: &Order,
        authorizations: &[Arc<Authorization>],
        csr_der: &[u8],
        grant: Option<OperatorGrant>,
    ) -> Result<(), TxError> {
        let bytes = (csr_der, csr_der);
        self.accept(ca, account, order, authorizations, bytes, grant)
            .await
    }

    async fn accept(
        &self,
        ca: &Arc<Ca>,
        account: &Account,
        order: &Order,
        authorizations: &[Arc<Authorization>],
        (csr_der, request): (&[u8], &[u8]),
        grant: Option<OperatorGrant>,
    ) -> Result<(), TxError> {
        let refused = |problem: Problem| TxError::Refused(Box::new(problem));
        let judged = judgement::csr(csr_der, account, order, &ca.snapshot.load());
        let csr = match judged {
            Ok(csr) => csr,
            Err(problem) => {
                let (event, order) = ("finalize-refused", Some(order.id));
                refusals::note(ca, event, account.id, order, &problem).await;
                return Err(refused(problem));
            }
        };
        #[cfg(feature = "dev")]
        let pause = ca
            .doors
            .as_ref()
            .and_then(|doors| doors.take_slowness(order.id));
        // Whoever finalizes by old checks makes us ask the DNS, which may be slow: few at once.
        let now = ca.clock.wall();
        let recheck = if authorizations.iter().any(|a| caa::is_due(a, now)) {
            Some(Rechecks::enter(&self.rechecks, account.id).map_err(refused)?)
        } else {
            None
        };
        let (ca, account, order) = (Arc::clone(ca), account.clone(), order.clone());
        let (authorizations, bytes) = (authorizations.to_vec(), request.to_vec());
        let (reply, answer) = oneshot::channel();
        let running = UnderWay::enter(&self.under_way, order.id);
        // The server's task, not the request's: a client that hangs up around the COMMIT must not leave a permission that
        // nobody follows until its lease ends.
        tokio::spawn(async move {
            let _running = running;
            let request = Request {
                account: &account,
                order: &order,
                authorizations: &authorizations,
                csr: &csr,
                bytes: &bytes,
                grant: grant.as_ref(),
            };
            let begun = ca.issuance.begin(&ca, &request, None).await;
            drop(recheck);
            // The client may have hung up.
            match begun {
                Ok(begun) => {
                    let _ = reply.send(Ok(()));
                    #[cfg(feature = "dev")]
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                    // A grant is for one signature: whoever gave it is asked again.
                    follow(Arc::clone(&ca), begun, grant.is_none()).await;
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            }
        });
        answer.await.unwrap_or_else(|_| {
            Err(refused(Problem::server_internal(
                "the issuance ended unexpectedly; fetch the order to see how it stands",
            )))
        })
    }

    /// Goes on with an issuance whose serial was given up, under a new one.
    pub fn resume(&self, ca: &Arc<Ca>, work: Work, order: Order) {
        let ca = Arc::clone(ca);
        let running = UnderWay::enter(&self.under_way, order.id);
        tokio::spawn(async move {
            let _running = running;
            if let Some(begun) = begin_again(&ca, &work, &order).await {
                follow(ca, begun, true).await;
            }
        });
    }

    /// Builds, lints, and asks the store for the permission.
    async fn begin(
        &self,
        ca: &Arc<Ca>,
        request: &Request<'_>,
        resumes: Option<u32>,
    ) -> Result<IssuanceBegun, TxError> {
        let refused = |problem: Problem| TxError::Refused(Box::new(problem));
        // The transaction asks again; but no certificate with such dates is even built.
        if let Some(problem) = orders::out_of_dates(request.order, ca.clock.wall()) {
            return Err(refused(problem));
        }
        let profile = profile_of(ca, request.order).await?;
        let signing = self
            .issuers
            .for_leaf(&profile.settings, request.csr.public_key())
            .ok_or_else(|| refused(no_longer_issued()))?;
        let caa = recheck(ca, request.order, request.authorizations, resumes.is_some()).await?;
        for _ in 0..DRAWS_MAX {
            let now = self.clocks_agree(ca, &signing.issuer).map_err(refused)?;
            let certificate = match build(ca, signing, request, &profile, &caa, now) {
                Ok(certificate) => certificate,
                Err(fault) => return Err(self.unfit(ca, request.order, fault).await),
            };
            let begin = BeginIssuance {
                account: request.order.account,
                order: request.order.id,
                resumes,
                grant: request.grant.cloned(),
                certificate,
                caa: caa.clone(),
                boot: ca.boot,
                lease: LEASE,
                now,
            };
            match ca.store.transact(begin).await {
                Err(TxError::Collision) => {
                    warn!(order = %request.order.id, "a serial was drawn twice: look at the random source")
                }
                Err(TxError::Refused(problem)) if problem.kind != ProblemType::OrderNotReady => {
                    let (account, order) = (request.order.account, Some(request.order.id));
                    refusals::note(ca, "issuance-refused", account, order, &problem).await;
                    return Err(TxError::Refused(problem));
                }
                other => return other,
            }
        }
        error!(
            "three serials in a row were taken: the random source repeats itself; signing stopped for this order"
        );
        Err(refused(Problem::server_internal(
            "no new serial number could be drawn",
        )))
    }

    /// A certificate that our own lints refuse is never signed; the operator reads why, the subscriber that it is us.
    async fn unfit(&self, ca: &Arc<Ca>, order: &Order, fault: String) -> TxError {
        error!(order = %order.id, %fault, "not signed: the certificate would not be fit");
        let told = Problem::server_internal(fault);
        refusals::note(ca, "lint-refused", order.account, Some(order.id), &told).await;
        TxError::Refused(Box::new(Problem::server_internal(
            "the certificate that this order asks for fails this CA's own checks; its operator has been told why",
        )))
    }
}

/// The version that the order was placed under, whatever the configuration says of that name since (T-CA-99).
async fn profile_of(ca: &Ca, order: &Order) -> Result<Arc<Profile>, TxError> {
    let snapshot = ca.snapshot.load_full();
    let in_force = order.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
    if let Some(profile) = snapshot.profiles.named(in_force)
        && profile.hash == order.profile_hash
    {
        return Ok(Arc::clone(profile));
    }
    let text = ca.store.profile_text(&order.profile_hash).await?;
    let stored = text
        .as_deref()
        .and_then(|text| Profile::from_text(text, &order.profile_hash))
        .map(Arc::new);
    stored.ok_or_else(|| TxError::Refused(Box::new(no_longer_issued())))
}

/// The profile's text cannot be read any more, or the issuer that it names is gone.
fn no_longer_issued() -> Problem {
    Problem::server_internal("the order's profile can no longer be issued; place a new order")
}

/// Whether it rests on an operator's word.
fn is_granted(authorization: &Authorization) -> bool {
    let shown = authorization.evidence.as_ref();
    shown.is_some_and(|shown| shown.method == Method::OperatorGrant)
}

/// The CSR inside a stored request: the signed finalize, or the CSR alone for the CA's own certificate.
fn csr_of(request: &[u8]) -> Option<Vec<u8>> {
    if request.first() == Some(&0x30) {
        return Some(request.to_vec());
    }
    let envelope = Envelope::parse(request).ok()?;
    let finalize: Finalize = cairn_acme::json::parse(&envelope.payload).ok()?;
    cairn_acme::base64url::decode(&finalize.csr).ok()
}

/// Asks for a new serial for an order in processing.
async fn begin_again(ca: &Arc<Ca>, work: &Work, order: &Order) -> Option<IssuanceBegun> {
    let result = async {
        let lost = || {
            TxError::Refused(Box::new(Problem::server_internal(
                "the finalize request is no longer there",
            )))
        };
        let key = order.certificate.ok_or_else(lost)?;
        let previous = ca.store.certificate(key.serial).await?.ok_or_else(lost)?;
        let csr = csr_of(&previous.request)
            .and_then(|der| Csr::parse(&der).ok())
            .ok_or_else(lost)?;
        let mut authorizations = Vec::new();
        for id in &order.authorizations {
            authorizations.extend(ca.store.authorization(order.account, *id).await?);
        }
        let account = ca.store.account(order.account).await?.ok_or_else(lost)?;
        if authorizations.iter().any(|a| is_granted(a)) {
            return Err(TxError::Refused(Box::new(Problem::server_internal(
                "the CA stopped before it signed, and the operator's word is for one signature: issue again",
            ))));
        }
        let request = Request {
            account: &account,
            order,
            authorizations: &authorizations,
            csr: &csr,
            bytes: &previous.request,
            grant: None,
        };
        ca.issuance.begin(ca, &request, Some(work.generation)).await
    };
    match result.await {
        Ok(begun) => Some(begun),
        // The name servers, the clock or the operator: the order was good when its finalize was taken.
        Err(TxError::Refused(problem)) if problem.retry_after.is_some() => {
            warn!(order = %order.id, detail = %problem.detail, "not signed for now; it goes on when its lease ends");
            None
        }
        Err(TxError::Refused(problem)) => {
            give_up(ca, order, work.generation, *problem, false).await;
            None
        }
        Err(error) => {
            warn!(order = %order.id, %error, "issuance interrupted; it goes on when its lease ends");
            None
        }
    }
}

/// From the committed permission to the stored signature, over as many serials as an order may have if it may `try_again`.
async fn follow(ca: Arc<Ca>, mut begun: IssuanceBegun, try_again: bool) {
    loop {
        let started = ca.clock.monotonic();
        let IssuanceBegun { permit, order } = begun;
        let generation = permit.generation();
        let problem = match sign(&ca, &permit, order.id).await {
            Ok(signature) => {
                conclude(&ca, &order, &permit, signature, started).await;
                return;
            }
            Err(problem) => problem,
        };
        let Some(work) = give_up(&ca, &order, generation, problem, try_again).await else {
            return;
        };
        match begin_again(&ca, &work, &order).await {
            Some(next) => begun = next,
            None => return,
        }
    }
}

/// Signs and verifies at once; what does not verify never leaves the process (T-CA-100).
async fn sign(ca: &Ca, permit: &SigningPermit, order: OrderId) -> Result<Vec<u8>, Problem> {
    let issuance = &ca.issuance;
    let serial = permit.certificate().serial;
    let failed = || {
        Problem::server_internal(format!(
            "this CA could not sign: its signer failed, and nothing is wrong with the order. Place a new one; if that ends so \
             too, give the CA's operator this order's number, {order}."
        ))
    };
    let deadline = ca.timing.sign;
    let Some(signing) = issuance.issuers.with_id(permit.certificate().issuer) else {
        error!(%serial, "not signed: its issuer is not there");
        return Err(failed());
    };
    let asked = async {
        loop {
            match signing
                .signer
                .sign(Signable::certificate(permit), deadline)
                .await
            {
                Err(fault) if fault.is_unsigned() => tokio::time::sleep(BUSY_PAUSE).await,
                answered => return answered,
            }
        }
    };
    // A signer that does not keep the deadline by itself is left: what it answers later reaches nobody.
    let answered = tokio::time::timeout(deadline, asked).await;
    match answered.unwrap_or(Err(SignerFault::TimedOut(deadline))) {
        Ok(signature) => {
            let issuer = &signing.issuer.certificate;
            match issuer.verify_signature(permit.tbs(), &signature) {
                Ok(()) => Ok(signature),
                Err(fault) => {
                    error!(%serial, %order, %fault, "the signer returned a signature that does not verify; it was thrown away");
                    Err(failed())
                }
            }
        }
        Err(
            fault @ (SignerFault::Busy
            | SignerFault::TimedOut(_)
            | SignerFault::Failed(_)
            | SignerFault::Stopped),
        ) => {
            error!(%serial, %order, %fault, "not signed");
            Err(failed())
        }
    }
}

async fn give_up(
    ca: &Arc<Ca>,
    order: &Order,
    generation: u32,
    problem: Problem,
    try_again: bool,
) -> Option<Work> {
    let fail = FailIssuance {
        account: order.account,
        order: order.id,
        generation,
        boot: ca.boot,
        problem,
        try_again,
        lease: LEASE,
        now: ca.clock.wall(),
    };
    match ca.store.transact(fail).await {
        Ok(next) => {
            if next.is_none() {
                ca.metrics.issuance_failed();
            }
            next
        }
        Err(error) => {
            warn!(order = %order.id, %error, "the failed issuance could not be noted; it is taken over when its lease ends");
            None
        }
    }
}

/// Stores the signature; waits for a store that cannot write, for the signature exists.
async fn conclude(
    ca: &Arc<Ca>,
    order: &Order,
    permit: &SigningPermit,
    signature: Vec<u8>,
    started: Duration,
) {
    let conclude = ConcludeIssuance {
        account: order.account,
        order: order.id,
        certificate: permit.certificate(),
        generation: permit.generation(),
        boot: ca.boot,
        signature,
        now: ca.clock.wall(),
    };
    let serial = permit.certificate().serial;
    loop {
        let error = match ca.store.transact(conclude.clone()).await {
            Ok(order) => {
                let took = ca.clock.monotonic().saturating_sub(started);
                let profile = profile_of(ca, &order)
                    .await
                    .map(|profile| profile.name.clone());
                ca.metrics.issued();
                info!(
                    %serial,
                    names = %Names(&order.identifiers),
                    account = %order.account,
                    order = %order.id,
                    profile = profile.as_deref().unwrap_or("unknown"),
                    validity = %Lifetime(permit.tbs()),
                    took = %format_args!("{}ms", took.as_millis()),
                    "issued"
                );
                return;
            }
            Err(TxError::Store(error @ (StoreError::ReadOnly(_) | StoreError::Overloaded(_)))) => {
                error.to_string()
            }
            Err(error) => {
                warn!(%serial, %error, "a signature came too late or could not be stored; its serial stays unconfirmed");
                return;
            }
        };
        if ca.clock.monotonic().saturating_sub(started) > STORE_PATIENCE {
            warn!(%serial, %error, "a signature could not be stored in time; its serial becomes unconfirmed");
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How long a certificate is valid, both ends counted, in a log line.
struct Lifetime<'a>(&'a [u8]);

impl std::fmt::Display for Lifetime<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = cairn_x509::certificate::validity_of(self.0)
            .and_then(|(start, end)| u64::try_from(end - start + 1).ok());
        match seconds {
            Some(seconds) => write!(f, "{}", Span::from_secs(seconds)),
            None => f.write_str("unknown"),
        }
    }
}

/// Names in a log line, without building a string first.
struct Names<'a>(&'a [Identifier]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}
