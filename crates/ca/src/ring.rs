//! The key ring: one secret that lies beside the issuing key, and what is derived from it to seal what the store must not
//! hold in the open. Today that is the secrets of external accounts (T-CA-36).

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use cairn_acme::jws::MacKey;
use cairn_x509::key::SecretKey;
use zeroize::Zeroizing;

use crate::id::ExternalKeyId;

/// What the ring's key for external accounts is derived for; with another form of sealing it becomes another one.
const EXTERNAL: &[u8] = b"cairn ring: secrets of external accounts, form 1";

/// The form of sealing, the first octet of what is sealed: AES-256-GCM under a random nonce, bound to the key's id.
const FORM: u8 = 1;

/// What does not open or seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingFault {
    /// Sealed in a form, or under a ring, that is not this one.
    #[error("it was sealed under another key ring (keys.ring_key), or is damaged")]
    NotOurs,
    /// The library failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// The keys that are derived from the ring's secret.
pub struct KeyRing {
    external: RandomizedNonceKey,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

impl KeyRing {
    /// Derives its keys.
    ///
    /// # Errors
    /// When the library fails.
    pub fn new(secret: &SecretKey) -> Result<Self, RingFault> {
        let mut key = Zeroizing::new([0; 32]);
        let derived = Salt::new(HKDF_SHA256, &[]).extract(secret.as_bytes());
        derived
            .expand(&[EXTERNAL], HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()))
            .map_err(|_| RingFault::Library)?;
        let external = RandomizedNonceKey::new(&AES_256_GCM, key.as_slice())
            .map_err(|_| RingFault::Library)?;
        Ok(Self { external })
    }

    /// Seals the secret of an external account key.
    ///
    /// # Errors
    /// When the library fails.
    pub fn seal_external(&self, id: ExternalKeyId, key: &MacKey) -> Result<Vec<u8>, RingFault> {
        let mut secret = Zeroizing::new(Vec::with_capacity(
            key.as_bytes().len() + AES_256_GCM.tag_len(),
        ));
        secret.extend_from_slice(key.as_bytes());
        let nonce = self
            .external
            .seal_in_place_append_tag(Aad::from(id.as_bytes()), &mut *secret)
            .map_err(|_| RingFault::Library)?;
        Ok([&[FORM], nonce.as_ref().as_slice(), &secret].concat())
    }

    /// Opens it again.
    ///
    /// # Errors
    /// When it was sealed for another key or under another ring.
    pub fn open_external(&self, id: ExternalKeyId, sealed: &[u8]) -> Result<MacKey, RingFault> {
        let Some((&FORM, rest)) = sealed.split_first() else {
            return Err(RingFault::NotOurs);
        };
        let (nonce, secret) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(RingFault::NotOurs)?;
        let mut secret = Zeroizing::new(secret.to_vec());
        let nonce = Nonce::from(nonce);
        let length = self
            .external
            .open_in_place(nonce, Aad::from(id.as_bytes()), &mut secret)
            .map_err(|_| RingFault::NotOurs)?
            .len();
        secret.truncate(length);
        Ok(MacKey::new(secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_under_its_own_id_and_ring_alone() {
        // T-CA-36
        let ring = KeyRing::new(&SecretKey::generate().unwrap()).unwrap();
        let other = KeyRing::new(&SecretKey::generate().unwrap()).unwrap();
        let (id, another) = (
            ExternalKeyId::from_bytes([1; 16]),
            ExternalKeyId::from_bytes([2; 16]),
        );
        let key = MacKey::new(Zeroizing::new((0..64).collect()));
        let sealed = ring.seal_external(id, &key).unwrap();
        let opened = ring.open_external(id, &sealed).unwrap();
        assert_eq!(opened.as_bytes(), key.as_bytes());
        assert_ne!(ring.seal_external(id, &key).unwrap(), sealed, "its nonce");
        let clear = |octets: &[u8]| octets.windows(8).any(|w| key.as_bytes().starts_with(w));
        assert!(!clear(&sealed));
        let not_ours = |ring: &KeyRing, id, sealed: &[u8]| {
            ring.open_external(id, sealed).err() == Some(RingFault::NotOurs)
        };
        assert!(not_ours(&ring, another, &sealed));
        assert!(not_ours(&other, id, &sealed));
        for length in 0..sealed.len() {
            assert!(not_ours(&ring, id, &sealed[..length]), "{length}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(not_ours(&ring, id, &changed), "octet {at}");
        }
    }

    #[test]
    fn a_ring_of_the_same_secret_opens_what_the_other_sealed() {
        let secret = SecretKey::generate().unwrap();
        let pem = secret.to_encrypted_pem(b"p").unwrap();
        let again = SecretKey::from_encrypted_pem(&pem, b"p").unwrap();
        let id = ExternalKeyId::from_bytes([1; 16]);
        let key = MacKey::new(Zeroizing::new(vec![5; 64]));
        let sealed = KeyRing::new(&secret).unwrap().seal_external(id, &key);
        let opened = KeyRing::new(&again)
            .unwrap()
            .open_external(id, &sealed.unwrap());
        assert_eq!(opened.unwrap().as_bytes(), key.as_bytes());
    }
}
