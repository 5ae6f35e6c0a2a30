//! An answer as the conduct wants it; pure.

use bytes::Bytes;
use cairn_acme::time::Timestamp;
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::{Serializer, Value, ser::PrettyFormatter};

use super::{Answered, Conduct, Layout, Step, answer::take};
use crate::publication::http_date;

/// Lists whose order means nothing (RFC 8555 §7.1.3, §7.1.4).
const LISTS: [&str; 3] = ["identifiers", "authorizations", "challenges"];

/// Media types, as Pebble writes them.
static TYPES: [(&str, HeaderValue); 3] = [
    (
        "application/json",
        HeaderValue::from_static("application/json; charset=utf-8"),
    ),
    (
        "application/problem+json",
        HeaderValue::from_static("application/problem+json; charset=utf-8"),
    ),
    (
        "application/pem-certificate-chain",
        HeaderValue::from_static("application/pem-certificate-chain; charset=utf-8"),
    ),
];

/// What chance has to say about an answer.
pub(crate) trait Chance {
    /// A place below `end`.
    fn place(&self, end: usize) -> usize;
    /// Whether a time is told as a date.
    fn date(&self) -> bool;
}

/// JSON as Pebble writes it, which scripts search by the line.
fn indented(body: &Bytes) -> Bytes {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    let mut text = Vec::with_capacity(2 * body.len());
    let form = PrettyFormatter::with_indent(b"   ");
    let written = value.serialize(&mut Serializer::with_formatter(&mut text, form));
    match written {
        Ok(()) => text.into(),
        Err(_) => body.clone(),
    }
}

impl Conduct {
    /// Dresses the answer of a step.
    pub(crate) fn dress(
        &self,
        answer: &mut Answered,
        step: Option<Step>,
        now: Timestamp,
        chance: &impl Chance,
    ) {
        if answer.status.is_success()
            && let Some(step) = step
        {
            self.dress_object(answer, step, now, chance);
        }
        if self.layout == Layout::Pebble {
            let media = answer.headers.get(header::CONTENT_TYPE);
            let written = TYPES
                .iter()
                .find(|(plain, _)| media.is_some_and(|media| media == plain));
            if let Some((plain, written)) = written {
                if plain.ends_with("json") {
                    answer.body = indented(&answer.body);
                }
                answer.headers.insert(header::CONTENT_TYPE, written.clone());
            }
        }
    }

    fn dress_object(
        &self,
        answer: &mut Answered,
        step: Step,
        now: Timestamp,
        chance: &impl Chance,
    ) {
        match step {
            Step::Directory if self.layout == Layout::Pebble => answer.change(as_pebbles),
            Step::NewOrder
            | Step::Order
            | Step::Finalize
            | Step::Authorization
            | Step::Challenge => {
                if step == Step::Finalize && self.finalize_processing && answer.has_ended() {
                    answer.unfinish(step);
                }
                self.tell_when(answer, step, now, chance);
                if self.shuffles && step != Step::Challenge {
                    answer.change(|object| shuffle(object, chance));
                }
            }
            _ => {}
        }
    }

    /// Retry-After, where Pebble has it: at an authorization while a challenge of it is in processing, and at an order in
    /// processing.
    fn tell_when(&self, answer: &mut Answered, step: Step, now: Timestamp, chance: &impl Chance) {
        let Some(configured) = self.retry_after else {
            return;
        };
        let object: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let in_processing = |object: &Value| object["status"] == "processing";
        let challenges = object["challenges"].as_array();
        let seconds = match step {
            Step::Authorization if challenges.is_some_and(|all| all.iter().any(in_processing)) => {
                configured.authorization
            }
            Step::Order | Step::Finalize if in_processing(&object) => configured.order,
            _ => None,
        };
        answer.headers.remove(header::RETRY_AFTER);
        if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
            let date = http_date(now.plus(std::time::Duration::from_secs(seconds.into())))
                .filter(|_| chance.date())
                .and_then(|date| HeaderValue::try_from(date).ok());
            let value = date.unwrap_or_else(|| HeaderValue::from(seconds));
            answer.headers.insert(header::RETRY_AFTER, value);
        }
    }
}

/// The directory without newAuthz, which Pebble has not, and with externalAccountRequired also where it is false.
fn as_pebbles(directory: &mut Value) {
    take(directory, "/newAuthz");
    if let Some(meta) = directory.get_mut("meta").and_then(Value::as_object_mut) {
        meta.entry("externalAccountRequired")
            .or_insert(Value::Bool(false));
    }
}

fn shuffle(object: &mut Value, chance: &impl Chance) {
    for list in LISTS {
        if let Some(items) = object.get_mut(list).and_then(Value::as_array_mut) {
            for end in (2..=items.len()).rev() {
                items.swap(end - 1, chance.place(end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;
    use crate::dev::RetryAfter;

    struct Fixed(bool);

    impl Chance for Fixed {
        fn place(&self, _: usize) -> usize {
            0
        }

        fn date(&self) -> bool {
            self.0
        }
    }

    fn answer(body: &Value) -> Answered {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        Answered {
            status: StatusCode::OK,
            headers,
            body: body.to_string().into(),
        }
    }

    #[test]
    fn retry_after_is_told_where_pebble_tells_it_as_seconds_or_as_a_date() {
        let conduct = Conduct {
            retry_after: Some(RetryAfter {
                authorization: Some(3),
                order: Some(5),
            }),
            ..Conduct::default()
        };
        let processing = json!({"status": "processing"});
        let under_way =
            json!({"status": "pending", "challenges": [{"status": "pending"}, &processing]});
        let waiting = json!({"status": "pending", "challenges": [{"status": "pending"}]});
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut wrong = Vec::new();
        for (step, body, date, want) in [
            (Step::Authorization, &under_way, false, Some("3")),
            (Step::Authorization, &waiting, false, None),
            (Step::Challenge, &processing, false, None),
            (Step::Order, &processing, false, Some("5")),
            (Step::Finalize, &processing, false, Some("5")),
            (Step::Order, &waiting, false, None),
            (
                Step::Order,
                &processing,
                true,
                Some("Fri, 15 Jan 2027 08:00:05 GMT"),
            ),
        ] {
            let mut answer = answer(body);
            conduct.dress(&mut answer, Some(step), now, &Fixed(date));
            let got = answer.headers.get(header::RETRY_AFTER);
            if got.map(|value| value.to_str().unwrap()) != want {
                wrong.push((step, got.cloned(), want));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_default_conduct_leaves_every_answer_as_it_is() {
        let bodies = [
            json!({"newAuthz": "u", "meta": {}}),
            json!({"status": "processing", "identifiers": [1, 2, 3], "authorizations": [4, 5]}),
            json!({"status": "valid", "challenges": [1, 2]}),
        ];
        for (step, _) in Step::ALL {
            for body in &bodies {
                let (mut got, before) = (answer(body), answer(body));
                let now = Timestamp::from_seconds(0);
                Conduct::default().dress(&mut got, Some(step), now, &Fixed(true));
                assert_eq!((got.body, got.headers), (before.body, before.headers));
            }
        }
    }
}
