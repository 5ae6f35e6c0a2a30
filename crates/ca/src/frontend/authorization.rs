//! The authorization resource (RFC 8555 §7.1.4, §7.5): read, held while a challenge is processing; deactivated.

use std::{sync::Arc, time::Duration};

use cairn_acme::{
    object,
    problem::Problem,
    status::{AuthorizationStatus, ChallengeStatus},
};
use http::StatusCode;

use super::{
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    hold, problem,
};
use crate::{
    authority::{authorizations, no_such_object},
    id::{AccountId, AuthorizationId},
    model::{Authorization, Challenge},
    store::DeactivateAuthorization,
};

/// When to ask again while the first attempt runs: most end within a second.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);

/// When to ask again after an attempt failed: the next starts within five seconds (8555-8.2-2).
const NEXT_ATTEMPT: Duration = Duration::from_secs(5);

pub(crate) async fn post(
    context: &Context,
    id: AuthorizationId,
    request: Verified<Raw>,
) -> Result<Answer, Problem> {
    let account = request.signer().id;
    if !request.is_fetch() {
        return deactivate(context, id, &request.object()?).await;
    }
    let found = load(context, account, id, "authorization").await?;
    let held = if is_running(context, &found) {
        hold::place(context, account)
    } else {
        None
    };
    let found = await_validation(context, held, account, id, "authorization").await?;
    Ok(show(context, &found, StatusCode::OK))
}

/// 8555-7.5.2-1.
async fn deactivate(
    context: &Context,
    id: AuthorizationId,
    request: &Verified<object::Deactivation>,
) -> Result<Answer, Problem> {
    if !request.payload().is_deactivation() {
        return Err(Problem::malformed(
            "an authorization's status can only be set to \"deactivated\"",
        ));
    }
    let deactivate = DeactivateAuthorization {
        account: request.signer().id,
        authorization: id,
        requester: context.requester(),
        now: context.now,
    };
    let authorization = context
        .ca
        .store
        .transact(deactivate)
        .await
        .map_err(problem::of_transaction)?;
    Ok(show(context, &authorization, StatusCode::OK))
}

/// The account's authorization; 404 for one that is absent or another's (T-CA-28).
pub(crate) async fn load(
    context: &Context,
    account: AccountId,
    id: AuthorizationId,
    what: &str,
) -> Result<Arc<Authorization>, Problem> {
    context
        .ca
        .store
        .authorization(account, id)
        .await
        .map_err(problem::of_store)?
        .ok_or_else(|| no_such_object(what))
}

/// Looks at the authorization until its validation has ended, as long as the answer may be held.
pub(crate) async fn await_validation(
    context: &Context,
    held: Option<crate::limits::Held>,
    account: AccountId,
    id: AuthorizationId,
    what: &str,
) -> Result<Arc<Authorization>, Problem> {
    hold::until_done(context, held, id.as_bytes(), || async move {
        let found = load(context, account, id, what).await?;
        let running = is_running(context, &found);
        Ok((found, running))
    })
    .await
}

/// Whether a validation of it is under way: in this process, or by its row in some process.
pub(crate) fn is_running(context: &Context, authorization: &Authorization) -> bool {
    view(context, authorization) == AuthorizationStatus::Pending
        && (authorization
            .challenges
            .iter()
            .any(|challenge| challenge.status == ChallengeStatus::Processing)
            || context.ca.validation.is_running(authorization.id))
}

pub(crate) fn view(context: &Context, authorization: &Authorization) -> AuthorizationStatus {
    authorizations::view(authorization, context.ca.clock.wall())
}

/// The authorization as an answer, with Retry-After while it is being validated.
pub(crate) fn show(context: &Context, authorization: &Authorization, code: StatusCode) -> Answer {
    let status = view(context, authorization);
    // Pending: all that are offered; else the one that decided it (8555-7.1.4-1).
    let decided = match status {
        AuthorizationStatus::Pending => None,
        AuthorizationStatus::Invalid => Some(ChallengeStatus::Invalid),
        _ => Some(ChallengeStatus::Valid),
    };
    let shown = |challenge: &&Challenge| decided.is_none_or(|decided| challenge.status == decided);
    let body = object::Authorization {
        identifier: authorization.identifier.clone(),
        status,
        expires: Some(authorization.expires),
        challenges: authorization
            .challenges
            .iter()
            .filter(shown)
            .map(|c| challenge_object(context, authorization, c))
            .collect(),
        wildcard: authorization.wildcard,
    };
    let answer = Answer::json(code, &body);
    match authorization.challenges.iter().find_map(retry_after) {
        Some(wait) if status == AuthorizationStatus::Pending => answer.retry_after(wait),
        _ => answer,
    }
}

/// When a client should ask again, if the challenge is processing.
pub(crate) fn retry_after(challenge: &Challenge) -> Option<Duration> {
    let wait = if challenge.error.is_some() {
        NEXT_ATTEMPT
    } else {
        FIRST_ATTEMPT
    };
    (challenge.status == ChallengeStatus::Processing).then_some(wait)
}

/// The wire's challenge (RFC 8555 §8).
pub(crate) fn challenge_object(
    context: &Context,
    authorization: &Authorization,
    challenge: &Challenge,
) -> object::Challenge {
    object::Challenge {
        kind: challenge.kind.to_string(),
        url: context.urls().challenge(authorization.id, challenge.kind),
        status: challenge.status,
        validated: challenge.validated,
        error: challenge.error.clone(),
        token: Some(authorization.token.as_str().to_owned()),
    }
}
