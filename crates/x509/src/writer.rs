//! A small DER writer: tags, lengths and the few primitives that certificates and CRLs are made of (X.690 §10).

/// Universal and context tags as they appear on the wire.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// ENUMERATED.
    pub const ENUMERATED: u8 = 0x0a;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// PrintableString.
    pub const PRINTABLE_STRING: u8 = 0x13;
    /// IA5String.
    pub const IA5_STRING: u8 = 0x16;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// SET.
    pub const SET: u8 = 0x31;

    /// A context tag of a primitive.
    #[must_use]
    pub const fn context(number: u8) -> u8 {
        0x80 | number
    }

    /// A context tag of a constructed value.
    #[must_use]
    pub const fn constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// Bytes in the making.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts with room for this many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Copies DER that is there already.
    pub fn raw(&mut self, der: &[u8]) {
        self.out.extend_from_slice(der);
    }

    /// A value with these contents.
    pub fn value(&mut self, tag: u8, contents: &[u8]) {
        self.out.push(tag);
        self.length(contents.len());
        self.out.extend_from_slice(contents);
    }

    /// A value whose contents are written by `body`.
    pub fn nest(&mut self, tag: u8, body: impl FnOnce(&mut Self)) {
        self.out.push(tag);
        let start = self.out.len();
        // Most values are short; a longer one moves over for its length.
        self.out.push(0);
        body(self);
        let length = self.out.len() - start - 1;
        if length < 0x80 {
            self.out[start] = u8::try_from(length).unwrap_or(0);
        } else {
            let bytes = length.to_be_bytes();
            let first = bytes
                .iter()
                .position(|b| *b != 0)
                .unwrap_or(bytes.len() - 1);
            let octets = &bytes[first..];
            self.out[start] = 0x80 | u8::try_from(octets.len()).unwrap_or(0);
            self.out
                .splice(start + 1..start + 1, octets.iter().copied());
        }
    }

    fn length(&mut self, length: usize) {
        if length < 0x80 {
            self.out.push(u8::try_from(length).unwrap_or(0));
            return;
        }
        let bytes = length.to_be_bytes();
        let first = bytes
            .iter()
            .position(|b| *b != 0)
            .unwrap_or(bytes.len() - 1);
        self.out
            .push(0x80 | u8::try_from(bytes.len() - first).unwrap_or(0));
        self.out.extend_from_slice(&bytes[first..]);
    }

    /// A non-negative INTEGER from big-endian octets.
    pub fn unsigned(&mut self, magnitude: &[u8]) {
        let first = magnitude
            .iter()
            .position(|b| *b != 0)
            .unwrap_or(magnitude.len());
        let digits = &magnitude[first..];
        self.nest(tag::INTEGER, |w| {
            if digits.first().is_none_or(|b| b & 0x80 != 0) {
                w.out.push(0);
            }
            w.out.extend_from_slice(digits);
        });
    }

    /// A BIT STRING of whole octets.
    pub fn bit_string(&mut self, octets: &[u8]) {
        self.nest(tag::BIT_STRING, |w| {
            w.out.push(0);
            w.out.extend_from_slice(octets);
        });
    }

    /// A named-bit list of up to eight bits, the first the most significant, without trailing zeros.
    pub fn named_bits(&mut self, bits: u8) {
        let unused = if bits == 0 { 0 } else { bits.trailing_zeros() };
        let unused = u8::try_from(unused).unwrap_or(0);
        if bits == 0 {
            self.value(tag::BIT_STRING, &[0])
        } else {
            self.value(tag::BIT_STRING, &[unused, bits])
        }
    }

    /// TRUE; FALSE is left out where it is the default.
    pub fn yes(&mut self) {
        self.value(tag::BOOLEAN, &[0xff]);
    }

    /// A time: UTCTime through 2049, GeneralizedTime after (RFC 5280 §4.1.2.5).
    pub fn time(&mut self, seconds: i64) {
        let (year, month, day, of_day) = civil(seconds);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        if (1950..2050).contains(&year) {
            let text = format!(
                "{:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z",
                year.rem_euclid(100)
            );
            self.value(tag::UTC_TIME, text.as_bytes());
        } else {
            let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
            self.value(tag::GENERALIZED_TIME, text.as_bytes());
        }
    }
}

/// Year, month, day and second of the day, by the proleptic Gregorian calendar.
pub(crate) fn civil(seconds: i64) -> (i64, i64, i64, i64) {
    let days = seconds.div_euclid(86_400);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, day, seconds.rem_euclid(86_400))
}
