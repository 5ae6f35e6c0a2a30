use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, Error, KeyUsage,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::{Crl, CrlTemplate, Entry};
use crate::{
    certificate::Certificate,
    key::SignatureAlgorithm,
    samples::{Chain, DAY, Leaf, NOW, chain, crl_template, golden, key, serial, sign},
};

fn entries() -> Vec<Entry> {
    let entry = |number, days, reason| Entry {
        serial: serial(number),
        revoked_at: NOW - days * DAY,
        reason,
    };
    vec![
        entry(7, 1, Some(1)),
        entry(8, 2, None),
        entry(9, 0, Some(4)),
        entry(10, 3, Some(0)),
    ]
}

fn signed(chain: &Chain, template: &CrlTemplate<'_>, entries: Vec<Entry>) -> Vec<u8> {
    sign(&template.build(entries), &chain.issuing_key)
}

/// What webpki says of a leaf with serial 7 under a CRL.
fn webpki_judges(chain: &Chain, crl: &[u8]) -> Result<(), Error> {
    let leaf = Leaf::new("leaf-p256");
    let leaf = sign(
        &leaf.template(&chain.issuer).build().unwrap(),
        &chain.issuing_key,
    );
    let leaf = CertificateDer::from(leaf);
    let (root, issuing) = (
        CertificateDer::from(chain.root.as_slice()),
        CertificateDer::from(chain.issuing.as_slice()),
    );
    let crl = CertRevocationList::from(BorrowedCertRevocationList::from_der(crl)?);
    let crls = [&crl];
    let revocation = RevocationOptionsBuilder::new(&crls)
        .unwrap()
        .with_depth(RevocationCheckDepth::EndEntity)
        .with_status_policy(UnknownStatusPolicy::Deny)
        .build();
    EndEntityCert::try_from(&leaf)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor_from_trusted_cert(&root)?],
            &[issuing],
            UnixTime::since_unix_epoch(Duration::from_secs(NOW.try_into().unwrap())),
            KeyUsage::server_auth(),
            Some(revocation),
            None,
        )
        .map(|_| ())
}

#[test]
fn what_is_built_is_what_was_committed() {
    // 5280-5-1
    let chain = chain();
    let template = crl_template(&chain.issuer);
    for (name, tbs) in [
        ("golden/crl-empty.der", template.build([])),
        ("golden/crl-entries.der", template.build(entries())),
    ] {
        assert_eq!(
            golden(name, &tbs),
            tbs,
            "{name}; CAIRN_BLESS=1 writes it anew"
        );
    }
}

#[test]
fn another_parser_reads_what_the_template_said() {
    // 5280-5-1
    // 5280-5.2.5-1
    let chain = chain();
    let template = crl_template(&chain.issuer);
    let der = signed(&chain, &template, entries());
    let (rest, crl) = CertificateRevocationList::from_der(&der).unwrap();
    assert!(rest.is_empty());
    assert_eq!(crl.version().map(|v| v.0), Some(1));
    assert_eq!(crl.last_update().timestamp(), NOW);
    assert_eq!(
        crl.next_update().map(|t| t.timestamp()),
        Some(template.next_update)
    );
    assert_eq!(
        crl.crl_number().map(ToString::to_string),
        Some(template.number.to_string())
    );
    let reasons: Vec<_> = crl
        .iter_revoked_certificates()
        .map(|e| e.reason_code().map(|(critical, r)| (critical, r.0)))
        .collect();
    assert_eq!(reasons, [Some((false, 1)), None, Some((false, 4)), None]);
    let point = crl
        .extensions()
        .iter()
        .find(|e| e.oid.to_id_string() == "2.5.29.28")
        .unwrap();
    assert!(point.critical);

    let ours = Crl::parse(&der).unwrap();
    assert_eq!(ours.url(), Some(template.idp_url));
    assert_eq!(ours.number(), Some(template.number));
    assert_eq!(
        (ours.this_update(), ours.next_update()),
        (template.this_update, template.next_update)
    );
    assert_eq!(ours.entries().len(), 4);
    assert_eq!(ours.entries()[0].serial, serial(7).as_bytes());
    assert_eq!(ours.verify_issued_by(&chain.issuer), Ok(()));

    let empty = signed(&chain, &template, Vec::new());
    let (_, other) = CertificateRevocationList::from_der(&empty).unwrap();
    assert_eq!(other.iter_revoked_certificates().count(), 0);
    assert!(
        Crl::parse(&empty).unwrap().body.entries.is_none(),
        "absent, not empty"
    );
}

