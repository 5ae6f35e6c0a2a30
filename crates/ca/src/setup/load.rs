//! What a server needs of a CA's directory: configuration, issuing key unlocked, certificates, all fitting together.

use std::path::{Path, PathBuf};

use cairn_x509::{certificate::Certificate, key::PrivateKey, weak::BlockedKeys};

use super::{Ask, ROOT_KEY, SetupFault, chain, files, passphrase, ring};
use crate::{
    config::{Config, FILE_NAME, Unlock},
    issuance::Issuer,
    ring::KeyRing,
    store,
};

/// A CA that is ready to serve.
pub struct Loaded {
    /// Its directory.
    pub dir: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The issuing key, unlocked.
    pub issuing_key: PrivateKey,
    /// The key ring, opened.
    pub ring: KeyRing,
    /// The issuing certificate, DER.
    pub issuing_certificate: Vec<u8>,
    /// The root certificate, DER.
    pub root_certificate: Vec<u8>,
    /// Keys that are never certified.
    pub blocked: BlockedKeys,
    /// Where the root's key still lies, if it does: it belongs offline.
    pub root_key: Option<PathBuf>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Reads and checks `cairn.toml`, for a server.
///
/// # Errors
/// Its first fault, or all that preset `public` lacks.
pub fn read_config(dir: &Path) -> Result<Config, SetupFault> {
    let config = parse_config(dir)?;
    match config.missing_for_preset() {
        missing if missing.is_empty() => Ok(config),
        missing => Err(SetupFault::Preset(missing)),
    }
}

/// Reads `cairn.toml`, whether a server could start with it or not.
///
/// # Errors
/// Its first fault.
pub fn parse_config(dir: &Path) -> Result<Config, SetupFault> {
    let path = dir.join(FILE_NAME);
    let content = |reason: &str| SetupFault::Content {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    let text = String::from_utf8(files::read_public(&path)?).map_err(|_| content("not UTF-8"))?;
    Ok(Config::parse(&text, &path)?)
}

/// What a restored CA needs beside its backup to serve: `cairn.toml`, certificates, the issuing key, and what opens it
/// if that lies in a file.
///
/// # Errors
/// What is wrong with `cairn.toml`.
pub fn needed_files(dir: &Path) -> Result<Vec<PathBuf>, SetupFault> {
    let keys = parse_config(dir)?.keys;
    let mut needed = vec![
        dir.join(FILE_NAME),
        dir.join(&keys.root_certificate),
        dir.join(&keys.issuing_certificate),
        dir.join(&keys.issuing_key),
    ];
    if keys.unlock == Unlock::File {
        needed.push(dir.join(&keys.passphrase_file));
    }
    Ok(needed)
}

/// Whether that backup may be restored into that directory: all that a server needs beside it is there, and it is this
/// CA's.
///
/// # Errors
/// What is missing or does not fit.
pub fn check_restore(backup: &Path, dir: &Path) -> Result<(), SetupFault> {
    let mut missing = needed_files(dir)?;
    missing.retain(|path| matches!(path.try_exists(), Ok(false)));
    if !missing.is_empty() {
        return Err(SetupFault::Missing(missing));
    }
    let path = dir.join(parse_config(dir)?.keys.issuing_certificate);
    let (_, issuing) = certificate(&path)?;
    let id = Issuer::id_of(&issuing);
    let known = store::issuers_of(backup).map_err(|source| SetupFault::Backup {
        path: backup.to_owned(),
        source,
    })?;
    match known.iter().any(|issuer| issuer.id == id) {
        true => Ok(()),
        false => Err(SetupFault::OtherCa {
            backup: backup.to_owned(),
            certificate: path,
        }),
    }
}

/// Reads the keys that are never certified.
///
/// # Errors
/// The file's first wrong line.
pub fn read_blocked(dir: &Path, config: &Config) -> Result<BlockedKeys, SetupFault> {
    let Some(path) = config.keys.blocked_keys.as_ref().map(|p| dir.join(p)) else {
        return Ok(BlockedKeys::default());
    };
    chain::blocked(&path, &files::read_public(&path)?)
}

/// Loads a CA, asking for the passphrase only once everything else is right.
///
/// # Errors
/// What is wrong, with the file's path.
pub fn load(dir: &Path, ask: Ask<'_>) -> Result<Loaded, SetupFault> {
    let config = read_config(dir)?;
    let at = |path: &Path| dir.join(path);
    let blocked = read_blocked(dir, &config)?;
    let (issuing_path, root_path) = (
        at(&config.keys.issuing_certificate),
        at(&config.keys.root_certificate),
    );
    let (issuing_certificate, issuing) = certificate(&issuing_path)?;
    let (root_certificate, root) = certificate(&root_path)?;
    chain::fits((&issuing, &issuing_path), (&root, &root_path))?;
    let key_path = at(&config.keys.issuing_key);
    let sealed = files::read_secret(&key_path)?;
    let passphrase = passphrase::obtain(dir, &config, ask)?;
    let issuing_key = chain::unlock(&key_path, &sealed, passphrase.as_bytes())?;
    // T-CA-100: a swapped file must not sign in another's name.
    if issuing_key.spki_der() != issuing.spki_der() {
        return Err(SetupFault::Mismatch {
            key: key_path,
            certificate: issuing_path,
        });
    }
    let ring = ring::obtain(&at(&config.keys.ring_key), &passphrase)?;
    let root_key = Some(at(Path::new(ROOT_KEY))).filter(|path| path.exists());
    Ok(Loaded {
        dir: dir.to_owned(),
        config,
        issuing_key,
        ring,
        issuing_certificate,
        root_certificate,
        blocked,
        root_key,
    })
}

/// A PEM file's one certificate: DER and parsed.
fn certificate(path: &Path) -> Result<(Vec<u8>, Certificate), SetupFault> {
    let der = chain::from_pem(path, &files::read_public(path)?)?;
    let parsed = Certificate::parse(&der).map_err(|e| SetupFault::Content {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    Ok((der, parsed))
}

/// The issuing certificate of a CA's directory.
pub(super) fn issuing(dir: &Path) -> Result<Certificate, SetupFault> {
    let path = dir.join(read_config(dir)?.keys.issuing_certificate);
    Ok(certificate(&path)?.1)
}

/// The root certificate: its file, its PEM, SHA-256 of its DER in hex.
///
/// # Errors
/// What is wrong with the configuration or the file.
pub fn root(dir: &Path) -> Result<(PathBuf, String, String), SetupFault> {
    let path = dir.join(parse_config(dir)?.keys.root_certificate);
    let (der, _) = certificate(&path)?;
    Ok((
        path,
        cairn_x509::certificate::pem("CERTIFICATE", &der),
        cairn_x509::certificate::fingerprint(&der),
    ))
}
