//! How a request is made: its headers, its JWS, its protected header (RFC 8555 §5, §6).

use cairn_acme::{base64url, json::JsonError, jws::MacAlgorithm};
use http::{HeaderMap, Method, header};
use serde_json::Value;

use super::{
    Rule,
    look::{Look, Sink, path_of},
};
use crate::dev::{Step, transcript::Signed};

const MEMBERS: [&str; 3] = ["protected", "payload", "signature"];

/// Checks everything that the request alone shows.
pub(super) fn check(look: &Look<'_>, sink: &mut Sink<'_>) {
    let exchange = look.exchange;
    // The directory is also read by whoever waits for the server.
    let by_client = exchange.step.is_some_and(|step| step != Step::Directory)
        && exchange.method != Method::OPTIONS;
    if !by_client && exchange.method != Method::POST {
        return;
    }
    if by_client {
        headers(look, sink);
    }
    if exchange.method != Method::POST || exchange.step == Some(Step::RenewalInfo) {
        return;
    }
    if let Some(step) = exchange.step {
        form(look, step, sink);
    }
    if let Some(signed) = &look.signed {
        protected(look, signed, sink);
        url(look, signed, sink);
    }
}

fn headers(look: &Look<'_>, sink: &mut Sink<'_>) {
    let headers = &look.exchange.headers;
    let agent = headers
        .get(header::USER_AGENT)
        .map(|agent| String::from_utf8_lossy(agent.as_bytes()))
        .filter(|agent| !agent.trim().is_empty());
    let missing = agent.is_none().then_some("the request has no User-Agent");
    sink.judge(look, Rule::AgentMissing, missing);
    if let Some(agent) = agent {
        let versioned = agent.split_whitespace().any(|product| {
            product
                .split_once('/')
                .is_some_and(|(name, version)| !name.is_empty() && !version.is_empty())
        });
        let vague = (!versioned).then(|| format!("User-Agent is {agent:?}"));
        sink.judge(look, Rule::AgentVague, vague);
    }
    let missing = !headers.contains_key(header::ACCEPT_LANGUAGE);
    let missing = missing.then_some("the request has no Accept-Language");
    sink.judge(look, Rule::Language, missing);
    let sent = headers.contains_key("replay-nonce");
    let sent = sent.then_some("the request has a Replay-Nonce header");
    sink.judge(look, Rule::NonceHeader, sent);
}

fn form(look: &Look<'_>, step: Step, sink: &mut Sink<'_>) {
    let body = &look.exchange.body;
    let sound = std::str::from_utf8(body).is_ok();
    let wrong = (!sound).then_some("the body is not UTF-8");
    let wrong = wrong.or_else(|| look.signed.as_ref().and_then(not_text));
    sink.judge(look, Rule::Utf8, wrong);
    let wrong = match &look.signed {
        _ if body.is_empty() => Some("the POST has no body".to_owned()),
        None => Some("the body is no JSON object".to_owned()),
        Some(signed) => not_flattened(signed),
    };
    sink.judge(look, Rule::JwsForm, wrong);
    if look.signed.is_none() {
        return;
    }
    let media = media(&look.exchange.headers);
    let wrong = (!media.eq_ignore_ascii_case("application/jose+json")).then(|| {
        if media.is_empty() {
            "the request has no Content-Type".to_owned()
        } else {
            format!("Content-Type is {media:?}")
        }
    });
    sink.judge(look, Rule::ContentType, wrong);
    if let Some(signed) = &look.signed {
        base64(look, signed, step, sink);
    }
}

fn media(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let value = value.unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn not_text(signed: &Signed) -> Option<&'static str> {
    let is_text = |octets: &Option<Vec<u8>>| {
        octets
            .as_ref()
            .is_none_or(|octets| std::str::from_utf8(octets).is_ok())
    };
    if !is_text(&signed.header) {
        return Some("the protected header is not UTF-8");
    }
    (!is_text(&signed.payload)).then_some("the payload is not UTF-8")
}