#[test]
fn webpki_refuses_a_listed_leaf_and_takes_no_other_shard_s_list() {
    // T-CA-105
    // 5280-5.2.5-1
    let chain = chain();
    let template = crl_template(&chain.issuer);
    assert_eq!(
        webpki_judges(&chain, &signed(&chain, &template, Vec::new())),
        Ok(())
    );
    assert_eq!(
        webpki_judges(&chain, &signed(&chain, &template, entries())),
        Err(Error::CertRevoked)
    );
    let others = entries().split_off(1);
    assert_eq!(
        webpki_judges(&chain, &signed(&chain, &template, others)),
        Ok(())
    );
    let shard = CrlTemplate {
        idp_url: "http://ca1.widgets.internal/crl/i1/4.crl",
        ..template.clone()
    };
    assert_eq!(
        webpki_judges(&chain, &signed(&chain, &shard, Vec::new())),
        Err(Error::UnknownRevocationStatus)
    );
    let by_other = sign(&template.build([]), &key("other-p256"));
    assert!(webpki_judges(&chain, &by_other).is_err());
}

#[test]
fn a_crl_of_another_key_or_issuer_does_not_verify() {
    // T-CA-100
    let chain = chain();
    let template = crl_template(&chain.issuer);
    let by_other = Crl::parse(&sign(&template.build([]), &key("other-p256"))).unwrap();
    assert!(by_other.verify_issued_by(&chain.issuer).is_err());
    let root = Certificate::parse(&chain.root).unwrap();
    let ours = Crl::parse(&signed(&chain, &template, entries())).unwrap();
    assert!(ours.verify_issued_by(&root).is_err());
}

#[test]
fn crls_of_wrong_form_are_refused() {
    let chain = chain();
    let template = crl_template(&chain.issuer);
    let der = signed(&chain, &template, entries());
    assert!(Crl::parse(&[&der[..], &[0]].concat()).is_err());
    for cut in 0..der.len() {
        assert!(Crl::parse(&der[..cut]).is_err());
    }
    let tbs = template.build(entries());
    assert!(
        Crl::parse(&Crl::assemble(
            &tbs,
            SignatureAlgorithm::EcdsaSha384,
            &[0; 70]
        ))
        .is_err()
    );
}

#[test]
fn many_entries_and_times_past_2049_come_back() {
    // 5280-4.1.2.5-1
    let chain = chain();
    let late = 2_524_608_000;
    let template = CrlTemplate {
        this_update: late - 1,
        next_update: late,
        ..crl_template(&chain.issuer)
    };
    let wanted: Vec<Entry> = (0..5000_u16)
        .map(|n| Entry {
            serial: crate::certificate::Serial::new(1, n, [3; 16]),
            revoked_at: NOW,
            reason: Some(5),
        })
        .collect();
    let crl = Crl::parse(&signed(&chain, &template, wanted.clone())).unwrap();
    assert_eq!((crl.this_update(), crl.next_update()), (late - 1, late));
    let same = crl.entries().iter().zip(&wanted).all(|(found, wanted)| {
        found.serial == wanted.serial.as_bytes()
            && found.revoked_at == wanted.revoked_at
            && found.reason == wanted.reason
    });
    assert!(same && crl.entries().len() == wanted.len());
}
