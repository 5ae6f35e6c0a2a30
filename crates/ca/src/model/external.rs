//! External account keys (RFC 8555 §7.3.4), and what an account keeps of the one that opened it.

use cairn_acme::time::Timestamp;

use crate::{
    authority::external::Allowed,
    id::{AccountId, DirectoryId, ExternalKeyId},
};

/// A MAC key that the operator gave to somebody, with which accounts are opened.
#[derive(Debug, Clone)]
pub struct ExternalKey {
    /// Its kid.
    pub id: ExternalKeyId,
    pub directory: DirectoryId,
    /// Whom it was given to, in the operator's words.
    pub owner: Option<String>,
    /// What its accounts may order; empty is whatever the CA issues for.
    pub allowed: Vec<Allowed>,
    /// Whether it opens any number of accounts, or one.
    pub many: bool,
    pub expires: Option<Timestamp>,
    /// The secret, sealed by the key ring.
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// Accounts that it opened.
    pub uses: u32,
    /// The newest of them, and when.
    pub last_use: Option<(AccountId, Timestamp)>,
}

/// Whether a key opens accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalKeyState {
    /// It does.
    Open,
    /// It was for one account, which is there.
    Used,
    /// Its time is over.
    Expired,
    /// The operator took it back.
    Revoked,
}

impl ExternalKeyState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Used, Self::Expired, Self::Revoked];

    /// As lists show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ExternalKey {
    /// Whether it opens accounts at that moment.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ExternalKeyState {
        if self.revoked_at.is_some() {
            ExternalKeyState::Revoked
        } else if !self.many && self.uses > 0 {
            ExternalKeyState::Used
        } else if self.expires.is_some_and(|end| end <= now) {
            ExternalKeyState::Expired
        } else {
            ExternalKeyState::Open
        }
    }
}

/// What an account keeps of the key that opened it, whatever becomes of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    pub key: ExternalKeyId,
    pub owner: Option<String>,
    pub allowed: Vec<Allowed>,
    /// The binding as it came, which the account object repeats.
    pub binding: String,
}
