//! Public ids: 128 bits, time-ordered (48-bit milliseconds, 80 random bits), so that rows made together lie
//! together and no id tells a count or can be guessed (RFC 8555 §10.5, T-CA-29).

use std::{fmt, str::FromStr};

use cairn_acme::{base64url, time::Timestamp};

/// The random half of a public id; drawn at the edge and passed in, so that a decision that runs twice makes the
/// same object.
pub type IdSeed = [u8; 10];

/// A text that is no public id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this server")]
pub struct BadId;

macro_rules! public_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id from the moment of creation and its random half.
            #[must_use]
            pub fn new(now: Timestamp, seed: IdSeed) -> Self {
                let mut id = [0; 16];
                id[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
                id[6..].copy_from_slice(&seed);
                Self(id)
            }

            /// Takes the stored form.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The stored form.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base64url::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                if text.len() != 22 {
                    return Err(BadId);
                }
                let bytes = base64url::decode(text).map_err(|_| BadId)?;
                Ok(Self(bytes.try_into().map_err(|_| BadId)?))
            }
        }
    };
}

public_id!(
    /// An account's id, the last part of its URL.
    AccountId
);
public_id!(
    /// An order's id, the last part of its URL.
    OrderId
);
public_id!(
    /// An authorization's id, the last part of its URL.
    AuthorizationId
);
public_id!(
    /// An external account key's id: the kid of its bindings (RFC 8555 §7.3.4).
    ExternalKeyId
);
public_id!(
    /// One start of the server process; work rows of any other boot are taken over.
    BootId
);

/// The directory that an object belongs to; one server may carry several, the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(pub i64);

impl DirectoryId {
    /// The directory that `ca init` makes.
    pub const FIRST: Self = Self(1);
}

/// An issuer: the first 16 octets of SHA-256 over its subject and its SubjectPublicKeyInfo, so that a store knows
/// whose certificates it holds whatever the files are called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub [u8; 16]);

impl fmt::Display for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerId({self})")
    }
}
