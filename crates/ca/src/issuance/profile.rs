//! A profile: what a certificate carries beside key and names. Its text is kept in the store under its hash for good;
//! orders and issuances name the hash (T-CA-99).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use cairn_acme::time::Timestamp;

use crate::config::{self, DEFAULT_PROFILE, ProfileSettings};

/// A profile version.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it says.
    pub settings: ProfileSettings,
    /// The canonical text that the hash is over.
    pub text: String,
    /// SHA-256 of the text.
    pub hash: [u8; 32],
}

/// The profiles of one configuration, each frozen.
#[derive(Debug, Clone)]
pub struct Profiles {
    default: Arc<Profile>,
    by_name: BTreeMap<String, Arc<Profile>>,
}

impl Profiles {
    /// Freezes all of them.
    #[must_use]
    pub fn new(settings: &config::Profiles) -> Self {
        let freeze = |(name, settings): (&str, &ProfileSettings)| {
            (name.to_owned(), Arc::new(Profile::new(name, settings)))
        };
        Self {
            default: Arc::new(Profile::new(DEFAULT_PROFILE, &settings.default)),
            by_name: settings.iter().map(freeze).collect(),
        }
    }

    /// What an order gets that names none.
    #[must_use]
    pub fn default(&self) -> &Arc<Profile> {
        &self.default
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Profile>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.by_name.values()
    }
}

/// The validity that an order gets under a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: i64,
    /// Last second, inclusive (RFC 5280 §4.1.2.5).
    pub not_after: i64,
}

impl Profile {
    /// Freezes the settings.
    #[must_use]
    pub fn new(name: &str, settings: &ProfileSettings) -> Self {
        let text = serde_json::json!({ "name": name, "settings": settings }).to_string();
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            hash: hash_of(&text),
            text,
        }
    }

    /// Reads a version back from its stored text, if it is the one of that hash. What an older server did not know has its
    /// default; what this one does not know is refused.
    #[must_use]
    pub fn from_text(text: &str, hash: &[u8; 32]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stored {
            name: String,
            settings: ProfileSettings,
        }
        if hash_of(text) != *hash {
            return None;
        }
        let stored: Stored = serde_json::from_str(text).ok()?;
        Some(Self {
            name: stored.name,
            settings: stored.settings,
            text: text.to_owned(),
            hash: *hash,
        })
    }

    /// What the directory says of it (PROF-3-1).
    #[must_use]
    pub fn description(&self) -> String {
        if let Some(description) = &self.settings.description {
            return description.clone();
        }
        let uses = match (self.settings.server_auth, self.settings.client_auth) {
            (true, true) => "TLS servers and clients",
            (false, true) => "TLS clients",
            _ => "TLS servers",
        };
        format!("valid {}, for {uses}", self.settings.life)
    }

    /// How far notBefore lies in the past: as set, but at most a tenth of the life.
    fn backdate(&self) -> Duration {
        Duration::from(self.settings.backdate).min(self.life() / 10)
    }

    /// The lifetime that no certificate of this profile exceeds.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.settings.life.into()
    }

    /// The validity for an order: as it asked, else backdated from now for the profile's life; what it did not ask for
    /// gives way to the life and to the issuer's own start and end. Never longer than the life, both ends counted
    /// (T-CA-95).
    #[must_use]
    pub fn validity(
        &self,
        now: Timestamp,
        asked: (Option<Timestamp>, Option<Timestamp>),
        issuer: (i64, i64),
    ) -> Option<Validity> {
        let life = i64::try_from(self.life().as_secs()).ok()?;
        let backdate = i64::try_from(self.backdate().as_secs()).ok()?;
        let backdated = (now.as_seconds() - backdate).max(issuer.0);
        let not_before = match asked {
            (Some(start), _) => start.as_seconds(),
            (None, Some(end)) => backdated.max(end.as_seconds().checked_sub(life)? + 1),
            (None, None) => backdated,
        };
        let longest = not_before.checked_add(life)?.checked_sub(1)?;
        let not_after = match asked.1 {
            Some(end) => end.as_seconds(),
            None => longest.min(issuer.1),
        };
        let fits = not_after > not_before
            && not_after <= longest
            && not_before >= issuer.0
            && not_after <= issuer.1;
        fits.then_some(Validity {
            not_before,
            not_after,
        })
    }
}

