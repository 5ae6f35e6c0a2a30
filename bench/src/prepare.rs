//! Certificate keys and CSRs, made before the clock runs: each certificate has a key and names of its own.

use anyhow::Result;
use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::json;

/// What one certificate is asked for with.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) names: Vec<String>,
    finalize: String,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) names: usize,
    pub(crate) wildcard: bool,
}

/// The domain below which all names are.
pub(crate) const ZONE: &str = "bench.test";

impl Shape {
    /// So many certificates; `series` keeps the names of two runs on one store apart.
    pub(crate) fn prepare(self, series: &str, count: usize) -> Result<Vec<Prepared>> {
        (0..count)
            .map(|number| self.one(&format!("c{number}"), series))
            .collect()
    }

    /// The same as [`Shape::prepare`], for when that was too few.
    pub(crate) fn more(self, series: String) -> impl Iterator<Item = Prepared> {
        (0_u64..).map_while(move |number| self.one(&format!("m{number}"), &series).ok())
    }

    fn one(self, label: &str, series: &str) -> Result<Prepared> {
        let star = if self.wildcard { "*." } else { "" };
        let names = match self.names {
            1 => vec![format!("{star}{label}-{series}.{ZONE}")],
            many => (0..many)
                .map(|number| format!("{star}{label}-{number}-{series}.{ZONE}"))
                .collect(),
        };
        Prepared::of(names)
    }
}

impl Prepared {
    /// For these names, with a new key.
    pub(crate) fn of(names: Vec<String>) -> Result<Self> {
        let mut params = CertificateParams::new(names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&KeyPair::generate()?)?;
        let finalize = json!({"csr": BASE64URL_NOPAD.encode(csr.der())}).to_string();
        Ok(Self { names, finalize })
    }

    /// newOrder's payload.
    pub(crate) fn order(&self, replaces: Option<&str>) -> String {
        let identifiers: Vec<_> = self
            .names
            .iter()
            .map(|name| json!({"type": "dns", "value": name}))
            .collect();
        match replaces {
            None => json!({"identifiers": identifiers}).to_string(),
            Some(id) => json!({"identifiers": identifiers, "replaces": id}).to_string(),
        }
    }

    /// finalize's payload.
    pub(crate) fn finalize(&self) -> &str {
        &self.finalize
    }
}
