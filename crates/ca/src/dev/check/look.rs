//! One exchange as the checks look at it, and where they put what they find.

use std::{borrow::Cow, time::Duration};

use http::{Method, header};
use serde_json::Value;

use super::{Finding, Ledger, Rule, bounded::digest};
use crate::dev::{
    Delivery, Exchange, Step,
    transcript::{Signed, shown},
};

/// The exchange, decoded once.
pub(super) struct Look<'e> {
    pub(super) exchange: &'e Exchange,
    pub(super) signed: Option<Signed>,
    /// The answer as JSON.
    pub(super) object: Option<Value>,
    /// Which client, as far as connections and nonces tell.
    pub(super) client: u64,
    /// How many exchanges had ended before this one.
    pub(super) turn: u64,
    /// As of which turn the client knows its answers, by the nonce that it used.
    pub(super) knows: Option<u64>,
}

impl<'e> Look<'e> {
    pub(super) fn at(exchange: &'e Exchange, turn: u64) -> Self {
        let is_post = exchange.method == Method::POST;
        let answer = exchange.answer.as_ref();
        Self {
            exchange,
            signed: if is_post {
                Signed::read(&exchange.body)
            } else {
                None
            },
            // Whatever its Content-Type: clients read it without one too.
            object: answer.and_then(|answer| serde_json::from_slice(&answer.body).ok()),
            client: exchange.connection,
            turn,
            knows: None,
        }
    }

    /// Whether it is a request to that resource with a JWS.
    pub(super) fn is_signed(&self) -> bool {
        self.signed.is_some()
    }

    pub(super) fn step(&self) -> Option<Step> {
        self.exchange.step
    }

    /// The kid.
    pub(super) fn account(&self) -> Option<&str> {
        self.signed.as_ref()?.header("kid")
    }

    pub(super) fn status(&self) -> Option<u16> {
        Some(self.exchange.answer.as_ref()?.status.as_u16())
    }

    pub(super) fn is_good(&self) -> bool {
        self.status()
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// A header of the answer.
    pub(super) fn told(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.exchange
            .answer
            .as_ref()?
            .headers
            .get(name)?
            .to_str()
            .ok()
    }

    /// A text in the answer's object.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.object.as_ref()?.get(name)?.as_str()
    }

    /// The answer's problem type, without ACME's namespace.
    pub(super) fn problem(&self) -> Option<&str> {
        if self.status()? < 400 {
            return None;
        }
        self.text("type")?
            .strip_prefix("urn:ietf:params:acme:error:")
    }

    /// Whether the answer binds the client: all of it was sent.
    pub(super) fn is_whole(&self) -> bool {
        self.exchange.delivery == Delivery::Whole
    }

    /// What this answer tells, for later.
    pub(super) fn telling(&self) -> Told {
        Told {
            number: self.exchange.number,
            connection: self.exchange.connection,
            client: self.client,
            turn: self.turn,
            at: self.exchange.answered,
            ahead: self.exchange.ahead,
        }
    }

    /// How long ago the answer was sent, by the machine's clock and as the CA's was moved.
    pub(super) fn since(&self, told: &Told) -> Duration {
        self.exchange.arrived.saturating_sub(told.at)
            + self.exchange.ahead.saturating_sub(told.ahead)
    }

    /// How long the answer asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.told(header::RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        let sent = self
            .exchange
            .at
            .plus(self.exchange.answered.saturating_sub(self.exchange.arrived));
        let millis = date.as_millisecond().saturating_sub(sent.as_millis());
        let wait = Duration::from_millis(u64::try_from(millis).ok()?);
        // As `pebble` the date is by the clock that was moved.
        Some(wait.checked_sub(self.exchange.ahead).unwrap_or(wait))
    }

    /// What makes a request the same as another: whose, what, where.
    pub(super) fn likeness(&self) -> u64 {
        let payload = self.signed.as_ref().and_then(|s| s.payload.as_ref());
        let key = self.signed.as_ref().and_then(Signed::jwk);
        digest(&(
            self.exchange.path.as_str(),
            payload,
            self.account(),
            key.map(Value::to_string),
        ))
    }
}

/// An answer that told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) number: u64,
    pub(super) connection: u64,
    pub(super) client: u64,
    turn: u64,
    at: Duration,
    ahead: Duration,
}

impl Told {
    /// Whether the client of this request had that answer: it came on the same connection, where one follows the other, or
    /// the same client has used a nonce that was handed out no earlier.
    pub(super) fn is_known(&self, look: &Look<'_>, same: impl Fn(u64, u64) -> bool) -> bool {
        self.connection == look.exchange.connection
            || (same(self.client, look.client) && look.knows.is_some_and(|turn| turn >= self.turn))
    }

    /// Whether the nonce of this request was handed out before that answer.
    pub(super) fn is_after_nonce(&self, look: &Look<'_>) -> bool {
        look.knows.is_some_and(|turn| turn < self.turn)
    }

    /// Whether the CA's clock was moved since.
    pub(super) fn is_before_move(&self, look: &Look<'_>) -> bool {
        self.ahead != look.exchange.ahead
    }
}

/// Where findings go.
pub(super) struct Sink<'s> {
    pub(super) ledger: &'s mut Ledger,
    pub(super) found: Vec<Finding>,
}

impl Sink<'_> {
    /// A check that this exchange alone decides.
    pub(super) fn judge(
        &mut self,
        look: &Look<'_>,
        rule: Rule,
        wrong: Option<impl Into<Cow<'static, str>>>,
    ) {
        match wrong {
            None => self.ledger.met(rule),
            Some(evidence) => self.wrong(look, rule, evidence, None),
        }
    }

    /// A check that is broken, with the earlier exchange that shows it too.
    pub(super) fn wrong(
        &mut self,
        look: &Look<'_>,
        rule: Rule,
        evidence: impl Into<Cow<'static, str>>,
        earlier: Option<u64>,
    ) {
        let mut exchanges: Vec<_> = earlier.into_iter().collect();
        exchanges.push(look.exchange.number);
        let finding = Finding {
            rule,
            exchanges,
            evidence: shown(&evidence.into()).into_owned(),
            client: shown(&self.name(look)).into_owned(),
        };
        self.ledger.broken(finding.clone());
        self.found.push(finding);
    }

    fn name(&self, look: &Look<'_>) -> String {
        if let Some(account) = look.account() {
            return account.to_owned();
        }
        let agent = look.exchange.headers.get(header::USER_AGENT);
        let agent = agent.map_or(Cow::Borrowed("no User-Agent"), |agent| {
            String::from_utf8_lossy(agent.as_bytes())
        });
        format!("{} {agent}", look.exchange.peer)
    }
}

/// The path of a URL, with its query.
pub(super) fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    Some(rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"))
}

/// A span in words.
pub(super) fn seconds(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if span.subsec_millis() == 0 && seconds >= 1.0 {
        format!("{} s", span.as_secs())
    } else if seconds < 1.0 {
        format!("{seconds:.3} s")
    } else {
        format!("{seconds:.1} s")
    }
}
