//! What a test asks about certificates and sets beside faults, as Pebble's management interface has it: status by serial,
//! the answer of renewalInfo, external account keys under kids of its own.

use aws_lc_rs::digest;
use cairn_acme::{jws::MacKey, time::Timestamp};
use cairn_x509::certificate::{Certificate, Serial, pem};
use zeroize::Zeroizing;

use super::TestCa;
use crate::{
    id::{DirectoryId, ExternalKeyId},
    model::ExternalKey,
    ring::RingFault,
    store::{AddExternalKey, StoreError, TxError},
};

/// What became of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// PEM.
    pub certificate_pem: String,
    /// CRLReason and moment of its revocation.
    pub revoked: Option<(u8, Timestamp)>,
}

/// Why the CA cannot say or do it.
#[derive(Debug, thiserror::Error)]
pub enum ManageFault {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store does not write.
    #[error(transparent)]
    Transaction(#[from] TxError),
    /// The secret cannot be sealed.
    #[error(transparent)]
    Ring(#[from] RingFault),
}

impl TestCa {
    /// What became of the certificate with this serial; none if there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn status(&self, serial: Serial) -> Result<Option<CertificateStatus>, ManageFault> {
        let ca = self.node().ca();
        let Some(certificate) = ca.store.certificate(serial).await? else {
            return Ok(None);
        };
        let signing = ca.issuance.issuers().with_id(certificate.key.issuer);
        let der = signing.and_then(|signing| signing.issuer.leaf_of(&certificate));
        Ok(der.map(|der| CertificateStatus {
            certificate_pem: pem("CERTIFICATE", &der),
            revoked: certificate.revocation.map(|r| (r.reason.code(), r.at)),
        }))
    }

    /// Lets renewalInfo answer with that text for the certificate, whatever the text is; false if it is none of this CA.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn set_renewal_info(
        &self,
        certificate: &Certificate,
        text: String,
    ) -> Result<bool, ManageFault> {
        let Some(serial) = certificate.cairn_serial() else {
            return Ok(false);
        };
        if self.node().ca().store.certificate(serial).await?.is_none() {
            return Ok(false);
        }
        self.doors().set_renewal(serial, text);
        Ok(true)
    }

    /// Adds a key that opens any number of accounts, under that kid.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn add_external_key(
        &self,
        kid: &str,
        secret: Zeroizing<Vec<u8>>,
    ) -> Result<(), ManageFault> {
        let ca = self.node().ca();
        let hash = digest::digest(&digest::SHA256, kid.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        let id = ExternalKeyId::from_bytes(id);
        let key = ExternalKey {
            id,
            directory: DirectoryId::FIRST,
            owner: None,
            allowed: Vec::new(),
            many: true,
            expires: None,
            sealed: ca.ring.seal_external(id, &MacKey::new(secret))?,
            created_at: ca.clock.wall(),
            revoked_at: None,
            uses: 0,
            last_use: None,
        };
        ca.store.transact(AddExternalKey(key)).await?;
        self.doors().name_external_key(kid.to_owned(), id);
        Ok(())
    }
}
