//! URLs: which ones answers contained, and those that a client made itself (RFC 8555 §7.1). Accounts and what directories
//! offer are known by their URLs too.

use std::collections::BTreeSet;

use http::{Method, header};
use serde_json::Value;

use super::{
    Rule,
    bounded::{Bounded, digest},
    look::{Look, Sink, path_of},
    payload::{new_key, public_half},
};
use crate::dev::{Delivery, Step};

/// URLs that are remembered.
const URLS: usize = 10_000;

/// Accounts that are remembered.
const ACCOUNTS: usize = 5_000;

/// URLs of one account that are remembered.
const HOSTS: usize = 16;

/// A part of a path that is an object's id has at least so many characters.
const ID: usize = 10;

#[derive(Debug)]
pub(super) struct Urls {
    /// Paths of URLs in answers.
    known: Bounded<u64, ()>,
    /// Parts of them that name an object.
    ids: Bounded<u64, ()>,
    /// Accounts' URLs by their ids: as many as hosts by which the server was asked.
    accounts: Bounded<u64, BTreeSet<String>>,
    /// Keys that are or were accounts', with the account, and whether it is its key now.
    keys: Bounded<Vec<u8>, (String, bool)>,
    offered: Offered,
}

/// What any directory offered.
#[derive(Debug, Default)]
struct Offered {
    was_seen: bool,
    new_authz: bool,
    renewal_info: bool,
    profiles: BTreeSet<String>,
}

impl Default for Urls {
    fn default() -> Self {
        Self {
            known: Bounded::new(URLS),
            ids: Bounded::new(URLS),
            accounts: Bounded::new(ACCOUNTS),
            keys: Bounded::new(ACCOUNTS),
            offered: Offered::default(),
        }
    }
}

impl Urls {
    /// Whether it is, or was, an account's key.
    pub(super) fn is_account_key(&self, spki: &[u8]) -> bool {
        self.keys.get(spki).is_some()
    }

    /// Looks at a request.
    pub(super) fn check(&self, look: &Look<'_>, sink: &mut Sink<'_>) {
        let path = look.exchange.path.as_str();
        let is_known = self.known.get(&digest(path)).is_some();
        let objects = [
            Step::Account,
            Step::Orders,
            Step::Order,
            Step::Authorization,
            Step::Challenge,
            Step::Certificate,
        ];
        let by_get = matches!(look.exchange.method, Method::GET | Method::HEAD);
        // A person with a browser is no client.
        let agent = look.exchange.headers.get(header::USER_AGENT);
        let is_browser = agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
        if let Some(step) = look.step().filter(|step| objects.contains(step))
            && is_known
            && !is_browser
            && (by_get || look.is_signed())
        {
            let wrong = by_get.then(|| format!("{} of {}", look.exchange.method, step.name()));
            sink.judge(look, Rule::PlainGet, wrong);
        }
        if !look.is_signed() {
            return;
        }
        self.built(path, is_known, look, sink);
        self.kid(look, sink);
        self.key_reused(look, sink);
        self.offers(look, sink);
    }

    /// A URL of an earlier run of the server is none that was built: its parts are not known either.
    fn built(&self, path: &str, is_known: bool, look: &Look<'_>, sink: &mut Sink<'_>) {
        let of_directory = [
            Step::Directory,
            Step::NewNonce,
            Step::NewAccount,
            Step::NewOrder,
            Step::NewAuthz,
            Step::KeyChange,
            Step::RevokeCert,
            Step::RenewalInfo,
        ];
        if is_known || look.step().is_some_and(|step| of_directory.contains(&step)) {
            return sink.judge(look, Rule::UrlBuilt, None::<&str>);
        }
        if self.known.has_forgotten() {
            return;
        }
        // JSON that somebody sends to what is no resource need not be meant for an ACME server.
        let signed = look.signed.as_ref();
        let is_meant = look.step().is_some() || signed.is_some_and(|s| s.header("url").is_some());
        let mut parts = ids(path);
        if is_meant && parts.any(|id| self.ids.get(&digest(id)).is_some()) {
            let evidence = format!("{path:?} was in no answer");
            sink.wrong(look, Rule::UrlBuilt, evidence, None);
        }
    }

    /// RFC 8555 §6.2.
    fn kid(&self, look: &Look<'_>, sink: &mut Sink<'_>) {
        let Some(kid) = look.account() else { return };
        let last = kid.trim_end_matches('/').rsplit('/').next();
        let told = last.and_then(|id| self.accounts.get(&digest(id)));
        if let Some(told) = told.filter(|told| told.len() < HOSTS) {
            let wrong = (!told.contains(kid)).then(|| {
                let told: Vec<_> = told.iter().map(String::as_str).collect();
                format!("kid is {kid:?}, Location was {}", told.join(", "))
            });
            sink.judge(look, Rule::KidAltered, wrong);
        }
    }

