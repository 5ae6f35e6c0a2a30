//! The directory (RFC 8555 §7.1.1).

use cairn_acme::object::{Directory, Meta};
use http::StatusCode;

use super::answer::Answer;
use crate::node::Snapshot;

/// Answers GET and POST-as-GET.
pub(crate) fn show(snapshot: &Snapshot) -> Answer {
    Answer::json(StatusCode::OK, &directory(snapshot))
}

fn directory(snapshot: &Snapshot) -> Directory {
    let urls = &snapshot.urls;
    Directory {
        new_nonce: urls.new_nonce(),
        new_account: urls.new_account(),
        new_order: urls.new_order(),
        new_authz: None,
        revoke_cert: None,
        key_change: None,
        renewal_info: Some(urls.renewal_info()),
        meta: Some(Meta {
            terms_of_service: snapshot.config.accounts.terms.clone(),
            profiles: snapshot
                .profiles
                .iter()
                .map(|profile| (profile.name.clone(), profile.description()))
                .collect(),
            // caaIdentities come with CAA.
            ..Meta::default()
        }),
    }
}
