//! Keys that are refused wherever they come from: RSA with a known flaw (T-CA-15, BR 6.1.1.3), keys on the operator's list.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use num_bigint::BigUint;

use crate::key::{PublicKey, PublicKeyKind};

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The modulus has a size that is not accepted.
    #[error("its RSA modulus has {0} bits; from 2048 to 4096 in steps of 8 are accepted")]
    Size(u64),
    /// The modulus is even.
    #[error("its RSA modulus is even")]
    Even,
    /// The exponent is out of bounds.
    #[error("its RSA exponent is not an odd number from 65537 to 2^32 - 1")]
    Exponent,
    /// The modulus has a small factor.
    #[error("its RSA modulus is divisible by {0}")]
    SmallFactor(u32),
    /// The primes are close together.
    #[error("its RSA primes are so close together that Fermat's method finds them")]
    ClosePrimes,
    /// The modulus has the structure of a flawed library (CVE-2017-15361).
    #[error(
        "its RSA modulus bears the fingerprint of ROCA, the mark of a flawed library (CVE-2017-15361)"
    )]
    Roca,
    /// The key is on the list.
    #[error("it is on this CA's list of keys known to others")]
    Blocked,
}

/// Judges a key. For curves the parser has checked the point; what is left is the list.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_key(key: &PublicKey, blocked: &BlockedKeys) -> Result<(), KeyFault> {
    if blocked.contains(&key.spki_sha256()) {
        return Err(KeyFault::Blocked);
    }
    check_shape(key)?;
    if let PublicKeyKind::Rsa { modulus, .. } = key.kind() {
        check_modulus(&BigUint::from_bytes_be(modulus))?;
    }
    Ok(())
}

/// The cheap part: sizes and parity.
pub(crate) fn check_shape(key: &PublicKey) -> Result<(), KeyFault> {
    let PublicKeyKind::Rsa { modulus, exponent } = key.kind() else {
        return Ok(());
    };
    // Magnitudes come without leading zeros.
    let bits = modulus.first().map_or(0, |first| {
        u64::try_from(modulus.len()).unwrap_or(u64::MAX) * 8 - u64::from(first.leading_zeros())
    });
    if !(2048..=4096).contains(&bits) || !bits.is_multiple_of(8) {
        return Err(KeyFault::Size(bits));
    }
    if modulus.last().is_none_or(|b| b & 1 == 0) {
        return Err(KeyFault::Even);
    }
    let e = match exponent.len() {
        0..=4 => exponent.iter().fold(0, |e, b| e << 8 | u32::from(*b)),
        _ => return Err(KeyFault::Exponent),
    };
    if e < 65_537 || e.is_multiple_of(2) {
        return Err(KeyFault::Exponent);
    }
    Ok(())
}

fn check_modulus(n: &BigUint) -> Result<(), KeyFault> {
    let digits = n.to_u32_digits();
    for prime in primes_up_to(SMALL_FACTOR_MAX) {
        if residue(&digits, prime) == 0 {
            return Err(KeyFault::SmallFactor(prime));
        }
    }
    if is_roca(&digits) {
        return Err(KeyFault::Roca);
    }
    if has_close_primes(n) {
        return Err(KeyFault::ClosePrimes);
    }
    Ok(())
}

/// The Baseline Requirements ask for no prime factor smaller than 752.
const SMALL_FACTOR_MAX: u32 = 751;

/// The Baseline Requirements ask for a hundred rounds of Fermat's method.
const FERMAT_ROUNDS: u32 = 100;

fn primes_up_to(max: u32) -> impl Iterator<Item = u32> {
    (3..=max).step_by(2).filter(|n| {
        (3..)
            .step_by(2)
            .take_while(|d| d * d <= *n)
            .all(|d| n % d != 0)
    })
}

fn residue(digits: &[u32], small: u32) -> u32 {
    digits
        .iter()
        .rev()
        .fold(0_u64, |r, digit| {
            ((r << 32) | u64::from(*digit)) % u64::from(small)
        })
        .try_into()
        .unwrap_or(0)
}

/// ROCA's fingerprint (Nemec et al., CCS 2017): the modulus lies in the subgroup that 65537 generates modulo each of these
/// primes. An honest modulus does so with probability below 2^-27.
fn is_roca(digits: &[u32]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.iter().all(|&prime| {
        let target = residue(digits, prime);
        let generator = 65_537 % prime;
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * generator % prime;
            power == target
        })
    })
}

/// Fermat's method: n = a² - b² with a just above the root of n.
fn has_close_primes(n: &BigUint) -> bool {
    let mut a = n.sqrt();
    if &a * &a < *n {
        a += 1_u32;
    }
    let mut b2 = &a * &a - n;
    for _ in 0..FERMAT_ROUNDS {
        if may_be_square(&b2) {
            let b = b2.sqrt();
            if &b * &b == b2 {
                return true;
            }
        }
        b2 += &a * 2_u32 + 1_u32;
        a += 1_u32;
    }
    false
}

/// Whether a number leaves a square's residue modulo 64, 63, 65 and 11; of the others one in a hundred does. A root of a
/// thousand bits costs a thousand times as much.
fn may_be_square(n: &BigUint) -> bool {
    let rest = residue(&n.to_u32_digits(), 64 * 63 * 65 * 11);
    [64, 63, 65, 11]
        .iter()
        .all(|m| (0..*m).any(|root| root * root % m == rest % m))
}

/// Keys that are known to others, by the SHA-256 of their SubjectPublicKeyInfo.
///
/// The file has one hash a line in lower-case hexadecimal; empty lines and lines that start with `#` are skipped. Whatever
/// else stands in it is an error, for a list that silently drops entries protects nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockedKeys {
    hashes: HashSet<[u8; 32]>,
}

/// A line that is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockedKeysFault {
    /// Not 64 lower-case hexadecimal digits.
    #[error(
        "line {0}: not a SHA-256 in lower-case hexadecimal (64 digits); a comment starts with #"
    )]
    Line(usize),
    /// The same hash again: the list was put together wrongly.
    #[error("line {line}: the hash of line {first} again")]
    Twice {
        /// Where.
        line: usize,
        /// Where before.
        first: usize,
    },
}

impl BlockedKeys {
    /// Reads a list.
    ///
    /// # Errors
    /// Names the first line that is no hash.
    pub fn parse(text: &str) -> Result<Self, BlockedKeysFault> {
        let mut lines: std::collections::HashMap<[u8; 32], usize> =
            std::collections::HashMap::new();
        for (number, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l.trim_end())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let hash = HEXLOWER
                .decode(line.as_bytes())
                .ok()
                .and_then(|h| <[u8; 32]>::try_from(h).ok())
                .ok_or(BlockedKeysFault::Line(number))?;
            if let Some(first) = lines.insert(hash, number) {
                return Err(BlockedKeysFault::Twice {
                    line: number,
                    first,
                });
            }
        }
        Ok(Self {
            hashes: lines.into_keys().collect(),
        })
    }

    /// How many keys are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether the key with this hash is on it.
    #[must_use]
    pub fn contains(&self, spki_sha256: &[u8; 32]) -> bool {
        self.hashes.contains(spki_sha256)
    }
}

#[cfg(test)]
mod tests;
