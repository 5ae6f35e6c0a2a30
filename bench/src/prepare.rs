//! Certificate keys, CSRs and payloads, made before the clock runs: each certificate has a key and a name of its own.

use anyhow::Result;
use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

/// The payloads of one certificate.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) order: String,
    pub(crate) finalize: String,
}

/// The domain below which all names are.
pub(crate) const ZONE: &str = "bench.test";

/// So many certificates; `series` keeps the names of two runs on one store apart.
pub(crate) fn prepare(series: &str, count: usize) -> Result<Vec<Prepared>> {
    (0..count)
        .map(|number| one(&format!("c{number}-{series}.{ZONE}")))
        .collect()
}

/// The same as [`prepare`], for when that was too few.
pub(crate) fn more(series: String) -> impl Iterator<Item = Prepared> {
    (0_u64..).map_while(move |number| one(&format!("m{number}-{series}.{ZONE}")).ok())
}

fn one(name: &str) -> Result<Prepared> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&KeyPair::generate()?)?;
    Ok(Prepared {
        order: format!(r#"{{"identifiers":[{{"type":"dns","value":"{name}"}}]}}"#),
        finalize: format!(r#"{{"csr":"{}"}}"#, BASE64URL_NOPAD.encode(csr.der())),
    })
}
