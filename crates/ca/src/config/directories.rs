//! `[[directory]]`: further directories of the server, each with accounts and rules of its own.

use cairn_acme::{challenge::ChallengeType, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::{Config, External, check::is_page, profiles::is_name};

/// How many there may be. Each is looked at for every request's path.
const DIRECTORIES_MAX: usize = 32;

/// What follows `/acme/` in the paths of the first directory's resources.
const TAKEN: [&str; 7] = [
    "account",
    "authorization",
    "certificate",
    "challenge",
    "default",
    "order",
    "renewal-info",
];

/// One `[[directory]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySettings {
    /// Its path is `/acme/NAME/directory`.
    pub name: String,
    /// Terms of service that its accounts must agree to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// Since when accounts that agreed to other terms are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_enforced_from: Option<Timestamp>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// Whether a new account shows a key; unset: as `accounts.external` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// Profiles on offer, the first for orders that name none; empty: all.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Challenge types on offer; empty: all that the CA has.
    #[serde(default)]
    pub challenges: Vec<ChallengeType>,
}

/// The first thing that does not fit: the setting's key and why.
pub(super) fn check(config: &Config) -> Option<(String, &'static str)> {
    if config.directory.len() > DIRECTORIES_MAX {
        return Some(("directory".to_owned(), "more than 32 directories"));
    }
    config
        .directory
        .iter()
        .enumerate()
        .find_map(|(n, directory)| {
            let (field, reason) = fault(config, n, directory)?;
            Some((format!("directory[{n}].{field}"), reason))
        })
}

fn fault(
    config: &Config,
    n: usize,
    directory: &DirectorySettings,
) -> Option<(&'static str, &'static str)> {
    let known = |name: &String| config.profile.iter().any(|(known, _)| known == name);
    let page = |url: &Option<String>| url.as_deref().is_none_or(is_page);
    let offered = |kind: &ChallengeType| config.orders.challenges.contains(kind);
    let mut earlier = config.directory.iter().take(n);
    let rules = [
        (
            !is_name(&directory.name),
            "name",
            "a directory's name has 1 to 32 lower-case letters, digits, hyphens and underscores",
        ),
        (
            TAKEN.contains(&directory.name.as_str()),
            "name",
            "the first directory's resources have paths with that word; choose another",
        ),
        (
            earlier.any(|earlier| earlier.name == directory.name),
            "name",
            "an earlier directory has the same name",
        ),
        (!page(&directory.terms), "terms", "is the URL of a page"),
        (!page(&directory.website), "website", "is the URL of a page"),
        (
            directory.terms_enforced_from.is_some() && directory.terms.is_none(),
            "terms_enforced_from",
            "goes with terms",
        ),
        (
            !directory.profiles.iter().all(known),
            "profiles",
            "names a profile that has no table [profile.NAME]",
        ),
        (
            !directory.challenges.iter().all(offered),
            "challenges",
            "names a type that orders.challenges has not",
        ),
    ];
    rules
        .into_iter()
        .find(|(wrong, _, _)| *wrong)
        .map(|(_, field, reason)| (field, reason))
}

#[cfg(test)]
mod tests {
    use crate::config::tests::assert_refused;

    #[test]
    fn a_directory_that_does_not_fit_is_refused_with_its_place() {
        // (text, line, column, key, part of the text)
        let cases: &[(&str, usize, usize, &str, &str)] = &[
            (
                "[[directory]]\nname = \"order\"",
                4,
                1,
                "directory[0].name",
                "choose another",
            ),
            (
                "[[directory]]\nname = \"a\"\n[[directory]]\nname = \"a\"",
                6,
                1,
                "directory[1].name",
                "same name",
            ),
            (
                "[[directory]]\nname = \"a/b\"",
                4,
                1,
                "directory[0].name",
                "lower-case",
            ),
            (
                "[[directory]]\nname = \"a\"\nprofiles = [\"none\"]",
                5,
                1,
                "directory[0].profiles",
                "no table",
            ),
            (
                "[orders]\nchallenges = [\"dns-01\"]\n[[directory]]\nname = \"a\"\nchallenges = [\"http-01\"]",
                7,
                1,
                "directory[0].challenges",
                "orders.challenges has not",
            ),
            (
                "[[directory]]\nname = \"a\"\nterms = \"https://x/>;rel=next\"",
                5,
                1,
                "directory[0].terms",
                "URL of a page",
            ),
            (
                "[accounts]\nterms_enforced_from = \"2027-01-01T00:00:00Z\"",
                4,
                1,
                "accounts.terms_enforced_from",
                "goes with accounts.terms",
            ),
            (
                "[[directory]]\nname = \"a\"\ntrems = \"https://t\"",
                5,
                1,
                "directory[0].trems",
                "directory.terms",
            ),
        ];
        assert_refused(cases);
    }
}
