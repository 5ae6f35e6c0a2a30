//! TLS towards validated servers: any certificate will do in a handshake, for it is what the subscriber is about to
//! replace (8555-8.3-4), or what the challenge judges by its own rules (RFC 8737 section 3). Nothing secret is sent.

use std::io;
use std::sync::Arc;

use cairn_x509::certificate::Certificate;
use cairn_x509::key::PublicKey;
use cairn_x509::reader::{DerFault, Reader, only};
use cairn_x509::writer::tag;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Whether the server must prove that it holds the certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Possession {
    /// It is what the handshake is for.
    Proven,
    /// What counts comes after the handshake.
    Assumed,
}

/// A configuration that offers one protocol, TLS 1.2 and 1.3, and takes any certificate. It resumes nothing: each
/// handshake shows its certificate (T-CA-75).
pub(super) fn any_certificate(protocol: &[u8], possession: Possession) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    #[expect(clippy::expect_used, reason = "the provider is fixed at compile time")]
    // Unwrap safety: fails only for a provider without suites for these versions, and every test
    // of a handshake passes here.
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate {
            provider,
            possession,
        }))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// rustls' own words for its faults, the system's kind for others: nothing that the peer wrote.
pub(super) fn fault(error: &io::Error) -> String {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::InvalidMessage(_)) => "the answer was not TLS".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => format!("the server sent the alert {alert:?}"),
        Some(rustls::Error::PeerIncompatible(_)) => {
            "the server has no version or cipher of TLS 1.2 or newer in common".to_owned()
        }
        Some(_) => "the server broke the protocol".to_owned(),
        None => error.kind().to_string(),
    }
}

/// Accepts whatever certificate the server shows.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    possession: Possession,
}

impl AnyCertificate {
    /// The key whose possession is to be proven. A certificate that cannot be read is refused when it is judged; its
    /// handshake ends first, so that the subscriber is told what is wrong with it.
    fn key(&self, certificate: &CertificateDer<'_>) -> Option<PublicKey> {
        match self.possession {
            Possession::Assumed => None,
            Possession::Proven => Some(Certificate::parse(certificate).ok()?.public_key().clone()),
        }
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// rustls' own function reads the certificate with webpki, which refuses the critical acmeIdentifier.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(key) = self.key(certificate) else {
            return Ok(HandshakeSignatureValid::assertion());
        };
        let refused = Error::InvalidCertificate(CertificateError::BadSignature);
        let Ok(id) = algorithm_id(&key) else {
            return Err(refused);
        };
        let known = &self.provider.signature_verification_algorithms;
        let verified = known
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter())
            .filter(|algorithm| algorithm.public_key_alg_id().as_ref() == id)
            .any(|algorithm| {
                let bits = key.key_bits();
                algorithm
                    .verify_signature(bits, message, signed.signature())
                    .is_ok()
            });
        if verified {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(refused)
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(key) = self.key(certificate) else {
            return Ok(HandshakeSignatureValid::assertion());
        };
        let spki = SubjectPublicKeyInfoDer::from(key.spki_der());
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The contents of a key's AlgorithmIdentifier.
fn algorithm_id(key: &PublicKey) -> Result<&[u8], DerFault> {
    let mut spki = Reader::new(only(key.spki_der(), tag::SEQUENCE)?.contents);
    Ok(spki.expect(tag::SEQUENCE)?.contents)
}
