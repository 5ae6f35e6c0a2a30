//! Validating a challenge (RFC 8555 §7.5.1, §8): begin, note a failed attempt, conclude, take over after a crash. Every
//! conclusion is conditional on the generation of its work row, and on an authorization that is still pending: a late
//! result never revives a deactivated, expired or invalid one (T-CA-43).

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use std::time::Duration;

use cairn_acme::{
    challenge::ChallengeType,
    problem::Problem,
    status::{AccountStatus, AuthorizationStatus, ChallengeStatus},
    time::Timestamp,
};

use super::{accounts, audit, authorizations, no_such_object};
use crate::{
    id::{AccountId, AuthorizationId, BootId},
    model::{Account, Authorization, Evidence, Order, OrderState, Work, WorkSubject},
    store::{Changes, Decision},
};

/// How often a piece of work may be begun before it ends with a reason.
pub const ATTEMPTS_MAX: u32 = 3;

/// Which challenge of whose authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub account: AccountId,
    pub authorization: AuthorizationId,
    pub challenge: ChallengeType,
}

impl Target {
    /// The subject of its work row.
    #[must_use]
    pub fn subject(&self) -> WorkSubject {
        WorkSubject::Validate {
            account: self.account,
            authorization: self.authorization,
            challenge: self.challenge,
        }
    }
}

/// Makes a validation durable: the challenge is `processing` from here on, whatever happens to the process.
#[derive(Debug, Clone)]
pub struct BeginValidation {
    pub target: Target,
    pub key_authorization: String,
    pub boot: BootId,
    pub lease: Duration,
    pub now: Timestamp,
}

/// What `begin_validation` found.
#[derive(Debug, Clone)]
pub struct ValidationBegun {
    /// As it now is.
    pub authorization: Authorization,
    /// The generation to conclude under; `None`: another validation of this authorization runs, or it is decided.
    pub generation: Option<u32>,
}

/// Begins, unless the authorization is decided or its validation runs already (T-CA-44).
#[must_use]
pub fn begin(
    input: &BeginValidation,
    account: Option<Account>,
    authorization: Option<Authorization>,
    work: Option<Work>,
) -> Decision<ValidationBegun> {
    match account {
        Some(account) if account.status == AccountStatus::Valid => {}
        Some(account) => return Decision::refuse(accounts::not_valid(account.status)),
        None => return Decision::refuse(no_such_object("challenge")),
    }
    let Some(mut authorization) = authorization else {
        return Decision::refuse(no_such_object("challenge"));
    };
    let running = work.is_some()
        || authorization
            .challenges
            .iter()
            .any(|c| c.status == ChallengeStatus::Processing);
    if running || authorizations::view(&authorization, input.now) != AuthorizationStatus::Pending {
        return Decision::unchanged(ValidationBegun {
            authorization,
            generation: None,
        });
    }
    let Some(challenge) = authorization
        .challenges
        .iter_mut()
        .find(|c| c.kind == input.target.challenge)
    else {
        return Decision::refuse(no_such_object("challenge"));
    };
    challenge.status = ChallengeStatus::Processing;
    challenge.key_authorization = Some(input.key_authorization.clone());
    let work = Work {
        subject: input.target.subject(),
        boot: input.boot,
        generation: 1,
        attempts: 1,
        until: input.now.plus(input.lease),
    };
    let changes = Changes {
        update_authorizations: vec![authorization.clone()],
        put_work: vec![work],
        ..Changes::default()
    };
    Decision {
        changes,
        answer: Ok(ValidationBegun {
            authorization,
            generation: Some(1),
        }),
    }
}

/// One attempt failed and another follows: its error is shown while the challenge is `processing` (8555-8.2-2).
#[derive(Debug, Clone)]
pub struct NoteValidationAttempt {
    pub target: Target,
    pub generation: u32,
    pub boot: BootId,
    pub error: Problem,
    pub trace: String,
    pub lease: Duration,
    pub now: Timestamp,
}

/// Notes the error and prolongs the lease; `None` if the work is no longer this process's.
#[must_use]
pub fn note_attempt(
    input: &NoteValidationAttempt,
    authorization: Option<Authorization>,
    work: Option<Work>,
) -> Decision<Option<Authorization>> {
    let (Some(mut authorization), Some(mut work)) = (authorization, work) else {
        return Decision::unchanged(None);
    };
    if work.generation != input.generation || work.boot != input.boot {
        return Decision::unchanged(None);
    }
    let mut changes = Changes::default();
    if authorizations::view(&authorization, input.now) != AuthorizationStatus::Pending {
        changes.delete_work.push(work.subject);
        return Decision {
            changes,
            answer: Ok(None),
        };
    }
    if let Some(challenge) = authorization
        .challenges
        .iter_mut()
        .find(|c| c.kind == input.target.challenge)
    {
        challenge.error = Some(input.error.clone());
    }
    authorization.trace = Some(input.trace.clone());
    work.until = input.now.plus(input.lease);
    changes.put_work.push(work);
    changes.update_authorizations.push(authorization.clone());
    Decision {
        changes,
        answer: Ok(Some(authorization)),
    }
}

