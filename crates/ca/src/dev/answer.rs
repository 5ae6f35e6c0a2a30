//! Alters an answer, purely.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{Action, Step};

/// What a client was told that looks again too soon.
const AGAIN: HeaderValue = HeaderValue::from_static("1");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer on its way through the faults that strike it.
#[derive(Debug, Clone)]
pub(crate) struct Altered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Altered {
    /// Does what the action says of the answer by itself; the other actions leave it as it is.
    pub(crate) fn alter(&mut self, action: &Action) {
        match action {
            Action::Status(status) => {
                self.status = StatusCode::from_u16(*status).unwrap_or(self.status);
            }
            Action::Header(name, value) => {
                self.headers.insert(name.clone(), value.clone());
            }
            Action::NoHeader(name) => {
                self.headers.remove(name);
            }
            Action::Json(pointer, value) => {
                self.change(|whole| set(whole, pointer.as_str(), value));
            }
            Action::NoJson(pointer) => self.change(|whole| take(whole, pointer.as_str())),
            Action::Body(body) => self.body = Bytes::from(body.clone()),
            Action::Pad(octets) => {
                let mut body = self.body.to_vec();
                let octets = usize::try_from(*octets).unwrap_or_default();
                body.resize(body.len().saturating_add(octets), b' ');
                self.body = body.into();
            }
            Action::Window(start, end) => {
                let window = json!({ "suggestedWindow": { "start": start, "end": end } });
                self.status = StatusCode::OK;
                self.headers.insert(header::CONTENT_TYPE, JSON);
                self.body = window.to_string().into();
            }
            _ => {}
        }
    }

    /// Whether the object has ended, so that it can be shown as under way.
    pub(crate) fn has_ended(&self) -> bool {
        let object: Option<Value> = serde_json::from_slice(&self.body).ok();
        let status = object.as_ref().and_then(|object| object["status"].as_str());
        self.status.is_success() && matches!(status, Some("valid" | "invalid"))
    }

    /// Shows an object that has ended as it looked before.
    pub(crate) fn unfinish(&mut self, step: Step) {
        self.change(|object| {
            let under_way = |object: &mut Value| {
                object["status"] = "processing".into();
                for member in ["certificate", "error", "validated"] {
                    take(object, &format!("/{member}"));
                }
            };
            if step == Step::Authorization {
                object["status"] = "pending".into();
                let challenges = object.get_mut("challenges").and_then(Value::as_array_mut);
                challenges.into_iter().flatten().for_each(under_way);
            } else {
                under_way(object);
            }
        });
        self.headers.entry(header::RETRY_AFTER).or_insert(AGAIN);
    }

    /// Rewrites the body, if it is JSON.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Value)) {
        if let Ok(mut whole) = serde_json::from_slice(&self.body) {
            change(&mut whole);
            self.body = whole.to_string().into();
        }
    }
}

/// The container of what a pointer names, and its last token unescaped.
fn place<'v>(whole: &'v mut Value, pointer: &str) -> Option<(&'v mut Value, String)> {
    let (parent, last) = pointer.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    whole.pointer_mut(parent).map(|parent| (parent, last))
}

fn set(whole: &mut Value, pointer: &str, value: &Value) {
    if pointer.is_empty() {
        *whole = value.clone();
    }
    match place(whole, pointer) {
        Some((Value::Object(members), name)) => {
            members.insert(name, value.clone());
        }
        Some((Value::Array(items), index)) => {
            let found = index.parse::<usize>().ok().and_then(|i| items.get_mut(i));
            match found {
                Some(item) => *item = value.clone(),
                None if index == "-" => items.push(value.clone()),
                None => {}
            }
        }
        _ => {}
    }
}

pub(super) fn take(whole: &mut Value, pointer: &str) {
    match place(whole, pointer) {
        Some((Value::Object(members), name)) => {
            members.remove(&name);
        }
        Some((Value::Array(items), index)) => {
            if let Some(index) = index.parse().ok().filter(|i| *i < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}
