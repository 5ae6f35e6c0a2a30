//! Pebble's configuration file: every key of 2.4 to 2.10. Names are case-insensitive, `null` is unset, as Go's JSON has it.

use std::collections::BTreeMap;

use cairn_acme::base64url;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The port of http-01 in Pebble's own files.
const HTTP_PORT: u16 = 5002;

/// The port of tls-alpn-01.
const TLS_PORT: u16 = 5001;

/// From this many letters on a near name is told.
const NEAR: usize = 3;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) listen: String,
    /// Empty: there is no management interface.
    pub(super) management: String,
    pub(super) http_port: u16,
    pub(super) tls_port: u16,
    pub(super) certificate: String,
    pub(super) private_key: String,
    pub(super) ocsp_url: Option<String>,
    pub(super) external_required: bool,
    pub(super) external_keys: Vec<ExternalKey>,
    pub(super) blocked: Vec<String>,
    pub(super) retry_authz: Option<u32>,
    pub(super) retry_order: Option<u32>,
    /// Seconds, of 2.5 and 2.6.
    pub(super) validity: Option<u64>,
    pub(super) profiles: BTreeMap<String, Profile>,
    pub(super) key_algorithm: KeyAlgorithm,
    pub(super) caa_identities: Vec<String>,
}

/// A kid and its secret.
pub(super) type ExternalKey = (String, Zeroizing<Vec<u8>>);

/// One of `profiles`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) description: String,
    /// Seconds.
    pub(super) validity: Option<u64>,
}

/// Of the CA's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyAlgorithm {
    Rsa,
    Ecdsa,
}

/// A value that cannot be used, by its path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub(super) struct BadConfiguration {
    key: String,
    why: String,
}

impl BadConfiguration {
    /// About the member with that path.
    pub(super) fn at(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            why: why.into(),
        }
    }
}

impl Configuration {
    /// Reads it; names without a meaning come back as warnings.
    ///
    /// # Errors
    /// About the first value that cannot be used.
    pub(super) fn parse(text: &str) -> Result<(Self, Vec<String>), BadConfiguration> {
        let file: Value = serde_json::from_str(text)
            .map_err(|error| BadConfiguration::at("the file", format!("no JSON: {error}")))?;
        let mut warnings = Vec::new();
        let top = Members::of("", &file, &["pebble"], &mut warnings)?;
        let empty = Value::Object(Map::new());
        let table = top.value("pebble").unwrap_or(&empty);
        let pebble = Members::of("pebble", table, &KEYS, &mut warnings)?;
        let retry = pebble.value("retryAfter").unwrap_or(&empty);
        let retry = Members::of(
            "pebble.retryAfter",
            retry,
            &["authz", "order"],
            &mut warnings,
        )?;
        let mut profiles = BTreeMap::new();
        for (name, value) in pebble.table("profiles")? {
            let path = format!("pebble.profiles.{name}");
            let known = ["description", "validityPeriod"];
            let profile = Members::of(&path, value, &known, &mut warnings)?;
            let profile = Profile {
                description: profile.text("description")?,
                validity: profile.number("validityPeriod")?.filter(|s| *s > 0),
            };
            profiles.insert(name.clone(), profile);
        }
        let algorithm = match pebble.text("keyAlgorithm")?.as_str() {
            "" | "rsa" => KeyAlgorithm::Rsa,
            "ecdsa" => KeyAlgorithm::Ecdsa,
            other => {
                return Err(pebble.fault(
                    "keyAlgorithm",
                    &format!("{other:?} is neither \"rsa\" nor \"ecdsa\""),
                ));
            }
        };
        let configuration = Self {
            listen: pebble.text("listenAddress")?,
            management: pebble.text("managementListenAddress")?,
            http_port: pebble.number("httpPort")?.unwrap_or(HTTP_PORT),
            tls_port: pebble.number("tlsPort")?.unwrap_or(TLS_PORT),
            certificate: pebble.text("certificate")?,
            private_key: pebble.text("privateKey")?,
            ocsp_url: Some(pebble.text("ocspResponderURL")?).filter(|url| !url.is_empty()),
            external_required: pebble.boolean("externalAccountBindingRequired")?,
            external_keys: external_keys(&pebble)?,
            blocked: pebble.texts("domainBlocklist")?,
            retry_authz: retry.number("authz")?.filter(|s| *s > 0),
            retry_order: retry.number("order")?.filter(|s| *s > 0),
            validity: pebble
                .number("certificateValidityPeriod")?
                .filter(|s| *s > 0),
            profiles,
            key_algorithm: algorithm,
            caa_identities: pebble.texts("caaIdentities")?,
        };
        Ok((configuration, warnings))
    }
}

