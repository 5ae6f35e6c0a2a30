//! `[issuer.NAME]`: issuers beside the one of `[keys]`, and which certificates each of them signs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use cairn_x509::key::{PublicKey, PublicKeyKind};
use serde::{Deserialize, Serialize};

use super::{Config, profiles::is_name};

/// The name of the issuer that `[keys]` is.
pub const DEFAULT: &str = "default";

/// How many stand side by side. Each has its lists and its key in memory.
const ISSUERS_MAX: usize = 16;

/// Further chains of one issuer. Each is a link of every answer with a certificate.
const ALTERNATES_MAX: usize = 8;

/// One `[issuer.NAME]`; paths are relative to the CA's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Encrypted PKCS#8 PEM, under the passphrase of `[keys]`.
    pub key: PathBuf,
    /// PEM: the issuing certificate, and those between it and the root.
    pub certificate: PathBuf,
    /// PEM; unset: the root of `[keys]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Kinds of the keys whose certificates it signs; none: its lists alone, and what a profile names it for.
    #[serde(rename = "for", default)]
    pub leaf_keys: Vec<LeafKey>,
    /// PEM files of further chains of the same key.
    #[serde(default)]
    pub alternates: Vec<PathBuf>,
}

/// A kind of subscribers' keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafKey {
    /// RSA.
    Rsa,
    /// On an elliptic curve, whatever the scheme.
    Ecdsa,
}

impl LeafKey {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Rsa, Self::Ecdsa];

    /// The kind of a key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        match key.kind() {
            PublicKeyKind::Rsa { .. } => Self::Rsa,
            PublicKeyKind::Ec { .. } | PublicKeyKind::Ed25519 => Self::Ecdsa,
        }
    }
}

/// The first thing that does not fit: the setting's key and why.
pub(super) fn check(config: &Config) -> Option<(String, &'static str)> {
    named(&config.issuer)
        .or_else(|| alternates("keys", &config.keys.alternates))
        .or_else(|| claimed_twice(&config.issuer))
        .or_else(|| {
            let known = |name: &str| name == DEFAULT || config.issuer.contains_key(name);
            let (profile, _) = config.profile.iter().find(|(_, settings)| {
                settings.issuer.as_deref().is_some_and(|name| !known(name))
            })?;
            let reason = "there is no such issuer: \"default\" is that of [keys], others have a table [issuer.NAME]";
            Some((format!("profile.{profile}.issuer"), reason))
        })
}

fn named(issuers: &BTreeMap<String, IssuerSettings>) -> Option<(String, &'static str)> {
    if issuers.len() > ISSUERS_MAX {
        return Some(("issuer".to_owned(), "more than 16 issuers"));
    }
    for (name, issuer) in issuers {
        let key = |field: &str| Some(format!("issuer.{name}.{field}"));
        if name == DEFAULT {
            let reason = "the issuer \"default\" is that of [keys]; choose another name";
            return Some((format!("issuer.{name}"), reason));
        }
        if !is_name(name) {
            let reason =
                "an issuer's name has 1 to 32 lower-case letters, digits, hyphens and underscores";
            return Some((format!("issuer.{name}"), reason));
        }
        let empty = |path: &Path| path.as_os_str().is_empty();
        let found = [
            ("key", empty(&issuer.key)),
            ("certificate", empty(&issuer.certificate)),
            ("root", issuer.root.as_deref().is_some_and(empty)),
        ];
        if let Some((field, _)) = found.iter().find(|(_, is_empty)| *is_empty) {
            return key(field).map(|key| (key, "empty"));
        }
        let wrong = alternates(&format!("issuer.{name}"), &issuer.alternates);
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn alternates(table: &str, files: &[PathBuf]) -> Option<(String, &'static str)> {
    let key = format!("{table}.alternates");
    if files.len() > ALTERNATES_MAX {
        return Some((key, "more than 8 further chains"));
    }
    let twice = files
        .iter()
        .enumerate()
        .any(|(n, file)| files.iter().take(n).any(|earlier| earlier == file));
    twice.then_some((key, "a file stands there twice"))
}

/// Two that want the same certificates.
fn claimed_twice(issuers: &BTreeMap<String, IssuerSettings>) -> Option<(String, &'static str)> {
    for kind in LeafKey::ALL {
        let mut claims = issuers
            .iter()
            .flat_map(|(name, issuer)| issuer.leaf_keys.iter().map(move |key| (name, *key)))
            .filter(|(_, key)| *key == kind);
        claims.next();
        if let Some((name, _)) = claims.next() {
            let reason = "each kind of key once, at one issuer; a profile can name another";
            return Some((format!("issuer.{name}.for"), reason));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::tests::assert_refused;

    #[test]
    fn an_issuer_that_does_not_fit_is_refused_with_its_place() {
        // (text, line, column, key, part of the text)
        let cases: &[(&str, usize, usize, &str, &str)] = &[
            (
                "[issuer.rsa]\nkee = \"k\"",
                4,
                1,
                "issuer.rsa.kee",
                "did you mean issuer.rsa.key?",
            ),
            (
                "[issuers.rsa]\nkey = \"k\"",
                3,
                2,
                "issuers",
                "no such setting",
            ),
            (
                "[issuer.default]\nkey = \"k\"\ncertificate = \"c\"",
                3,
                9,
                "issuer.default",
                "is that of [keys]",
            ),
            (
                "[issuer.RSA]\nkey = \"k\"\ncertificate = \"c\"",
                3,
                9,
                "issuer.RSA",
                "lower-case",
            ),
            (
                "[issuer.rsa]\nkey = \"\"\ncertificate = \"c\"",
                4,
                1,
                "issuer.rsa.key",
                "empty",
            ),
            (
                "[issuer.rsa]\nkey = \"k\"\ncertificate = \"c\"\nfor = [\"dsa\"]",
                6,
                8,
                "issuer.rsa.for",
                "ecdsa",
            ),
            (
                "[issuer.a]\nkey = \"k\"\ncertificate = \"c\"\nfor = [\"rsa\"]\n[issuer.b]\nkey = \"l\"\ncertificate = \"d\"\nfor = [\"rsa\"]",
                10,
                1,
                "issuer.b.for",
                "each kind of key once",
            ),
            (
                "[keys]\nalternates = [\"a\", \"a\"]",
                4,
                1,
                "keys.alternates",
                "twice",
            ),
            (
                "[profile.old]\nissuer = \"rsa\"",
                4,
                1,
                "profile.old.issuer",
                "no such issuer",
            ),
        ];
        assert_refused(cases);
    }
}
