//! CAA: whether the records in DNS let this CA issue (RFC 8659, RFC 8657); pure. Looking them up is `validation`'s.
//!
//! Left out: reports to `iodef` addresses. The tag is known, and nothing is sent while a request waits.

mod record;
#[cfg(test)]
mod tests;
mod text;
mod value;

use std::time::Duration;

use cairn_acme::{identifier::Identifier, time::Timestamp};

use crate::model::{Account, Authorization, CaaCheck, Method};

pub use record::{BadRecord, CaaRecord};
pub use text::{Found, tell};
pub use value::{BadValue, IssueValue, methods};

/// A check older than this is made anew before an issuance begins.
pub const RECHECK_AFTER: Duration = Duration::from_secs(7 * 3600);

/// Nothing is signed on a check older than this (BR 3.2.2.8).
pub const GOOD_FOR: Duration = Duration::from_secs(8 * 3600);

/// Tags whose meaning is known, so that a critical one of them stops nobody. Only the first two restrict servers'
/// certificates (RFC 8659 §4, RFC 9495, CA/Browser Forum).
const KNOWN: [&str; 7] = [
    ISSUE,
    ISSUE_WILD,
    "iodef",
    "issuemail",
    "issuevmc",
    "contactemail",
    "contactphone",
];
const ISSUE: &str = "issue";
const ISSUE_WILD: &str = "issuewild";

/// How this CA is named in CAA records, and how far a climb goes; of one configuration snapshot.
#[derive(Debug, Clone, Default)]
pub struct CaaPolicy {
    /// Our issuer domain names, lower case; the first one is recommended.
    pub identities: Vec<String>,
    /// What stood before an account's id in URLs of earlier times.
    pub account_prefixes: Vec<String>,
    /// A climb ends at the apex of one of these.
    pub private_zones: Vec<String>,
    /// Of a test CA: no records are looked up.
    #[cfg(feature = "dev")]
    pub unasked: bool,
}

impl CaaPolicy {
    /// Why no records are looked up, if none are.
    #[must_use]
    pub fn unasked(&self) -> Option<&'static str> {
        #[cfg(feature = "dev")]
        if self.unasked {
            return Some("this test CA looks up no CAA records");
        }
        None
    }

    /// Every URL by which `accounturi` may name the account (RFC 8657 §3.1); the first is the one that it was given.
    #[must_use]
    pub fn account_urls(&self, account: &Account, current: String) -> Vec<String> {
        let mut urls = vec![account.url.clone()];
        let former = self
            .account_prefixes
            .iter()
            .map(|prefix| format!("{prefix}{}", account.id));
        for url in former.chain([current]) {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls
    }
}

/// Who asks to issue, and on which proof.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// Our issuer domain names.
    pub identities: &'a [String],
    /// The account's URLs.
    pub accounts: &'a [String],
    /// The method that showed control, as `validationmethods` names it.
    pub method: &'a str,
    /// Whether the certificate is for `*.` and the name.
    pub wildcard: bool,
}

/// Why the records let us issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// None of them restricts who issues.
    Unrestricted,
    /// The record in this place authorises us.
    Authorised(usize),
}

/// Why they do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The place of the record that it is about.
    pub record: usize,
    /// What it is about that record.
    pub reason: Reason,
}

/// What stands against an issuance, the weakest first: of several records the one that came nearest is told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Every property names nobody.
    Nobody,
    /// Others are named, these.
    Others(Vec<String>),
    /// The value does not parse, so that it names nobody.
    Malformed(String),
    /// It is this CA, with parameters that nobody can satisfy.
    Unsatisfiable(String),
    /// It is this CA, for another account.
    OtherAccount(String),
    /// It is this CA, by other methods.
    OtherMethods(Vec<String>),
    /// A critical property that we do not know.
    Critical,
}

/// The names to ask, in order: the FQDN and each one above it, the root left out (RFC 8659 §3), or to the apex of a
/// private zone, above which nobody answers.
#[must_use]
pub fn climb<'a>(name: &'a str, private_zones: &[String]) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut rest = Some(name);
    while let Some(current) = rest.filter(|name| !name.is_empty()) {
        names.push(current);
        if private_zones.iter().any(|zone| zone == current) {
            break;
        }
        rest = current.split_once('.').map(|(_, above)| above);
    }
    names
}

