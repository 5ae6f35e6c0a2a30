//! What was asked, by host and kind, within bounds: the oldest is forgotten first.

use std::collections::VecDeque;

use serde::{Serialize, ser::Serializer};

use super::data::key;

/// Questions kept. A test looks at the last few; a soak asks millions.
const EVENTS: usize = 10_000;

/// Octets kept: a request's line and host are as long as its client likes.
const OCTETS: usize = 16 * 1024 * 1024;

/// What kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Dns,
    TlsAlpn,
}

/// A question, with the members that the other program gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Event {
    #[serde(rename_all = "PascalCase")]
    Http {
        #[serde(rename = "URL")]
        url: String,
        host: String,
        #[serde(rename = "HTTPS")]
        https: bool,
        server_name: String,
    },
    #[serde(rename_all = "PascalCase")]
    Dns {
        question: Question,
        /// Of a question over HTTPS.
        user_agent: String,
    },
    #[serde(rename_all = "PascalCase")]
    TlsAlpn {
        server_name: String,
        /// None: the client offered no list.
        supported_protos: Option<Vec<String>>,
    },
}

/// A DNS question. Its name is kept in lower case: resolvers mix its letters against forgers, and tests compare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) qtype: u16,
    pub(super) qclass: u16,
}

#[derive(Debug, Default)]
pub(super) struct History {
    events: VecDeque<(String, Event)>,
    octets: usize,
}

impl Event {
    fn kind(&self) -> Kind {
        match self {
            Self::Http { .. } => Kind::Http,
            Self::Dns { .. } => Kind::Dns,
            Self::TlsAlpn { .. } => Kind::TlsAlpn,
        }
    }

    /// Under which host it is found: HTTP without a port.
    fn host(&self) -> String {
        key(match self {
            Self::Http { host, .. } => without_port(host),
            Self::Dns { question, .. } => &question.name,
            Self::TlsAlpn { server_name, .. } => server_name,
        })
    }

    fn octets(&self) -> usize {
        let text = match self {
            Self::Http {
                url,
                host,
                server_name,
                ..
            } => url.len() + host.len() + server_name.len(),
            Self::Dns {
                question,
                user_agent,
            } => question.name.len() + user_agent.len(),
            Self::TlsAlpn {
                server_name,
                supported_protos,
            } => {
                let protocols = supported_protos.iter().flatten();
                server_name.len()
                    + protocols
                        .map(|p| p.len() + size_of::<String>())
                        .sum::<usize>()
            }
        };
        text + size_of::<Self>()
    }
}

impl History {
    pub(super) fn add(&mut self, event: Event) {
        self.octets += event.octets();
        self.events.push_back((event.host(), event));
        while self.events.len() > EVENTS || self.octets > OCTETS {
            let Some((_, oldest)) = self.events.pop_front() else {
                break;
            };
            self.octets -= oldest.octets();
        }
    }

    pub(super) fn forget(&mut self, host: &str, kind: Kind) {
        let host = key(host);
        let octets = &mut self.octets;
        self.events.retain(|(of, event)| {
            let forgotten = *of == host && event.kind() == kind;
            if forgotten {
                *octets -= event.octets();
            }
            !forgotten
        });
    }

    /// A list with three columns of indentation, and `&`, `<`, `>` as Go's encoder writes them.
    pub(super) fn json(&self, host: &str, kind: Kind) -> String {
        let host = key(host);
        let all = self.events.iter();
        let found: Vec<_> = all
            .filter(|(of, event)| *of == host && event.kind() == kind)
            .map(|(_, event)| event)
            .collect();
        let mut out = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b"   ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, format);
        // Writing texts and numbers to memory cannot fail.
        let _ = serializer.collect_seq(found);
        let text = String::from_utf8_lossy(&out);
        text.replace('&', "\\u0026")
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
    }
}

/// `a.test:80` and `[::1]:80` without their port; anything else as it is.
fn without_port(host: &str) -> &str {
    let Some((name, _)) = host.rsplit_once(':') else {
        return host;
    };
    match name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        Some(address) => address,
        None if name.contains([':', '[', ']']) => host,
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(host: &str, url: &str) -> Event {
        Event::Http {
            url: url.to_owned(),
            host: host.to_owned(),
            https: false,
            server_name: String::new(),
        }
    }

    #[test]
    fn a_host_is_found_without_its_port() {
        let rows = [
            ("a.test", "a.test"),
            ("A.test:5002", "a.test"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
        ];
        for (host, found) in rows {
            assert_eq!(http(host, "/").host(), found, "{host}");
        }
    }

    #[test]
    fn events_are_told_by_host_and_kind_and_forgotten_by_them() {
        let mut history = History::default();
        assert_eq!(history.json("a.test", Kind::Http), "[]");
        history.add(http("a.test", "/x?a&b"));
        history.add(Event::Dns {
            question: Question {
                name: "a.test.".to_owned(),
                qtype: 1,
                qclass: 1,
            },
            user_agent: String::new(),
        });
        assert_eq!(
            history.json("A.test", Kind::Http),
            "[\n   {\n      \"URL\": \"/x?a\\u0026b\",\n      \"Host\": \"a.test\",\n      \"HTTPS\": false,\n      \
             \"ServerName\": \"\"\n   }\n]"
        );
        history.forget("a.test", Kind::Http);
        assert_eq!(history.json("a.test", Kind::Http), "[]");
        assert_ne!(history.json("a.test", Kind::Dns), "[]");
        history.forget("a.test", Kind::Dns);
        assert_eq!(history.octets, 0);
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_many_or_large_ones() {
        let mut history = History::default();
        history.add(http("first.test", "/"));
        for _ in 0..EVENTS {
            history.add(http("a.test", "/"));
        }
        assert_eq!(history.json("first.test", Kind::Http), "[]");
        assert_eq!(history.events.len(), EVENTS);
        let large = "x".repeat(OCTETS / 4);
        for _ in 0..8 {
            history.add(http("a.test", &large));
        }
        assert!(history.octets <= OCTETS && history.events.len() == 3);
    }
}
