//! `[profile.NAME]`: what certificates look like and which orders may ask for them (draft-ietf-acme-profiles).

use std::{collections::BTreeMap, fmt};

use cairn_acme::challenge::ChallengeType;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess},
    ser::SerializeMap,
};

use super::Span;

/// The profile that an order gets that names none.
pub const DEFAULT: &str = "default";

/// Characters of a profile's name: clients show it, and people type it.
const NAME_MAX: usize = 32;

/// Octets of a description: it is in every directory.
const DESCRIPTION_MAX: usize = 200;

/// The shortest life. Below it the backdating would be less than the clocks' own differences.
const LIFE_MIN: Span = Span::from_secs(60);

/// `[profile.*]`: the default, and any number of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profiles {
    /// What an order gets that names none.
    pub default: ProfileSettings,
    /// The others, by name.
    pub others: BTreeMap<String, ProfileSettings>,
}

/// One `[profile.NAME]`; a setting that is not there has the documented default, whatever `[profile.default]` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProfileSettings {
    /// What the directory says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// From notBefore to notAfter.
    pub life: Span,
    /// How far notBefore lies before the moment of issuance.
    pub backdate: Span,
    /// Whether the first name is also the subject's common name.
    pub common_name: bool,
    /// Whether certificates of RSA keys also carry keyEncipherment.
    pub key_encipherment: bool,
    /// TLS servers.
    pub server_auth: bool,
    /// TLS clients.
    pub client_auth: bool,
    /// Certificate policies, as dotted object identifiers.
    pub policies: Vec<String>,
    /// Who signs; unset: by the kind of the certificate's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    // The lists below are left out while they are empty: the version of a profile that has none keeps its hash.
    /// Types of identifiers; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<IdentifierType>,
    /// Challenge types on offer; empty: all that the CA has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<ChallengeType>,
    /// Accounts that may ask for it, by id; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
}

/// A type of identifiers, as a profile allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentifierType {
    /// Names, wildcards too.
    Dns,
    /// Addresses (RFC 8738).
    Ip,
}

impl Default for ProfileSettings {
    fn default() -> Self {
        Self {
            description: None,
            life: Span::from_days(90),
            backdate: Span::from_secs(60),
            common_name: false,
            key_encipherment: false,
            server_auth: true,
            client_auth: false,
            policies: Vec::new(),
            issuer: None,
            identifiers: Vec::new(),
            challenges: Vec::new(),
            accounts: Vec::new(),
        }
    }
}

impl Profiles {
    /// All of them by name, the default first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ProfileSettings)> {
        let others = self.others.iter().map(|(name, p)| (name.as_str(), p));
        std::iter::once((DEFAULT, &self.default)).chain(others)
    }
}

/// By hand, and not by `flatten`: that would lose the places of wrong values.
impl<'de> Deserialize<'de> for Profiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;
        impl<'de> de::Visitor<'de> for Tables {
            type Value = Profiles;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tables [profile.NAME]")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Profiles, A::Error> {
                let mut profiles = Profiles::default();
                while let Some(name) = map.next_key::<String>()? {
                    let settings = map.next_value()?;
                    if name == DEFAULT {
                        profiles.default = settings;
                    } else {
                        profiles.others.insert(name, settings);
                    }
                }
                Ok(profiles)
            }
        }
        deserializer.deserialize_map(Tables)
    }
}

impl Serialize for Profiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, settings) in self.iter() {
            map.serialize_entry(name, settings)?;
        }
        map.end()
    }
}

/// The first thing that does not fit in one of them: the setting's key and why.
pub(super) fn check(profiles: &Profiles) -> Option<(String, &'static str)> {
    profiles.iter().find_map(|(name, profile)| {
        if !is_name(name) {
            let why =
                "a profile's name has 1 to 32 lower-case letters, digits, hyphens and underscores";
            return Some((format!("profile.{name}"), why));
        }
        fault(profile).map(|(key, why)| (format!("profile.{name}.{key}"), why))
    })
}

/// What tables may be called.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn fault(profile: &ProfileSettings) -> Option<(&'static str, &'static str)> {
    let description = profile.description.as_deref().unwrap_or("x");
    let unfit = description.is_empty()
        || description.len() > DESCRIPTION_MAX
        || description.chars().any(char::is_control);
    let rules = [
        (
            unfit,
            "description",
            "a description is one line of at most 200 octets",
        ),
        (
            profile.life < LIFE_MIN,
            "life",
            "too short to work with: at least 1m",
        ),
        (
            profile.backdate > Span::from_days(2),
            "backdate",
            "more than 2d would vouch for a past nobody checked",
        ),
        (
            !(profile.server_auth || profile.client_auth),
            "server_auth",
            "a certificate needs a use: server_auth or client_auth",
        ),
        (
            !profile.policies.iter().all(|policy| is_oid(policy)),
            "policies",
            "a policy is an object identifier such as \"2.23.140.1.2.1\"",
        ),
        (
            has_twice(&profile.identifiers),
            "identifiers",
            "each type once; leave the list empty for all",
        ),
        (
            has_twice(&profile.challenges),
            "challenges",
            "each type once; leave the list empty for all",
        ),
        (
            profile
                .accounts
                .iter()
                .any(|id| id.parse::<crate::id::AccountId>().is_err()),
            "accounts",
            "an account's id is the last part of its URL",
        ),
    ];
    rules
        .into_iter()
        .find(|(wrong, _, _)| *wrong)
        .map(|(_, key, why)| (key, why))
}

fn has_twice<T: PartialEq>(list: &[T]) -> bool {
    let mut rest = list;
    while let [first, others @ ..] = rest {
        if others.contains(first) {
            return true;
        }
        rest = others;
    }
    false
}

fn is_oid(text: &str) -> bool {
    let arcs: Vec<&str> = text.split('.').collect();
    let number = |arc: &&str| {
        !arc.is_empty()
            && arc.len() <= 9
            && arc.bytes().all(|b| b.is_ascii_digit())
            && (*arc == "0" || !arc.starts_with('0'))
    };
    let second = arcs.get(1).and_then(|a| a.parse::<u32>().ok());
    let head = match arcs.first() {
        Some(&("0" | "1")) => second.is_some_and(|s| s < 40),
        Some(&"2") => second.is_some(),
        _ => false,
    };
    head && (2..=20).contains(&arcs.len()) && arcs.iter().all(number)
}
