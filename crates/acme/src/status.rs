//! States of accounts, orders, authorizations and challenges, and which may follow which (RFC 8555 §7.1.6).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A word that is no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known status")]
pub struct UnknownStatus;

macro_rules! states {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal => [$($next:ident),*],)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All states.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The states that may follow.
            #[must_use]
            pub const fn successors(self) -> &'static [Self] {
                match self {
                    $(Self::$variant => &[$(Self::$next),*],)+
                }
            }

            /// Whether the other state may follow this one. Staying is no transition, except where the RFC's figure
            /// draws it.
            #[must_use]
            pub fn can_become(self, next: Self) -> bool {
                self.successors().contains(&next)
            }

            /// Whether nothing can follow.
            #[must_use]
            pub const fn is_final(self) -> bool {
                self.successors().is_empty()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownStatus),
                }
            }
        }
    };
}

states! {
    /// State of an account (RFC 8555 §7.1.2); both ends are final.
    AccountStatus {
        /// It may act.
        Valid = "valid" => [Deactivated, Revoked],
        /// Ended by its owner.
        Deactivated = "deactivated" => [],
        /// Ended by the server.
        Revoked = "revoked" => [],
    }
}

states! {
    /// State of an order (RFC 8555 §7.1.3).
    OrderStatus {
        /// Authorizations are missing.
        Pending = "pending" => [Ready, Invalid],
        /// All authorizations are valid; the order waits for finalize.
        Ready = "ready" => [Processing, Invalid],
        /// The certificate is being issued.
        Processing = "processing" => [Valid, Invalid],
        /// The certificate is issued.
        Valid = "valid" => [],
        /// It came to nothing.
        Invalid = "invalid" => [],
    }
}

states! {
    /// State of an authorization (RFC 8555 §7.1.4). That the client may deactivate a pending one is ours
    /// (8555-7.1.6-2); that it expires is the RFC's figure.
    AuthorizationStatus {
        /// No challenge is valid yet.
        Pending = "pending" => [Valid, Invalid, Expired, Deactivated],
        /// Control of the identifier is proven.
        Valid = "valid" => [Expired, Deactivated, Revoked],
        /// A challenge failed.
        Invalid = "invalid" => [],
        /// Given up by the client.
        Deactivated = "deactivated" => [],
        /// Its time is over.
        Expired = "expired" => [],
        /// Taken back by the server.
        Revoked = "revoked" => [],
    }
}

states! {
    /// State of a challenge (RFC 8555 §7.1.5, §8).
    ChallengeStatus {
        /// The client has not answered.
        Pending = "pending" => [Processing],
        /// Validation is under way; a repeated attempt stays here (§8.2).
        Processing = "processing" => [Processing, Valid, Invalid],
        /// Validated.
        Valid = "valid" => [],
        /// Failed.
        Invalid = "invalid" => [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares each pair of states with the pairs of the RFC, spelled apart from the table.
    macro_rules! compare {
        ($name:ident, $pairs:expr) => {{
            let pairs: &[(&str, &str)] = $pairs;
            let mut wrong = Vec::new();
            for from in $name::ALL {
                for to in $name::ALL {
                    let allowed = pairs.contains(&(from.as_str(), to.as_str()));
                    if from.can_become(*to) != allowed {
                        wrong.push(format!("{from} -> {to}"));
                    }
                }
            }
            assert!(wrong.is_empty(), "{wrong:?}");
        }};
    }

    #[test]
    fn a_challenge_goes_through_processing_and_ends() {
        // 8555-7.1.6-1
        compare!(
            ChallengeStatus,
            &[
                ("pending", "processing"),
                ("processing", "processing"),
                ("processing", "valid"),
                ("processing", "invalid"),
            ]
        );
    }

    #[test]
    fn an_authorization_follows_the_figure() {
        // 8555-7.1.6-2
        compare!(
            AuthorizationStatus,
            &[
                ("pending", "valid"),
                ("pending", "invalid"),
                ("pending", "expired"),
                ("pending", "deactivated"),
                ("valid", "expired"),
                ("valid", "deactivated"),
                ("valid", "revoked"),
            ]
        );
    }

    #[test]
    fn an_order_follows_the_figure() {
        // 8555-7.1.6-3
        compare!(
            OrderStatus,
            &[
                ("pending", "ready"),
                ("pending", "invalid"),
                ("ready", "processing"),
                ("ready", "invalid"),
                ("processing", "valid"),
                ("processing", "invalid"),
            ]
        );
    }

    #[test]
    fn an_account_ends_once_and_for_all() {
        // 8555-7.1.6-5
        compare!(
            AccountStatus,
            &[("valid", "deactivated"), ("valid", "revoked")]
        );
    }

    #[test]
    fn no_state_is_reached_again_once_left() {
        // No state goes back: following successors never leads to where one was, staying excepted.
        macro_rules! acyclic {
            ($name:ident) => {
                for start in $name::ALL {
                    let mut seen = Vec::new();
                    let mut open: Vec<$name> = start
                        .successors()
                        .iter()
                        .copied()
                        .filter(|s| s != start)
                        .collect();
                    while let Some(state) = open.pop() {
                        assert_ne!(state, *start, "{start} can be reached again");
                        if !seen.contains(&state) {
                            seen.push(state);
                            open.extend(state.successors().iter().filter(|s| **s != state));
                        }
                    }
                }
            };
        }
        acyclic!(AccountStatus);
        acyclic!(OrderStatus);
        acyclic!(AuthorizationStatus);
        acyclic!(ChallengeStatus);
    }

    #[test]
    fn words_are_the_same_in_json_and_text() {
        macro_rules! words {
            ($name:ident) => {
                for state in $name::ALL {
                    let json = serde_json::to_string(state).unwrap();
                    assert_eq!(json, format!("\"{state}\""));
                    assert_eq!(serde_json::from_str::<$name>(&json).unwrap(), *state);
                    assert_eq!(state.as_str().parse::<$name>().unwrap(), *state);
                }
                assert!("Valid".parse::<$name>().is_err());
            };
        }
        words!(AccountStatus);
        words!(OrderStatus);
        words!(AuthorizationStatus);
        words!(ChallengeStatus);
    }
}
