//! Rules for subscribers' certificates.

use std::net::IpAddr;

use super::{LintFinding, LintReport, Run};
use crate::{
    certificate::{Body, Certificate, LeafTemplate, usage},
    key::{PublicKeyKind, SignatureAlgorithm},
    oid,
    reader::{Reader, only},
    writer::{Writer, tag},
};

/// What the bytes must say.
#[derive(Debug, Clone)]
pub struct LeafExpectation<'a> {
    template: &'a LeafTemplate<'a>,
    issuer: &'a Certificate,
    life: i64,
}

impl<'a> LeafExpectation<'a> {
    /// From the template that the bytes were built from, the issuer and the profile's life in seconds.
    #[must_use]
    pub fn of(template: &'a LeafTemplate<'a>, issuer: &'a Certificate, life: i64) -> Self {
        Self {
            template,
            issuer,
            life,
        }
    }
}

/// Extensions that Cairn writes into leaves.
const KNOWN: [&[u8]; 9] = [
    oid::KEY_USAGE,
    oid::EXT_KEY_USAGE,
    oid::BASIC_CONSTRAINTS,
    oid::AUTHORITY_KEY_ID,
    oid::SUBJECT_ALT_NAME,
    oid::CERTIFICATE_POLICIES,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::AUTHORITY_INFO_ACCESS,
    oid::TLS_FEATURE,
];

/// Judges the bytes of a leaf's signed part.
///
/// # Errors
/// All broken rules.
pub fn lint_leaf(
    tbs: &[u8],
    expected: &LeafExpectation<'_>,
) -> Result<LintReport, Vec<LintFinding>> {
    let mut run = Run::default();
    let body = match Body::parse(tbs) {
        Ok(body) => body,
        Err(fault) => {
            run.rule("der", "5280-4.1-1", false, || fault.to_string());
            return run.end();
        }
    };
    head(&mut run, &body, expected);
    validity(&mut run, &body, expected);
    names(&mut run, &body, expected);
    extensions(&mut run, &body, expected);
    run.end()
}

fn head(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let template = expected.template;
    run.rule("version", "5280-4.1-1", body.version == 2, || {
        format!("version field {}", body.version)
    });
    let serial = &body.serial;
    run.rule(
        "serial-form",
        "5280-4.1-1",
        serial.len() <= 20 && serial.first().is_some_and(|b| b & 0x80 == 0),
        || "the serial is negative or longer than 20 octets".to_owned(),
    );
    run.rule("serial-entropy", "BR 7.1", serial.len() >= 9, || {
        format!("{} octets cannot hold 64 random bits", serial.len())
    });
    run.rule(
        "serial-stored",
        "T-CA-94",
        serial == template.serial.as_bytes(),
        || "another serial than the stored one".to_owned(),
    );
    run.rule(
        "issuer-name",
        "5280-4.1-1",
        body.issuer == expected.issuer.subject_der(),
        || "the issuer is not the CA's subject, octet for octet".to_owned(),
    );
    let algorithm: SignatureAlgorithm = expected.issuer.issues_with();
    run.rule(
        "signature-algorithm",
        "5280-4.1-1",
        body.algorithm == algorithm,
        || format!("{:?}", body.algorithm),
    );
    run.rule("unique-ids", "5280-4.1-1", !body.unique_ids, || {
        "unique identifiers".to_owned()
    });
    run.rule(
        "key",
        "8555-7.4-13",
        body.key.spki_der() == template.spki_der,
        || "another key than the CSR's".to_owned(),
    );
}

fn validity(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let (from, to) = (body.not_before, body.not_after);
    run.rule("validity-order", "5280-4.1.2.5-1", from < to, || {
        format!("{from} to {to}")
    });
    // Both ends belong to the validity.
    run.rule(
        "validity-life",
        "T-CA-95",
        to - from < expected.life,
        || format!("{} s where {} s are allowed", to - from + 1, expected.life),
    );
    let issuer = expected.issuer;
    run.rule(
        "validity-issuer",
        "5280-4.1.2.5-1",
        from >= issuer.not_before() && to <= issuer.not_after(),
        || "outside the issuer's validity".to_owned(),
    );
}

