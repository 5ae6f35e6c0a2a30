//! What is signed for an order: the certificate's bytes, linted, with the evidence that is kept beside them.

use std::{net::IpAddr, sync::Arc};

use aws_lc_rs::rand;
use cairn_acme::{identifier::Identifier, time::Timestamp};
use cairn_x509::{
    certificate::{LeafTemplate, Serial},
    csr::Csr,
    lint::{LeafExpectation, lint_leaf},
};
use serde_json::json;

use super::{
    issuers::Signing,
    profile::{Profile, Validity},
};
use crate::{
    model::{
        Account, Authorization, CaaCheck, Certificate, CertificateKey, CertificateState, Evidence,
        Order,
    },
    node::Ca,
    operator::OperatorGrant,
};

/// A CSR with what was asked for around it.
pub(super) struct Request<'a> {
    pub(super) account: &'a Account,
    pub(super) order: &'a Order,
    pub(super) authorizations: &'a [Arc<Authorization>],
    pub(super) csr: &'a Csr,
    /// The signed finalize request, kept beside the certificate.
    pub(super) bytes: &'a [u8],
    /// An operator's, where the order rests on one.
    pub(super) grant: Option<&'a OperatorGrant>,
}

/// The bytes that this issuer shall sign, linted, with all that is kept beside them.
pub(super) fn build(
    ca: &Ca,
    signing: &Signing,
    request: &Request<'_>,
    profile: &Profile,
    caa: &[Option<CaaCheck>],
    now: Timestamp,
) -> Result<Certificate, String> {
    let issuer = &signing.issuer;
    let order = request.order;
    let mut random = [0; 16];
    rand::fill(&mut random).map_err(|_| "the random source failed".to_owned())?;
    let day =
        u16::try_from(now.as_seconds().div_euclid(86_400).rem_euclid(65_536)).unwrap_or_default();
    let serial = Serial::new(issuer.epoch, day, random);
    let crl_shard = shard(random, issuer.crl_shards);
    let Validity {
        not_before,
        not_after,
    } = profile
        .validity(
            now,
            (order.not_before, order.not_after),
            (
                issuer.certificate.not_before(),
                issuer.certificate.not_after(),
            ),
        )
        .ok_or("no validity fits the order, the profile and the issuer")?;
    let snapshot = ca.snapshot.load();
    let (dns_names, ip_addresses) = names_of(&order.identifiers);
    let crl_url = snapshot.urls.crl(&issuer.id, crl_shard);
    let common_name = if profile.settings.common_name {
        dns_names.iter().find(|n| n.len() <= 64).cloned()
    } else {
        None
    };
    let spki = request.csr.public_key();
    let template = LeafTemplate {
        serial,
        issuer_subject_der: issuer.certificate.subject_der(),
        issuer_key_id: issuer.certificate.key_id(),
        not_before,
        not_after,
        key: spki,
        dns_names: &dns_names,
        ip_addresses: &ip_addresses,
        common_name: common_name.as_deref(),
        key_encipherment: profile.settings.key_encipherment,
        server_auth: profile.settings.server_auth,
        client_auth: profile.settings.client_auth,
        crl_url: &crl_url,
        ca_issuers_url: &issuer.url,
        ocsp_url: ocsp_url(ca),
        policies: &profile.settings.policies,
        must_staple: false,
        signature_algorithm: issuer.certificate.issues_with(),
    };
    let tbs = template.build().map_err(|e| e.to_string())?;
    let expected = LeafExpectation::of(
        &template,
        &issuer.certificate,
        i64::try_from(profile.life().as_secs()).unwrap_or(i64::MAX),
        now.as_seconds(),
    );
    let lint = lint_leaf(&tbs, &expected).map_err(|findings| {
        findings
            .iter()
            .map(|f| format!("{} ({}): {}", f.id, f.clause, f.text))
            .collect::<Vec<_>>()
            .join("; ")
    })?;
    Ok(Certificate {
        key: CertificateKey {
            issuer: issuer.id,
            serial,
        },
        account: order.account,
        order: order.id,
        directory: order.directory,
        state: CertificateState::Permitted,
        names: order.identifiers.clone(),
        not_before: Timestamp::from_seconds(not_before),
        not_after: Timestamp::from_seconds(not_after),
        tbs,
        signature: None,
        spki_sha256: spki.spki_sha256(),
        profile_hash: profile.hash,
        crl_shard,
        lint: lint.to_string(),
        evidence: evidence(request.account, request.authorizations, caa),
        request: request.bytes.to_vec(),
        created_at: now,
        issued_at: None,
        revocation: None,
    })
}

/// Only a test CA names an OCSP responder, and only one that others run.
#[cfg_attr(
    not(feature = "dev"),
    expect(unused_variables, reason = "it has no doors")
)]
fn ocsp_url(ca: &Ca) -> Option<&str> {
    #[cfg(feature = "dev")]
    if let Some(doors) = &ca.doors {
        return doors.ocsp_url();
    }
    None
}

/// The subject alternative names: addresses are no DNS names (8738-3-2).
fn names_of(identifiers: &[Identifier]) -> (Vec<String>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for identifier in identifiers {
        match identifier {
            Identifier::Ip(address) => addresses.push(*address),
            name => names.push(name.to_string()),
        }
    }
    (names, addresses)
}

/// Two octets choose: one would never reach a shard above the 256th.
fn shard(random: [u8; 16], shards: u32) -> u32 {
    let [.., a, b] = random;
    u32::from(u16::from_be_bytes([a, b])) % shards.max(1)
}

/// Who asked, by which key, what was shown for each name and what CAA said last: outlives account and authorizations.
fn evidence(
    account: &Account,
    authorizations: &[Arc<Authorization>],
    caa: &[Option<CaaCheck>],
) -> String {
    let shown = |a: &Authorization, fresh: &Option<CaaCheck>| {
        let evidence = a.evidence.clone()?;
        let caa = fresh.clone().or(evidence.caa.clone());
        Some(Evidence { caa, ..evidence })
    };
    let names: Vec<_> = authorizations
        .iter()
        .zip(caa)
        .map(|(a, fresh)| json!({ "name": a.ordered().to_string(), "authorization": a.id.to_string(), "shown": shown(a, fresh) }))
        .collect();
    json!({
        "account": account.url,
        "key_thumbprint": account.thumbprint.to_string(),
        "names": names,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_reached() {
        let reached: std::collections::BTreeSet<u32> = (0..=u16::MAX)
            .map(|n| {
                let mut random = [0; 16];
                random[14..].copy_from_slice(&n.to_be_bytes());
                shard(random, 1000)
            })
            .collect();
        assert_eq!(reached.len(), 1000);
    }
}
