//! The certificate resource (RFC 8555 §7.4.2): the chain as PEM, leaf first, to the account that ordered it.

use cairn_acme::problem::Problem;
use cairn_x509::certificate::Serial;
use http::{HeaderValue, StatusCode};

use super::{
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    problem,
};
use crate::authority::no_such_object;

/// RFC 8555 §9.1.
const CHAIN: HeaderValue = HeaderValue::from_static("application/pem-certificate-chain");

pub(crate) async fn fetch(
    context: &Context,
    serial: Serial,
    request: Verified<Raw>,
) -> Result<Answer, Problem> {
    let request = request.fetch()?;
    let ca = &context.ca;
    let certificate = ca
        .store
        .certificate(serial)
        .await
        .map_err(problem::of_store)?
        // Another account's certificate is answered as one that does not exist (8555-7.4.2-7).
        .filter(|certificate| certificate.account == request.signer().id)
        .ok_or_else(|| no_such_object("certificate"))?;
    let chain = ca
        .issuance
        .issuer()
        .chain_of(&certificate)
        .ok_or_else(|| no_such_object("certificate"))?;
    Ok(Answer::with(StatusCode::OK, CHAIN, chain))
}