fn names(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let template = expected.template;
    let mut empty = Writer::default();
    empty.nest(tag::SEQUENCE, |_| {});
    let no_subject = body.subject == empty.finish();
    let extension = body.extension(oid::SUBJECT_ALT_NAME);
    run.rule(
        "san-present",
        "5280-4.2.1.6-1",
        extension.is_some() && !(body.dns_names.is_empty() && body.ip_addresses.is_empty()),
        || "no subject alternative name".to_owned(),
    );
    run.rule(
        "san-critical",
        "5280-4.2.1.6-1",
        extension.is_none_or(|e| e.critical == no_subject),
        || "critical exactly if the subject is empty".to_owned(),
    );
    run.rule("san-types", "5280-4.2.1.6-1", !body.other_names, || {
        "a name that is neither DNS name nor address".to_owned()
    });
    let bad = body.dns_names.iter().find(|n| !is_ldh(n));
    run.rule("san-form", "5280-4.2.1.6-1", bad.is_none(), || {
        format!("{bad:?} is no lower-case LDH name")
    });
    let as_asked =
        body.dns_names == template.dns_names && body.ip_addresses == template.ip_addresses;
    run.rule("san-ordered", "8555-7.4-2", as_asked, || {
        "other names than the order's".to_owned()
    });
    let outside = body
        .dns_names
        .iter()
        .find(|n| !permitted(n, expected.issuer.permitted_dns()));
    run.rule(
        "name-constraints",
        "5280-4.2.1.10-1",
        outside.is_none(),
        || format!("{outside:?} is outside the issuer's name constraints"),
    );
    let addresses_fit = body
        .ip_addresses
        .iter()
        .all(|a| address_permitted(*a, expected.issuer));
    run.rule("ip-constraints", "5280-4.2.1.10-1", addresses_fit, || {
        "an address outside the issuer's name constraints".to_owned()
    });
    let common_name = common_name(&body.subject);
    let fits = match (&common_name, template.common_name) {
        (None, None) => true,
        (Some(found), Some(wanted)) => {
            found == wanted && found.len() <= 64 && body.dns_names.contains(found)
        }
        _ => false,
    };
    run.rule("common-name", "T-CA-56", fits, || {
        format!("common name {common_name:?}")
    });
}

fn is_ldh(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

fn permitted(name: &str, subtrees: &[String]) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    subtrees.is_empty()
        || subtrees.iter().any(|tree| {
            name.strip_suffix(tree.as_str())
                .is_some_and(|head| head.is_empty() || head.ends_with('.'))
        })
}

fn address_permitted(address: IpAddr, issuer: &Certificate) -> bool {
    let Some(constraints) = issuer
        .extensions()
        .iter()
        .find(|e| e.id == oid::NAME_CONSTRAINTS)
    else {
        return true;
    };
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let Ok(outer) = only(&constraints.value, tag::SEQUENCE) else {
        return false;
    };
    let Ok(Some(trees)) = Reader::new(outer.contents).optional(tag::constructed(0)) else {
        return false;
    };
    let mut trees = Reader::new(trees.contents);
    while let Ok(mut tree) = trees.enter(tag::SEQUENCE) {
        if let Ok(base) = tree.any()
            && base.tag == 0x87
            && base.contents.len() == octets.len() * 2
            && (0..octets.len())
                .all(|i| octets[i] & base.contents[octets.len() + i] == base.contents[i])
        {
            return true;
        }
    }
    false
}

fn common_name(subject: &[u8]) -> Option<String> {
    let mut names = Reader::new(only(subject, tag::SEQUENCE).ok()?.contents);
    let mut attribute = names.enter(tag::SET).ok()?.enter(tag::SEQUENCE).ok()?;
    let is_common_name = attribute.expect(tag::OID).ok()?.contents == oid::COMMON_NAME;
    let value = attribute.any().ok()?;
    is_common_name.then(|| String::from_utf8_lossy(value.contents).into_owned())
}

