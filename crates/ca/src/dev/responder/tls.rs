//! Certificates of the servers: for each tls-alpn-01 handshake one made from the key authorization (RFC 8737 §3), for HTTPS
//! one that nobody trusts, which validations do not mind (RFC 8555 §8.3), for DoH the one that was given.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::{digest, rand};
use cairn_x509::{
    certificate::{Name, SelfSignedTemplate, Serial, assemble},
    key::{KeyKind, PrivateKey},
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{default_provider, sign::any_supported_type},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::{data::Data, history::Event};
use crate::clock::{Clock, SystemClock};

/// The protocol of tls-alpn-01 (RFC 8737 §4).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// Clocks of clients are behind.
const BACKDATE: Duration = Duration::from_secs(86_400);

/// Longer than a server of tests runs.
const LIFE: Duration = Duration::from_secs(366 * 86_400);

/// A server has no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsFault {
    /// Its own could not be made.
    #[error("no certificate could be made: {0}")]
    Made(String),
    /// A file that was given.
    #[error("{path} is no PEM of {what}: {reason}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Both files, together.
    #[error("the certificate and the key do not serve: {0}")]
    Pair(String),
}

impl TlsFault {
    fn made(error: impl std::fmt::Display) -> Self {
        Self::Made(error.to_string())
    }
}

/// A key of our own that signs certificates by itself.
struct OwnKey {
    key: PrivateKey,
    signing: Arc<dyn SigningKey>,
}

impl OwnKey {
    fn new() -> Result<Self, TlsFault> {
        let key = PrivateKey::generate(KeyKind::P256).map_err(TlsFault::made)?;
        let der = key.to_pkcs8_der().map_err(TlsFault::made)?;
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der.as_slice()));
        let signing = any_supported_type(&der).map_err(TlsFault::made)?;
        Ok(Self { key, signing })
    }

    fn certificate(
        &self,
        dns_name: &str,
        acme_identifier: Option<&[u8; 32]>,
    ) -> Result<CertifiedKey, TlsFault> {
        let now = SystemClock::default().wall();
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(TlsFault::made)?;
        let template = SelfSignedTemplate {
            serial: Serial::new(1, 0, random),
            subject: &Name {
                organization: Some("Cairn TEST".to_owned()),
                common_name: "challenge test server".to_owned(),
            },
            dns_name,
            not_before: now.minus(BACKDATE).as_seconds(),
            not_after: now.plus(LIFE).as_seconds(),
            spki_der: self.key.spki_der(),
            acme_identifier,
            signature_algorithm: self.key.signature_algorithm(),
        };
        let tbs = template.build().map_err(TlsFault::made)?;
        let signature = self.key.sign(&tbs).map_err(TlsFault::made)?;
        let der = assemble(&tbs, self.key.signature_algorithm(), &signature);
        // Not by rustls' checked way: it reads the certificate with webpki, which refuses the critical extension.
        Ok(CertifiedKey::new(
            vec![CertificateDer::from(der)],
            Arc::clone(&self.signing),
        ))
    }
}

/// Of the HTTPS server.
pub(super) fn https() -> Result<ServerConfig, TlsFault> {
    let pair = OwnKey::new()?.certificate("localhost", None)?;
    config(Arc::new(SingleCertAndKey::from(pair)))
}

/// Of the tls-alpn-01 server.
pub(super) fn tls_alpn(data: Arc<Data>) -> Result<ServerConfig, TlsFault> {
    let challenges = Challenges {
        data,
        key: OwnKey::new()?,
    };
    let mut config = config(Arc::new(challenges))?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Of the DoH server, from its two files.
pub(super) fn from_files(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsFault> {
    let file = |path: &Path, what, reason: rustls_pki_types::pem::Error| TlsFault::File {
        path: path.to_owned(),
        what,
        reason: reason.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| file(certificate, "certificates", e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| file(key, "a private key", e))?;
    let provider = default_provider();
    let pair = CertifiedKey::from_der(chain, private, &provider)
        .map_err(|e| TlsFault::Pair(e.to_string()))?;
    config(Arc::new(SingleCertAndKey::from(pair)))
}

fn config(certificate: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsFault> {
    crate::frontend::tls::server_config(certificate)
        .map(|mut config| {
            // Whatever a client offers of HTTP is taken for HTTP/1.1.
            config.alpn_protocols.clear();
            config
        })
        .map_err(TlsFault::made)
}

/// Makes the certificate that a handshake asks for, and writes the handshake down.
struct Challenges {
    data: Arc<Data>,
    key: OwnKey,
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        let offered = hello.alpn().map(|protocols| {
            let text = |protocol| String::from_utf8_lossy(protocol).into_owned();
            protocols.map(text).collect::<Vec<_>>()
        });
        // Offered with others it is no challenge (RFC 8737 §3).
        let alone = hello
            .alpn()
            .is_some_and(|protocols| protocols.eq([PROTOCOL]));
        self.data.asked(Event::TlsAlpn {
            server_name: name.to_owned(),
            supported_protos: offered,
        });
        let content = self.data.tables().alpn(name).filter(|_| alone)?.clone();
        let hash = digest::digest(&digest::SHA256, content.as_bytes());
        let hash = hash.as_ref().try_into().ok()?;
        let made = self.key.certificate(name, Some(hash)).ok()?;
        Some(Arc::new(made))
    }
}
