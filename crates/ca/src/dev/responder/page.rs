//! What an http-01 server answers (RFC 8555 §8.3): redirects over plain HTTP, the key authorization of a known token, an
//! empty page for all else.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use super::{data::Data, history::Event, manage::TEXT};

/// Where tokens are asked for.
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

const HTML: &str = "text/html; charset=utf-8";

/// Answers a request and writes it down. `server_name` is of one over TLS, and empty if its client gave none.
pub(super) fn page<B>(
    data: &Data,
    request: &Request<B>,
    server_name: Option<&str>,
) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST);
    let host = host.map_or_else(String::new, |host| {
        String::from_utf8_lossy(host.as_bytes()).into_owned()
    });
    let target = request.uri();
    data.asked(Event::Http {
        url: target
            .path_and_query()
            .map_or("", |p| p.as_str())
            .to_owned(),
        host,
        https: server_name.is_some(),
        server_name: server_name.unwrap_or_default().to_owned(),
    });
    let path = decoded(target.path());
    let tables = data.tables();
    // Not over TLS: a path may be led from HTTP to itself over HTTPS.
    let redirect = tables.redirects.get(&path);
    let mut answer = match redirect.filter(|_| server_name.is_none()) {
        Some(to) => redirected(request.method(), &path, to),
        None => {
            let token = path.strip_prefix(WELL_KNOWN);
            match token.and_then(|token| tables.tokens.get(token)) {
                Some(content) => typed(content.clone(), TEXT),
                None => Response::default(),
            }
        }
    };
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

fn typed(body: String, kind: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn redirected(method: &Method, path: &str, to: &str) -> Response<Full<Bytes>> {
    let to = match path.rfind('/').and_then(|end| path.get(..=end)) {
        Some(folder) if !has_scheme(to) && !to.starts_with('/') => format!("{folder}{to}"),
        _ => to.to_owned(),
    };
    let mut answer = match *method {
        Method::GET | Method::HEAD => {
            typed(format!("<a href=\"{}\">Found</a>.\n\n", html(&to)), HTML)
        }
        _ => Response::default(),
    };
    *answer.status_mut() = StatusCode::FOUND;
    if let Ok(location) = HeaderValue::try_from(plain(&to)) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// Whether a reference starts with a scheme (RFC 3986 §3.1).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        let mut letters = scheme.bytes();
        letters.next().is_some_and(|b| b.is_ascii_alphabetic())
            && letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

/// As a header may hold it: what is not graphic is percent-encoded.
fn plain(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_graphic() {
            out.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{octet:02x}");
        }
    }
    out
}

/// A path with its percent-encoding undone.
pub(super) fn decoded(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| octet == b'%');
        let value = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(value.unwrap_or(octet));
        rest = match value {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::responder::history::Kind;

    fn ask(data: &Data, method: Method, target: &str, tls: Option<&str>) -> (u16, String) {
        let request = Request::builder().method(method).uri(target).body(());
        let answer = page(data, &request.unwrap(), tls);
        let location = answer.headers().get(header::LOCATION);
        let location = location.map_or("", |l| l.to_str().unwrap()).to_owned();
        (answer.status().as_u16(), location)
    }

    #[test]
    fn redirects_are_for_plain_http_and_lead_where_they_say() {
        let data = Data::default();
        let rows = [
            ("/a", "https://b.test/x", "https://b.test/x"),
            ("/b", "/other?q=\u{e9}", "/other?q=%c3%a9"),
            ("/c/d", "e", "/c/e"),
            ("/f", "//b.test/", "//b.test/"),
            ("/g h", "/x\r\ny", "/x%0d%0ay"),
        ];
        for (path, to, location) in rows {
            let set = (path.to_owned(), to.to_owned());
            data.tables().redirects.extend([set]);
            let target = path.replace(' ', "%20");
            let got = ask(&data, Method::GET, &target, None);
            assert_eq!(got, (302, location.to_owned()), "{path}");
            let over_tls = ask(&data, Method::GET, &target, Some("a.test"));
            assert_eq!(over_tls, (200, String::new()), "{path}");
        }
        assert_eq!(ask(&data, Method::POST, "/a", None).0, 302);
        assert!(data.asked_of("", Kind::Http).contains("\"/g%20h\""));
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded_and_nothing_panics(text: String, other: String) {
            proptest::prop_assert_eq!(decoded(&plain(&text.replace('%', ""))), text.replace('%', ""));
            let _ = (decoded(&other), has_scheme(&other), html(&other));
        }
    }
}
