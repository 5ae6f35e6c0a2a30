//! Signature algorithms, as AlgorithmIdentifiers.

use crate::{
    oid,
    reader::{DerFault, Reader},
    writer::{Writer, tag},
};

/// The signature algorithms that are made and accepted. No SHA-1, no MD5, no PSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256.
    EcdsaSha256,
    /// ecdsa-with-SHA384.
    EcdsaSha384,
    /// ecdsa-with-SHA512.
    EcdsaSha512,
    /// sha256WithRSAEncryption.
    RsaSha256,
    /// sha384WithRSAEncryption.
    RsaSha384,
    /// sha512WithRSAEncryption.
    RsaSha512,
    /// Ed25519.
    Ed25519,
}

impl SignatureAlgorithm {
    const ALL: [Self; 7] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
        Self::Ed25519,
    ];

    const fn oid(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => oid::ECDSA_SHA256,
            Self::EcdsaSha384 => oid::ECDSA_SHA384,
            Self::EcdsaSha512 => oid::ECDSA_SHA512,
            Self::RsaSha256 => oid::RSA_SHA256,
            Self::RsaSha384 => oid::RSA_SHA384,
            Self::RsaSha512 => oid::RSA_SHA512,
            Self::Ed25519 => oid::ED25519,
        }
    }

    const fn is_rsa(self) -> bool {
        matches!(self, Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512)
    }

    /// Writes the AlgorithmIdentifier: NULL parameters for RSA, none else (RFC 4055, 5758, 8410).
    pub fn write(self, w: &mut Writer) {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, self.oid());
            if self.is_rsa() {
                w.value(tag::NULL, &[]);
            }
        });
    }

    /// Reads an AlgorithmIdentifier.
    ///
    /// # Errors
    /// When it is none of these, to the octet.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DerFault> {
        let mut inner = reader.enter(tag::SEQUENCE)?;
        let found = inner.expect(tag::OID)?.contents;
        let algorithm = Self::ALL
            .into_iter()
            .find(|a| a.oid() == found)
            .ok_or(DerFault::Value)?;
        if algorithm.is_rsa() && !inner.expect(tag::NULL)?.contents.is_empty() {
            return Err(DerFault::Value);
        }
        inner.end()?;
        Ok(algorithm)
    }

    /// An AlgorithmIdentifier that is none of these, for whoever chose it.
    pub(crate) fn describe(mut reader: Reader<'_>) -> String {
        let id = reader
            .enter(tag::SEQUENCE)
            .and_then(|mut inner| inner.expect(tag::OID));
        let Some((id, text)) = id
            .ok()
            .and_then(|v| Some((v.contents, oid::to_text(v.contents)?)))
        else {
            return "an algorithm without a readable identifier".to_owned();
        };
        if Self::ALL.iter().any(|a| a.oid() == id) {
            return format!("algorithm {text} and parameters that do not belong to it");
        }
        match REFUSED.iter().find(|(refused, _)| *refused == text) {
            Some((_, name)) => format!("{name} ({text})"),
            None => format!("algorithm {text}"),
        }
    }
}

/// Names of what is refused and still met.
const REFUSED: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.1", "ecdsa-with-SHA224"),
];
