//! newOrder (RFC 8555 §7.4): parsed, judged by the policy on names, placed in one transaction.

use cairn_acme::{
    challenge::{ChallengeType, Token},
    object::NewOrder,
    problem::Problem,
    renewal::CertId,
    time::Timestamp,
};
use http::StatusCode;

use super::{
    answer::Answer,
    context::{Context, random, seed},
    envelope::{Raw, Verified},
    order, problem,
};
use crate::{
    authority::{
        order_request::{self, Bounds, ParsedOrder},
        profiles, replacements,
    },
    id::{AuthorizationId, DirectoryId, OrderId},
    issuance::Profile,
    model::Account,
    node::Snapshot,
    refusals,
    store::{CreateOrder, FindOrder, OrderPolicy, Replaced, Seed},
};

/// Octets of a token: 128 bits more than 8555-8.3-1 asks for, as Boulder's.
pub(crate) const TOKEN: usize = 32;

pub(crate) async fn create(context: &Context, request: Verified<Raw>) -> Result<Answer, Problem> {
    let request = request.object::<NewOrder>()?;
    let (snapshot, account) = (&context.snapshot, request.signer());
    let settings = &snapshot.config.orders;
    let judged = judge(context, request.payload(), account);
    let Wanted {
        profile,
        parsed,
        challenges,
        replaces,
    } = match judged {
        Ok(wanted) => wanted,
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
        profile: Some(profile.name.clone()),
        profile_hash: profile.hash,
        replaces,
        authorization_seeds,
        policy: OrderPolicy {
            order_life: settings.life.into(),
            pending_authorization_life: settings.pending_authorization_life.into(),
            challenges,
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

/// What an order may be under a profile.
pub(crate) fn bounds<'a>(
    context: &'a Context,
    profile: &Profile,
    profile_named: bool,
) -> Bounds<'a> {
    let issuer = &context.ca.issuance.issuer().certificate;
    Bounds {
        life: profile.life(),
        profile_named,
        names_max: context.snapshot.config.orders.names_max,
        issuer_from: Timestamp::from_seconds(issuer.not_before()),
        issuer_until: Timestamp::from_seconds(issuer.not_after()),
        offered: &context.snapshot.config.orders.challenges,
    }
}

/// What an order asks for, as far as it can be told without the store.
struct Wanted<'a> {
    profile: &'a Profile,
    parsed: ParsedOrder,
    challenges: Vec<ChallengeType>,
    replaces: Option<Replaced>,
}

fn judge<'a>(
    context: &'a Context,
    request: &NewOrder,
    account: &Account,
) -> Result<Wanted<'a>, Problem> {
    let snapshot = &context.snapshot;
    let profile = profile(snapshot, request.profile.as_deref())?;
    let (name, settings) = (&profile.name, &profile.settings);
    let challenges = profiles::challenges(name, settings, &snapshot.config.orders.challenges)?;
    let bounds = Bounds {
        offered: &challenges,
        ..bounds(context, profile, request.profile.is_some())
    };
    let parsed = order_request::parse(request, context.now, &bounds)?;
    let external = account.external.as_ref();
    snapshot.names.judge_for(external, &parsed.identifiers)?;
    profiles::judge(name, settings, account.id, &parsed.identifiers)?;
    let replaces = request.replaces.as_deref();
    Ok(Wanted {
        profile,
        parsed,
        challenges,
        replaces: replaces.map(|text| replaced(context, text)).transpose()?,
    })
}

/// The profile that the order asks for, else the default.
fn profile<'a>(snapshot: &'a Snapshot, name: Option<&str>) -> Result<&'a Profile, Problem> {
    let profiles = &snapshot.profiles;
    match name {
        None => Ok(profiles.default()),
        Some(name) => profiles
            .named(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| profiles::not_offered(name, profiles.iter().map(|p| p.name.as_str()))),
    }
}

/// The certificate that `replaces` names, if its form and its issuer are this CA's; whose it is the transaction asks.
fn replaced(context: &Context, text: &str) -> Result<Replaced, Problem> {
    let id: CertId = text
        .parse()
        .map_err(|fault| Problem::malformed(format!("replaces names no certificate: {fault}")))?;
    let key = context
        .ca
        .issuance
        .certificate_named(&id)
        .ok_or_else(replacements::no_such_certificate)?;
    Ok(Replaced { id, key })
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
