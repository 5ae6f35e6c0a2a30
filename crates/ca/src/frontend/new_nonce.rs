//! newNonce (RFC 8555 §7.2): the nonce itself is in the header that every answer gets.

use http::{Method, StatusCode};

use super::answer::Answer;

/// Answers HEAD with 200, GET and POST-as-GET with 204 (8555-7.2-1).
pub(crate) fn show(method: &Method) -> Answer {
    Answer::empty(if method == Method::HEAD {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    })
}