    /// RFC 8555 §11.1. The key that the account has now may be a retry.
    fn key_reused(&self, look: &Look<'_>, sink: &mut Sink<'_>) {
        if look.step() != Some(Step::KeyChange) {
            return;
        }
        let Some(key) = look.signed.as_ref().and_then(new_key) else {
            return;
        };
        let used = self.keys.get(&key);
        let wrong = used
            .filter(|(account, is_now)| {
                let asker = look.account().and_then(path_of);
                !(*is_now && asker.is_some() && path_of(account) == asker)
            })
            .map(|(account, _)| format!("the new key is or was that of {account}"));
        sink.judge(look, Rule::KeyReused, wrong);
    }

    fn offers(&self, look: &Look<'_>, sink: &mut Sink<'_>) {
        if !self.offered.was_seen {
            return;
        }
        let signed = look.signed.as_ref();
        let text = |name: &str| signed.and_then(|s| s.member(name)?.as_str());
        match look.step() {
            Some(Step::NewAuthz) => {
                let wrong = (!self.offered.new_authz).then_some("no directory had newAuthz");
                sink.judge(look, Rule::NewAuthz, wrong);
            }
            Some(Step::NewOrder) => {
                if text("replaces").is_some() {
                    let wrong =
                        (!self.offered.renewal_info).then_some("no directory had renewalInfo");
                    sink.judge(look, Rule::ReplacesUnoffered, wrong);
                }
                if let Some(profile) = text("profile") {
                    let wrong = (!self.offered.profiles.contains(profile))
                        .then(|| format!("no directory had the profile {profile:?}"));
                    sink.judge(look, Rule::ProfileUnknown, wrong);
                }
            }
            _ => {}
        }
    }

    /// Learns what the answer contains, even if it may not have arrived.
    pub(super) fn learn(&mut self, look: &Look<'_>) {
        if let Some(location) = look.told(header::LOCATION) {
            self.add(location);
        }
        if let Some(answer) = &look.exchange.answer {
            for link in answer.headers.get_all(header::LINK) {
                let targets = link.to_str().unwrap_or_default().split('<').skip(1);
                for target in targets.filter_map(|rest| rest.split('>').next()) {
                    self.add(target);
                }
            }
        }
        if let Some(object) = &look.object {
            self.texts(object, 0);
        }
        if !look.is_good() {
            return;
        }
        match look.step() {
            Some(Step::Directory) if look.exchange.delivery != Delivery::None => {
                self.directory(look)
            }
            Some(Step::NewAccount) => self.account(look),
            // Whether the key was changed is not known to a client that lost the answer.
            Some(Step::KeyChange) if look.is_whole() => self.changed(look),
            _ => {}
        }
    }

    fn add(&mut self, url: &str) {
        let Some(path) = path_of(url) else { return };
        self.known.put(digest(path), ());
        for id in ids(path) {
            self.ids.put(digest(id), ());
        }
    }

    fn texts(&mut self, value: &Value, depth: u8) {
        match value {
            Value::String(text) if text.starts_with("http") => self.add(text),
            // Answers of a CA are flat; faults can make others.
            Value::Array(items) if depth < 8 => {
                items.iter().for_each(|item| self.texts(item, depth + 1));
            }
            Value::Object(members) if depth < 8 => {
                members
                    .values()
                    .for_each(|item| self.texts(item, depth + 1));
            }
            _ => {}
        }
    }

    fn directory(&mut self, look: &Look<'_>) {
        let Some(object) = &look.object else { return };
        let has = |name: &str| object.get(name).is_some();
        self.offered.was_seen = true;
        self.offered.new_authz |= has("newAuthz");
        self.offered.renewal_info |= has("renewalInfo");
        let profiles = object.pointer("/meta/profiles").and_then(Value::as_object);
        let names = profiles.into_iter().flat_map(|profiles| profiles.keys());
        self.offered.profiles.extend(names.cloned());
    }

    fn account(&mut self, look: &Look<'_>) {
        let Some(url) = look.told(header::LOCATION) else {
            return;
        };
        if let Some(id) = url.rsplit('/').next() {
            let told = self.accounts.entry(digest(id));
            if told.len() < HOSTS {
                told.insert(url.to_owned());
            }
        }
        let jwk = look.signed.as_ref().and_then(|s| s.jwk());
        if let Some(key) = jwk.and_then(public_half) {
            self.keys.put(key, (url.to_owned(), true));
        }
    }

    fn changed(&mut self, look: &Look<'_>) {
        let (Some(account), Some(signed)) = (look.account(), &look.signed) else {
            return;
        };
        let inner = signed.member("payload").and_then(Value::as_str);
        let inner: Option<Value> = inner
            .and_then(|text| cairn_acme::base64url::decode(text).ok())
            .and_then(|octets| serde_json::from_slice(&octets).ok());
        let old = inner.as_ref().and_then(|inner| inner.get("oldKey"));
        if let Some(old) = old.and_then(public_half) {
            self.keys.put(old, (account.to_owned(), false));
        }
        if let Some(new) = new_key(signed) {
            self.keys.put(new, (account.to_owned(), true));
        }
    }
}

/// The parts of a path that name an object: long, and no word.
fn ids(path: &str) -> impl Iterator<Item = &str> {
    let is_id = |part: &&str| {
        part.len() >= ID
            && !part.ends_with("-01")
            && part
                .bytes()
                .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    path.split(['/', '?']).filter(is_id)
}
