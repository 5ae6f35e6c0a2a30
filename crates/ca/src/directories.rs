//! The directories of one server: each with its URLs, terms, profiles and challenge types, and accounts of its own. They
//! share names' rules, issuers and lists.

use cairn_acme::{challenge::ChallengeType, time::Timestamp};
use prometheus_client::metrics::counter::Counter;

use crate::{
    authority::accounts::Terms,
    config::{Config, DEFAULT_PROFILE, DirectorySettings, External},
    frontend::{Route, Urls},
    id::DirectoryId,
    metrics::Metrics,
};

/// How the first directory is called where a name is needed.
const FIRST: &str = "default";

/// One directory.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Its rows' key.
    pub id: DirectoryId,
    /// Its name in paths and metrics.
    pub name: String,
    /// Its URLs.
    pub urls: Urls,
    /// Its terms of service, if it has some.
    pub terms: Option<Terms>,
    /// A page about it.
    pub website: Option<String>,
    /// Whether a new account shows a key that the operator gave out for this directory.
    pub external: External,
    /// Challenge types on offer.
    pub challenges: Vec<ChallengeType>,
    /// Profiles on offer, the first for orders that name none; empty: all.
    profiles: Vec<String>,
    /// Its requests.
    pub(crate) requests: Counter,
}

impl Directory {
    /// The profile of an order that names none.
    #[must_use]
    pub fn usual_profile(&self) -> &str {
        self.profiles
            .first()
            .map_or(DEFAULT_PROFILE, String::as_str)
    }

    /// Whether orders may ask for the profile.
    #[must_use]
    pub fn offers(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|name| name == profile)
    }
}

/// All of them, the one that `ca init` made first.
#[derive(Debug, Clone)]
pub struct Directories {
    first: Directory,
    others: Vec<Directory>,
}

impl Directories {
    /// As configured; `ids` are those of the `[[directory]]` tables, in their order.
    #[must_use]
    pub fn new(config: &Config, urls: &Urls, ids: &[DirectoryId], metrics: &Metrics) -> Self {
        let accounts = &config.accounts;
        let first = Directory {
            id: DirectoryId::FIRST,
            name: FIRST.to_owned(),
            urls: urls.clone(),
            terms: terms(accounts.terms.as_ref(), accounts.terms_enforced_from),
            website: config.website.clone(),
            external: accounts.external,
            challenges: config.orders.challenges.clone(),
            profiles: Vec::new(),
            requests: metrics.directory(FIRST),
        };
        let other = |(settings, id): (&DirectorySettings, &DirectoryId)| Directory {
            id: *id,
            name: settings.name.clone(),
            urls: urls.below(&settings.name),
            terms: terms(settings.terms.as_ref(), settings.terms_enforced_from),
            website: settings.website.clone(),
            external: settings.external.unwrap_or(accounts.external),
            challenges: offered(&config.orders.challenges, &settings.challenges),
            profiles: settings.profiles.clone(),
            requests: metrics.directory(&settings.name),
        };
        Self {
            first,
            others: config.directory.iter().zip(ids).map(other).collect(),
        }
    }

    /// The URLs of each, to be changed: a test CA's alone.
    #[cfg(feature = "dev")]
    pub(crate) fn urls_mut(&mut self) -> impl Iterator<Item = &mut Urls> {
        let others = self.others.iter_mut().map(|directory| &mut directory.urls);
        std::iter::once(&mut self.first.urls).chain(others)
    }

