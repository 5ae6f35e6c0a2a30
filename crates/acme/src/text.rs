//! How a refused value is shown in a message.

use std::fmt::Write as _;

use crate::limits::SHOWN_MAX;

/// Quotes a value that came from outside: control characters, non-ASCII and quotes escaped, the rest cut off.
#[must_use]
pub fn quoted(value: &str) -> String {
    let mut shown = String::with_capacity(value.len().min(SHOWN_MAX) + 2);
    shown.push('"');
    for (count, c) in value.chars().enumerate() {
        if count == SHOWN_MAX {
            shown.push('…');
            break;
        }
        match c {
            '"' | '\\' => {
                shown.push('\\');
                shown.push(c);
            }
            ' '..='~' => shown.push(c),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    shown.push('"');
    shown
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_value_is_escaped_and_shortened() {
        assert_eq!(quoted("a\r\nb\"\u{202e}"), r#""a\u{d}\u{a}b\"\u{202e}""#);
        assert_eq!(quoted(&"x".repeat(64)), format!("\"{}\"", "x".repeat(64)));
        assert_eq!(quoted(&"x".repeat(65)), format!("\"{}…\"", "x".repeat(64)));
    }
}
