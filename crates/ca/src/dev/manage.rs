//! The management interface of a test CA, over plain HTTP: its faults, its clock, its transcript, what its DNS answers, and
//! what a CA publishes. Bodies are JSON; what is wrong is answered with 400 and a reason.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Doors, Fault, FaultId, Finding, Format, Listed, Transcript,
    responder::{self, Part},
};
use crate::{
    config::Span,
    frontend::connection::{self, BodyFault, Bounds},
    node::Ca,
};

/// Octets of a request's body.
const BODY: usize = 64 * 1024;

/// What there is to call, as `GET /` says it.
const CALLS: &str = "\
GET    /root.pem              whom clients trust
GET    /faults                those in force, with how many requests they met and struck
POST   /faults                put one in force: {\"fault\": \"finalize:503 once\"}, or a record of a scenario
DELETE /faults, /faults/ID    take all of them out, or one
GET    /clock                 the CA's time, and how far it is ahead
POST   /clock                 let time pass: {\"advance\": \"30d\"}
GET    /transcript            what clients said and were told, as lines of JSON; ?since=N, ?form=text
DELETE /transcript            forget it, and what was found in it
GET    /findings              what clients did wrong, the first ones of each check
GET    /report                on all checks: ?form=text, json or junit, ?strict
POST   /set-default-ipv4, /set-default-ipv6, /set-txt, /clear-txt, /add-a, /clear-a, /add-aaaa, /clear-aaaa, /add-caa,
       /clear-caa, /set-cname, /clear-cname, /set-servfail, /clear-servfail, /dns-request-history,
       /clear-request-history  what its DNS says, and was asked: the calls of pebble-challtestsrv
GET    /crl/…, /issuer/…      what certificates name
GET    /health/ready
";

/// What is answered.
struct Reply {
    status: StatusCode,
    media: HeaderValue,
    body: Bytes,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const LINES: HeaderValue = HeaderValue::from_static("application/jsonl");
const XML: HeaderValue = HeaderValue::from_static("application/xml");
const PEM: HeaderValue = HeaderValue::from_static("application/x-pem-file");

impl Reply {
    fn json(status: StatusCode, value: &Value) -> Self {
        Self {
            status,
            media: JSON,
            body: format!("{value}\n").into(),
        }
    }

    fn text(media: HeaderValue, text: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            media,
            body: text.into(),
        }
    }

    fn wrong(status: StatusCode, reason: impl std::fmt::Display) -> Self {
        Self::json(status, &json!({ "error": reason.to_string() }))
    }

    fn bad(reason: impl std::fmt::Display) -> Self {
        Self::wrong(StatusCode::BAD_REQUEST, reason)
    }
}

/// Answers a request, or gives it back for what a CA publishes.
pub(crate) async fn answer(
    ca: &Ca,
    doors: &Arc<Doors>,
    request: Request<Incoming>,
    bounds: Bounds,
) -> Result<Response<Full<Bytes>>, Request<()>> {
    let (head, body) = request.into_parts();
    let reply = if head.method == Method::GET || head.method == Method::HEAD {
        match looked_up(ca, doors, &head.uri) {
            Some(reply) => reply,
            None => return Err(Request::from_parts(head, ())),
        }
    } else {
        match connection::body(body, BODY, bounds.body).await {
            Ok(body) => done(ca, doors, &head, &body),
            Err(BodyFault::TooLarge) => Reply::wrong(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 64 KiB",
            ),
            Err(_) => Reply::bad("the body did not come in full"),
        }
    };
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, reply.media);
    Ok(response)
}

/// GET.
fn looked_up(ca: &Ca, doors: &Doors, uri: &Uri) -> Option<Reply> {
    let kept = || {
        doors
            .transcript()
            .ok_or_else(|| Reply::wrong(StatusCode::NOT_FOUND, "no transcript is kept"))
    };
    Some(match uri.path() {
        "/" => Reply::text(TEXT, CALLS),
        "/root.pem" => Reply::text(PEM, doors.root_pem().to_owned()),
        "/faults" => {
            let all: Vec<Value> = doors.list().iter().map(listed).collect();
            Reply::json(StatusCode::OK, &Value::Array(all))
        }
        "/clock" => Reply::json(StatusCode::OK, &clock(ca, doors)),
        "/transcript" => kept().map_or_else(|none| none, |kept| transcript(kept, uri)),
        "/findings" => kept().map_or_else(|none| none, |kept| findings(kept)),
        "/report" => kept().map_or_else(|none| none, |kept| report(kept, uri)),
        _ => return None,
    })
}

/// Everything but GET.
fn done(ca: &Ca, doors: &Doors, head: &Parts, body: &[u8]) -> Reply {
    let path = head.uri.path();
    match (&head.method, path) {
        (&Method::POST, "/faults") => match fault(body) {
            Ok(fault) => {
                let text = fault.to_string();
                let id = doors.add(fault);
                Reply::json(StatusCode::CREATED, &json!({ "id": id.0, "fault": text }))
            }
            Err(reason) => Reply::bad(reason),
        },
        (&Method::DELETE, "/faults") => {
            doors.clear();
            Reply::json(StatusCode::OK, &json!({ "changed": true }))
        }
        (&Method::DELETE, path) if path.starts_with("/faults/") => {
            let id = path.trim_start_matches("/faults/").parse().map(FaultId);
            match id {
                Ok(id) if doors.remove(id) => {
                    Reply::json(StatusCode::OK, &json!({ "changed": true }))
                }
                _ => Reply::wrong(StatusCode::NOT_FOUND, "no fault in force has that id"),
            }
        }
        (&Method::POST, "/clock") => match advance(body) {
            Ok(by) => {
                doors.clock().advance(by);
                Reply::json(StatusCode::OK, &clock(ca, doors))
            }
            Err(reason) => Reply::bad(reason),
        },
        (&Method::DELETE, "/transcript") => match doors.transcript() {
            Some(kept) => {
                kept.clear();
                Reply::json(StatusCode::OK, &json!({ "changed": true }))
            }
            None => Reply::wrong(StatusCode::NOT_FOUND, "no transcript is kept"),
        },
        (&Method::POST, path) if of_names(path) => match doors.names() {
            Some(names) => said(names, path, body),
            None => Reply::wrong(
                StatusCode::NOT_FOUND,
                "this test CA has no DNS of its own: --dnsserver names another",
            ),
        },
        (_, "/faults" | "/clock" | "/root.pem" | "/" | "/transcript" | "/findings" | "/report") => {
            Reply::wrong(
                StatusCode::METHOD_NOT_ALLOWED,
                format!(
                    "{path} does not know {}; GET / names all calls",
                    head.method
                ),
            )
        }
        _ => Reply::wrong(
            StatusCode::NOT_FOUND,
            "there is no such call; GET / names all",
        ),
    }
}

/// Whether a path is a call of the challenge server that is about names.
fn of_names(path: &str) -> bool {
    matches!(Part::of(path), Some(Part::Dns | Part::History))
}

/// A call of the challenge server.
fn said(names: &responder::Data, path: &str, body: &[u8]) -> Reply {
    let Some(answer) = responder::manage(names, path, body) else {
        return Reply::wrong(StatusCode::NOT_FOUND, "there is no such call");
    };
    if answer.status == 400 && answer.body.is_empty() {
        // Where pebble-challtestsrv gives no reason.
        return Reply::bad(format!("{path} lacks a member that it takes"));
    }
    Reply {
        status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST),
        media: HeaderValue::from_static(answer.content_type.unwrap_or("text/plain; charset=utf-8")),
        body: answer.body.into(),
    }
}

