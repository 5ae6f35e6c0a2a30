//! Drives validations: the retry plan, the store's transactions and the attempts themselves, each as a task of the server
//! and never of the request that asked, which dies when a client hangs up.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cairn_acme::{
    challenge::{ChallengeType, KeyAuthorization},
    identifier::Identifier,
    problem::Problem,
    status::{AuthorizationStatus, ChallengeStatus},
    time::Timestamp,
};
use tokio::{sync::oneshot, time};
use tracing::{info, warn};

use super::{Attempt, CaaQuestion, Job, Next, Outcome, Schedule, Validator, caa, places::Places};
use crate::{
    id::AuthorizationId,
    model::{self, Account, Authorization, Work, WorkSubject},
    node::Ca,
    store::{
        BeginValidation, ConcludeValidation, NoteValidationAttempt, StoreError, Target, TxError,
    },
};

/// A validation that takes longer than this is made durable before it ends.
const DURABLE_AFTER: Duration = Duration::from_millis(100);

/// A work row's lease: longer than the longest validation that need not wait for a place; one that waits here has its
/// lease renewed by the take-over, so that only a dead process loses it.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// How long a conclusion waits for a store that takes no writes, and between two tries.
const STORE_PATIENCE: Duration = Duration::from_secs(30);
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Starts and follows validations.
#[derive(Debug)]
pub struct ValidationDriver {
    validator: Validator,
    /// The authorizations that are being validated here, so that a hundred POSTs start one job (T-CA-44).
    running: Mutex<HashSet<AuthorizationId>>,
    places: Places,
}

/// One authorization's place among the running; it is given back however the job ends.
struct Running {
    ca: Arc<Ca>,
    id: AuthorizationId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ca
            .validation
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

impl ValidationDriver {
    /// Nothing runs yet; `at_once` attempts may. Slow responders fill these places and no others (T-CA-116).
    #[must_use]
    pub fn new(validator: Validator, at_once: usize) -> Self {
        Self {
            validator,
            running: Mutex::default(),
            places: Places::new(at_once),
        }
    }

    /// The validator, for its counters.
    #[must_use]
    pub fn validator(&self) -> &Validator {
        &self.validator
    }

    /// Whether the authorization's validation runs in this process.
    #[must_use]
    pub fn is_running(&self, authorization: AuthorizationId) -> bool {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&authorization)
    }

    /// All of them.
    #[must_use]
    pub fn running(&self) -> HashSet<AuthorizationId> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn enter(&self, ca: &Arc<Ca>, id: AuthorizationId) -> Option<Running> {
        let new = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
        new.then(|| Running {
            ca: Arc::clone(ca),
            id,
        })
    }

    /// Starts the validation that a response to the challenge asks for, unless it runs already. When the request is not
    /// held, its answer shows `processing`, so the work is durable before this returns.
    ///
    /// # Errors
    /// The transaction's.
    pub async fn respond(
        &self,
        ca: &Arc<Ca>,
        account: &Account,
        authorization: &Authorization,
        challenge: ChallengeType,
        held: bool,
    ) -> Result<(), TxError> {
        let Some(running) = self.enter(ca, authorization.id) else {
            return Ok(());
        };
        // What the request looked at may be decided by now: the place was free because that validation has ended, and a
        // second one would only ask the subscriber's server again (T-CA-44).
        let current = ca.store.authorization(account.id, authorization.id).await?;
        if current.is_none_or(|a| a.status != AuthorizationStatus::Pending) {
            return Ok(());
        }
        let target = Target {
            account: account.id,
            authorization: authorization.id,
            challenge,
        };
        let key_authorization =
            KeyAuthorization::new(&authorization.token, &account.thumbprint).to_string();
        let mut task = Task {
            ca: Arc::clone(ca),
            target,
            key_authorization,
            wildcard: authorization.wildcard,
            generation: None,
            _running: running,
        };
        let job = task.job(authorization);
        if held {
            tokio::spawn(task.run(job));
            return Ok(());
        }
        // The server's task, not the request's: a client that hangs up around the COMMIT must not leave a validation that
        // nobody runs until its lease ends.
        let (reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let durable = task.make_durable().await;
            let run = matches!(durable, Ok(true));
            // The client may have hung up.
            let _ = reply.send(durable.map(|_| ()));
            if run {
                task.run(job).await;
            }
        });
        answer
            .await
            .unwrap_or(Err(TxError::Store(StoreError::Closed)))
    }

    /// Goes on with a validation that was taken over.
    pub fn resume(&self, ca: &Arc<Ca>, work: &Work, authorization: &Authorization) {
        let WorkSubject::Validate {
            account, challenge, ..
        } = work.subject
        else {
            return;
        };
        let Some(running) = self.enter(ca, authorization.id) else {
            return;
        };
        let stored = authorization
            .challenges
            .iter()
            .find(|c| c.kind == challenge)
            .and_then(|c| c.key_authorization.clone());
        let Some(key_authorization) = stored else {
            return;
        };
        let target = Target {
            account,
            authorization: authorization.id,
            challenge,
        };
        let task = Task {
            ca: Arc::clone(ca),
            target,
            key_authorization,
            wildcard: authorization.wildcard,
            generation: Some(work.generation),
            _running: running,
        };
        let job = task.job(authorization);
        tokio::spawn(task.run(job));
    }
}

