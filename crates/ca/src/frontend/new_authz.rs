//! newAuthz (RFC 8555 §7.4.1): an authorization before any order. It is always a new, pending one.

use cairn_acme::{
    challenge::Token,
    identifier::Identifier,
    object::{NewAuthorization, NewOrder},
    problem::{Problem, ProblemType},
};
use http::StatusCode;

use super::{
    answer::Answer,
    authorization,
    context::{Context, random, seed},
    envelope::{Raw, Verified},
    new_order::{self, TOKEN},
    problem,
};
use crate::{
    authority::{
        order_request::{self, Bounds},
        profiles,
    },
    id::AuthorizationId,
    refusals,
    store::{CreateAuthorization, Seed},
};

pub(crate) async fn create(context: &Context, request: Verified<Raw>) -> Result<Answer, Problem> {
    let request = request.object::<NewAuthorization>()?;
    let (snapshot, account) = (&context.snapshot, request.signer());
    let wanted = NewOrder {
        identifiers: vec![request.payload().identifier.clone()],
        not_before: None,
        not_after: None,
        profile: None,
        replaces: None,
    };
    // What may be authorized is what may be ordered without naming a profile.
    let judge = || {
        new_order::agreed(context, account)?;
        let profile = new_order::profile(snapshot, context.directory(), None)?;
        let (name, settings) = (&profile.name, &profile.settings);
        let challenges = profiles::challenges(name, settings, &context.directory().challenges)?;
        let bounds = Bounds {
            offered: &challenges,
            ..new_order::bounds(context, profile, false)
        };
        let parsed = order_request::parse(&wanted, context.now, &bounds)?;
        snapshot
            .names_of(settings)
            .judge_for(account.external.as_ref(), &parsed.identifiers)?;
        Ok((parsed.identifiers.into_iter().next(), challenges))
    };
    let (identifier, challenges) = match judge() {
        Ok(judged) => judged,
        Err(refusal) => {
            let refusal = unwilling(refusal);
            refusals::note(
                &context.ca,
                "authorization-refused",
                account.id,
                None,
                &refusal,
            )
            .await;
            return Err(refusal);
        }
    };
    let identifier = identifier.ok_or_else(|| Problem::malformed("there is no identifier"))?;
    if identifier.is_wildcard() {
        return Err(wildcard(&identifier));
    }
    let _room = context
        .ca
        .limits
        .reserve_authorization(account.id, context.now)?;
    let token = Token::from_random(&random::<TOKEN>()?)
        .map_err(|_| Problem::server_internal("no token could be made"))?;
    let create = CreateAuthorization {
        seed: Seed {
            id: AuthorizationId::new(context.now, seed()?),
            token,
        },
        account: account.id,
        directory: account.directory,
        identifier,
        challenges,
        life: snapshot.config.orders.pending_authorization_life.into(),
        requester: context.requester(),
        now: context.now,
    };
    let made = context
        .ca
        .store
        .transact(create)
        .await
        .map_err(problem::of_transaction)?;
    tracing::info!(target: "cairn", authorization = %made.id, account = %account.id, name = %made.identifier, "authorization created");
    let url = context.urls().authorization(made.id);
    Ok(authorization::show(context, &made, StatusCode::CREATED).location(&url))
}

/// 8555-7.4.1-1: what the server is unwilling to authorize is 403.
fn unwilling(refusal: Problem) -> Problem {
    match refusal.kind {
        ProblemType::RejectedIdentifier | ProblemType::UnsupportedIdentifier => refusal.status(403),
        _ => refusal,
    }
}

fn wildcard(identifier: &Identifier) -> Problem {
    Problem::new(
        ProblemType::RejectedIdentifier,
        format!(
            "{identifier}: a wildcard cannot be authorized before its order (RFC 8555 section 7.4.1); place the order"
        ),
    )
    .status(403)
}
