//! The scan: one pass over the text, no allocation but for the list of open members' names.

use std::borrow::Cow;

use super::JsonError;
use crate::{limits::JSON_DEPTH, text::quoted};

/// Objects with at most this many members are compared pair by pair, larger ones after sorting.
const FEW_MEMBERS: usize = 12;

/// A reader of strict JSON that checks all that it passes.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Names of the members of all open objects, innermost last.
    names: Vec<Cow<'a, str>>,
}

impl<'a> Scanner<'a> {
    /// Starts at the first octet.
    pub(crate) fn new(text: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(text).map_err(|e| JsonError::NotUtf8(e.valid_up_to()))?;
        if text.starts_with('\u{feff}') {
            return Err(JsonError::ByteOrderMark);
        }
        Ok(Self {
            text,
            at: 0,
            depth: 0,
            names: Vec::with_capacity(8),
        })
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Demands that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the text")),
        }
    }

    /// Reads an object; `visit` is called behind each member's colon and must read exactly its value. The names are
    /// compared once all are read.
    pub(crate) fn object<E: From<JsonError>>(
        &mut self,
        mut visit: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.next_byte() != Some(b'{') {
            return Err(JsonError::NotAnObject.into());
        }
        self.enter()?;
        let first = self.names.len();
        if self.next_byte() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.next_byte();
                let name = self.string()?;
                self.punctuation(b':', "a colon")?;
                visit(self, &name)?;
                self.names.push(name);
                match self.next_byte() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => {
                        self.at += 1;
                        break;
                    }
                    _ => return Err(self.expected("a comma or a closing brace").into()),
                }
            }
            self.compare_names(first)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes one value and gives its text.
    pub(crate) fn skip_value(&mut self) -> Result<&'a str, JsonError> {
        let first = self.next_byte();
        let start = self.at;
        match first {
            Some(b'{') => self.object(|scanner, _| scanner.skip_value().map(drop))?,
            Some(b'[') => self.array()?,
            Some(b'"') => drop(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => return Err(self.expected("a value")),
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Reads a string, borrowed unless it has escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let rest = self.punctuation(b'"', "a string")?;
        let start = self.at;
        let length = plain_length(rest);
        self.at += length;
        let plain = self.text.get(start..self.at).unwrap_or_default();
        if rest.get(length) == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut whole = plain.to_owned();
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(whole));
                }
                Some(b'\\') => {
                    let c = self.escape()?;
                    whole.push(c);
                }
                Some(0x20..) => {
                    let start = self.at;
                    self.at += plain_length(self.rest());
                    whole.push_str(self.text.get(start..self.at).unwrap_or_default());
                }
                Some(_) => return Err(self.expected("an escaped control character")),
                None => return Err(self.expected("the end of the string")),
            }
        }
    }

    /// Passes what starts with a backslash and gives its meaning.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.at += 1;
        let escaped = self.byte();
        self.at += 1;
        Ok(match escaped {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.four_hex_digits(start)?;
                let code = if (0xd800..0xdc00).contains(&first) && self.rest().starts_with(b"\\u") {
                    self.at += 2;
                    let second = self.four_hex_digits(start)?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Err(JsonError::LoneSurrogate(start));
                    }
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                char::from_u32(code).ok_or(JsonError::LoneSurrogate(start))?
            }
            _ => {
                return Err(JsonError::Syntax {
                    what: "an escape of JSON",
                    at: start,
                });
            }
        })
    }

    fn four_hex_digits(&mut self, escape: usize) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|b| char::from(b).to_digit(16));
            let digit = digit.ok_or(JsonError::Syntax {
                what: "four hexadecimal digits",
                at: escape,
            })?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn array(&mut self) -> Result<(), JsonError> {
        self.enter()?;
        if self.next_byte() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                self.skip_value()?;
                match self.next_byte() {
                    Some(b',') => self.at += 1,
                    Some(b']') => {
                        self.at += 1;
                        break;
                    }
                    _ => return Err(self.expected("a comma or a closing bracket")),
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.at;
        let digits = self.digits()?;
        if digits > 1 && self.text.as_bytes().get(whole) == Some(&b'0') {
            return Err(JsonError::Syntax {
                what: "a number without leading zeros",
                at: start,
            });
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let scaled = matches!(self.byte(), Some(b'e' | b'E'));
        if scaled {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // A double holds every whole number of up to 308 digits.
        if scaled || digits > 308 {
            let value = self
                .text
                .get(start..self.at)
                .unwrap_or_default()
                .parse::<f64>();
            if !value.is_ok_and(f64::is_finite) {
                return Err(JsonError::NumberRange(start));
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<usize, JsonError> {
        let count = self
            .rest()
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if count == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += count;
        Ok(count)
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn enter(&mut self) -> Result<(), JsonError> {
        if self.depth == JSON_DEPTH {
            return Err(JsonError::TooDeep(self.at));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Refuses a name that occurs twice from `first` on, and drops those names.
    fn compare_names(&mut self, first: usize) -> Result<(), JsonError> {
        let names = self.names.get_mut(first..).unwrap_or_default();
        let twice = if names.len() <= FEW_MEMBERS {
            names
                .iter()
                .enumerate()
                .find(|(index, name)| names.iter().take(*index).any(|other| other == *name))
                .map(|(_, name)| quoted(name))
        } else {
            names.sort_unstable();
            names
                .array_windows()
                .find(|[one, other]| one == other)
                .map(|[name, _]| quoted(name))
        };
        if let Some(name) = twice {
            return Err(JsonError::Duplicate { name, at: self.at });
        }
        self.names.truncate(first);
        Ok(())
    }

    /// Passes white space and one punctuation mark; gives what follows.
    fn punctuation(&mut self, mark: u8, what: &'static str) -> Result<&'a [u8], JsonError> {
        if self.next_byte() != Some(mark) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(self.rest())
    }

    /// Passes white space and gives the octet behind it, which is not passed.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn expected(&self, what: &'static str) -> JsonError {
        JsonError::Syntax { what, at: self.at }
    }
}

/// How many octets of a string need no look: no quote, backslash or control character.
fn plain_length(text: &[u8]) -> usize {
    text.iter()
        .position(|&b| b == b'"' || b == b'\\' || b < 0x20)
        .unwrap_or(text.len())
}

/// The path to what stands at an offset of a text that was checked, such as `identifiers[2].value`.
pub(super) fn path_to(text: &str, offset: usize) -> String {
    enum Open<'a> {
        Object(&'a str),
        Array(usize),
    }
    let mut open = Vec::new();
    let mut string_start = None;
    let mut last_string = "";
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().take_while(|(at, _)| *at < offset) {
        if let Some(start) = string_start {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    last_string = text.get(start..at).unwrap_or_default();
                    string_start = None;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string_start = Some(at + 1),
            b':' => {
                if let Some(Open::Object(name)) = open.last_mut() {
                    *name = last_string;
                }
            }
            b',' => {
                if let Some(Open::Array(index)) = open.last_mut() {
                    *index += 1;
                }
            }
            b'{' => open.push(Open::Object("")),
            b'[' => open.push(Open::Array(0)),
            // An error about a whole object points to its closing brace: the path is that of the object.
            b'}' | b']' => drop(open.pop()),
            _ => {}
        }
    }
    let mut path = String::new();
    for level in &open {
        match level {
            Open::Object("") => {}
            Open::Object(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.extend(name.chars().filter(|c| !c.is_control()).take(40));
            }
            Open::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}
