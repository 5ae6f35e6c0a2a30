//! A profile: what a certificate carries beside key and names. Its text is kept in the store under its hash for good;
//! orders and issuances name the hash (T-CA-99).

use std::time::Duration;

use aws_lc_rs::digest;
use cairn_acme::time::Timestamp;

use crate::config::ProfileSettings;

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
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            text,
            hash,
        }
    }

    /// Reads a version back from its stored text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Stored {
            name: String,
            settings: ProfileSettings,
        }
        let stored: Stored = serde_json::from_str(text).ok()?;
        let profile = Self::new(&stored.name, &stored.settings);
        (profile.text == text).then_some(profile)
    }

    /// The lifetime that no certificate of this profile exceeds.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.settings.life.into()
    }

    /// The validity for an order: as it asked, else backdated from now for the profile's life; never past the issuer's
    /// end and never longer than the life, both ends counted (T-CA-95).
    #[must_use]
    pub fn validity(
        &self,
        now: Timestamp,
        asked: (Option<Timestamp>, Option<Timestamp>),
        issuer_not_after: i64,
    ) -> Option<Validity> {
        let life = i64::try_from(self.life().as_secs()).ok()?;
        let backdate = i64::try_from(Duration::from(self.settings.backdate).as_secs()).ok()?;
        let not_before = match asked.0 {
            Some(start) => start.as_seconds(),
            None => now.as_seconds() - backdate,
        };
        let longest = not_before.checked_add(life)?.checked_sub(1)?;
        let not_after = match asked.1 {
            Some(end) => end.as_seconds(),
            None => longest.min(issuer_not_after),
        };
        (not_after > not_before && not_after <= longest && not_after <= issuer_not_after).then_some(
            Validity {
                not_before,
                not_after,
            },
        )
    }
}
