//! Rules for CRLs.

use super::{LintFinding, LintReport, Run};
use crate::{
    certificate::{Certificate, distribution_point},
    crl::{CrlBody, CrlTemplate},
    oid,
    writer::{Writer, tag},
};

/// Judges the bytes of a CRL's signed part against what it was built from.
///
/// # Errors
/// All broken rules.
pub fn lint_crl(
    tbs: &[u8],
    template: &CrlTemplate<'_>,
    issuer: &Certificate,
) -> Result<LintReport, Vec<LintFinding>> {
    let mut run = Run::default();
    let body = match CrlBody::parse(tbs) {
        Ok(body) => body,
        Err(fault) => {
            run.rule("der", "5280-5-1", false, || fault.to_string());
            return run.end();
        }
    };
    run.rule("der", "5280-5-1", true, String::new);
    run.rule("version", "5280-5-1", body.version == Some(1), || {
        format!("version field {:?}", body.version)
    });
    run.rule(
        "issuer-name",
        "5280-5-1",
        body.issuer == issuer.subject_der(),
        || "another issuer".to_owned(),
    );
    run.rule(
        "signature-algorithm",
        "5280-5-1",
        body.algorithm == issuer.issues_with(),
        || format!("{:?}", body.algorithm),
    );
    let ordered = body.this_update < body.next_update;
    run.rule("dates", "5280-5-1", ordered, || {
        "nextUpdate is not after thisUpdate".to_owned()
    });
    let dates = (body.this_update, body.next_update);
    run.rule(
        "dates-stored",
        "T-CA-98",
        !ordered || dates == (template.this_update, template.next_update),
        || "other dates than the template's".to_owned(),
    );
    run.rule(
        "list",
        "5280-5-1",
        body.entries.as_ref().is_none_or(|e| !e.is_empty()),
        || "an empty list that should be absent".to_owned(),
    );
    let entries = body.entries.as_deref().unwrap_or_default();
    // RFC 5280 §5.3.1: 0 is left out, 7 is not used; the Baseline Requirements (7.2.2) have no others for leaves.
    run.rule(
        "reason",
        "5280-5-1",
        entries
            .iter()
            .all(|e| e.reason.is_none_or(|r| matches!(r, 1 | 3 | 4 | 5 | 9))),
        || "unspecified(0), or no reason code of a certificate that is not a CA's".to_owned(),
    );
    run.rule(
        "entry-extensions",
        "5280-5-1",
        !body.foreign_entry_extension,
        || "an entry with an extension that is critical or no reason code".to_owned(),
    );
    let mut serials: Vec<&[u8]> = entries.iter().map(|e| e.serial.as_slice()).collect();
    serials.sort_unstable();
    run.rule(
        "entry-once",
        "5280-5-1",
        serials.windows(2).all(|pair| pair.first() != pair.last()),
        || "a serial that is listed twice".to_owned(),
    );
    run.rule(
        "revocation-date",
        "5280-5.3-1",
        entries.iter().all(|e| e.revoked_at <= body.this_update),
        || "an entry of the future".to_owned(),
    );
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| w.value(tag::context(0), issuer.key_id()));
    let key_id = w.finish();
    let fits = body
        .extension(oid::AUTHORITY_KEY_ID)
        .is_some_and(|e| !e.critical && e.value == key_id);
    run.rule("authority-key-id", "5280-5-1", fits, || {
        "absent or another".to_owned()
    });
    let mut w = Writer::default();
    w.unsigned(&template.number.to_be_bytes());
    let number = w.finish();
    let fits = body
        .extension(oid::CRL_NUMBER)
        .is_some_and(|e| !e.critical && e.value == number);
    run.rule("number", "5280-5-1", fits, || {
        "absent, critical, or another than the reserved one".to_owned()
    });
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        distribution_point(w, template.idp_url);
        if template.only_user_certs {
            w.value(tag::context(1), &[0xff]);
        }
    });
    let point = w.finish();
    let fits = body
        .extension(oid::ISSUING_DISTRIBUTION_POINT)
        .is_some_and(|e| e.critical && e.value == point);
    run.rule("distribution-point", "5280-5.2.5-1", fits, || {
        "absent, not critical, or of another shard".to_owned()
    });
    const KNOWN: [&[u8]; 3] = [
        oid::AUTHORITY_KEY_ID,
        oid::CRL_NUMBER,
        oid::ISSUING_DISTRIBUTION_POINT,
    ];
    let stranger = body
        .extensions
        .iter()
        .find(|e| !KNOWN.contains(&e.id.as_slice()));
    run.rule("extensions-known", "5280-5-1", stranger.is_none(), || {
        "another extension".to_owned()
    });
    run.end()
}
