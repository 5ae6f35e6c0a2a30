//! `cairn ca key`: another issuer beside the first, and another root's certificate for an issuer that is there. Both need
//! a root's key at hand, which serving never does.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use cairn_acme::time::Timestamp;
use cairn_x509::{
    certificate::{Certificate, IssuingTemplate, Name, pem},
    key::{KeyKind, PrivateKey},
    lint::lint_issuing,
};
use serde::Serialize;

use super::{
    Ask, CertificateReport, Passphrase, ROOT_KEY, SetupFault,
    chain::{self, Made},
    files::{create_public, create_secret, read_secret, sync_dir},
    init::ISSUING_LIFE,
    issuers, load, passphrase,
};
use crate::config::{Config, DEFAULT_ISSUER, is_table_name};

/// What `cairn ca key add` was asked for.
#[derive(Debug)]
pub struct IssuerRequest {
    /// The CA's directory.
    pub dir: PathBuf,
    /// The issuer's name.
    pub name: String,
    /// Kind of its key.
    pub key_kind: KeyKind,
    /// The root's key; none: where `ca init` put it.
    pub root_key: Option<PathBuf>,
    /// Now.
    pub now: Timestamp,
}

/// The issuer that was made. It signs nothing before `cairn.toml` names it.
#[derive(Debug, Serialize)]
pub struct IssuerReport {
    /// Its certificate.
    pub issuing: CertificateReport,
    /// Its key, sealed.
    pub key: PathBuf,
    /// What to put into `cairn.toml`.
    pub table: String,
    /// Whether anything on disk changed; always.
    pub changed: bool,
}

/// What `cairn ca key cross-sign` was asked for.
#[derive(Debug)]
pub struct CrossRequest {
    /// The CA's directory.
    pub dir: PathBuf,
    /// Which issuer; none: that of `[keys]`.
    pub issuer: Option<String>,
    /// The other root's certificate.
    pub root: PathBuf,
    /// Its key.
    pub root_key: PathBuf,
    /// Where the chain goes.
    pub file: PathBuf,
    /// Now.
    pub now: Timestamp,
}

/// The chain that was made. It is offered once `cairn.toml` names it.
#[derive(Debug, Serialize)]
pub struct CrossReport {
    /// The certificate of the issuer's key under the other root.
    pub certificate: CertificateReport,
    /// The other root's name.
    pub root: Option<String>,
    /// The setting that names it.
    pub setting: String,
    /// Whether anything on disk changed; always.
    pub changed: bool,
}