    /// Lets the first offer these profiles alone: a test CA's.
    #[cfg(feature = "dev")]
    pub(crate) fn offer(&mut self, profiles: Vec<String>) {
        self.first.profiles = profiles;
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> &Directory {
        &self.first
    }

    /// The one at that place, which [`find`](Self::find) gave.
    #[must_use]
    pub fn at(&self, place: Option<usize>) -> &Directory {
        place
            .and_then(|place| self.others.get(place))
            .unwrap_or(&self.first)
    }

    /// The one with this id; none if it is configured no more.
    #[must_use]
    pub fn with_id(&self, id: DirectoryId) -> Option<&Directory> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|directory| directory.id == id)
    }

    /// The one that is called so.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Directory> {
        std::iter::once(&self.first)
            .chain(&self.others)
            .find(|directory| directory.name == name)
    }

    /// Whose a path is, and which resource there. A path of no directory is the first's, where it is none either.
    #[must_use]
    pub fn find(&self, path: &str) -> (Option<usize>, Option<Route>) {
        let own = |directory: &Directory| {
            let rest = path.strip_prefix(directory.urls.prefix())?;
            rest.starts_with('/').then_some(rest)
        };
        let mut others = self.others.iter().enumerate();
        match others.find_map(|(place, directory)| Some((place, own(directory)?))) {
            Some((place, rest)) => (Some(place), self.at(Some(place)).urls.find(rest)),
            None => (None, self.first.urls.find(path)),
        }
    }
}

fn terms(url: Option<&String>, enforced_from: Option<Timestamp>) -> Option<Terms> {
    Some(Terms {
        url: url?.clone(),
        enforced_from,
    })
}

/// Those of the server that the directory names, or all.
fn offered(all: &[ChallengeType], named: &[ChallengeType]) -> Vec<ChallengeType> {
    all.iter()
        .filter(|kind| named.is_empty() || named.contains(kind))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn directories() -> Directories {
        let text = "name = \"T\"\nurl = \"https://ca.test\"\n[profile.short]\n[[directory]]\nname = \"team\"\nchallenges = [\"dns-01\"]\nprofiles = [\"short\"]\n[[directory]]\nname = \"team-b\"\n";
        let config = Config::parse(text, Path::new("cairn.toml")).unwrap();
        let urls = Urls::new("https://ca.test", &config.publication()).unwrap();
        let ids = [DirectoryId(2), DirectoryId(5)];
        Directories::new(&config, &urls, &ids, &Metrics::new())
    }

    #[test]
    fn each_path_is_of_one_directory() {
        let all = directories();
        let of = |path: &str| {
            let (place, route) = all.find(path);
            (all.at(place).id.0, route.map(Route::name))
        };
        let mut wrong = Vec::new();
        for (path, expected) in [
            ("/directory", (1, Some("directory"))),
            ("/acme/new-order", (1, Some("new-order"))),
            ("/acme/team/directory", (2, Some("directory"))),
            ("/acme/team/new-order", (2, Some("new-order"))),
            ("/acme/team-b/new-nonce", (5, Some("new-nonce"))),
            ("/acme/team/renewal-info/x", (2, Some("renewal-info"))),
            ("/acme/team", (1, None)),
            ("/acme/team/", (2, None)),
            ("/acme/team/acme/new-order", (2, None)),
            ("/acme/team/team/new-order", (2, None)),
            ("/acme/directory", (1, None)),
            ("/acme/other/directory", (1, None)),
            ("/team/directory", (1, None)),
        ] {
            if of(path) != expected {
                wrong.push((path, of(path)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
        for id in [1, 2, 5] {
            let directory = all.with_id(DirectoryId(id)).unwrap();
            let url = directory.urls.new_order();
            let path = url.strip_prefix("https://ca.test").unwrap();
            assert_eq!(of(path), (id, Some("new-order")), "{url}");
        }
        assert!(all.with_id(DirectoryId(3)).is_none());
    }

    #[test]
    fn a_directory_offers_what_it_names_or_all() {
        let all = directories();
        let (team, other) = (all.at(Some(0)), all.at(Some(1)));
        assert_eq!(team.challenges, [ChallengeType::Dns01]);
        assert_eq!(other.challenges, ChallengeType::ALL);
        assert!(team.offers("short") && !team.offers("default"));
        assert!(other.offers("short") && other.offers("default"));
        assert_eq!(
            (team.usual_profile(), other.usual_profile()),
            ("short", "default")
        );
    }
}
