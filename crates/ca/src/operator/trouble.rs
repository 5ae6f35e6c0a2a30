//! What a running server knows of its own trouble, beside what the store holds: its resolver, the end of its issuer.

use cairn_acme::time::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{issuance::Profile, node::Ca, publication::Readiness, validation::Health};

/// Adds it to the answer of a status query.
pub(super) fn add(ca: &Ca, answer: &mut Value, now: Timestamp) {
    let resolver = ca.validation.validator().resolver();
    let recent = resolver.health().recent(Instant::now());
    let servers = resolver.first_servers();
    answer["resolver"] = json!({
        "servers": servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "answered": recent.answered,
        "failed": recent.failed,
        "minutes": Health::SPAN.as_secs() / 60,
        "broken": recent.is_broken(),
    });
    answer["profiles_cut"] = json!(cut(ca, now));
    answer["faults"] = json!(Readiness::of(ca, now).faults());
}

/// Warns of issuers that end before the certificates that they would sign.
pub(crate) fn warn_of_cuts(ca: &Ca) {
    let now = ca.clock.wall();
    let snapshot = ca.snapshot.load();
    for profile in snapshot.profiles.iter() {
        if let Some(ends) = cut_at(ca, profile, now) {
            tracing::warn!(
                target: "cairn",
                profile = %profile.name,
                issuer_ends = %ends,
                "certificates of this profile end with the issuing certificate, before their life is over: renew it"
            );
        }
    }
}

/// The profiles whose certificates would outlive an issuer of theirs, and so are cut to its end.
fn cut(ca: &Ca, now: Timestamp) -> Vec<String> {
    let snapshot = ca.snapshot.load();
    let profiles = snapshot.profiles.iter();
    profiles
        .filter(|profile| cut_at(ca, profile, now).is_some())
        .map(|profile| profile.name.clone())
        .collect()
}

/// The end of the issuer that is the first to end, where that is before a new certificate's.
fn cut_at(ca: &Ca, profile: &Profile, now: Timestamp) -> Option<Timestamp> {
    let issuers = ca.issuance.issuers().of_profile(&profile.settings);
    let ends = issuers.iter().map(|s| s.issuer.certificate.not_after());
    let ends = Timestamp::from_seconds(ends.min()?);
    (now.plus(profile.life()) > ends).then_some(ends)
}
