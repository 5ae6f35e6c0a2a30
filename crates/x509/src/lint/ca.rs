//! Rules for the CA's own certificates: the root and what issues below it.

use std::net::IpAddr;

use super::{LintFinding, LintReport, Run};
use crate::{
    certificate::{Body, Certificate, IssuingTemplate, Name, RootTemplate, Serial, usage},
    key::{PublicKeyKind, SignatureAlgorithm, key_id},
    oid,
    writer::{Writer, tag},
};

/// Extensions that Cairn writes into certificates of a CA, and the one that has a rule of its own in roots.
const KNOWN: [&[u8]; 5] = [
    oid::BASIC_CONSTRAINTS,
    oid::KEY_USAGE,
    oid::SUBJECT_KEY_ID,
    oid::AUTHORITY_KEY_ID,
    oid::NAME_CONSTRAINTS,
];

/// ub-common-name and ub-organization-name (RFC 5280 appendix A.1).
const NAME_MAX: usize = 64;

/// Judges the bytes of a root's signed part.
///
/// # Errors
/// All broken rules.
pub fn lint_root(tbs: &[u8], template: &RootTemplate<'_>) -> Result<LintReport, Vec<LintFinding>> {
    let subject = template.subject.to_der();
    let expected = Expected {
        serial: template.serial,
        algorithm: template.signature_algorithm,
        issuer: &subject,
        validity: (template.not_before, template.not_after),
        subject: template.subject,
        spki: template.spki_der,
        path_length: None,
        authority_key_id: None,
        constraints: None,
    };
    let (mut run, body) = match common(tbs, &expected) {
        Ok(read) => read,
        Err(run) => return run.end(),
    };
    let fits = signs_with(body.key.kind()) == Some(template.signature_algorithm);
    run.rule("key-signs", "5280-4.1-1", fits, || {
        format!(
            "the key does not sign with {:?}",
            template.signature_algorithm
        )
    });
    run.end()
}

/// Judges the bytes of an issuing certificate's signed part.
///
/// # Errors
/// All broken rules.
pub fn lint_issuing(
    tbs: &[u8],
    template: &IssuingTemplate<'_>,
    issuer: &Certificate,
) -> Result<LintReport, Vec<LintFinding>> {
    let expected = Expected {
        serial: template.serial,
        algorithm: issuer.issues_with(),
        issuer: issuer.subject_der(),
        validity: (template.not_before, template.not_after),
        subject: template.subject,
        spki: template.spki_der,
        path_length: Some(template.path_length),
        authority_key_id: Some(issuer.key_id()),
        constraints: constraints(template),
    };
    let (mut run, body) = match common(tbs, &expected) {
        Ok(read) => read,
        Err(run) => return run.end(),
    };
    let fits = signs_with(body.key.kind()).is_some();
    run.rule("key-signs", "5280-4.1-1", fits, || {
        "the key is of no kind that this CA signs with".to_owned()
    });
    let may = issuer.is_ca()
        && issuer
            .path_length()
            .is_none_or(|below| below > u64::from(template.path_length));
    run.rule("issuer-may-sign", "5280-4.2.1.9-1", may, || {
        "the issuer may not have a CA below it".to_owned()
    });
    let (from, to) = (body.not_before, body.not_after);
    let within = from >= issuer.not_before() && to <= issuer.not_after();
    run.rule("validity-issuer", "5280-4.1.2.5-1", within, || {
        "outside the issuer's validity".to_owned()
    });
    let other = body.subject != issuer.subject_der();
    run.rule("not-self-issued", "5280-4.1-1", other, || {
        "the issuer's own name".to_owned()
    });
    run.end()
}

/// What both kinds must say.
struct Expected<'a> {
    serial: Serial,
    algorithm: SignatureAlgorithm,
    issuer: &'a [u8],
    validity: (i64, i64),
    subject: &'a Name,
    spki: &'a [u8],
    path_length: Option<u8>,
    authority_key_id: Option<&'a [u8]>,
    constraints: Option<Vec<u8>>,
}

