//! An issuing certificate with what is derived from it once.

use aws_lc_rs::digest;
use cairn_acme::time::Timestamp;
use cairn_x509::certificate::{Certificate, assemble, pem};

use crate::{id::IssuerId, model, model::IssuerRecord};

/// What follows a certificate up to its root, which clients have themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// PEM, LF and 64 columns, an empty line between two certificates.
    pub pem: String,
    /// The last second in which all of it is valid.
    pub not_after: Timestamp,
}

impl Chain {
    /// Of certificates in DER, the issuing one first.
    #[must_use]
    pub fn of(certificates: &[(Vec<u8>, Certificate)]) -> Self {
        let pems: Vec<String> = certificates
            .iter()
            .map(|(der, _)| pem("CERTIFICATE", der))
            .collect();
        let ends = certificates.iter().map(|(_, parsed)| parsed.not_after());
        Self {
            pem: pems.join("\n"),
            not_after: Timestamp::from_seconds(ends.min().unwrap_or_default()),
        }
    }
}

/// An issuer that signs here.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Hash of subject and key.
    pub id: IssuerId,
    /// Its name in the configuration.
    pub name: String,
    /// Its certificate, DER.
    pub der: Vec<u8>,
    /// Parsed.
    pub certificate: Certificate,
    /// How many CRL shards its certificates are spread over; fixed when it is first used.
    pub crl_shards: u32,
    /// The restore epoch: the first octet of its serials.
    pub epoch: u8,
    /// The URL at which it is published.
    pub url: String,
    /// The usual chain.
    pub(super) chain: Chain,
    /// The others, in the order of the configuration.
    pub(super) alternates: Vec<Chain>,
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

    /// Puts it together; the first of `chains` is the usual one, without any it is the certificate alone.
    #[must_use]
    pub fn new(
        known: &IssuerRecord,
        (name, der, certificate): (String, Vec<u8>, Certificate),
        chains: Vec<Chain>,
        epoch: u8,
        url: String,
    ) -> Self {
        let mut chains = chains.into_iter();
        let chain = chains
            .next()
            .unwrap_or_else(|| Chain::of(&[(der.clone(), certificate.clone())]));
        Self {
            id: known.id,
            name,
            der,
            certificate,
            crl_shards: known.crl_shards,
            epoch,
            url,
            chain,
            alternates: chains.collect(),
        }
    }

    /// The usual chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The other chains that are valid now, each under its number for ever: one that ends takes no other's.
    pub fn alternates(&self, now: Timestamp) -> impl Iterator<Item = (u8, &Chain)> {
        (1..)
            .zip(&self.alternates)
            .filter(move |(_, chain)| now <= chain.not_after)
    }

    /// A signed certificate, DER.
    #[must_use]
    pub fn leaf_of(&self, certificate: &model::Certificate) -> Option<Vec<u8>> {
        let signature = certificate.signature.as_ref()?;
        Some(assemble(
            &certificate.tbs,
            self.certificate.issues_with(),
            signature,
        ))
    }

    /// A signed certificate with one of its issuer's chains: leaf, an empty line, the chain (RFC 8555 §9.1).
    #[must_use]
    pub fn chain_of(&self, certificate: &model::Certificate, chain: &Chain) -> Option<String> {
        let mut text = pem("CERTIFICATE", &self.leaf_of(certificate)?);
        text.push('\n');
        text.push_str(&chain.pem);
        Some(text)
    }
}
