//! The order resource (RFC 8555 §7.1.3), read by POST-as-GET; held while it is processing.

use std::{borrow::Borrow, sync::Arc, time::Duration};

use cairn_acme::{object, problem::Problem, status::OrderStatus};
use http::StatusCode;

use super::{
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    hold, problem,
};
use crate::{
    authority::{no_such_object, orders},
    id::{AccountId, OrderId},
    model::{Authorization, Order, OrderState},
};

/// When a client should ask again for an order in processing: signing takes milliseconds, so this is about a signer that
/// is slow.
const PROCESSING: Duration = Duration::from_secs(1);

pub(crate) async fn fetch(
    context: &Context,
    id: OrderId,
    request: Verified<Raw>,
) -> Result<Answer, Problem> {
    let request = request.fetch()?;
    await_issuance(context, request.signer().id, id).await
}

/// Shows the order, held as long as its issuance runs.
pub(crate) async fn await_issuance(
    context: &Context,
    account: AccountId,
    id: OrderId,
) -> Result<Answer, Problem> {
    let order = load(context, account, id).await?;
    let held = if order.state == OrderState::Processing {
        hold::place(context, account)
    } else {
        None
    };
    let order = hold::until_done(context, held, id.as_bytes(), || async move {
        let order = load(context, account, id).await?;
        let running = order.state == OrderState::Processing;
        Ok((order, running))
    })
    .await?;
    let authorizations = authorizations_of(context, &order).await?;
    Ok(show(context, &order, &authorizations, StatusCode::OK))
}

/// The account's order; 404 for one that is absent or another's (T-CA-28).
pub(crate) async fn load(
    context: &Context,
    account: AccountId,
    id: OrderId,
) -> Result<Arc<Order>, Problem> {
    context
        .ca
        .store
        .order(account, id)
        .await
        .map_err(problem::of_store)?
        .ok_or_else(|| no_such_object("order"))
}

pub(crate) async fn authorizations_of(
    context: &Context,
    order: &Order,
) -> Result<Vec<Arc<Authorization>>, Problem> {
    let mut found = Vec::with_capacity(order.authorizations.len());
    for id in &order.authorizations {
        found.extend(
            context
                .ca
                .store
                .authorization(order.account, *id)
                .await
                .map_err(problem::of_store)?,
        );
    }
    Ok(found)
}

/// The order's status as seen from outside. An authorization that was swept leaves an open order without it: the order
/// has then expired too, which `view` says by itself.
pub(crate) fn status<A: Borrow<Authorization>>(
    context: &Context,
    order: &Order,
    authorizations: &[A],
) -> OrderStatus {
    orders::view(
        order,
        authorizations.iter().map(Borrow::borrow),
        context.ca.clock.wall(),
    )
}

/// The order as an answer, with its Location, and Retry-After while it is processing (8555-7.4-7).
pub(crate) fn show<A: Borrow<Authorization>>(
    context: &Context,
    order: &Order,
    authorizations: &[A],
    code: StatusCode,
) -> Answer {
    let urls = context.urls();
    let status = status(context, order, authorizations);
    let body = object::Order {
        status,
        expires: Some(order.expires),
        identifiers: order.identifiers.clone(),
        not_before: order.not_before,
        not_after: order.not_after,
        profile: order.profile.clone(),
        replaces: order.replaces.as_ref().map(ToString::to_string),
        error: order.error.clone(),
        authorizations: order
            .authorizations
            .iter()
            .map(|id| urls.authorization(*id))
            .collect(),
        finalize: urls.finalize(order.id),
        certificate: order
            .certificate
            .filter(|_| status == OrderStatus::Valid)
            .map(|key| urls.certificate(key.serial)),
    };
    let answer = Answer::json(code, &body).location(&urls.order(order.id));
    if status == OrderStatus::Processing {
        answer.retry_after(PROCESSING)
    } else {
        answer
    }
}
