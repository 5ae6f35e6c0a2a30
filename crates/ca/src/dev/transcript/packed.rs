//! An exchange as it is kept: thousands of them lie in memory, so each takes as little as it can. Headers are one text and
//! bodies have no room to grow; a map of headers alone would be as large as all the rest.

use std::mem;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Exchange;

/// An exchange, small.
#[derive(Debug)]
pub(super) struct Packed {
    /// Without headers.
    exchange: Exchange,
    /// The request's headers, and the answer's.
    headers: [Box<[u8]>; 2],
}

impl Packed {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let answer = exchange.answer.as_ref();
        let headers = [
            written(&exchange.headers),
            answer.map_or_else(Box::default, |answer| written(&answer.headers)),
        ];
        let mut small = exchange.clone();
        small.headers = HeaderMap::new();
        small.body = Bytes::copy_from_slice(&exchange.body);
        small.path.shrink_to_fit();
        if let Some(answer) = &mut small.answer {
            answer.headers = HeaderMap::new();
            answer.body = Bytes::copy_from_slice(&answer.body);
        }
        Self {
            exchange: small,
            headers,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.exchange.number
    }

    /// What it takes.
    pub(super) fn octets(&self) -> usize {
        let answer = self.exchange.answer.as_ref();
        let findings = self.exchange.findings.iter();
        mem::size_of::<Self>()
            + self.headers.iter().map(|text| text.len()).sum::<usize>()
            + self.exchange.path.len()
            + self.exchange.body.len()
            + answer.map_or(0, |answer| answer.body.len())
            + findings
                .map(|f| f.evidence.len() + f.client.len() + 64)
                .sum::<usize>()
    }

    /// The exchange as it was.
    pub(super) fn exchange(&self) -> Exchange {
        let [request, answer] = &self.headers;
        let mut exchange = self.exchange.clone();
        exchange.headers = read(request);
        if let Some(answered) = &mut exchange.answer {
            answered.headers = read(answer);
        }
        exchange
    }
}

/// A line each; a value has no end of a line in it.
fn written(headers: &HeaderMap) -> Box<[u8]> {
    let mut text = Vec::with_capacity(512);
    for (name, value) in headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.push(b':');
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.into_boxed_slice()
}

fn read(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|octet| *octet == b'\n') {
        let Some(colon) = line.iter().position(|octet| *octet == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were() {
        let mut headers = HeaderMap::new();
        let rows: [(&'static str, &[u8]); 5] = [
            ("link", b"<https://a/b:c>;rel=\"up\""),
            ("link", b"second"),
            ("user-agent", b"x: y"),
            ("x-odd", b"\xe9\t"),
            ("x-empty", b""),
        ];
        for (name, value) in rows {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        assert_eq!(read(&written(&headers)), headers);
        assert_eq!(read(&written(&HeaderMap::new())), HeaderMap::new());
    }
}
