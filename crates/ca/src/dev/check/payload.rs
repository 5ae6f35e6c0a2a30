//! What requests carry, as far as the request alone shows: accounts, bindings, key changes, orders, revocations.

use std::net::IpAddr;

use cairn_acme::{CertId, PublicKey, base64url, jws::MacAlgorithm};
use serde_json::Value;

use super::{
    Rule,
    look::{Look, Sink},
    transport::not_flattened,
};
use crate::dev::{Step, transcript::Signed};

/// Checks the payload by the resource that is asked.
pub(super) fn check(look: &Look<'_>, sink: &mut Sink<'_>) {
    let (Some(signed), Some(step)) = (&look.signed, look.step()) else {
        return;
    };
    if signed.payload.is_none() {
        return;
    }
    if let Some(object) = signed.object.as_ref().and_then(Value::as_object) {
        let wrong = object.get("resource").and_then(Value::as_str);
        let wrong = wrong.map(|name| format!("the payload has resource {name:?}"));
        sink.judge(look, Rule::ResourceMember, wrong);
    }
    match step {
        Step::NewAccount => {
            sink.judge(look, Rule::AccountObject, account(signed));
            contact(look, signed, sink);
            if let Some(binding) = signed
                .member("externalAccountBinding")
                .filter(|b| !b.is_null())
            {
                sink.judge(look, Rule::Binding, bound(signed, binding));
            }
        }
        Step::Account if !signed.is_get() => contact(look, signed, sink),
        Step::KeyChange => sink.judge(look, Rule::KeyChange, key_change(signed)),
        Step::NewOrder => new_order(look, signed, sink),
        Step::RevokeCert => sink.judge(look, Rule::Revocation, revocation(signed)),
        Step::Finalize => sink.judge(look, Rule::FinalizeCsr, csr(signed)),
        Step::Challenge if !signed.is_get() => {
            let object = signed.object.as_ref().and_then(Value::as_object);
            let wrong = object.is_none().then_some("the payload is no JSON object");
            sink.judge(look, Rule::ChallengePayload, wrong);
            if let Some(object) = object {
                let names: Vec<_> = object.keys().map(String::as_str).collect();
                let wrong =
                    (!names.is_empty()).then(|| format!("the payload has {}", names.join(", ")));
                sink.judge(look, Rule::ChallengeMembers, wrong);
            }
        }
        Step::Directory
        | Step::NewNonce
        | Step::Order
        | Step::Orders
        | Step::Certificate
        | Step::Authorization => sink.judge(look, Rule::EmptyObject, representation(step, signed)),
        _ => {}
    }
}

/// Why it is no POST-as-GET, where it must be one. An authorization can also be deactivated.
fn representation(step: Step, signed: &Signed) -> Option<String> {
    if signed.is_get() || (step == Step::Authorization && signed.member("status").is_some()) {
        return None;
    }
    let shown = match &signed.object {
        Some(Value::Object(members)) if members.is_empty() => "{}",
        Some(Value::Object(_)) => "an object with members",
        _ => "something that is no JSON object",
    };
    Some(format!("the payload to {} is {shown}", step.name()))
}

/// A member that is there and not null.
fn given<'s>(signed: &'s Signed, name: &str) -> Option<&'s Value> {
    signed.member(name).filter(|value| !value.is_null())
}

fn account(signed: &Signed) -> Option<String> {
    if !signed.object.as_ref().is_some_and(Value::is_object) {
        return Some("the payload is no JSON object".to_owned());
    }
    let texts = |value: &Value| {
        let items = value.as_array();
        items.is_some_and(|items| items.iter().all(Value::is_string))
    };
    if given(signed, "contact").is_some_and(|value| !texts(value)) {
        return Some("contact is no array of texts".to_owned());
    }
    let flag = |name: &&str| given(signed, name).is_some_and(|value| !value.is_boolean());
    let flags = ["termsOfServiceAgreed", "onlyReturnExisting"];
    if let Some(name) = flags.into_iter().find(flag) {
        return Some(format!("{name} is neither true nor false"));
    }
    let bound = given(signed, "externalAccountBinding");
    let wrong = bound.is_some_and(|value| !value.is_object());
    wrong.then(|| "externalAccountBinding is no object".to_owned())
}

