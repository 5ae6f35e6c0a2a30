//! The subscribers' socket: TCP, TLS, HTTP/1.1, each within bounds.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::server::ResolvesServerCert;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time,
};
use tokio_rustls::TlsAcceptor;

#[cfg(feature = "dev")]
use super::faults;
use super::{
    connection::{self, Bounds},
    dispatch, tls,
};
use crate::node::Ca;

/// Serves on a bound socket until `stop` turns true, with the usual bounds. Ends when the last connection is drained.
///
/// # Errors
/// That TLS cannot be configured.
pub(crate) fn serve_on(
    ca: Arc<Ca>,
    listener: TcpListener,
    certificate: Arc<dyn ResolvesServerCert>,
    stop: watch::Receiver<bool>,
) -> io::Result<JoinHandle<()>> {
    let bounds = Bounds {
        // The rest is for what outlives its client.
        drain: ca.timing.drain / 2,
        ..Bounds::default()
    };
    serve_within(ca, listener, certificate, stop, bounds)
}

/// Listens at an address with bounds of one's own.
///
/// # Errors
/// As the system says of the address; or that TLS cannot be configured.
pub fn listen_within(
    ca: Arc<Ca>,
    address: SocketAddr,
    certificate: Arc<dyn ResolvesServerCert>,
    stop: watch::Receiver<bool>,
    bounds: Bounds,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = connection::bind(address)?;
    let bound = listener.local_addr()?;
    Ok((
        bound,
        serve_within(ca, listener, certificate, stop, bounds)?,
    ))
}

fn serve_within(
    ca: Arc<Ca>,
    listener: TcpListener,
    certificate: Arc<dyn ResolvesServerCert>,
    stop: watch::Receiver<bool>,
    bounds: Bounds,
) -> io::Result<JoinHandle<()>> {
    let config = tls::server_config(certificate).map_err(io::Error::other)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let stopping = stop.clone();
    #[cfg(feature = "dev")]
    let doors = ca.doors.clone();
    let each = move |stream, peer| {
        serve(
            Arc::clone(&ca),
            acceptor.clone(),
            stream,
            peer,
            bounds,
            stopping.clone(),
        )
    };
    #[cfg(feature = "dev")]
    if let Some(doors) = doors {
        let doorway = faults::Doorway::new(doors, listener)?;
        return Ok(tokio::spawn(connection::accept(
            doorway, bounds, stop, each,
        )));
    }
    Ok(tokio::spawn(connection::accept(
        listener, bounds, stop, each,
    )))
}

async fn serve(
    ca: Arc<Ca>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    bounds: Bounds,
    stop: watch::Receiver<bool>,
) {
    let _open = Open::new(&ca);
    // A handshake that fails or takes too long is the peer's affair; the log would only help it to fill the disk.
    let Ok(Ok(stream)) = time::timeout(bounds.handshake, acceptor.accept(stream)).await else {
        return;
    };
    let address = peer.ip().to_canonical();
    #[cfg(feature = "dev")]
    if let Some(doors) = ca.doors.clone() {
        return faults::serve(ca, doors, stream, address, bounds, stop).await;
    }
    connection::run(stream, bounds, stop, |request| {
        dispatch::answer(Arc::clone(&ca), address, request, bounds)
    })
    .await;
}

/// Counts the connection while it is open.
struct Open(Arc<Ca>);

impl Open {
    fn new(ca: &Arc<Ca>) -> Self {
        ca.metrics.connections.inc();
        Self(Arc::clone(ca))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}
