use std::fs;

use super::{
    BlockedKeys, BlockedKeysFault, FERMAT_ROUNDS, KeyFault, check_key, has_close_primes,
    may_be_square,
};
use crate::{
    key::{KeyKind, PrivateKey, PublicKey},
    oid,
    samples::{path, public},
    writer::{Writer, tag},
};
use data_encoding::HEXLOWER;
use num_bigint::BigUint;
use proptest::prelude::*;

fn rsa(n: &BigUint, e: &BigUint) -> PublicKey {
    let mut key = Writer::default();
    key.nest(tag::SEQUENCE, |w| {
        w.unsigned(&n.to_bytes_be());
        w.unsigned(&e.to_bytes_be());
    });
    let key = key.finish();
    let mut w = Writer::default();
    w.nest(tag::SEQUENCE, |w| {
        w.nest(tag::SEQUENCE, |w| {
            w.value(tag::OID, oid::RSA);
            w.value(tag::NULL, &[]);
        });
        w.bit_string(&key);
    });
    PublicKey::from_spki_der(&w.finish()).unwrap()
}

fn modulus(name: &str) -> BigUint {
    let text = fs::read_to_string(path(&format!("keys/{name}.hex"))).unwrap();
    BigUint::parse_bytes(text.trim().as_bytes(), 16).unwrap()
}

fn sample() -> BigUint {
    match public("leaf-rsa2048").kind() {
        crate::key::PublicKeyKind::Rsa { modulus, .. } => BigUint::from_bytes_be(modulus),
        _ => unreachable!(),
    }
}

