//! A certificate that signs itself and is trusted by nobody: what a server of challenges shows (RFC 8737 §3).

use super::{
    Name, Serial, TemplateFault, extension,
    template::{Head, tbs, usage},
};
use crate::{
    key::SignatureAlgorithm,
    oid,
    writer::{Writer, tag},
};

/// A server's certificate by its own key.
#[derive(Debug, Clone)]
pub struct SelfSignedTemplate<'a> {
    /// Its serial.
    pub serial: Serial,
    /// Subject and issuer.
    pub subject: &'a Name,
    /// Its one DNS name.
    pub dns_name: &'a str,
    /// First second.
    pub not_before: i64,
    /// Last second.
    pub not_after: i64,
    /// Its key.
    pub spki_der: &'a [u8],
    /// The digest of a key authorization: makes it the answer to a tls-alpn-01 challenge.
    pub acme_identifier: Option<&'a [u8; 32]>,
    /// How that key signs.
    pub signature_algorithm: SignatureAlgorithm,
}

impl SelfSignedTemplate<'_> {
    /// The bytes to sign.
    ///
    /// # Errors
    /// When the validity is none.
    pub fn build(&self) -> Result<Vec<u8>, TemplateFault> {
        let subject = self.subject.to_der();
        let head = Head {
            serial: self.serial,
            algorithm: self.signature_algorithm,
            issuer: &subject,
            validity: (self.not_before, self.not_after),
            subject: &subject,
            spki: self.spki_der,
        };
        tbs(&head, |w| self.extensions(w))
    }

    fn extensions(&self, w: &mut Writer) {
        extension(w, oid::KEY_USAGE, true, |w| {
            w.named_bits(usage::DIGITAL_SIGNATURE)
        });
        extension(w, oid::EXT_KEY_USAGE, false, |w| {
            w.nest(tag::SEQUENCE, |w| w.value(tag::OID, oid::SERVER_AUTH))
        });
        extension(w, oid::SUBJECT_ALT_NAME, false, |w| {
            w.nest(tag::SEQUENCE, |w| w.value(0x82, self.dns_name.as_bytes()))
        });
        if let Some(digest) = self.acme_identifier {
            extension(w, oid::ACME_IDENTIFIER, true, |w| {
                w.value(tag::OCTET_STRING, digest)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;
    use crate::{
        acme_identifier::{Named, verify},
        certificate::assemble,
        key::{KeyKind, PrivateKey},
    };

    #[test]
    fn a_challenges_certificate_is_read_by_others_and_answers_its_challenge() {
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        let subject = Name {
            organization: None,
            common_name: "a challenge".to_owned(),
        };
        let digest = [7; 32];
        let template = SelfSignedTemplate {
            serial: Serial::new(1, 2, [3; 16]),
            subject: &subject,
            dns_name: "a.example.test",
            not_before: 1_800_000_000,
            not_after: 1_800_086_399,
            spki_der: key.spki_der(),
            acme_identifier: Some(&digest),
            signature_algorithm: key.signature_algorithm(),
        };
        let tbs = template.build().unwrap();
        let der = assemble(&tbs, key.signature_algorithm(), &key.sign(&tbs).unwrap());
        let (rest, read) = X509Certificate::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let critical = read.extensions().iter().filter(|e| e.critical);
        let critical: Vec<_> = critical.map(|e| e.oid.to_id_string()).collect();
        assert_eq!(critical, ["2.5.29.15", "1.3.6.1.5.5.7.1.31"]);
        assert_eq!(
            verify(&der, Named::Dns("a.example.test"), &digest),
            Ok(()),
            "the challenge's own judge"
        );
        let plain = SelfSignedTemplate {
            acme_identifier: None,
            ..template
        };
        assert!(plain.build().unwrap().len() < tbs.len());
    }
}