/// A value of the query, if it is named.
fn asked<'u>(uri: &'u Uri, name: &str) -> Option<&'u str> {
    let each = uri
        .query()?
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some(pair) => pair,
            None => (pair, ""),
        });
    each.into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn transcript(kept: &Transcript, uri: &Uri) -> Reply {
    let Ok(since) = asked(uri, "since").unwrap_or("0").parse() else {
        return Reply::bad("since takes the number of an exchange");
    };
    match asked(uri, "form") {
        None | Some("json") => Reply::text(LINES, kept.lines(since)),
        Some("text") => Reply::text(TEXT, kept.text(since)),
        Some(_) => Reply::bad("form takes json or text"),
    }
}

fn findings(kept: &Transcript) -> Reply {
    let all = kept.findings().iter().map(Finding::to_json).collect();
    Reply::json(StatusCode::OK, &Value::Array(all))
}

fn report(kept: &Transcript, uri: &Uri) -> Reply {
    let strict = asked(uri, "strict").is_some();
    match asked(uri, "form") {
        None | Some("text") => Reply::text(TEXT, kept.report(Format::Text, strict)),
        Some("json") => Reply::text(JSON, kept.report(Format::Json, strict)),
        Some("junit") => Reply::text(XML, kept.report(Format::Junit, strict)),
        Some(_) => Reply::bad("form takes text, json or junit"),
    }
}

