//! The publication listener: GET and HEAD of published files, and two health resources.

use std::sync::Arc;

use bytes::Bytes;
use cairn_acme::time::Timestamp;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use super::{File, Readiness, Shelf};
use crate::{
    frontend::connection::{self, Bounds},
    node::Ca,
};

/// Serves on a bound socket until `stop` turns true.
pub(crate) fn serve_on(
    ca: Arc<Ca>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let bounds = Bounds {
        connections: 1024,
        per_network: 256,
        ..Bounds::default()
    };
    let stopping = stop.clone();
    tokio::spawn(connection::accept(
        listener,
        bounds,
        stop,
        move |stream, _peer| {
            let (ca, stop) = (Arc::clone(&ca), stopping.clone());
            async move {
                connection::run(stream, bounds, stop, |request: Request<Incoming>| {
                    let now = ca.clock.wall();
                    std::future::ready(answer(&request, &ca.crls, now, || {
                        Readiness::of(&ca, now).is_ready()
                    }))
                })
                .await;
            }
        },
    ))
}

fn answer<B>(
    request: &Request<B>,
    shelf: &Shelf,
    now: Timestamp,
    is_ready: impl FnOnce() -> bool,
) -> Response<Full<Bytes>> {
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        answer
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/health/live" => text(StatusCode::OK, "live\n"),
        "/health/ready" => {
            // Reasons are for the operator's socket; strangers read this listener.
            if is_ready() {
                text(StatusCode::OK, "ready\n")
            } else {
                text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
            }
        }
        path => match shelf.at(path) {
            Some(file) => published(request, &file, now),
            None => text(StatusCode::NOT_FOUND, "not published here\n"),
        },
    }
}

fn published<B>(request: &Request<B>, file: &File, now: Timestamp) -> Response<Full<Bytes>> {
    let known = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|tags| tags.to_str().ok())
        .any(|tags| {
            tags.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || tag.trim_start_matches("W/") == file.etag)
        });
    let mut answer = if known {
        Response::new(Full::default())
    } else {
        Response::new(Full::new(file.body.clone()))
    };
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(file.media.name()),
    );
    let mut put = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    put(header::ETAG, file.etag.clone());
    put(
        header::CACHE_CONTROL,
        format!("public, max-age={}", file.max_age(now).as_secs()),
    );
    if let Some(date) = http_date(file.modified) {
        put(header::LAST_MODIFIED, date);
    }
    answer
}

/// RFC 9110 §5.6.7.
pub(crate) fn http_date(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_second(at.as_seconds()).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .ok()
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn shelf() -> Shelf {
        let shelf = Shelf::default();
        shelf.put(
            "/crl/ab/0.crl".to_owned(),
            File::crl(vec![1, 2, 3], NOW, NOW.plus(DAY * 7)),
        );
        shelf.put("/root.crt".to_owned(), File::certificate(vec![9], NOW));
        shelf
    }

    fn ask(method: Method, path: &str, tag: Option<&str>, now: Timestamp) -> Response<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        answer(&request.body(()).unwrap(), &shelf(), now, || true)
    }

    fn header_of<'a>(answer: &'a Response<Full<Bytes>>, name: &str) -> &'a str {
        answer.headers().get(name).unwrap().to_str().unwrap()
    }

    #[test]
    fn a_crl_is_served_with_its_type_and_its_age() {
        let answer = ask(
            Method::GET,
            "/crl/ab/0.crl",
            None,
            NOW.plus(DAY * 6 + DAY / 2),
        );
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(header_of(&answer, "content-type"), "application/pkix-crl");
        assert_eq!(header_of(&answer, "cache-control"), "public, max-age=43200");
        assert_eq!(
            header_of(&answer, "last-modified"),
            "Fri, 15 Jan 2027 08:00:00 GMT"
        );
        assert_eq!(
            header_of(&ask(Method::GET, "/root.crt", None, NOW), "content-type"),
            "application/pkix-cert"
        );
    }

    #[test]
    fn a_known_etag_gets_304_and_anything_unknown_404_or_405() {
        let etag = header_of(&ask(Method::GET, "/root.crt", None, NOW), "etag").to_owned();
        assert_eq!(
            ask(
                Method::GET,
                "/root.crt",
                Some(&format!("\"x\", W/{etag}")),
                NOW
            )
            .status(),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(
            ask(Method::GET, "/root.crt", Some("\"x\""), NOW).status(),
            StatusCode::OK
        );
        assert_eq!(
            ask(Method::GET, "/crl/ab/1.crl", None, NOW).status(),
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            ask(Method::GET, "/crl/ab/../../root.crt", None, NOW).status(),
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            ask(Method::POST, "/root.crt", None, NOW).status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }

    #[test]
    fn health_tells_strangers_the_state_and_no_reason() {
        for (ready, status) in [
            (true, StatusCode::OK),
            (false, StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let request = Request::builder().uri("/health/ready").body(()).unwrap();
            assert_eq!(answer(&request, &shelf(), NOW, || ready).status(), status);
        }
        assert_eq!(
            ask(Method::HEAD, "/health/live", None, NOW).status(),
            StatusCode::OK
        );
    }
}
