//! Nonces: which were handed out, to whom, and used when (RFC 8555 §6.5). They also tell which connections are one client's:
//! nobody but who got a nonce can use it.

use std::collections::BTreeSet;

use cairn_acme::base64url;

use super::{
    Rule,
    bounded::{Bounded, digest},
    look::{Look, Sink},
};
use crate::dev::Delivery;

/// Nonces that are remembered.
const NONCES: usize = 10_000;

/// Connections whose client is remembered.
const CONNECTIONS: usize = 2_000;

/// Steps from a connection to the first of its client's; beyond them it counts as another's.
const STEPS: usize = 64;

#[derive(Debug)]
struct Handed {
    client: u64,
    turn: u64,
    /// More than one answer had it: whose answer its user has is not known.
    again: bool,
    used: Option<Used>,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    number: u64,
    connection: u64,
    body: u64,
    delivery: Delivery,
}

#[derive(Debug)]
pub(super) struct Nonces {
    handed: Bounded<u64, Handed>,
    /// Their lengths: one of an earlier run of the server looks as one of this run.
    lengths: BTreeSet<usize>,
    /// From a connection to an earlier one of the same client.
    same: Bounded<u64, u64>,
}

impl Default for Nonces {
    fn default() -> Self {
        Self {
            handed: Bounded::new(NONCES),
            lengths: BTreeSet::new(),
            same: Bounded::new(CONNECTIONS),
        }
    }
}

impl Nonces {
    /// Looks at the request's nonce, and finds out by it which client asks.
    pub(super) fn used(&mut self, look: &mut Look<'_>, sink: &mut Sink<'_>) {
        let Some(nonce) = look.signed.as_ref().and_then(|s| s.header("nonce")) else {
            look.client = self.client(look.client);
            return;
        };
        let nonce = nonce.to_owned();
        let is_sound = base64url::is_alphabet(&nonce);
        let known = self.handed.get(&digest(nonce.as_str()));
        let client = known
            .filter(|handed| !handed.again)
            .map(|handed| (handed.client, handed.turn));
        if let Some((client, turn)) = client {
            self.join(look.client, client);
            look.knows = Some(turn);
        }
        look.client = self.client(look.client);
        let looks_old = self.lengths.is_empty() || self.lengths.contains(&nonce.len());
        let may_be_old = self.handed.has_forgotten() || (is_sound && looks_old);
        match self.handed.get_mut(&digest(nonce.as_str())) {
            None if may_be_old => {}
            None => sink.wrong(
                look,
                Rule::NonceUnknown,
                "the nonce was in no Replay-Nonce of any answer",
                None,
            ),
            Some(handed) => {
                sink.judge(look, Rule::NonceUnknown, None::<&str>);
                let wrong =
                    (!is_sound).then_some("the Replay-Nonce had characters outside of base64url");
                sink.judge(look, Rule::NonceInvalid, wrong);
                let now = Used {
                    number: look.exchange.number,
                    connection: look.exchange.connection,
                    body: digest(&look.exchange.body[..]),
                    delivery: look.exchange.delivery,
                };
                twice(handed.used.replace(now), now, look, sink);
            }
        }
    }

    /// Learns what the answer hands out.
    pub(super) fn learn(&mut self, look: &Look<'_>) {
        let Some(nonce) = look.told("replay-nonce") else {
            return;
        };
        if base64url::is_alphabet(nonce) && self.lengths.len() < 16 {
            self.lengths.insert(nonce.len());
        }
        let key = digest(nonce);
        // Handed out again, it may be used again.
        let handed = Handed {
            client: look.client,
            turn: look.turn,
            again: self.handed.get(&key).is_some(),
            used: None,
        };
        self.handed.put(key, handed);
    }

    /// Whether two connections are one client's.
    pub(super) fn is_same(&self, one: u64, other: u64) -> bool {
        self.client(one) == self.client(other)
    }

    fn client(&self, connection: u64) -> u64 {
        let mut at = connection;
        for _ in 0..STEPS {
            match self.same.get(&at) {
                Some(earlier) => at = *earlier,
                None => break,
            }
        }
        at
    }

    fn join(&mut self, one: u64, other: u64) {
        let (one, other) = (self.client(one), self.client(other));
        if one != other {
            self.same.put(one.max(other), one.min(other));
        }
    }
}

/// A nonce that was used before. Whoever lost an answer and sends the same octets again on another connection is left alone,
/// and so is everybody whose first request had no answer.
fn twice(before: Option<Used>, now: Used, look: &Look<'_>, sink: &mut Sink<'_>) {
    let Some(before) = before else {
        return sink.judge(look, Rule::NonceTwice, None::<&str>);
    };
    let resent = before.body == now.body && before.connection != now.connection;
    if before.delivery != Delivery::Whole || resent {
        return;
    }
    let evidence = format!("sent the nonce of request #{} again", before.number);
    sink.wrong(look, Rule::NonceTwice, evidence, Some(before.number));
}
