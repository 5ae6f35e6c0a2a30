//! What a running server knows of its own trouble, beside what the store holds: its resolver, the end of its issuer.

use cairn_acme::time::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{node::Ca, publication::Readiness, validation::Health};

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

/// Warns of an issuer that ends before the certificates that it would sign.
pub(crate) fn warn_of_cuts(ca: &Ca) {
    let names = cut(ca, ca.clock.wall());
    if !names.is_empty() {
        let ends = Timestamp::from_seconds(ca.issuance.issuer().certificate.not_after());
        tracing::warn!(
            target: "cairn",
            profiles = %names.join(","),
            issuer_ends = %ends,
            "certificates of these profiles end with the issuing certificate, before their life is over: renew it"
        );
    }
}

/// The profiles whose certificates would outlive the issuer, and so are cut to its end.
fn cut(ca: &Ca, now: Timestamp) -> Vec<String> {
    let ends = Timestamp::from_seconds(ca.issuance.issuer().certificate.not_after());
    let snapshot = ca.snapshot.load();
    let outlives = |life| now.plus(life) > ends;
    snapshot
        .profiles
        .iter()
        .filter(|profile| outlives(profile.life()))
        .map(|profile| profile.name.clone())
        .collect()
}
