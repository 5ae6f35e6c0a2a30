//! `cairn ca root`: what other machines are to trust.

use cairn_ca::setup;
use serde::Serialize;

use super::{directory, setup_failure};
use crate::{args::Place, failure::Failure, ui::Ui};

/// The root certificate.
#[derive(Serialize)]
struct Root {
    /// PEM.
    pem: String,
    /// SHA-256 of the DER, in hex.
    sha256: String,
    /// Its file.
    path: std::path::PathBuf,
}

/// Prints the PEM; the fingerprint is talk.
pub(crate) fn run(place: &Place, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(place)?;
    let what = format!("cannot show the root of {}", dir.display());
    let (path, pem, sha256) = setup::root(&dir).map_err(|fault| setup_failure(&what, &fault))?;
    let colons: Vec<&str> = (0..sha256.len())
        .step_by(2)
        .filter_map(|at| sha256.get(at..at + 2))
        .collect();
    ui.say(&format!("SHA-256 {}", colons.join(":").to_uppercase()));
    let root = Root { pem, sha256, path };
    ui.result(&root, || root.pem.clone());
    Ok(())
}
