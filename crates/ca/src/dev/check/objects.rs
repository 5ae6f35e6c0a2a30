//! Orders, authorizations and challenges as clients were shown them, and what they then did (RFC 8555 §7.4, §7.5).

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use cairn_acme::base64url;
use cairn_x509::csr::Csr;
use http::header;
use serde_json::Value;

use super::{
    Rule,
    asks::pace,
    bounded::{Bounded, digest},
    look::{Look, Sink, Told, path_of, seconds},
    nonces::Nonces,
    payload::octets,
};
use crate::dev::{Delivery, Step};

/// Objects of each kind that are remembered.
const OBJECTS: usize = 2_000;

/// Looks at what has ended that are no finding: some clients look once more to be sure, some for another reason.
const LOOKS: u32 = 5;

/// What was last shown of an object's state.
#[derive(Debug, Clone, Default)]
struct Shown {
    status: String,
    told: Option<Told>,
    /// How long to wait before the next look, if it has not ended.
    wait: Option<Duration>,
    /// Looks since its end was shown.
    looks: u32,
}

#[derive(Debug, Default)]
struct Order {
    shown: Shown,
    /// It was shown `ready`, or further, in an answer that may have arrived.
    was_ready: bool,
    identifiers: BTreeSet<(String, String)>,
    authorizations: BTreeSet<u64>,
    /// The answer in which either was another.
    changed: Option<Told>,
    replaces: Option<String>,
    /// Answers of newOrder that gave it. Of more than one it is not known which client goes by which.
    placed: u32,
}

#[derive(Debug, Default)]
struct Authorization {
    shown: Shown,
    /// It was shown `valid` in an answer that may have arrived.
    was_valid: bool,
}

#[derive(Debug, Default)]
struct Challenge {
    authorization: u64,
    shown: Shown,
    /// The answer in which its token was none.
    bad_token: Option<Told>,
}

#[derive(Debug)]
pub(super) struct Objects {
    orders: Bounded<u64, Order>,
    /// From a finalize URL to its order.
    finalize: Bounded<u64, u64>,
    authorizations: Bounded<u64, Authorization>,
    challenges: Bounded<u64, Challenge>,
    /// Certificates that a client knows replaced, by account and name.
    replaced: Bounded<u64, Told>,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            orders: Bounded::new(OBJECTS),
            finalize: Bounded::new(OBJECTS),
            authorizations: Bounded::new(OBJECTS),
            challenges: Bounded::new(OBJECTS),
            replaced: Bounded::new(OBJECTS),
        }
    }
}

/// What the other checks know and these ask.
pub(super) struct Known<'k> {
    pub(super) nonces: &'k Nonces,
    /// Whether it is an account's key.
    pub(super) is_account_key: &'k dyn Fn(&[u8]) -> bool,
}

impl Known<'_> {
    fn has(&self, told: Option<Told>, look: &Look<'_>) -> Option<Told> {
        told.filter(|told| told.is_known(look, |a, b| self.nonces.is_same(a, b)))
    }
}

fn has_ended(status: &str) -> bool {
    matches!(
        status,
        "valid" | "invalid" | "expired" | "revoked" | "deactivated"
    )
}

impl Objects {
    /// Looks at a request.
    pub(super) fn check(&mut self, look: &Look<'_>, known: &Known<'_>, sink: &mut Sink<'_>) {
        let Some(signed) = &look.signed else { return };
        let here = digest(look.exchange.path.as_str());
        match look.step() {
            Some(Step::Order) if signed.is_get() => {
                if let Some(order) = self.orders.get_mut(&here).filter(|o| o.placed < 2) {
                    poll(&mut order.shown, Rule::PollOrder, look, known, sink);
                }
            }
            Some(Step::Authorization) if signed.is_get() => {
                if let Some(authorization) = self.authorizations.get_mut(&here) {
                    poll(&mut authorization.shown, Rule::PollAuthz, look, known, sink);
                }
            }
            Some(Step::Challenge) if signed.object.is_some() => {
                self.answered(here, look, known, sink)
            }
            Some(Step::Finalize) => self.finalized(here, look, known, sink),
            Some(Step::NewOrder) => {
                if let Some(name) = signed.member("replaces").and_then(Value::as_str) {
                    let before = self.replaced.get(&digest(&(look.account(), name))).copied();
                    match known.has(before, look) {
                        Some(told) => {
                            let evidence = format!(
                                "replaces {name:?}, which is replaced by what #{} said",
                                told.number
                            );
                            sink.wrong(look, Rule::ReplacesAgain, evidence, Some(told.number));
                        }
                        None => sink.judge(look, Rule::ReplacesAgain, None::<&str>),
                    }
                }
            }
            _ => {}
        }
    }

