//! renewalInfo (RFC 9773 §4): a plain GET by anybody, answered from memory. It tells of a certificate only what the
//! certificate says itself, and whether its operator wants it replaced.

use std::time::Duration;

use cairn_acme::{
    problem::Problem,
    renewal::{CertId, CertIdFault, RenewalInfo},
};
#[cfg(feature = "dev")]
use http::HeaderValue;
use http::StatusCode;

use super::{Route, Urls, admission, answer::Answer, problem};
use crate::{
    authority::{
        no_such_object,
        renewal::{self, PLAN},
    },
    node::{Ca, Snapshot},
};

/// How long a cache on the way may keep an answer: what an operator moves shall be seen soon.
const FRESH: Duration = Duration::from_secs(600);

/// When to ask again for an answer that a test has set, which may say anything: as Pebble has it.
#[cfg(feature = "dev")]
const SET_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// Answers GET and HEAD of a certificate's renewal information.
pub(crate) async fn show(
    ca: &Ca,
    snapshot: &Snapshot,
    urls: &Urls,
    path: &str,
) -> Result<Answer, Problem> {
    let id: CertId =
        urls.renewed(path)
            .unwrap_or_default()
            .parse()
            .map_err(|fault: CertIdFault| {
                Problem::malformed(format!("the path names no certificate: {fault}"))
            })?;
    let unknown = || no_such_object("certificate");
    let key = ca.issuance.certificate_named(&id).ok_or_else(unknown)?;
    let facts = match ca.store.remembered_renewal_facts(key.serial) {
        Some(known) => known,
        None => {
            // Only what costs a look at the tables is asked for admission: guesses are told to come again first.
            admission::judge(
                ca.store.requests_in_progress(),
                ca.store.queue_age(),
                &snapshot.config.limits,
                Route::RenewalInfo,
            )
            .inspect_err(|_| ca.metrics.shed())?;
            ca.store
                .renewal_facts(key.serial)
                .await
                .map_err(problem::of_store)?
        }
    };
    let facts = facts.filter(|facts| facts.key == key).ok_or_else(unknown)?;
    #[cfg(feature = "dev")]
    if let Some(text) = ca
        .doors
        .as_ref()
        .and_then(|doors| doors.renewal(key.serial))
    {
        let json = HeaderValue::from_static("application/json");
        return Ok(Answer::with(StatusCode::OK, json, text).retry_after(SET_AGAIN));
    }
    let again = renewal::ask_again(&facts, PLAN);
    let info = RenewalInfo {
        suggested_window: renewal::window(&facts, PLAN),
        explanation_url: facts.set_aside.as_ref().and_then(|a| a.explanation.clone()),
    };
    Ok(Answer::json(StatusCode::OK, &info)
        .retry_after(again)
        .cacheable(FRESH.min(again)))
}
