//! Which faults a request meets: (state, request, now) → (state, strikes). Without a socket, a clock, or a random source: what
//! strikes by chance follows from the seed, the fault and how many requests it has met.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    time::Duration,
};

use aws_lc_rs::hmac;

use super::{Action, Client, Fault, Step, When, dice, text::steps_of};

/// Objects whose looks are counted; beyond them the count begins anew.
const COUNTED: usize = 10_000;

/// A fault that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub u64);

/// A request, as far as faults choose by it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// None for what is no resource: no fault is for it.
    pub step: Option<Step>,
    /// Where from.
    pub address: IpAddr,
    /// Its User-Agent; empty if there is none.
    pub agent: String,
    /// The id that its kid ends with.
    pub account: Option<String>,
    /// Of the account's key, or of the key in the request.
    pub thumbprint: Option<String>,
}

/// A fault that strikes.
#[derive(Debug, Clone, PartialEq)]
pub struct Strike {
    /// Which.
    pub id: FaultId,
    /// What it does.
    pub action: Action,
}

#[derive(Debug, Clone)]
struct Entry {
    fault: Fault,
    /// Requests that it was for.
    met: u64,
    /// Of them those that it struck.
    struck: u64,
}

/// The faults in force, and what they have met.
#[derive(Debug, Clone, Default)]
pub struct State {
    seed: u32,
    added: u64,
    entries: BTreeMap<FaultId, Entry>,
    /// Until then no connection is taken.
    down_until: Option<Duration>,
    /// Looks at an object that are left to `processing`.
    looks: HashMap<(FaultId, String), u32>,
}

impl State {
    /// None in force.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Puts one in force, behind those that are.
    pub fn add(&mut self, fault: Fault) -> FaultId {
        self.added += 1;
        let id = FaultId(self.added);
        let entry = Entry {
            fault,
            met: 0,
            struck: 0,
        };
        self.entries.insert(id, entry);
        id
    }

    /// Takes one out; false if it is not there.
    pub fn remove(&mut self, id: FaultId) -> bool {
        self.looks.retain(|(fault, _), _| *fault != id);
        self.entries.remove(&id).is_some()
    }

    /// Takes all out, and the server is up.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.looks.clear();
        self.down_until = None;
    }

    /// Each with the number of requests that it was for and of those that it struck.
    pub fn list(&self) -> impl Iterator<Item = (FaultId, &Fault, u64, u64)> {
        self.entries
            .iter()
            .map(|(id, entry)| (*id, &entry.fault, entry.met, entry.struck))
    }

    /// Whether any fault chooses by account, so that it is worth finding out whose request it is.
    #[must_use]
    pub fn asks_for_accounts(&self) -> bool {
        self.entries.values().any(|e| e.fault.account.is_some())
    }

    /// What a request meets. `now` is monotonic and does not follow the clock that tests move.
    pub fn decide(&mut self, asked: &Asked, now: Duration) -> Vec<Strike> {
        if self.is_down(now) {
            return vec![Strike {
                id: FaultId(0),
                action: Action::Cut,
            }];
        }
        let mut strikes = Vec::new();
        for (id, entry) in &mut self.entries {
            if !is_for(&entry.fault, asked) {
                continue;
            }
            entry.met += 1;
            let hit = match entry.fault.when {
                When::Always => true,
                When::First(n) => entry.met <= u64::from(n),
                When::Nth(n) => entry.met == u64::from(n),
                When::Percent(percent) => draw(self.seed, *id, entry.met) < percent,
            };
            if hit {
                entry.struck += 1;
                let action = entry.fault.action.clone();
                if let Action::Down(span) = &action {
                    self.down_until = Some(now.saturating_add(span.duration()));
                }
                strikes.push(Strike { id: *id, action });
            }
        }
        strikes
    }

    /// Whether no connection is taken.
    #[must_use]
    pub fn is_down(&self, now: Duration) -> bool {
        self.down_until.is_some_and(|until| now < until)
    }

    /// Whether `processing` still hides the end of that object; a look is counted.
    pub fn hides(&mut self, id: FaultId, object: &str, looks: u32, is_look: bool) -> bool {
        if self.looks.len() >= COUNTED {
            self.looks.clear();
        }
        let left = self.looks.entry((id, object.to_owned())).or_insert(looks);
        let hidden = *left > 0;
        if is_look {
            *left = left.saturating_sub(1);
        }
        hidden
    }
}

fn is_for(fault: &Fault, asked: &Asked) -> bool {
    let Some(step) = asked.step else { return false };
    let known = steps_of(&fault.action);
    let at = match fault.step {
        Some(only) => only == step,
        None => known.is_empty() || known.contains(&step),
    };
    let by = fault.account.as_ref().is_none_or(|account| {
        Some(account) == asked.account.as_ref() || Some(account) == asked.thumbprint.as_ref()
    });
    let from = match &fault.client {
        None => true,
        Some(Client::Address(address)) => *address == asked.address,
        Some(Client::Agent(agent)) => asked.agent.contains(agent.as_str()),
    };
    at && by && from
}

/// A number below a hundred for a fault's meeting with its nth request. Each fault draws by itself, so that the requests of
/// one do not move another's.
fn draw(seed: u32, id: FaultId, met: u64) -> u8 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &seed.to_be_bytes());
    let number = dice::number(&key, &[id.0, met]);
    u8::try_from((u128::from(number) * 100) >> 64).unwrap_or(99)
}
