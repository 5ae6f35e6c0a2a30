//! From newOrder's payload to what may be ordered (RFC 8555 §7.4): identifiers parsed, folded and sorted; dates inside
//! the profile or refused, for a certificate with other dates than asked must not be issued.

use std::{collections::BTreeSet, time::Duration};

use cairn_acme::{
    challenge::ChallengeType,
    identifier::{Identifier, IdentifierFault, WireIdentifier},
    object::NewOrder,
    problem::{Problem, ProblemType, Subproblem},
    time::Timestamp,
};

/// How much earlier than now a requested notBefore may lie, at newOrder and at finalize.
pub(crate) const NOT_BEFORE_SLACK: Duration = Duration::from_secs(3600);

/// What an order may be under the profile in force.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The profile's lifetime.
    pub life: Duration,
    /// Whether the client chose the profile: then dates outside its life are the profile's fault (PROF-4-2).
    pub profile_named: bool,
    /// How many identifiers one order may have.
    pub names_max: usize,
    /// The start of the issuer's certificate.
    pub issuer_from: Timestamp,
    /// The end of the issuer's certificate.
    pub issuer_until: Timestamp,
    /// The challenge types that authorizations get.
    pub offered: &'a [ChallengeType],
}

impl Bounds<'_> {
    fn outside_life(&self, detail: String) -> Problem {
        let kind = match self.profile_named {
            true => ProblemType::InvalidProfile,
            false => ProblemType::Malformed,
        };
        Problem::new(kind, detail)
    }
}

/// A request in canonical form.
#[derive(Debug, Clone)]
pub struct ParsedOrder {
    /// Lower-cased, sorted, without duplicates.
    pub identifiers: Vec<Identifier>,
    /// As asked.
    pub not_before: Option<Timestamp>,
    /// As asked.
    pub not_after: Option<Timestamp>,
}

/// Parses and bounds a newOrder payload.
///
/// # Errors
/// `malformed` for the form and the dates, `rejectedIdentifier` or `unsupportedIdentifier` with a subproblem for each
/// offending identifier.
pub fn parse(
    request: &NewOrder,
    now: Timestamp,
    bounds: &Bounds<'_>,
) -> Result<ParsedOrder, Problem> {
    if request.identifiers.is_empty() {
        return Err(Problem::malformed("the order names no identifier"));
    }
    let mut identifiers = BTreeSet::new();
    let mut faults = Vec::new();
    // The cap on work: twice the allowed number, since duplicates fold.
    if request.identifiers.len() > bounds.names_max.saturating_mul(2) {
        return Err(too_many(request.identifiers.len(), bounds.names_max));
    }
    for wire in &request.identifiers {
        let (kind, detail) = match Identifier::parse(&wire.kind, &wire.value) {
            Ok(identifier) => match unprovable(&identifier, bounds.offered) {
                Some(detail) => (ProblemType::RejectedIdentifier, detail),
                None => {
                    identifiers.insert(identifier);
                    continue;
                }
            },
            Err(IdentifierFault::Malformed(text)) => return Err(Problem::malformed(text)),
            Err(fault) => (fault.problem_type(), fault.to_string()),
        };
        faults.push(Subproblem {
            kind,
            detail,
            identifier: echoed(wire),
        });
    }
    if !faults.is_empty() {
        return Err(identifiers_refused(faults));
    }
    if identifiers.len() > bounds.names_max {
        return Err(too_many(identifiers.len(), bounds.names_max));
    }
    dates(request.not_before, request.not_after, now, bounds)?;
    Ok(ParsedOrder {
        identifiers: identifiers.into_iter().collect(),
        not_before: request.not_before,
        not_after: request.not_after,
    })
}

/// Why nothing that is offered could show control of an identifier.
fn unprovable(identifier: &Identifier, offered: &[ChallengeType]) -> Option<String> {
    if offered.iter().any(|kind| kind.fits(identifier)) {
        return None;
    }
    let what = match identifier {
        Identifier::WildcardDns(_) => {
            "a wildcard needs dns-01, which this server does not offer; order the names themselves"
        }
        Identifier::Ip(_) => {
            "an address needs http-01 or tls-alpn-01, of which this server offers none; order a dns name"
        }
        Identifier::Dns(_) => "this server offers no challenge for it",
    };
    Some(format!("{identifier}: {what}"))
}

/// A refused identifier as it was asked for, unless it is far longer than any could be.
fn echoed(wire: &WireIdentifier) -> Option<WireIdentifier> {
    (wire.kind.len() <= KIND_SHOWN && wire.value.len() <= VALUE_SHOWN).then(|| wire.clone())
}

/// Octets of a refused identifier's type and value that are repeated: what could be meant, with some to spare.
const KIND_SHOWN: usize = 64;
const VALUE_SHOWN: usize = 300;

fn too_many(asked: usize, allowed: usize) -> Problem {
    Problem::new(
        ProblemType::RejectedIdentifier,
        format!(
            "the order names {asked} identifiers; one certificate carries {allowed} at most: split the order"
        ),
    )
}

