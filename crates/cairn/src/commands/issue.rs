//! `cairn ca issue`.

use std::path::Path;

use cairn_acme::base64url;
use cairn_ca::operator::{IssueQuery, Query};
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};

use super::{directory, query};
use crate::{args::Issue, failure::Failure, ui::Ui};

/// Has the running CA sign a CSR's names and key, and prints the chain.
pub(crate) fn run(args: &Issue, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let what = format!("no certificate was issued for {}", args.csr.display());
    let wanted = IssueQuery {
        csr: base64url::encode(&read(&args.csr, &what)?),
        profile: args.profile.clone(),
    };
    let answer = query::ask(&dir, Query::Issue(wanted), &what)?;
    let member = |name: &str| query::member(&answer, name);
    ui.result(&answer, || {
        answer["chain"].as_str().unwrap_or_default().to_owned()
    });
    ui.say(&format!(
        "\nCertificate {} for {}, until {}",
        member("serial"),
        member("names"),
        member("not_after")
    ));
    Ok(())
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(what).because(&e))?;
    if bytes.first() == Some(&0x30) {
        return Ok(bytes);
    }
    CertificateSigningRequestDer::from_pem_slice(&bytes)
        .map(|csr| csr.to_vec())
        .map_err(|_| {
            Failure::usage(format!(
                "{what}: it holds no certificate request (PEM, CERTIFICATE REQUEST; or DER)"
            ))
        })
}
