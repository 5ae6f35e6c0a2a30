//! Wrong chains, made from the right one (T-CL-06). What is signed here is signed by the faults' own issuer, under the test
//! CA's root: one thing is wrong with each, and the rest checks.

use cairn_x509::{
    certificate::{Certificate, pem},
    key::{KeyKind, PrivateKey},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{
    WrongChain,
    keys::{KeysFault, Leaf, OtherIssuer},
};

const DAY: i64 = 86_400;

/// Makes the wrong chain of that kind from the PEM that the certificate resource would give.
///
/// # Errors
/// When there is no chain to begin with.
pub(super) fn wrong(
    kind: WrongChain,
    right: &[u8],
    issuer: &OtherIssuer,
) -> Result<String, KeysFault> {
    let ders: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(right)
        .collect::<Result<_, _>>()
        .map_err(|_| KeysFault("the answer is no chain".to_owned()))?;
    let blocks: Vec<String> = ders.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let leaf_der = ders
        .first()
        .ok_or_else(|| KeysFault("the answer is no chain".to_owned()))?;
    let leaf = Certificate::parse(leaf_der).map_err(KeysFault::of)?;
    let leaf_pem = pem("CERTIFICATE", leaf_der);
    let same = Leaf::like(&leaf);
    let another = |leaf: &Leaf<'_>| issuer.issue(leaf).map(|made| made + issuer.pem());
    let key = || PrivateKey::generate(KeyKind::P256).map_err(KeysFault::of);
    Ok(match kind {
        WrongChain::NoIntermediate => leaf_pem,
        WrongChain::OtherIssuer => leaf_pem + issuer.pem(),
        WrongChain::Reversed => blocks.iter().rev().map(String::as_str).collect(),
        WrongChain::Empty => String::new(),
        WrongChain::OtherKey => another(&Leaf {
            spki_der: key()?.spki_der(),
            ..same
        })?,
        WrongChain::OtherName => another(&Leaf {
            dns_names: &["other.invalid".to_owned()],
            ip_addresses: &[],
            ..same
        })?,
        WrongChain::Expired => another(&Leaf {
            not_before: leaf.not_before() - 3 * DAY,
            not_after: leaf.not_before() - DAY,
            ..same
        })?,
        WrongChain::WithKey => {
            let der = key()?.to_pkcs8_der().map_err(KeysFault::of)?;
            blocks.concat() + &pem("PRIVATE KEY", &der)
        }
        WrongChain::LeafTwice => leaf_pem + &blocks.concat(),
    })
}