    fn answered(&self, here: u64, look: &Look<'_>, known: &Known<'_>, sink: &mut Sink<'_>) {
        let Some(challenge) = self.challenges.get(&here) else {
            return;
        };
        let above = self.authorizations.get(&challenge.authorization);
        let ended = [Some(&challenge.shown), above.map(|above| &above.shown)]
            .into_iter()
            .flatten()
            .filter(|shown| has_ended(&shown.status))
            .find_map(|shown| Some((known.has(shown.told, look)?, shown.status.as_str())));
        match ended {
            Some((told, status)) => {
                let evidence = format!("#{} had shown it {status}", told.number);
                sink.wrong(look, Rule::AnsweredEnded, evidence, Some(told.number));
            }
            None => sink.judge(look, Rule::AnsweredEnded, None::<&str>),
        }
        match known.has(challenge.bad_token, look) {
            Some(told) => {
                let evidence = format!("its token in #{} has other characters", told.number);
                sink.wrong(look, Rule::BadToken, evidence, Some(told.number));
            }
            None => sink.judge(look, Rule::BadToken, None::<&str>),
        }
    }

    fn finalized(&self, here: u64, look: &Look<'_>, known: &Known<'_>, sink: &mut Sink<'_>) {
        let order = self.finalize.get(&here).and_then(|at| self.orders.get(at));
        let Some(order) = order.filter(|order| order.placed < 2) else {
            return;
        };
        let shown = &order.shown;
        let last = known.has(shown.told, look);
        match (last, shown.status.as_str()) {
            (Some(told), "processing" | "valid" | "invalid") => {
                let evidence = format!("#{} had shown it {}", told.number, shown.status);
                sink.wrong(look, Rule::FinalizeEnded, evidence, Some(told.number));
            }
            _ => sink.judge(look, Rule::FinalizeEnded, None::<&str>),
        }
        let all_valid = !order.authorizations.is_empty()
            && order.authorizations.iter().all(|at| {
                let found = self.authorizations.get(at);
                let forgot = self.authorizations.has_forgotten();
                found.map_or(forgot, |authorization| authorization.was_valid)
            });
        let not_ready = look.problem() == Some("orderNotReady");
        if not_ready
            && !order.was_ready
            && !all_valid
            && !has_ended(&shown.status)
            && look.exchange.faults.is_empty()
            && !shown.told.is_some_and(|told| told.is_before_move(look))
        {
            let evidence = match last {
                Some(told) => format!("#{} had shown it {}", told.number, shown.status),
                None => "no answer had shown it ready".to_owned(),
            };
            let earlier = last.map(|told| told.number);
            sink.wrong(look, Rule::FinalizeEarly, evidence, earlier);
        } else if !not_ready {
            sink.judge(look, Rule::FinalizeEarly, None::<&str>);
        }
        match known.has(order.changed, look) {
            Some(told) => {
                let evidence = format!("#{} had shown other ones than before", told.number);
                sink.wrong(look, Rule::OrderChanged, evidence, Some(told.number));
            }
            None => sink.judge(look, Rule::OrderChanged, None::<&str>),
        }
        request(order, look, known, sink);
    }

