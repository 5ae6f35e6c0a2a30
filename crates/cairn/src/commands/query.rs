//! Asks a CA: over its operator socket while a server runs, else its store itself.

use std::path::Path;

use cairn_ca::operator::{self, AskFault, Query, QueryFault};
use serde_json::Value;

use super::small_runtime;
use crate::{
    failure::{Code, Failure},
    table::plain,
};

/// The answer to a query, wherever it comes from.
pub(crate) fn ask(dir: &Path, query: Query, what: &str) -> Result<Value, Failure> {
    let runtime = small_runtime()?;
    runtime
        .block_on(operator::ask(dir, query))
        .map_err(|fault| {
            let code = if is_busy(&fault) {
                Code::TryLater
            } else {
                Code::Failed
            };
            Failure::new(what).because(&fault).code(code)
        })
}

/// Whether the same question may be answered later.
fn is_busy(fault: &AskFault) -> bool {
    use cairn_ca::store::{OpenError, StoreError};
    match fault {
        AskFault::Query(QueryFault::Store(fault)) => matches!(fault, StoreError::Overloaded(_)),
        // A server that is just starting has the store and not yet the socket.
        AskFault::Query(QueryFault::Open(fault)) => matches!(fault, OpenError::InUse { .. }),
        _ => false,
    }
}

/// A member of an answer as one line of text; absent and null are empty.
pub(crate) fn member(object: &Value, name: &str) -> String {
    match object.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Array(items)) => {
            let texts = items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned));
            plain(&texts.collect::<Vec<_>>().join(","))
        }
        Some(other) => plain(&other.to_string()),
    }
}

/// An object as indented `key: value` lines.
pub(crate) fn outline(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let width = members.keys().map(|k| k.chars().count()).max().unwrap_or(0);
            // What is said in a word first, what needs lines of its own after.
            let (plain_ones, nested): (Vec<_>, Vec<_>) =
                members.iter().partition(|(_, value)| match value {
                    Value::Object(inner) => inner.is_empty(),
                    Value::Array(items) => !items.iter().any(Value::is_object),
                    _ => true,
                });
            let lines = plain_ones.into_iter().chain(nested).map(|(key, value)| {
                let key = plain(key);
                match value {
                    Value::Object(m) if !m.is_empty() => {
                        format!("{indent}{key}\n{}", outline(value, depth + 1))
                    }
                    Value::Array(a) if a.iter().any(|v| v.is_object()) => {
                        format!("{indent}{key}\n{}", outline(value, depth + 1))
                    }
                    _ => format!("{indent}{key:width$}  {}", outline(value, 0))
                        .trim_end()
                        .to_owned(),
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        Value::Array(items) if items.iter().any(Value::is_object) => items
            .iter()
            .map(|item| outline(item, depth))
            .collect::<Vec<_>>()
            .join(&format!("\n{indent}--\n")),
        Value::Array(items) => items
            .iter()
            .map(|i| outline(i, 0))
            .collect::<Vec<_>>()
            .join(", "),
        Value::String(text) => plain(text),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outline_is_aligned_and_plain() {
        let value = json!({"id": "a\u{1b}[2J", "names": ["x", "y"], "deep": {"n": 1}});
        assert_eq!(
            outline(&value, 0),
            "id     a\\u{1b}[2J\nnames  x, y\ndeep\n  n  1"
        );
    }
}
