//! What a fault does, with its values; each from its text and back.

use std::{fmt, str::FromStr};

use http::{HeaderName, HeaderValue, header};
use serde_json::Value;

use crate::config::Span;

/// What happens to a request. The table [`super::FAULTS`] has a row for each.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Refused with badNonce, whatever its nonce; the nonce is spent.
    BadNonce,
    /// Refused with a status and a problem document, and nothing is done.
    Refuse(Refusal),
    /// The connection ends, and nothing is done.
    Cut,
    /// The connection ends, and none is taken for a time.
    Down(Span),
    /// The server waits before it does anything.
    Delay(Span),
    /// The signature is made so much later.
    SlowSigning(Span),
    /// Time passes before the request is looked at.
    Advance(Span),
    /// The authorization that the request is about takes this end; an order's first one.
    Authorization(Fate),
    /// The order that the request is about becomes invalid.
    OrderInvalid,
    /// It is done, and the connection ends without an answer.
    Lost,
    /// The answer has another status.
    Status(u16),
    /// The answer has this header, in place of what it had under the name.
    Header(HeaderName, HeaderValue),
    /// The answer lacks this header.
    NoHeader(HeaderName),
    /// The JSON value there is another, or a new one.
    Json(Pointer, Value),
    /// The JSON value there is taken out.
    NoJson(Pointer),
    /// The answer has this body.
    Body(String),
    /// The body is followed by so many spaces.
    Pad(u32),
    /// What has ended is shown as under way for so many looks.
    Processing(u32),
    /// The certificate's chain is wrong.
    Chain(WrongChain),
    /// The renewal window has these ends, as written, whatever they are.
    Window(String, String),
    /// The connection ends after so many octets of the answer's body.
    CutAfter(u32),
    /// The answer's body comes so many octets at a time, with that pause between.
    Drip(u32, Span),
}

/// A refusal: its status, its problem type without ACME's namespace, and Retry-After as it shall be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 200 to 599.
    pub status: u16,
    /// None: what goes with the status.
    pub kind: Option<String>,
    /// A number, a date, or what is neither.
    pub retry_after: Option<HeaderValue>,
}

/// How an authorization ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// By the server.
    Revoked,
    /// By time.
    Expired,
    /// As if by its account.
    Deactivated,
}

/// What is wrong with a chain. All but the first four verify up to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongChain {
    /// The leaf alone.
    NoIntermediate,
    /// The leaf, and the certificate of an issuer that did not sign it.
    OtherIssuer,
    /// The issuer first.
    Reversed,
    /// Nothing.
    Empty,
    /// A leaf for the names with another key.
    OtherKey,
    /// A leaf for the key with another name.
    OtherName,
    /// A leaf that ended yesterday.
    Expired,
    /// A private key behind it.
    WithKey,
    /// The leaf twice.
    LeafTwice,
}

/// A JSON pointer (RFC 6901). The textual form of faults has no place for one with `=`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pointer(String);

/// A value that the action does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} takes {wants}, not {value:?}")]
pub struct BadValue {
    /// The action.
    pub name: &'static str,
    /// What it takes.
    pub wants: &'static str,
    /// What it was given.
    pub value: String,
}

/// A text form of one of a few words.
macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {$(
        impl $type {
            /// Every one with its word.
            pub const WORDS: &[(Self, &'static str)] = &[$((Self::$variant, $word)),+];
        }

        impl FromStr for $type {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                Self::WORDS.iter().find(|(_, word)| *word == text).map(|(this, _)| *this).ok_or(())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    )+};
}

words! {
    Fate {
        Revoked = "revoked",
        Expired = "expired",
        Deactivated = "deactivated",
    }
    WrongChain {
        NoIntermediate = "no-intermediate",
        OtherIssuer = "other-issuer",
        Reversed = "reversed",
        Empty = "empty",
        OtherKey = "other-key",
        OtherName = "other-name",
        Expired = "expired",
        WithKey = "with-key",
        LeafTwice = "leaf-twice",
    }
}

impl FromStr for Pointer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let whole = text.is_empty() || text.starts_with('/');
        // `~` stands before 0 or 1 alone.
        let escaped = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        if whole && escaped && !text.contains('=') {
            Ok(Self(text.to_owned()))
        } else {
            Err(())
        }
    }
}

impl Pointer {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Refusal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '/');
        let (status, kind, retry_after) = (parts.next(), parts.next(), parts.next());
        let kind = kind.filter(|kind| !kind.is_empty());
        if kind.is_some_and(|kind| !kind.bytes().all(|b| b.is_ascii_alphanumeric())) {
            return Err(());
        }
        Ok(Self {
            status: status_code(status.unwrap_or_default()).ok_or(())?,
            kind: kind.map(str::to_owned),
            retry_after: retry_after.map(header_value).transpose()?,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if self.kind.is_some() || self.retry_after.is_some() {
            write!(f, "/{}", self.kind.as_deref().unwrap_or_default())?;
        }
        match &self.retry_after {
            Some(wait) => write!(f, "/{}", visible(wait)),
            None => Ok(()),
        }
    }
}

/// A final status that an answer may have.
fn status_code(text: &str) -> Option<u16> {
    text.parse()
        .ok()
        .filter(|status| (200..600).contains(status))
}

/// Any but those that frame the body: a body of another length than announced is what `cut-after` is for.
fn header_name(text: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(text.as_bytes())
        .ok()
        .filter(|name| ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name))
}

