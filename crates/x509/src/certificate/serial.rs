//! Serial numbers: 19 octets, positive, unpredictable (RFC 5280 §4.1.2.2, R-12).

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;

/// One octet of restore epoch (0x01 to 0x7f, so that the number is positive), two of day, 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 19]);

/// No serial of this CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a serial number of this CA: 38 lower-case hexadecimal digits")]
pub struct BadSerial;

impl Serial {
    /// Puts a serial together; an epoch outside 1 to 127 is folded into it.
    #[must_use]
    pub fn new(epoch: u8, day: u16, random: [u8; 16]) -> Self {
        let mut octets = [0; 19];
        octets[0] = (epoch & 0x7f).max(1);
        octets[1..3].copy_from_slice(&day.to_be_bytes());
        octets[3..].copy_from_slice(&random);
        Self(octets)
    }

    /// Takes the stored form.
    #[must_use]
    pub fn from_bytes(octets: [u8; 19]) -> Option<Self> {
        (1..=0x7f).contains(&octets[0]).then_some(Self(octets))
    }

    /// The stored form, and the INTEGER's contents.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 19] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = BadSerial;

    fn from_str(text: &str) -> Result<Self, BadSerial> {
        let octets = HEXLOWER.decode(text.as_bytes()).map_err(|_| BadSerial)?;
        octets
            .try_into()
            .ok()
            .and_then(Self::from_bytes)
            .ok_or(BadSerial)
    }
}
