//! Which requests a test CA turns away that one in earnest takes; pure.

use cairn_acme::problem::Problem;
use serde_json::Value;

use super::{Conduct, Layout, Step};

/// A request, as far as these rules look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// None for what is no resource.
    pub(crate) step: Option<Step>,
    /// Its User-Agent; empty if there is none.
    pub(crate) agent: &'a str,
    /// The payload of its envelope, if it has one.
    pub(crate) payload: Option<&'a [u8]>,
}

impl Conduct {
    /// How a good nonce is refused.
    pub(crate) fn bad_nonce(&self, nonce: &str) -> Problem {
        Problem::bad_nonce(match self.layout {
            Layout::Cairn => {
                "a fault of this test CA; take the Replay-Nonce of this answer".to_owned()
            }
            Layout::Pebble => format!("JWS has an invalid anti-replay nonce: {nonce}"),
        })
    }

    /// Why the request is turned away.
    pub(crate) fn turns_away(&self, seen: &Seen<'_>) -> Option<Problem> {
        if self.wants_agent && seen.step.is_some() && seen.agent.is_empty() {
            return Some(Problem::malformed(
                "the request has no User-Agent header (RFC 8555 section 6.1)",
            ));
        }
        let payload = seen.payload.filter(|_| self.strict)?;
        let object: Option<Value> = serde_json::from_slice(payload).ok();
        let resource = object
            .as_ref()
            .and_then(|object| object["resource"].as_str());
        if let Some(resource) = resource.filter(|resource| !resource.is_empty()) {
            return Some(Problem::malformed(format!(
                "JWS body included JSON with a deprecated ACME v1 \"resource\" field ({resource:?})"
            )));
        }
        let answers = seen.step == Some(Step::Challenge) && !payload.is_empty();
        (answers && payload != b"{}")
            .then(|| Problem::malformed("challenge initiation POST JWS body was not \"{}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pebble_turns_away_is_turned_away_where_it_is_asked_for() {
        let lax = Conduct::default();
        let strict = Conduct {
            strict: true,
            wants_agent: true,
            ..Conduct::default()
        };
        let rows: [(&str, Step, &str, &[u8], bool); 9] = [
            ("an answer", Step::Challenge, "a/1", b"{}", false),
            ("a look", Step::Challenge, "a/1", b"", false),
            ("a space", Step::Challenge, "a/1", b"{ }", true),
            ("a member", Step::Challenge, "a/1", br#"{"a":1}"#, true),
            ("an order", Step::NewOrder, "a/1", br#"{"a":1}"#, false),
            (
                "resource",
                Step::NewOrder,
                "a/1",
                br#"{"resource":"x"}"#,
                true,
            ),
            (
                "empty resource",
                Step::NewOrder,
                "a/1",
                br#"{"resource":""}"#,
                false,
            ),
            ("no JSON", Step::NewOrder, "a/1", b"\xff", false),
            ("no agent", Step::NewOrder, "", b"{}", true),
        ];
        let mut wrong = Vec::new();
        for (name, step, agent, payload, refused) in rows {
            let seen = Seen {
                step: Some(step),
                agent,
                payload: Some(payload),
            };
            if strict.turns_away(&seen).is_some() != refused || lax.turns_away(&seen).is_some() {
                wrong.push(name);
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