fn common(tbs: &[u8], expected: &Expected<'_>) -> Result<(Run, Body), Run> {
    let mut run = Run::default();
    let body = match Body::parse(tbs, None) {
        Ok(body) => body,
        Err(fault) => {
            run.rule("der", "5280-4.1-1", false, || fault.to_string());
            return Err(run);
        }
    };
    run.rule("der", "5280-4.1-1", true, String::new);
    head(&mut run, &body, expected);
    extensions(&mut run, &body, expected);
    Ok((run, body))
}

fn head(run: &mut Run, body: &Body, expected: &Expected<'_>) {
    run.rule("version", "5280-4.1-1", body.version == 2, || {
        format!("version field {}", body.version)
    });
    let serial = &body.serial;
    let well_formed = serial.len() <= 20
        && serial.first().is_some_and(|b| b & 0x80 == 0)
        && serial.iter().any(|b| *b != 0);
    run.rule("serial-form", "5280-4.1-1", well_formed, || {
        "the serial is not positive or longer than 20 octets".to_owned()
    });
    let long = serial.len() >= 9;
    run.rule("serial-entropy", "BR 7.1", long, || {
        format!("{} octets cannot hold 64 random bits", serial.len())
    });
    let as_drawn = serial == expected.serial.as_bytes();
    run.rule(
        "serial-stored",
        "T-CA-94",
        !well_formed || !long || as_drawn,
        || "another serial than the one drawn".to_owned(),
    );
    run.rule(
        "signature-algorithm",
        "5280-4.1-1",
        body.algorithm == expected.algorithm,
        || format!("{:?}", body.algorithm),
    );
    run.rule(
        "issuer-name",
        "5280-4.1-1",
        body.issuer == expected.issuer,
        || "the issuer is not its subject, octet for octet".to_owned(),
    );
    let subject = expected.subject;
    run.rule(
        "subject",
        "5280-4.1-1",
        body.subject == subject.to_der(),
        || "another subject".to_owned(),
    );
    let bounded = |text: &String| (1..=NAME_MAX).contains(&text.chars().count());
    let fits = bounded(&subject.common_name) && subject.organization.as_ref().is_none_or(bounded);
    run.rule("subject-bounds", "5280-4.1-1", fits, || {
        format!("a part of the name is empty or longer than {NAME_MAX} characters")
    });
    run.rule("unique-ids", "5280-4.1-1", !body.unique_ids, || {
        "unique identifiers".to_owned()
    });
    run.rule(
        "key",
        "T-CA-100",
        body.key.spki_der() == expected.spki,
        || "another key".to_owned(),
    );
    let (from, to) = (body.not_before, body.not_after);
    run.rule("validity-order", "5280-4.1.2.5-1", from < to, || {
        format!("{from} to {to}")
    });
    run.rule(
        "validity-stored",
        "T-CA-98",
        from >= to || (from, to) == expected.validity,
        || "another validity than the template's".to_owned(),
    );
}