/// Makes an issuer under the CA's own root, with the name constraints of the first.
///
/// # Errors
/// What stood against it; nothing is overwritten.
pub fn add_issuer(request: &IssuerRequest, ask: Ask<'_>) -> Result<IssuerReport, SetupFault> {
    let (dir, name) = (&request.dir, &request.name);
    let config = load::parse_config(dir)?;
    if !is_table_name(name) || name == DEFAULT_ISSUER || config.issuer.contains_key(name) {
        return Err(SetupFault::Request(format!(
            "\"{name}\" cannot be a new issuer's name: one has 1 to 32 lower-case letters, digits, hyphens and underscores, and is not there yet"
        )));
    }
    let key_name = PathBuf::from(format!("keys/{name}.key.pem"));
    let certificate_name = PathBuf::from(format!("{name}.pem"));
    let (key_path, path) = (dir.join(&key_name), dir.join(&certificate_name));
    for path in [&key_path, &path] {
        if path.symlink_metadata().is_ok() {
            return Err(super::FileFault::Exists { path: path.clone() }.into());
        }
    }
    let (_, root) = load::certificate(&dir.join(&config.keys.root_certificate))?;
    let first = issuers::issuing_certificate(&dir.join(&config.keys.issuing_certificate))?;
    let passphrase = passphrase::of_operator(dir, &config, ask)?;
    // A server opens all keys with one passphrase: this is the first's.
    let first_key = dir.join(&config.keys.issuing_key);
    chain::unlock(&first_key, &read_secret(&first_key)?, passphrase.as_bytes())?;
    let root_key_path = match &request.root_key {
        Some(path) => path.clone(),
        None => dir.join(ROOT_KEY),
    };
    let root_key = open(&root_key_path, Some(&passphrase), ask)?;
    belongs(
        &root_key,
        &root_key_path,
        &root,
        &dir.join(&config.keys.root_certificate),
    )?;

    let key = PrivateKey::generate(request.key_kind).map_err(|e| chain::crypto(&e))?;
    let organization = root.subject().and_then(|root| root.organization);
    let organization = organization.unwrap_or_else(|| config.name.clone());
    let subject = Name {
        common_name: format!("{organization} Issuing {name}"),
        organization: Some(organization),
    };
    let end = request.now.plus(ISSUING_LIFE).as_seconds() - 1;
    let certified = Certified {
        subject: &subject,
        spki_der: key.spki_der(),
        constraints: &first,
        not_after: end.min(root.not_after()),
        now: request.now,
    };
    let made = certify(&certified, &root, &root_key)?;
    let sealed = key
        .to_encrypted_pem(passphrase.as_bytes())
        .map_err(|e| chain::crypto(&e))?;
    create_secret(&key_path, sealed.as_bytes())?;
    if let Err(fault) = create_public(&path, made.pem.as_bytes()) {
        let _ = std::fs::remove_file(&key_path);
        return Err(fault.into());
    }
    sync_dir(&dir.join("keys"))?;
    sync_dir(dir)?;
    let kinds = match key.kind() {
        KeyKind::P256 | KeyKind::P384 => "ecdsa",
        KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => "rsa",
    };
    Ok(IssuerReport {
        issuing: report(&made, request.key_kind, path),
        key: key_path,
        table: format!(
            "[issuer.{name}]\nkey = \"{}\"\ncertificate = \"{}\"\nfor = [\"{kinds}\"]",
            key_name.display(),
            certificate_name.display()
        ),
        changed: true,
    })
}

/// Has another root certify an issuer's key under the same name, so that its certificates have a second way up.
///
/// # Errors
/// What stood against it; nothing is overwritten.
pub fn cross_sign(request: &CrossRequest, ask: Ask<'_>) -> Result<CrossReport, SetupFault> {
    let dir = &request.dir;
    let config = load::parse_config(dir)?;
    let wanted = request.issuer.as_deref().unwrap_or(DEFAULT_ISSUER);
    let path = dir.join(certificate_of(&config, wanted)?);
    let issuing = issuers::issuing_certificate(&path)?;
    let content = |reason: &str| SetupFault::Content {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    let subject = issuing
        .subject()
        .ok_or_else(|| content("has a subject that Cairn does not write"))?;
    let (root_der, root) = load::certificate(&request.root)?;
    if !root.is_ca() || root.verify_issued_by(&root).is_err() {
        return Err(SetupFault::Content {
            path: request.root.clone(),
            reason: "is no root: a CA's certificate, signed by its own key".to_owned(),
        });
    }
    let known = match passphrase::stored(dir, &config) {
        Some(stored) => Some(stored?),
        None => None,
    };
    let root_key = open(&request.root_key, known.as_ref(), ask)?;
    belongs(&root_key, &request.root_key, &root, &request.root)?;
    let certified = Certified {
        subject: &subject,
        spki_der: issuing.spki_der(),
        constraints: &issuing,
        not_after: issuing.not_after().min(root.not_after()),
        now: request.now,
    };
    let made = certify(&certified, &root, &root_key)?;
    // Leaves name their issuer by this identifier.
    let parsed = Certificate::parse(&made.der).map_err(|e| chain::crypto(&e))?;
    if parsed.key_id() != issuing.key_id() {
        return Err(content(
            "has a subject key identifier that Cairn does not write",
        ));
    }
    let text = format!("{}\n{}", made.pem, pem("CERTIFICATE", &root_der));
    create_public(&request.file, text.as_bytes())?;
    let file = std::path::absolute(&request.file).unwrap_or_else(|_| request.file.clone());
    let within = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
    let named = file.strip_prefix(&within).unwrap_or(&file);
    let table = match wanted {
        DEFAULT_ISSUER => "keys".to_owned(),
        name => format!("issuer.{name}"),
    };
    Ok(CrossReport {
        certificate: CertificateReport {
            key: chain::key_name(&parsed),
            ..report(&made, root_key.kind(), file.clone())
        },
        root: root.common_name(),
        setting: format!(
            "[{table}]\nalternates = [{}]",
            toml::Value::from(named.display().to_string())
        ),
        changed: true,
    })
}

fn certificate_of<'a>(config: &'a Config, issuer: &str) -> Result<&'a Path, SetupFault> {
    if issuer == DEFAULT_ISSUER {
        return Ok(&config.keys.issuing_certificate);
    }
    let found = config.issuer.get(issuer).map(|i| i.certificate.as_path());
    found.ok_or_else(|| {
        let names: Vec<&str> = std::iter::once(DEFAULT_ISSUER)
            .chain(config.issuer.keys().map(String::as_str))
            .collect();
        let names = names.join(", ");
        SetupFault::Request(format!(
            "there is no issuer \"{issuer}\"; there are {names}"
        ))
    })
}