/// RFC 8555 §7.3. What the contact is is nobody's business.
fn contact(look: &Look<'_>, signed: &Signed, sink: &mut Sink<'_>) {
    let contacts = signed.member("contact").and_then(Value::as_array);
    let Some(contacts) = contacts.filter(|contacts| !contacts.is_empty()) else {
        return;
    };
    let texts = contacts.iter().filter_map(Value::as_str);
    let mut mails = texts.filter_map(|contact| contact.strip_prefix("mailto:"));
    let wrong = mails.find_map(|mail| match (mail.contains('?'), mail.contains(',')) {
        (true, _) => Some("a mailto contact has header fields"),
        (_, true) => Some("a mailto contact has several addresses"),
        _ => None,
    });
    sink.judge(look, Rule::Contact, wrong);
}

/// RFC 8555 §7.3.4.
fn bound(outer: &Signed, binding: &Value) -> Option<String> {
    let say = |text: &str| Some(text.to_owned());
    let Some(inner) = Signed::of(binding.clone()) else {
        return say("the binding is no JSON object");
    };
    if let Some(wrong) = not_flattened(&inner) {
        return Some(format!("in the binding: {wrong}"));
    }
    let alg = inner.header("alg").unwrap_or_default();
    if MacAlgorithm::from_name(alg).is_none() {
        return Some(format!("the binding's alg {alg:?} is no MAC"));
    }
    if inner.header("kid").is_none_or(str::is_empty) {
        return say("the binding has no kid");
    }
    if inner
        .protected
        .as_ref()
        .is_some_and(|h| h.get("nonce").is_some())
    {
        return say("the binding has a nonce");
    }
    if inner.header("url") != outer.header("url") {
        return say("the binding's url is not that of the request");
    }
    let same = match (&inner.object, outer.jwk()) {
        (Some(inner), Some(outer)) => inner == outer || public_half(inner) == public_half(outer),
        _ => false,
    };
    (!same).then(|| "the binding's payload is not the request's jwk".to_owned())
}

/// RFC 8555 §7.3.5.
fn key_change(outer: &Signed) -> Option<String> {
    let say = |text: &str| Some(text.to_owned());
    let Some(inner) = outer.object.clone().and_then(Signed::of) else {
        return say("the payload is no JWS");
    };
    if let Some(wrong) = not_flattened(&inner) {
        return Some(format!("in the inner JWS: {wrong}"));
    }
    let Some(header) = &inner.protected else {
        return say("the inner JWS has no protected header");
    };
    if !header.get("jwk").is_some_and(Value::is_object) || header.get("kid").is_some() {
        return say("the inner JWS is not signed with a jwk alone");
    }
    if header.get("nonce").is_some() {
        return say("the inner JWS has a nonce");
    }
    if inner.header("url") != outer.header("url") {
        return say("the inner JWS's url is not that of the request");
    }
    if inner.member("account").and_then(Value::as_str) != outer.header("kid") {
        return say("account is not the request's kid");
    }
    let old = inner.member("oldKey").is_some_and(Value::is_object);
    (!old).then(|| "there is no oldKey".to_owned())
}

/// The key that a key change asks for.
pub(super) fn new_key(outer: &Signed) -> Option<Vec<u8>> {
    let inner = outer.object.clone().and_then(Signed::of)?;
    public_half(inner.jwk()?)
}

/// SubjectPublicKeyInfo of a key; none if it is no key that is accepted.
pub(super) fn public_half(jwk: &Value) -> Option<Vec<u8>> {
    let key = PublicKey::from_jwk(jwk.to_string().as_bytes()).ok()?;
    Some(key.to_spki_der())
}

