//! The keys of a test CA: made at its start, never loaded, gone with it. Names say TEST.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::rand;
use cairn_acme::time::Timestamp;
use cairn_x509::{
    certificate::{
        Certificate, IssuingTemplate, LeafTemplate, Name, RootTemplate, Serial, assemble, pem,
    },
    key::{KeyKind, PrivateKey, PublicKey},
    lint::{lint_issuing, lint_root},
};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::{
    config::DEFAULT_ISSUER,
    issuance::{Chain, IssuerParts, signer::SoftwareSigner},
};

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

/// Which keys and certificates a test CA makes.
#[derive(Debug, Clone)]
pub struct KeyPlan {
    /// What they are called after.
    pub naming: Naming,
    /// Of roots and issuers.
    pub kind: KeyKind,
    /// Roots beside the first, each with a certificate of its own for the one issuing key.
    pub alternates: u8,
    /// Issuing certificates between a root and a leaf, at least one.
    pub length: u8,
}

/// What roots and issuers are called. Each name says TEST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Cairn's way.
    Cairn,
    /// Pebble's way: a few random digits set the keys of one start apart from those of another.
    Pebble,
}

impl Default for KeyPlan {
    fn default() -> Self {
        Self {
            naming: Naming::Cairn,
            kind: KeyKind::P256,
            alternates: 0,
            length: 1,
        }
    }
}

/// A certificate of a test CA's own making, with its key.
pub struct Made {
    /// The subject's common name.
    pub name: String,
    /// PEM.
    pub certificate_pem: String,
    /// PEM, in the form of the key's kind. A key that was loaded never comes here.
    pub key_pem: Zeroizing<String>,
    der: Vec<u8>,
    certificate: Certificate,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Made").field(&self.name).finish()
    }
}

impl Made {
    fn of(der: Vec<u8>, key: &PrivateKey) -> Result<Self, KeysFault> {
        let certificate = Certificate::parse(&der).map_err(KeysFault::of)?;
        Ok(Self {
            name: certificate.common_name().unwrap_or_default(),
            certificate_pem: pem("CERTIFICATE", &der),
            key_pem: key.to_traditional_pem().map_err(KeysFault::of)?,
            der,
            certificate,
        })
    }

    /// DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Parsed.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// A root and what leads from it to the leaves.
#[derive(Debug)]
pub struct Lineage {
    /// Signs itself.
    pub root: Made,
    /// From below the root downwards; the last one's key signs leaves, and is the same in each lineage.
    pub issuing: Vec<Made>,
}

impl Lineage {
    /// What clients are given behind a leaf.
    fn chain(&self) -> Chain {
        let upwards = self.issuing.iter().rev();
        let parts: Vec<_> = upwards
            .map(|made| (made.der.clone(), made.certificate.clone()))
            .collect();
        Chain::of(&parts)
    }
}

/// All that a test CA starts with.
pub(super) struct Keys {
    /// The usual one first.
    pub(super) lineages: Vec<Lineage>,
    pub(super) issuer: MadeIssuer,
    pub(super) other: OtherIssuer,
    /// Of the subscribers' listener, if one was asked for.
    pub(super) listener: Option<ListenerKey>,
}

/// What a test CA signs by: this module alone makes one, so that no key that was loaded is ever in its place.
pub(crate) struct MadeIssuer {
    key: PrivateKey,
    certificate: Vec<u8>,
    root: Vec<u8>,
    chains: Vec<Chain>,
}

impl MadeIssuer {
    fn of(key: PrivateKey, lineages: &[Lineage]) -> Result<Self, KeysFault> {
        let usual = lineages.first();
        let issuing = usual.and_then(|usual| usual.issuing.last());
        let (Some(usual), Some(issuing)) = (usual, issuing) else {
            return Err(KeysFault("the plan has no issuer".to_owned()));
        };
        Ok(Self {
            key,
            certificate: issuing.der.clone(),
            root: usual.root.der.clone(),
            chains: lineages.iter().map(Lineage::chain).collect(),
        })
    }

    /// The usual root's certificate.
    pub(crate) fn root_der(&self) -> &[u8] {
        &self.root
    }

