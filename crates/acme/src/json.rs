//! JSON from outside, read strictly (8555-5-1, T-CA-07, T-CA-08): UTF-8 without a byte order mark, one value and
//! nothing after it, no member name twice at any depth, bounded nesting, whole surrogate pairs, numbers that a double
//! can hold. `serde_json` alone lets a duplicate in an unknown member, `1e400` and a lone surrogate pass there.
//!
//! One scan by hand checks all of that and finds no type; `serde_json` then reads the types.

mod scan;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

pub(crate) use scan::Scanner;

/// Why a text is refused. Offsets count octets from the start of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8 (RFC 8259 §8.1).
    #[error("not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// It begins with a byte order mark.
    #[error("begins with a byte order mark")]
    ByteOrderMark,
    /// A member name occurs twice in one object.
    #[error("member {name} occurs twice in one object (it ends at byte {at})")]
    Duplicate {
        /// The name, quoted and shortened.
        name: String,
        /// Where the object ends.
        at: usize,
    },
    /// Nested deeper than [`crate::limits::JSON_DEPTH`].
    #[error("nested too deep at byte {0}")]
    TooDeep(usize),
    /// Half a surrogate pair.
    #[error("half a surrogate pair at byte {0}")]
    LoneSurrogate(usize),
    /// A number beyond what a double holds.
    #[error("number out of range at byte {0}")]
    NumberRange(usize),
    /// Not JSON.
    #[error("{what} expected at byte {at}")]
    Syntax {
        /// What should stand there.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// JSON, but not of the type that is asked for.
    #[error("{path}{message}")]
    Type {
        /// The member, as `contact[0]: `, or nothing for the value itself.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// A value that should be an object and is not.
    #[error("not a JSON object")]
    NotAnObject,
}

impl From<JsonError> for crate::problem::Problem {
    fn from(error: JsonError) -> Self {
        Self::malformed(error.to_string())
    }
}

/// Reads one value of any kind.
///
/// # Errors
/// When the text is not strict JSON or not of the type `T`.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    let text = check(text)?;
    serde_json::from_str(text).map_err(|error| type_error(text, &error))
}

/// Reads one object; `[]`, `null`, a string or a number are refused whatever `T` could make of them.
///
/// # Errors
/// When the text is not strict JSON, not an object or not of the type `T`.
pub fn parse_object<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    let text = check(text)?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(JsonError::NotAnObject);
    }
    serde_json::from_str(text).map_err(|error| type_error(text, &error))
}

/// Checks the form alone.
///
/// # Errors
/// When the text is not strict JSON.
pub fn check(text: &[u8]) -> Result<&str, JsonError> {
    let mut scanner = Scanner::new(text)?;
    scanner.skip_value()?;
    scanner.end()?;
    Ok(scanner.text())
}

/// Says which member a type error is about; runs on the way to a refusal only.
fn type_error(text: &str, error: &serde_json::Error) -> JsonError {
    let line_start = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let offset = line_start + error.column();
    let mut path = scan::path_to(text, offset);
    if !path.is_empty() {
        path.push_str(": ");
    }
    let full = error.to_string();
    let message = full
        .rsplit_once(" at line ")
        .map_or(full.as_str(), |(message, _)| message);
    JsonError::Type {
        path,
        message: message
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect(),
    }
}