/// The end of a validation.
#[derive(Debug, Clone)]
pub struct ConcludeValidation {
    pub target: Target,
    pub key_authorization: String,
    /// `None`: it ended before it had to be made durable.
    pub generation: Option<u32>,
    pub boot: BootId,
    pub outcome: Result<Evidence, Problem>,
    pub trace: String,
    /// How long a valid authorization may be used, from now.
    pub life: Duration,
    pub now: Timestamp,
}

/// Writes the outcome. The answer is the authorization as it now is; a stale result changes nothing.
#[must_use]
pub fn conclude(
    input: &ConcludeValidation,
    account: Option<Account>,
    authorization: Option<Authorization>,
    work: Option<Work>,
    order: Option<Order>,
) -> Decision<Authorization> {
    let Some(mut authorization) = authorization else {
        return Decision::refuse(no_such_object("authorization"));
    };
    let ours = match (&work, input.generation) {
        (Some(work), Some(generation)) => work.generation == generation && work.boot == input.boot,
        (None, None) => true,
        _ => false,
    };
    if !ours {
        return Decision::unchanged(authorization);
    }
    let mut changes = Changes {
        delete_work: work.into_iter().map(|w| w.subject).collect(),
        ..Changes::default()
    };
    let account_valid = account.is_some_and(|a| a.status == AccountStatus::Valid);
    if !account_valid
        || authorizations::view(&authorization, input.now) != AuthorizationStatus::Pending
    {
        return Decision {
            changes,
            answer: Ok(authorization),
        };
    }
    let Some(position) = authorization
        .challenges
        .iter()
        .position(|c| c.kind == input.target.challenge)
    else {
        return Decision {
            changes,
            answer: Ok(authorization),
        };
    };
    // A decided authorization lists the challenge that decided it (8555-7.1.4-1).
    let mut challenge = authorization.challenges.swap_remove(position);
    challenge
        .key_authorization
        .get_or_insert_with(|| input.key_authorization.clone());
    authorization.trace = Some(input.trace.clone());
    match &input.outcome {
        Ok(evidence) => {
            challenge.status = ChallengeStatus::Valid;
            challenge.validated = Some(input.now);
            challenge.error = None;
            authorization.status = AuthorizationStatus::Valid;
            authorization.expires = input.now.plus(input.life);
            authorization.evidence = Some(evidence.clone());
        }
        Err(problem) => {
            challenge.status = ChallengeStatus::Invalid;
            challenge.error = Some(problem.clone());
            authorization.status = AuthorizationStatus::Invalid;
            changes.audit.push(audit(
                input.now,
                "validation-failed",
                Some(authorization.account),
                authorization.order,
                &[
                    ("identifier", &authorization.identifier.to_string()),
                    ("problem", problem.kind.urn()),
                    ("detail", &problem.detail),
                ],
            ));
            if let Some(order) = order {
                changes
                    .update_orders
                    .extend(invalidated(order, &authorization, problem));
            }
        }
    }
    authorization.challenges = vec![challenge];
    changes.update_authorizations.push(authorization.clone());
    Decision {
        changes,
        answer: Ok(authorization),
    }
}

/// The order that an invalid authorization takes with it.
fn invalidated(
    mut order: Order,
    authorization: &Authorization,
    problem: &Problem,
) -> Option<Order> {
    if order.state != OrderState::Open {
        return None;
    }
    order.state = OrderState::Invalid;
    let mut error = problem.clone();
    if !error.detail.contains(&authorization.identifier.to_string()) {
        error.detail = format!("{}: {}", authorization.identifier, error.detail);
    }
    order.error = Some(error);
    Some(order)
}

/// Takes an abandoned validation over, or ends it with a reason after [`ATTEMPTS_MAX`] tries.
#[must_use]
pub fn take_over(
    mut work: Work,
    authorization: Option<Authorization>,
    order: Option<Order>,
    (boot, lease, now): (BootId, Duration, Timestamp),
) -> (Changes, Option<(Work, Authorization)>) {
    let mut changes = Changes::default();
    let WorkSubject::Validate {
        challenge: kind, ..
    } = work.subject
    else {
        return (changes, None);
    };
    let pending =
        authorization.filter(|a| authorizations::view(a, now) == AuthorizationStatus::Pending);
    let Some(mut authorization) = pending else {
        changes.delete_work.push(work.subject);
        return (changes, None);
    };
    if work.attempts >= ATTEMPTS_MAX {
        let problem = Problem::server_internal(format!(
            "{}: the server was interrupted {ATTEMPTS_MAX} times while it checked this name; place a new order",
            authorization.identifier
        ));
        for challenge in &mut authorization.challenges {
            if challenge.kind == kind {
                challenge.status = ChallengeStatus::Invalid;
                challenge.error = Some(problem.clone());
            }
        }
        authorization.status = AuthorizationStatus::Invalid;
        changes.audit.push(audit(
            now,
            "validation-given-up",
            Some(authorization.account),
            authorization.order,
            &[("identifier", &authorization.identifier.to_string())],
        ));
        if let Some(order) = order {
            changes
                .update_orders
                .extend(invalidated(order, &authorization, &problem));
        }
        changes.update_authorizations.push(authorization);
        changes.delete_work.push(work.subject);
        return (changes, None);
    }
    work.boot = boot;
    work.generation += 1;
    work.attempts += 1;
    work.until = now.plus(lease);
    changes.put_work.push(work.clone());
    (changes, Some((work, authorization)))
}