    /// With its signer started.
    pub(crate) fn into_parts(self) -> std::io::Result<IssuerParts> {
        Ok(IssuerParts {
            name: DEFAULT_ISSUER.to_owned(),
            signer: Arc::new(SoftwareSigner::start(Arc::new(self.key))?),
            certificate: self.certificate,
            chains: self.chains,
            leaf_keys: Vec::new(),
        })
    }
}

/// By the machine's clock: clients do not follow the one that tests move.
pub(super) struct ListenerKey {
    pub(super) certificate_pem: String,
    pub(super) key_pem: Zeroizing<String>,
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

/// Makes all. `hosts`, `localhost` and the loopback addresses are the names of the listener's certificate; none: it has one
/// already.
pub(super) fn make(
    plan: &KeyPlan,
    hosts: Option<&[String]>,
    now: Timestamp,
) -> Result<Keys, KeysFault> {
    let maker = Maker { plan, now };
    let first = maker.root(0)?;
    let issuing_key = maker.generate()?;
    let issuing_name = plan.naming.issuing()?;
    let other_key = PrivateKey::generate(KeyKind::P256).map_err(KeysFault::of)?;
    let other_name = plan.naming.name("TEST Issuing of faults".to_owned());
    let other = maker.issuing(first.signs(), &other_key, &other_name, 0)?;
    let listener = hosts.map(|hosts| maker.listener(hosts, first.signs()));
    let listener = listener.transpose()?;
    let mut lineages = vec![maker.descend(first, &issuing_key, &issuing_name)?];
    for place in 1..=plan.alternates {
        let root = maker.root(place)?;
        lineages.push(maker.descend(root, &issuing_key, &issuing_name)?);
    }
    Ok(Keys {
        issuer: MadeIssuer::of(issuing_key, &lineages)?,
        lineages,
        other: OtherIssuer {
            certificate: other.certificate,
            pem: other.certificate_pem,
            key: other_key,
        },
        listener,
    })
}

impl Naming {
    fn name(self, common_name: String) -> Name {
        let organization = match self {
            Self::Cairn => Some("Cairn TEST".to_owned()),
            Self::Pebble => None,
        };
        Name {
            organization,
            common_name: match self {
                Self::Cairn => format!("Cairn {common_name}"),
                // Behind: tests look at how Pebble's names begin.
                Self::Pebble => format!("Pebble {common_name} TEST"),
            },
        }
    }

    fn root(self, place: u8) -> Result<Name, KeysFault> {
        Ok(self.name(match (self, place) {
            (Self::Cairn, 0) => "TEST Root".to_owned(),
            (Self::Cairn, place) => format!("TEST Root {}", u16::from(place) + 1),
            (Self::Pebble, _) => format!("Root CA {}", digits()?),
        }))
    }

    fn issuing(self) -> Result<Name, KeysFault> {
        Ok(self.name(match self {
            Self::Cairn => "TEST Issuing".to_owned(),
            Self::Pebble => format!("Intermediate CA {}", digits()?),
        }))
    }

    /// Of a certificate in between: Pebble's have the digits of their root.
    fn between(self, root: &Made, number: u8) -> Name {
        let digits = root.name.trim_end_matches(" TEST");
        let called = digits.rsplit(' ').next().unwrap_or_default();
        self.name(match self {
            Self::Cairn => format!("TEST Issuing {called} {number}"),
            Self::Pebble => format!("Intermediate CA {called} #{number}"),
        })
    }
}

/// A root, as long as others are signed with it.
struct Root {
    made: Made,
    key: PrivateKey,
}

impl Root {
    fn signs(&self) -> (&Certificate, &PrivateKey) {
        (&self.made.certificate, &self.key)
    }
}

struct Maker<'a> {
    plan: &'a KeyPlan,
    now: Timestamp,
}

impl Maker<'_> {
    fn generate(&self) -> Result<PrivateKey, KeysFault> {
        PrivateKey::generate(self.plan.kind).map_err(KeysFault::of)
    }

    fn not_before(&self) -> i64 {
        self.now.minus(BACKDATE).as_seconds()
    }