/// A sealed key, by the passphrase that is known or one that is asked for.
fn open(path: &Path, known: Option<&Passphrase>, ask: Ask<'_>) -> Result<PrivateKey, SetupFault> {
    let sealed = read_secret(path)?;
    if let Some(known) = known {
        match chain::unlock(path, &sealed, known.as_bytes()) {
            Err(SetupFault::WrongPassphrase(_)) => {}
            opened => return opened,
        }
    }
    let given = ask(&format!("Passphrase of {}: ", path.display())).map_err(SetupFault::Prompt)?;
    chain::unlock(path, &sealed, given.as_bytes())
}

fn belongs(
    key: &PrivateKey,
    key_path: &Path,
    certificate: &Certificate,
    path: &Path,
) -> Result<(), SetupFault> {
    match key.spki_der() == certificate.spki_der() {
        true => Ok(()),
        false => Err(SetupFault::Mismatch {
            key: key_path.to_owned(),
            certificate: path.to_owned(),
        }),
    }
}

/// What a root shall certify.
struct Certified<'a> {
    subject: &'a Name,
    spki_der: &'a [u8],
    /// Whose name constraints it gets.
    constraints: &'a Certificate,
    not_after: i64,
    now: Timestamp,
}

fn certify(
    wanted: &Certified<'_>,
    root: &Certificate,
    root_key: &PrivateKey,
) -> Result<Made, SetupFault> {
    let constraints = wanted.constraints.constraints();
    let permit_ip: Vec<(IpAddr, u8)> = constraints.permitted_ip().collect();
    let template = IssuingTemplate {
        serial: chain::serial(wanted.now)?,
        issuer_subject_der: root.subject_der(),
        issuer_key_id: root.key_id(),
        subject: wanted.subject,
        not_before: wanted
            .now
            .minus(chain::BACKDATE)
            .as_seconds()
            .max(root.not_before()),
        not_after: wanted.not_after,
        spki_der: wanted.spki_der,
        permit_dns: constraints.permitted_dns(),
        permit_ip: &permit_ip,
        path_length: 0,
        signature_algorithm: root_key.signature_algorithm(),
    };
    let tbs = template.build().map_err(|e| chain::crypto(&e))?;
    lint_issuing(&tbs, &template, root).map_err(|found| chain::unfit(&found))?;
    let made = chain::signed(&tbs, root_key, wanted.subject)?;
    let parsed = Certificate::parse(&made.der).map_err(|e| chain::crypto(&e))?;
    parsed
        .verify_issued_by(root)
        .map_err(|e| chain::crypto(&e))?;
    if parsed.constraints() != constraints {
        let reason =
            "the name constraints of the issuer that is there are not of a form that Cairn writes";
        return Err(SetupFault::Crypto(reason.to_owned()));
    }
    Ok(made)
}

fn report(made: &Made, kind: KeyKind, path: PathBuf) -> CertificateReport {
    CertificateReport {
        name: made.name.clone(),
        key: chain::kind_name(kind).to_owned(),
        not_after: made.not_after,
        path,
        sha256: made.sha256.clone(),
    }
}
