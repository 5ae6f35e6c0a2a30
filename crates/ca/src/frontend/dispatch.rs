//! From a request to its handler, by a match on the route; and what is done for every answer: nonce, links, counts,
//! the log line of a refusal.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use cairn_acme::problem::{Problem, ProblemType};
use http::{HeaderMap, Method, Request, Response, Uri, header, uri::Authority};
use http_body_util::Full;

use super::{
    Bounds, Route, accept, account,
    admission::{self, Place},
    answer::Answer,
    authorization, certificate, challenge,
    connection::{self, Arriving},
    context::Context,
    cors, directory, envelope, finalize, intake, key_change, new_authz, new_nonce, new_order,
    order, orders, renewal_info, revoke_cert,
};
use crate::node::{Ca, Snapshot};

/// Answers one request. Never fails: what goes wrong is a problem document.
pub(crate) async fn answer(
    ca: Arc<Ca>,
    address: IpAddr,
    request: Request<impl Arriving>,
    bounds: Bounds,
) -> Response<Full<Bytes>> {
    let arrived = ca.clock.monotonic();
    let snapshot = ca.snapshot_at(host_of(request.headers(), request.uri()));
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let (place, route) = snapshot.directories.find(path);
    let directory = snapshot.directories.at(place);
    let is_post = request.method() == Method::POST;
    let method = request.method().clone();
    let from_browser = cors::is_asked(&request);
    let with_nonce = is_post || route == Some(Route::NewNonce);
    let outcome = match route {
        Some(route) if method == Method::OPTIONS => {
            connection::refuse(request.into_body(), bounds.body).await;
            Ok(cors::options(route))
        }
        Some(Route::RenewalInfo) if is_get(request.method()) => {
            renewal_info::show(&ca, &snapshot, &directory.urls, path).await
        }
        Some(route) if is_post && route != Route::RenewalInfo => {
            post(
                &ca,
                Arc::clone(&snapshot),
                (place, route),
                address,
                request,
                bounds,
            )
            .await
        }
        Some(Route::Directory) if is_get(request.method()) => {
            Ok(directory::show(&snapshot, directory))
        }
        Some(Route::NewNonce) if is_get(request.method()) => Ok(new_nonce::show(request.method())),
        route => {
            let problem = match route {
                None => Problem::malformed("there is no such resource; the directory names all")
                    .status(404),
                Some(route) => not_allowed(route, request.method()),
            };
            connection::refuse(request.into_body(), bounds.body).await;
            Err(problem)
        }
    };
    let answer = match outcome {
        Ok(answer) => answer,
        Err(problem) => {
            note(&ca, &problem, route, address);
            Answer::problem(&problem)
        }
    };
    ca.metrics.request(
        route,
        answer.status().as_u16(),
        ca.clock.monotonic().saturating_sub(arrived),
    );
    directory.requests.inc();
    // The nonce is minted last, so that it is as young as can be.
    let nonce = with_nonce.then(|| ca.nonces.mint(ca.clock.monotonic()));
    let index = (route != Some(Route::Directory)).then(|| directory.urls.directory());
    let mut response = answer.finish(nonce.as_deref(), index.as_deref());
    if from_browser {
        cors::permit(&mut response, &method, route);
    }
    response
}

async fn post(
    ca: &Arc<Ca>,
    snapshot: Arc<Snapshot>,
    (directory, route): (Option<usize>, Route),
    address: IpAddr,
    request: Request<impl Arriving>,
    bounds: Bounds,
) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    if let Err(problem) = admission::judge(
        ca.store.requests_in_progress(),
        ca.store.queue_age(),
        &snapshot.config.limits,
        route,
    ) {
        ca.metrics.shed();
        connection::refuse(body, bounds.body).await;
        return Err(problem);
    }
    let body = intake::read(&head.headers, body, &bounds).await?;
    let context = Context {
        ca: Arc::clone(ca),
        snapshot,
        directory,
        address,
        route,
        path: head
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str())
            .to_owned(),
        now: ca.clock.wall(),
        arrived: ca.clock.monotonic(),
        place: Place::enter(&ca.store),
    };
    if route == Route::NewAccount {
        return account::create(&context, envelope::by_key(&context, body)?).await;
    }
    if route == Route::RevokeCert {
        return revoke_cert::post(&context, envelope::by_either(&context, body).await?).await;
    }
    let verified = envelope::by_account(&context, body).await?;
    match route {
        // Unreachable by the lines above; newAccount has no account to be asked by.
        Route::NewAccount => Err(Problem::malformed("newAccount is signed with a jwk")),
        Route::RevokeCert => Err(Problem::malformed("revokeCert has its own envelope")),
        // Unreachable too: it is not signed for.
        Route::RenewalInfo => Err(not_allowed(route, &Method::POST)),
        Route::Directory => verified
            .fetch()
            .map(|_| directory::show(&context.snapshot, context.directory())),
        Route::NewNonce => verified.fetch().map(|_| new_nonce::show(&Method::GET)),
        Route::NewOrder => new_order::create(&context, verified).await,
        Route::NewAuthz => new_authz::create(&context, verified).await,
        Route::KeyChange => key_change::post(&context, verified).await,
        Route::Orders(account, before) => orders::list(&context, account, before, verified).await,
        Route::Account(_) | Route::NoAccount => account::post(&context, verified).await,
        Route::Order(id) => order::fetch(&context, id, verified).await,
        Route::Finalize(id) => finalize::post(&context, id, verified).await,
        Route::Authorization(id) => authorization::post(&context, id, verified).await,
        Route::Challenge(id, kind) => challenge::post(&context, id, kind, verified).await,
        Route::Certificate(serial, chain) => {
            let form = accept::form(&head.headers);
            certificate::fetch(&context, (serial, chain), form, verified).await
        }
    }
}

/// The host that the request names.
pub(super) fn host_of<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<&'r str> {
    let named = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    uri.authority().map(Authority::as_str).or(named)
}

fn is_get(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// 8555-6.3-1: all else is only read by a signed POST.
fn not_allowed(route: Route, method: &Method) -> Problem {
    let detail = if is_get(method) {
        "this resource is read by a signed POST-as-GET (RFC 8555 section 6.3)"
    } else {
        "this method has no meaning here"
    };
    Problem::malformed(detail)
        .status(405)
        .allow(route.methods())
}

fn note(ca: &Ca, problem: &Problem, route: Option<Route>, address: IpAddr) {
    ca.metrics.problem(problem);
    let (kind, status, route) = (
        problem.kind.name(),
        problem.status,
        route.map_or("none", Route::name),
    );
    // A spent nonce is the protocol's daily bread, and shedding must stay cheap: both are counted above. `detail` may
    // repeat what a stranger sent: the log's formatter keeps one event one line (T-CA-119).
    let common = problem.kind == ProblemType::BadNonce || status == 503;
    // Nor is a stranger's guess at a certificate's name worth a line each.
    if common || route == Route::RenewalInfo.name() {
        tracing::debug!(target: "cairn", problem = kind, status, route, %address, detail = %problem.detail, "refused");
    } else {
        tracing::info!(target: "cairn", problem = kind, status, route, %address, detail = %problem.detail, "refused");
    }
}
