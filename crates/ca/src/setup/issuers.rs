//! The issuers of a CA's directory: key, certificate, chain and further chains of each, all fitting together before any
//! key is unlocked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_acme::time::Timestamp;
use cairn_x509::{certificate::Certificate, key::PrivateKey};
use zeroize::Zeroizing;

use super::{Passphrase, SetupFault, chain, files, load};
use crate::{
    config::{Config, DEFAULT_ISSUER, LeafKey},
    issuance::{Chain, IssuerParts, signer::SoftwareSigner},
};

/// An issuer, unlocked.
pub struct LoadedIssuer {
    /// Its name in the configuration.
    pub name: String,
    /// Its key.
    pub key: PrivateKey,
    /// The issuing certificate, DER.
    pub certificate: Vec<u8>,
    /// Its chains without their roots, the usual first.
    pub chains: Vec<Chain>,
    /// Kinds of keys whose certificates it signs.
    pub leaf_keys: Vec<LeafKey>,
}

impl LoadedIssuer {
    /// With a signer on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<IssuerParts> {
        Ok(IssuerParts {
            name: self.name,
            signer: Arc::new(SoftwareSigner::start(Arc::new(self.key))?),
            certificate: self.certificate,
            chains: self.chains,
            leaf_keys: self.leaf_keys,
        })
    }

    /// The further chains, by their place, that have ended by now and are offered to nobody.
    pub fn ended_chains(&self, now: Timestamp) -> impl Iterator<Item = usize> {
        let further = self.chains.iter().enumerate().skip(1);
        further
            .filter(move |(_, chain)| chain.not_after < now)
            .map(|(place, _)| place)
    }
}

/// Where an issuer's files lie.
pub(super) struct IssuerFiles<'a> {
    name: &'a str,
    pub(super) key: &'a Path,
    pub(super) certificate: &'a Path,
    pub(super) root: &'a Path,
    pub(super) alternates: &'a [PathBuf],
    leaf_keys: &'a [LeafKey],
}

/// Those of all issuers, that of `[keys]` first.
pub(super) fn files(config: &Config) -> impl Iterator<Item = IssuerFiles<'_>> {
    std::iter::once(first_files(config)).chain(further_files(config))
}

fn first_files(config: &Config) -> IssuerFiles<'_> {
    let keys = &config.keys;
    IssuerFiles {
        name: DEFAULT_ISSUER,
        key: &keys.issuing_key,
        certificate: &keys.issuing_certificate,
        root: &keys.root_certificate,
        alternates: &keys.alternates,
        leaf_keys: &[],
    }
}

fn further_files(config: &Config) -> impl Iterator<Item = IssuerFiles<'_>> {
    config.issuer.iter().map(|(name, issuer)| IssuerFiles {
        name,
        key: &issuer.key,
        certificate: &issuer.certificate,
        root: issuer
            .root
            .as_ref()
            .unwrap_or(&config.keys.root_certificate),
        alternates: &issuer.alternates,
        leaf_keys: &issuer.leaf_keys,
    })
}

/// An issuer whose key is still sealed.
pub(super) struct SealedIssuer {
    name: String,
    key: (PathBuf, Zeroizing<Vec<u8>>),
    certificate: (PathBuf, Vec<u8>, Certificate),
    chains: Vec<Chain>,
    leaf_keys: Vec<LeafKey>,
}

/// Reads that of `[keys]` and those beside it.
pub(super) fn read(
    dir: &Path,
    config: &Config,
) -> Result<(SealedIssuer, Vec<SealedIssuer>), SetupFault> {
    let first = read_one(dir, &first_files(config))?;
    let mut others: Vec<SealedIssuer> = Vec::new();
    for files in further_files(config) {
        let sealed = read_one(dir, &files)?;
        let (path, _, certificate) = &sealed.certificate;
        let same = |other: &&SealedIssuer| {
            let other = &other.certificate.2;
            // Renewal information finds the issuer by its key's identifier.
            other.spki_der() == certificate.spki_der() || other.key_id() == certificate.key_id()
        };
        if let Some(other) = std::iter::once(&first).chain(&others).find(same) {
            return Err(SetupFault::Content {
                path: path.clone(),
                reason: format!(
                    "has the key of issuer \"{}\"; further certificates of one key are its alternates",
                    other.name
                ),
            });
        }
        others.push(sealed);
    }
    Ok((first, others))
}