fn extensions(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let template = expected.template;
    let stranger = body
        .extensions
        .iter()
        .find(|e| !KNOWN.contains(&e.id.as_slice()));
    run.rule("extensions-known", "5280-4.2-1", stranger.is_none(), || {
        "an extension that no profile has".to_owned()
    });
    let usage_bits = body.extension(oid::KEY_USAGE).and_then(|e| {
        only(&e.value, tag::BIT_STRING)
            .ok()
            .map(|v| (e.critical, v.contents))
    });
    let rsa = matches!(body.key.kind(), PublicKeyKind::Rsa { .. });
    let wanted = usage::DIGITAL_SIGNATURE
        | if rsa && template.key_encipherment {
            usage::KEY_ENCIPHERMENT
        } else {
            0
        };
    let fits =
        usage_bits.is_some_and(|(critical, bits)| critical && bits.len() == 2 && bits[1] == wanted);
    run.rule("key-usage", "5280-4.2.1.3-1", fits, || {
        format!("key usage {usage_bits:?}")
    });
    let purposes = body
        .extension(oid::EXT_KEY_USAGE)
        .map(|e| purposes(&e.value));
    let wanted: Vec<&[u8]> = [
        (template.server_auth, oid::SERVER_AUTH),
        (template.client_auth, oid::CLIENT_AUTH),
    ]
    .into_iter()
    .filter_map(|(on, id)| on.then_some(id))
    .collect();
    run.rule(
        "extended-key-usage",
        "BR 7.1.2.7",
        !wanted.is_empty() && purposes.as_deref() == Some(&wanted),
        || "not the profile's purposes".to_owned(),
    );
    run.rule(
        "basic-constraints",
        "5280-4.2.1.9-1",
        body.extension(oid::BASIC_CONSTRAINTS).is_none(),
        || "basic constraints in a leaf".to_owned(),
    );
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.value(tag::context(0), expected.issuer.key_id())
    });
    exact(
        run,
        body,
        ("authority-key-id", "5280-4.2.1.1-1"),
        oid::AUTHORITY_KEY_ID,
        &w.finish(),
    );
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            crate::certificate::distribution_point(w, template.crl_url)
        })
    });
    exact(
        run,
        body,
        ("crl-distribution-point", "5280-4.2.1.13-1"),
        oid::CRL_DISTRIBUTION_POINTS,
        &w.finish(),
    );
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, oid::CA_ISSUERS);
            w.value(0x86, template.ca_issuers_url.as_bytes());
        });
    });
    exact(
        run,
        body,
        ("authority-info-access", "5280-4.2.1.13-1"),
        oid::AUTHORITY_INFO_ACCESS,
        &w.finish(),
    );
    let plain = [template.crl_url, template.ca_issuers_url]
        .iter()
        .all(|u| u.starts_with("http://"));
    run.rule("plain-http", "5280-4.2.1.13-1", plain, || {
        "a URL that is not http".to_owned()
    });
    let has_policies = body.extension(oid::CERTIFICATE_POLICIES).is_some();
    run.rule(
        "policies",
        "BR 7.1.2.7",
        has_policies != template.policies.is_empty(),
        || "not the profile's policies".to_owned(),
    );
    let has_feature = body.extension(oid::TLS_FEATURE).is_some();
    run.rule(
        "tls-feature",
        "RFC 7633",
        has_feature == template.must_staple,
        || "must-staple against the profile".to_owned(),
    );
}

/// A non-critical extension with exactly these contents.
fn exact(
    run: &mut Run,
    body: &Body,
    (id, clause): (&'static str, &'static str),
    oid: &[u8],
    wanted: &[u8],
) {
    let fits = body
        .extension(oid)
        .is_some_and(|e| !e.critical && e.value == wanted);
    run.rule(id, clause, fits, || {
        "absent, critical, or of other contents".to_owned()
    });
}

fn purposes(value: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    if let Ok(outer) = only(value, tag::SEQUENCE) {
        let mut list = Reader::new(outer.contents);
        while let Ok(id) = list.expect(tag::OID) {
            found.push(id.contents);
        }
    }
    found
}
