//! How secrets of the CA lie on a disk: PKCS#8 encrypted under a passphrase, in PEM, which openssl reads too.

use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef,
    der::{Decode, Document, pem::PemLabel},
    pkcs5::{pbes2, scrypt},
};
use zeroize::Zeroizing;

use super::PrivateKeyFault;

/// The PKCS#8 of an encrypted PEM (PBES2).
pub(super) fn open(pem: &str, passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, PrivateKeyFault> {
    let (label, document) = Document::from_pem(pem).map_err(|_| PrivateKeyFault::NotEncrypted)?;
    if label != EncryptedPrivateKeyInfoRef::PEM_LABEL {
        return Err(PrivateKeyFault::NotEncrypted);
    }
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
        .map_err(|_| PrivateKeyFault::NotEncrypted)?;
    let clear = encrypted
        .decrypt(passphrase)
        .map_err(|_| PrivateKeyFault::Passphrase)?;
    Ok(Zeroizing::new(clear.as_bytes().to_vec()))
}

/// Encrypts by PBES2 with scrypt (N 2^14, r 8, p 1: 16 MiB and under a tenth of a second) and AES-256-CBC. OpenSSL refuses
/// to read anything that takes it more than 32 MiB, which N 2^15 does.
pub(super) fn seal(
    pkcs8_der: &[u8],
    passphrase: &[u8],
) -> Result<Zeroizing<String>, PrivateKeyFault> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PrivateKeyFault::Encrypt)?;
    aws_lc_rs::rand::fill(&mut iv).map_err(|_| PrivateKeyFault::Encrypt)?;
    let cost = scrypt::Params::new(14, 8, 1).map_err(|_| PrivateKeyFault::Encrypt)?;
    let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        .map_err(|_| PrivateKeyFault::Encrypt)?;
    let key = PrivateKeyInfoRef::from_der(pkcs8_der).map_err(|_| PrivateKeyFault::Encrypt)?;
    let secret = key
        .encrypt_with_params(parameters, passphrase)
        .map_err(|_| PrivateKeyFault::Encrypt)?;
    secret
        .to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)
        .map_err(|_| PrivateKeyFault::Encrypt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyKind, PrivateKey};

    #[test]
    fn a_sealed_key_costs_no_more_memory_than_openssl_spends() {
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let pem = key.to_encrypted_pem(b"passphrase").unwrap();
        let (_, document) = Document::from_pem(&pem).unwrap();
        let sealed = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()).unwrap();
        let parameters = sealed.encryption_algorithm.pbes2().unwrap();
        let scrypt = parameters.kdf.scrypt().unwrap();
        // EVP_PBE_scrypt counts 128 r (N + 2) and bounds the whole by SCRYPT_MAX_MEM, 32 MiB.
        let octets = 128 * u64::from(scrypt.block_size) * (scrypt.cost_parameter + 2);
        assert!(octets < 32 << 20, "{octets}");
        let again = PrivateKey::from_encrypted_pem(&pem, b"passphrase").unwrap();
        assert_eq!(again.spki_der(), key.spki_der());
    }
}
