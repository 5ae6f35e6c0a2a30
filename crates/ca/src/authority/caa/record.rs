//! One CAA record: its bytes and its text (RFC 8659 §4.1).

use std::fmt;

/// A CAA record whose form is right; what it says is another matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaRecord {
    flags: u8,
    tag: String,
    value: Vec<u8>,
}

/// Why the octets are no CAA record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Shorter than its own tag.
    #[error("a CAA record ends before its tag does")]
    Short,
    /// No tag at all.
    #[error("a CAA record without a tag")]
    NoTag,
    /// A tag has letters and digits only.
    #[error("a CAA record whose tag has other characters than letters and digits")]
    Tag,
}

impl CaaRecord {
    /// Reads RDATA.
    ///
    /// # Errors
    /// [`BadRecord`]; a set with such a record permits nothing (T-CA-87).
    pub fn parse(rdata: &[u8]) -> Result<Self, BadRecord> {
        let [flags, length, rest @ ..] = rdata else {
            return Err(BadRecord::Short);
        };
        let (tag, value) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(BadRecord::Short)?;
        if tag.is_empty() {
            return Err(BadRecord::NoTag);
        }
        if !tag.iter().all(u8::is_ascii_alphanumeric) {
            return Err(BadRecord::Tag);
        }
        Ok(Self {
            flags: *flags,
            tag: tag.iter().map(|octet| char::from(*octet)).collect(),
            value: value.to_vec(),
        })
    }

    /// The octets again.
    #[must_use]
    pub fn to_rdata(&self) -> Vec<u8> {
        // A tag came from a length of one octet.
        let length = u8::try_from(self.tag.len()).unwrap_or(u8::MAX);
        [&[self.flags, length], self.tag.as_bytes(), &self.value].concat()
    }

    /// Bit 0, the most significant one. The other seven mean nothing, whatever they meant in drafts (RFC 8659 §4.1).
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// The tag as it was sent.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Tags compare without case.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tag.eq_ignore_ascii_case(tag)
    }

    /// The value's octets.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

/// As a zone file has it, `0 issue "ca.example"`; foreign octets escaped, long values cut.
impl fmt::Display for CaaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} \"", self.flags, self.tag)?;
        for octet in self.value.iter().take(VALUE_SHOWN) {
            match octet {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
                b' '..=b'~' => write!(f, "{}", char::from(*octet))?,
                octet => write!(f, "\\{octet:03}")?,
            }
        }
        f.write_str(if self.value.len() > VALUE_SHOWN {
            "…\""
        } else {
            "\""
        })
    }
}

/// Octets of a value in a text: room for an account's URL and more.
const VALUE_SHOWN: usize = 256;