fn extensions(run: &mut Run, body: &Body, expected: &Expected<'_>) {
    let stranger = body
        .extensions
        .iter()
        .find(|e| !KNOWN.contains(&e.id.as_slice()));
    run.rule("extensions-known", "5280-4.2-1", stranger.is_none(), || {
        "an extension that no certificate of this CA has".to_owned()
    });
    let mut exact = |rule: (&'static str, &'static str), id, wanted: Option<(bool, &[u8])>| {
        let found = body.extension(id).map(|e| (e.critical, e.value.as_slice()));
        run.rule(rule.0, rule.1, found == wanted, || {
            "absent, there against the template, of wrong criticality or other contents".to_owned()
        });
    };
    let basic = der(tag::SEQUENCE, |w| {
        w.yes();
        if let Some(length) = expected.path_length {
            w.unsigned(&[length]);
        }
    });
    exact(
        ("basic-constraints", "5280-4.2.1.9-1"),
        oid::BASIC_CONSTRAINTS,
        Some((true, &basic)),
    );
    let mut w = Writer::default();
    w.named_bits(usage::KEY_CERT_SIGN | usage::CRL_SIGN);
    exact(
        ("key-usage", "5280-4.2.1.3-1"),
        oid::KEY_USAGE,
        Some((true, &w.finish())),
    );
    let mut w = Writer::default();
    w.value(tag::OCTET_STRING, &key_id(body.key.key_bits()));
    exact(
        ("subject-key-id", "5280-4.2.1.1-1"),
        oid::SUBJECT_KEY_ID,
        Some((false, &w.finish())),
    );
    let authority = expected
        .authority_key_id
        .map(|id| der(tag::SEQUENCE, |w| w.value(tag::context(0), id)));
    exact(
        ("authority-key-id", "5280-4.2.1.1-1"),
        oid::AUTHORITY_KEY_ID,
        authority.as_deref().map(|value| (false, value)),
    );
    exact(
        ("name-constraints", "5280-4.2.1.10-1"),
        oid::NAME_CONSTRAINTS,
        expected.constraints.as_deref().map(|value| (true, value)),
    );
}

/// What the template's permissions come to: an address family that has none is excluded as a whole, for a permitted
/// subtree binds names of its own type only.
fn constraints(template: &IssuingTemplate<'_>) -> Option<Vec<u8>> {
    if template.permit_dns.is_empty() && template.permit_ip.is_empty() {
        return None;
    }
    let subtree = |w: &mut Writer, kind: u8, base: &[u8]| {
        w.nest(tag::SEQUENCE, |w| w.value(kind, base));
    };
    let no_v4 = template.permit_ip.iter().all(|(a, _)| a.is_ipv6());
    let no_v6 = template.permit_ip.iter().all(|(a, _)| a.is_ipv4());
    Some(der(tag::SEQUENCE, |w| {
        w.nest(tag::constructed(0), |w| {
            for name in template.permit_dns {
                subtree(w, 0x82, name.as_bytes());
            }
            for (address, length) in template.permit_ip {
                let range = match address {
                    IpAddr::V4(v4) => {
                        let mask = u32::MAX
                            .checked_shl(32_u32.saturating_sub((*length).into()))
                            .unwrap_or(0);
                        [(v4.to_bits() & mask).to_be_bytes(), mask.to_be_bytes()].concat()
                    }
                    IpAddr::V6(v6) => {
                        let mask = u128::MAX
                            .checked_shl(128_u32.saturating_sub((*length).into()))
                            .unwrap_or(0);
                        [(v6.to_bits() & mask).to_be_bytes(), mask.to_be_bytes()].concat()
                    }
                };
                subtree(w, 0x87, &range);
            }
        });
        if no_v4 || no_v6 {
            w.nest(tag::constructed(1), |w| {
                if no_v4 {
                    subtree(w, 0x87, &[0; 8]);
                }
                if no_v6 {
                    subtree(w, 0x87, &[0; 32]);
                }
            });
        }
    }))
}

/// How a key of this kind signs certificates.
fn signs_with(key: &PublicKeyKind) -> Option<SignatureAlgorithm> {
    match key {
        PublicKeyKind::Ec { bits: 256 } => Some(SignatureAlgorithm::EcdsaSha256),
        PublicKeyKind::Ec { bits: 384 } => Some(SignatureAlgorithm::EcdsaSha384),
        PublicKeyKind::Rsa { .. } => Some(SignatureAlgorithm::RsaSha256),
        PublicKeyKind::Ec { .. } | PublicKeyKind::Ed25519 => None,
    }
}

fn der(outer: u8, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    w.nest(outer, body);
    w.finish()
}

#[cfg(test)]
mod tests;
