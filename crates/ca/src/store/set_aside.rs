//! Setting certificates aside (`cairn ca ari move`): all that are named, or none.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use cairn_acme::time::Timestamp;

use super::{Decision, RowFault, Rows, Transaction};
use crate::{authority::renewal, model::CertificateKey};

pub use crate::authority::renewal::AsideMoved;

/// Moves the renewal windows of certificates into the past, by an operator.
#[derive(Debug, Clone)]
pub struct SetCertificatesAside {
    pub certificates: Vec<CertificateKey>,
    /// URL of a page that says why.
    pub explanation: Option<String>,
    pub now: Timestamp,
}

impl Transaction for SetCertificatesAside {
    const NAME: &'static str = "set_certificates_aside";
    type Answer = AsideMoved;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<AsideMoved>, RowFault> {
        let mut found = Vec::with_capacity(self.certificates.len());
        for key in &self.certificates {
            found.push((rows.certificate(*key).await?, rows.set_aside(*key).await?));
        }
        Ok(renewal::set_aside(self, found))
    }
}
