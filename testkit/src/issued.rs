//! The audit folder: every certificate and CRL that the tests see issued is written there once,
//! and judged by foreign programs after all tests (`tests/judges.rs`).
//!
//! `chain-` (leaf and issuers), `issuing-` and `crl-` files are named by a hash of their content, so
//! the same thing seen twice is one file. `root-` files are the trust anchors.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::places;

/// The CRLs that this process's certificates name.
static CRL_URLS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The first certificate of a chain, DER.
///
/// # Panics
/// If there is none.
pub fn leaf(chain: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(chain.as_bytes())
        .expect("a certificate")
        .to_vec()
}

/// Keeps a chain as the CA sent it: PEM, leaf first.
pub fn keep_chain(pem: &str) {
    keep("chain", "pem", pem.as_bytes());
    let mut urls = CRL_URLS.lock().unwrap_or_else(PoisonError::into_inner);
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).flatten() {
        urls.extend(crl_url(&certificate));
    }
}

/// Keeps the chains of a peer's folder: every `fullchain.pem` and `*.chain.pem` below it.
///
/// # Panics
/// If there is none.
pub fn keep_folder(folder: &std::path::Path) {
    let mut folders = vec![folder.to_owned()];
    let mut kept = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if name == "fullchain.pem" || name.ends_with(".chain.pem") {
                keep_chain(&std::fs::read_to_string(path).expect("a chain"));
                kept += 1;
            }
        }
    }
    assert!(kept > 0, "no chain below {}", folder.display());
}

/// The CRLs that the kept certificates of this process name.
pub fn crl_urls() -> Vec<String> {
    CRL_URLS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .cloned()
        .collect()
}

/// The URL of the distribution point, found by its look: an IA5 URI that ends in `.crl`.
fn crl_url(der: &[u8]) -> Option<String> {
    let start = |at: &usize| {
        der.get(*at..)
            .is_some_and(|rest| rest.starts_with(b"http://"))
    };
    let urls = (0..der.len()).filter(start).filter_map(|at| {
        // A GeneralName's URI: its length stands before it.
        let length = usize::from(*der.get(at.checked_sub(1)?)?);
        String::from_utf8(der.get(at..at + length)?.to_vec()).ok()
    });
    urls.into_iter().find(|url| url.ends_with(".crl"))
}

/// The serial of a chain's first certificate, in hexadecimal.
pub fn serial(pem: &str) -> Option<String> {
    let leaf = CertificateDer::pem_slice_iter(pem.as_bytes())
        .next()?
        .ok()?;
    let (_, certificate) = value(&leaf)?;
    let (_, tbs) = value(certificate)?;
    // The version stands before it.
    let (version, rest) = (value(tbs)?.1, tbs);
    let after = rest.get(2 + version.len()..)?;
    let (0x02, serial) = value(after)? else {
        return None;
    };
    Some(data_encoding::HEXLOWER.encode(serial))
}

/// The tag and the content of the first DER value.
fn value(der: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, first) = (*der.first()?, usize::from(*der.get(1)?));
    if first < 0x80 {
        return Some((tag, der.get(2..2 + first)?));
    }
    let octets = first & 0x7f;
    let length = der.get(2..2 + octets)?;
    let length = length.iter().fold(0, |sum, o| sum << 8 | usize::from(*o));
    Some((tag, der.get(2 + octets..2 + octets + length)?))
}

/// Keeps a trust anchor in PEM.
pub fn keep_root(pem: &str) {
    keep("root", "pem", pem.as_bytes());
}

/// Keeps an issuing certificate in PEM: a CA that issued nothing yet still signs lists.
pub fn keep_issuing(pem: &str) {
    keep("issuing", "pem", pem.as_bytes());
}

/// Keeps a CRL in DER.
pub fn keep_crl(der: &[u8]) {
    keep("crl", "der", der);
}

/// All kept files of one kind: `chain`, `root` or `crl`.
pub fn all(kind: &str) -> Vec<PathBuf> {
    let Ok(folder) = std::fs::read_dir(places::issued()) else {
        return Vec::new();
    };
    let mut files: Vec<_> = folder
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{kind}-")))
        })
        .collect();
    files.sort();
    files
}

fn keep(kind: &str, extension: &str, bytes: &[u8]) {
    let folder = places::issued();
    let hash = data_encoding::HEXLOWER.encode(digest(&SHA256, bytes).as_ref());
    let name = format!("{kind}-{}.{extension}", hash.get(..24).unwrap_or(&hash));
    if folder.join(&name).exists() {
        return;
    }
    std::fs::create_dir_all(&folder).expect("the audit folder");
    // Written aside and renamed: tests run side by side.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let aside = folder.join(format!("{name}.{}-{number}", std::process::id()));
    std::fs::write(&aside, bytes).expect("a file in the audit folder");
    std::fs::rename(&aside, folder.join(name)).expect("a file in the audit folder");
}