fn new_order(look: &Look<'_>, signed: &Signed, sink: &mut Sink<'_>) {
    let identifiers = signed.member("identifiers").and_then(Value::as_array);
    let wrong = match identifiers {
        None => Some("identifiers is no array".to_owned()),
        Some(identifiers) if identifiers.is_empty() => Some("identifiers is empty".to_owned()),
        Some(identifiers) => {
            let sound = |one: &Value| {
                let has = |name: &str| one.get(name).is_some_and(Value::is_string);
                has("type") && has("value")
            };
            let texts = ["notBefore", "notAfter", "replaces", "profile"];
            let wrong = |name: &&&str| given(signed, name).is_some_and(|value| !value.is_string());
            if !identifiers.iter().all(sound) {
                Some("an identifier has no text type and value".to_owned())
            } else {
                let name = texts.iter().find(wrong);
                name.map(|name| format!("{name} is no text"))
            }
        }
    };
    sink.judge(look, Rule::OrderObject, wrong);
    let values = |kind: &'static str| {
        let all = identifiers.into_iter().flatten();
        all.filter(move |one| one.get("type").and_then(Value::as_str) == Some(kind))
            .filter_map(|one| one.get("value")?.as_str())
    };
    if values("dns").next().is_some() {
        let wrong = values("dns").find(|name| !name.is_ascii());
        let wrong = wrong.map(|name| format!("the identifier {name:?} is not ASCII"));
        sink.judge(look, Rule::NameNotAscii, wrong);
    }
    if values("ip").next().is_some() {
        let wrong = values("ip").find(|text| {
            let address = text.parse::<IpAddr>();
            !address.is_ok_and(|address| address.to_string() == *text)
        });
        let wrong =
            wrong.map(|text| format!("the identifier {text:?} is not an address's one text"));
        sink.judge(look, Rule::IpText, wrong);
    }
    if let Some(name) = given(signed, "replaces").and_then(Value::as_str) {
        sink.judge(look, Rule::CertId, certificate_name(name));
    }
}

/// RFC 9773 §4.1; why a text is no certificate's name.
pub(super) fn certificate_name(text: &str) -> Option<String> {
    if let Err(fault) = text.parse::<CertId>() {
        return Some(format!("{text:?}: {fault}"));
    }
    let serial = text
        .split('.')
        .nth(1)
        .and_then(|part| base64url::decode(part).ok());
    let negative =
        serial.is_some_and(|serial| serial.first().is_some_and(|first| first & 0x80 != 0));
    negative.then(|| format!("{text:?}: the serial lacks the leading zero octet of its INTEGER"))
}

/// RFC 8555 §7.6.
fn revocation(signed: &Signed) -> Option<String> {
    let certificate = signed.member("certificate").and_then(Value::as_str);
    if let Some(wrong) = not_der("certificate", certificate) {
        return Some(wrong);
    }
    let reason = given(signed, "reason");
    let sound = reason.is_none_or(|reason| reason.as_u64().is_some());
    (!sound).then(|| "reason is no number".to_owned())
}

/// RFC 8555 §7.4.
fn csr(signed: &Signed) -> Option<String> {
    not_der("csr", signed.member("csr").and_then(Value::as_str))
}

/// Why a text is no base64url of a DER sequence.
fn not_der(name: &str, text: Option<&str>) -> Option<String> {
    let Some(text) = text else {
        return Some(format!("the payload has no text {name:?}"));
    };
    let octets = octets(text);
    let is_pem = text.starts_with("-----BEGIN") || octets.starts_with(b"-----BEGIN");
    if is_pem {
        return Some(format!("{name} is PEM"));
    }
    let is_der = octets.first() == Some(&0x30);
    (!is_der).then(|| format!("{name} is no DER sequence"))
}

/// Octets of a text that may be base64 of another kind, which another check tells.
pub(super) fn octets(text: &str) -> Vec<u8> {
    let text = text
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    base64url::decode(&text).unwrap_or_default()
}
