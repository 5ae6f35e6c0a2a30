//! The answer of a validated web server as bytes (RFC 9112); pure, strict, and a fuzz target.

use super::trace::excerpt;

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The minor version: HTTP/1.0 or HTTP/1.1.
    pub minor: u8,
    /// Names in lower case, values without the white space around them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// How many octets the head takes.
    pub length: usize,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpFault {
    /// The first octets are not those of HTTP/1; HTTP/0.9, HTTP/2 and other protocols.
    #[error("no HTTP/1 answer but \"{0}\"")]
    NotHttp(String),
    /// The head breaks the grammar.
    #[error("a malformed HTTP head ({0})")]
    Malformed(&'static str),
    /// The head is longer than read.
    #[error("an HTTP head of more than {HEAD_MAX} octets")]
    HeadTooLong,
    /// More 1xx answers than read.
    #[error("more than {INTERIM_MAX} interim answers")]
    TooManyInterim,
    /// A content coding was used though none was offered.
    #[error("a body with content coding, though none was offered")]
    Encoded,
    /// The framing of the body is contradictory or not understood.
    #[error("a body whose length is unclear ({0})")]
    Framing(&'static str),
    /// The connection ended within the answer.
    #[error("the connection ended before the answer did")]
    Short,
    /// The connection failed.
    #[error("the connection broke ({0})")]
    Broken(String),
    /// The time was over.
    #[error("no complete answer in time")]
    Timeout,
}

impl HttpFault {
    /// Tells whether asking again in some seconds may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Short | Self::Broken(_) | Self::Timeout)
    }
}

impl Head {
    /// Gives the value of a header that stands once; two of a kind count as none.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_slice());
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }

    /// Tells how the body ends (RFC 9112 section 6.3).
    ///
    /// # Errors
    ///
    /// [`HttpFault::Framing`] for what a request smuggler would send, [`HttpFault::Encoded`] for a
    /// compressed body.
    pub fn framing(&self) -> Result<Framing, HttpFault> {
        for value in self.values("content-encoding") {
            if !value.is_empty() && !value.eq_ignore_ascii_case(b"identity") {
                return Err(HttpFault::Encoded);
            }
        }
        let codings: Vec<&[u8]> = self.values("transfer-encoding").collect();
        let mut length = None;
        for value in self.values("content-length") {
            let parsed = parse_length(value)?;
            if length.is_some_and(|before| before != parsed) {
                return Err(HttpFault::Framing("two values of Content-Length"));
            }
            length = Some(parsed);
        }
        if self.status == 204 || self.status == 304 {
            return Ok(Framing::Length(0));
        }
        match (codings.as_slice(), length) {
            ([], Some(length)) => Ok(Framing::Length(length)),
            ([], None) => Ok(Framing::Close),
            (_, Some(_)) => Err(HttpFault::Framing("Transfer-Encoding and Content-Length")),
            ([coding], None) if coding.eq_ignore_ascii_case(b"chunked") && self.minor == 1 => {
                Ok(Framing::Chunked)
            }
            _ => Err(HttpFault::Framing("a transfer coding other than chunked")),
        }
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many octets.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Parses the head of an answer; `None` asks for more octets.
///
/// # Errors
///
/// [`HttpFault`] as soon as the octets can no longer become a proper head.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>, HttpFault> {
    let common = bytes.len().min(VERSION.len());
    if bytes.get(..common) != VERSION.get(..common) {
        return Err(HttpFault::NotHttp(excerpt(bytes)));
    }
    let searched = bytes.get(..bytes.len().min(HEAD_MAX)).unwrap_or_default();
    let Some(end) = searched.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() >= HEAD_MAX {
            Err(HttpFault::HeadTooLong)
        } else {
            Ok(None)
        };
    };
    let text = bytes.get(..end).unwrap_or_default();
    let mut lines = Lines(Some(text));
    let (minor, status) = status_line(lines.next().unwrap_or_default())?;
    let mut headers = Vec::new();
    for line in lines {
        if headers.len() >= HEADERS_MAX {
            return Err(HttpFault::Malformed("too many header lines"));
        }
        headers.push(header_line(line)?);
    }
    Ok(Some(Head {
        status,
        minor,
        headers,
        length: end + 4,
    }))
}

/// Splits at CR LF.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.take()?;
        match rest.windows(2).position(|two| two == b"\r\n") {
            Some(at) => {
                self.0 = rest.get(at + 2..);
                rest.get(..at)
            }
            None => Some(rest),
        }
    }
}

fn status_line(line: &[u8]) -> Result<(u8, u16), HttpFault> {
    let malformed = HttpFault::Malformed("the status line");
    let Some([minor, b' ', a, b, c, rest @ ..]) = line.strip_prefix(VERSION) else {
        return Err(malformed);
    };
    let digits = [*a, *b, *c];
    let reason_is_fine = rest.is_empty() || (rest.first() == Some(&b' ') && is_text(rest));
    if !matches!(minor, b'0' | b'1') || !digits.iter().all(u8::is_ascii_digit) || !reason_is_fine {
        return Err(malformed);
    }
    let status = digits
        .iter()
        .fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
    if !(100..600).contains(&status) {
        return Err(malformed);
    }
    Ok((minor - b'0', status))
}

