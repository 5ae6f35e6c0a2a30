//! The same request again: after a refusal, after too short a time, without end (RFC 8555 §6.5, §6.6, §7.3.3).

use std::time::Duration;

use cairn_acme::base64url;
use serde_json::Value;

use super::{
    Rule,
    bounded::Bounded,
    look::{Look, Sink, Told, seconds},
    nonces::Nonces,
};
use crate::dev::Step;

/// Requests that are remembered.
const ASKED: usize = 4_000;

/// A client may bound how long it lets itself be sent away.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// Within which a request is a retry of the one before, and no new attempt that was bidden.
const RETRY: Duration = Duration::from_secs(1);

/// So many of the same within [`LOOP`] are a loop without a pause.
const LOOPS: u32 = 10;
const LOOP: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Asked {
    told: Told,
    refusal: Option<Refusal>,
    /// Whether it makes sense to ask again.
    is_open: bool,
    /// The same before it, since.
    count: u32,
    since: Duration,
}

#[derive(Debug)]
enum Refusal {
    Later { status: u16, wait: Duration },
    Nonce,
    Human,
    Algorithm(String),
}

#[derive(Debug)]
pub(super) struct Asks(Bounded<u64, Asked>);

impl Default for Asks {
    fn default() -> Self {
        Self(Bounded::new(ASKED))
    }
}

impl Asks {
    /// Looks at a signed request.
    pub(super) fn check(&mut self, look: &Look<'_>, nonces: &Nonces, sink: &mut Sink<'_>) {
        let Some(signed) = &look.signed else { return };
        let Some(before) = self.0.get_mut(&look.likeness()) else {
            return;
        };
        let told = before.told;
        if !told.is_known(look, |a, b| nonces.is_same(a, b)) {
            return;
        }
        let since = look.since(&told);
        match &before.refusal {
            Some(Refusal::Later { status, wait }) => {
                let evidence = format!(
                    "asked the same again after {} though Retry-After of the {status} said {}",
                    seconds(since),
                    seconds(*wait)
                );
                pace(look, Rule::RetryAfter, (told, *wait), evidence, sink);
            }
            // A nonce that came with it or later is as good.
            Some(Refusal::Nonce) if since < RETRY => {
                if told.is_after_nonce(look) {
                    let evidence = format!(
                        "badNonce in #{} came with a nonce; the retry has an older one",
                        told.number
                    );
                    sink.wrong(look, Rule::BadNonceRetry, evidence, Some(told.number));
                } else {
                    sink.judge(look, Rule::BadNonceRetry, None::<&str>);
                }
            }
            Some(Refusal::Human) if since < RETRY => {
                let evidence = format!(
                    "asked the same again after {}, though #{} said userActionRequired",
                    seconds(since),
                    told.number
                );
                sink.wrong(look, Rule::ActionRequired, evidence, Some(told.number));
            }
            Some(Refusal::Human) => sink.judge(look, Rule::ActionRequired, None::<&str>),
            Some(Refusal::Algorithm(alg)) if signed.header("alg") == Some(alg) => {
                let evidence = format!("alg {alg:?} was refused in #{}", told.number);
                sink.wrong(look, Rule::AlgorithmAgain, evidence, Some(told.number));
            }
            _ => {}
        }
        if !before.is_open {
            return;
        }
        let now = look.exchange.arrived + look.exchange.ahead;
        if now.saturating_sub(before.since) > LOOP {
            before.count = 0;
            before.since = now;
        }
        before.count += 1;
        if before.count == LOOPS {
            let evidence = format!("asked the same {LOOPS} times within {}", seconds(LOOP));
            sink.wrong(look, Rule::HotLoop, evidence, Some(told.number));
        } else {
            sink.judge(look, Rule::HotLoop, None::<&str>);
        }
    }

    /// Learns what became of it.
    pub(super) fn learn(&mut self, look: &Look<'_>, sink: &mut Sink<'_>) {
        let Some(signed) = &look.signed else { return };
        let key = look.likeness();
        let (count, since) = match self.0.get(&key) {
            Some(before) => (before.count, before.since),
            None => (0, look.exchange.arrived + look.exchange.ahead),
        };
        let status = look.status().unwrap_or_default();
        let refusal = match look.problem() {
            // An answer that did not arrive binds nobody.
            _ if !look.is_whole() => None,
            Some("badNonce") => look
                .told("replay-nonce")
                .filter(|nonce| base64url::is_alphabet(nonce))
                .map(|_| Refusal::Nonce),
            Some("userActionRequired") => Some(Refusal::Human),
            Some("badSignatureAlgorithm") => {
                let names = look.object.as_ref().and_then(|o| o.get("algorithms"));
                let others = names
                    .and_then(Value::as_array)
                    .is_some_and(|n| !n.is_empty());
                let alg = signed.header("alg").filter(|_| others);
                alg.map(|alg| Refusal::Algorithm(alg.to_owned()))
            }
            _ if matches!(status, 429 | 503) => look
                .retry_after()
                .map(|wait| Refusal::Later { status, wait }),
            _ => None,
        };
        if look.is_good() && signed.header("alg").is_some() && look.step() == Some(Step::NewAccount)
        {
            sink.judge(look, Rule::AlgorithmAgain, None::<&str>);
        }
        let is_poll =
            signed.is_get() && matches!(look.text("status"), Some("pending" | "processing"));
        let asked = Asked {
            told: look.telling(),
            refusal,
            is_open: look.is_whole() && (status >= 400 || is_poll),
            count,
            since,
        };
        self.0.put(key, asked);
    }
}

/// Whether the client waited as it was told. It may bound what it lets itself be told, and its clock may be coarse.
pub(super) fn pace(
    look: &Look<'_>,
    rule: Rule,
    (told, wait): (Told, Duration),
    evidence: String,
    sink: &mut Sink<'_>,
) {
    let due = wait.min(LONGEST);
    let slack = (due / 10).min(Duration::from_secs(1));
    if look.since(&told) + slack < due {
        sink.wrong(look, rule, evidence, Some(told.number));
    } else {
        sink.judge(look, rule, None::<&str>);
    }
}
