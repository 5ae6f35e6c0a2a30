//! Tests of keys: the RFCs' vectors, and JWKs that must not pass.

use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;
use crate::jws::SigningKey;

const P256_JWK: &str = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
const ED25519_JWK: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn jwk(text: &str) -> Result<PublicKey, KeyFault> {
    PublicKey::from_jwk(text.as_bytes())
}

fn ec(curve: &str, x: &[u8], y: &[u8]) -> Result<PublicKey, KeyFault> {
    let (x, y) = (base64url::encode(x), base64url::encode(y));
    jwk(&format!(
        r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#
    ))
}

fn rsa(n: &[u8], e: &[u8]) -> Result<PublicKey, KeyFault> {
    let (n, e) = (base64url::encode(n), base64url::encode(e));
    jwk(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    // 8555-8.1-1, T-CA-18; RFC 7638 §3.1, RFC 8037 A.3
    let example =
        format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
    let key = jwk(&example).unwrap();
    assert_eq!(
        key.thumbprint().to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    let key = jwk(ED25519_JWK).unwrap();
    assert_eq!(
        key.thumbprint().to_string(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert_eq!(key.to_jwk(), ED25519_JWK);
}

#[test]
fn signatures_of_the_rfcs_verify() {
    // RFC 7515 A.2, A.3, A.4 and RFC 8037 A.5
    let rs256 = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
    let es512 = r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let cases = [
        (
            "RS256",
            rs256,
            format!("eyJhbGciOiJSUzI1NiJ9.{claims}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "ES256",
            P256_JWK,
            format!("eyJhbGciOiJFUzI1NiJ9.{claims}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            "ES512",
            es512,
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA".to_owned(),
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
        (
            "EdDSA",
            ED25519_JWK,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(name, key, input, signature)| {
            let key = jwk(key).unwrap();
            let signature = base64url::decode(signature).unwrap();
            key.algorithm().name() != *name
                || key.verify(input.as_bytes(), &signature).is_err()
                || key.verify(b"another text", &signature).is_ok()
        })
        .map(|(name, ..)| name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn broken_texts_are_malformed_and_refused_keys_bad() {
    // 8555-6.2-10, 8555-6.2-12, T-CA-07, T-CA-13, T-CA-16, T-CA-17
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    let ec = |rest: &str| format!(r#"{{"kty":"EC","crv":"P-256",{rest}}}"#);
    let (malformed, bad) = ("malformed", "badPublicKey");
    let cases = [
        ("no object", malformed, "[]".to_owned()),
        ("no kty", malformed, r#"{"crv":"P-256"}"#.to_owned()),
        ("no x", malformed, ec(&format!(r#""y":"{y}""#))),
        (
            "no crv",
            malformed,
            format!(r#"{{"kty":"EC","x":"{x}","y":"{y}"}}"#),
        ),
        (
            "x is a number",
            malformed,
            ec(&format!(r#""x":1,"y":"{y}""#)),
        ),
        (
            "x is null",
            malformed,
            ec(&format!(r#""x":null,"y":"{y}""#)),
        ),
        (
            "two x",
            malformed,
            ec(&format!(r#""x":"{x}","x":"{x}","y":"{y}""#)),
        ),
        (
            "duplicate in an extra member",
            malformed,
            ec(&format!(r#""x":"{x}","y":"{y}","z":{{"a":1,"a":2}}"#)),
        ),
        (
            "two kid",
            malformed,
            ec(&format!(r#""x":"{x}","y":"{y}","kid":"1","kid":"2""#)),
        ),
        (
            "padding",
            malformed,
            ec(&format!(r#""x":"{x}=","y":"{y}""#)),
        ),
        (
            "white space",
            malformed,
            ec(&format!(r#""x":"{x}\n","y":"{y}""#)),
        ),
        (
            "trailing bits",
            malformed,
            ec(&format!(r#""x":"{}V","y":"{y}""#, &x[..42])),
        ),
        (
            "the other alphabet",
            malformed,
            ec(&format!(r#""x":"{x}","y":"{}""#, y.replace('_', "/"))),
        ),
        ("trailing text", malformed, format!("{P256_JWK} 1")),
        (
            "x and y swapped",
            bad,
            ec(&format!(r#""x":"{y}","y":"{x}""#)),
        ),
        ("empty x", bad, ec(&format!(r#""x":"","y":"{y}""#))),
        (
            "31 octets",
            bad,
            ec(&format!(
                r#""x":"{}","y":"{y}""#,
                base64url::encode(&[1; 31])
            )),
        ),
        (
            "33 octets",
            bad,
            ec(&format!(
                r#""x":"{}","y":"{y}""#,
                base64url::encode(&[0; 33])
            )),
        ),
        (
            "private d",
            bad,
            ec(&format!(r#""x":"{x}","y":"{y}","d":"AA""#)),
        ),
        (
            "private d of the wrong type",
            bad,
            ec(&format!(r#""x":"{x}","y":"{y}","d":{{}}"#)),
        ),
        (
            "private p",
            bad,
            ec(&format!(r#""x":"{x}","y":"{y}","p":"AA""#)),
        ),
        (
            "private oth",
            bad,
            ec(&format!(r#""x":"{x}","y":"{y}","oth":[]"#)),
        ),
        (
            "escaped private d",
            bad,
            ec(&format!(r#""x":"{x}","y":"{y}","\u0064":"AA""#)),
        ),
        ("symmetric", bad, r#"{"kty":"oct","k":"AAAA"}"#.to_owned()),
        ("symmetric without k", bad, r#"{"kty":"oct"}"#.to_owned()),
        ("lower-case type", bad, r#"{"kty":"ec"}"#.to_owned()),
        (
            "secp256k1",
            bad,
            format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{x}","y":"{y}"}}"#),
        ),
        (
            "P-224",
            bad,
            r#"{"kty":"EC","crv":"P-224","x":"AA","y":"AA"}"#.to_owned(),
        ),
        (
            "P-384 named for P-256 numbers",
            bad,
            format!(r#"{{"kty":"EC","crv":"P-384","x":"{x}","y":"{y}"}}"#),
        ),
        ("X25519", bad, ED25519_JWK.replace("Ed25519", "X25519")),
        ("Ed448", bad, ED25519_JWK.replace("Ed25519", "Ed448")),
        (
            "short Ed25519",
            bad,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.to_owned(),
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, want, text)| {
            (
                name,
                want,
                jwk(text).map_err(|f| Problem::from(f).kind.name().to_owned()),
            )
        })
        .filter(|(_, want, got)| got.as_ref().err().map(String::as_str) != Some(**want))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn points_off_the_curve_are_refused() {
    // T-CA-16
    let p256 = BigUint::parse_bytes(
        b"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        16,
    )
    .unwrap();
    let key = jwk(P256_JWK).unwrap();
    let spki = key.to_spki_der();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    let above = |offset: u32| (&p256 + offset).to_bytes_be();
    let mut off = y.to_vec();
    off[31] ^= 1;
    // x = 5 + p fits 32 octets: the same residue, not the canonical form.
    let cases: [(&str, &[u8], &[u8]); 7] = [
        ("(0, 0)", &[0; 32], &[0; 32]),
        ("y off by one bit", x, &off),
        ("x = p", &above(0), y),
        ("x = p + 5", &above(5), &above(5)),
        ("y = 2^256 - 1", x, &[0xff; 32]),
        ("on the twist", &[2; 32], y),
        ("x = 0, y = 0 but for the last", &[0; 32], &{
            let mut y = [0; 32];
            y[31] = 1;
            y
        }),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .filter(|(_, x, y)| ec("P-256", x, y) != Err(KeyFault::Point))
        .map(|(name, ..)| name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for (curve, width) in [("P-384", 48), ("P-521", 66)] {
        assert_eq!(
            ec(curve, &vec![0; width], &vec![0; width]),
            Err(KeyFault::Point),
            "{curve}"
        );
        assert_eq!(
            ec(curve, &vec![0xff; width], &vec![0xff; width]),
            Err(KeyFault::Point),
            "{curve}"
        );
        assert!(matches!(
            ec(curve, &vec![1; width - 1], &vec![1; width]),
            Err(KeyFault::Width("x"))
        ));
    }
}

#[test]
fn ed25519_points_of_small_order_and_other_texts_of_a_point_are_refused() {
    // T-CA-16
    let prime = (BigUint::from(1_u8) << 255_u32) - 19_u8;
    let little = |number: &BigUint| {
        let mut bytes = number.to_bytes_le();
        bytes.resize(32, 0);
        <[u8; 32]>::try_from(bytes).unwrap()
    };
    let hex = |text: &str| {
        <[u8; 32]>::try_from(data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()).unwrap()
    };
    let mut points = vec![
        ("y = 0", little(&BigUint::from(0_u8))),
        ("y = 1", little(&BigUint::from(1_u8))),
        ("y = -1", little(&(&prime - 1_u8))),
        (
            "order 8, first",
            hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ),
        (
            "order 8, second",
            hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ),
        ("y = p", little(&prime)),
        ("y = p + 1", little(&(&prime + 1_u8))),
        ("y = p + 4", little(&(&prime + 4_u8))),
        (
            "y = 2^255 - 1",
            little(&((BigUint::from(1_u8) << 255_u32) - 1_u8)),
        ),
    ];
    for (_, point) in points.clone() {
        let mut negative = point;
        negative[31] |= 0x80;
        points.push(("with the sign of x set", negative));
    }
    let accepted: Vec<_> = points
        .iter()
        .filter(|(_, point)| PublicKey::from_ed25519(point) != Err(KeyFault::Point))
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn rsa_numbers_are_bounded_and_exact() {
    // T-CA-15 (sizes, exponents, parity, leading zeros), T-CA-112 (size)
    let n = base64url::decode(RSA_N).unwrap();
    let with_zero = [&[0], n.as_slice()].concat();
    let mut even = n.clone();
    even[255] &= 0xfe;
    let of_bits = |bits: u64| ((BigUint::from(1_u8) << (bits - 1)) + 1_u8).to_bytes_be();
    let f4: &[u8] = &[1, 0, 1];
    let cases: [(&str, &[u8], &[u8]); 15] = [
        ("leading zero in n", &with_zero, f4),
        ("leading zero in e", &n, &[0, 1, 0, 1]),
        ("n even", &even, f4),
        ("n of 2047 bits", &of_bits(2047), f4),
        ("n of 1024 bits", &of_bits(1024), f4),
        ("n of 4097 bits", &of_bits(4097), f4),
        ("n of 16384 bits", &of_bits(16_384), f4),
        ("n empty", &[], f4),
        ("e empty", &n, &[]),
        ("e = 1", &n, &[1]),
        ("e = 2", &n, &[2]),
        ("e = 3", &n, &[3]),
        ("e even", &n, &[1, 0, 0]),
        ("e = 2^32 + 1", &n, &[1, 0, 0, 0, 1]),
        ("e of 4096 bits", &n, &of_bits(4096)),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, n, e)| (name, rsa(n, e).map_err(Problem::from)))
        .filter(|(_, got)| !got.as_ref().is_err_and(|p| p.kind.name() == "badPublicKey"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    for bits in [2048, 3072, 4096] {
        assert!(rsa(&of_bits(bits), f4).is_ok(), "{bits}");
    }
    let key = rsa(&n, f4).unwrap();
    assert_eq!(
        (key.modulus(), key.exponent()),
        (Some(n.as_slice()), Some(f4))
    );
}

#[test]
fn the_text_of_a_jwk_does_not_change_its_identity() {
    // T-CA-18
    let key = jwk(P256_JWK).unwrap();
    let reordered = P256_JWK.replace(r#""crv":"P-256","kty":"EC","#, "").replace(
        '}',
        r#", "use":"sig","kid":"1","alg":"ES384","key_ops":["verify"],"x5c":[{"a":{}}],"\u006bty":"EC","crv":"P\u002d256" }"#,
    );
    let same = jwk(&reordered).unwrap();
    assert_eq!(same, key);
    assert_eq!(same.to_jwk(), P256_JWK);
}

#[test]
fn a_leaked_key_can_be_named_for_the_blocklist() {
    // T-CA-17: the fault names the member, the public half is at hand, neither shows the secret
    let leaked = P256_JWK.replace(
        '}',
        r#","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
    );
    let fault = jwk(&leaked).unwrap_err();
    assert_eq!(fault, KeyFault::PrivateMember("d"));
    assert!(!format!("{fault} {fault:?}").contains("jpsQ"));
    assert_eq!(
        PublicKey::from_leaked_jwk(leaked.as_bytes()).unwrap(),
        jwk(P256_JWK).unwrap()
    );
}

#[test]
fn spki_is_what_the_library_writes() {
    use aws_lc_rs::encoding::AsDer as _;
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(*algorithm)
            .unwrap()
            .public_key()
            .clone();
        let der = key.0.verifier.as_der().unwrap();
        assert_eq!(key.to_spki_der(), der.as_ref(), "{algorithm}");
        assert_eq!(jwk(&key.to_jwk()).unwrap(), key, "{algorithm}");
        assert_eq!(key.algorithm(), *algorithm);
    }
}

#[test]
fn algorithms_are_a_closed_list_of_exact_names() {
    // T-CA-01, T-CA-02, 8555-6.2-4, 8555-6.2-8
    let names: Vec<_> = Algorithm::ALL
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    assert_eq!(names, Algorithm::NAMES);
    for name in [
        "none", "None", "NONE", "", "HS256", "HS512", "es256", "ES256K", "PS256", "RS384",
        "Ed25519", "ES256 ",
    ] {
        assert_eq!(Algorithm::from_name(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = PublicKey::from_jwk(&bytes);
        let _ = rsa_components(&bytes);
        if let Some(point) = bytes.first_chunk() {
            let _ = PublicKey::from_ed25519(point);
        }
    }

    #[test]
    fn random_coordinates_are_refused_or_read_back(x in any::<[u8; 32]>(), y in any::<[u8; 32]>()) {
        if let Ok(key) = ec("P-256", &x, &y) {
            prop_assert_eq!(jwk(&key.to_jwk()).unwrap(), key);
        }
    }

    #[test]
    fn odd_numbers_of_size_read_back_exactly(mut n in proptest::collection::vec(any::<u8>(), 256..=512)) {
        n[0] |= 0x80;
        *n.last_mut().unwrap() |= 1;
        let key = rsa(&n, &[1, 0, 1]).unwrap();
        prop_assert_eq!(key.modulus().unwrap(), n.as_slice());
        let body = spki_body(&key);
        prop_assert_eq!(rsa_components(&body).unwrap(), (n.as_slice(), &[1_u8, 0, 1][..]));
    }
}

/// The RSAPublicKey inside of a SubjectPublicKeyInfo of more than 256 octets.
fn spki_body(key: &PublicKey) -> Vec<u8> {
    // SEQUENCE header (4), algorithm (15), BIT STRING header (4) and its unused bits (1)
    key.to_spki_der()[24..].to_vec()
}
