//! An exchange as people and programs read it: decoded, without signatures, and without what is private.

use std::{borrow::Cow, fmt::Write};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use serde_json::{Map, Value, json};

use super::{Answered, Delivery, Exchange, Signed};

const MASKED: &str = "(masked)";

/// The private members of a JWK (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A body that is no JSON is shown up to so many octets.
const SHOWN: usize = 2_000;

/// Headers of an answer by which a client goes.
const TELLING: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::LOCATION,
    header::LINK,
    header::RETRY_AFTER,
    header::ALLOW,
    header::CACHE_CONTROL,
    HeaderName::from_static("replay-nonce"),
];

/// As one JSON object.
pub(super) fn json(exchange: &Exchange) -> Value {
    let headers = [
        header::CONTENT_TYPE,
        header::ACCEPT,
        header::ACCEPT_LANGUAGE,
        HeaderName::from_static("replay-nonce"),
    ];
    let findings = exchange.findings.iter().map(super::Finding::to_json);
    let mut object = json!({
        "number": exchange.number,
        "time": exchange.at.to_string(),
        "ms": millis(exchange.arrived),
        "took_ms": millis(exchange.answered.saturating_sub(exchange.arrived)),
        "connection": exchange.connection,
        "peer": exchange.peer.to_string(),
        "user_agent": text_of(&exchange.headers, &header::USER_AGENT),
        "method": exchange.method.as_str(),
        "path": exchange.path,
        "step": exchange.step.map(|step| step.name()),
        "headers": chosen(&exchange.headers, &headers),
        "answer": exchange.answer.as_ref().map(answer),
        "delivery": match exchange.delivery {
            Delivery::Whole => "whole",
            Delivery::Part => "part",
            Delivery::None => "none",
        },
        "faults": exchange.faults,
        "findings": findings.collect::<Vec<_>>(),
    });
    if let Some(signed) = Signed::read(&exchange.body) {
        object["request"] = decoded(&signed);
    } else if !exchange.body.is_empty() {
        object["request"] = plain(&exchange.body);
    }
    // User-Agent, path and headers too are what the client makes them.
    mask(&mut object);
    object
}

/// As lines for people.
pub(super) fn text(exchange: &Exchange) -> String {
    let mut text = format!(
        "#{} {} {:+.3} s  {} connection {}  {}\n",
        exchange.number,
        exchange.at,
        exchange.arrived.as_secs_f64(),
        exchange.peer,
        exchange.connection,
        shown(text_of(&exchange.headers, &header::USER_AGENT).unwrap_or("(no User-Agent)")),
    );
    let step = exchange.step.map_or("no resource", |step| step.name());
    // Writing to a String cannot fail.
    let path = shown(&exchange.path);
    let _ = writeln!(text, "  {} {path}  ({step})", exchange.method);
    if let Some(signed) = Signed::read(&exchange.body) {
        let shown = decoded(&signed);
        let _ = writeln!(text, "  > protected {}", shown["protected"]);
        match &shown["payload"] {
            Value::String(empty) if empty.is_empty() => text.push_str("  > payload (empty)\n"),
            payload => {
                let _ = writeln!(text, "  > payload {payload}");
            }
        }
    } else if !exchange.body.is_empty() {
        let _ = writeln!(text, "  > {}", plain(&exchange.body));
    }
    match &exchange.answer {
        None => text.push_str("  < no answer: the client had gone\n"),
        Some(answered) => {
            let _ = writeln!(
                text,
                "  < {} after {} ms{}",
                answered.status,
                millis(exchange.answered.saturating_sub(exchange.arrived)),
                match exchange.delivery {
                    Delivery::Whole => "",
                    Delivery::Part => ", of which a part was sent",
                    Delivery::None => ", which was not sent",
                }
            );
            for (name, value) in &chosen(&answered.headers, &TELLING) {
                let _ = writeln!(text, "  < {name}: {}", value.as_str().unwrap_or_default());
            }
            if !answered.body.is_empty() {
                let _ = writeln!(text, "  < {}", body(answered));
            }
        }
    }
    for fault in &exchange.faults {
        let _ = writeln!(text, "  fault: {fault}");
    }
    for finding in &exchange.findings {
        let check = finding.check();
        let _ = writeln!(
            text,
            "  {}: {} ({})",
            check.level.word(),
            finding.evidence,
            check.section
        );
    }
    text.push('\n');
    text
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn text_of<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn chosen(headers: &HeaderMap, names: &[HeaderName]) -> Map<String, Value> {
    let mut found = Map::new();
    for name in names {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| shown(&String::from_utf8_lossy(value.as_bytes())).into_owned())
            .collect();
        if !values.is_empty() {
            found.insert(name.as_str().to_owned(), values.join(", ").into());
        }
    }
    found
}

