//! Which form of a certificate a client would rather have (RFC 8555 §7.4.2, RFC 9110 §12.5.1). Nobody is turned away for
//! what he accepts: who names nothing that exists here gets the chain.

use http::{HeaderMap, header};

/// The forms of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// PEM, leaf and issuers.
    Chain,
    /// DER, the leaf alone.
    Leaf,
}

/// A quality in thousandths.
type Quality = u16;

const CHAIN: &str = "application/pem-certificate-chain";
const LEAF: &str = "application/pkix-cert";
/// More ranges than any client names; the rest is not read.
const RANGES_MAX: usize = 32;

/// The leaf alone only for who names it and ranks it above the chain.
pub(crate) fn form(headers: &HeaderMap) -> Form {
    let (mut chain, mut leaf): (Option<Ranked>, Option<Quality>) = (None, None);
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(RANGES_MAX);
    for range in ranges {
        let (name, quality) = split(range);
        if name.eq_ignore_ascii_case(LEAF) {
            leaf = Some(quality);
        }
        // The closest of the ranges counts, whatever their order.
        let closeness = match name.to_ascii_lowercase().as_str() {
            CHAIN => 2,
            "application/*" => 1,
            "*/*" => 0,
            _ => continue,
        };
        let ranked = Ranked { closeness, quality };
        if chain.is_none_or(|before| before.closeness <= closeness) {
            chain = Some(ranked);
        }
    }
    let chain = chain.map_or(0, |ranked| ranked.quality);
    match leaf {
        Some(leaf) if leaf > chain => Form::Leaf,
        _ => Form::Chain,
    }
}

/// How well a range fits, and what it is worth.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    closeness: u8,
    quality: Quality,
}

/// A range's name and its weight: all if there is none, nothing if it can't be read.
fn split(range: &str) -> (&str, Quality) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        part.strip_prefix("q=")
            .or_else(|| part.strip_prefix("Q="))
            .map(quality)
    });
    (name, weight.unwrap_or(1000))
}

/// `0`, `0.5`, `1.000`.
fn quality(text: &str) -> Quality {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match (whole, digits) {
        ("1", true) => 1000,
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaf_alone_is_for_who_ranks_it_above_the_chain() {
        // 8555-7.4.2-3
        let rows: [(&[&str], Form); 14] = [
            (&[], Form::Chain),
            (&["*/*"], Form::Chain),
            (&["application/pem-certificate-chain"], Form::Chain),
            (&["application/pkix-cert"], Form::Leaf),
            (&["Application/PKIX-Cert"], Form::Leaf),
            (&["application/pkix-cert, */*"], Form::Chain),
            (&["application/pkix-cert, */*;q=0.9"], Form::Leaf),
            (&["*/*;q=0.1", "application/pkix-cert;q=0.2"], Form::Leaf),
            (
                &["application/pkix-cert;q=0.5, application/pem-certificate-chain;q=0.4, */*"],
                Form::Leaf,
            ),
            (
                &["*/*;q=0.1, application/*;q=0.8, application/pkix-cert;q=0.5"],
                Form::Chain,
            ),
            (&["application/pkix-cert;q=0"], Form::Chain),
            (&["application/pkix-cert;q=7"], Form::Chain),
            (&["application/pkcs7-mime"], Form::Chain),
            (&["text/html;level=1;q=0.4, ;;, q="], Form::Chain),
        ];
        let mut faults = Vec::new();
        for (values, wanted) in rows {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            if form(&headers) != wanted {
                faults.push(values);
            }
        }
        assert!(faults.is_empty(), "{faults:?}");
    }
}