    fn root(&self, place: u8) -> Result<Root, KeysFault> {
        let key = self.generate()?;
        let root = RootTemplate {
            serial: serial(self.now.as_seconds())?,
            subject: &self.plan.naming.root(place)?,
            not_before: self.not_before(),
            not_after: self.now.plus(LIFE).as_seconds(),
            spki_der: key.spki_der(),
            signature_algorithm: key.signature_algorithm(),
        };
        let tbs = root.build().map_err(KeysFault::of)?;
        lint_root(&tbs, &root).map_err(|found| unfit(&found))?;
        Ok(Root {
            made: Made::of(signed(&tbs, &key)?, &key)?,
            key,
        })
    }

    fn issuing(
        &self,
        (issuer, issuer_key): (&Certificate, &PrivateKey),
        key: &PrivateKey,
        subject: &Name,
        path_length: u8,
    ) -> Result<Made, KeysFault> {
        let template = IssuingTemplate {
            serial: serial(self.now.as_seconds())?,
            issuer_subject_der: issuer.subject_der(),
            issuer_key_id: issuer.key_id(),
            subject,
            not_before: self.not_before(),
            not_after: self.now.plus(LIFE - DAY).as_seconds(),
            spki_der: key.spki_der(),
            permit_dns: &[],
            permit_ip: &[],
            path_length,
            signature_algorithm: issuer_key.signature_algorithm(),
        };
        let tbs = template.build().map_err(KeysFault::of)?;
        lint_issuing(&tbs, &template, issuer).map_err(|found| unfit(&found))?;
        Made::of(signed(&tbs, issuer_key)?, key)
    }

    /// All below that root, the last for the key that signs leaves.
    fn descend(&self, root: Root, key: &PrivateKey, subject: &Name) -> Result<Lineage, KeysFault> {
        let mut issuing: Vec<Made> = Vec::new();
        let mut above = root.key;
        for number in (0..self.plan.length.max(1)).rev() {
            let issuer = issuing.last().unwrap_or(&root.made);
            if number == 0 {
                let last = self.issuing((&issuer.certificate, &above), key, subject, 0)?;
                issuing.push(last);
                break;
            }
            let between = self.generate()?;
            let name = self.plan.naming.between(&root.made, number);
            let signer = (&issuer.certificate, &above);
            let made = self.issuing(signer, &between, &name, number)?;
            issuing.push(made);
            above = between;
        }
        Ok(Lineage {
            root: root.made,
            issuing,
        })
    }

    fn listener(
        &self,
        hosts: &[String],
        (root, root_key): (&Certificate, &PrivateKey),
    ) -> Result<ListenerKey, KeysFault> {
        let (dns_names, ip_addresses) = names(hosts);
        let key = PrivateKey::generate(KeyKind::P256).map_err(KeysFault::of)?;
        let leaf = Leaf {
            spki_der: key.spki_der(),
            dns_names: &dns_names,
            ip_addresses: &ip_addresses,
            not_before: self.not_before(),
            not_after: self.now.plus(LISTENER_LIFE).as_seconds() - 1,
        };
        let key_der = key.to_pkcs8_der().map_err(KeysFault::of)?;
        Ok(ListenerKey {
            certificate_pem: leaf.sign(root, root_key)?,
            key_pem: Zeroizing::new(pem("PRIVATE KEY", &key_der)),
        })
    }
}

/// The listener's names and addresses, each once.
fn names(hosts: &[String]) -> (Vec<String>, Vec<IpAddr>) {
    let mut names = vec!["localhost".to_owned()];
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for host in hosts {
        match host.trim_matches(['[', ']']).parse() {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) => addresses.push(address),
            Err(_) if names.contains(host) => {}
            Err(_) => names.push(host.clone()),
        }
    }
    (names, addresses)
}

/// Six random hexadecimal digits.
fn digits() -> Result<String, KeysFault> {
    let mut random = [0; 3];
    rand::fill(&mut random).map_err(|_| KeysFault("no random bytes".to_owned()))?;
    Ok(HEXLOWER.encode(&random))
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
