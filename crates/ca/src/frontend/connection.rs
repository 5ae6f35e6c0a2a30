//! What every listener shares: accepting within bounds, one HTTP/1.1 connection, draining at the end.
//!
//! HTTP/1.1 alone, on purpose: ACME clients send a handful of small requests one after the other, and HTTP/2 would bring
//! streams, windows and resets to bound (T-CA-113) for nothing.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time,
};

use super::framing::Strict;
use crate::limits::Network;

/// Bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Of them from one address (IPv6: one /64); further ones are closed at once.
    pub per_network: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request's head, and for the idle time before it.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
    /// Without the peer taking anything of an answer: one that does not read must not keep its place.
    pub write: Duration,
    /// For answers under way when the server stops.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_network: 1024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body: Duration::from_secs(10),
            write: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Header lines of a request; ACME clients send fewer than ten.
const HEADERS: usize = 64;

/// Octets of a head that the parser gathers before it gives up. The body is read in frames of this size at most.
const BUFFER: usize = 32 * 1024;

/// The kernel's queue of connections not yet accepted.
const BACKLOG: i32 = 1024;

/// Opens a listening socket. An IPv6 address takes IPv6 alone, so that both families may be named side by side.
///
/// # Errors
/// As the system says: in use, not permitted, no such address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Where connections come from: a socket, and in a test CA one that can be closed for a time.
pub(crate) trait Listening: Sync {
    /// Waits for the next one.
    fn next(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Listening for TcpListener {
    fn next(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        self.accept()
    }
}

/// Accepts until `stop` turns true, then waits for the open connections, [`Bounds::drain`] at most.
pub(crate) async fn accept<F, Fut>(
    listener: impl Listening,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(bounds.connections));
    let networks = Arc::new(Networks::default());
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = next(&listener, &places) => accepted,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer, place)) => {
                let Some(counted) =
                    Networks::enter(&networks, Network::of(peer.ip()), bounds.per_network)
                else {
                    continue;
                };
                // Answers are one write each; waiting to gather more only delays them.
                let _ = stream.set_nodelay(true);
                let connection = serve(stream, peer);
                open.spawn(async move {
                    connection.await;
                    drop((place, counted));
                });
            }
            Err(error) => {
                // Out of descriptors or memory: connections end by themselves, so wait a moment for one to do so.
                tracing::warn!(target: "cairn", error = %error, "cannot accept connections");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let _ = time::timeout(bounds.drain, async {
        while open.join_next().await.is_some() {}
    })
    .await;
    open.shutdown().await;
}

async fn next(
    listener: &impl Listening,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, peer) = listener.next().await?;
    Ok((stream, peer, place))
}

/// Ends when the server shall stop, or when whoever could tell is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Open connections of each network.
#[derive(Debug, Default)]
struct Networks(Mutex<HashMap<Network, usize>>);

struct Entered(Arc<Networks>, Network);

impl Networks {
    fn enter(networks: &Arc<Self>, network: Network, bound: usize) -> Option<Entered> {
        let mut counts = networks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= bound {
            return None;
        }
        *count += 1;
        Some(Entered(Arc::clone(networks), network))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

/// Answers the requests of one connection, one after the other, until the peer, a bound or `stop` ends it. A peer that
/// hangs up ends the handler that works for it.
pub(crate) async fn run<S, H, Fut>(
    stream: S,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
    handle: H,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> Fut,
    Fut: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        // After a chunked request the framing is no longer watched (`framing`), so it is the connection's last.
        let last = request.version() != Version::HTTP_11
            || request.headers().contains_key(header::TRANSFER_ENCODING);
        let answer = handle(request);
        async move {
            let mut answer = answer.await;
            if last {
                answer
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Strict::new(stream, bounds.write)), service);
    let mut connection = pin!(connection);
    // Errors here are the peer's: a broken line, a bad head that was answered with 400, a time-out.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = time::timeout(bounds.drain, connection).await;
        }
    }
}

/// A request's body on its way in.
pub(crate) trait Arriving: Body<Data = Bytes, Error: Into<BoxError>> + Unpin {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Arriving for B {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    /// Larger than allowed.
    TooLarge,
    /// It did not come in time.
    Late,
    /// The peer broke off, or its chunks are not well-formed.
    Broken,
}

/// Octets of a refused body that are read and forgotten. An answer to a client that still sends is lost with the
/// connection's reset; so much is cheap, and a client that sends more is no client of ours.
const DISCARD: usize = 1024 * 1024;

/// Reads a whole body of at most `limit` octets. One that is announced larger is not kept.
pub(crate) async fn body(
    mut body: impl Arriving,
    limit: usize,
    within: Duration,
) -> Result<Bytes, BodyFault> {
    let whole = async {
        let mut kept = Limited::new(&mut body, limit);
        let announced = Body::size_hint(&kept).lower();
        let outcome = if announced > limit as u64 {
            Err(BodyFault::TooLarge)
        } else {
            collect(&mut kept).await
        };
        if outcome == Err(BodyFault::TooLarge) {
            discard(body).await;
        }
        outcome
    };
    time::timeout(within, whole)
        .await
        .unwrap_or(Err(BodyFault::Late))
}

async fn collect(body: &mut Limited<&mut impl Arriving>) -> Result<Bytes, BodyFault> {
    match body.collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyFault::TooLarge),
        Err(_) => Err(BodyFault::Broken),
    }
}

/// Reads a refused body and forgets it, within [`DISCARD`].
async fn discard(mut body: impl Arriving) {
    let mut left = DISCARD;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
            return;
        };
        left = less;
    }
}

/// Forgets the body of a request that is refused for its head.
pub(crate) async fn refuse(body: impl Arriving, within: Duration) {
    let _ = time::timeout(within, discard(body)).await;
}