/// All of 2.4 to 2.10.
const KEYS: [&str; 15] = [
    "listenAddress",
    "managementListenAddress",
    "httpPort",
    "tlsPort",
    "certificate",
    "privateKey",
    "ocspResponderURL",
    "externalAccountBindingRequired",
    "externalAccountMACKeys",
    "domainBlocklist",
    "retryAfter",
    "certificateValidityPeriod",
    "profiles",
    "keyAlgorithm",
    "caaIdentities",
];

fn external_keys(pebble: &Members<'_>) -> Result<Vec<ExternalKey>, BadConfiguration> {
    let table = pebble.table("externalAccountMACKeys")?;
    let keys = table.into_iter().map(|(kid, value)| {
        let name = format!("externalAccountMACKeys.{kid}");
        let text = value
            .as_str()
            .ok_or_else(|| pebble.fault(&name, "no text"))?;
        match base64url::decode(text.trim_end_matches('=')) {
            Ok(secret) if !secret.is_empty() => Ok((kid.clone(), Zeroizing::new(secret))),
            Ok(_) => Err(pebble.fault(&name, "an empty key")),
            Err(error) => Err(pebble.fault(&name, &format!("no base64url: {error}"))),
        }
    });
    keys.collect()
}

/// The members of one object that have a meaning.
struct Members<'a> {
    path: &'a str,
    known: BTreeMap<&'static str, &'a Value>,
}

impl<'a> Members<'a> {
    fn of(
        path: &'a str,
        value: &'a Value,
        names: &[&'static str],
        warnings: &mut Vec<String>,
    ) -> Result<Self, BadConfiguration> {
        let object = value.as_object().ok_or_else(|| {
            let place = if path.is_empty() { "the file" } else { path };
            BadConfiguration::at(place, format!("{}, not an object", kind(value)))
        })?;
        let mut known = BTreeMap::new();
        for (name, value) in object {
            match names.iter().find(|n| n.eq_ignore_ascii_case(name)) {
                Some(_) if value.is_null() => {}
                Some(meant) => {
                    known.insert(*meant, value);
                }
                None => warnings.push(unknown(path, name, names)),
            }
        }
        Ok(Self { path, known })
    }

    fn fault(&self, name: &str, why: &str) -> BadConfiguration {
        BadConfiguration::at(format!("{}.{name}", self.path), why)
    }

    fn wrong(&self, name: &str, value: &Value, wanted: &str) -> BadConfiguration {
        self.fault(name, &format!("{}, not {wanted}", kind(value)))
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.known.get(name).copied()
    }

    fn text(&self, name: &str) -> Result<String, BadConfiguration> {
        match self.value(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.wrong(name, other, "a text")),
        }
    }

