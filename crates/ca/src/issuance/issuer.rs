//! The issuing certificate with what is derived from it once.

use aws_lc_rs::digest;
use cairn_acme::time::Timestamp;
use cairn_x509::certificate::Certificate;

use crate::{id::IssuerId, model::IssuerRecord};

/// An issuer that signs here.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Hash of subject and key.
    pub id: IssuerId,
    /// Its certificate, DER.
    pub der: Vec<u8>,
    /// Parsed.
    pub certificate: Certificate,
    /// PEM of the issuing certificate, LF and 64 columns: what follows the leaf in a chain.
    pub chain_pem: String,
    /// How many CRL shards its certificates are spread over; fixed at `ca init`.
    pub crl_shards: u32,
    /// The restore epoch: the first octet of its serials.
    pub epoch: u8,
    /// The URL at which it is published.
    pub url: String,
}

impl Issuer {
    /// The store's key for an issuing certificate.
    #[must_use]
    pub fn id_of(certificate: &Certificate) -> IssuerId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(certificate.subject_der());
        context.update(certificate.spki_der());
        let hash = context.finish();
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        IssuerId(id)
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn record(
        certificate: &Certificate,
        der: &[u8],
        crl_shards: u32,
        now: Timestamp,
    ) -> IssuerRecord {
        IssuerRecord {
            id: Self::id_of(certificate),
            certificate_der: der.to_vec(),
            crl_shards,
            created_at: now,
        }
    }
}

impl Issuer {
    /// A signed certificate, DER.
    #[must_use]
    pub fn leaf_of(&self, certificate: &crate::model::Certificate) -> Option<Vec<u8>> {
        let signature = certificate.signature.as_ref()?;
        Some(cairn_x509::certificate::assemble(
            &certificate.tbs,
            self.certificate.issues_with(),
            signature,
        ))
    }

    /// The chain of a signed certificate: leaf, an empty line, the issuing certificate (RFC 8555 §9.1).
    #[must_use]
    pub fn chain_of(&self, certificate: &crate::model::Certificate) -> Option<String> {
        let mut pem = cairn_x509::certificate::pem("CERTIFICATE", &self.leaf_of(certificate)?);
        pem.push('\n');
        pem.push_str(&self.chain_pem);
        Some(pem)
    }
}