/// One problem for several identifiers; a single fault is told plainly, more become subproblems (RFC 8555 §6.7.1).
#[must_use]
pub fn identifiers_refused(mut faults: Vec<Subproblem>) -> Problem {
    let kind = if faults
        .iter()
        .all(|f| f.kind == ProblemType::UnsupportedIdentifier)
    {
        ProblemType::UnsupportedIdentifier
    } else {
        ProblemType::RejectedIdentifier
    };
    if faults.len() == 1 {
        let only = faults.remove(0);
        let mut problem = Problem::new(kind, only.detail.clone());
        if only.identifier.is_some() {
            problem.subproblems.push(only);
        }
        return problem;
    }
    let mut problem = Problem::new(
        kind,
        format!(
            "{} identifiers were refused; each is named below",
            faults.len()
        ),
    );
    problem.subproblems = faults;
    problem
}

fn dates(
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    now: Timestamp,
    bounds: &Bounds<'_>,
) -> Result<(), Problem> {
    // A certificate's dates are whole seconds (RFC 5280 §4.1.2.5): parts of one could not be honoured (8555-7.4-2).
    for (member, date) in [("notBefore", not_before), ("notAfter", not_after)] {
        if let Some(date) = date.filter(|d| d.as_millis() % 1000 != 0) {
            return Err(Problem::malformed(format!(
                "{member} {date} has parts of a second, which a certificate cannot carry"
            )));
        }
    }
    if let Some(start) = not_before {
        if now.since(start) > NOT_BEFORE_SLACK {
            return Err(Problem::malformed(format!(
                "notBefore {start} lies more than an hour in the past; now is {now}"
            )));
        }
        if start.since(now) > bounds.life {
            return Err(bounds.outside_life(format!(
                "notBefore {start} lies further ahead than a certificate's life"
            )));
        }
        if start < bounds.issuer_from || start >= bounds.issuer_until {
            return Err(Problem::malformed(format!(
                "notBefore {start} is outside the issuer's own validity, {} to {}",
                bounds.issuer_from, bounds.issuer_until
            )));
        }
    }
    let Some(end) = not_after else { return Ok(()) };
    // The second that has begun: both ends of a validity count, and its start is at least this one.
    let start = not_before.unwrap_or(Timestamp::from_seconds(now.as_seconds()));
    if end <= start || end <= now {
        return Err(Problem::malformed(format!(
            "notAfter {end} is not after {}",
            start.max(now)
        )));
    }
    if end.since(start) >= bounds.life {
        return Err(bounds.outside_life(format!(
            "from {start} to {end} is longer than this profile's {} s; ask for less or leave notAfter out",
            bounds.life.as_secs()
        )));
    }
    if end > bounds.issuer_until {
        return Err(Problem::malformed(format!(
            "notAfter {end} is after the issuer's own end, {}",
            bounds.issuer_until
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_700);
    const HOUR: i64 = 3600;
    const LIFE: i64 = 90 * 86_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn dates_are_taken_to_the_second_of_their_bounds() {
        // T-CA-48
        // 8555-7.4-2
        let bounds = Bounds {
            life: Duration::from_secs(LIFE.unsigned_abs()),
            profile_named: false,
            names_max: 1,
            issuer_from: at(-1800),
            issuer_until: at(1000 * LIFE),
            offered: ChallengeType::ALL,
        };
        let near = Bounds {
            issuer_until: at(HOUR),
            ..bounds
        };
        let old = Bounds {
            issuer_from: at(-1000 * LIFE),
            ..bounds
        };
        // What it is, within which bounds, from when, until when, and whether it fits.
        type Case<'a> = (&'a str, &'a Bounds<'a>, Option<i64>, Option<i64>, bool);
        let cases: [Case<'_>; 14] = [
            ("an hour ago, nearly", &old, Some(1 - HOUR), None, true),
            ("more than an hour ago", &old, Some(-HOUR), None, false),
            ("the issuer's start", &bounds, Some(-1800), None, true),
            ("before the issuer", &bounds, Some(-1801), None, false),
            ("the issuer's last second", &near, Some(HOUR), None, false),
            ("just before it", &near, Some(HOUR - 1), None, true),
            ("a life ahead", &bounds, Some(LIFE), None, true),
            ("further ahead", &bounds, Some(LIFE + 1), None, false),
            ("the longest end", &bounds, None, Some(LIFE - 1), true),
            ("a second longer", &bounds, None, Some(LIFE), false),
            ("the next second", &bounds, None, Some(1), true),
            ("this second", &bounds, None, Some(0), false),
            (
                "the longest of both",
                &bounds,
                Some(10),
                Some(LIFE + 9),
                true,
            ),
            (
                "a second longer of both",
                &bounds,
                Some(10),
                Some(LIFE + 10),
                false,
            ),
        ];
        let wrong: Vec<&str> = cases
            .iter()
            .filter(|(_, bounds, from, to, fits)| {
                dates(from.map(at), to.map(at), NOW, bounds).is_ok() != *fits
            })
            .map(|case| case.0)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