    /// Learns what the answer shows.
    pub(super) fn learn(&mut self, look: &Look<'_>) {
        let here = digest(look.exchange.path.as_str());
        if look.step() == Some(Step::NewOrder) && look.problem() == Some("alreadyReplaced") {
            let signed = look.signed.as_ref();
            let name = signed.and_then(|s| s.member("replaces")?.as_str());
            if let Some(name) = name.filter(|_| look.is_whole()) {
                self.replaced
                    .put(digest(&(look.account(), name)), look.telling());
            }
        }
        // What nobody was sent tells nobody anything.
        if !look.is_good() || look.exchange.delivery == Delivery::None {
            return;
        }
        let Some(object) = &look.object else { return };
        let location = || look.told(header::LOCATION).and_then(path_of).map(digest);
        match look.step() {
            Some(Step::NewOrder) => {
                if let Some(at) = location() {
                    self.order(at, object, look);
                }
            }
            Some(Step::Order) => self.order(here, object, look),
            Some(Step::Finalize) => {
                if let Some(at) = self.finalize.get(&here).copied() {
                    self.order(at, object, look);
                }
            }
            Some(Step::NewAuthz) => {
                if let Some(at) = location() {
                    self.authorization(at, object, look);
                }
            }
            Some(Step::Authorization) => self.authorization(here, object, look),
            Some(Step::Challenge) => {
                let challenge = self.challenges.entry(here);
                show(&mut challenge.shown, object, look);
                // One valid challenge is enough (RFC 8555 §7.1.6).
                if look.text("status") == Some("valid") {
                    let above = self.authorizations.get_mut(&challenge.authorization);
                    above.into_iter().for_each(|above| above.was_valid = true);
                }
            }
            _ => {}
        }
    }

    fn order(&mut self, at: u64, object: &Value, look: &Look<'_>) {
        let status = look.text("status").unwrap_or_default();
        let finalize = look.text("finalize").and_then(path_of);
        if let Some(finalize) = finalize {
            self.finalize.put(digest(finalize), at);
        }
        let is_new = look.step() == Some(Step::NewOrder);
        let order = self.orders.entry(at);
        order.was_ready |= matches!(status, "ready" | "processing" | "valid");
        let identifiers = identifiers(object);
        let authorizations: BTreeSet<_> = strings(object, "authorizations")
            .filter_map(path_of)
            .map(digest)
            .collect();
        // What a new order is given is looked at anew.
        if is_new {
            for at in &authorizations {
                if let Some(authorization) = self.authorizations.get_mut(at) {
                    authorization.shown.looks = 0;
                }
            }
        }
        let changed = |old: bool, new: bool, same: bool| old && new && !same;
        if changed(
            !order.identifiers.is_empty(),
            !identifiers.is_empty(),
            order.identifiers == identifiers,
        ) || changed(
            !order.authorizations.is_empty(),
            !authorizations.is_empty(),
            order.authorizations == authorizations,
        ) {
            if look.is_whole() {
                order.changed = order.changed.or(Some(look.telling()));
            }
        } else {
            if !identifiers.is_empty() {
                order.identifiers = identifiers;
            }
            if !authorizations.is_empty() {
                order.authorizations = authorizations;
            }
        }
        if is_new {
            order.placed += 1;
            let signed = look.signed.as_ref();
            let name = signed.and_then(|s| s.member("replaces")?.as_str());
            order.replaces = name.map(str::to_owned).or(order.replaces.take());
        }
        show(&mut order.shown, object, look);
        if status == "valid"
            && look.is_whole()
            && let Some(name) = &order.replaces
        {
            let key = digest(&(look.account(), name.as_str()));
            self.replaced.put(key, look.telling());
        }
    }

    fn authorization(&mut self, at: u64, object: &Value, look: &Look<'_>) {
        let authorization = self.authorizations.entry(at);
        authorization.was_valid |= look.text("status") == Some("valid");
        show(&mut authorization.shown, object, look);
        let challenges = object.get("challenges").and_then(Value::as_array);
        for challenge in challenges.into_iter().flatten() {
            let url = challenge.get("url").and_then(Value::as_str);
            let Some(path) = url.and_then(path_of) else {
                continue;
            };
            let kept = self.challenges.entry(digest(path));
            kept.authorization = at;
            show(&mut kept.shown, challenge, look);
            let token = challenge.get("token").and_then(Value::as_str);
            let is_bad = token.is_some_and(|token| !base64url::is_alphabet(token));
            kept.bad_token = (is_bad && look.is_whole()).then(|| look.telling());
        }
    }
}