#[test]
fn rsa_keys_with_a_known_flaw_are_refused() {
    // T-CA-15
    // BR-6.1.1.3-1
    let good = sample();
    let e = BigUint::from(65_537_u32);
    let of = |text: &str| BigUint::parse_bytes(text.as_bytes(), 10).unwrap();
    // A modulus of 2048 bits with this factor and none smaller.
    let with_factor = |factor: u32| {
        let mut n =
            (BigUint::from(1_u32) << 2047_u32) + &good % &(BigUint::from(1_u32) << 2040_u32);
        loop {
            let smaller = (2..factor).any(|d| &n % d == BigUint::ZERO);
            if &n % factor == BigUint::ZERO && !smaller {
                return n;
            }
            n += 1_u32;
        }
    };
    let one = BigUint::from(1_u32);
    let cases: Vec<(&str, BigUint, BigUint, Option<KeyFault>)> = vec![
        ("an honest key", good.clone(), e.clone(), None),
        ("e = 2^32 - 1", good.clone(), of("4294967295"), None),
        (
            "e = 0",
            good.clone(),
            BigUint::ZERO,
            Some(KeyFault::Exponent),
        ),
        ("e = 1", good.clone(), of("1"), Some(KeyFault::Exponent)),
        ("e = 2", good.clone(), of("2"), Some(KeyFault::Exponent)),
        ("e = 3", good.clone(), of("3"), Some(KeyFault::Exponent)),
        (
            "e = 65535",
            good.clone(),
            of("65535"),
            Some(KeyFault::Exponent),
        ),
        (
            "e = 65538",
            good.clone(),
            of("65538"),
            Some(KeyFault::Exponent),
        ),
        (
            "e = 2^32 + 1",
            good.clone(),
            of("4294967297"),
            Some(KeyFault::Exponent),
        ),
        (
            "e = 2^4096",
            good.clone(),
            &one << 4096_u32,
            Some(KeyFault::Exponent),
        ),
        ("n = 0", BigUint::ZERO, e.clone(), Some(KeyFault::Size(0))),
        (
            "n of 1024 bits",
            &good >> 1024_u32 | &one,
            e.clone(),
            Some(KeyFault::Size(1024)),
        ),
        (
            "n of 2047 bits",
            &good >> 1_u32 | &one,
            e.clone(),
            Some(KeyFault::Size(2047)),
        ),
        (
            "n of 2049 bits",
            &good << 1_u32 | &one,
            e.clone(),
            Some(KeyFault::Size(2049)),
        ),
        (
            "n of 4104 bits",
            &good << 2056_u32 | &one,
            e.clone(),
            Some(KeyFault::Size(4104)),
        ),
        ("n even", &good - &one, e.clone(), Some(KeyFault::Even)),
        (
            "n with factor 3",
            with_factor(3),
            e.clone(),
            Some(KeyFault::SmallFactor(3)),
        ),
        (
            "n with factor 751",
            with_factor(751),
            e.clone(),
            Some(KeyFault::SmallFactor(751)),
        ),
        (
            "ROCA",
            modulus("modulus-roca"),
            e.clone(),
            Some(KeyFault::Roca),
        ),
        (
            "close primes",
            modulus("modulus-close-primes"),
            e.clone(),
            Some(KeyFault::ClosePrimes),
        ),
    ];
    let none = BlockedKeys::default();
    let faults: Vec<_> = cases
        .iter()
        .filter(|(_, n, e, fault)| check_key(&rsa(n, e), &none).err() != *fault)
        .map(|(name, n, e, _)| (name, check_key(&rsa(n, e), &none)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_modulus_with_leading_zeros_is_no_key() {
    // T-CA-15
    let der = public("leaf-rsa2048").spki_der().to_vec();
    // INTEGER of 257 octets: 00 and 256 of magnitude; now 00 00 and 255.
    let at = der
        .windows(4)
        .position(|w| w == [0x02, 0x82, 0x01, 0x01])
        .unwrap();
    let mut wrong = der.clone();
    wrong[at + 5] = 0;
    assert!(PublicKey::from_spki_der(&wrong).is_err());
    wrong[at + 4] = 0x80;
    assert!(
        PublicKey::from_spki_der(&wrong).is_err(),
        "a negative modulus"
    );
}

#[test]
fn fresh_keys_of_every_kind_pass() {
    let none = BlockedKeys::default();
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        let key = PrivateKey::generate(kind).unwrap();
        let key = PublicKey::from_spki_der(key.spki_der()).unwrap();
        assert_eq!(check_key(&key, &none), Ok(()), "{kind}");
    }
}

proptest! {
    #[test]
    fn no_square_is_sifted_out(root in any::<u128>()) {
        prop_assert!(may_be_square(&(BigUint::from(root) * BigUint::from(root))));
    }

    #[test]
    fn fermat_finds_what_its_rounds_reach(mean in (1_u64 << 40)..(1 << 50), distance in 1_u64..(1 << 23)) {
        let (p, q) = ((mean - distance) | 1, (mean + distance) | 1);
        let n = BigUint::from(p) * BigUint::from(q);
        let mut least = n.sqrt();
        if &least * &least < n {
            least += 1_u32;
        }
        let reached = BigUint::from((p + q) / 2) < least + FERMAT_ROUNDS;
        prop_assert!(!reached || has_close_primes(&n));
    }

    #[test]
    fn no_text_makes_the_list_panic_or_lose_a_line(text in "([0-9a-f]{60,66}|#[ -~]{0,9}|[ -~]{0,70}|)(\r?\n([0-9a-f]{64}|# x|)){0,5}") {
        //
        if let Ok(list) = BlockedKeys::parse(&text) {
            let hashes = text.lines().filter(|l| !l.trim_end().is_empty() && !l.starts_with('#')).count();
            prop_assert_eq!(list.len(), hashes);
        }
    }
}

#[test]
fn listed_keys_of_every_type_are_refused() {
    //
    let keys = [public("leaf-p256"), public("leaf-rsa2048")];
    let text: String = keys
        .iter()
        .map(|k| format!("{}\n", HEXLOWER.encode(&k.spki_sha256())))
        .collect();
    let list = BlockedKeys::parse(&format!("# known to others\n\n{text}")).unwrap();
    for key in &keys {
        assert_eq!(check_key(key, &list), Err(KeyFault::Blocked));
    }
    assert_eq!(check_key(&public("other-p256"), &list), Ok(()));
}

#[test]
fn a_list_has_as_many_keys_as_lines_and_names_a_wrong_one() {
    //
    let hash = |n: u8| HEXLOWER.encode(&[n; 32]);
    let text = format!("# head\r\n{}\r\n\r\n{}\n{}", hash(1), hash(2), hash(3));
    let list = BlockedKeys::parse(&text).unwrap();
    assert_eq!(list.len(), 3);
    assert!((1..=3).all(|n| list.contains(&[n; 32])));
    assert!(BlockedKeys::parse("").unwrap().is_empty());

    let bad: Vec<(&str, String)> = vec![
        ("upper case", hash(0xab).to_uppercase()),
        ("short", hash(1)[1..].to_owned()),
        ("an octet short", hash(1)[2..].to_owned()),
        ("an octet long", hash(1) + "00"),
        ("0x", format!("0x{}", hash(1))),
        ("colons", "01:".repeat(31) + "01"),
        ("openssl's form", format!("SHA2-256(key)= {}", hash(1))),
        ("a comment behind", format!("{} # why", hash(1))),
        ("indented", format!("  {}", hash(1))),
        (
            "base64",
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned(),
        ),
        ("byte order mark", format!("\u{feff}{}", hash(1))),
        (
            "a Debian list's half fingerprint",
            "d9b3db8c7e4d8e1bd4b0".to_owned(),
        ),
        ("letters", "z".repeat(64)),
    ];
    let faults: Vec<_> = bad
        .iter()
        .filter(|(_, line)| {
            let text = format!("# head\n{}\n{line}\n{}\n", hash(7), hash(8));
            BlockedKeys::parse(&text) != Err(BlockedKeysFault::Line(3))
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(
        faults.is_empty(),
        "read, or told for another line: {faults:?}"
    );
    let text = format!("{}\n#\n{}\n", hash(1), hash(1));
    assert_eq!(
        BlockedKeys::parse(&text),
        Err(BlockedKeysFault::Twice { line: 3, first: 1 })
    );
}
