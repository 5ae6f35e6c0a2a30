//! A secret of 32 octets that lies beside the private keys, in the same kind of file: the form is that of an X25519 key
//! (RFC 8410 §7), the shortest PKCS#8 that openssl reads. It is never used as such a key.

use std::fmt;

use zeroize::Zeroizing;

use super::{PrivateKeyFault, sealed};

/// What stands before the octets: version 0, id-X25519, an OCTET STRING in an OCTET STRING.
const HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
];

/// Octets of a secret.
const OCTETS: usize = 32;

/// The secret; wiped when dropped, never printed.
pub struct SecretKey(Zeroizing<[u8; OCTETS]>);

impl SecretKey {
    /// Draws a new one.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn generate() -> Result<Self, PrivateKeyFault> {
        let mut octets = Zeroizing::new([0; OCTETS]);
        aws_lc_rs::rand::fill(octets.as_mut_slice()).map_err(|_| PrivateKeyFault::Generate)?;
        Ok(Self(octets))
    }

    /// The octets, from which keys are derived.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// As encrypted PKCS#8 PEM, like a private key.
    ///
    /// # Errors
    /// When the library does not encrypt.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
    ) -> Result<Zeroizing<String>, PrivateKeyFault> {
        let der = Zeroizing::new([HEAD.as_slice(), self.as_bytes()].concat());
        sealed::seal(&der, passphrase)
    }

    /// Reads what [`SecretKey::to_encrypted_pem`] wrote.
    ///
    /// # Errors
    /// When it is none, or the passphrase is wrong.
    pub fn from_encrypted_pem(pem: &str, passphrase: &[u8]) -> Result<Self, PrivateKeyFault> {
        let der = sealed::open(pem, passphrase)?;
        let octets = der.strip_prefix(HEAD.as_slice());
        let octets = octets.and_then(|octets| <[u8; OCTETS]>::try_from(octets).ok());
        octets
            .map(|octets| Self(Zeroizing::new(octets)))
            .ok_or(PrivateKeyFault::Unreadable)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyKind, PrivateKey};

    #[test]
    fn a_secret_comes_back_from_its_file_under_its_passphrase_alone() {
        // T-CA-36
        let secret = SecretKey::generate().unwrap();
        let pem = secret.to_encrypted_pem(b"passphrase").unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        let again = SecretKey::from_encrypted_pem(&pem, b"passphrase").unwrap();
        assert_eq!(again.as_bytes(), secret.as_bytes());
        assert_ne!(SecretKey::generate().unwrap().as_bytes(), secret.as_bytes());
        let fault = |pem: &str, passphrase: &[u8]| {
            SecretKey::from_encrypted_pem(pem, passphrase).unwrap_err()
        };
        assert_eq!(fault(&pem, b"another"), PrivateKeyFault::Passphrase);
        assert_eq!(fault("-----", b"passphrase"), PrivateKeyFault::NotEncrypted);
        // A private key is no secret of this kind, nor the other way round.
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let key = key.to_encrypted_pem(b"passphrase").unwrap();
        assert_eq!(fault(&key, b"passphrase"), PrivateKeyFault::Unreadable);
        assert!(PrivateKey::from_encrypted_pem(&pem, b"passphrase").is_err());
    }
}
