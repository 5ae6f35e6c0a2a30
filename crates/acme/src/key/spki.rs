//! SubjectPublicKeyInfo in DER, RSAPublicKey out of DER, and what makes an Ed25519 point a key.

use super::{Curve, Material};

/// SEQUENCE { SEQUENCE { ecPublicKey, curve }, BIT STRING header }, up to the point (RFC 5480).
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const P521: &[u8] = &[
    0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05,
    0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00,
];
/// The same for Ed25519 (RFC 8410).
const ED25519: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// SEQUENCE { rsaEncryption, NULL } (RFC 3279 §2.3.1).
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

pub(super) fn encode(material: &Material) -> Vec<u8> {
    match material {
        Material::Ec {
            curve: Curve::P256,
            point,
        } => [P256, point].concat(),
        Material::Ec {
            curve: Curve::P384,
            point,
        } => [P384, point].concat(),
        Material::Ec {
            curve: Curve::P521,
            point,
        } => [P521, point].concat(),
        Material::Ed25519(bytes) => [ED25519, bytes].concat(),
        Material::Rsa { n, e } => {
            let key = tlv(SEQUENCE, &[&integer(n), &integer(e)]);
            tlv(SEQUENCE, &[RSA_ALGORITHM, &tlv(BIT_STRING, &[&[0], &key])])
        }
    }
}

fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|first| first & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    tlv(INTEGER, &[sign, number])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = Vec::with_capacity(length + 5);
    der.push(tag);
    let octets = length.to_be_bytes();
    if length < 0x80 {
        der.extend(octets.last());
    } else {
        let significant = octets.iter().skip_while(|octet| **octet == 0);
        der.push(0x80 | significant.clone().fold(0, |count, _| count + 1));
        der.extend(significant);
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017 A.1.1) that our own library wrote.
pub(crate) fn rsa_components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = value(SEQUENCE, der)?;
    let (n, after) = value(INTEGER, sequence)?;
    let (e, end) = value(INTEGER, after)?;
    let unsigned = |number: &'_ [u8]| number.iter().take_while(|octet| **octet == 0).count();
    (rest.is_empty() && end.is_empty()).then_some(())?;
    Some((n.get(unsigned(n)..)?, e.get(unsigned(e)..)?))
}

fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    if length < 0x80 {
        return rest.split_at_checked(length.into());
    }
    let (octets, rest) = rest.split_at_checked((length & 0x7f).into())?;
    let length = octets
        .iter()
        .fold(0_usize, |sum, &octet| (sum << 8) | usize::from(octet));
    rest.split_at_checked(length)
}

/// The y coordinates of the eight points of small order, little-endian: 0, 1, -1 and the two of order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
];

/// Whether octets are the canonical form of a y coordinate whose point has not a small order. That the point exists
/// is left to the verification, which fails without one.
pub(super) fn is_sound_ed25519(bytes: &[u8; 32]) -> bool {
    // The top bit is the sign of x.
    let mut y = *bytes;
    if let Some(top) = y.last_mut() {
        *top &= 0x7f;
    }
    // The prime is 2^255 - 19: the octets 0xed, 0xff …, 0x7f.
    let [low, middle @ .., top] = &y;
    let below_prime = *low < 0xed || *top < 0x7f || middle.iter().any(|octet| *octet != 0xff);
    below_prime && !SMALL_ORDER.contains(&y)
}
