//! From the file's text to a [`Config`]: keys first, so that a wrong one is named with its nearest; then types; then
//! what must fit together.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Range,
    path::Path,
};

use serde::{Deserializer, de};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, ConfigFault, check, reference};

/// A configuration larger than this is a mistake in the path.
const MAX_BYTES: usize = 1 << 20;

impl Config {
    /// Parses and checks `cairn.toml`; `path` is for the fault's text alone.
    ///
    /// # Errors
    /// The first fault, with its place, key and, where one is near, the valid key that was probably meant.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigFault> {
        if text.len() > MAX_BYTES {
            return Err(ConfigFault::at(
                path,
                text,
                None,
                "",
                "longer than 1 MiB: no configuration",
            ));
        }
        let document = Document::parse(text, path)?;
        document.known_keys()?;
        for key in ["name", "url"] {
            if document.span(key).is_none() {
                let reason = "missing: every CA has its own, `cairn ca init` writes it";
                return Err(ConfigFault::at(path, text, None, key, reason));
            }
        }
        let mut config: Self = toml::from_str(text).map_err(|error| document.of_type(&error))?;
        check::complete(&mut config);
        match check::check(&config) {
            Some((key, reason)) => Err(document.at_key(&key, reason)),
            None => Ok(config),
        }
    }
}

/// The file with the places of its keys and values.
struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Document<'a> {
    fn parse(text: &'a str, path: &'a Path) -> Result<Self, ConfigFault> {
        match DeTable::parse(text) {
            Ok(root) => Ok(Self {
                path,
                text,
                root: root.into_inner(),
            }),
            Err(error) => {
                let reason = first_line(error.message());
                // The parser's place of a key that is there twice is the key itself.
                let key = error
                    .span()
                    .filter(|_| reason.starts_with("duplicate key"))
                    .and_then(|span| text.get(span))
                    .unwrap_or_default();
                Err(ConfigFault::at(path, text, error.span(), key, reason))
            }
        }
    }

    /// Refuses the first key that no setting has.
    fn known_keys(&self) -> Result<(), ConfigFault> {
        let mut unknown: Option<(String, Range<usize>)> = None;
        walk(&self.root, "", &mut |path, key, _| {
            let earlier = unknown.as_ref().is_none_or(|(_, s)| key.start < s.start);
            if !reference::is_known(path) && earlier {
                unknown = Some((path.to_owned(), key));
            }
        });
        match unknown {
            None => Ok(()),
            Some((key, span)) => {
                let hint = reference::nearest(&key).map(|n| format!("did you mean {n}?"));
                Err(
                    ConfigFault::at(self.path, self.text, Some(span), key, "no such setting")
                        .hinted(hint),
                )
            }
        }
    }

    /// The place of a key (`names[1].dial` is the second rule's).
    fn span(&self, wanted: &str) -> Option<Range<usize>> {
        let mut found = None;
        walk(&self.root, "", &mut |path, key, _| {
            if path == wanted {
                found.get_or_insert(key);
            }
        });
        found
    }

    fn at_key(&self, key: &str, reason: String) -> ConfigFault {
        // A default that contradicts a written setting has no place of its own; its table's is the nearest.
        let table = key.rsplit_once('.').map(|(table, _)| table);
        let span = self.span(key).or_else(|| table.and_then(|t| self.span(t)));
        ConfigFault::at(self.path, self.text, span, key, reason)
    }

    /// A value of the wrong type or form.
    fn of_type(&self, error: &toml::de::Error) -> ConfigFault {
        let span = error.span();
        let start = span.as_ref().map_or(0, |s| s.start);
        let mut key = (String::new(), usize::MAX);
        walk(&self.root, "", &mut |path, _, value| {
            if value.contains(&start) && value.len() <= key.1 {
                key = (path.to_owned(), value.len());
            }
        });
        let hint = reference::find(&key.0).map(|s| format!("wanted: {}", s.unit));
        ConfigFault::at(
            self.path,
            self.text,
            span,
            key.0,
            in_words(&first_line(error.message())),
        )
        .hinted(hint)
    }
}

/// Gets a key's dotted path, its own place and its value's.
type Visit<'a> = &'a mut dyn FnMut(&str, Range<usize>, Range<usize>);

/// Calls `visit` with every key's dotted path, its own place and its value's.
fn walk(table: &DeTable<'_>, prefix: &str, visit: Visit<'_>) {
    for (key, value) in table {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            _ => format!("{prefix}.{}", key.get_ref()),
        };
        visit(&path, key.span(), value.span());
        match value.get_ref() {
            DeValue::Table(inner) => walk(inner, &path, visit),
            DeValue::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    if let DeValue::Table(inner) = Spanned::get_ref(item) {
                        walk(inner, &format!("{path}[{n}]"), visit);
                    }
                }
            }
            _ => {}
        }
    }
}

fn first_line(message: &str) -> String {
    message
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

/// A fault of a type without the language's own names of types.
fn in_words(message: &str) -> String {
    let numbers = ["usize", "u64", "u32", "u16", "u8", "i64"];
    let number = numbers
        .iter()
        .find_map(|kind| message.strip_suffix(&format!("expected {kind}")));
    match number {
        Some(before) => format!("{before}expected a whole number"),
        None => message
            .replace("unknown variant", "there is no")
            .replace("expected a string", "expected a text in quotes"),
    }
}

/// Name servers: an address alone means port 53.
pub(super) fn dns_servers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SocketAddr>, D::Error> {
    struct Servers;
    impl<'de> de::Visitor<'de> for Servers {
        type Value = Vec<SocketAddr>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of addresses of name servers")
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut servers = Vec::new();
            while let Some(text) = list.next_element::<String>()? {
                let server = text
                    .parse()
                    .or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
                servers.push(server.map_err(|_| {
                    de::Error::custom(format!("{text:?} is no address of a name server, such as \"192.0.2.53\" or \"[2001:db8::53]:53\""))
                })?);
            }
            Ok(servers)
        }
    }
    deserializer.deserialize_seq(Servers)
}
