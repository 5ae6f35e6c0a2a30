//! The directory (RFC 8555 §7.1.1).

use cairn_acme::object::{Directory, Meta};
use http::StatusCode;

use super::answer::Answer;
use crate::{config::External, node::Snapshot};

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
        new_authz: Some(urls.new_authz()),
        revoke_cert: Some(urls.revoke_cert()),
        key_change: Some(urls.key_change()),
        renewal_info: Some(urls.renewal_info()),
        meta: Some(Meta {
            terms_of_service: snapshot.config.accounts.terms.clone(),
            external_account_required: snapshot.external_accounts().external == External::Required,
            caa_identities: snapshot.caa.identities.clone(),
            profiles: snapshot
                .profiles
                .iter()
                .map(|profile| (profile.name.clone(), profile.description()))
                .collect(),
            ..Meta::default()
        }),
    }
}
