//! Keys and certificates of a CA: made once, read at each start. The one file here that speaks to `cairn-x509`.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use cairn_acme::time::Timestamp;
use cairn_x509::{
    certificate::{
        Certificate, IssuingTemplate, Name, RootTemplate, Serial, assemble, fingerprint, pem,
    },
    key::{KeyKind, PrivateKey, PrivateKeyFault, PublicKeyKind},
    lint::{LintFinding, lint_issuing, lint_root},
    weak::BlockedKeys,
};
use ipnet::IpNet;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

use super::{InitRequest, SetupFault, files};
use crate::{
    config::PublicationUrl,
    id::BootId,
    issuance::Issuer,
    model::{Account, Authorization, Order},
    node,
    store::{Observer, OpenOptions, RegisterIssuer, Store},
};

/// Clocks of clients are behind; a certificate of tomorrow is no use today.
pub(super) const BACKDATE: Duration = Duration::from_secs(3600);

/// What a new CA shall be.
pub(super) struct Wanted<'a> {
    /// The CA's name.
    pub(super) name: &'a str,
    /// Kind of both keys.
    pub(super) kind: KeyKind,
    /// Name constraints; empty: none.
    pub(super) permitted_dns: &'a [String],
    /// Permitted addresses, where names are constrained.
    pub(super) permitted_ip: &'a [IpNet],
    /// Seals both keys.
    pub(super) passphrase: &'a [u8],
    /// The moment of making.
    pub(super) now: Timestamp,
    /// From now to the root's end.
    pub(super) root_life: Duration,
    /// From now to the issuer's end.
    pub(super) issuing_life: Duration,
}

/// A certificate that was made.
pub(super) struct Made {
    /// Its common name.
    pub(super) name: String,
    /// PEM.
    pub(super) pem: String,
    /// DER.
    pub(super) der: Vec<u8>,
    /// Its end.
    pub(super) not_after: Timestamp,
    /// SHA-256 of its DER, in hex.
    pub(super) sha256: String,
}

/// A root and its issuer, with their sealed keys.
pub(super) struct Chain {
    /// Encrypted PKCS#8.
    pub(super) root_key_pem: Zeroizing<String>,
    /// Encrypted PKCS#8.
    pub(super) issuing_key_pem: Zeroizing<String>,
    /// The root.
    pub(super) root: Made,
    /// The issuer.
    pub(super) issuing: Made,
}

/// A kind of key, as people say it.
pub(super) fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::P256 => "P-256",
        KeyKind::P384 => "P-384",
        KeyKind::Rsa2048 => "RSA-2048",
        KeyKind::Rsa3072 => "RSA-3072",
        KeyKind::Rsa4096 => "RSA-4096",
    }
}

/// A certificate's kind of key, as people say it.
pub(super) fn key_name(certificate: &Certificate) -> String {
    match certificate.public_key().kind() {
        PublicKeyKind::Ec { bits } => format!("P-{bits}"),
        PublicKeyKind::Rsa { modulus, .. } => format!("RSA-{}", modulus.len() * 8),
        PublicKeyKind::Ed25519 => "Ed25519".to_owned(),
    }
}

pub(super) fn crypto(error: &dyn std::fmt::Display) -> SetupFault {
    SetupFault::Crypto(error.to_string())
}

