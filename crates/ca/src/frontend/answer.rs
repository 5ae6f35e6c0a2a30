//! Answers: what a handler says, and the few headers that every answer has (RFC 8555 §6.5, §7.1).

use std::time::Duration;

use bytes::Bytes;
use cairn_acme::problem::{CONTENT_TYPE, Problem};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// What a handler answers. Headers that depend on the request alone are added in [`Answer::finish`].
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response<Full<Bytes>>,
    /// How long anybody may keep it; most answers nobody may.
    fresh: Option<Duration>,
}

/// The header that carries a fresh nonce (RFC 8555 §6.5.1).
pub(crate) const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static(CONTENT_TYPE);
/// Problems are written in one language; a client that would rather read another sees at least which it got.
const LANGUAGE: HeaderValue = HeaderValue::from_static("en");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

impl Answer {
    /// A body of JSON.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self::with(status, JSON, body),
            // Wire objects have a JSON form; should one not, the client hears of a fault of ours.
            Err(_) => Self::problem(&Problem::server_internal("the answer could not be written")),
        }
    }

    /// A body of another type.
    pub(crate) fn with(status: StatusCode, media: HeaderValue, body: impl Into<Bytes>) -> Self {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        Self {
            response,
            fresh: None,
        }
    }

    /// No body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        Self {
            response,
            fresh: None,
        }
    }

    /// A problem document (RFC 8555 §6.7) with the headers that it asks for.
    pub(crate) fn problem(problem: &Problem) -> Self {
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Self::with(status, PROBLEM, problem.to_json());
        let headers = answer.response.headers_mut();
        headers.insert(header::CONTENT_LANGUAGE, LANGUAGE);
        if let Some(wait) = problem.retry_after {
            answer = answer.retry_after(wait);
        }
        if let Some(location) = &problem.location {
            answer = answer.location(location);
        }
        for (relation, url) in &problem.links {
            answer = answer.link(url, relation);
        }
        if let Some(methods) = problem.allow {
            answer = answer.allow(methods);
        }
        answer
    }

    /// Adds Allow.
    pub(crate) fn allow(mut self, methods: &'static str) -> Self {
        self.response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(methods));
        self
    }

    /// Adds Location.
    pub(crate) fn location(mut self, url: &str) -> Self {
        self.insert(header::LOCATION, url);
        self
    }

    /// Adds a Link (RFC 8288).
    pub(crate) fn link(mut self, url: &str, relation: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(format!("<{url}>;rel=\"{relation}\"")) {
            self.response.headers_mut().append(header::LINK, value);
        }
        self
    }

    /// Adds Retry-After in whole seconds, rounded up and one at the least.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        self.response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// Adds a header as a fault wants it.
    #[cfg(feature = "dev")]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }

    /// Lets caches keep it for so long.
    pub(crate) fn cacheable(mut self, fresh: Duration) -> Self {
        self.fresh = Some(fresh);
        self
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The whole response: with a fresh nonce if there is one, a link to the directory unless it is the directory, and
    /// nothing of it for caches, unless it says so (T-CA-26).
    pub(crate) fn finish(
        mut self,
        nonce: Option<&str>,
        directory: Option<&str>,
    ) -> Response<Full<Bytes>> {
        if let Some(nonce) = nonce {
            self.insert(REPLAY_NONCE, nonce);
        }
        if let Some(directory) = directory {
            self = self.link(directory, "index");
        }
        let kept = self.fresh.and_then(|fresh| {
            HeaderValue::try_from(format!("public, max-age={}", fresh.as_secs())).ok()
        });
        self.response
            .headers_mut()
            .insert(header::CACHE_CONTROL, kept.unwrap_or(NO_STORE));
        self.response
    }

    fn insert(&mut self, name: HeaderName, value: &str) {
        // URLs and nonces are of our own making and of visible ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_carries_its_headers_and_the_urn() {
        // 8555-6.7-1 T-CA-26
        let problem = Problem::rate_limited("slow down")
            .retry_after(Duration::from_millis(1500))
            .link("help", "https://ca.test/help");
        let response =
            Answer::problem(&problem).finish(Some("abc"), Some("https://ca.test/directory"));
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header("content-type"), "application/problem+json");
        assert_eq!(header("retry-after"), "2");
        assert_eq!(header("replay-nonce"), "abc");
        assert_eq!(header("cache-control"), "no-store");
        let links: Vec<_> = response
            .headers()
            .get_all("link")
            .iter()
            .map(|l| l.to_str().unwrap())
            .collect();
        assert_eq!(
            links,
            [
                "<https://ca.test/help>;rel=\"help\"",
                "<https://ca.test/directory>;rel=\"index\""
            ]
        );
    }

    #[test]
    fn header_values_with_line_breaks_are_left_out() {
        let response = Answer::empty(StatusCode::OK)
            .location("https://x/\r\nSet-Cookie: a")
            .finish(None, None);
        assert!(
            response.headers().get("location").is_none()
                && response.headers().get("set-cookie").is_none()
        );
    }
}
