//! Rules for subscribers' certificates.

use super::{LintFinding, LintReport, Run};
use crate::{
    certificate::{
        Body, Certificate, LeafTemplate, access_places, distribution_point, is_ldh, usage,
    },
    key::PublicKeyKind,
    oid,
    writer::{Writer, tag},
};

/// What the bytes must say.
#[derive(Debug, Clone)]
pub struct LeafExpectation<'a> {
    template: &'a LeafTemplate<'a>,
    issuer: &'a Certificate,
    life: i64,
    now: i64,
}

impl<'a> LeafExpectation<'a> {
    /// From the template that the bytes were built from, the issuer, the profile's life in seconds and the second of
    /// signing.
    #[must_use]
    pub fn of(
        template: &'a LeafTemplate<'a>,
        issuer: &'a Certificate,
        life: i64,
        now: i64,
    ) -> Self {
        Self {
            template,
            issuer,
            life,
            now,
        }
    }
}

/// Extensions that Cairn writes into leaves, and the one that has a rule of its own.
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

/// Judges the bytes of a leaf's signed part. A fault is told once, by the rule that is closest to it.
///
/// # Errors
/// All broken rules.
pub fn lint_leaf(
    tbs: &[u8],
    expected: &LeafExpectation<'_>,
) -> Result<LintReport, Vec<LintFinding>> {
    let mut run = Run::default();
    let body = match Body::parse(tbs, Some(expected.template.key)) {
        Ok(body) => body,
        Err(fault) => {
            run.rule("der", "5280-4.1-1", false, || fault.to_string());
            return run.end();
        }
    };
    run.rule("der", "5280-4.1-1", true, String::new);
    head(&mut run, &body, expected);
    validity(&mut run, &body, expected);
    subject(&mut run, &body, expected);
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
    run.rule(
        "serial-stored",
        "T-CA-94",
        !well_formed || !long || serial == template.serial.as_bytes(),
        || "another serial than the stored one".to_owned(),
    );
    run.rule(
        "issuer-name",
        "5280-4.1-1",
        body.issuer == expected.issuer.subject_der(),
        || "the issuer is not the CA's subject, octet for octet".to_owned(),
    );
    run.rule(
        "signature-algorithm",
        "5280-4.1-1",
        body.algorithm == expected.issuer.issues_with(),
        || format!("{:?}", body.algorithm),
    );
    run.rule("unique-ids", "5280-4.1-1", !body.unique_ids, || {
        "unique identifiers".to_owned()
    });
    run.rule("key", "8555-7.4-13", body.key == *template.key, || {
        "another key than the CSR's".to_owned()
    });
}

fn validity(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let (from, to) = (body.not_before, body.not_after);
    let ordered = from < to;
    run.rule("validity-order", "5280-4.1.2.5-1", ordered, || {
        format!("{from} to {to}")
    });
    run.rule(
        "validity-ended",
        "T-CA-48",
        !ordered || to > expected.now,
        || format!("it ended at {to}, before it is signed"),
    );
    // Both ends belong to the validity.
    let short = to - from < expected.life;
    run.rule("validity-life", "T-CA-95", short, || {
        format!("{} s where {} s are allowed", to - from + 1, expected.life)
    });
    let issuer = expected.issuer;
    let within = from >= issuer.not_before() && to <= issuer.not_after();
    run.rule("validity-issuer", "5280-4.1.2.5-1", within, || {
        "outside the issuer's validity".to_owned()
    });
    let template = expected.template;
    let as_stored = (from, to) == (template.not_before, template.not_after);
    run.rule(
        "validity-stored",
        "T-CA-98",
        !(ordered && short && within) || as_stored,
        || "another validity than the stored one".to_owned(),
    );
}

fn subject(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let common_name = expected.template.common_name;
    let wanted = der(tag::SEQUENCE, |w| {
        if let Some(name) = common_name {
            w.nest(tag::SET, |w| {
                w.nest(tag::SEQUENCE, |w| {
                    w.value(tag::OID, oid::COMMON_NAME);
                    w.value(tag::UTF8_STRING, name.as_bytes());
                });
            });
        }
    });
    run.rule("subject", "T-CA-53", body.subject == wanted, || {
        "not the profile's subject".to_owned()
    });
    let fits = common_name
        .is_none_or(|name| name.len() <= 64 && body.dns_names.iter().any(|found| found == name));
    run.rule("common-name", "T-CA-56", fits, || {
        format!("{common_name:?} is too long or none of the names")
    });
}