fn answer(answered: &Answered) -> Value {
    json!({
        "status": answered.status.as_u16(),
        "headers": chosen(&answered.headers, &TELLING),
        "body": body(answered),
    })
}

fn body(answered: &Answered) -> Value {
    if answered.body.is_empty() {
        return Value::Null;
    }
    plain(&answered.body)
}

/// JSON as it is, a chain by its blocks, anything else as text.
fn plain(octets: &Bytes) -> Value {
    if let Ok(mut value) = serde_json::from_slice(octets) {
        mask(&mut value);
        return value;
    }
    let text = String::from_utf8_lossy(octets);
    let blocks: Vec<_> = text
        .split("-----BEGIN ")
        .skip(1)
        .map(|rest| rest.split("-----").next().unwrap_or_default())
        .collect();
    if !blocks.is_empty() {
        return json!({ "pem": blocks, "octets": octets.len() });
    }
    let shown: String = text.chars().take(SHOWN).collect();
    Value::String(masked(&shown).unwrap_or(shown))
}

/// A JWS without its signature.
fn decoded(signed: &Signed) -> Value {
    let mut protected = signed.protected.clone().unwrap_or(Value::Null);
    mask(&mut protected);
    let payload = match (&signed.object, &signed.payload) {
        (Some(object), _) => {
            let mut object = object.clone();
            if let Some(inner) = Signed::of(object.clone()).filter(|s| s.protected.is_some()) {
                // keyChange.
                object = decoded(&inner);
            } else if let Some(binding) = object.get_mut("externalAccountBinding")
                && let Some(inner) = Signed::of(binding.clone())
            {
                *binding = decoded(&inner);
            }
            mask(&mut object);
            object
        }
        (None, Some(octets)) => {
            let text = String::from_utf8_lossy(octets);
            Value::String(shown(&text).into_owned())
        }
        (None, None) => Value::Null,
    };
    let mut shown = json!({ "protected": protected, "payload": payload });
    if let (Some(whole), Some(object)) = (signed.whole.as_object(), shown.as_object_mut()) {
        for (name, value) in whole {
            let mut value = value.clone();
            match name.as_str() {
                "protected" if signed.protected.is_some() => continue,
                "payload" if signed.payload.is_some() => continue,
                "signature" => continue,
                // Nobody can say what is in it.
                "protected" | "payload" => {
                    if let Value::String(text) = &mut value {
                        *text = match (name.as_str(), &signed.header) {
                            ("protected", Some(octets)) => {
                                format!("(not JSON, {} octets)", octets.len())
                            }
                            _ => format!("(not base64, {} octets)", text.len()),
                        };
                    }
                    mask(&mut value);
                }
                _ => mask(&mut value),
            }
            object.insert(name.clone(), value);
        }
    }
    shown
}

/// Hides what is private, wherever it stands.
fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_key = members.contains_key("kty");
            for (name, member) in members.iter_mut() {
                if is_key && PRIVATE.contains(&name.as_str()) {
                    *member = MASKED.into();
                } else if name == "contact" {
                    hide(member);
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => {
            if let Some(masked) = masked(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

/// Hides every text of a contact, and says its scheme.
fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = if text.starts_with("mailto:") {
                format!("mailto:{MASKED}")
            } else {
                MASKED.to_owned()
            };
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        other => *other = MASKED.into(),
    }
}

/// The text as it is shown.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    masked(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The text with addresses and private keys hidden; none if it has neither.
fn masked(text: &str) -> Option<String> {
    if text.contains("PRIVATE KEY-----") {
        return Some(MASKED.to_owned());
    }
    let has_address = |text: &str| text.contains('@') || text.contains("%40");
    if !has_address(text) {
        return None;
    }
    let word = |word: &str| {
        if has_address(word) {
            MASKED.to_owned()
        } else {
            word.to_owned()
        }
    };
    Some(text.split(' ').map(word).collect::<Vec<_>>().join(" "))
}
