//! The error types: RFC 8555 §6.7 and the later ones of the IANA registry.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The namespace of ACME's error types.
pub(super) const URN: &str = "urn:ietf:params:acme:error:";

/// What a problem without a type has (RFC 9457 §4.2.1).
const ABOUT_BLANK: &str = "about:blank";

macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)+) => {
        /// An error type.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ProblemType {
            $($(#[$doc])* $variant,)+
            /// A type that Cairn does not know, as its URI.
            Other(Box<str>),
        }

        impl ProblemType {
            /// All types that Cairn knows.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The type's URI: for all known ones in ACME's namespace.
            #[must_use]
            pub fn urn(&self) -> &str {
                match self {
                    $(Self::$variant => concat!("urn:ietf:params:acme:error:", $name),)+
                    Self::Other(uri) => uri,
                }
            }

            /// The HTTP status that goes with it unless the case has its own (8555-6.7-3).
            #[must_use]
            pub const fn default_status(&self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                    Self::Other(_) => 500,
                }
            }

            /// Reads a URI; an unknown one is kept.
            #[must_use]
            pub fn from_uri(uri: &str) -> Self {
                match uri.strip_prefix(URN) {
                    $(Some($name) => Self::$variant,)+
                    _ => Self::Other(uri.into()),
                }
            }
        }
    };
}

problem_types! {
    /// The request names an account that does not exist.
    AccountDoesNotExist = "accountDoesNotExist", 400;
    /// The certificate is already revoked.
    AlreadyRevoked = "alreadyRevoked", 400;
    /// The CSR is unacceptable.
    BadCsr = "badCSR", 400;
    /// The nonce is unacceptable.
    BadNonce = "badNonce", 400;
    /// The key of the JWS is not supported.
    BadPublicKey = "badPublicKey", 400;
    /// The reason for the revocation is not allowed.
    BadRevocationReason = "badRevocationReason", 400;
    /// The JWS is signed with an algorithm that is not supported.
    BadSignatureAlgorithm = "badSignatureAlgorithm", 400;
    /// CAA records forbid the issuance.
    Caa = "caa", 403;
    /// Several faults, told in the subproblems.
    Compound = "compound", 400;
    /// The server could not connect to the validation target.
    Connection = "connection", 400;
    /// A DNS look-up failed during validation.
    Dns = "dns", 400;
    /// An external account binding is needed.
    ExternalAccountRequired = "externalAccountRequired", 403;
    /// The response did not match the challenge.
    IncorrectResponse = "incorrectResponse", 403;
    /// A contact URL is invalid.
    InvalidContact = "invalidContact", 400;
    /// The request is malformed.
    Malformed = "malformed", 400;
    /// The order is not ready to be finalized.
    OrderNotReady = "orderNotReady", 403;
    /// A rate limit is exceeded.
    RateLimited = "rateLimited", 429;
    /// The server will not issue for the identifier.
    RejectedIdentifier = "rejectedIdentifier", 400;
    /// The server failed.
    ServerInternal = "serverInternal", 500;
    /// A TLS error during validation.
    Tls = "tls", 400;
    /// The client lacks authorization.
    Unauthorized = "unauthorized", 403;
    /// A contact URL has an unsupported scheme.
    UnsupportedContact = "unsupportedContact", 400;
    /// An identifier is of an unsupported type.
    UnsupportedIdentifier = "unsupportedIdentifier", 400;
    /// The user must visit the `instance` URL.
    UserActionRequired = "userActionRequired", 403;
    /// The predecessor already has a replacement (RFC 9773 §7.4).
    AlreadyReplaced = "alreadyReplaced", 409;
    /// The order's profile is not offered (draft-ietf-acme-profiles; not registered, 8555-6.7-3d).
    InvalidProfile = "invalidProfile", 400;
    /// The auto-renewal order is canceled (RFC 8739).
    AutoRenewalCanceled = "autoRenewalCanceled", 403;
    /// The auto-renewal order has expired (RFC 8739).
    AutoRenewalExpired = "autoRenewalExpired", 403;
    /// The order cannot be canceled in its state (RFC 8739).
    AutoRenewalCancellationInvalid = "autoRenewalCancellationInvalid", 400;
    /// An auto-renewal certificate cannot be revoked (RFC 8739).
    AutoRenewalRevocationNotSupported = "autoRenewalRevocationNotSupported", 403;
    /// The delegation is unknown (RFC 9115).
    UnknownDelegation = "unknownDelegation", 403;
    /// The hidden service must give its CAA set (RFC 9799).
    OnionCaaRequired = "onionCAARequired", 403;
    /// The attestation statement is unacceptable (draft-ietf-acme-device-attest).
    BadAttestationStatement = "badAttestationStatement", 400;
}

impl ProblemType {
    /// The name without ACME's namespace; of an unknown type its URI.
    #[must_use]
    pub fn name(&self) -> &str {
        let uri = self.urn();
        uri.strip_prefix(URN).unwrap_or(uri)
    }
}

impl Default for ProblemType {
    /// A document without a type (RFC 9457 §4.2.1).
    fn default() -> Self {
        Self::Other(ABOUT_BLANK.into())
    }
}

impl fmt::Display for ProblemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.urn())
    }
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.urn())
    }
}

impl<'de> Deserialize<'de> for ProblemType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let uri = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from_uri(&uri))
    }
}
