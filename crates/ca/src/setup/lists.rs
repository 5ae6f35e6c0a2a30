//! Published CRLs, read back for a restore: the copies in the CA's directory and what the operator brings along. Each must
//! bear an issuer's signature.

use std::path::{Path, PathBuf};

use cairn_acme::time::Timestamp;
use cairn_x509::{
    certificate::{Certificate, Serial},
    crl::Crl,
};

use super::{SetupFault, load};
use crate::{
    issuance::Issuer,
    model::{PublishedList, RevocationReason},
    node::CRL_COPIES,
};

/// What was found.
#[derive(Debug, Default)]
pub struct PublishedLists {
    /// The good ones.
    pub lists: Vec<PublishedList>,
    /// Copies of the directory that are of no use, with the reason.
    pub ignored: Vec<String>,
}

/// Reads the directory's copies, and `brought`, which must all be good.
///
/// # Errors
/// What is wrong with the issuing certificate or with a list that was brought.
pub fn published_lists(dir: &Path, brought: &[PathBuf]) -> Result<PublishedLists, SetupFault> {
    let issuers = load::issuing(dir)?;
    let mut found = PublishedLists::default();
    for path in brought {
        let list = read(path, &issuers).map_err(|reason| SetupFault::Content {
            path: path.clone(),
            reason,
        })?;
        found.lists.push(list);
    }
    let copies = std::fs::read_dir(dir.join(CRL_COPIES));
    for entry in copies.into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "crl") {
            continue;
        }
        match read(&path, &issuers) {
            Ok(list) => found.lists.push(list),
            Err(reason) => found.ignored.push(format!("{}: {reason}", path.display())),
        }
    }
    Ok(found)
}

fn read(path: &Path, issuers: &[Certificate]) -> Result<PublishedList, String> {
    let der = std::fs::read(path).map_err(|e| e.to_string())?;
    parse(&der, issuers)
}

fn parse(der: &[u8], issuers: &[Certificate]) -> Result<PublishedList, String> {
    let crl = Crl::parse(der).map_err(|e| format!("no CRL in DER: {e}"))?;
    let issuing = issuers
        .iter()
        .find(|issuing| crl.verify_issued_by(issuing).is_ok())
        .ok_or("a CRL that no issuing key of this CA signed")?;
    let issuer = Issuer::id_of(issuing);
    let shard = crl
        .url()
        .and_then(|url| {
            let (rest, file) = url.rsplit_once('/')?;
            let shard = file.strip_suffix(".crl")?.parse().ok()?;
            rest.ends_with(&format!("/{issuer}")).then_some(shard)
        })
        .ok_or("a CRL that names no shard of this CA")?;
    let entries = crl
        .entries()
        .iter()
        .map(|entry| {
            let serial = <[u8; 19]>::try_from(entry.serial.as_slice())
                .ok()
                .and_then(Serial::from_bytes)
                .ok_or("a CRL with serials that this CA does not give")?;
            let reason = entry
                .reason
                .and_then(|code| RevocationReason::from_code(code.into()))
                .unwrap_or(RevocationReason::Unspecified);
            Ok((serial, Timestamp::from_seconds(entry.revoked_at), reason))
        })
        .collect::<Result<_, &str>>()?;
    Ok(PublishedList {
        issuer,
        shard,
        number: crl.number().ok_or("a CRL without a number")?,
        until: Timestamp::from_seconds(issuing.not_after()),
        entries,
    })
}