fn read_one(dir: &Path, from: &IssuerFiles<'_>) -> Result<SealedIssuer, SetupFault> {
    let at = |path: &Path| dir.join(path);
    let (path, root_path) = (at(from.certificate), at(from.root));
    let certificates = chain::certificates(&path)?;
    let (_, root) = load::certificate(&root_path)?;
    chain::leads_to(&certificates, &path, &root, &root_path)?;
    let mut chains = vec![Chain::of(&certificates)];
    let (der, certificate) = first(certificates, &path)?;
    for alternate in from.alternates {
        chains.push(read_alternate(&at(alternate), &certificate)?);
    }
    let key_path = at(from.key);
    Ok(SealedIssuer {
        name: from.name.to_owned(),
        key: (key_path.clone(), files::read_secret(&key_path)?),
        certificate: (path, der, certificate),
        chains,
        leaf_keys: from.leaf_keys.to_vec(),
    })
}

/// Another chain of the issuing key: it ends with its root, which is checked and not kept.
fn read_alternate(path: &Path, issuing: &Certificate) -> Result<Chain, SetupFault> {
    let content = |reason: &str| SetupFault::Content {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let mut certificates = chain::certificates(path)?;
    let root = match certificates.pop() {
        Some((_, root)) if !certificates.is_empty() => root,
        _ => {
            return Err(content(
                "is no chain: it ends with its root, and has at least one certificate before it",
            ));
        }
    };
    if root.verify_issued_by(&root).is_err() {
        return Err(content(
            "does not end with a root: its last certificate is not signed by its own key",
        ));
    }
    chain::leads_to(&certificates, path, &root, path)?;
    let same = certificates.first().is_some_and(|(_, other)| {
        other.subject_der() == issuing.subject_der() && other.spki_der() == issuing.spki_der()
    });
    // Else certificates would name an issuer that is not in the chain.
    if !same {
        return Err(content(
            "is no chain of this issuer: its first certificate has another name or key",
        ));
    }
    let fits = certificates
        .first()
        .is_some_and(|(_, other)| other.key_id() == issuing.key_id());
    if !fits {
        return Err(content(
            "is no chain of this issuer: its first certificate has another subject key identifier",
        ));
    }
    Ok(Chain::of(&certificates))
}

/// The issuing certificate of a file that may have a chain.
pub(super) fn issuing_certificate(path: &Path) -> Result<Certificate, SetupFault> {
    Ok(first(chain::certificates(path)?, path)?.1)
}

fn first<T>(certificates: Vec<T>, path: &Path) -> Result<T, SetupFault> {
    let none = || SetupFault::Content {
        path: path.to_owned(),
        reason: "holds no certificate (PEM, CERTIFICATE)".to_owned(),
    };
    certificates.into_iter().next().ok_or_else(none)
}

impl SealedIssuer {
    /// Opens its key, which must be that of the certificate.
    pub(super) fn unlock(self, passphrase: &Passphrase) -> Result<LoadedIssuer, SetupFault> {
        let (key_path, sealed) = &self.key;
        let key = chain::unlock(key_path, sealed, passphrase.as_bytes())?;
        let (path, der, certificate) = self.certificate;
        // T-CA-100: a swapped file must not sign in another's name.
        if key.spki_der() != certificate.spki_der() {
            return Err(SetupFault::Mismatch {
                key: key_path.clone(),
                certificate: path,
            });
        }
        Ok(LoadedIssuer {
            name: self.name,
            key,
            certificate: der,
            chains: self.chains,
            leaf_keys: self.leaf_keys,
        })
    }
}
