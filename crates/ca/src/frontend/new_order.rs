//! newOrder (RFC 8555 §7.4): parsed, judged by the policy on names, placed in one transaction.

use cairn_acme::{challenge::Token, object::NewOrder, problem::Problem, time::Timestamp};
use http::StatusCode;

use super::{
    answer::Answer,
    context::{Context, random, seed},
    envelope::{Raw, Verified},
    order, problem,
};
use crate::{
    authority::order_request::{self, Bounds},
    id::{AuthorizationId, DirectoryId, OrderId},
    refusals,
    store::{CreateOrder, FindOrder, OrderPolicy, Seed},
};

/// Octets of a token: 128 bits more than 8555-8.3-1 asks for, as Boulder's.
const TOKEN: usize = 32;

pub(crate) async fn create(context: &Context, request: Verified<Raw>) -> Result<Answer, Problem> {
    let request = request.object::<NewOrder>()?;
    let (snapshot, account) = (&context.snapshot, request.signer());
    let settings = &snapshot.config.orders;
    let issuer = &context.ca.issuance.issuer().certificate;
    let bounds = Bounds {
        life: snapshot.profile.life(),
        names_max: settings.names_max,
        issuer_from: Timestamp::from_seconds(issuer.not_before()),
        issuer_until: Timestamp::from_seconds(issuer.not_after()),
        offered: &settings.challenges,
    };
    let judged = order_request::parse(request.payload(), context.now, &bounds).and_then(|parsed| {
        snapshot.names.judge(&parsed.identifiers)?;
        Ok(parsed)
    });
    let parsed = match judged {
        Ok(parsed) => parsed,
        Err(problem) => {
            refusals::note(&context.ca, "order-refused", account.id, None, &problem).await;
            return Err(problem);
        }
    };
    let room = context
        .ca
        .limits
        .reserve_order(account.id, parsed.identifiers.len(), context.now);
    let authorization_seeds = parsed
        .identifiers
        .iter()
        .map(|_| {
            let token = Token::from_random(&random::<TOKEN>()?)
                .map_err(|_| Problem::server_internal("no token could be made"))?;
            Ok(Seed {
                id: AuthorizationId::new(context.now, seed()?),
                token,
            })
        })
        .collect::<Result<Vec<_>, Problem>>()?;
    let create = CreateOrder {
        id: OrderId::new(context.now, seed()?),
        account: account.id,
        directory: DirectoryId::FIRST,
        identifiers: parsed.identifiers,
        not_before: parsed.not_before,
        not_after: parsed.not_after,
        // Both come with the next issue; the columns are there.
        profile: None,
        profile_hash: snapshot.profile.hash,
        replaces: None,
        authorization_seeds,
        policy: OrderPolicy {
            order_life: settings.life.into(),
            pending_authorization_life: settings.pending_authorization_life.into(),
            challenges: settings.challenges.clone(),
        },
        requester: context.requester(),
        now: context.now,
    };
    let store = &context.ca.store;
    // An account at its bound still finds the order that it has.
    let placed = match room {
        Ok(_room) => store.transact(create).await,
        Err(full) => {
            let find = FindOrder {
                wanted: create,
                full,
            };
            store.transact(find).await
        }
    };
    let placed = placed.map_err(problem::of_transaction)?;
    if placed.created {
        tracing::info!(target: "cairn", order = %placed.order.id, account = %account.id, names = %Names(&placed.order.identifiers), "order created");
    }
    Ok(order::show(
        context,
        &placed.order,
        &placed.authorizations,
        StatusCode::CREATED,
    ))
}

/// Identifiers of an order in one field of a log line.
struct Names<'a>(&'a [cairn_acme::identifier::Identifier]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            write!(f, "{name}")?;
        }
        Ok(())
    }
}
