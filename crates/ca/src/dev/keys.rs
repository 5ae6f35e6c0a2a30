//! The keys of a test CA: made at its start, never loaded, gone with it. Names say TEST.

use std::{net::IpAddr, time::Duration};

use aws_lc_rs::rand;
use cairn_acme::time::Timestamp;
use cairn_x509::{
    certificate::{
        Certificate, IssuingTemplate, LeafTemplate, Name, RootTemplate, Serial, assemble, pem,
    },
    key::{KeyKind, PrivateKey, PublicKey},
    lint::{lint_issuing, lint_root},
};
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_secs(86_400);

/// Clocks of clients are behind.
const BACKDATE: Duration = Duration::from_secs(3600);

/// Root and issuers outlive every leap of a test's clock.
const LIFE: Duration = Duration::from_secs(36_525 * 86_400);

/// Some clients take no server's certificate of more.
const LISTENER_LIFE: Duration = Duration::from_secs(397 * 86_400);

/// The keys could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the test CA's keys and certificates could not be made: {0}")]
pub struct KeysFault(pub(super) String);

impl KeysFault {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// All that a test CA starts with.
pub(super) struct Keys {
    pub(super) root_der: Vec<u8>,
    pub(super) issuing_key: PrivateKey,
    pub(super) issuing_der: Vec<u8>,
    pub(super) other: OtherIssuer,
    /// Of the subscribers' listener, by the machine's clock: clients do not follow the one that tests move.
    pub(super) listener_pem: String,
    pub(super) listener_key_pem: Zeroizing<String>,
}

/// The issuer of wrong chains, under the same root. It signs no certificate that the store would know.
pub(super) struct OtherIssuer {
    key: PrivateKey,
    certificate: Certificate,
    pem: String,
}

/// What is written into a leaf of the faults.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) spki_der: &'a [u8],
    pub(super) dns_names: &'a [String],
    pub(super) ip_addresses: &'a [IpAddr],
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

impl<'a> Leaf<'a> {
    /// The same as that one.
    pub(super) fn like(leaf: &'a Certificate) -> Self {
        Self {
            spki_der: leaf.spki_der(),
            dns_names: leaf.dns_names(),
            ip_addresses: leaf.ip_addresses(),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
        }
    }

    fn sign(&self, issuer: &Certificate, key: &PrivateKey) -> Result<String, KeysFault> {
        let public = PublicKey::from_spki_der(self.spki_der).map_err(KeysFault::of)?;
        let tbs = LeafTemplate {
            serial: serial(self.not_before)?,
            issuer_subject_der: issuer.subject_der(),
            issuer_key_id: issuer.key_id(),
            not_before: self.not_before,
            not_after: self.not_after,
            key: &public,
            dns_names: self.dns_names,
            ip_addresses: self.ip_addresses,
            common_name: None,
            key_encipherment: false,
            server_auth: true,
            client_auth: false,
            // Nothing is there: no list is made of what only a test meets.
            crl_url: "http://test.invalid/none.crl",
            ca_issuers_url: "http://test.invalid/none.crt",
            ocsp_url: None,
            policies: &[],
            must_staple: false,
            signature_algorithm: key.signature_algorithm(),
        };
        let tbs = tbs.build().map_err(KeysFault::of)?;
        Ok(pem("CERTIFICATE", &signed(&tbs, key)?))
    }
}

impl OtherIssuer {
    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// A leaf, PEM.
    pub(super) fn issue(&self, leaf: &Leaf<'_>) -> Result<String, KeysFault> {
        leaf.sign(&self.certificate, &self.key)
    }
}

/// Makes all. `host` and the loopback addresses are the listener's names.
pub(super) fn make(host: &str, now: Timestamp) -> Result<Keys, KeysFault> {
    let generate = || PrivateKey::generate(KeyKind::P256).map_err(KeysFault::of);
    let not_before = now.minus(BACKDATE).as_seconds();
    let root_key = generate()?;
    let root = RootTemplate {
        serial: serial(now.as_seconds())?,
        subject: &name("TEST Root"),
        not_before,
        not_after: now.plus(LIFE).as_seconds(),
        spki_der: root_key.spki_der(),
        signature_algorithm: root_key.signature_algorithm(),
    };
    let tbs = root.build().map_err(KeysFault::of)?;
    lint_root(&tbs, &root).map_err(|found| unfit(&found))?;
    let root_der = signed(&tbs, &root_key)?;
    let root = Certificate::parse(&root_der).map_err(KeysFault::of)?;
    let issuing = |key: &PrivateKey, role: &str| {
        let template = IssuingTemplate {
            serial: serial(now.as_seconds())?,
            issuer_subject_der: root.subject_der(),
            issuer_key_id: root.key_id(),
            subject: &name(role),
            not_before,
            not_after: now.plus(LIFE - DAY).as_seconds(),
            spki_der: key.spki_der(),
            permit_dns: &[],
            permit_ip: &[],
            path_length: 0,
            signature_algorithm: root_key.signature_algorithm(),
        };
        let tbs = template.build().map_err(KeysFault::of)?;
        lint_issuing(&tbs, &template, &root).map_err(|found| unfit(&found))?;
        signed(&tbs, &root_key)
    };
    let (issuing_key, other_key, listener_key) = (generate()?, generate()?, generate()?);
    let other_der = issuing(&other_key, "TEST Issuing of faults")?;
    let mut dns_names = vec!["localhost".to_owned()];
    if host != "localhost" && host.parse::<IpAddr>().is_err() && !host.starts_with('[') {
        dns_names.push(host.to_owned());
    }
    let listener = Leaf {
        spki_der: listener_key.spki_der(),
        dns_names: &dns_names,
        ip_addresses: &[[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
        not_before,
        not_after: now.plus(LISTENER_LIFE).as_seconds() - 1,
    };
    let listener_key_der = listener_key.to_pkcs8_der().map_err(KeysFault::of)?;
    Ok(Keys {
        issuing_der: issuing(&issuing_key, "TEST Issuing")?,
        issuing_key,
        other: OtherIssuer {
            certificate: Certificate::parse(&other_der).map_err(KeysFault::of)?,
            pem: pem("CERTIFICATE", &other_der),
            key: other_key,
        },
        listener_pem: listener.sign(&root, &root_key)?,
        listener_key_pem: Zeroizing::new(pem("PRIVATE KEY", &listener_key_der)),
        root_der,
    })
}

fn name(role: &str) -> Name {
    Name {
        organization: Some("Cairn TEST".to_owned()),
        common_name: format!("Cairn {role}"),
    }
}

fn signed(tbs: &[u8], key: &PrivateKey) -> Result<Vec<u8>, KeysFault> {
    let signature = key.sign(tbs).map_err(KeysFault::of)?;
    Ok(assemble(tbs, key.signature_algorithm(), &signature))
}

fn serial(now: i64) -> Result<Serial, KeysFault> {
    let mut random = [0; 16];
    rand::fill(&mut random).map_err(|_| KeysFault("no random bytes".to_owned()))?;
    let day = u16::try_from(now / 86_400).unwrap_or_default();
    Ok(Serial::new(1, day, random))
}

fn unfit(found: &[impl std::fmt::Display]) -> KeysFault {
    let rules: Vec<String> = found.iter().map(ToString::to_string).collect();
    KeysFault(rules.join("; "))
}
