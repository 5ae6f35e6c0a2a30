//! TLS of the subscribers' listener (8555-6.1-6, RFC 9325): 1.2 and 1.3, no early data, no client certificates.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::aws_lc_rs, server::ResolvesServerCert};

/// Makes the listener's TLS configuration. The resolver decides at every handshake, so that the server's own certificate
/// is renewed without a restart and without another configuration.
///
/// # Errors
/// If the cryptographic provider lacks what TLS 1.2 and 1.3 need.
pub fn server_config(
    certificate: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sealed tickets hold the state of resumption at the client: a flood of connections leaves nothing here.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}
