//! HTTP/1.1 on the Unix socket: `GET /health/live`, `/health/ready`, `/metrics`, and `POST /query` with a JSON query.

use std::{
    io,
    os::unix::{fs::PermissionsExt, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time,
};

use super::{
    external, issue,
    query::{self, Query, QueryFault},
    revoke, trouble,
};
use crate::{
    fault::Causes,
    frontend::connection::{self, Bounds},
    node::Ca,
    publication::Readiness,
    store::StoreError,
};

/// Connections at once; operators are few, but a scraper that hangs must not be many.
const CONNECTIONS: usize = 32;

/// Octets of a query.
const QUERY: usize = 64 * 1024;

/// Makes the socket and serves until `stop` turns true.
///
/// # Errors
/// If another server answers on it, or the file system refuses.
pub fn listen(
    ca: Arc<Ca>,
    socket: &Path,
    stop: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let listener = bind(socket)?;
    let socket = socket.to_owned();
    Ok(tokio::spawn(serve(ca, listener, socket, stop)))
}

/// Binds beside the name and moves into place, so that the socket is never there with a wider mode. A socket that a
/// killed server left behind is replaced; one that answers is not.
fn bind(socket: &Path) -> io::Result<UnixListener> {
    if StdUnixStream::connect(socket).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another server of this directory answers there",
        ));
    }
    let new = socket.with_extension("sock.new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, socket)?;
    Ok(listener)
}

async fn serve(
    ca: Arc<Ca>,
    listener: UnixListener,
    socket: PathBuf,
    mut stop: watch::Receiver<bool>,
) {
    let bounds = Bounds {
        connections: CONNECTIONS,
        ..Bounds::default()
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let stopping = stop.clone();
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = connection::stopped(&mut stop) => break,
            accepted = next(&listener, &places) => accepted,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, place)) => {
                let (ca, stop) = (Arc::clone(&ca), stopping.clone());
                open.spawn(async move {
                    connection::run(stream, bounds, stop, |request| {
                        answer(Arc::clone(&ca), request)
                    })
                    .await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(target: "cairn", %error, "cannot accept on the operator's socket");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // Ours alone: a new server would have answered at its own bind.
    let _ = std::fs::remove_file(&socket);
    let _ = time::timeout(bounds.drain, async {
        while open.join_next().await.is_some() {}
    })
    .await;
    open.shutdown().await;
}

async fn next(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn answer(ca: Arc<Ca>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_get = request.method() == Method::GET;
    match request.uri().path() {
        "/health/live" if is_get => {
            reply(StatusCode::OK, JSON, json!({ "live": true }).to_string())
        }
        "/health/ready" if is_get => {
            let readiness = Readiness::of(&ca, ca.clock.wall());
            let status = if readiness.is_ready() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            reply(
                status,
                JSON,
                json!({ "ready": readiness.is_ready(), "faults": readiness.faults() }).to_string(),
            )
        }
        "/metrics" if is_get => {
            refresh(&ca).await;
            reply(StatusCode::OK, OPENMETRICS, ca.metrics.text())
        }
        "/query" if request.method() == Method::POST => {
            let body = match connection::body(request.into_body(), QUERY, Bounds::default().body)
                .await
            {
                Ok(body) => body,
                Err(_) => return refuse(StatusCode::BAD_REQUEST, "the query did not arrive whole"),
            };
            let query: Query = match serde_json::from_slice(&body) {
                Ok(query) => query,
                Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            };
            match answer_query(&ca, query).await {
                Ok(value) => reply(StatusCode::OK, JSON, value.to_string()),
                Err(fault) => refuse(status_of(&fault), &Causes(&fault).to_string()),
            }
        }
        "/health/live" | "/health/ready" | "/metrics" | "/query" => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "another method")
        }
        _ => refuse(
            StatusCode::NOT_FOUND,
            "there are /health/live, /health/ready, /metrics and /query",
        ),
    }
}

fn status_of(fault: &QueryFault) -> StatusCode {
    match fault {
        QueryFault::NotFound(_) | QueryFault::NoExternalKey(_) => StatusCode::NOT_FOUND,
        QueryFault::Unfit(_) => StatusCode::BAD_REQUEST,
        QueryFault::Refused(_) => StatusCode::FORBIDDEN,
        QueryFault::Store(StoreError::Overloaded(_)) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What needs the running server is done here; the rest is the store's to answer.
async fn answer_query(ca: &Arc<Ca>, query: Query) -> Result<Value, QueryFault> {
    match query {
        Query::Issue(wanted) => issue::issue(ca, &wanted).await,
        Query::AddExternalKey(wanted) => external::add(ca, &wanted).await,
        Query::PublishCrls => Ok(revoke::publish(ca).await),
        Query::Revoke(wanted) => {
            let issuers = ca.issuance.issuers().iter();
            let issuers: Vec<_> = issuers.map(|signing| signing.issuer.id).collect();
            let now = ca.clock.wall();
            let answer = revoke::revoke(&ca.store, &wanted, Some(&issuers), now).await?;
            for revoked in answer["revoked"].as_array().into_iter().flatten() {
                ca.metrics.revoked();
                let member = |name: &str| revoked[name].as_str().unwrap_or_default().to_owned();
                tracing::info!(
                    target: "cairn",
                    serial = member("serial"),
                    reason = member("reason"),
                    by = "operator",
                    account = member("account"),
                    order = member("order"),
                    "revoked"
                );
            }
            Ok(answer)
        }
        Query::Status => {
            let now = ca.clock.wall();
            let mut answer = query::answer(&ca.store, Query::Status, now).await?;
            trouble::add(ca, &mut answer, now);
            Ok(answer)
        }
        query => query::answer(&ca.store, query, ca.clock.wall()).await,
    }
}

/// Reads what is measured only when somebody looks.
async fn refresh(ca: &Ca) {
    let metrics = &ca.metrics;
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    metrics.held.set(number(ca.limits.held()));
    metrics
        .nonces
        .set(i64::try_from(ca.nonces.minted()).unwrap_or(i64::MAX));
    metrics.nonce_memory.set(number(ca.nonces.memory()));
    metrics
        .requests_in_flight
        .set(number(ca.store.requests_in_progress()));
    metrics.queue.set(number(ca.store.queue_length()));
    metrics.queue_age.set(ca.store.queue_age().as_secs_f64());
    for (path, file) in ca.crls.list() {
        if let Some(end) = file.fresh_until {
            metrics.crl(&path, end.as_seconds());
        }
    }
    query::measure(&ca.store, metrics, ca.clock.wall()).await;
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

fn reply(status: StatusCode, media: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

fn refuse(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    reply(status, JSON, json!({ "error": why }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_alone_and_a_stale_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join(super::super::SOCKET);
        let first = bind(&socket).unwrap();
        assert_eq!(
            std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(bind(&socket).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(socket.exists(), "a killed server leaves its socket");
        bind(&socket).unwrap();
    }
}
