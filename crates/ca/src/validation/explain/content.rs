//! What an answer looks like: who sent it, and what its body is where the key authorization should be.

use super::super::http_answer::Head;
use super::super::trace::excerpt;

/// The headers, and a page's title, that help to find out which server answered with a status other than 200.
pub(super) fn status_evidence(head: &Head, body: &[u8]) -> String {
    let page = title(body).map(|title| format!("a page with the title \"{title}\""));
    listed(quoted(head).into_iter().chain(page).collect())
}

/// The headers that help to find out which server answered.
pub(super) fn evidence(head: &Head) -> String {
    listed(quoted(head))
}

fn quoted(head: &Head) -> Vec<String> {
    EVIDENCE
        .iter()
        .filter_map(|(name, shown)| {
            let value = head.header(name)?;
            Some(format!("{shown}{}", excerpt(value)))
        })
        .chain(head.header("www-authenticate").and_then(realm))
        .collect()
}

fn listed(quoted: Vec<String>) -> String {
    if quoted.is_empty() {
        String::new()
    } else {
        format!(" ({})", quoted.join(", "))
    }
}

/// The realm alone: the rest of WWW-Authenticate may carry nonces and tokens.
fn realm(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (_, realm) = text.split_once("realm=\"")?;
    let (realm, _) = realm.split_once('"')?;
    Some(format!("realm {}", excerpt(realm.as_bytes())))
}

/// What helps against a status other than 200.
pub(super) fn status_remedy(head: &Head, body: &[u8]) -> String {
    let server = head
        .header("server")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is = |name: &[u8]| server.windows(name.len()).any(|part| part == name);
    let mut text = match head.status {
        404 | 410 => {
            "Put the challenge where that server looks, or point the name at the server that has it; of several servers \
             behind one address, each needs it."
        }
        403 => {
            "The server will not give it out: let its user read the file and enter every folder above it, and take \
             /.well-known/acme-challenge/ out of rules that deny names with a dot or unknown clients."
        }
        401 => "The path asks for a password: take it off /.well-known/acme-challenge/.",
        503 => {
            "The site says that it is out of service: exempt /.well-known/acme-challenge/ from its maintenance mode, or \
             order again later."
        }
        502 | 504 => {
            "The server passes the request on, and none behind it answered: start that one, or let the server serve \
             /.well-known/acme-challenge/ itself."
        }
        300..=399 => {
            "Of redirects, 301, 302, 307 and 308 are followed: use one of them, or serve the file without."
        }
        400 if PLAIN
            .iter()
            .any(|words| body.windows(words.len()).any(|part| part == *words)) =>
        {
            "The port speaks TLS, so plain HTTP is refused: take the TLS (\"ssl\") off port 80."
        }
        _ => {
            "Put the challenge where that server looks, or point the name at the server that has it."
        }
    }
    .to_owned();
    let line = match head.status {
        404 | 403 if is(b"nginx") => {
            Some("nginx: \"location ^~ /.well-known/acme-challenge/ { root DIR; }\".")
        }
        404 | 403 if is(b"apache") => Some(
            "Apache: \"Alias /.well-known/acme-challenge/ DIR/\", with \"Require all granted\".",
        ),
        401 if is(b"nginx") => Some("nginx: \"auth_basic off;\" in that location."),
        _ => None,
    };
    if let Some(line) = line {
        text.push(' ');
        text.push_str(line);
    }
    if CACHED.iter().any(|name| head.header(name).is_some()) {
        text.push_str(
            " The answer may be a cache's: exempt the path from it and empty it, for the file may be there by now.",
        );
    }
    text
}

