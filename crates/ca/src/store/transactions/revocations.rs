//! Revocation: what it loads.

use super::{Decision, RowFault, Rows, Transaction};
use crate::{authority::revocations, model::Certificate};

pub use crate::authority::revocations::{Claimant, Revoke};

impl Transaction for Revoke {
    const NAME: &'static str = "revoke";
    type Answer = Certificate;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Certificate>, RowFault> {
        let certificate = rows.certificate(self.certificate).await?;
        let account = match self.claimant {
            Claimant::Account(id) => rows.account(id).await?,
            Claimant::Key(_) | Claimant::Operator => None,
        };
        let mut authorizations = Vec::new();
        if let (Some(certificate), Some(account)) = (&certificate, &account)
            && certificate.account != account.id
        {
            for name in &certificate.names {
                authorizations.push(
                    rows.valid_authorization(
                        account.id,
                        account.directory,
                        &name.base(),
                        name.is_wildcard(),
                    )
                    .await?,
                );
            }
        }
        let is_blocked_key = match &certificate {
            Some(certificate) => rows.is_blocked_key(&certificate.spki_sha256).await?,
            None => false,
        };
        Ok(revocations::revoke(
            self,
            revocations::RevocationProof {
                certificate,
                account,
                authorizations,
                is_blocked_key,
            },
        ))
    }
}
