//! What the paths of the management interface answer.

use bytes::Bytes;
use cairn_ca::dev::{Lineage, Made, ManageFault, TestCa};
use cairn_x509::certificate::{Certificate, Serial};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Serialize;
use serde_json::{Map, Value};

pub(super) type Answer = Response<Full<Bytes>>;

const CHAIN: &str = "application/pem-certificate-chain; charset=utf-8";
const KEY: &str = "application/x-pem-file; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const PROBLEM: &str = "application/problem+json; charset=utf-8";

/// The paths that lead to others; without the slash at the end Go's router sends there.
const PREFIXES: [&str; 6] = [
    "/roots/",
    "/root-keys/",
    "/intermediates/",
    "/intermediate-keys/",
    "/cert-status-by-serial/",
    "/set-renewal-info/",
];

/// Octets of a serial.
const SERIAL: usize = 19;

/// Answers a request for that path at that host.
pub(super) async fn to(ca: &TestCa, path: &str, host: &str, body: &[u8]) -> Answer {
    let found = PREFIXES
        .iter()
        .find_map(|prefix| Some((*prefix, path.strip_prefix(prefix)?)));
    let Some((prefix, rest)) = found else {
        return elsewhere(path);
    };
    match prefix {
        "/roots/" => numbered(ca, (prefix, rest, host), CHAIN, |l| certificate(&l.root)),
        "/root-keys/" => numbered(ca, (prefix, rest, host), KEY, |l| key(&l.root)),
        "/intermediates/" => numbered(ca, (prefix, rest, host), CHAIN, |l| {
            l.issuing.last().and_then(certificate)
        }),
        "/intermediate-keys/" => numbered(ca, (prefix, rest, host), KEY, |l| {
            l.issuing.last().and_then(key)
        }),
        "/cert-status-by-serial/" => status(ca, rest).await,
        _ => set_renewal_info(ca, body).await,
    }
    .unwrap_or_else(|fault| {
        tracing::error!(%fault, "the management interface has no answer");
        empty(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

fn certificate(made: &Made) -> Option<String> {
    Some(made.certificate_pem.clone())
}

fn key(made: &Made) -> Option<String> {
    Some(made.key_pem.to_string())
}

/// One of as many as there are roots; the others are alternates.
fn numbered(
    ca: &TestCa,
    (prefix, number, host): (&str, &str, &str),
    media: &'static str,
    show: impl Fn(&Lineage) -> Option<String>,
) -> Result<Answer, ManageFault> {
    let lineages = ca.lineages();
    let asked = number.parse::<usize>().ok();
    let text = asked.and_then(|n| lineages.get(n)).and_then(show);
    let Some(text) = text else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    let mut answer = with(StatusCode::OK, media, text);
    for other in (0..lineages.len()).filter(|n| Some(*n) != asked) {
        let link = format!("<https://{host}{prefix}{other}>;rel=\"alternate\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            answer.headers_mut().append(header::LINK, link);
        }
    }
    Ok(answer)
}

/// What Pebble tells of a certificate.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    status: &'static str,
    serial: String,
    certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

async fn status(ca: &TestCa, text: &str) -> Result<Answer, ManageFault> {
    let Some(serial) = Number::read(text) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let known = match serial.of_ours() {
        Some(serial) => ca.status(serial).await?,
        None => None,
    };
    let Some(known) = known else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    let shown = Status {
        certificate: known.certificate_pem,
        reason: known.revoked.map(|(reason, _)| reason),
        revoked_at: known.revoked.map(|(_, at)| go_time(&at.to_string())),
        serial: serial.0,
        status: match known.revoked {
            Some(_) => "Revoked",
            None => "Valid",
        },
    };
    let text = pretty(&shown);
    Ok(with(StatusCode::OK, JSON, text))
}

/// `2026-11-29 10:00:00 +0000 UTC` of `2026-11-29T10:00:00Z`: as Go prints a time.
fn go_time(rfc3339: &str) -> String {
    let text = rfc3339.trim_end_matches('Z').replace('T', " ");
    format!("{text} +0000 UTC")
}

/// A number in hexadecimal digits, as Go's big integers read and write it: no zero in front.
struct Number(String);

impl Number {
    fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0').to_ascii_lowercase();
        let sign = if text.starts_with('-') { "-" } else { "" };
        Some(Self(format!("{sign}{digits}")))
    }

    /// The serial that it may be: as many octets as ours have.
    fn of_ours(&self) -> Option<Serial> {
        let padded = format!("{:0>width$}", self.0, width = 2 * SERIAL);
        padded.parse().ok()
    }
}

/// `{"Certificate": PEM, "ARIResponse": TEXT}`, names in any case; the text is passed on as it is.
async fn set_renewal_info(ca: &TestCa, body: &[u8]) -> Result<Answer, ManageFault> {
    let members: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(members) => members,
        Err(error) => return Ok(malformed(&format!("the body is no JSON object: {error}"))),
    };
    let text = |wanted: &str| {
        let named = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case(wanted);
        match members.iter().find(named) {
            None | Some((_, Value::Null)) => Some(String::new()),
            Some((_, value)) => value.as_str().map(str::to_owned),
        }
    };
    let (Some(certificate), Some(response)) = (text("Certificate"), text("ARIResponse")) else {
        return Ok(malformed("Certificate and ARIResponse are texts"));
    };
    let der = CertificateDer::from_pem_slice(certificate.as_bytes());
    let Ok(der) = der else {
        return Ok(malformed("the member Certificate is no PEM certificate"));
    };
    let certificate = match Certificate::parse(&der) {
        Ok(certificate) => certificate,
        Err(error) => {
            return Ok(malformed(&format!(
                "the certificate cannot be read: {error}"
            )));
        }
    };
    Ok(match ca.set_renewal_info(&certificate, response).await? {
        true => empty(StatusCode::OK),
        false => empty(StatusCode::NOT_FOUND),
    })
}

fn malformed(detail: &str) -> Answer {
    let problem = serde_json::json!({
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": detail,
        "status": 400,
    });
    with(StatusCode::BAD_REQUEST, PROBLEM, pretty(&problem))
}

/// What Go's router says of paths that lead nowhere.
fn elsewhere(path: &str) -> Answer {
    if PREFIXES.iter().any(|p| p.strip_suffix('/') == Some(path)) {
        let there = format!("{path}/");
        let text = format!("<a href=\"{there}\">Moved Permanently</a>.\n\n");
        let mut answer = with(
            StatusCode::MOVED_PERMANENTLY,
            "text/html; charset=utf-8",
            text,
        );
        if let Ok(there) = HeaderValue::from_str(&there) {
            answer.headers_mut().insert(header::LOCATION, there);
        }
        return answer;
    }
    with(
        StatusCode::NOT_FOUND,
        "text/plain; charset=utf-8",
        "404 page not found\n".to_owned(),
    )
}

/// Three blanks a level, as Pebble writes its objects.
fn pretty(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

fn with(status: StatusCode, media: &'static str, text: String) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = Full::new(text.into());
    let media = HeaderValue::from_static(media);
    answer.headers_mut().insert(header::CONTENT_TYPE, media);
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