/// What a body is in place of the expected one, and what helps.
pub(super) fn fingerprint(
    head: &Head,
    body: &[u8],
    is_over: bool,
    expected: &str,
    redirected_to: Option<&str>,
) -> (String, String) {
    let found = body.trim_ascii_end();
    let plain = match (body.is_empty(), is_over) {
        (true, _) => "an empty body".to_owned(),
        (false, true) => format!(
            "more than 1024 octets that begin with \"{}\"",
            excerpt(body)
        ),
        (false, false) => format!("\"{}\"", excerpt(body)),
    };
    let (token, thumbprint) = expected.split_once('.').unwrap_or((expected, ""));
    if let Some((other_token, other)) = key_authorization(found) {
        let (what, why) = if other_token == token {
            (
                format!(
                    "the answer of another account, {plain} (thumbprint {other}, this account's is {thumbprint})"
                ),
                "Another client, or another account of this one, answers for the name: stop it.",
            )
        } else {
            (
                format!("the answer to another challenge, {plain} (its token is not {token})"),
                "Another client answers for the name, or an old file is served: stop it, or remove the file.",
            )
        };
        return (what, why.to_owned());
    }
    let same = common(found, expected.as_bytes());
    let holds = found
        .windows(expected.len().max(1))
        .any(|part| part == expected.as_bytes());
    if holds || (same >= token.len().min(SAME) && same > 0) {
        let part = |octets: &[u8]| {
            excerpt(
                octets
                    .get(same..)
                    .unwrap_or_default()
                    .get(..8)
                    .unwrap_or_else(|| octets.get(same..).unwrap_or_default()),
            )
        };
        let mark = if found.starts_with(b"\xef\xbb\xbf") {
            ", a byte order mark before it"
        } else {
            ""
        };
        let coding = head
            .header("content-encoding")
            .map_or_else(String::new, |c| {
                format!(", content encoding {}", excerpt(c))
            });
        return (
            format!(
                "{plain}: {} octets where {} belong, the first other one at offset {same} (\"{}\" for \"{}\"){mark}{coding}",
                found.len(),
                expected.len(),
                part(found),
                part(expected.as_bytes()),
            ),
            "Something changes the file on its way: a filter, an injected script, an editor. Turn it off for \
             /.well-known/acme-challenge/."
                .to_owned(),
        );
    }
    let media = head.header("content-type").unwrap_or_default();
    if found.first() == Some(&b'<') || media.to_ascii_lowercase().starts_with(b"text/html") {
        let title = title(body).map_or_else(String::new, |t| format!(" with the title \"{t}\""));
        let why = match redirected_to {
            Some(url) => format!(
                "The request was led to that page: exempt /.well-known/acme-challenge/ from the redirect to {url}."
            ),
            None => "The server answers with a page whatever is asked for: serve /.well-known/acme-challenge/ as files \
                     before the rule that catches everything. If the page is a router's or another host's, forward port 80 to \
                     the right one, or point the name's A and AAAA records at it."
                .to_owned(),
        };
        return (format!("a page{title}, {plain},"), why);
    }
    (plain, String::new())
}

/// A key authorization: a token, a dot, the digest of a key.
fn key_authorization(body: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(body).ok()?;
    let (token, thumbprint) = text.split_once('.')?;
    let is_base64url = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let fits = thumbprint.len() == THUMBPRINT && (16..=TOKEN).contains(&token.len());
    (fits && is_base64url(token) && is_base64url(thumbprint)).then_some((token, thumbprint))
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The title of a page, quoted.
fn title(body: &[u8]) -> Option<String> {
    let find = |part: &[u8], from: usize| {
        let rest = body.get(from..)?;
        let at = rest
            .windows(part.len())
            .position(|window| window.eq_ignore_ascii_case(part))?;
        Some(from + at)
    };
    let start = find(b"<title>", 0)? + 7;
    let end = find(b"</title>", start)?;
    body.get(start..end).map(|text| excerpt(text.trim_ascii()))
}

/// What nginx, Apache and Go's servers say to plain HTTP on a port of TLS.
const PLAIN: [&[u8]; 3] = [
    b"plain HTTP request was sent to HTTPS port",
    b"speaking plain HTTP to an SSL-enabled server port",
    b"sent an HTTP request to an HTTPS server",
];
/// Octets of a SHA-256 in base64url.
const THUMBPRINT: usize = 43;
/// The longest token that is taken for one.
const TOKEN: usize = 128;
/// Octets alike from the start that are no chance.
const SAME: usize = 16;
/// Headers of caches.
const CACHED: [&str; 3] = ["age", "x-cache", "cf-cache-status"];
/// Headers quoted, and the words before them.
const EVIDENCE: [(&str, &str); 8] = [
    ("server", ""),
    ("content-type", "type "),
    ("location", "location "),
    ("retry-after", "retry after "),
    ("via", "via "),
    ("age", "age "),
    ("x-cache", "cache "),
    ("cf-cache-status", "cache "),
];
