//! Clients in browsers (8555-6.1-4): any origin may ask, for nothing here goes by cookies or by the network that a browser
//! stands in; requests are signed. Only requests that name an origin are answered with more headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::{Route, answer::Answer};

/// The headers of answers that scripts need beside the body.
const EXPOSED: HeaderValue = HeaderValue::from_static("Link, Location, Replay-Nonce, Retry-After");

/// How long a browser may remember what a preflight said.
const REMEMBERED: HeaderValue = HeaderValue::from_static("86400");

/// Whether a browser asks for a page of another origin.
pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(header::ORIGIN)
}

/// Answers OPTIONS: a browser's preflight, or whoever wants to know the methods.
pub(crate) fn options(route: Route) -> Answer {
    Answer::empty(StatusCode::NO_CONTENT).allow(route.methods())
}

/// Lets the script read the answer.
pub(crate) fn permit(response: &mut Response<Full<Bytes>>, method: &Method, route: Option<Route>) {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    if *method == Method::OPTIONS {
        let methods = route.map_or("", Route::methods);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Content-Type"),
        );
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