/// A look at an object.
fn poll(shown: &mut Shown, rule: Rule, look: &Look<'_>, known: &Known<'_>, sink: &mut Sink<'_>) {
    let Some(told) = known.has(shown.told, look) else {
        return;
    };
    if let Some(wait) = shown.wait {
        let evidence = format!(
            "polled after {} though Retry-After said {}",
            seconds(look.since(&told)),
            seconds(wait)
        );
        pace(look, rule, (told, wait), evidence, sink);
    }
    if !has_ended(&shown.status) {
        return;
    }
    shown.looks += 1;
    if shown.looks == LOOKS + 1 {
        let evidence = format!(
            "look {} after an answer had shown it {}, the last being #{}",
            shown.looks, shown.status, told.number
        );
        sink.wrong(look, Rule::PollEnded, evidence, Some(told.number));
    } else {
        sink.judge(look, Rule::PollEnded, None::<&str>);
    }
}

/// An answer shows an object's state. An answer that may not have arrived takes back what was told before it: the client may
/// go by either.
fn show(shown: &mut Shown, object: &Value, look: &Look<'_>) {
    let status = object
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !look.is_whole() {
        shown.told = None;
        shown.wait = None;
        return;
    }
    if shown.status != status {
        shown.looks = 0;
    }
    shown.status.clear();
    shown.status.push_str(status);
    shown.told = Some(look.telling());
    // What is asked to be looked at later is under way; and it is this object that is asked for.
    shown.wait = look
        .retry_after()
        .filter(|_| matches!(status, "pending" | "processing"));
}

/// A CSR that was refused. One that was accepted is right by the CA's own look.
fn request(order: &Order, look: &Look<'_>, known: &Known<'_>, sink: &mut Sink<'_>) {
    let rules = [Rule::CsrNames, Rule::CsrAccountKey, Rule::IpAsName];
    if look.is_good() {
        for rule in rules {
            sink.judge(look, rule, None::<&str>);
        }
        return;
    }
    if look.problem() != Some("badCSR") {
        return;
    }
    let text = look.signed.as_ref().and_then(|s| s.member("csr")?.as_str());
    let Some(csr) = text.and_then(|text| Csr::parse(&octets(text)).ok()) else {
        return;
    };
    let as_name = csr.text_names().find(|name| name.parse::<IpAddr>().is_ok());
    let as_name = as_name.map(|name| format!("the CSR has the DNS name {name:?}"));
    let is_ip_text = as_name.is_some();
    sink.judge(look, Rule::IpAsName, as_name);
    let mut names: BTreeSet<(String, String)> = csr
        .text_names()
        .map(|name| ("dns".to_owned(), name.to_ascii_lowercase()))
        .collect();
    let addresses = csr.ip_addresses().iter();
    names.extend(addresses.map(|address| ("ip".to_owned(), address.to_string())));
    if !is_ip_text && !order.identifiers.is_empty() && order.changed.is_none() {
        let wrong = (names != order.identifiers).then(|| {
            let list = |set: &BTreeSet<(String, String)>| {
                let values: Vec<_> = set.iter().map(|(_, value)| value.as_str()).collect();
                values.join(", ")
            };
            format!(
                "the CSR is for {}, the order for {}",
                list(&names),
                list(&order.identifiers)
            )
        });
        sink.judge(look, Rule::CsrNames, wrong);
    }
    let wrong = (known.is_account_key)(csr.public_key().spki_der())
        .then_some("the CSR's key is an account's key");
    sink.judge(look, Rule::CsrAccountKey, wrong);
}

fn identifiers(object: &Value) -> BTreeSet<(String, String)> {
    let all = object.get("identifiers").and_then(Value::as_array);
    let pair = |one: &Value| {
        let kind = one.get("type")?.as_str()?;
        let value = one.get("value")?.as_str()?;
        Some((kind.to_owned(), value.to_ascii_lowercase()))
    };
    all.into_iter().flatten().filter_map(pair).collect()
}

fn strings<'v>(object: &'v Value, name: &str) -> impl Iterator<Item = &'v str> {
    let items = object.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str)
}
