//! Filters of the lists: as they travel, and which of them each list has. One that a list does not have is refused: to
//! leave it out would answer another question.

use cairn_acme::{status::AccountStatus, time::Timestamp};
use cairn_x509::certificate::Serial;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{id::AccountId, model::ExternalKeyState, store::Filter};

/// A filter that the list cannot apply.
#[derive(Debug, thiserror::Error)]
pub enum UnfitFilter {
    /// The list has no such filter.
    #[error("{list} are not listed by {filter}, but by {}", .valid.join(", "))]
    Filter {
        /// Which list.
        list: &'static str,
        /// What was asked for.
        filter: &'static str,
        /// What it has instead.
        valid: &'static [&'static str],
    },
    /// The list has no such state.
    #[error("no state of {list} is called {state:?}; there are {}", .valid.join(", "))]
    State {
        /// Which list.
        list: &'static str,
        /// What was asked for.
        state: String,
        /// What it has instead.
        valid: Vec<&'static str>,
    },
    /// Two filters that say the same thing twice, or opposite things.
    #[error("{0} and {1} do not go together")]
    Together(&'static str, &'static str),
}

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed {
    Certificates,
    Orders,
    Accounts,
    ExternalKeys,
}

impl Listed {
    const fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Orders => "orders",
            Self::Accounts => "accounts",
            Self::ExternalKeys => "external account keys",
        }
    }

    /// The filters that the list has.
    const fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Certificates => &[
                "name",
                "account",
                "state",
                "expiry",
                "unconfirmed",
                "serial",
            ],
            Self::Orders => &["name", "account", "state", "expiry"],
            Self::Accounts | Self::ExternalKeys => &["account", "state"],
        }
    }

    /// The states as the list shows them.
    fn states(self) -> Vec<&'static str> {
        match self {
            Self::Certificates => vec!["permitted", "issued", "unconfirmed", "revoked"],
            Self::Orders => vec!["open", "expired", "processing", "valid", "invalid"],
            Self::Accounts => AccountStatus::ALL.iter().map(|s| s.as_str()).collect(),
            Self::ExternalKeys => ExternalKeyState::ALL.iter().map(|s| s.name()).collect(),
        }
    }

    /// The filter as the store takes it.
    ///
    /// # Errors
    /// If the list has no such filter or state, or two of them exclude each other.
    pub(super) fn fit(self, mut filter: Filter, now: Timestamp) -> Result<Filter, UnfitFilter> {
        let asked = [
            ("name", filter.name.is_some()),
            ("account", filter.account.is_some()),
            ("state", filter.state.is_some()),
            (
                "expiry",
                filter.expires_from.is_some() || filter.expires_before.is_some(),
            ),
            ("unconfirmed", filter.unconfirmed),
            ("serial", filter.serial.is_some()),
        ];
        for (name, is_asked) in asked {
            if is_asked && !self.filters().contains(&name) {
                return Err(UnfitFilter::Filter {
                    list: self.name(),
                    filter: name,
                    valid: self.filters(),
                });
            }
        }
        let Some(state) = &filter.state else {
            return Ok(filter);
        };
        if !self.states().contains(&state.as_str()) {
            return Err(UnfitFilter::State {
                list: self.name(),
                state: state.clone(),
                valid: self.states(),
            });
        }
        if filter.unconfirmed {
            return Err(UnfitFilter::Together("unconfirmed", "state"));
        }
        // What is not stored: an open order is expired from its end on.
        if matches!(self, Self::Orders) {
            match state.as_str() {
                "expired" if filter.expires_from.is_some_and(|from| from >= now) => {
                    return Err(UnfitFilter::Together("state expired", "an end to come"));
                }
                "expired" => {
                    filter.state = Some("open".to_owned());
                    let ended = now.plus(std::time::Duration::from_millis(1));
                    let before = filter.expires_before.unwrap_or(ended).min(ended);
                    filter.expires_before = Some(before);
                }
                "open" => {
                    let to_come = now.plus(std::time::Duration::from_millis(1));
                    filter.expires_from = Some(filter.expires_from.unwrap_or(to_come).max(to_come));
                }
                _ => {}
            }
        }
        Ok(filter)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wire {
    name: Option<String>,
    account: Option<String>,
    state: Option<String>,
    expires_from: Option<Timestamp>,
    expires_before: Option<Timestamp>,
    unconfirmed: bool,
    serial: Option<String>,
    after: Option<i64>,
    limit: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            name: None,
            account: None,
            state: None,
            expires_from: None,
            expires_before: None,
            unconfirmed: false,
            serial: None,
            after: None,
            limit: 100,
        }
    }
}

