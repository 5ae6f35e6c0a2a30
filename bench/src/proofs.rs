//! What the clients' challenges are answered with: each client puts its proof here, and the servers of names, of the
//! web and of TLS, one of each for all clients, look here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;

/// A challenge type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    /// A file on the name's web server (RFC 8555 §8.3).
    Http01,
    /// A TXT record below the name (RFC 8555 §8.4).
    Dns01,
    /// A certificate of the name's TLS server (RFC 8737).
    TlsAlpn01,
}

/// All proofs that are shown now, by the place where they are looked for: a token, or a name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proofs(Arc<Mutex<HashMap<(Method, String), String>>>);

/// A proof that is shown as long as this lives.
#[derive(Debug)]
pub(crate) struct Shown {
    proofs: Proofs,
    place: (Method, String),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

impl Proofs {
    /// Shows the account's proof for a name.
    pub(crate) fn show(&self, method: Method, name: &str, token: &str, thumbprint: &str) -> Shown {
        let authorization = format!("{token}.{thumbprint}");
        let (place, proof) = match method {
            Method::Http01 => (token.to_owned(), authorization),
            Method::Dns01 => (
                format!("_acme-challenge.{name}"),
                BASE64URL_NOPAD.encode(&sha256(&authorization)),
            ),
            Method::TlsAlpn01 => (name.to_owned(), authorization),
        };
        let place = (method, place);
        self.map().insert(place.clone(), proof);
        Shown {
            proofs: self.clone(),
            place,
        }
    }

    /// What is shown there.
    pub(crate) fn at(&self, method: Method, place: &str) -> Option<String> {
        self.map().get(&(method, place.to_owned())).cloned()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<(Method, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.proofs.map().remove(&self.place);
    }
}

/// The SHA-256 of a key authorization.
pub(crate) fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_there_until_it_is_dropped() {
        let proofs = Proofs::default();
        let rows = [
            (Method::Http01, "tok", "tok.print"),
            (
                Method::Dns01,
                "_acme-challenge.a.test",
                "mVG9RDqZGUHNaYH__iR1qjtL3OJV6Y09RJWpigSaTPw",
            ),
            (Method::TlsAlpn01, "a.test", "tok.print"),
        ];
        for (method, place, want) in rows {
            let shown = proofs.show(method, "a.test", "tok", "print");
            assert_eq!(proofs.at(method, place).as_deref(), Some(want), "{method}");
            drop(shown);
            assert_eq!(proofs.at(method, place), None, "{method}");
        }
    }
}
