//! Renewal information (RFC 9773): how it is asked for, and how often.

use std::time::Duration;

use http::{Method, header};

use super::{
    Rule,
    bounded::{Bounded, digest},
    look::{Look, Sink, Told, seconds},
    nonces::Nonces,
    payload::certificate_name,
};
use crate::dev::Step;

/// Certificates and askers that are remembered.
const ASKED: usize = 5_000;

/// The longest interval that binds a client: it may bound it by a day (RFC 9773 §4.3.2).
const LONGEST: Duration = Duration::from_secs(86_400);

/// So many errors in a row, each asked after within [`LOOP`], are no back-off.
const LOOPS: u32 = 5;
const LOOP: Duration = Duration::from_secs(1);

/// What the directory's member ends with, and the slash.
const BELOW: &str = "/renewal-info/";

#[derive(Debug, Clone, Copy)]
struct Asked {
    told: Told,
    wait: Option<Duration>,
    /// Errors in a row.
    errors: u32,
}

#[derive(Debug)]
pub(super) struct Renewals(Bounded<u64, Asked>);

impl Default for Renewals {
    fn default() -> Self {
        Self(Bounded::new(ASKED))
    }
}

impl Renewals {
    /// Looks at a request and learns from its answer. These requests have no account and no nonce: it is the same client if
    /// address and User-Agent are the same. Many clients share both, so an interval binds those alone that are known to have
    /// been told it.
    pub(super) fn check(&mut self, look: &Look<'_>, nonces: &Nonces, sink: &mut Sink<'_>) {
        let exchange = look.exchange;
        // With more than a name behind it the path is no resource at all.
        let is_meant = match exchange.step {
            Some(step) => step == Step::RenewalInfo,
            None => exchange.path.contains(BELOW),
        };
        if !is_meant || exchange.method == Method::OPTIONS {
            return;
        }
        let is_get = matches!(exchange.method, Method::GET | Method::HEAD);
        let wrong = (!is_get).then(|| format!("asked by {}", exchange.method));
        sink.judge(look, Rule::RenewalPost, wrong);
        if !is_get {
            return;
        }
        address(&exchange.path, look, sink);
        let agent = exchange.headers.get(header::USER_AGENT);
        let key = digest(&(
            exchange.path.as_str(),
            exchange.peer,
            agent.map(|agent| agent.as_bytes()),
        ));
        let before = self.0.get(&key).copied();
        if let Some(before) = before {
            let is_same = nonces.is_same(before.told.client, look.client);
            again(before, is_same, look, sink);
        }
        let is_error = look.status().is_some_and(|status| status >= 400);
        let asked = Asked {
            told: look.telling(),
            wait: look
                .retry_after()
                .filter(|_| look.is_whole() && look.status() == Some(200)),
            errors: match before {
                Some(before) if is_error && look.since(&before.told) < LOOP => before.errors + 1,
                _ => u32::from(is_error),
            },
        };
        self.0.put(key, asked);
    }
}

fn again(before: Asked, is_same: bool, look: &Look<'_>, sink: &mut Sink<'_>) {
    let since = look.since(&before.told);
    if let Some(wait) = before.wait.filter(|_| is_same) {
        let due = wait.min(LONGEST);
        let slack = (due / 10).min(Duration::from_secs(60));
        if since + slack < due {
            let evidence = format!(
                "asked again after {} though Retry-After said {}",
                seconds(since),
                seconds(wait)
            );
            sink.wrong(look, Rule::RenewalEarly, evidence, Some(before.told.number));
        } else {
            sink.judge(look, Rule::RenewalEarly, None::<&str>);
        }
    }
    if before.errors == LOOPS && since < LOOP {
        let evidence = format!(
            "asked again after {LOOPS} errors, {} after the last",
            seconds(since)
        );
        sink.wrong(look, Rule::RenewalHot, evidence, Some(before.told.number));
    } else if before.errors > 0 {
        sink.judge(look, Rule::RenewalHot, None::<&str>);
    }
}

/// The URL is the directory's with a slash and the name behind it.
fn address(path: &str, look: &Look<'_>, sink: &mut Sink<'_>) {
    let Some((_, name)) = path.split_once(BELOW) else {
        return;
    };
    let wrong = if name.contains('?') {
        Some(format!("{path:?} has a query"))
    } else if name.contains('/') {
        Some(format!("{path:?} has more than a slash and a name"))
    } else {
        None
    };
    let fits = wrong.is_none();
    sink.judge(look, Rule::RenewalUrl, wrong);
    if fits {
        sink.judge(look, Rule::CertId, certificate_name(name));
    }
}
