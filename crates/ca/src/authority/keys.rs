//! Which keys may open an account or go into a certificate (T-CA-15, RFC 8555 §11.1). One list of traps serves both.

use cairn_acme::{
    key::PublicKey,
    problem::{Problem, ProblemType},
};
use cairn_x509::{key as x509, weak};

/// Judges an account key.
///
/// # Errors
/// `badPublicKey` that says what is wrong with it.
pub fn judge_account_key(key: &PublicKey, blocked: &weak::BlockedKeys) -> Result<(), Problem> {
    judge_spki(&key.to_spki_der(), blocked).map_err(|why| {
        Problem::new(
            ProblemType::BadPublicKey,
            format!("the account key is refused: {why}; make a new key with current software"),
        )
    })
}

/// Judges a certificate's key.
///
/// # Errors
/// `badCSR` that says what is wrong with it.
pub fn judge_certificate_key(spki_der: &[u8], blocked: &weak::BlockedKeys) -> Result<(), Problem> {
    judge_spki(spki_der, blocked).map_err(|why| {
        Problem::new(
            ProblemType::BadCsr,
            format!(
                "the certificate's key is refused: {why}; make a new key with current software"
            ),
        )
    })
}

fn judge_spki(spki_der: &[u8], blocked: &weak::BlockedKeys) -> Result<(), String> {
    let key = x509::PublicKey::from_spki_der(spki_der).map_err(|e| e.to_string())?;
    weak::check_key(&key, blocked).map_err(|e| e.to_string())
}