/// Judges the relevant set, which is not empty (RFC 8659 §4).
///
/// # Errors
/// [`Refusal`] names the record that came nearest to a permission, or the critical one.
pub fn decide(records: &[CaaRecord], applicant: &Applicant<'_>) -> Result<Permission, Refusal> {
    let unknown = |record: &CaaRecord| !KNOWN.iter().any(|known| record.has_tag(known));
    if let Some(record) = records.iter().position(|r| r.is_critical() && unknown(r)) {
        return Err(Refusal {
            record,
            reason: Reason::Critical,
        });
    }
    // One issuewild makes every issue irrelevant for wildcards, and none matters for other names.
    let wild = applicant.wildcard && records.iter().any(|r| r.has_tag(ISSUE_WILD));
    let tag = if wild { ISSUE_WILD } else { ISSUE };
    let mut nearest: Option<Refusal> = None;
    let mut others: Vec<String> = Vec::new();
    for (place, record) in records.iter().enumerate().filter(|(_, r)| r.has_tag(tag)) {
        let reason = match judge(record, applicant) {
            Ok(()) => return Ok(Permission::Authorised(place)),
            Err(reason) => reason,
        };
        if let Reason::Others(named) = &reason {
            others.extend(named.iter().cloned());
        }
        if nearest.as_ref().is_none_or(|n| reason > n.reason) {
            nearest = Some(Refusal {
                record: place,
                reason,
            });
        }
    }
    match nearest {
        None => Ok(Permission::Unrestricted),
        Some(mut refusal) => {
            if let Reason::Others(named) = &mut refusal.reason {
                *named = others;
            }
            Err(refusal)
        }
    }
}

/// Judges one property by itself: the parameters of another record are nothing to it (RFC 8657 §3).
fn judge(record: &CaaRecord, applicant: &Applicant<'_>) -> Result<(), Reason> {
    let value =
        IssueValue::parse(record.value()).map_err(|bad| Reason::Malformed(bad.to_string()))?;
    let Some(issuer) = value.issuer else {
        return Err(Reason::Nobody);
    };
    if !applicant
        .identities
        .iter()
        .any(|ours| ours.eq_ignore_ascii_case(issuer))
    {
        return Err(Reason::Others(vec![issuer.to_owned()]));
    }
    if let Some(uri) = only(&value, "accounturi")?
        && !applicant.accounts.iter().any(|url| url == uri)
    {
        return Err(Reason::OtherAccount(uri.to_owned()));
    }
    if let Some(listed) = only(&value, "validationmethods")? {
        let listed = methods(listed).ok_or_else(|| {
            Reason::Unsatisfiable("validationmethods is no list of methods".to_owned())
        })?;
        if !listed.contains(&applicant.method) {
            return Err(Reason::OtherMethods(
                listed.iter().map(ToString::to_string).collect(),
            ));
        }
    }
    Ok(())
}

/// A parameter that may stand once.
fn only<'a>(value: &IssueValue<'a>, tag: &str) -> Result<Option<&'a str>, Reason> {
    let mut all = value.all(tag);
    let first = all.next();
    if all.next().is_some() {
        return Err(Reason::Unsatisfiable(format!("{tag} stands there twice")));
    }
    Ok(first)
}

/// An operator's word among `validationmethods`: all ways to a certificate are bound alike (RFC 8657 §5.3), and labels of
/// a CA's own begin so (§4).
const OPERATOR_GRANT: &str = "ca-operator-grant";

/// How a proof is named in `validationmethods`; `None` for what CAA is not asked about: addresses (RFC 8738 leaves them
/// out) and our own host, which nobody applied for.
#[must_use]
pub fn method_of(authorization: &Authorization) -> Option<&'static str> {
    match (
        &authorization.identifier,
        authorization.evidence.as_ref()?.method,
    ) {
        (Identifier::Ip(_), _) | (_, Method::OwnHost) => None,
        (Identifier::Dns(_) | Identifier::WildcardDns(_), Method::Challenge(kind)) => {
            Some(kind.as_str())
        }
        (Identifier::Dns(_) | Identifier::WildcardDns(_), Method::OperatorGrant) => {
            Some(OPERATOR_GRANT)
        }
    }
}

/// Whether the authorization's check has to be made anew before an issuance begins.
#[must_use]
pub fn is_due(authorization: &Authorization, now: Timestamp) -> bool {
    let check = authorization.evidence.as_ref().and_then(|e| e.caa.as_ref());
    method_of(authorization).is_some() && !check.is_some_and(|c| holds(c, now, RECHECK_AFTER))
}

/// Whether an issuance may rest on what is known of this name: the fresh check, else the authorization's own.
#[must_use]
pub fn permits(authorization: &Authorization, fresh: Option<&CaaCheck>, now: Timestamp) -> bool {
    if authorization.evidence.is_some() && method_of(authorization).is_none() {
        return true;
    }
    let check = fresh.or_else(|| authorization.evidence.as_ref().and_then(|e| e.caa.as_ref()));
    check.is_some_and(|c| is_for(c, authorization) && holds(c, now, GOOD_FOR))
}

/// one name was checked N times in place of N names.
fn is_for(check: &CaaCheck, authorization: &Authorization) -> bool {
    let name = if authorization.wildcard {
        check.name.strip_prefix("*.")
    } else {
        Some(check.name.as_str())
    };
    name.is_some_and(|name| name == authorization.identifier.to_string())
}

/// A check of the future is none: the clock has stepped since.
fn holds(check: &CaaCheck, now: Timestamp, bound: Duration) -> bool {
    check.checked_at <= now && now.since(check.checked_at) <= bound
}
