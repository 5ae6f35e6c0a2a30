//! Certificates (RFC 5280 §4): three steps, build → sign elsewhere → assemble; and reading them back.

mod constraints;
mod parse;
mod self_signed;
mod serial;
mod template;

use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER};

pub use constraints::NameConstraints;
pub(crate) use parse::{Body, extensions as parse_extensions, small};
pub use parse::{Certificate, CertificateFault, Extension, validity_of};
pub use self_signed::SelfSignedTemplate;
pub use serial::{BadSerial, Serial};
pub use template::{IssuingTemplate, LeafTemplate, Name, RootTemplate, TemplateFault};
pub(crate) use template::{access_places, distribution_point, is_ldh, usage};

use crate::{
    key::SignatureAlgorithm,
    writer::{Writer, tag},
};

/// Puts signed bytes and their signature together: certificate, CRL and CSR have one shape.
#[must_use]
pub fn assemble(signed: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    let mut w = Writer::with_capacity(signed.len() + signature.len() + 32);
    w.nest(tag::SEQUENCE, |w| {
        w.raw(signed);
        algorithm.write(w);
        w.bit_string(signature);
    });
    w.finish()
}

/// PEM with LF and 64 columns (RFC 7468).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 64);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// SHA-256 over a certificate's DER, in lower-case hexadecimal.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, der).as_ref())
}

/// The first and last second of a certificate that lives for `life` seconds from `not_before`, both ends counted, and
/// never past its issuer (R-03, T-CA-95).
#[must_use]
pub fn validity_window(not_before: i64, life: i64, issuer_not_after: i64) -> Option<(i64, i64)> {
    let not_after = not_before
        .checked_add(life)?
        .checked_sub(1)?
        .min(issuer_not_after);
    (not_after > not_before).then_some((not_before, not_after))
}

pub(crate) fn extension(w: &mut Writer, id: &[u8], critical: bool, body: impl FnOnce(&mut Writer)) {
    w.nest(tag::SEQUENCE, |w| {
        w.value(tag::OID, id);
        if critical {
            w.yes();
        }
        w.nest(tag::OCTET_STRING, body);
    });
}

#[cfg(test)]
mod tests;
