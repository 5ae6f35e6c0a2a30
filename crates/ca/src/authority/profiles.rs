//! Which profile an order gets (draft-ietf-acme-profiles §4), and whether it fits what is ordered. What a profile makes of
//! a certificate is `issuance`'s.

use cairn_acme::{
    challenge::ChallengeType,
    identifier::Identifier,
    problem::{Problem, ProblemType, Subproblem},
    text,
};

use crate::{
    config::{IdentifierType, ProfileSettings},
    id::AccountId,
};

/// The refusal of a profile that is not advertised; `offered` are those that are (PROF-4-2).
pub fn not_offered<'a>(name: &str, offered: impl Iterator<Item = &'a str>) -> Problem {
    let offered: Vec<&str> = offered.collect();
    Problem::new(
        ProblemType::InvalidProfile,
        format!(
            "there is no profile {}; this directory offers {}: order one of these, or leave profile out",
            text::quoted(name),
            offered.join(", ")
        ),
    )
}

/// The refusal of a finalize whose profile was taken away since the order was placed (PROF-4-4).
#[must_use]
pub fn withdrawn(name: &str) -> Problem {
    Problem::new(
        ProblemType::InvalidProfile,
        format!(
            "the order's profile {} is no longer offered; place a new order under a profile that the directory names",
            text::quoted(name)
        ),
    )
}

/// Whether the profile fits the account and each identifier (PROF-4-2, T-CA-99).
///
/// # Errors
/// `invalidProfile`, with a subproblem for each identifier that does not fit.
pub fn judge(
    name: &str,
    profile: &ProfileSettings,
    account: AccountId,
    identifiers: &[Identifier],
) -> Result<(), Problem> {
    let invalid = |detail: String| Problem::new(ProblemType::InvalidProfile, detail);
    if !profile.accounts.is_empty() && !profile.accounts.contains(&account.to_string()) {
        return Err(invalid(format!(
            "profile {} is not for this account: ask the operator, or order another profile",
            text::quoted(name)
        )));
    }
    let faults: Vec<Subproblem> = identifiers
        .iter()
        .filter(|identifier| !permits(profile, identifier))
        .map(|identifier| Subproblem {
            kind: ProblemType::InvalidProfile,
            detail: format!(
                "{identifier}: profile {} has no identifiers of type {}",
                text::quoted(name),
                identifier.kind()
            ),
            identifier: Some(identifier.clone().into()),
        })
        .collect();
    let Some(first) = faults.first() else {
        return Ok(());
    };
    let mut problem = match faults.len() {
        1 => invalid(first.detail.clone()),
        many => invalid(format!(
            "profile {} does not fit {many} identifiers; each is named below",
            text::quoted(name)
        )),
    };
    problem.subproblems = faults;
    Err(problem)
}

fn permits(profile: &ProfileSettings, identifier: &Identifier) -> bool {
    let kind = match identifier {
        Identifier::Dns(_) | Identifier::WildcardDns(_) => IdentifierType::Dns,
        Identifier::Ip(_) => IdentifierType::Ip,
    };
    profile.identifiers.is_empty() || profile.identifiers.contains(&kind)
}

/// The challenge types that an order under the profile is offered, out of those that the CA has.
///
/// # Errors
/// `invalidProfile` if none is left.
pub fn challenges(
    name: &str,
    profile: &ProfileSettings,
    had: &[ChallengeType],
) -> Result<Vec<ChallengeType>, Problem> {
    let offered: Vec<_> = had
        .iter()
        .copied()
        .filter(|kind| profile.challenges.is_empty() || profile.challenges.contains(kind))
        .collect();
    if offered.is_empty() {
        return Err(Problem::new(
            ProblemType::InvalidProfile,
            format!(
                "profile {} offers no challenge that this server has: its operator has to change profile.{name}.challenges",
                text::quoted(name)
            ),
        ));
    }
    Ok(offered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_refused_for_other_accounts_and_other_types_of_identifiers() {
        // T-CA-99 PROF-4-2
        let (ours, theirs) = (
            AccountId::from_bytes([1; 16]),
            AccountId::from_bytes([2; 16]),
        );
        let dns = |name| Identifier::parse("dns", name).unwrap();
        let ip = |address| Identifier::parse("ip", address).unwrap();
        let any = ProfileSettings::default();
        let names_only = ProfileSettings {
            identifiers: vec![IdentifierType::Dns],
            ..any.clone()
        };
        let addresses_only = ProfileSettings {
            identifiers: vec![IdentifierType::Ip],
            ..any.clone()
        };
        let reserved = ProfileSettings {
            accounts: vec![ours.to_string()],
            ..any.clone()
        };
        let mixed = [dns("a.test"), ip("192.0.2.1"), ip("192.0.2.2")];
        let wildcard = [dns("*.a.test")];
        type Case<'a> = (
            &'static str,
            &'a ProfileSettings,
            AccountId,
            &'a [Identifier],
            Option<usize>,
        );
        let cases: &[Case<'_>] = &[
            ("all", &any, theirs, &mixed, None),
            ("a wildcard is a name", &names_only, ours, &wildcard, None),
            (
                "two addresses under names",
                &names_only,
                ours,
                &mixed,
                Some(2),
            ),
            (
                "one name under addresses",
                &addresses_only,
                ours,
                &mixed,
                Some(1),
            ),
            ("its account", &reserved, ours, &mixed, None),
            ("another account", &reserved, theirs, &mixed, Some(0)),
        ];
        let mut wrong = Vec::new();
        for (what, profile, account, identifiers, want) in cases {
            let got = judge("p", profile, *account, identifiers).err();
            let told = got.as_ref().map(|p| p.subproblems.len());
            let kind = got.as_ref().is_none_or(|p| {
                p.kind == ProblemType::InvalidProfile
                    && p.status == 400
                    && p.subproblems.iter().all(|s| s.identifier.is_some())
            });
            if told != *want || !kind {
                wrong.push(format!("{what}: {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_profile_narrows_the_challenges_and_never_widens_them() {
        use ChallengeType::{Dns01, Http01, TlsAlpn01};
        let with = |challenges: &[ChallengeType]| ProfileSettings {
            challenges: challenges.to_vec(),
            ..ProfileSettings::default()
        };
        let had = [Http01, Dns01];
        assert_eq!(challenges("p", &with(&[]), &had).unwrap(), had);
        assert_eq!(
            challenges("p", &with(&[TlsAlpn01, Dns01]), &had).unwrap(),
            [Dns01]
        );
        let refused = challenges("p", &with(&[TlsAlpn01]), &had).unwrap_err();
        assert_eq!(refused.kind, ProblemType::InvalidProfile);
        assert!(
            refused.detail.contains("profile.p.challenges"),
            "{refused:?}"
        );
    }
}
