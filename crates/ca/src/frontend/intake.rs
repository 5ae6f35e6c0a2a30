//! A request's outside, before its envelope: media type, encoding, size (8555-6.2-7, -13, 8555-6.3-4).

use bytes::Bytes;
use cairn_acme::{limits::BODY, problem::Problem};
use http::{HeaderMap, header};

use super::connection::{self, Arriving, BodyFault, Bounds};

/// The media type of every signed request (RFC 8555 §6.2).
const JOSE: &str = "application/jose+json";

/// Judges the headers, then reads the body.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: impl Arriving,
    bounds: &Bounds,
) -> Result<Bytes, Problem> {
    if let Err(problem) = judge(headers) {
        connection::refuse(body, bounds.body).await;
        return Err(problem);
    }
    connection::body(body, BODY, bounds.body)
        .await
        .map_err(unreadable)
}

/// A body that did not come as it should, as the client is told it.
pub(crate) fn unreadable(fault: BodyFault) -> Problem {
    match fault {
        BodyFault::TooLarge => too_large(),
        BodyFault::Late => {
            Problem::malformed("the request's body did not arrive in time").status(408)
        }
        BodyFault::Broken => Problem::malformed("the request's body is broken off"),
    }
}

fn too_large() -> Problem {
    Problem::malformed(format!("the request is larger than {} KiB", BODY / 1024)).status(413)
}

fn judge(headers: &HeaderMap) -> Result<(), Problem> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (media, further) = (types.next(), types.next());
    if further.is_some() || !media.is_some_and(|value| is_jose(value.as_bytes())) {
        return Err(
            Problem::malformed(format!("the request's Content-Type must be {JOSE}")).status(415),
        );
    }
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !plain {
        return Err(Problem::malformed(
            "a request's body is taken as it is, without Content-Encoding",
        )
        .status(415));
    }
    Ok(())
}

/// The media type, whatever its case and parameters (RFC 9110 §8.3.1); none has a meaning for this type.
fn is_jose(value: &[u8]) -> bool {
    let media = value
        .split(|octet| *octet == b';')
        .next()
        .unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(JOSE.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_plain_jose_json_is_taken() {
        // 8555-6.2-7 8555-6.3-4
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Lines, Option<u16>)] = &[
            ("plain", &[("content-type", "application/jose+json")], None),
            (
                "other case",
                &[("content-type", "Application/JOSE+json")],
                None,
            ),
            (
                "parameter",
                &[("content-type", "application/jose+json; charset=utf-8")],
                None,
            ),
            (
                "identity",
                &[
                    ("content-type", "application/jose+json"),
                    ("content-encoding", "identity"),
                ],
                None,
            ),
            ("absent", &[], Some(415)),
            ("a form's", &[("content-type", "text/plain")], Some(415)),
            ("json", &[("content-type", "application/json")], Some(415)),
            (
                "longer",
                &[("content-type", "application/jose+json2")],
                Some(415),
            ),
            (
                "list",
                &[("content-type", "text/plain, application/jose+json")],
                Some(415),
            ),
            (
                "twice",
                &[
                    ("content-type", "application/jose+json"),
                    ("content-type", "text/plain"),
                ],
                Some(415),
            ),
            (
                "gzip",
                &[
                    ("content-type", "application/jose+json"),
                    ("content-encoding", "gzip"),
                ],
                Some(415),
            ),
        ];
        let mut wrong = Vec::new();
        for (name, lines, want) in cases {
            let mut headers = HeaderMap::new();
            for (key, value) in *lines {
                headers.append(
                    http::HeaderName::from_static(key),
                    HeaderValue::from_static(value),
                );
            }
            if judge(&headers).err().map(|problem| problem.status) != *want {
                wrong.push(*name);
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