/// Makes both keys and certificates.
pub(super) fn make(wanted: &Wanted<'_>) -> Result<Chain, SetupFault> {
    let generate = || PrivateKey::generate(wanted.kind).map_err(|e| crypto(&e));
    let (root_key, issuing_key) = (generate()?, generate()?);
    let name = |role: &str| Name {
        organization: Some(wanted.name.to_owned()),
        common_name: format!("{} {role}", wanted.name),
    };
    let (root_name, issuing_name) = (name("Root R1"), name("Issuing I1"));
    let not_before = wanted.now.minus(BACKDATE).as_seconds();
    // Both ends of a validity count (RFC 5280 §4.1.2.5).
    let end = |life: Duration| wanted.now.plus(life).as_seconds() - 1;
    let root = RootTemplate {
        serial: serial(wanted.now)?,
        subject: &root_name,
        not_before,
        not_after: end(wanted.root_life),
        spki_der: root_key.spki_der(),
        signature_algorithm: root_key.signature_algorithm(),
    };
    let tbs = root.build().map_err(|e| crypto(&e))?;
    lint_root(&tbs, &root).map_err(|found| unfit(&found))?;
    let root = signed(&tbs, &root_key, &root_name)?;
    let issuer = Certificate::parse(&root.der).map_err(|e| crypto(&e))?;
    let permit_ip: Vec<(IpAddr, u8)> = wanted
        .permitted_ip
        .iter()
        .map(|net| (net.network(), net.prefix_len()))
        .collect();
    let issuing = IssuingTemplate {
        serial: serial(wanted.now)?,
        issuer_subject_der: issuer.subject_der(),
        issuer_key_id: issuer.key_id(),
        subject: &issuing_name,
        not_before,
        not_after: end(wanted.issuing_life),
        spki_der: issuing_key.spki_der(),
        permit_dns: wanted.permitted_dns,
        permit_ip: &permit_ip,
        path_length: 0,
        signature_algorithm: root_key.signature_algorithm(),
    };
    let tbs = issuing.build().map_err(|e| crypto(&e))?;
    lint_issuing(&tbs, &issuing, &issuer).map_err(|found| unfit(&found))?;
    let issuing = signed(&tbs, &root_key, &issuing_name)?;
    // What was signed is what checks: a key that signs wrongly is noticed before anybody trusts it.
    let parsed = Certificate::parse(&issuing.der).map_err(|e| crypto(&e))?;
    parsed.verify_issued_by(&issuer).map_err(|e| crypto(&e))?;
    issuer.verify_issued_by(&issuer).map_err(|e| crypto(&e))?;
    Ok(Chain {
        root_key_pem: root_key
            .to_encrypted_pem(wanted.passphrase)
            .map_err(|e| crypto(&e))?,
        issuing_key_pem: issuing_key
            .to_encrypted_pem(wanted.passphrase)
            .map_err(|e| crypto(&e))?,
        root,
        issuing,
    })
}

/// Bytes that our own lints refuse are not signed (T-CA-98).
pub(super) fn unfit(found: &[LintFinding]) -> SetupFault {
    let rules: Vec<String> = found.iter().map(ToString::to_string).collect();
    SetupFault::Crypto(format!(
        "the certificate would not be fit: {}",
        rules.join("; ")
    ))
}

pub(super) fn serial(now: Timestamp) -> Result<Serial, SetupFault> {
    let mut random = [0; 16];
    rand::fill(&mut random).map_err(|_| SetupFault::Random)?;
    // Unique under the root; leaves are counted under the issuer.
    Ok(Serial::new(
        1,
        u16::try_from(now.as_seconds() / 86_400).unwrap_or(0),
        random,
    ))
}

pub(super) fn signed(tbs: &[u8], key: &PrivateKey, name: &Name) -> Result<Made, SetupFault> {
    let signature = key.sign(tbs).map_err(|e| crypto(&e))?;
    let der = assemble(tbs, key.signature_algorithm(), &signature);
    let parsed = Certificate::parse(&der).map_err(|e| crypto(&e))?;
    Ok(Made {
        name: name.common_name.clone(),
        pem: pem("CERTIFICATE", &der),
        not_after: Timestamp::from_seconds(parsed.not_after()),
        sha256: fingerprint(&der),
        der,
    })
}

