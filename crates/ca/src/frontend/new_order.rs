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
#[cfg(feature = "dev")]
use crate::dev::FreshOrder;
use crate::{
    authority::{
        order_request::{self, Bounds, ParsedOrder},
        profiles, replacements,
    },
    directories::Directory,
    id::{AuthorizationId, OrderId},
    issuance::Profile,
    model::Account,
    node::{Ca, Snapshot},
    refusals,
    store::{CreateOrder, FindOrder, OrderPlaced, OrderPolicy, Replaced, Seed, TxError},
};

/// Octets of a token: 128 bits more than 8555-8.3-1 asks for, as Boulder's.
pub(crate) const TOKEN: usize = 32;

pub(crate) async fn create(context: &Context, request: Verified<Raw>) -> Result<Answer, Problem> {
    let request = request.object::<NewOrder>()?;
    let (snapshot, account) = (&context.snapshot, request.signer());
    let settings = &snapshot.config.orders;
    let judged = agreed(context, account).and_then(|()| judge(context, request.payload(), account));
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
        directory: account.directory,
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
        Ok(_room) => place(&context.ca, create).await,
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

/// Places the order; a test CA may be told to take nothing over.
async fn place(ca: &Ca, create: CreateOrder) -> Result<OrderPlaced, TxError> {
    #[cfg(feature = "dev")]
    if let Some(doors) = &ca.doors
        && let Some(reuse) = doors.reuse(create.identifiers.len())
    {
        let wanted = create;
        return ca.store.transact(FreshOrder { wanted, reuse }).await;
    }
    ca.store.transact(create).await
}

/// Whether the account agreed to what the directory asks for now.
pub(crate) fn agreed(context: &Context, account: &Account) -> Result<(), Problem> {
    match &context.directory().terms {
        Some(terms) => terms.judge(account, context.now),
        None => Ok(()),
    }
}

/// What an order may be under a profile.
pub(crate) fn bounds<'a>(
    context: &'a Context,
    profile: &Profile,
    profile_named: bool,
) -> Bounds<'a> {
    // The key is not known yet: only what each of them could sign is taken.
    let issuers = context.ca.issuance.issuers().of_profile(&profile.settings);
    let from = issuers.iter().map(|s| s.issuer.certificate.not_before());
    let until = issuers.iter().map(|s| s.issuer.certificate.not_after());
    Bounds {
        life: profile.life(),
        profile_named,
        names_max: context.snapshot.config.orders.names_max,
        issuer_from: Timestamp::from_seconds(from.max().unwrap_or(i64::MAX)),
        issuer_until: Timestamp::from_seconds(until.min().unwrap_or(i64::MIN)),
        offered: &context.directory().challenges,
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
    let directory = context.directory();
    let named = request.profile.clone();
    #[cfg(feature = "dev")]
    let named = named.or_else(|| {
        let offered = offered(snapshot, directory).map(ToOwned::to_owned);
        context.ca.doors.as_ref()?.random_profile(offered.collect())
    });
    let profile = profile(snapshot, directory, named.as_deref())?;
    let (name, settings) = (&profile.name, &profile.settings);
    let challenges = profiles::challenges(name, settings, &context.directory().challenges)?;
    let bounds = Bounds {
        offered: &challenges,
        ..bounds(context, profile, request.profile.is_some())
    };
    let parsed = order_request::parse(request, context.now, &bounds)?;
    let external = account.external.as_ref();
    snapshot
        .names_of(settings)
        .judge_for(external, &parsed.identifiers)?;
    profiles::judge(name, settings, account.id, &parsed.identifiers)?;
    let replaces = request.replaces.as_deref();
    Ok(Wanted {
        profile,
        parsed,
        challenges,
        replaces: replaces.map(|text| replaced(context, text)).transpose()?,
    })
}

/// The profile that is asked for, else the directory's usual one.
pub(crate) fn profile<'a>(
    snapshot: &'a Snapshot,
    directory: &Directory,
    name: Option<&str>,
) -> Result<&'a Profile, Problem> {
    let profiles = &snapshot.profiles;
    let name = name.unwrap_or_else(|| directory.usual_profile());
    profiles
        .named(name)
        .filter(|_| directory.offers(name))
        .map(AsRef::as_ref)
        .ok_or_else(|| profiles::not_offered(name, offered(snapshot, directory)))
}

/// The names of the profiles that the directory offers.
fn offered<'a>(snapshot: &'a Snapshot, directory: &Directory) -> impl Iterator<Item = &'a str> {
    let names = snapshot.profiles.iter().map(|p| p.name.as_str());
    names.filter(|name| directory.offers(name))
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