pub(super) fn serialize<S: Serializer>(filter: &Filter, serializer: S) -> Result<S::Ok, S::Error> {
    Wire {
        name: filter.name.clone(),
        account: filter.account.map(|id| id.to_string()),
        state: filter.state.clone(),
        expires_from: filter.expires_from,
        expires_before: filter.expires_before,
        unconfirmed: filter.unconfirmed,
        serial: filter.serial.as_ref().map(ToString::to_string),
        after: filter.after,
        limit: filter.limit,
    }
    .serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
    let wire = Wire::deserialize(deserializer)?;
    let account = wire
        .account
        .map(|id| id.parse::<AccountId>())
        .transpose()
        .map_err(|_| de::Error::custom("account: not an id"))?;
    let serial = wire
        .serial
        .map(|serial| serial.parse::<Serial>())
        .transpose()
        .map_err(|_| de::Error::custom("serial: not a serial"))?;
    Ok(Filter {
        name: wire.name,
        account,
        state: wire.state,
        expires_from: wire.expires_from,
        expires_before: wire.expires_before,
        unconfirmed: wire.unconfirmed,
        serial,
        after: wire.after,
        limit: wire.limit,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn state(word: &str) -> Filter {
        Filter {
            state: Some(word.to_owned()),
            ..Filter::default()
        }
    }

    #[test]
    fn a_filter_that_a_list_does_not_have_is_refused_with_those_that_it_has() {
        let name = || Filter {
            name: Some("x".to_owned()),
            ..Filter::default()
        };
        let unconfirmed = || Filter {
            unconfirmed: true,
            ..Filter::default()
        };
        let soon = || Filter {
            expires_from: Some(NOW),
            expires_before: Some(NOW.plus(Duration::from_secs(60))),
            ..Filter::default()
        };
        let cases = [
            (Listed::Accounts, name(), "account, state"),
            (Listed::Accounts, soon(), "not listed by expiry"),
            (Listed::Accounts, unconfirmed(), "not listed by unconfirmed"),
            (
                Listed::Orders,
                unconfirmed(),
                "name, account, state, expiry",
            ),
            (
                Listed::Certificates,
                Filter {
                    unconfirmed: true,
                    ..state("issued")
                },
                "do not go together",
            ),
            (
                Listed::Orders,
                Filter {
                    state: Some("expired".to_owned()),
                    ..soon()
                },
                "do not go together",
            ),
            (
                Listed::Certificates,
                state("foo"),
                "\"foo\"; there are permitted, issued, unconfirmed",
            ),
            (
                Listed::Orders,
                state("pending"),
                "open, expired, processing, valid, invalid",
            ),
            (
                Listed::ExternalKeys,
                state("spent"),
                "open, used, expired, revoked",
            ),
            (
                Listed::Accounts,
                state("foo"),
                "valid, deactivated, revoked",
            ),
        ];
        let mut failed = Vec::new();
        for (list, filter, words) in cases {
            let said = match list.fit(filter.clone(), NOW) {
                Ok(_) => "taken".to_owned(),
                Err(fault) => fault.to_string(),
            };
            if !said.contains(words) {
                failed.push(format!("{list:?} {filter:?}: {said}"));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }

    #[test]
    fn open_and_expired_orders_are_told_apart_by_the_clock() {
        let open = Listed::Orders.fit(state("open"), NOW).unwrap();
        let expired = Listed::Orders.fit(state("expired"), NOW).unwrap();
        assert_eq!(expired.state.as_deref(), Some("open"));
        // Every moment belongs to one of the two; the end itself is expired.
        assert_eq!(open.expires_from, expired.expires_before);
        assert!(open.expires_from > Some(NOW));
    }
}