/// The one certificate of a PEM file, as DER.
pub(super) fn from_pem(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, SetupFault> {
    let content = |reason: &str| SetupFault::Content {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let mut found = CertificateDer::pem_slice_iter(bytes);
    let first = found
        .next()
        .ok_or_else(|| content("holds no certificate (PEM, CERTIFICATE)"))?;
    let first = first.map_err(|_| content("is no PEM file"))?;
    match found.next() {
        None => Ok(first.to_vec()),
        Some(_) => Err(content("holds more than one certificate")),
    }
}

/// Certificates of one chain: more are a mistake in the path.
const CHAIN_MAX: usize = 8;

/// All certificates of a PEM file, in its order; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<(Vec<u8>, Certificate)>, SetupFault> {
    let content = |reason: String| SetupFault::Content {
        path: path.to_owned(),
        reason,
    };
    let bytes = files::read_public(path)?;
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(&bytes) {
        let der = der.map_err(|_| content("is no PEM file".to_owned()))?;
        let parsed = Certificate::parse(&der).map_err(|e| content(e.to_string()))?;
        found.push((der.to_vec(), parsed));
    }
    match found.len() {
        0 => Err(content(
            "holds no certificate (PEM, CERTIFICATE)".to_owned(),
        )),
        1..=CHAIN_MAX => Ok(found),
        many => Err(content(format!(
            "holds {many} certificates; a chain has at most {CHAIN_MAX}"
        ))),
    }
}

/// Whether each certificate was issued by the next one and the last by the root, and all of them may issue.
pub(super) fn leads_to(
    certificates: &[(Vec<u8>, Certificate)],
    path: &Path,
    root: &Certificate,
    root_path: &Path,
) -> Result<(), SetupFault> {
    let content = |path: &Path, reason: String| SetupFault::Content {
        path: path.to_owned(),
        reason,
    };
    let no_ca = "is no certificate of a CA (basicConstraints, keyUsage)";
    if !root.is_ca() {
        return Err(content(root_path, no_ca.to_owned()));
    }
    let above = certificates
        .iter()
        .skip(1)
        .map(|(_, parsed)| (parsed, path));
    let issuers = above.chain([(root, root_path)]);
    for (below, ((_, parsed), (issuer, issuer_path))) in
        (0_u64..).zip(certificates.iter().zip(issuers))
    {
        if !parsed.is_ca() {
            return Err(content(path, no_ca.to_owned()));
        }
        if parsed.verify_issued_by(issuer).is_err() {
            return Err(content(
                path,
                format!("was not issued by {}", issuer_path.display()),
            ));
        }
        if issuer.path_length().is_some_and(|bound| bound < below + 1) {
            return Err(content(
                issuer_path,
                "allows fewer certificates of CAs below it (pathLenConstraint)".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Opens a sealed key.
pub(super) fn unlock(
    path: &Path,
    sealed: &[u8],
    passphrase: &[u8],
) -> Result<PrivateKey, SetupFault> {
    let content = |reason: String| SetupFault::Content {
        path: path.to_owned(),
        reason,
    };
    let text = std::str::from_utf8(sealed).map_err(|_| content("is no PEM file".to_owned()))?;
    PrivateKey::from_encrypted_pem(text, passphrase).map_err(|fault| match fault {
        PrivateKeyFault::Passphrase => SetupFault::WrongPassphrase(path.to_owned()),
        other => content(other.to_string()),
    })
}

/// A list of keys that are never certified.
pub(super) fn blocked(path: &Path, bytes: &[u8]) -> Result<BlockedKeys, SetupFault> {
    let content = |reason: String| SetupFault::Content {
        path: path.to_owned(),
        reason,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| content("not UTF-8".to_owned()))?;
    BlockedKeys::parse(text).map_err(|fault| content(fault.to_string()))
}

/// Makes the store and tells it its issuer, the number of shards and the URLs: what never changes.
pub(super) fn found_store(
    dir: &Path,
    issuing_der: &[u8],
    request: &InitRequest,
    publication: &PublicationUrl,
) -> Result<(), SetupFault> {
    let store_fault = |e: &dyn std::fmt::Display| SetupFault::Store(e.to_string());
    let certificate = Certificate::parse(issuing_der).map_err(|e| crypto(&e))?;
    let issuer = Issuer::record(&certificate, issuing_der, request.crl_shards, request.now);
    let mut seed = [0; 10];
    rand::fill(&mut seed).map_err(|_| SetupFault::Random)?;
    let options = OpenOptions::new(
        BootId::new(request.now, seed),
        Arc::new(Nobody),
        request.now,
    )
    .create();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| store_fault(&e))?;
    runtime.block_on(async {
        let store = Store::open(&node::location(dir), options).map_err(|e| store_fault(&e))?;
        store
            .transact(RegisterIssuer { issuer, add: true })
            .await
            .map_err(|e| store_fault(&e))?;
        let url = request.url.to_string();
        store
            .set_base_url(&url, request.now)
            .await
            .map_err(|e| store_fault(&e))?;
        store
            .set_publication_url(&publication.to_string(), request.now)
            .await
            .map_err(|e| store_fault(&e))?;
        store.close().await;
        Ok(())
    })
}

/// Nobody waits for anything while a CA is made.
struct Nobody;

impl Observer for Nobody {
    fn account(&self, _: &Arc<Account>) {}
    fn order(&self, _: &Arc<Order>) {}
    fn authorization(&self, _: &Arc<Authorization>) {}
}