/// One validation under way.
struct Task {
    ca: Arc<Ca>,
    target: Target,
    key_authorization: String,
    wildcard: bool,
    /// Set once the work is durable.
    generation: Option<u32>,
    _running: Running,
}

impl Task {
    fn job(&self, authorization: &Authorization) -> Job {
        Job {
            identifier: authorization.ordered(),
            challenge: self.target.challenge,
            token: authorization.token.clone(),
            key_authorization: self.key_authorization.clone(),
        }
    }

    /// Whether the validation is now durable and ours; else it is decided or runs elsewhere.
    async fn make_durable(&mut self) -> Result<bool, TxError> {
        if self.generation.is_some() {
            return Ok(true);
        }
        let begun = self
            .ca
            .store
            .transact(BeginValidation {
                target: self.target,
                key_authorization: self.key_authorization.clone(),
                boot: self.ca.boot,
                lease: LEASE,
                now: self.ca.clock.wall(),
            })
            .await?;
        self.generation = begun.generation;
        Ok(self.generation.is_some())
    }

    async fn run(mut self, job: Job) {
        if let Err(error) = self.validate(&job).await {
            // What is durable is taken over when its lease ends; what is not was never acknowledged.
            warn!(name = %job.identifier, %error, "validation interrupted");
        }
    }

    async fn validate(&mut self, job: &Job) -> Result<(), TxError> {
        let (ca, account) = (Arc::clone(&self.ca), self.target.account);
        let wildcard = self.wildcard;
        let snapshot = ca.snapshot.load_full();
        let accounts = match ca.store.account(account).await? {
            Some(account) => ca.caa_urls(&snapshot, &account),
            None => Vec::new(),
        };
        // The plan counts from this validation's start; it needs no civil time, and stands still while it waits for a
        // place: that is our time, not the subscriber's.
        let mut origin = ca.clock.monotonic();
        let since = |origin: Duration| {
            let passed = ca.clock.monotonic().saturating_sub(origin);
            Timestamp::from_millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
        };
        let mut schedule = Schedule::start(since(origin), snapshot.retries);
        loop {
            let attempt = async {
                let asked = ca.clock.monotonic();
                #[cfg(feature = "dev")]
                if let Some(doors) = &ca.doors {
                    time::sleep(doors.validation_pause()).await;
                }
                // Kept for this attempt alone, not for the pause before the next.
                let _place = ca.validation.places.take(account).await;
                let origin = origin + ca.clock.monotonic().saturating_sub(asked);
                let begun_at = since(origin);
                let bound = schedule.attempt_ends(begun_at).since(begun_at);
                let validator = &ca.validation.validator;
                let attempt = validator.attempt(job, &snapshot.rules, bound);
                #[cfg(feature = "dev")]
                let attempt = believed(&ca, job, attempt);
                let question = caa_question(job, wildcard, &accounts, ca.clock.wall());
                let check = question
                    .as_ref()
                    .map(|q| validator.check_caa(q, &snapshot.caa, &snapshot.rules, bound));
                (caa::beside(attempt, check).await, origin)
            };
            let Some(((Attempt { outcome, mut trace }, check), moved)) =
                self.follow(attempt).await?
            else {
                return Ok(());
            };
            origin = moved;
            let end = match outcome {
                Ok(found) => Ok(found),
                Err(failure) => {
                    let number = schedule.attempts();
                    let kind = if failure.transient {
                        Outcome::FailedTransiently
                    } else {
                        Outcome::FailedFinally
                    };
                    ca.metrics.validation_attempt_failed();
                    let now = since(origin);
                    let told = |problem: &Problem| {
                        info!(
                            name = %job.identifier, challenge = %job.challenge, attempt = number,
                            reason = %problem.detail, "validation failed"
                        );
                    };
                    match schedule.conclude(now, kind) {
                        Next::AttemptAt(at) => {
                            told(&failure.problem);
                            let trace = serde_json::to_string(&trace).unwrap_or_default();
                            if !self.note(failure.problem, trace, at.since(now)).await? {
                                return Ok(());
                            }
                            time::sleep(at.since(now)).await;
                            continue;
                        }
                        Next::GiveUp | Next::Done => {
                            // It holds no place any more, so it keeps nobody waiting but who is to be told.
                            let problem = if snapshot.config.dns.inquire {
                                let validator = &ca.validation.validator;
                                let now = ca.clock.wall();
                                let inquiry =
                                    validator.inquire(failure, &snapshot.rules, now, &mut trace);
                                match self.follow(inquiry).await? {
                                    Some(problem) => problem,
                                    None => return Ok(()),
                                }
                            } else {
                                failure.problem
                            };
                            told(&problem);
                            Err(problem)
                        }
                    }
                }
            };
            let trace = serde_json::to_string(&trace).unwrap_or_default();
            let end = end.map(|found| model::Evidence {
                caa: check,
                ..found.into_model(ca.clock.wall())
            });
            return self.conclude(end, trace).await;
        }
    }

