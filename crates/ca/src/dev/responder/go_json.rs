//! JSON as Go's encoding/json reads it into a struct: members are found whatever their case, later ones win, unknown ones
//! are passed over, `null` is as if the member were absent, and octets that are no UTF-8 become U+FFFD.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Why a body is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBody {
    #[error("expected JSON POST body, was empty")]
    Empty,
    #[error("the body is no JSON: {0}")]
    NoJson(String),
    #[error("the body is {0}, not an object")]
    NoObject(&'static str),
    #[error("\"{member}\" is {found}, not {wanted}")]
    Kind {
        member: &'static str,
        found: &'static str,
        wanted: &'static str,
    },
}

/// A value. Numbers and booleans are told apart from texts alone.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Bool,
    Number,
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// A body's members.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(String, Value)>);

const TEXT: &str = "a string";

impl Members {
    pub(super) fn read(body: &[u8]) -> Result<Self, BadBody> {
        if body.is_empty() {
            return Err(BadBody::Empty);
        }
        let text = String::from_utf8_lossy(body);
        let value = serde_json::from_str(&text).map_err(|e| BadBody::NoJson(e.to_string()))?;
        match value {
            Value::Object(members) => Ok(Self(members)),
            Value::Null => Ok(Self::default()),
            other => Err(BadBody::NoObject(other.name())),
        }
    }

    /// A text; empty if it is absent.
    pub(super) fn text(&self, member: &'static str) -> Result<String, BadBody> {
        let mut last = String::new();
        for value in self.all(member) {
            if let Some(text) = value.text(member)? {
                last = text;
            }
        }
        Ok(last)
    }

    /// A list of texts; empty if it is absent.
    pub(super) fn texts(&self, member: &'static str) -> Result<Vec<String>, BadBody> {
        self.list(member, |value| Ok(value.text(member)?.unwrap_or_default()))
    }

    /// A list of objects; empty if it is absent.
    pub(super) fn objects<T>(
        &self,
        member: &'static str,
        read: impl Fn(&Self) -> Result<T, BadBody>,
    ) -> Result<Vec<T>, BadBody> {
        self.list(member, |value| match value {
            Value::Object(members) => read(&Self(members.clone())),
            Value::Null => read(&Self::default()),
            other => Err(other.unlike(member, "an object")),
        })
    }

    fn list<T>(
        &self,
        member: &'static str,
        read: impl Fn(&Value) -> Result<T, BadBody>,
    ) -> Result<Vec<T>, BadBody> {
        let mut last = Vec::new();
        for value in self.all(member) {
            last = match value {
                Value::List(values) => values.iter().map(&read).collect::<Result<_, _>>()?,
                Value::Null => Vec::new(),
                other => return Err(other.unlike(member, "an array")),
            };
        }
        Ok(last)
    }

    fn all(&self, member: &str) -> impl Iterator<Item = &Value> {
        let all = self.0.iter();
        all.filter(move |(name, _)| name.eq_ignore_ascii_case(member))
            .map(|(_, value)| value)
    }
}

impl Value {
    fn text(&self, member: &'static str) -> Result<Option<String>, BadBody> {
        match self {
            Self::Text(text) => Ok(Some(text.clone())),
            Self::Null => Ok(None),
            other => Err(other.unlike(member, TEXT)),
        }
    }

    fn unlike(&self, member: &'static str, wanted: &'static str) -> BadBody {
        BadBody::Kind {
            member,
            found: self.name(),
            wanted,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text(_) => TEXT,
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_go_reads_them() {
        let members = Members::read(
            br#" {"HOST":"a","host":"b","Host":null,"x":{"host":1},"list":["c",null],"none":null} "#,
        )
        .unwrap();
        assert_eq!(members.text("host").unwrap(), "b");
        assert_eq!(members.text("absent").unwrap(), "");
        assert_eq!(members.texts("list").unwrap(), ["c", ""]);
        assert!(members.texts("none").unwrap().is_empty());
        assert_eq!(Members::read(b"null").unwrap().text("host").unwrap(), "");
        let odd = Members::read(b"{\"host\":\"\xff\"}").unwrap();
        assert_eq!(odd.text("host").unwrap(), "\u{fffd}");
    }

    #[test]
    fn what_is_none_is_told_with_its_reason() {
        let rows: [(&[u8], &str); 5] = [
            (b"", "expected JSON POST body, was empty"),
            (b"5", "the body is a number, not an object"),
            (b"[]", "the body is an array, not an object"),
            (b"{\"host\":5}", "\"host\" is a number, not a string"),
            (b"{\"host\":{}}", "\"host\" is an object, not a string"),
        ];
        for (body, reason) in rows {
            let read = Members::read(body).and_then(|members| members.text("host"));
            assert_eq!(read.unwrap_err().to_string(), reason);
        }
        assert!(matches!(
            Members::read(b"{\"host\""),
            Err(BadBody::NoJson(_))
        ));
        let members = Members::read(b"{\"l\":\"x\",\"m\":[1]}").unwrap();
        assert_eq!(
            members.texts("l").unwrap_err().to_string(),
            "\"l\" is a string, not an array"
        );
        assert!(members.texts("m").is_err());
        assert!(members.objects("m", |_| Ok(())).is_err());
    }

    proptest::proptest! {
        #[test]
        fn reading_never_panics(body: Vec<u8>) {
            if let Ok(members) = Members::read(&body) {
                let _ = (members.text("host"), members.texts("host"));
            }
        }
    }
}
