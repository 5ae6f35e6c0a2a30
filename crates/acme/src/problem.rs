//! Problem documents (RFC 7807, RFC 9457) with ACME's error types (RFC 8555 §6.7).

mod kind;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

pub use kind::ProblemType;

use crate::identifier::{Identifier, WireIdentifier};

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong, as the other end is told it. `detail` is for people; decisions are made on `kind`.
///
/// The members after `algorithms` belong to the HTTP response and are not part of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The error type; the full URN on the wire (8555-6.7-4).
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// What happened, in words.
    pub detail: String,
    /// The HTTP status, repeated in the document.
    pub status: u16,
    /// A URL for a human, with userActionRequired (RFC 8555 §7.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The faults of single identifiers (RFC 8555 §6.7.1). There is no `identifier` at the top level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subproblems: Vec<Subproblem>,
    /// The accepted `alg` names, with badSignatureAlgorithm (RFC 8555 §6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Vec<String>>,
    /// For the header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// For the header `Location`.
    #[serde(skip)]
    pub location: Option<String>,
    /// For headers `Link`: relation and URL.
    #[serde(skip)]
    pub links: Vec<(String, String)>,
    /// For the header `Allow`, with 405.
    #[serde(skip)]
    pub allow: Option<&'static str>,
}

/// One fault among several (RFC 8555 §6.7.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subproblem {
    /// The error type; may differ from the whole problem's.
    #[serde(rename = "type", default)]
    pub kind: ProblemType,
    /// What happened, in words.
    #[serde(default)]
    pub detail: String,
    /// The identifier as it was asked for. It may be one that no parser accepts: that is often the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<WireIdentifier>,
}

impl Subproblem {
    /// Names the fault of one identifier.
    #[must_use]
    pub fn new(
        kind: ProblemType,
        detail: impl Into<String>,
        identifier: impl Into<WireIdentifier>,
    ) -> Self {
        Self {
            kind,
            detail: detail.into(),
            identifier: Some(identifier.into()),
        }
    }
}

macro_rules! shortcuts {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)+) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name(detail: impl Into<String>) -> Self {
            Self::new(ProblemType::$kind, detail)
        })+
    };
}

impl Problem {
    /// Makes a problem with its type's usual status.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let status = kind.default_status();
        Self {
            kind,
            detail: detail.into(),
            status,
            instance: None,
            subproblems: Vec::new(),
            algorithms: None,
            retry_after: None,
            location: None,
            links: Vec::new(),
            allow: None,
        }
    }

    shortcuts! {
        /// The request is not what the protocol asks for (400).
        malformed => Malformed;
        /// The client may not do that (403).
        unauthorized => Unauthorized;
        /// The nonce is missing, spent, too old or not ours (400).
        bad_nonce => BadNonce;
        /// The key is of a kind that is not accepted (400).
        bad_public_key => BadPublicKey;
        /// The certificate request is not acceptable (400).
        bad_csr => BadCsr;
        /// No account has that key or URL (400).
        account_does_not_exist => AccountDoesNotExist;
        /// The order is not in state ready (403).
        order_not_ready => OrderNotReady;
        /// The identifier is refused (400).
        rejected_identifier => RejectedIdentifier;
        /// Identifiers of that type are not offered (400).
        unsupported_identifier => UnsupportedIdentifier;
        /// Too much in too short a time (429).
        rate_limited => RateLimited;
        /// The human must do something first (403).
        user_action_required => UserActionRequired;
        /// An account is only made with an external account binding (403).
        external_account_required => ExternalAccountRequired;
        /// The fault is the server's (500). The text must tell nothing of its inside (8555-6.7-5).
        server_internal => ServerInternal;
    }

    /// Nothing of that URL is the client's: unknown and foreign look the same (404, T-CA-28).
    #[must_use]
    pub fn not_found() -> Self {
        Self::malformed("no such resource").status(404)
    }

    /// The `alg` is outside the list (RFC 8555 §6.2).
    #[must_use]
    pub fn bad_signature_algorithm(detail: impl Into<String>, accepted: &[&str]) -> Self {
        let mut problem = Self::new(ProblemType::BadSignatureAlgorithm, detail);
        problem.algorithms = Some(accepted.iter().map(|&name| name.to_owned()).collect());
        problem
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets the URL for a human.
    #[must_use]
    pub fn instance(mut self, url: impl Into<String>) -> Self {
        self.instance = Some(url.into());
        self
    }

    /// Sets how long the client should wait.
    #[must_use]
    pub fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// Sets the header `Location`.
    #[must_use]
    pub fn location(mut self, url: impl Into<String>) -> Self {
        self.location = Some(url.into());
        self
    }

    /// Adds a header `Link`.
    #[must_use]
    pub fn link(mut self, relation: impl Into<String>, url: impl Into<String>) -> Self {
        self.links.push((relation.into(), url.into()));
        self
    }

    /// Sets the header `Allow`.
    #[must_use]
    pub fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Adds the fault of one identifier.
    #[must_use]
    pub fn subproblem(mut self, fault: Subproblem) -> Self {
        self.subproblems.push(fault);
        self
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and numbers only: nothing in here has no JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<&Identifier> for WireIdentifier {
    fn from(identifier: &Identifier) -> Self {
        Self {
            kind: identifier.kind().to_owned(),
            value: identifier.to_string(),
        }
    }
}

impl From<Identifier> for WireIdentifier {
    fn from(identifier: Identifier) -> Self {
        Self::from(&identifier)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)?;
        for fault in &self.subproblems {
            write!(f, "; ")?;
            if let Some(identifier) = &fault.identifier {
                write!(f, "{}: ", identifier.value)?;
            }
            write!(f, "{}", fault.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl<'de> Deserialize<'de> for Problem {
    /// Takes what any server sends: every member may be missing (8555-6.7-2).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "type", default)]
            kind: ProblemType,
            #[serde(default)]
            detail: Option<String>,
            #[serde(default)]
            title: Option<String>,
            #[serde(default)]
            status: Option<u16>,
            #[serde(default)]
            instance: Option<String>,
            #[serde(default)]
            subproblems: Option<Vec<Subproblem>>,
            #[serde(default)]
            algorithms: Option<Vec<String>>,
        }
        let wire = Wire::deserialize(deserializer)?;
        let status = wire.status;
        let mut problem = Self::new(wire.kind, wire.detail.or(wire.title).unwrap_or_default());
        problem.status = status.unwrap_or(problem.status);
        problem.instance = wire.instance;
        problem.subproblems = wire.subproblems.unwrap_or_default();
        problem.algorithms = wire.algorithms;
        Ok(problem)
    }
}
