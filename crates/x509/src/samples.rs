//! Fixed keys, names and times for this crate's tests, and its golden files.

use std::{fs, net::IpAddr, path::PathBuf};

use crate::{
    certificate::{
        Certificate, IssuingTemplate, LeafTemplate, Name, RootTemplate, Serial, assemble,
    },
    crl::CrlTemplate,
    key::{PrivateKey, PublicKey, SignatureAlgorithm},
};

/// 21 September 2026.
pub(crate) const NOW: i64 = 1_790_000_000;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const LIFE: i64 = 90 * DAY;
pub(crate) const CRL_URL: &str = "http://ca1.widgets.internal/crl/i1/3.crl";
pub(crate) const ISSUER_URL: &str = "http://ca1.widgets.internal/issuer/i1.cer";

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

/// `root-p256`, `issuing-p256`, `leaf-p256`, `other-p256` or `leaf-rsa2048`.
pub(crate) fn key(name: &str) -> PrivateKey {
    let der = fs::read(path(&format!("keys/{name}.pkcs8.der"))).unwrap();
    PrivateKey::from_pkcs8_der(&der).unwrap()
}

pub(crate) fn public(name: &str) -> PublicKey {
    PublicKey::from_spki_der(key(name).spki_der()).unwrap()
}

/// Reads a golden file; with `CAIRN_BLESS` it is written first, but never by CI.
pub(crate) fn golden(name: &str, made: &[u8]) -> Vec<u8> {
    let path = path(name);
    if std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI does not bless");
        fs::write(&path, made).unwrap();
    }
    fs::read(&path).unwrap_or_default()
}

pub(crate) fn serial(number: u8) -> Serial {
    Serial::new(1, 20_717, [number; 16])
}

fn name(text: &str) -> Name {
    Name {
        organization: Some("Acme Widgets".to_owned()),
        common_name: text.to_owned(),
    }
}

pub(crate) fn sign(tbs: &[u8], key: &PrivateKey) -> Vec<u8> {
    assemble(tbs, key.signature_algorithm(), &key.sign(tbs).unwrap())
}

/// A root, and an issuing certificate for `widgets.internal` and 10.0.0.0/8.
pub(crate) struct Chain {
    pub(crate) root_tbs: Vec<u8>,
    pub(crate) root: Vec<u8>,
    pub(crate) issuing_tbs: Vec<u8>,
    pub(crate) issuing: Vec<u8>,
    pub(crate) issuer: Certificate,
    pub(crate) issuing_key: PrivateKey,
}

pub(crate) fn chain() -> Chain {
    chain_for(
        &["widgets.internal".to_owned()],
        &[("10.0.0.0".parse().unwrap(), 8)],
    )
}

/// The same with an RSA key as the issuer's.
pub(crate) fn rsa_chain() -> Chain {
    let permit_ip = [("10.0.0.0".parse().unwrap(), 8)];
    chain_under(
        key("leaf-rsa2048"),
        &["widgets.internal".to_owned()],
        &permit_ip,
    )
}

pub(crate) fn chain_for(permit_dns: &[String], permit_ip: &[(IpAddr, u8)]) -> Chain {
    chain_under(key("issuing-p256"), permit_dns, permit_ip)
}

fn chain_under(
    issuing_key: PrivateKey,
    permit_dns: &[String],
    permit_ip: &[(IpAddr, u8)],
) -> Chain {
    let root_key = key("root-p256");
    let root_tbs = RootTemplate {
        serial: serial(1),
        subject: &name("Acme Widgets Root R1"),
        not_before: NOW - DAY,
        not_after: NOW + 7305 * DAY - 1,
        spki_der: root_key.spki_der(),
        signature_algorithm: root_key.signature_algorithm(),
    }
    .build()
    .unwrap();
    let root = sign(&root_tbs, &root_key);
    let parsed = Certificate::parse(&root).unwrap();
    let issuing_tbs = IssuingTemplate {
        serial: serial(2),
        issuer_subject_der: parsed.subject_der(),
        issuer_key_id: parsed.key_id(),
        subject: &name("Acme Widgets Issuing I1"),
        not_before: NOW - DAY,
        not_after: NOW + 1826 * DAY - 1,
        spki_der: issuing_key.spki_der(),
        permit_dns,
        permit_ip,
        path_length: 0,
        signature_algorithm: root_key.signature_algorithm(),
    }
    .build()
    .unwrap();
    let issuing = sign(&issuing_tbs, &root_key);
    let issuer = Certificate::parse(&issuing).unwrap();
    Chain {
        root_tbs,
        root,
        issuing_tbs,
        issuing,
        issuer,
        issuing_key,
    }
}

/// What a leaf template borrows.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) key: PublicKey,
    pub(crate) serial: Serial,
    pub(crate) validity: (i64, i64),
    pub(crate) dns_names: Vec<String>,
    pub(crate) ip_addresses: Vec<IpAddr>,
    pub(crate) common_name: Option<String>,
    pub(crate) key_encipherment: bool,
    pub(crate) server_auth: bool,
    pub(crate) client_auth: bool,
    pub(crate) crl_url: String,
    pub(crate) policies: Vec<String>,
    pub(crate) must_staple: bool,
    pub(crate) algorithm: SignatureAlgorithm,
}

impl Leaf {
    pub(crate) fn new(key: &str) -> Self {
        Self {
            key: public(key),
            serial: serial(7),
            validity: (NOW, NOW + LIFE - 1),
            dns_names: vec![
                "shop.widgets.internal".to_owned(),
                "*.shop.widgets.internal".to_owned(),
            ],
            ip_addresses: vec!["10.1.2.3".parse().unwrap()],
            common_name: None,
            key_encipherment: false,
            server_auth: true,
            client_auth: false,
            crl_url: CRL_URL.to_owned(),
            policies: vec!["2.23.140.1.2.1".to_owned()],
            must_staple: false,
            algorithm: SignatureAlgorithm::EcdsaSha256,
        }
    }

    pub(crate) fn template<'a>(&'a self, issuer: &'a Certificate) -> LeafTemplate<'a> {
        LeafTemplate {
            serial: self.serial,
            issuer_subject_der: issuer.subject_der(),
            issuer_key_id: issuer.key_id(),
            not_before: self.validity.0,
            not_after: self.validity.1,
            key: &self.key,
            dns_names: &self.dns_names,
            ip_addresses: &self.ip_addresses,
            common_name: self.common_name.as_deref(),
            key_encipherment: self.key_encipherment,
            server_auth: self.server_auth,
            client_auth: self.client_auth,
            crl_url: &self.crl_url,
            ca_issuers_url: ISSUER_URL,
            ocsp_url: None,
            policies: &self.policies,
            must_staple: self.must_staple,
            signature_algorithm: self.algorithm,
        }
    }
}

pub(crate) fn crl_template(issuer: &Certificate) -> CrlTemplate<'_> {
    CrlTemplate {
        issuer_subject_der: issuer.subject_der(),
        issuer_key_id: issuer.key_id(),
        number: 0x0123_4567_89ab,
        this_update: NOW,
        next_update: NOW + 9 * DAY,
        idp_url: CRL_URL,
        only_user_certs: true,
        signature_algorithm: SignatureAlgorithm::EcdsaSha256,
    }
}
