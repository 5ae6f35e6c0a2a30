//! Answers of a CA as people read them: labels in words, what matters first, times both ways. Programs read `--json`.

use cairn_acme::time::Timestamp;
use serde_json::Value;

use crate::{table::plain, when};

/// Members in the order in which they are shown, with their labels. What is not among them comes after, by its own name.
const LABELS: &[(&str, &str)] = &[
    ("serial", "serial"),
    ("id", "id"),
    ("name", "name"),
    ("identifier", "name"),
    ("names", "names"),
    ("identifiers", "names"),
    ("state", "state"),
    ("status", "state"),
    ("type", "type"),
    ("detail", "detail"),
    ("error", "error"),
    ("not_before", "valid from"),
    ("not_after", "valid until"),
    ("expires", "expires"),
    ("at", "at"),
    ("event", "event"),
    ("account", "account"),
    ("order", "order"),
    ("created_at", "made"),
    ("issued_at", "signed"),
    ("spki_sha256", "key's SHA-256"),
    ("crl_shard", "CRL shard"),
    ("issuer", "issuer"),
    ("profile", "profile's hash"),
    ("serials_given", "serials given"),
    ("terms_agreed", "terms agreed"),
    ("external_key", "external key"),
    ("allowed", "may order"),
    ("many", "for many"),
    ("used_at", "used"),
    ("url", "URL"),
    ("took_ms", "took (ms)"),
];

fn label(member: &str) -> String {
    match LABELS.iter().find(|(name, _)| *name == member) {
        Some((_, label)) => (*label).to_owned(),
        None => plain(member).replace('_', " "),
    }
}

fn place(member: &str) -> usize {
    let known = LABELS.iter().position(|(name, _)| *name == member);
    known.unwrap_or(LABELS.len())
}

/// Null and empty: nothing that a person would want to read.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// A moment in an answer.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A member of an answer as one cell of a table.
pub(crate) fn cell(object: &Value, member: &str, now: Timestamp) -> String {
    let value = object.get(member).unwrap_or(&Value::Null);
    match moment(value) {
        Some(at) => when::both(at, now),
        None => line(value, now),
    }
}

/// A value without members as one line.
fn line(value: &Value, now: Timestamp) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => match text.parse() {
            Ok(at) => when::exactly(at, now),
            Err(_) => plain(text),
        },
        Value::Bool(is) => (if *is { "yes" } else { "no" }).to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| line(item, now)).collect();
            items.join(", ")
        }
        other => plain(&other.to_string()),
    }
}

/// An object as indented lines, each a label and a value; nested objects come last.
pub(crate) fn outline(value: &Value, now: Timestamp, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().filter(|(_, v)| !is_nothing(v)).collect();
            members.sort_by_key(|(name, value)| (is_nested(value), place(name)));
            let flat = members.iter().filter(|(_, value)| !is_nested(value));
            let width = flat.map(|(name, _)| label(name).chars().count()).max();
            let width = width.unwrap_or(0);
            let lines = members.iter().map(|(name, value)| match is_nested(value) {
                true => format!(
                    "{indent}{}\n{}",
                    label(name),
                    outline(value, now, depth + 1)
                ),
                false => format!("{indent}{:width$}  {}", label(name), line(value, now)),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        Value::Array(items) => items
            .iter()
            .map(|item| outline(item, now, depth))
            .collect::<Vec<_>>()
            .join(&format!("\n{indent}--\n")),
        other => format!("{indent}{}", line(other, now)),
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outline_says_first_what_matters_in_words() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let value = json!({
            "crl_shard": 0, "audit": [{ "event": "issued", "at": "2026-11-23T11:00:00Z" }], "wildcard": false,
            "id": "a\u{1b}[2J", "names": ["x", "y"], "not_after": "2027-01-21T12:00:00Z", "error": null,
        });
        assert_eq!(
            outline(&value, now, 0),
            "id           a\\u{1b}[2J\n\
             names        x, y\n\
             valid until  in 59 days (21 Jan 2027 12:00:00 UTC)\n\
             CRL shard    0\n\
             wildcard     no\n\
             audit\n  at     60 minutes ago (23 Nov 2026 11:00:00 UTC)\n  event  issued"
        );
    }
}
