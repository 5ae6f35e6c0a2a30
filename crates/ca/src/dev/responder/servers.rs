//! The servers: sockets, time and bounds around `answer`, `page` and [`manage`](super::manage()).

use std::{convert::Infallible, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinHandle,
    time,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    answer::answer,
    data::Data,
    manage::{Part, TEXT, manage},
    page::{decoded, page},
    sockets, tls,
};
use crate::frontend::connection::{self, Bounds};

/// All come from one machine, whose many clients are one network.
const CONNECTIONS: usize = 1024;

/// For a whole question or answer over TCP, and for a handshake, a head, a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// After the end is asked for.
const DRAIN: Duration = Duration::from_secs(1);

/// After an error of a socket.
const PAUSE: Duration = Duration::from_millis(10);

/// Of a management call: a thousand addresses are 20 KB.
const BODY: usize = 1024 * 1024;

/// Most octets of a DNS message.
const MESSAGE: usize = 65_535;

const DNS_MESSAGE: &str = "application/dns-message";

/// A running server; ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// DNS over UDP and TCP.
    ///
    /// # Errors
    /// As the system says of the address; as with all of them.
    pub fn dns(data: &Arc<Data>, address: SocketAddr) -> io::Result<Self> {
        let (udp, tcp) = sockets::udp_and_tcp(address)?;
        let for_tcp = Arc::clone(data);
        let mut server = Self::accept(tcp, move |stream, _| {
            dns_over_tcp(Arc::clone(&for_tcp), stream)
        })?;
        let stopping = server.stop.subscribe();
        let task = tokio::spawn(dns_over_udp(Arc::clone(data), udp, stopping));
        server.tasks.push(task);
        Ok(server)
    }

    /// http-01.
    ///
    /// # Errors
    /// As the system says of the address.
    pub fn http(data: &Arc<Data>, address: SocketAddr) -> io::Result<Self> {
        let data = Arc::clone(data);
        Self::accept(sockets::tcp(address)?, move |stream, stop| {
            let data = Arc::clone(&data);
            async move {
                let each = |request| std::future::ready(page(&data, &request, None));
                connection::run(stream, bounds(), stop, each).await;
            }
        })
    }

    /// http-01 over TLS, where redirects lead, with a certificate that nobody trusts.
    ///
    /// # Errors
    /// As the system says of the address, or that there is no certificate.
    pub fn https(data: &Arc<Data>, address: SocketAddr) -> io::Result<Self> {
        let data = Arc::clone(data);
        let config = tls::https().map_err(io::Error::other)?;
        Self::accept_tls(address, config, move |stream, stop| {
            let data = Arc::clone(&data);
            async move {
                let name = stream.get_ref().1.server_name();
                let name = name.unwrap_or_default().to_owned();
                let each = |request| std::future::ready(page(&data, &request, Some(&name)));
                connection::run(stream, bounds(), stop, each).await;
            }
        })
    }

    /// tls-alpn-01: its handshakes are all that it does.
    ///
    /// # Errors
    /// As the system says of the address, or that it has no key.
    pub fn tls_alpn(data: &Arc<Data>, address: SocketAddr) -> io::Result<Self> {
        let config = tls::tls_alpn(Arc::clone(data)).map_err(io::Error::other)?;
        Self::accept_tls(address, config, |mut stream, _| async move {
            // The peer's errors are his own.
            let _ = time::timeout(PATIENCE, stream.shutdown()).await;
        })
    }

    /// DNS over HTTPS (RFC 8484) on any path, with the certificate and the key of these files.
    ///
    /// # Errors
    /// As the system says of the address, or what is wrong with the files.
    pub fn doh(
        data: &Arc<Data>,
        address: SocketAddr,
        certificate: &Path,
        key: &Path,
    ) -> io::Result<Self> {
        let config = tls::from_files(certificate, key).map_err(io::Error::other)?;
        let data = Arc::clone(data);
        Self::accept_tls(address, config, move |stream, stop| {
            let data = Arc::clone(&data);
            async move {
                let each = |request| doh(&data, request);
                connection::run(stream, bounds(), stop, each).await;
            }
        })
    }

    /// The management calls of these parts; `log` is told what each did.
    ///
    /// # Errors
    /// As the system says of the address.
    pub fn management(
        data: &Arc<Data>,
        address: SocketAddr,
        parts: Vec<Part>,
        log: fn(&str),
    ) -> io::Result<Self> {
        let shared = Arc::new((Arc::clone(data), parts));
        Self::accept(sockets::tcp(address)?, move |stream, stop| {
            let shared = Arc::clone(&shared);
            async move {
                let each = |request| managed(&shared.0, &shared.1, log, request);
                connection::run(stream, bounds(), stop, each).await;
            }
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, answers under way first.
    pub async fn stop(self) {
        // Fails only if nobody listens to it any more.
        let _ = self.stop.send(true);
        for task in self.tasks {
            // One that panicked has ended too.
            let _ = task.await;
        }
    }

    fn accept<F, Fut>(listener: TcpListener, each: F) -> io::Result<Self>
    where
        F: Fn(TcpStream, watch::Receiver<bool>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let told = stopping.clone();
        let task = connection::accept(listener, bounds(), stopping, move |stream, _| {
            each(stream, told.clone())
        });
        Ok(Self {
            address,
            stop,
            tasks: vec![tokio::spawn(task)],
        })
    }

    fn accept_tls<F, Fut>(address: SocketAddr, config: ServerConfig, each: F) -> io::Result<Self>
    where
        F: Fn(TlsStream<TcpStream>, watch::Receiver<bool>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::accept(sockets::tcp(address)?, move |stream, stop| {
            let (acceptor, each) = (acceptor.clone(), each.clone());
            async move {
                // A handshake that fails is the peer's affair.
                if let Ok(Ok(stream)) = time::timeout(PATIENCE, acceptor.accept(stream)).await {
                    each(stream, stop).await;
                }
            }
        })
    }
}

fn bounds() -> Bounds {
    Bounds {
        connections: CONNECTIONS,
        per_network: CONNECTIONS,
        handshake: PATIENCE,
        head: PATIENCE,
        body: PATIENCE,
        write: PATIENCE,
        drain: DRAIN,
    }
}

async fn dns_over_udp(data: Arc<Data>, socket: UdpSocket, mut stop: watch::Receiver<bool>) {
    let mut buffer = vec![0; MESSAGE];
    loop {
        let received = tokio::select! {
            () = connection::stopped(&mut stop) => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, from)) = received else {
            // Of an earlier answer that nobody took, or of a machine without memory: it may last.
            time::sleep(PAUSE).await;
            continue;
        };
        let Some(reply) = answer(&data, buffer.get(..length).unwrap_or_default(), "") else {
            continue;
        };
        if let Some(reply) = reply.datagram() {
            // Nobody waits for it then.
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

async fn dns_over_tcp(data: Arc<Data>, mut stream: TcpStream) {
    // Errors here are the peer's, and end his connection.
    let _: Result<Infallible, io::Error> = async {
        loop {
            let question = time::timeout(PATIENCE, async {
                let length = stream.read_u16().await?;
                let mut question = vec![0; usize::from(length)];
                stream.read_exact(&mut question).await?;
                io::Result::Ok(question)
            });
            let question = question.await??;
            let reply = answer(&data, &question, "").and_then(|reply| reply.whole());
            let reply = reply.ok_or(io::ErrorKind::InvalidData)?;
            let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
            let whole = [&length.to_be_bytes(), reply.as_slice()].concat();
            time::timeout(PATIENCE, stream.write_all(&whole)).await??;
        }
    }
    .await;
}

async fn doh(data: &Data, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.map_or_else(String::new, |agent| {
        String::from_utf8_lossy(agent.as_bytes()).into_owned()
    });
    let question = match *request.method() {
        Method::POST => connection::body(request.into_body(), MESSAGE, PATIENCE)
            .await
            .ok(),
        Method::GET => asked(request.uri().query().unwrap_or_default()).map(Bytes::from),
        _ => {
            let mut answer = status(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = HeaderValue::from_static("GET, POST");
            answer.headers_mut().insert(header::ALLOW, allowed);
            return answer;
        }
    };
    let reply = question.and_then(|question| answer(data, &question, &agent));
    let Some(reply) = reply.and_then(|reply| reply.whole()) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let mut answer = Response::new(Full::from(reply));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(DNS_MESSAGE));
    // No longer than its records (RFC 8484 §5.1).
    let age = HeaderValue::from_static("max-age=0");
    headers.insert(header::CACHE_CONTROL, age);
    answer
}

/// The question of a GET (RFC 8484 §4.1).
fn asked(query: &str) -> Option<Vec<u8>> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("dns="))?;
    BASE64URL_NOPAD.decode(value.as_bytes()).ok()
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}

async fn managed(
    data: &Data,
    parts: &[Part],
    log: fn(&str),
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = decoded(request.uri().path());
    let known = Part::of(&path).is_some_and(|part| parts.contains(&part));
    let Ok(body) = connection::body(request.into_body(), BODY, PATIENCE).await else {
        return said(
            400,
            Some(TEXT),
            "the body is too large, late or broken\n".to_owned(),
        );
    };
    let answer = known.then(|| manage(data, &path, &body)).flatten();
    match answer {
        Some(answer) => {
            if let Some(did) = answer.did {
                log(&did);
            }
            said(answer.status, answer.content_type, answer.body)
        }
        None => said(404, Some(TEXT), "404 page not found\n".to_owned()),
    }
}

fn said(code: u16, content_type: Option<&'static str>, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    if let Some(kind) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let as_said = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, as_said);
    }
    answer
}
