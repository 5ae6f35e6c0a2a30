//! The key ring's secret: made once beside the issuing key, under the same passphrase, and read at each start.

use std::path::Path;

use cairn_x509::key::{PrivateKeyFault, SecretKey};

use super::{FileFault, Passphrase, SetupFault, files};
use crate::ring::KeyRing;

/// Makes the secret's file.
pub(super) fn make(path: &Path, passphrase: &Passphrase) -> Result<SecretKey, SetupFault> {
    let crypto = |fault: PrivateKeyFault| SetupFault::Crypto(fault.to_string());
    let secret = SecretKey::generate().map_err(crypto)?;
    let sealed = secret
        .to_encrypted_pem(passphrase.as_bytes())
        .map_err(crypto)?;
    files::create_secret(path, sealed.as_bytes())?;
    Ok(secret)
}

/// Reads it; a CA from before there was a ring gets one.
pub(super) fn obtain(path: &Path, passphrase: &Passphrase) -> Result<KeyRing, SetupFault> {
    let secret = match files::read_secret(path) {
        Ok(sealed) => open(path, &sealed, passphrase)?,
        Err(FileFault::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = make(path, passphrase)?;
            if let Some(parent) = path.parent() {
                files::sync_dir(parent)?;
            }
            secret
        }
        Err(fault) => return Err(fault.into()),
    };
    KeyRing::new(&secret).map_err(|fault| SetupFault::Crypto(fault.to_string()))
}

fn open(path: &Path, sealed: &[u8], passphrase: &Passphrase) -> Result<SecretKey, SetupFault> {
    let content = |reason: String| SetupFault::Content {
        path: path.to_owned(),
        reason,
    };
    let text = std::str::from_utf8(sealed).map_err(|_| content("is no PEM file".to_owned()))?;
    SecretKey::from_encrypted_pem(text, passphrase.as_bytes()).map_err(|fault| match fault {
        PrivateKeyFault::Passphrase => SetupFault::WrongPassphrase(path.to_owned()),
        PrivateKeyFault::Unreadable => content("holds no key ring's secret".to_owned()),
        other => content(other.to_string()),
    })
}
