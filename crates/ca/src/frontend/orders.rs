//! The list of an account's orders (RFC 8555 §7.1.2.1), page by page: unfinished and valid ones, newest first. A page is
//! named by the last order of the page before, so that it tells no count.

use cairn_acme::{object, problem::Problem};
use http::StatusCode;

use super::{
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    problem,
};
use crate::id::{AccountId, OrderId};

/// Orders of one page: some 5 KB.
const PAGE: usize = 50;

pub(crate) async fn list(
    context: &Context,
    account: AccountId,
    before: Option<OrderId>,
    request: Verified<Raw>,
) -> Result<Answer, Problem> {
    // 8555-7.3.2-2: as at the account itself, the same for another's and for one that does not exist.
    if account != request.signer().id {
        return Err(Problem::unauthorized(
            "an account's orders are shown to its own key alone",
        ));
    }
    request.fetch()?;
    let page = PAGE;
    #[cfg(feature = "dev")]
    let page = {
        let doors = context.ca.doors.as_ref();
        doors
            .and_then(|d| d.conduct().orders_per_page)
            .unwrap_or(page)
    };
    // One more than is shown tells whether there is a next page.
    let mut found = context
        .ca
        .store
        .orders_of(account, before, context.now, page + 1)
        .await
        .map_err(problem::of_store)?;
    let urls = context.urls();
    let next = if found.len() > page {
        found.truncate(page);
        found.last().map(|last| urls.orders(account, Some(*last)))
    } else {
        None
    };
    let body = object::Orders {
        orders: found.into_iter().map(|id| urls.order(id)).collect(),
    };
    let answer = Answer::json(StatusCode::OK, &body);
    Ok(match next {
        Some(next) => answer.link(&next, "next"),
        None => answer,
    })
}
