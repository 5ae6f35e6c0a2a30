//! Pebble's management interface, HTTPS with the listener's certificate: roots, intermediates and their keys, a certificate's
//! status by serial, the answer of renewalInfo (2.8 and later). Any method is taken, as Pebble takes it.

mod answers;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use cairn_ca::dev::TestCa;
use http::Request;
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};
use tokio_rustls::TlsAcceptor;

use super::{address, configuration::BadConfiguration, settings::Plan};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 256;

/// For a handshake, and for a request's head with the idle time before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Before connections are accepted again where the system had no room for one.
const BREATH: Duration = Duration::from_millis(100);

/// A request with a certificate and an answer of renewalInfo is smaller by far.
const BODY_MAX: usize = 1 << 20;

/// Bound, and not yet served.
pub(super) struct Management {
    listeners: Vec<std::net::TcpListener>,
    tls: TlsAcceptor,
}

/// Served until it is stopped.
pub(super) struct Serving {
    tasks: JoinSet<()>,
}

impl Management {
    /// Reads the certificate, which is the ACME listener's too, and takes the ports; none if no address is configured.
    ///
    /// # Errors
    /// With the path of the value that cannot be used.
    pub(super) fn bind(plan: &Plan) -> Result<Option<Self>, BadConfiguration> {
        let tls = TlsAcceptor::from(Arc::new(tls(plan)?));
        if plan.management.is_empty() {
            return Ok(None);
        }
        let fault = |why: String| BadConfiguration::at("pebble.managementListenAddress", why);
        let addresses = address::listen(&plan.management)
            .map_err(|e| fault(format!("{:?}: {e}", plan.management)))?;
        let listeners = addresses.into_iter().map(bind_one);
        let listeners = listeners
            .collect::<std::io::Result<_>>()
            .map_err(|e| fault(format!("cannot listen on {}: {e}", plan.management)))?;
        Ok(Some(Self { listeners, tls }))
    }

    /// Answers from that CA.
    ///
    /// # Errors
    /// When the runtime does not take the sockets.
    pub(super) fn serve(self, ca: Arc<TestCa>) -> std::io::Result<Serving> {
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            tasks.spawn(accept(listener, self.tls.clone(), Arc::clone(&ca)));
        }
        Ok(Serving { tasks })
    }
}

impl Serving {
    /// Ends it at once, with the connections that are open.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

fn bind_one(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        None,
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn tls(plan: &Plan) -> Result<ServerConfig, BadConfiguration> {
    let unusable = |key: &str, file: &str, why: &dyn std::fmt::Display| {
        BadConfiguration::at(key, format!("{file}: {why}"))
    };
    let certificate =
        |why: &dyn std::fmt::Display| unusable("pebble.certificate", &plan.certificate, why);
    let private_key =
        |why: &dyn std::fmt::Display| unusable("pebble.privateKey", &plan.private_key, why);
    let chain = std::fs::read(&plan.certificate).map_err(|e| certificate(&e))?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| certificate(&e))?;
    if chain.is_empty() {
        return Err(certificate(&"no certificate in it"));
    }
    let key = std::fs::read(&plan.private_key).map_err(|e| private_key(&e))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| private_key(&e))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|e| private_key(&e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| certificate(&e))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, ca: Arc<TestCa>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    // Ends never: nobody closes the semaphore.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (tls, ca) = (tls.clone(), Arc::clone(&ca));
                connections.spawn(async move {
                    converse(stream, tls, ca).await;
                    drop(place);
                });
            }
            // No descriptor is left: one becomes free when a connection ends.
            Err(_) => time::sleep(BREATH).await,
        }
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, ca: Arc<TestCa>) {
    // A client that does not speak TLS, or goes away, is nobody's fault here.
    let Ok(Ok(stream)) = time::timeout(PATIENCE, tls.accept(stream)).await else {
        return;
    };
    let service = service_fn(|request: Request<Incoming>| {
        let ca = Arc::clone(&ca);
        async move { Ok::<_, Infallible>(answer(&ca, request).await) }
    });
    let mut server = http1::Builder::new();
    let _ = server
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(ca: &TestCa, request: Request<Incoming>) -> answers::Answer {
    let (head, body) = request.into_parts();
    let host = match head.headers.get(http::header::HOST) {
        Some(host) => host.to_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    answers::to(ca, head.uri.path(), &host, &body).await
}
