//! Keys of the CA, of its listeners and of subscribers: made, kept encrypted, parsed from a SubjectPublicKeyInfo.

mod algorithm;
mod ed25519;
mod private;
mod public;
mod sealed;
mod secret;

pub use algorithm::SignatureAlgorithm;
pub use private::{KeyKind, PrivateKey, PrivateKeyFault, UnknownKeyKind};
pub use public::{BadSignature, PublicKey, PublicKeyFault, PublicKeyKind, key_id, spki_sha256};
pub use secret::SecretKey;

#[cfg(test)]
mod tests;