fn hash_of(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    /// From when until when the issuer lives.
    const ISSUER: (i64, i64) = (1_700_000_000, 1_800_000_000 + 5 * 365 * 86_400);

    fn profile(life: Span, backdate: Span) -> Profile {
        let settings = ProfileSettings {
            life,
            backdate,
            ..ProfileSettings::default()
        };
        Profile::new("p", &settings)
    }

    #[test]
    fn a_life_is_counted_with_both_ends_and_backdated_by_a_tenth_at_most() {
        // T-CA-95
        let minute = Span::from_secs(60);
        let cases = [
            (minute, minute, 6, 60),
            (Span::from_secs(600), minute, 60, 600),
            (Span::from_secs(3600), Span::from_secs(3600), 360, 3600),
            (
                Span::from_days(90),
                Span::from_days(2),
                2 * 86_400,
                90 * 86_400,
            ),
            (Span::from_days(90), Span::from_secs(0), 0, 90 * 86_400),
            (Span::from_days(1096), minute, 60, 1096 * 86_400),
        ];
        let mut wrong = Vec::new();
        for (life, backdate, back, seconds) in cases {
            let got = profile(life, backdate)
                .validity(NOW, (None, None), ISSUER)
                .unwrap();
            let told = (
                NOW.as_seconds() - got.not_before,
                got.not_after - got.not_before + 1,
            );
            if told != (back, seconds) {
                wrong.push(format!("{life}, {backdate}: {told:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        // Longer than the issuer is capped.
        let years = profile(Span::from_days(20 * 365), minute);
        let capped = years.validity(NOW, (None, None), ISSUER).unwrap();
        assert_eq!(capped.not_after, ISSUER.1);
    }

    #[test]
    fn every_order_that_is_taken_has_a_validity_from_its_first_second_to_its_last() {
        // T-CA-48
        // T-CA-95
        let profile = Profile::new("default", &ProfileSettings::default());
        let (life, now) = (90 * 86_400, 1_800_000_000);
        let at = Timestamp::from_seconds;
        let issuer = (now - 3600, now + 1000 * life);
        let of = |asked: (Option<i64>, Option<i64>), issuer| {
            profile
                .validity(at(now), (asked.0.map(at), asked.1.map(at)), issuer)
                .map(|v| (v.not_before - now, v.not_after - now))
        };
        for (asked, expected) in [
            ((None, None), Some((-60, life - 61))),
            ((None, Some(now + life - 1)), Some((0, life - 1))),
            ((None, Some(now + life - 10)), Some((-9, life - 10))),
            ((None, Some(now + life - 61)), Some((-60, life - 61))),
            ((None, Some(now + life - 62)), Some((-60, life - 62))),
            ((None, Some(now + 1)), Some((-60, 1))),
            ((Some(now + 5), None), Some((5, life + 4))),
            ((Some(now + 5), Some(now + life + 4)), Some((5, life + 4))),
            ((Some(now + 5), Some(now + life + 5)), None),
            ((Some(now - 3600), None), Some((-3600, life - 3601))),
            ((Some(now - 3601), None), None),
        ] {
            assert_eq!(of(asked, issuer), expected, "{asked:?}");
        }
        // A backdate that reaches behind the issuer's start gives way, as a life that reaches past its end does.
        let young = (now - 30, now + life - 100);
        assert_eq!(of((None, None), young), Some((-30, life - 100)));
    }

    #[test]
    fn a_stored_profile_of_an_older_server_is_read_and_a_changed_or_newer_one_refused() {
        // T-CA-99, T-CA-123
        let whole = Profile::new("default", &ProfileSettings::default());
        assert_eq!(
            Profile::from_text(&whole.text, &whole.hash).unwrap().hash,
            whole.hash
        );
        // As a server wrote it that did not know `policies` yet.
        let mut older: serde_json::Value = serde_json::from_str(&whole.text).unwrap();
        older["settings"]
            .as_object_mut()
            .unwrap()
            .remove("policies");
        let older = older.to_string();
        let read = Profile::from_text(&older, &hash_of(&older)).unwrap();
        assert_eq!(read.settings, whole.settings);
        assert_eq!(
            (read.hash, read.text.as_str()),
            (hash_of(&older), older.as_str())
        );

        let newer = whole
            .text
            .replace("\"settings\":{", "\"settings\":{\"unheard\":1,");
        assert!(Profile::from_text(&newer, &hash_of(&newer)).is_none());
        let changed = whole.text.replace("default", "changed");
        assert!(Profile::from_text(&changed, &whole.hash).is_none());
    }
}
