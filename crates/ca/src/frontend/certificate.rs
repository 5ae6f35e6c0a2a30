//! The certificate resource (RFC 8555 §7.4.2): the chain as PEM, leaf first, to the account that ordered it; or the leaf
//! alone for who asks for it.

use cairn_acme::problem::Problem;
use cairn_x509::certificate::Serial;
use http::{HeaderValue, StatusCode};

use super::{
    accept::Form,
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    problem,
};
use crate::authority::no_such_object;

/// RFC 8555 §9.1.
const CHAIN: HeaderValue = HeaderValue::from_static("application/pem-certificate-chain");

/// RFC 2585.
const LEAF: HeaderValue = HeaderValue::from_static("application/pkix-cert");

pub(crate) async fn fetch(
    context: &Context,
    serial: Serial,
    form: Form,
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
    let issuer = ca.issuance.issuer();
    let answer = match form {
        Form::Chain => issuer
            .chain_of(&certificate)
            .map(|chain| Answer::with(StatusCode::OK, CHAIN, chain)),
        Form::Leaf => issuer
            .leaf_of(&certificate)
            .map(|leaf| Answer::with(StatusCode::OK, LEAF, leaf).link(&issuer.url, "up")),
    };
    answer.ok_or_else(|| no_such_object("certificate"))
}