fn listed(listed: &Listed) -> Value {
    json!({
        "id": listed.id.0,
        "fault": listed.fault.to_string(),
        "met": listed.met,
        "struck": listed.struck,
    })
}

/// A fault as one line of text, or as a record of a scenario.
fn fault(body: &[u8]) -> Result<Fault, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        fault: String,
    }
    let value = object(body)?;
    // A record has more members than the fault's name, and the name alone is a line too.
    match serde_json::from_value::<Line>(value.clone()) {
        Ok(line) => line
            .fault
            .parse()
            .map_err(|e: super::BadFault| e.to_string()),
        Err(_) => serde_json::from_value(value).map_err(|error| error.to_string()),
    }
}

/// How far time shall move.
fn advance(body: &[u8]) -> Result<Duration, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        advance: String,
    }
    let Advance { advance } =
        serde_json::from_value(object(body)?).map_err(|error| error.to_string())?;
    let span: Span = advance.parse().map_err(|_| {
        format!("advance takes 250ms, 2s, 15m, 1h or 30d, not {advance:?}; time never goes back")
    })?;
    Ok(span.duration())
}

fn object(body: &[u8]) -> Result<Value, String> {
    let value = serde_json::from_slice(body);
    let value: Value = value.map_err(|error| format!("the body is no JSON: {error}"))?;
    match value.is_object() {
        true => Ok(value),
        false => Err("the body is no JSON object; GET / shows what each call takes".to_owned()),
    }
}

fn clock(ca: &Ca, doors: &Doors) -> Value {
    json!({
        "now": ca.clock.wall().to_string(),
        "ahead_seconds": doors.clock().ahead().as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_comes_as_a_line_or_as_a_record() {
        let same = [
            r#"{"fault": "finalize:503 once"}"#,
            r#"{"fault": "refuse", "value": "503", "step": "finalize", "when": "once"}"#,
        ];
        for body in same {
            let read = fault(body.as_bytes()).map(|fault| fault.to_string());
            assert_eq!(read.as_deref(), Ok("finalize:refuse=503 once"), "{body}");
        }
        for (body, reason) in [
            ("", "the body is no JSON: "),
            ("[]", "the body is no JSON object"),
            (r#"{"fault": "bad-nonse"}"#, "did you mean bad-nonce?"),
            (
                r#"{"fault": "refuse", "valeu": "503"}"#,
                "unknown field `valeu`",
            ),
            (r#"{"fault": 503}"#, "invalid type"),
        ] {
            let told = fault(body.as_bytes()).unwrap_err();
            assert!(told.contains(reason), "{body}: {told}");
        }
    }

    #[test]
    fn time_passes_by_what_is_a_span_and_never_goes_back() {
        let day = Duration::from_secs(86_400);
        assert_eq!(advance(br#"{"advance": "30d"}"#), Ok(30 * day));
        for body in [
            r#"{"advance": "-1d"}"#,
            r#"{"advance": 30}"#,
            r#"{"advance": "36526d"}"#,
            r#"{"advance": "30d", "to": "x"}"#,
            "30d",
        ] {
            assert!(advance(body.as_bytes()).is_err(), "{body}");
        }
    }
}