    fn boolean(&self, name: &str) -> Result<bool, BadConfiguration> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(self.wrong(name, other, "true or false")),
        }
    }

    fn number<N: TryFrom<u64>>(&self, name: &str) -> Result<Option<N>, BadConfiguration> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let Value::Number(number) = value else {
            return Err(self.wrong(name, value, "a number"));
        };
        let fitting = number.as_u64().and_then(|n| N::try_from(n).ok());
        let unfit = || self.fault(name, &format!("{number} is no whole number that fits here"));
        fitting.map(Some).ok_or_else(unfit)
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, BadConfiguration> {
        let Some(value) = self.value(name) else {
            return Ok(Vec::new());
        };
        let list = value
            .as_array()
            .ok_or_else(|| self.wrong(name, value, "a list of texts"))?;
        let text = |item: &Value| item.as_str().map(str::to_owned);
        let texts: Option<Vec<String>> = list.iter().map(text).collect();
        texts.ok_or_else(|| self.fault(name, "not every item is a text"))
    }

    /// The members of an object whose names are free.
    fn table(&self, name: &str) -> Result<Vec<(&'a String, &'a Value)>, BadConfiguration> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(object)) => Ok(object.iter().collect()),
            Some(other) => Err(self.wrong(name, other, "an object")),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn unknown(path: &str, name: &str, names: &[&str]) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let distance = |known: &str| {
        strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &name.to_ascii_lowercase())
    };
    let nearest = names.iter().min_by_key(|known| distance(known));
    let near = nearest.filter(|known| distance(known) <= (name.len() / NEAR).max(1));
    let meant = near.map(|known| format!("; is {path}{dot}{known} meant?"));
    format!(
        "{path}{dot}{name} has no meaning here and is ignored{}",
        meant.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read_in_any_case() {
        let text = r#"{"Pebble": {
            "LISTENADDRESS": ":1", "managementlistenaddress": ":2", "HTTPPort": 3, "TlsPort": 4,
            "Certificate": "c", "PrivateKey": "k", "OCSPResponderURL": "http://o",
            "ExternalAccountBindingRequired": true, "ExternalAccountMACKeys": {"Kid-1": "YWJj"},
            "DomainBlocklist": ["a.example"], "RetryAfter": {"Authz": 7, "Order": 8},
            "CertificateValidityPeriod": 9,
            "Profiles": {"Short": {"Description": "d", "ValidityPeriod": 10}, "long": {}},
            "KeyAlgorithm": "ecdsa", "CAAIdentities": ["ca.example"]
        }}"#;
        let (read, warnings) = Configuration::parse(text).unwrap();
        let profile = |description: &str, validity| Profile {
            description: description.to_owned(),
            validity,
        };
        let wanted = Configuration {
            listen: ":1".to_owned(),
            management: ":2".to_owned(),
            http_port: 3,
            tls_port: 4,
            certificate: "c".to_owned(),
            private_key: "k".to_owned(),
            ocsp_url: Some("http://o".to_owned()),
            external_required: true,
            external_keys: vec![("Kid-1".to_owned(), Zeroizing::new(b"abc".to_vec()))],
            blocked: vec!["a.example".to_owned()],
            retry_authz: Some(7),
            retry_order: Some(8),
            validity: Some(9),
            profiles: BTreeMap::from([
                ("Short".to_owned(), profile("d", Some(10))),
                ("long".to_owned(), profile("", None)),
            ]),
            key_algorithm: KeyAlgorithm::Ecdsa,
            caa_identities: vec!["ca.example".to_owned()],
        };
        assert_eq!(read, wanted);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_or_null_is_unset() {
        let rows = [
            "{}",
            r#"{"pebble": null}"#,
            r#"{"pebble": {"managementListenAddress": null, "profiles": null}}"#,
        ];
        for text in rows {
            let (read, warnings) = Configuration::parse(text).unwrap();
            assert_eq!(
                (read.management.as_str(), read.http_port, read.tls_port),
                ("", 5002, 5001)
            );
            assert_eq!(read.key_algorithm, KeyAlgorithm::Rsa);
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }

    #[test]
    fn a_wrong_value_is_told_by_its_path() {
        let rows = [
            ("[]", "the file: a list, not an object"),
            (r#"{"pebble": 1}"#, "pebble: a number, not an object"),
            (
                r#"{"pebble": {"httpPort": "80"}}"#,
                "pebble.httpPort: a text, not a number",
            ),
            (
                r#"{"pebble": {"tlsPort": 70000}}"#,
                "pebble.tlsPort: 70000 is no whole number that fits here",
            ),
            (
                r#"{"pebble": {"tlsPort": -1}}"#,
                "pebble.tlsPort: -1 is no whole number that fits here",
            ),
            (
                r#"{"pebble": {"listenAddress": 1}}"#,
                "pebble.listenAddress: a number, not a text",
            ),
            (
                r#"{"pebble": {"externalAccountBindingRequired": "yes"}}"#,
                "pebble.externalAccountBindingRequired: a text, not true or false",
            ),
            (
                r#"{"pebble": {"domainBlocklist": [1]}}"#,
                "pebble.domainBlocklist: not every item is a text",
            ),
            (
                r#"{"pebble": {"profiles": {"x": []}}}"#,
                "pebble.profiles.x: a list, not an object",
            ),
            (
                r#"{"pebble": {"retryAfter": {"order": true}}}"#,
                "pebble.retryAfter.order: true or false, not a number",
            ),
            (
                r#"{"pebble": {"keyAlgorithm": "dsa"}}"#,
                "pebble.keyAlgorithm: \"dsa\" is neither \"rsa\" nor \"ecdsa\"",
            ),
            (
                r#"{"pebble": {"externalAccountMACKeys": {"k": ""}}}"#,
                "pebble.externalAccountMACKeys.k: an empty key",
            ),
        ];
        let mut wrong = Vec::new();
        for (text, told) in rows {
            let got = Configuration::parse(text).unwrap_err().to_string();
            if got != told {
                wrong.push(format!("{text}: {got}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        for (text, begins) in [
            ("{", "the file: no JSON: "),
            (
                r#"{"pebble": {"externalAccountMACKeys": {"k": "***"}}}"#,
                "pebble.externalAccountMACKeys.k: no base64url: ",
            ),
        ] {
            let got = Configuration::parse(text).unwrap_err().to_string();
            assert!(got.starts_with(begins), "{got}");
        }
    }

    #[test]
    fn an_unknown_name_is_a_warning_that_names_it() {
        let text = r#"{"peeble": {}, "pebble": {"listenAdress": ":1", "colour": 1,
            "retryAfter": {"authzs": 1}, "profiles": {"p": {"validity": 1}}}}"#;
        let (_, mut warnings) = Configuration::parse(text).unwrap();
        warnings.sort();
        assert_eq!(
            warnings,
            [
                "pebble.colour has no meaning here and is ignored",
                "pebble.listenAdress has no meaning here and is ignored; is pebble.listenAddress meant?",
                "pebble.profiles.p.validity has no meaning here and is ignored",
                "pebble.retryAfter.authzs has no meaning here and is ignored; is pebble.retryAfter.authz meant?",
                "peeble has no meaning here and is ignored; is pebble meant?",
            ]
        );
    }
}
