//! `cairn.toml`: the structs are the file, field for field; `reference` says what each setting means, in what unit,
//! with which default and why. A running server holds one immutable [`Config`]; a wrong new one leaves it in force.

mod base_url;
mod check;
mod directories;
mod fault;
mod issuers;
mod parse;
mod profiles;
mod reference;
mod span;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use cairn_acme::{challenge::ChallengeType, time::Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use base_url::{BadBaseUrl, BadPublicationUrl, BaseUrl, PublicationUrl};
pub use directories::DirectorySettings;
pub use fault::ConfigFault;
pub use issuers::{DEFAULT as DEFAULT_ISSUER, IssuerSettings, LeafKey};
pub(crate) use profiles::is_name as is_table_name;
pub use profiles::{DEFAULT as DEFAULT_PROFILE, IdentifierType, ProfileSettings, Profiles};
pub use reference::{Rule, SETTINGS, Setting, markdown, nearest, sample};
pub use span::{BadSpan, Span};

/// The file's name in the CA's directory.
pub const FILE_NAME: &str = "cairn.toml";

/// The whole of `cairn.toml`. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The CA's name, as its certificates say it.
    pub name: String,
    /// Where it is reached; every other URL is made from it.
    pub url: BaseUrl,
    /// Under which URL certificates name CRLs and issuers.
    #[serde(default)]
    pub publication_url: Option<PublicationUrl>,
    /// Which set of rules it keeps.
    #[serde(default)]
    pub preset: Preset,
    /// Zones of the operator's own: a climb through the DNS stops at their apex.
    #[serde(default)]
    pub private_zones: Vec<String>,
    /// Its own names in CAA records; empty is the URL's host.
    #[serde(default)]
    pub caa_identities: Vec<String>,
    /// What stood before an account's id in account URLs of earlier times.
    #[serde(default)]
    pub caa_account_prefixes: Vec<String>,
    /// Names that are never issued for, whatever a rule says.
    #[serde(default)]
    pub forbidden_names: Vec<String>,
    /// A page about the CA.
    #[serde(default)]
    pub website: Option<String>,
    /// Where it listens.
    #[serde(default)]
    pub listen: Listen,
    /// The certificate of its own listener.
    #[serde(default)]
    pub tls: Tls,
    /// Where its keys and certificates lie.
    #[serde(default)]
    pub keys: Keys,
    /// Issuers beside the one of `keys`, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub issuer: BTreeMap<String, IssuerSettings>,
    /// Whom it asks for names.
    #[serde(default)]
    pub dns: Dns,
    /// Bounds of accounts.
    #[serde(default)]
    pub accounts: Accounts,
    /// Bounds of orders.
    #[serde(default)]
    pub orders: Orders,
    /// What certificates look like.
    #[serde(default)]
    pub profile: Profiles,
    /// Revocation lists.
    #[serde(default)]
    pub crl: Crl,
    /// What it takes on at once.
    #[serde(default)]
    pub limits: Limits,
    /// Log lines.
    #[serde(default)]
    pub log: Log,
    /// What is forgotten, and when.
    #[serde(default)]
    pub sweep: Sweep,
    /// Directories beside the first.
    #[serde(default)]
    pub directory: Vec<DirectorySettings>,
    /// Which names are issued for and where they may lead, by suffix; the longest suffix that fits decides.
    #[serde(default)]
    pub names: Vec<NameRule>,
    /// The same for addresses, by range; the longest prefix that fits decides.
    #[serde(default)]
    pub addresses: Vec<AddressRule>,
}

/// A set of rules that stands behind many settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// A CA of one's own house.
    #[default]
    Private,
    /// What the CA/Browser Forum demands. Parsed, and refused at start until all of it is there.
    Public,
}

/// `[listen]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// ACME over TLS. An IPv6 address takes IPv6 alone. Never empty once parsed.
    pub subscribers: Vec<SocketAddr>,
    /// CRLs, issuers and the root over plain HTTP. Never empty once parsed.
    pub publication: Vec<SocketAddr>,
}

/// `[tls]`: both or none; none is a certificate of the CA's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM chain of the subscribers' listener.
    pub certificate: Option<PathBuf>,
    /// Its PEM key.
    pub key: Option<PathBuf>,
}

/// `[keys]`; paths are relative to the CA's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Where the issuing key's passphrase comes from.
    pub unlock: Unlock,
    /// With `unlock = "file"`.
    pub passphrase_file: PathBuf,
    /// With `unlock = "systemd-creds"`: the credential's name.
    pub credential: String,
    /// Encrypted PKCS#8 PEM.
    pub issuing_key: PathBuf,
    /// The key ring's secret: encrypted PKCS#8 PEM.
    pub ring_key: PathBuf,
    /// PEM.
    pub issuing_certificate: PathBuf,
    /// PEM.
    pub root_certificate: PathBuf,
    /// PEM files of further chains of the issuing key.
    pub alternates: Vec<PathBuf>,
    /// Hashes of keys that are never certified.
    pub blocked_keys: Option<PathBuf>,
}

/// Where the issuing key's passphrase comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unlock {
    /// A person at the terminal, or a pipe on standard input.
    #[default]
    Prompt,
    /// A file, for those who value restarts over the passphrase.
    File,
    /// systemd's credentials (`LoadCredentialEncrypted=`).
    SystemdCreds,
}