/// Printable ASCII alone, so that it can be written down again.
fn header_value(text: &str) -> Result<HeaderValue, ()> {
    if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) || text.trim() != text {
        return Err(());
    }
    HeaderValue::from_str(text).map_err(|_| ())
}

fn visible(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

impl Action {
    /// Reads the action of that name with its value; `None` if there is none of the name.
    ///
    /// # Errors
    /// What it takes instead of that value.
    pub fn parse(name: &str, value: Option<&str>) -> Option<Result<Self, BadValue>> {
        let row = super::FAULTS.iter().find(|row| row.name == name)?;
        let read = match (row.value, value) {
            ("", None) => Self::read(row.name, ""),
            ("", Some(_)) | (_, None) => None,
            (_, Some(value)) => Self::read(row.name, value),
        };
        Some(read.ok_or_else(|| BadValue {
            name: row.name,
            wants: if row.value.is_empty() {
                "no value"
            } else {
                row.value
            },
            value: value.unwrap_or_default().to_owned(),
        }))
    }

    fn read(name: &str, value: &str) -> Option<Self> {
        let pair = |at: char| value.split_once(at);
        Some(match name {
            "bad-nonce" => Self::BadNonce,
            "refuse" => Self::Refuse(value.parse().ok()?),
            "cut" => Self::Cut,
            "down" => Self::Down(value.parse().ok()?),
            "delay" => Self::Delay(value.parse().ok()?),
            "slow-signing" => {
                Self::SlowSigning(value.parse().ok().filter(|span| *span <= SLOWEST)?)
            }
            "advance" => Self::Advance(value.parse().ok()?),
            "end-authorization" => Self::Authorization(value.parse().ok()?),
            "end-order" => Self::OrderInvalid,
            "lost" => Self::Lost,
            "status" => Self::Status(status_code(value)?),
            "header" => {
                let (name, value) = pair(':')?;
                Self::Header(
                    header_name(name)?,
                    header_value(value.strip_prefix(' ').unwrap_or(value)).ok()?,
                )
            }
            "no-header" => Self::NoHeader(header_name(value)?),
            "json" => {
                let (pointer, json) = pair('=')?;
                Self::Json(pointer.parse().ok()?, serde_json::from_str(json).ok()?)
            }
            "no-json" => Self::NoJson(value.parse().ok()?),
            "body" => Self::Body(value.to_owned()),
            "pad" => Self::Pad(value.parse().ok().filter(|octets| *octets <= PAD_MAX)?),
            "processing" => Self::Processing(value.parse().ok()?),
            "chain" => Self::Chain(value.parse().ok()?),
            "window" => {
                let (start, end) = pair('/')?;
                Self::Window(start.to_owned(), end.to_owned())
            }
            "cut-after" => Self::CutAfter(value.parse().ok()?),
            "drip" => {
                let (octets, pause) = pair('/')?;
                let octets = octets.parse().ok().filter(|octets| *octets > 0)?;
                Self::Drip(octets, pause.parse().ok()?)
            }
            _ => return None,
        })
    }

    /// Its name in the table.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BadNonce => "bad-nonce",
            Self::Refuse(_) => "refuse",
            Self::Cut => "cut",
            Self::Down(_) => "down",
            Self::Delay(_) => "delay",
            Self::SlowSigning(_) => "slow-signing",
            Self::Advance(_) => "advance",
            Self::Authorization(_) => "end-authorization",
            Self::OrderInvalid => "end-order",
            Self::Lost => "lost",
            Self::Status(_) => "status",
            Self::Header(..) => "header",
            Self::NoHeader(_) => "no-header",
            Self::Json(..) => "json",
            Self::NoJson(_) => "no-json",
            Self::Body(_) => "body",
            Self::Pad(_) => "pad",
            Self::Processing(_) => "processing",
            Self::Chain(_) => "chain",
            Self::Window(..) => "window",
            Self::CutAfter(_) => "cut-after",
            Self::Drip(..) => "drip",
        }
    }

    /// Its value as [`Action::parse`] reads it.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        Some(match self {
            Self::BadNonce | Self::Cut | Self::OrderInvalid | Self::Lost => return None,
            Self::Refuse(refusal) => refusal.to_string(),
            Self::Down(span)
            | Self::Delay(span)
            | Self::SlowSigning(span)
            | Self::Advance(span) => span.to_string(),
            Self::Authorization(fate) => fate.to_string(),
            Self::Status(status) => status.to_string(),
            Self::Header(name, value) => format!("{name}: {}", visible(value)),
            Self::NoHeader(name) => name.to_string(),
            Self::Json(pointer, value) => format!("{}={value}", pointer.as_str()),
            Self::NoJson(pointer) => pointer.as_str().to_owned(),
            Self::Body(body) => body.clone(),
            Self::Pad(n) | Self::Processing(n) | Self::CutAfter(n) => n.to_string(),
            Self::Chain(chain) => chain.to_string(),
            Self::Window(start, end) => format!("{start}/{end}"),
            Self::Drip(octets, pause) => format!("{octets}/{pause}"),
        })
    }
}

/// Short of the time after which an unsigned order is taken to be abandoned, and gets a new serial.
const SLOWEST: Span = Span::from_secs(45);

/// Enough to be too much for any client, and little enough for the machine that tests it.
const PAD_MAX: u32 = 256 << 20;
