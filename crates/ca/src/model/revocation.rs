//! Revocations (RFC 8555 §7.6, RFC 5280 §5.3).

use cairn_acme::time::Timestamp;
use cairn_x509::certificate::Serial;

use crate::id::{AccountId, IssuerId};

/// Why a certificate is revoked: the reasons of RFC 5280 §5.3.1 that a certificate of a subscriber may have
/// (BR 7.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    /// None is said: the CRL's entry has no reason code.
    Unspecified,
    /// Somebody else has, or may have, the key.
    KeyCompromise,
    /// What the certificate says of its subject is no longer so.
    AffiliationChanged,
    /// Another certificate takes its place.
    Superseded,
    /// Its names are no longer the subscriber's.
    CessationOfOperation,
    /// The CA takes it away.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// As CRLReason has it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason with that code.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| i64::from(reason.code()) == code)
    }

    /// Its name in RFC 5280.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

/// Who had a certificate revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// The account that it was issued to.
    Subscriber(AccountId),
    /// Another account, which showed control of all its names.
    NameHolder(AccountId),
    /// Whoever has its key.
    KeyHolder,
    /// An operator of this CA.
    Operator,
    /// Nobody now: a restore found it revoked on a published list.
    Restore,
}

impl RevokedBy {
    /// In a word, for operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscriber(_) => "subscriber",
            Self::NameHolder(_) => "name-holder",
            Self::KeyHolder => "key-holder",
            Self::Operator => "operator",
            Self::Restore => "restore",
        }
    }

    /// The account, if it was one.
    #[must_use]
    pub const fn account(self) -> Option<AccountId> {
        match self {
            Self::Subscriber(account) | Self::NameHolder(account) => Some(account),
            Self::KeyHolder | Self::Operator | Self::Restore => None,
        }
    }
}

/// That a certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Why.
    pub reason: RevocationReason,
    /// When; stays if the reason becomes a graver one.
    pub at: Timestamp,
    /// Who said so.
    pub by: RevokedBy,
}

/// What a CRL shows of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedEntry {
    /// Its place in the order of revocations.
    pub place: i64,
    /// Which certificate.
    pub serial: Serial,
    /// When it was revoked.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// How a CRL shard stands against the revocations that it should list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardState {
    /// Which shard.
    pub shard: u32,
    /// thisUpdate of the CRL in force, and of the last one that came by schedule; none if there is no CRL.
    pub signed_at: Option<(Timestamp, Timestamp)>,
    /// Whether a revocation is not on the CRL in force.
    pub behind: bool,
}

/// What a published CRL says, for a restore to take over.
#[derive(Debug, Clone)]
pub struct PublishedList {
    /// Whose.
    pub issuer: IssuerId,
    /// Which shard.
    pub shard: u32,
    /// Its number.
    pub number: u64,
    /// How long certificates of this issuer may live: the end that is taken for one that the backup does not know.
    pub until: Timestamp,
    /// Serial, moment, reason.
    pub entries: Vec<(Serial, Timestamp, RevocationReason)>,
}
