//! The challenge resource (RFC 8555 §7.5.1): a JSON object starts the validation, an empty payload only reads.

use std::time::Duration;

use cairn_acme::{
    challenge::ChallengeType,
    problem::Problem,
    status::{AuthorizationStatus, ChallengeStatus},
};
use http::StatusCode;

use super::{
    answer::Answer,
    authorization::{self, await_validation, challenge_object, is_running, retry_after, view},
    context::Context,
    envelope::{Raw, Verified},
    hold, order, problem,
};
use crate::{authority::no_such_object, id::AuthorizationId, limits::Held, model::Authorization};

/// A validation is made durable when it takes longer than 100 ms; an answer that was held for less could show a state
/// that the store does not hold.
const SHORTEST_HOLD: Duration = Duration::from_millis(250);

/// A response to a challenge: an object whose members are all ignored (8555-7.5.1-1).
#[derive(Debug, serde::Deserialize)]
struct Response {}

pub(crate) async fn post(
    context: &Context,
    id: AuthorizationId,
    kind: ChallengeType,
    request: Verified<Raw>,
) -> Result<Answer, Problem> {
    let account = request.signer().id;
    let found = authorization::load(context, account, id, "challenge").await?;
    if !found
        .challenges
        .iter()
        .any(|challenge| challenge.kind == kind)
    {
        return Err(no_such_object("challenge"));
    }
    if request.is_fetch() {
        let held = if is_running(context, &found) {
            place(context, &found).await?
        } else {
            None
        };
        let found = await_validation(context, held, account, id, "challenge").await?;
        return show(context, &found, kind);
    }
    let request = request.object::<Response>()?;
    match view(context, &found) {
        AuthorizationStatus::Pending => {}
        AuthorizationStatus::Valid => return show(context, &found, kind),
        status => {
            return Err(Problem::malformed(format!(
                "the authorization is {status}; its challenges can no longer be answered: place a new order"
            )));
        }
    }
    // Offered once, and not any more: what was a proof then is none now.
    if !context.directory().challenges.contains(&kind) {
        return Err(Problem::malformed(format!(
            "this directory no longer validates by {kind}; place a new order"
        )));
    }
    let held = place(context, &found).await?;
    context
        .ca
        .validation
        .respond(&context.ca, request.signer(), &found, kind, held.is_some())
        .await
        .map_err(problem::of_transaction)?;
    let found = await_validation(context, held, account, id, "challenge").await?;
    if is_running(context, &found) || view(context, &found) != AuthorizationStatus::Pending {
        return show(context, &found, kind);
    }
    // It ended after that look, or without a conclusion in the store; only a second look tells.
    let found = authorization::load(context, account, id, "challenge").await?;
    if view(context, &found) == AuthorizationStatus::Pending && !is_running(context, &found) {
        // The store takes no writes now; nothing was acknowledged.
        return Err(Problem::server_internal(
            "the response could not be stored; nothing was done, send it again",
        )
        .status(503)
        .retry_after(Duration::from_secs(2)));
    }
    show(context, &found, kind)
}

/// A place to hold the answer, when no other authorization of the order is unanswered: a client answers all challenges
/// of an order one after the other, and must not wait for the first before it can answer the second (design.md §2.8).
async fn place(context: &Context, authorization: &Authorization) -> Result<Option<Held>, Problem> {
    if context.ca.limits.hold_time() < SHORTEST_HOLD {
        return Ok(None);
    }
    // One that was made for no order waits for itself alone.
    let Some(order) = authorization.order else {
        return Ok(hold::place(context, authorization.account));
    };
    let order = order::load(context, authorization.account, order).await?;
    // From the last one on: clients answer from the first, and then the look at one of a hundred is enough.
    for id in order.authorizations.iter().rev() {
        let other = context
            .ca
            .store
            .authorization(order.account, *id)
            .await
            .map_err(problem::of_store)?;
        let waits = other.is_some_and(|other| {
            other.id != authorization.id
                && view(context, &other) == AuthorizationStatus::Pending
                && !is_running(context, &other)
        });
        if waits {
            return Ok(None);
        }
    }
    Ok(hold::place(context, authorization.account))
}

fn show(
    context: &Context,
    authorization: &Authorization,
    kind: ChallengeType,
) -> Result<Answer, Problem> {
    let challenge = authorization
        .challenges
        .iter()
        .find(|challenge| challenge.kind == kind)
        .ok_or_else(|| no_such_object("challenge"))?;
    let answer = Answer::json(
        StatusCode::OK,
        &challenge_object(context, authorization, challenge),
    )
    .link(&context.urls().authorization(authorization.id), "up");
    Ok(match retry_after(challenge) {
        Some(wait) if challenge.status == ChallengeStatus::Processing => answer.retry_after(wait),
        _ => answer,
    })
}
