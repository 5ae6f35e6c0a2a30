//! One GET over one connection, without a client library: a request in one write, an answer
//! within bounds of octets and time (8555-8.3-4, T-CA-68).

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::http_answer::{Body, Head, HttpFault, INTERIM_MAX, parse_head};
use super::redirect::Target;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) head: Head,
    /// Empty unless the status is 200.
    pub(super) body: Vec<u8>,
    /// There was more than the bound.
    pub(super) is_over: bool,
}

/// Writes the request for a target: no credentials, no cookies, nothing from the hop before.
pub(super) fn request(target: &Target) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
        target.path,
        target.host_header(),
    )
    .into_bytes()
}

/// Sends a request and reads its answer; the body only where it counts.
pub(super) async fn exchange<S>(stream: &mut S, request: &[u8]) -> Result<Fetched, HttpFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut buffer = Vec::with_capacity(FIRST_READ);
    let mut interim = 0;
    let head = loop {
        match parse_head(&buffer)? {
            Some(head) if head.status >= 200 => break head,
            Some(head) => {
                interim += 1;
                // 101 would switch to a protocol that nobody asked for.
                if interim > INTERIM_MAX || head.status == 101 {
                    return Err(HttpFault::TooManyInterim);
                }
                buffer.drain(..head.length);
            }
            None => {
                if stream.read_buf(&mut buffer).await.map_err(broken)? == 0 {
                    return Err(HttpFault::Short);
                }
            }
        }
    };
    if head.status != 200 {
        return Ok(Fetched {
            head,
            body: Vec::new(),
            is_over: false,
        });
    }
    let mut body = Body::new(head.framing()?);
    let mut done = body.push(buffer.get(head.length..).unwrap_or_default())?;
    while !done {
        buffer.clear();
        if stream.read_buf(&mut buffer).await.map_err(broken)? == 0 {
            body.end()?;
            break;
        }
        done = body.push(&buffer)?;
    }
    Ok(Fetched {
        head,
        is_over: body.is_over(),
        body: body.content().to_vec(),
    })
}

fn broken(error: io::Error) -> HttpFault {
    match error.kind() {
        // rustls reports a connection that ends without close_notify so.
        io::ErrorKind::UnexpectedEof => HttpFault::Short,
        kind => HttpFault::Broken(kind.to_string()),
    }
}

/// The TLS configuration for redirects to https: the certificate is what the subscriber is about
/// to replace, so any will do (8555-8.3-4); nothing secret is sent.
pub(super) fn tls_config() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[expect(clippy::expect_used, reason = "the provider is fixed at compile time")]
    // Unwrap safety: fails only for a provider without suites for these versions, and every test
    // of a redirect to https passes here.
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// Accepts whatever certificate the server shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// How Cairn names itself to validated servers.
const USER_AGENT: &str = concat!("cairn-validation/", env!("CARGO_PKG_VERSION"));
/// Room for the usual answer in one read.
const FIRST_READ: usize = 2048;

#[cfg(test)]
mod tests;
