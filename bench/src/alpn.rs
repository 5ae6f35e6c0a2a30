//! The TLS server that tls-alpn-01 asks (RFC 8737): a certificate for each name whose proof is shown, all of one key.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::proofs::{Method, Proofs, sha256};

const PROTOCOL: &[u8] = b"acme-tls/1";

/// Serves on a free port of the loopback for as long as the program runs.
pub(crate) async fn start(proofs: Proofs) -> Result<SocketAddr> {
    let pair = KeyPair::generate()?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let certificates = Certificates {
        proofs,
        key: any_supported_type(&der)?,
        pair,
    };
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // A validation comes once and never again.
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                // The handshake is all; whoever asked closes.
                Ok((stream, _)) => drop(tokio::spawn(acceptor.accept(stream))),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    Ok(address)
}

struct Certificates {
    proofs: Proofs,
    pair: KeyPair,
    key: Arc<dyn SigningKey>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        let proof = self.proofs.at(Method::TlsAlpn01, name)?;
        let mut params = CertificateParams::new([name.to_owned()]).ok()?;
        params.distinguished_name = DistinguishedName::new();
        params
            .custom_extensions
            .push(CustomExtension::new_acme_identifier(&sha256(&proof)));
        let certificate = params.self_signed(&self.pair).ok()?;
        let chain = vec![certificate.der().clone()];
        Some(Arc::new(CertifiedKey::new(chain, Arc::clone(&self.key))))
    }
}
