//! The trace of a validation attempt: all that was done and seen, for the operator (design
//! section 2.4). What a subscriber may see of it is decided in `explain.rs`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dns_message::RecordKind;

/// The steps of one attempt in their order; bounded by the bounds of the attempt itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// A name was looked up.
    LookedUp(LookedUp),
    /// A name was not looked up.
    NotLookedUp {
        /// The name.
        name: String,
        /// Why not.
        why: String,
    },
    /// An address was judged and left out.
    Denied {
        /// The name that led there.
        name: String,
        /// The address.
        address: IpAddr,
        /// The range and the reason.
        why: String,
    },
    /// A connection was tried.
    Connect {
        /// The address.
        address: SocketAddr,
        /// `connected`, or what went wrong.
        result: String,
        /// How long it took.
        took_ms: u32,
    },
    /// A TLS handshake was made on it.
    Tls {
        /// The version, or what went wrong.
        result: String,
    },
    /// A URL was asked for, and this came back.
    Fetched {
        /// The URL.
        url: String,
        /// The status line, or what went wrong.
        status: String,
        /// The headers that help to tell who answered.
        headers: Vec<(String, String)>,
        /// How long it took.
        took_ms: u32,
    },
    /// A redirect was not followed.
    NotFollowed {
        /// Its target, shortened.
        location: String,
        /// Why not.
        why: String,
    },
    /// The body was compared.
    Compared {
        /// What should have been there.
        expected: String,
        /// What was, shortened.
        found: String,
    },
    /// After a failure, a DNS server was asked once more, to name the cause.
    AskedAgain {
        /// Who was asked.
        server: SocketAddr,
        /// For what, and how.
        question: String,
        /// What it said.
        answer: String,
    },
    /// The attempt's time was over.
    OutOfTime,
}

/// A look-up of one kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedUp {
    /// The name.
    pub name: String,
    /// The record type.
    pub kind: RecordKind,
    /// The server that answered last; absent when none did or none was asked.
    pub server: Option<SocketAddr>,
    /// The records, or how it failed.
    pub answer: Vec<String>,
    /// The names that aliases led through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// How long it took.
    pub took_ms: u32,
}

impl Trace {
    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(super) fn looked_up(&mut self, looked_up: LookedUp) {
        self.push(Step::LookedUp(looked_up));
    }
}

/// Quotes foreign bytes: 64 octets at most, everything but plain characters escaped (T-CA-69).
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let mut text = String::new();
    for octet in bytes.iter().take(EXCERPT) {
        match octet {
            b' ' => text.push(' '),
            // What could end a quotation, start a tag or an escape sequence, or hide the rest.
            b'"' | b'\'' | b'\\' | b'<' | b'>' | b'&' => text.push_str(&format!("\\x{octet:02x}")),
            octet if octet.is_ascii_graphic() => text.push(char::from(*octet)),
            octet => text.push_str(&format!("\\x{octet:02x}")),
        }
    }
    if bytes.len() > EXCERPT {
        text.push('…');
    }
    text
}

/// Milliseconds for the trace.
pub(super) fn millis(took: Duration) -> u32 {
    u32::try_from(took.as_millis()).unwrap_or(u32::MAX)
}

/// The longest quotation of foreign bytes.
const EXCERPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_escaped_and_cut_at_64() {
        // T-CA-69
        let mut body = b"<b>\x00\x1b[31m\"hi\"\r\n\xff".to_vec();
        body.resize(80, b'.');
        body.extend_from_slice(b"the secret");
        let quoted = excerpt(&body);
        assert!(
            quoted.starts_with(r"\x3cb\x3e\x00\x1b[31m\x22hi\x22\x0d\x0a\xff..."),
            "{quoted}"
        );
        assert!(quoted.ends_with("...…"), "{quoted}");
        assert!(!quoted.contains("secret"));
        assert!(
            quoted
                .chars()
                .all(|c| c == '…' || c.is_ascii_graphic() || c == ' ')
        );
    }

    #[test]
    fn a_trace_survives_the_store() {
        let trace = Trace {
            steps: vec![
                Step::LookedUp(LookedUp {
                    name: "a.example".to_owned(),
                    kind: RecordKind::Aaaa,
                    server: Some("192.0.2.1:53".parse().unwrap()),
                    answer: vec!["NXDOMAIN".to_owned()],
                    aliases: Vec::new(),
                    took_ms: 3,
                }),
                Step::Tls {
                    result: "TLSv1_3".to_owned(),
                },
                Step::OutOfTime,
            ],
        };
        let text = serde_json::to_string(&trace).unwrap();
        assert_eq!(serde_json::from_str::<Trace>(&text).unwrap(), trace);
    }
}