    /// Waits for the attempt, and for its place, and makes the work durable when that takes long. `None`: it is no longer
    /// ours.
    async fn follow<T>(&mut self, attempt: impl Future<Output = T>) -> Result<Option<T>, TxError> {
        tokio::pin!(attempt);
        if self.generation.is_none() {
            match time::timeout(DURABLE_AFTER, &mut attempt).await {
                Ok(attempt) => return Ok(Some(attempt)),
                Err(_) if !self.make_durable().await? => return Ok(None),
                Err(_) => {}
            }
        }
        Ok(Some(attempt.await))
    }

    /// Shows the error of an attempt that will be repeated. `false`: the work is no longer ours.
    async fn note(
        &mut self,
        mut error: Problem,
        trace: String,
        wait: Duration,
    ) -> Result<bool, TxError> {
        if !self.make_durable().await? {
            return Ok(false);
        }
        let Some(generation) = self.generation else {
            return Ok(false);
        };
        error.detail = format!(
            "{} The server tries again in {} s.",
            error.detail,
            wait.as_secs().max(1)
        );
        let noted = NoteValidationAttempt {
            target: self.target,
            generation,
            boot: self.ca.boot,
            error,
            trace,
            lease: LEASE,
            now: self.ca.clock.wall(),
        };
        Ok(self.ca.store.transact(noted).await?.is_some())
    }

    /// Writes a conclusion. While the store takes no writes, what is durable waits for it, short of its lease's end.
    async fn store(&self, conclusion: ConcludeValidation) -> Result<Authorization, TxError> {
        let started = self.ca.clock.monotonic();
        loop {
            match self.ca.store.transact(conclusion.clone()).await {
                Err(TxError::Store(StoreError::ReadOnly(_) | StoreError::Overloaded(_)))
                    if self.generation.is_some()
                        && self.ca.clock.monotonic().saturating_sub(started) < STORE_PATIENCE =>
                {
                    time::sleep(STORE_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn conclude(
        &mut self,
        outcome: Result<model::Evidence, Problem>,
        trace: String,
    ) -> Result<(), TxError> {
        let snapshot = self.ca.snapshot.load_full();
        let valid = outcome.is_ok();
        let conclusion = ConcludeValidation {
            target: self.target,
            key_authorization: self.key_authorization.clone(),
            generation: self.generation,
            boot: self.ca.boot,
            outcome,
            trace,
            life: snapshot.config.orders.authorization_life.into(),
            now: self.ca.clock.wall(),
        };
        let concluded = self.store(conclusion).await?;
        self.ca.metrics.validation_concluded(valid);
        let decided = concluded
            .challenges
            .iter()
            .any(|c| c.status == ChallengeStatus::Valid);
        if valid != decided {
            info!(name = %concluded.identifier, "validation came too late: the authorization was decided meanwhile");
        }
        Ok(())
    }
}

/// The attempt, or where a test CA believes everybody a success without one.
#[cfg(feature = "dev")]
async fn believed(ca: &Ca, job: &Job, attempt: impl Future<Output = Attempt>) -> Attempt {
    let believes = |doors: &Arc<crate::dev::Doors>| doors.conduct().always_valid;
    if ca.doors.as_ref().is_some_and(believes) {
        Attempt::believed(job)
    } else {
        attempt.await
    }
}

/// What CAA is asked about a job; nothing for an address (RFC 8738 leaves CAA out).
fn caa_question(
    job: &Job,
    wildcard: bool,
    accounts: &[String],
    asked_at: Timestamp,
) -> Option<CaaQuestion> {
    let (Identifier::Dns(name) | Identifier::WildcardDns(name)) = &job.identifier else {
        return None;
    };
    Some(CaaQuestion {
        name: name.clone(),
        wildcard: wildcard || job.identifier.is_wildcard(),
        accounts: accounts.to_vec(),
        method: job.challenge.as_str(),
        asked_at,
    })
}
