//! External accounts (RFC 8555 §7.3.4): when a key opens an account, and what such an account may order. The MAC is
//! verified before, outside of any transaction; whether the key may still be used is asked where it is used up.

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use cairn_acme::{identifier::Identifier, problem::Problem, text::quoted, time::Timestamp};
use ipnet::IpNet;

use super::{audit, policy::NamePattern};
use crate::{
    id::{AccountId, DirectoryId, ExternalKeyId},
    model::{ExternalAccount, ExternalKey, ExternalKeyState},
    store::{Changes, Decision},
};

/// What newAccount shows of an external account.
#[derive(Debug, Clone, Default)]
pub enum ExternalClaim {
    /// Nothing, and nothing is asked for.
    #[default]
    None,
    /// Nothing where it is asked for, or nothing that verifies: the answer where an account would be made.
    Refused(Box<Problem>),
    /// A binding that was made with the secret of this key.
    Verified {
        /// Which.
        key: ExternalKeyId,
        /// As it came.
        binding: String,
        /// Where another key comes from.
        source: String,
    },
}

/// One of the things that the accounts of a key may order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A name, with or without those below it.
    Names(NamePattern),
    /// Addresses.
    Addresses(IpNet),
}

/// A text that names neither names nor addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no NAME, no .NAME (that name and all below it) and no range of addresses such as 10.0.0.0/8"
)]
pub struct BadAllowed(String);

impl FromStr for Allowed {
    type Err = BadAllowed;

    fn from_str(text: &str) -> Result<Self, BadAllowed> {
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(Self::Addresses(range.trunc()));
        }
        NamePattern::parse(&text.to_ascii_lowercase())
            .map(Self::Names)
            .map_err(|_| BadAllowed(quoted(text)))
    }
}

/// As it is written on the command line.
impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(pattern) if pattern.below => write!(f, ".{}", pattern.name),
            Self::Names(pattern) => pattern.name.fmt(f),
            Self::Addresses(range) => range.fmt(f),
        }
    }
}

impl Allowed {
    fn covers(&self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Self::Names(pattern), Identifier::Dns(_) | Identifier::WildcardDns(_)) => {
                pattern.covers_identifier(identifier)
            }
            (Self::Addresses(range), Identifier::Ip(address)) => range.contains(address),
            _ => false,
        }
    }
}

impl ExternalAccount {
    /// Why the account may not order it, if it may not.
    pub(crate) fn fault(&self, identifier: &Identifier) -> Option<String> {
        if self.allowed.is_empty() || self.allowed.iter().any(|a| a.covers(identifier)) {
            return None;
        }
        let listed: Vec<String> = self.allowed.iter().map(ToString::to_string).collect();
        let owner = self.owner.as_deref();
        let owner = owner.map_or_else(String::new, |owner| format!(" of {}", quoted(owner)));
        Some(format!(
            "this account was opened with external key {}{owner}, whose accounts may order only {} (a dot in front: also all below); order such a name, or ask the operator for a key that allows it",
            self.key,
            listed.join(", ")
        ))
    }
}

/// A binding is needed and there is none (8555-7.3.4-4).
#[must_use]
pub fn missing(source: &str) -> Problem {
    Problem::external_account_required(format!(
        "a new account needs an externalAccountBinding (RFC 8555 section 7.3.4), made with a key id and an HMAC key of this CA: {source}, and pass both to your client (certbot: --eab-kid and --eab-hmac-key)"
    ))
}

/// No key of this CA made it: the same for an id that is not known and for another's secret (T-CA-36).
#[must_use]
pub fn unverified(key_id: &str, source: &str) -> Problem {
    Problem::unauthorized(format!(
        "externalAccountBinding: no key {} is here that made this MAC: the key id is not one of this CA, or the HMAC key is not that id's. Copy both again, the HMAC key as it was printed (base64url, 86 characters, 64 octets once decoded); if they are lost, {source}",
        quoted(key_id)
    ))
}

/// Uses the key for that account, if it may still be used.
///
/// # Errors
/// `unauthorized`; told only to who has the secret.
pub(super) fn consume(
    key: Option<ExternalKey>,
    (directory, account, now): (DirectoryId, AccountId, Timestamp),
    source: &str,
) -> Result<ExternalKey, Problem> {
    // A restore may have taken it away since its MAC was verified.
    let Some(mut key) = key.filter(|key| key.directory == directory) else {
        return Err(Problem::unauthorized(format!(
            "externalAccountBinding: the key is not here any more; {source}"
        )));
    };
    let id = key.id;
    let why = match key.state(now) {
        ExternalKeyState::Open => {
            key.uses = key.uses.saturating_add(1);
            key.last_use = Some((account, now));
            return Ok(key);
        }
        ExternalKeyState::Used => {
            let when = key.last_use.map(|(_, at)| format!(" at {at}"));
            format!(
                "was used{}, and it opens one account only: use that account with its own key",
                when.unwrap_or_default()
            )
        }
        ExternalKeyState::Expired => {
            let end = key.expires.map(|end| format!(" at {end}"));
            format!("expired{}", end.unwrap_or_default())
        }
        ExternalKeyState::Revoked => {
            let when = key.revoked_at.map(|at| format!(" at {at}"));
            format!("was revoked{}", when.unwrap_or_default())
        }
    };
    Err(Problem::unauthorized(format!(
        "externalAccountBinding: external key {id} {why}; for another key, {source}"
    )))
}

/// Keeps a new key.
#[must_use]
pub fn add(key: &ExternalKey) -> Decision<ExternalKey> {
    let listed: Vec<String> = key.allowed.iter().map(ToString::to_string).collect();
    let expires = key.expires.map(|end| end.to_string());
    let row = audit(
        key.created_at,
        "external-key-added",
        None,
        None,
        &[
            ("key", &key.id.to_string()),
            ("owner", key.owner.as_deref().unwrap_or_default()),
            ("allowed", &listed.join(",")),
            ("accounts", if key.many { "many" } else { "one" }),
            ("expires", expires.as_deref().unwrap_or("never")),
        ],
    );
    Decision {
        changes: Changes {
            insert_external_keys: vec![key.clone()],
            audit: vec![row],
            ..Changes::default()
        },
        answer: Ok(key.clone()),
    }
}

/// Takes a key back: it opens no account any more. Those that it opened go on, with what it allowed them. The answer says
/// whether that changed something.
#[must_use]
pub fn revoke(key: Option<ExternalKey>, now: Timestamp) -> Decision<Option<(ExternalKey, bool)>> {
    let Some(mut key) = key else {
        return Decision::unchanged(None);
    };
    if key.revoked_at.is_some() {
        return Decision::unchanged(Some((key, false)));
    }
    key.revoked_at = Some(now);
    let row = audit(
        now,
        "external-key-revoked",
        None,
        None,
        &[("key", &key.id.to_string())],
    );
    Decision {
        changes: Changes {
            update_external_keys: vec![key.clone()],
            audit: vec![row],
            ..Changes::default()
        },
        answer: Ok(Some((key, true))),
    }
}