pub(super) fn not_flattened(signed: &Signed) -> Option<String> {
    let whole = signed.whole.as_object()?;
    if let Some(foreign) = whole.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Some(format!("the JWS has the member {foreign:?}"));
    }
    let lacks = |name: &&&str| !whole.get(**name).is_some_and(Value::is_string);
    if let Some(name) = MEMBERS.iter().find(lacks) {
        return Some(format!("the JWS has no text {name:?}"));
    }
    let is_object = signed.protected.as_ref().is_some_and(Value::is_object);
    (!is_object).then(|| "the protected header is no JSON object".to_owned())
}

/// What of the octets in a request is not base64url.
fn base64(look: &Look<'_>, signed: &Signed, step: Step, sink: &mut Sink<'_>) {
    let mut texts: Vec<_> = MEMBERS
        .iter()
        .map(|name| (*name, signed.whole.get(*name)))
        .collect();
    match step {
        Step::Finalize => texts.push(("csr", signed.member("csr"))),
        Step::RevokeCert => texts.push(("certificate", signed.member("certificate"))),
        Step::NewAccount => {
            if let Some(binding) = signed.member("externalAccountBinding") {
                let inner = ["protected", "payload", "signature"];
                texts.extend(inner.map(|name| (name, binding.get(name))));
            }
        }
        _ => {}
    }
    let mut wrong = None;
    for (name, value) in texts {
        // PEM is told by the checks of what it stands for.
        if let Some(text) = value.and_then(Value::as_str)
            && !text.starts_with("-----BEGIN")
            && let Err(fault) = base64url::decode(text)
        {
            wrong = Some(format!("{name}: {fault}"));
            break;
        }
    }
    sink.judge(look, Rule::Base64, wrong);
}

fn protected(look: &Look<'_>, signed: &Signed, sink: &mut Sink<'_>) {
    let Some(header) = signed.protected.as_ref().filter(|h| h.is_object()) else {
        return;
    };
    if let Some(octets) = &signed.header {
        let wrong = match cairn_acme::json::check(octets) {
            Err(JsonError::Duplicate { name, .. }) => Some(format!("it names {name} twice")),
            _ => None,
        };
        sink.judge(look, Rule::DuplicateMember, wrong);
    }
    let lacks = |name: &&&str| !header.get(**name).is_some_and(Value::is_string);
    let keys = (header.get("jwk").is_some(), header.get("kid").is_some());
    let wrong = if let Some(name) = ["alg", "nonce", "url"].iter().find(lacks) {
        Some(format!("the protected header has no text {name:?}"))
    } else {
        match keys {
            (true, true) => Some("the protected header has both jwk and kid".to_owned()),
            (false, false) => Some("the protected header has neither jwk nor kid".to_owned()),
            _ => None,
        }
    };
    sink.judge(look, Rule::HeaderMembers, wrong);
    if let Some(alg) = signed.header("alg") {
        let unfit = alg == "none" || MacAlgorithm::from_name(alg).is_some();
        let wrong = unfit.then(|| format!("alg is {alg:?}"));
        sink.judge(look, Rule::MacOrNone, wrong);
    }
    match look.step() {
        Some(Step::NewAccount) => {
            let wrong = (keys == (false, true)).then_some("newAccount is signed with a kid");
            sink.judge(look, Rule::KidForJwk, wrong);
        }
        Some(step) if step != Step::RevokeCert => {
            let wrong = (keys == (true, false))
                .then(|| format!("the request to {} has a jwk and no kid", step.name()));
            sink.judge(look, Rule::JwkForKid, wrong);
        }
        _ => {}
    }
}

/// RFC 8555 §6.4.
fn url(look: &Look<'_>, signed: &Signed, sink: &mut Sink<'_>) {
    let Some(url) = signed.header("url") else {
        return;
    };
    let asked = look.exchange.path.as_str();
    let host = look.exchange.headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let authority = url
        .split_once("://")
        .map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let plain = |authority: &str| {
        let lower = authority.to_ascii_lowercase();
        lower.trim_end_matches(":443").to_owned()
    };
    let right = url.starts_with("https://")
        && path_of(url) == Some(asked)
        && host.is_none_or(|host| plain(host) == plain(authority));
    let wrong = (!right).then(|| {
        format!(
            "signed {url:?}, asked https://{}{asked}",
            host.unwrap_or_default()
        )
    });
    sink.judge(look, Rule::UrlHeader, wrong);
}
