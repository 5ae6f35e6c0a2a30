//! The signer: asynchronous, with a bounded queue and a deadline, off the runtime's workers and never inside a
//! transaction (design.md §2.7). It signs what a committed permission names, once: a permit is consumed.

mod software;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

pub use software::SoftwareSigner;

use crate::store::SigningPermit;

/// Bytes that may be signed, with the reason why: only a permit of the store or the CRL publisher makes them.
#[derive(Debug)]
pub struct Signable(Arc<[u8]>);

impl Signable {
    /// The certificate's stored bytes.
    #[must_use]
    pub fn certificate(permit: &SigningPermit) -> Self {
        Self(Arc::clone(&permit.tbs))
    }

    /// A CRL's bytes, whose number was reserved before.
    pub(in crate::issuance) fn crl(tbs: Vec<u8>) -> Self {
        Self(Arc::from(tbs))
    }

    /// What to sign.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    /// The queue is full; the key was not asked.
    #[error("the signer's queue is full")]
    Busy,
    /// No answer in time; whether a signature exists is not known.
    #[error("the signer gave no answer in {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The key refused or failed.
    #[error("the signer failed: {0}")]
    Failed(String),
    /// The signer is gone.
    #[error("the signer is stopped")]
    Stopped,
}

impl SignerFault {
    /// Whether the key certainly did not sign.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

/// A signature in the making.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignerFault>> + Send + 'a>>;

/// Something that signs with the issuing key; tests bring ones that delay, hang, answer late and lie.
pub trait Signer: Send + Sync {
    /// Signs the bytes, or fails by the deadline.
    fn sign(&self, bytes: Signable, deadline: Duration) -> Signing<'_>;
}