/// `[dns]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Recursive servers; empty is the system's resolver file.
    #[serde(deserialize_with = "parse::dns_servers")]
    pub servers: Vec<SocketAddr>,
    /// For one query to one server.
    pub timeout: Span,
    /// Who judges DNSSEC.
    pub dnssec: Dnssec,
    /// Whether DNS is asked once more after a validation that failed in it.
    pub inquire: bool,
}

/// Who judges the DNSSEC signatures of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dnssec {
    /// Nobody: an AD bit is not believed. What is bogus to the resolver still fails.
    #[default]
    Off,
    /// The servers named in `servers`.
    TrustResolver,
}

/// One `[[names]]`: whether names at and below a suffix are issued for, and where they may lead (design: addresses are
/// judged per name).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRule {
    /// A domain name, without dot at either end; lower case once parsed.
    pub suffix: String,
    /// Whether the rule is for that name alone.
    #[serde(default)]
    pub exact: bool,
    /// Whether they are issued for; unset says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<bool>,
    /// Address ranges that these names may lead to besides global addresses.
    #[serde(default)]
    pub dial: Vec<IpNet>,
    /// Where http-01 connects first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Where tls-alpn-01 connects, and a redirect to https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_port: Option<u16>,
}

/// One `[[addresses]]`: addresses that are issued for, and that validation may so connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressRule {
    /// The addresses.
    pub range: IpNet,
    /// Whether they are issued for; unset says nothing beyond that validation may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<bool>,
    /// Where http-01 connects first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Where tls-alpn-01 connects, and a redirect to https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_port: Option<u16>,
}

/// `[accounts]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// Terms of service that a new account must agree to.
    pub terms: Option<String>,
    /// Since when accounts that agreed to other terms are refused.
    pub terms_enforced_from: Option<Timestamp>,
    /// Contacts that one account may name.
    pub contacts_max: usize,
    /// Whether new accounts are bound to external ones.
    pub external: External,
    /// Where a key for that comes from, as refusals say it.
    pub external_source: String,
}

/// Whether a new account shows a key that the operator gave out (RFC 8555 §7.3.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum External {
    /// Bindings are ignored.
    #[default]
    Off,
    /// A binding that is sent has to verify.
    Optional,
    /// No account without one.
    Required,
}

/// `[orders]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Orders {
    /// How long an order may stay unfinished.
    pub life: Span,
    /// How long a valid authorization may be reused.
    pub authorization_life: Span,
    /// How long an authorization may stay pending.
    pub pending_authorization_life: Span,
    /// Names of one order.
    pub names_max: usize,
    /// Challenge types that authorizations get, once each and in the order of `ChallengeType::ALL` once parsed.
    pub challenges: Vec<ChallengeType>,
}

/// `[crl]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crl {
    /// From thisUpdate to nextUpdate.
    pub life: Span,
    /// A new one so often, with or without news.
    pub every: Span,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in work at once; more are told to come again.
    pub requests_in_flight: usize,
    /// The age of the store's queue from which new requests are told to come again.
    pub queue_age: Span,
    /// Open orders of one account.
    pub pending_orders: usize,
    /// Pending authorizations of one account.
    pub pending_authorizations: usize,
    /// Bad signatures from one address (IPv6: one /64).
    pub bad_signatures_per_minute: u32,
    /// How long a request is held for work that already runs.
    pub hold: Span,
    /// Held requests of one account.
    pub holds_per_account: usize,
    /// Held requests from one address (IPv6: one /64).
    pub holds_per_address: usize,
    /// Held requests in all.
    pub holds: usize,
}

/// `[log]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is worth a line.
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `issued serial=… names=…`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is worth a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// Each issuance and refusal.
    #[default]
    Info,
    /// Each request.
    Debug,
    /// Everything, without secrets.
    Trace,
}

/// `[sweep]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweep {
    /// Orders and authorizations, from their end or expiry.
    pub orders_after: Span,
    /// Audit rows.
    pub audit_after: Span,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            unlock: Unlock::Prompt,
            passphrase_file: "keys/passphrase".into(),
            credential: "cairn-ca".into(),
            issuing_key: "keys/issuing.key.pem".into(),
            ring_key: "keys/ring.key.pem".into(),
            issuing_certificate: "issuing.pem".into(),
            root_certificate: "root.pem".into(),
            alternates: Vec::new(),
            blocked_keys: None,
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Span::from_secs(3),
            dnssec: Dnssec::Off,
            inquire: true,
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            terms: None,
            terms_enforced_from: None,
            contacts_max: 10,
            external: External::Off,
            external_source: "ask the operator of this CA for one (cairn ca eab add)".to_owned(),
        }
    }
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            life: Span::from_days(7),
            authorization_life: Span::from_days(30),
            pending_authorization_life: Span::from_days(7),
            names_max: 100,
            challenges: ChallengeType::ALL.to_vec(),
        }
    }
}

impl Default for Crl {
    fn default() -> Self {
        Self {
            life: Span::from_days(7),
            every: Span::from_days(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_in_flight: 1024,
            queue_age: Span::from_millis(500),
            pending_orders: 1000,
            pending_authorizations: 2000,
            bad_signatures_per_minute: 60,
            hold: Span::from_secs(2),
            holds_per_account: 128,
            holds_per_address: 256,
            holds: 4096,
        }
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Self {
            orders_after: Span::from_days(30),
            audit_after: Span::from_days(730),
        }
    }
}