fn header_line(line: &[u8]) -> Result<(String, Vec<u8>), HttpFault> {
    let colon = line
        .iter()
        .position(|octet| *octet == b':')
        .ok_or(HttpFault::Malformed("a header line without colon"))?;
    let (name, value) = line.split_at(colon);
    // This also refuses folded lines, which start with white space.
    if name.is_empty() || !name.iter().all(|octet| is_token(*octet)) {
        return Err(HttpFault::Malformed("a header's name"));
    }
    let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
    if !is_text(value) {
        return Err(HttpFault::Malformed("a header's value"));
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.to_vec()))
}

fn parse_length(value: &[u8]) -> Result<u64, HttpFault> {
    let wrong = HttpFault::Framing("the value of Content-Length");
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(wrong);
    }
    value
        .iter()
        .try_fold(0_u64, |n, digit| {
            n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(wrong)
}

fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// field-vchar, space and tab of RFC 9110 section 5.5: no NUL, no bare CR or LF.
fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|octet| matches!(octet, b'\t' | b' '..=b'~' | 0x80..=0xff))
}

/// Collects a body, whatever its framing, up to the bound.
#[derive(Clone, Debug)]
pub struct Body {
    framing: Framing,
    content: Vec<u8>,
    chunk: Chunk,
    raw: usize,
}

/// Where the chunked coding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    End,
}

impl Body {
    /// Starts an empty body.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            content: Vec::new(),
            chunk: Chunk::Size {
                value: 0,
                digits: 0,
            },
            raw: 0,
        }
    }

    /// Takes octets; `true` when no more are needed: the body is whole or over its bound.
    ///
    /// # Errors
    ///
    /// [`HttpFault::Framing`] for a broken or wasteful chunked coding.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, HttpFault> {
        match self.framing {
            Framing::Close => self.keep(bytes),
            Framing::Length(length) => {
                let left = length.saturating_sub(self.content.len() as u64);
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                self.keep(bytes.get(..bytes.len().min(left)).unwrap_or_default());
                if self.content.len() as u64 >= length {
                    return Ok(true);
                }
            }
            Framing::Chunked => return self.push_chunked(bytes),
        }
        Ok(self.is_over())
    }

    fn push_chunked(&mut self, mut bytes: &[u8]) -> Result<bool, HttpFault> {
        self.raw = self.raw.saturating_add(bytes.len());
        let broken = HttpFault::Framing("broken chunked coding");
        while let Some((&octet, rest)) = bytes.split_first() {
            if self.chunk == Chunk::End || self.is_over() {
                return Ok(true);
            }
            if let Chunk::Data { left } = self.chunk {
                let take = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let (data, rest) = bytes.split_at(take);
                self.keep(data);
                let left = left - take as u64;
                self.chunk = if left == 0 {
                    Chunk::DataCr
                } else {
                    Chunk::Data { left }
                };
                bytes = rest;
                continue;
            }
            bytes = rest;
            self.chunk = match (self.chunk, octet) {
                (Chunk::Size { value, digits }, octet) if octet.is_ascii_hexdigit() => {
                    let digit = char::from(octet).to_digit(16).map_or(0, u64::from);
                    if digits >= 15 {
                        return Err(broken);
                    }
                    Chunk::Size {
                        value: value << 4 | digit,
                        digits: digits + 1,
                    }
                }
                (Chunk::Size { digits: 0, .. }, _) => return Err(broken),
                (Chunk::Size { value, .. } | Chunk::Extension { value }, b'\r') => {
                    Chunk::SizeLf { value }
                }
                (Chunk::Size { value, .. }, b';' | b' ' | b'\t') => Chunk::Extension { value },
                (Chunk::Extension { value }, octet) if is_text(&[octet]) => {
                    Chunk::Extension { value }
                }
                // Trailers mean nothing to us: the last chunk is the end.
                (Chunk::SizeLf { value: 0 }, b'\n') => Chunk::End,
                (Chunk::SizeLf { value }, b'\n') => Chunk::Data { left: value },
                (Chunk::DataCr, b'\r') => Chunk::DataLf,
                (Chunk::DataLf, b'\n') => Chunk::Size {
                    value: 0,
                    digits: 0,
                },
                _ => return Err(broken),
            };
        }
        if self.chunk != Chunk::End && !self.is_over() && self.raw > CHUNKED_MAX {
            return Err(HttpFault::Framing("too many tiny chunks"));
        }
        Ok(self.chunk == Chunk::End || self.is_over())
    }

    /// Ends the body with the connection.
    ///
    /// # Errors
    ///
    /// [`HttpFault::Short`] when its framing promised more.
    pub fn end(&self) -> Result<(), HttpFault> {
        match self.framing {
            Framing::Close => Ok(()),
            _ if self.is_over() => Ok(()),
            _ => Err(HttpFault::Short),
        }
    }

    /// Gives what was collected, at most one octet more than [`BODY_MAX`].
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Tells whether there was more than [`BODY_MAX`].
    pub fn is_over(&self) -> bool {
        self.content.len() > BODY_MAX
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (BODY_MAX + 1).saturating_sub(self.content.len());
        self.content
            .extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
    }
}

/// The version that every head begins with.
const VERSION: &[u8] = b"HTTP/1.";
/// The longest head; browsers' servers stay far below.
pub const HEAD_MAX: usize = 16 * 1024;
/// Header lines in it.
const HEADERS_MAX: usize = 128;
/// The longest body; a key authorization has 87 octets with our tokens (8555-8.3-4).
pub const BODY_MAX: usize = 1024;
/// Octets of a chunked body with its framing.
const CHUNKED_MAX: usize = 16 * 1024;
/// 1xx answers before the real one.
pub(super) const INTERIM_MAX: usize = 4;

#[cfg(test)]
mod tests;
