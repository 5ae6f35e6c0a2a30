//! Object identifiers, as the contents octets of their DER.

/// id-ecPublicKey.
pub const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// prime256v1.
pub const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// secp384r1.
pub const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// secp521r1.
pub const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
/// rsaEncryption.
pub const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// id-Ed25519.
pub const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// ecdsa-with-SHA256.
pub const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// ecdsa-with-SHA384.
pub const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// ecdsa-with-SHA512.
pub const ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
/// sha256WithRSAEncryption.
pub const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// sha384WithRSAEncryption.
pub const RSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
/// sha512WithRSAEncryption.
pub const RSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
/// id-at-commonName.
pub const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-at-organizationName.
pub const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// PKCS#9 extensionRequest.
pub const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// subjectKeyIdentifier.
pub const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
/// keyUsage.
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// subjectAltName.
pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// basicConstraints.
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// cRLNumber.
pub const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
/// reasonCode.
pub const REASON_CODE: &[u8] = &[0x55, 0x1d, 0x15];
/// issuingDistributionPoint.
pub const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 0x1c];
/// nameConstraints.
pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
/// cRLDistributionPoints.
pub const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
/// certificatePolicies.
pub const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 0x20];
/// authorityKeyIdentifier.
pub const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
/// extKeyUsage.
pub const EXT_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// id-pe-authorityInfoAccess.
pub const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
/// id-ad-ocsp.
pub const OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// id-ad-caIssuers.
pub const CA_ISSUERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02];
/// id-pe-acmeIdentifier (RFC 8737).
pub const ACME_IDENTIFIER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f];
/// id-pe-tlsFeature (RFC 7633).
pub const TLS_FEATURE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18];
/// id-kp-serverAuth.
pub const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// id-kp-clientAuth.
pub const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// The contents octets of a dotted text such as `2.23.140.1.2.1`.
#[must_use]
pub fn from_text(text: &str) -> Option<Vec<u8>> {
    let number = |arc: &str| {
        let plain =
            arc.bytes().all(|b| b.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'));
        arc.parse::<u64>().ok().filter(|_| plain)
    };
    let arcs: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let [first, second, rest @ ..] = arcs.as_slice() else {
        return None;
    };
    if *first > 2 || (*first < 2 && *second > 39) {
        return None;
    }
    let mut out = Vec::new();
    let mut arc = |mut n: u64| {
        let mut septets = vec![u8::try_from(n & 0x7f).unwrap_or(0)];
        n >>= 7;
        while n > 0 {
            septets.push(0x80 | u8::try_from(n & 0x7f).unwrap_or(0));
            n >>= 7;
        }
        out.extend(septets.iter().rev());
    };
    arc(first.checked_mul(40)?.checked_add(*second)?);
    rest.iter().for_each(|n| arc(*n));
    Some(out)
}

/// The dotted text of contents octets; `None` for none, for one cut off, and for arcs of more than 64 bits.
#[must_use]
pub fn to_text(contents: &[u8]) -> Option<String> {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: Option<u64> = None;
    for octet in contents.get(..contents.len().min(TEXT_OCTETS + 1))? {
        let n = arc.unwrap_or(0).checked_mul(128)? + u64::from(octet & 0x7f);
        arc = if octet & 0x80 == 0 {
            arcs.push(n);
            None
        } else {
            Some(n)
        };
    }
    let (first, rest) = arcs.split_first()?;
    if arc.is_some() || contents.len() > TEXT_OCTETS {
        return None;
    }
    let top = (first / 40).min(2);
    let mut text = format!("{top}.{}", first - top * 40);
    for arc in rest {
        text.push_str(&format!(".{arc}"));
    }
    Some(text)
}

/// Octets of an identifier that is shown in a text.
const TEXT_OCTETS: usize = 32;

#[cfg(test)]
mod tests;