fn names(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let template = expected.template;
    let extension = body.extension(oid::SUBJECT_ALT_NAME);
    let present =
        extension.is_some() && !(body.dns_names.is_empty() && body.ip_addresses.is_empty());
    run.rule("san-present", "5280-4.2.1.6-1", present, || {
        "no subject alternative name".to_owned()
    });
    let no_subject = template.common_name.is_none();
    run.rule(
        "san-critical",
        "5280-4.2.1.6-1",
        extension.is_none_or(|e| e.critical == no_subject),
        || "critical exactly if the subject is empty".to_owned(),
    );
    run.rule("san-types", "5280-4.2.1.6-1", !body.other_names, || {
        "a name that is neither DNS name nor address".to_owned()
    });
    let bad = body
        .dns_names
        .iter()
        .find(|n| !is_ldh(n.strip_prefix("*.").unwrap_or(n)));
    run.rule("san-form", "5280-4.2.1.6-1", bad.is_none(), || {
        format!("{bad:?} is no lower-case LDH name")
    });
    let as_asked =
        body.dns_names == template.dns_names && body.ip_addresses == template.ip_addresses;
    run.rule("san-ordered", "8555-7.4-2", !present || as_asked, || {
        "other names than the order's".to_owned()
    });
    let constraints = expected.issuer.constraints();
    let outside = body.dns_names.iter().find(|n| !constraints.permits_dns(n));
    run.rule(
        "name-constraints",
        "5280-4.2.1.10-1",
        outside.is_none(),
        || format!("{outside:?} is outside the issuer's name constraints"),
    );
    let outside = body
        .ip_addresses
        .iter()
        .find(|a| !constraints.permits_ip(**a));
    run.rule(
        "ip-constraints",
        "5280-4.2.1.10-1",
        outside.is_none(),
        || format!("{outside:?} is outside the issuer's name constraints"),
    );
}

/// Each extension is compared with what the template's facts make of it, written here a second time.
fn extensions(run: &mut Run, body: &Body, expected: &LeafExpectation<'_>) {
    let template = expected.template;
    let stranger = body
        .extensions
        .iter()
        .find(|e| !KNOWN.contains(&e.id.as_slice()));
    run.rule("extensions-known", "5280-4.2-1", stranger.is_none(), || {
        "an extension that no profile has".to_owned()
    });
    let mut exact = |rule: (&'static str, &'static str), id, wanted: Option<(bool, Vec<u8>)>| {
        let found = body.extension(id).map(|e| (e.critical, e.value.as_slice()));
        let fits = found == wanted.as_ref().map(|(c, v)| (*c, v.as_slice()));
        run.rule(rule.0, rule.1, fits, || {
            "absent, there against the profile, of wrong criticality or other contents".to_owned()
        });
    };

    let rsa = matches!(template.key.kind(), PublicKeyKind::Rsa { .. });
    let mut w = Writer::default();
    if rsa && template.key_encipherment {
        w.named_bits(usage::DIGITAL_SIGNATURE | usage::KEY_ENCIPHERMENT);
    } else {
        w.named_bits(usage::DIGITAL_SIGNATURE);
    }
    let wanted = Some((true, w.finish()));
    exact(("key-usage", "5280-4.2.1.3-1"), oid::KEY_USAGE, wanted);

    let purposes = der(tag::SEQUENCE, |w| {
        for (on, id) in [
            (template.server_auth, oid::SERVER_AUTH),
            (template.client_auth, oid::CLIENT_AUTH),
        ] {
            if on {
                w.value(tag::OID, id);
            }
        }
    });
    // A certificate for no purpose is refused too: the template then writes no extension.
    exact(
        ("extended-key-usage", "BR 7.1.2.7"),
        oid::EXT_KEY_USAGE,
        Some((false, purposes)),
    );
    exact(
        ("basic-constraints", "5280-4.2.1.9-1"),
        oid::BASIC_CONSTRAINTS,
        None,
    );
    let key_id = der(tag::SEQUENCE, |w| {
        w.value(tag::context(0), expected.issuer.key_id())
    });
    exact(
        ("authority-key-id", "5280-4.2.1.1-1"),
        oid::AUTHORITY_KEY_ID,
        Some((false, key_id)),
    );
    let point = der(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| distribution_point(w, template.crl_url))
    });
    exact(
        ("crl-distribution-point", "5280-4.2.1.13-1"),
        oid::CRL_DISTRIBUTION_POINTS,
        Some((false, point)),
    );
    let mut access = Writer::default();
    access_places(&mut access, template.ocsp_url, template.ca_issuers_url);
    exact(
        ("authority-info-access", "5280-4.2.1.13-1"),
        oid::AUTHORITY_INFO_ACCESS,
        Some((false, access.finish())),
    );
    let policies = (!template.policies.is_empty()).then(|| {
        let list = der(tag::SEQUENCE, |w| {
            for id in template.policies.iter().filter_map(|p| oid::from_text(p)) {
                w.nest(tag::SEQUENCE, |w| w.value(tag::OID, &id));
            }
        });
        (false, list)
    });
    exact(
        ("policies", "BR 7.1.2.7"),
        oid::CERTIFICATE_POLICIES,
        policies,
    );
    let feature = template
        .must_staple
        .then(|| (false, der(tag::SEQUENCE, |w| w.unsigned(&[5]))));
    exact(("tls-feature", "RFC 7633"), oid::TLS_FEATURE, feature);

    let plain = [template.crl_url, template.ca_issuers_url]
        .iter()
        .chain(template.ocsp_url.as_ref())
        .all(|u| u.starts_with("http://"));
    run.rule("plain-http", "5280-4.2.1.13-1", plain, || {
        "a URL that is not http".to_owned()
    });
}

fn der(outer: u8, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::default();
    w.nest(outer, body);
    w.finish()
}
