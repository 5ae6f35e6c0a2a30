//! Strict DER reading: definite minimal lengths, single-octet tags, nothing left over.

use crate::writer::tag;

/// Bytes that are no DER, or not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerFault {
    /// The value ends before its length.
    #[error("the DER ends too early")]
    Truncated,
    /// A length is indefinite, too long or not minimal.
    #[error("a DER length is not in its one allowed form")]
    Length,
    /// Another tag was expected.
    #[error("the DER has tag {found:#04x} where {expected:#04x} belongs")]
    Tag {
        /// Which tag.
        expected: u8,
        /// Which one there is.
        found: u8,
    },
    /// Bytes follow where the value should end.
    #[error("bytes follow the DER value")]
    Trailing,
    /// The contents break the type's rules.
    #[error("a DER value is not in its one allowed form")]
    Value,
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// One value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// Its tag octet.
    pub tag: u8,
    /// Its contents.
    pub contents: &'a [u8],
    /// All of it, header included.
    pub whole: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next tag.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value, whatever it is.
    ///
    /// # Errors
    /// When it is not DER.
    pub fn any(&mut self) -> Result<Value<'a>, DerFault> {
        let (&tag, after) = self.rest.split_first().ok_or(DerFault::Truncated)?;
        if tag & 0x1f == 0x1f {
            return Err(DerFault::Value);
        }
        let (&first, mut after) = after.split_first().ok_or(DerFault::Truncated)?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 {
                return Err(DerFault::Length);
            }
            let (octets, rest) = after.split_at_checked(count).ok_or(DerFault::Truncated)?;
            after = rest;
            let length = octets
                .iter()
                .fold(0_usize, |n, b| (n << 8) | usize::from(*b));
            if length < 0x80 || octets.first() == Some(&0) {
                return Err(DerFault::Length);
            }
            length
        };
        let (contents, rest) = after.split_at_checked(length).ok_or(DerFault::Truncated)?;
        let header = self.rest.len() - after.len();
        let whole = self
            .rest
            .get(..header + length)
            .ok_or(DerFault::Truncated)?;
        self.rest = rest;
        Ok(Value {
            tag,
            contents,
            whole,
        })
    }

    /// The next value, which must have this tag.
    ///
    /// # Errors
    /// When it has another or is not DER.
    pub fn expect(&mut self, expected: u8) -> Result<Value<'a>, DerFault> {
        match self.peek() {
            None => Err(DerFault::Truncated),
            Some(found) if found != expected => Err(DerFault::Tag { expected, found }),
            Some(_) => self.any(),
        }
    }

    /// The next value if it has this tag.
    ///
    /// # Errors
    /// When it is not DER.
    pub fn optional(&mut self, wanted: u8) -> Result<Option<Value<'a>>, DerFault> {
        if self.peek() == Some(wanted) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The contents of the next value, to be read on their own.
    ///
    /// # Errors
    /// When it has another tag or is not DER.
    pub fn enter(&mut self, expected: u8) -> Result<Self, DerFault> {
        Ok(Self::new(self.expect(expected)?.contents))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When something is left.
    pub fn end(&self) -> Result<(), DerFault> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DerFault::Trailing)
        }
    }

    /// A BOOLEAN, FF or 00 only.
    ///
    /// # Errors
    /// When it is none.
    pub fn boolean(&mut self) -> Result<bool, DerFault> {
        match self.expect(tag::BOOLEAN)?.contents {
            [0xff] => Ok(true),
            [0] => Ok(false),
            _ => Err(DerFault::Value),
        }
    }

    /// The magnitude of a non-negative minimal INTEGER, without its sign octet.
    ///
    /// # Errors
    /// When it is negative, not minimal or none.
    pub fn unsigned(&mut self) -> Result<&'a [u8], DerFault> {
        match self.expect(tag::INTEGER)?.contents {
            [] => Err(DerFault::Value),
            [0] => Ok(&[]),
            [0, next, ..] if next & 0x80 == 0 => Err(DerFault::Value),
            [0, rest @ ..] => Ok(rest),
            [first, ..] if first & 0x80 != 0 => Err(DerFault::Value),
            all => Ok(all),
        }
    }

    /// The octets of a BIT STRING without unused bits.
    ///
    /// # Errors
    /// When it is none or has unused bits.
    pub fn bit_string(&mut self) -> Result<&'a [u8], DerFault> {
        match self.expect(tag::BIT_STRING)?.contents.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(DerFault::Value),
        }
    }

    /// A time as seconds of the epoch, in the form that RFC 5280 §4.1.2.5 demands for its year.
    ///
    /// # Errors
    /// When it is in another form.
    pub fn time(&mut self) -> Result<i64, DerFault> {
        let value = self.any()?;
        let digits = value.contents.strip_suffix(b"Z").ok_or(DerFault::Value)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(DerFault::Value);
        }
        let number = |range: std::ops::Range<usize>| -> Result<i64, DerFault> {
            Ok(digits
                .get(range)
                .ok_or(DerFault::Value)?
                .iter()
                .fold(0, |n, d| n * 10 + i64::from(d - b'0')))
        };
        let (year, at) = match (value.tag, digits.len()) {
            (tag::UTC_TIME, 12) => {
                let short = number(0..2)?;
                (
                    if short < 50 {
                        2000 + short
                    } else {
                        1900 + short
                    },
                    2,
                )
            }
            (tag::GENERALIZED_TIME, 14) => {
                let year = number(0..4)?;
                if (1950..2050).contains(&year) {
                    return Err(DerFault::Value);
                }
                (year, 4)
            }
            _ => return Err(DerFault::Value),
        };
        let (month, day) = (number(at..at + 2)?, number(at + 2..at + 4)?);
        let (hour, minute, second) = (
            number(at + 4..at + 6)?,
            number(at + 6..at + 8)?,
            number(at + 8..at + 10)?,
        );
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        // Written again it must be the same: no 31 February, no hour 24.
        let mut again = crate::writer::Writer::default();
        again.time(seconds);
        if again.finish() == value.whole {
            Ok(seconds)
        } else {
            Err(DerFault::Value)
        }
    }
}

/// Reads one value that is all there is.
///
/// # Errors
/// When it has another tag, is not DER, or bytes follow.
pub fn only(bytes: &[u8], expected: u8) -> Result<Value<'_>, DerFault> {
    let mut reader = Reader::new(bytes);
    let value = reader.expect(expected)?;
    reader.end()?;
    Ok(value)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests;
