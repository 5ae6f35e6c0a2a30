//! HTTP/1.1 over TLS for the test client: kept connections, every status an answer.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Every `Link`, as written.
    pub fn links(&self) -> Vec<&str> {
        let all = self.headers.get_all("link").iter();
        all.filter_map(|link| link.to_str().ok()).collect()
    }

    /// The `Location`.
    ///
    /// # Panics
    /// If there is none.
    pub fn location(&self) -> String {
        self.header("location")
            .unwrap_or_else(|| panic!("no Location: {self:?}"))
            .to_owned()
    }

    /// The problem's type without its prefix, such as `badNonce`; empty if this is no problem.
    pub fn problem(&self) -> String {
        let json = self.json();
        let kind = json.get("type").and_then(Value::as_str).unwrap_or_default();
        kind.strip_prefix("urn:ietf:params:acme:error:")
            .unwrap_or(kind)
            .to_owned()
    }

    /// This answer, if it has that status.
    ///
    /// # Panics
    /// If it has another.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// Kept connections to one origin.
#[derive(Debug)]
pub(super) struct Transport {
    /// The address that connections come from, if not the system's choice.
    from: Option<IpAddr>,
    tls: Arc<ClientConfig>,
    idle: Mutex<Vec<(String, Connection)>>,
}

impl Transport {
    /// Trusts this root (PEM) alone.
    pub(super) fn new(root_pem: &str) -> Self {
        Self::from_address(root_pem, None)
    }

    /// The same with connections from one address of this host.
    pub(super) fn from_address(root_pem: &str, from: Option<IpAddr>) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
            roots
                .add(certificate.expect("PEM"))
                .expect("a root certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            from,
            tls: Arc::new(tls),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Sends one request; a kept connection that the server closed meanwhile is replaced once.
    pub(super) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> std::io::Result<Response> {
        let body = Bytes::from(body);
        let (https, authority, path) = split(url);
        let origin = format!("{https} {authority}");
        let make = || {
            let mut request = http::Request::builder().method(method).uri(&path);
            if !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("host"))
            {
                request = request.header("host", authority.as_str());
            }
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request
                .body(Full::new(body.clone()))
                .map_err(std::io::Error::other)
        };
        if let Some(mut kept) = self.kept(&origin)
            && kept.ready().await.is_ok()
        {
            match kept.send_request(make()?).await {
                Ok(response) => return self.finish(origin, kept, response).await,
                Err(error) if error.is_canceled() => {}
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
        let mut fresh = self.connect(https, &authority).await?;
        let response = fresh
            .send_request(make()?)
            .await
            .map_err(std::io::Error::other)?;
        self.finish(origin, fresh, response).await
    }

    async fn finish(
        &self,
        origin: String,
        connection: Connection,
        response: http::Response<hyper::body::Incoming>,
    ) -> std::io::Result<Response> {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(std::io::Error::other)?
            .to_bytes();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((origin, connection));
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    fn kept(&self, origin: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().position(|(other, _)| other == origin)?;
        Some(idle.swap_remove(place).1)
    }

    async fn connect(&self, https: bool, authority: &str) -> std::io::Result<Connection> {
        let usual = if https { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, port.parse().map_err(std::io::Error::other)?)
            }
            _ => (authority, usual),
        };
        let stream = match (self.from, host.len() == authority.len()) {
            (Some(from), _) => {
                let mut all = tokio::net::lookup_host((host, port)).await?;
                let to = all.find(|to| to.is_ipv4() == from.is_ipv4());
                let socket = tokio::net::TcpSocket::new_v4()?;
                socket.bind((from, 0).into())?;
                let to = to.ok_or_else(|| std::io::Error::other("no address"))?;
                socket.connect(to).await?
            }
            (None, true) => TcpStream::connect((host.trim_matches(['[', ']']), port)).await?,
            (None, false) => TcpStream::connect(authority).await?,
        };
        stream.set_nodelay(true)?;
        if !https {
            return serve(TokioIo::new(stream)).await;
        }
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let name = name.map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await?;
        serve(TokioIo::new(stream)).await
    }
}

async fn serve<T>(stream: T) -> std::io::Result<Connection>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (connection, driver) = handshake(stream).await.map_err(std::io::Error::other)?;
    tokio::spawn(driver);
    Ok(connection)
}

/// Whether it is https, the authority, and path with query.
fn split(url: &str) -> (bool, String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    (scheme == "https", authority.to_owned(), path.to_owned())
}
