//! The certificate resource (RFC 8555 §7.4.2): a chain as PEM, leaf first, to the account that ordered it, with links to
//! the other chains of the same certificate; or the leaf alone for who asks for it.

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
    (serial, wanted): (Serial, u8),
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
    let absent = || no_such_object("certificate");
    let issuers = ca.issuance.issuers();
    let issuer = &issuers
        .with_id(certificate.key.issuer)
        .ok_or_else(absent)?
        .issuer;
    let usual = std::iter::once((0, issuer.chain()));
    let chains: Vec<_> = usual.chain(issuer.alternates(context.now)).collect();
    let (_, chain) = chains
        .iter()
        .find(|(number, _)| *number == wanted)
        .ok_or_else(absent)?;
    if form == Form::Leaf {
        let leaf = issuer.leaf_of(&certificate).ok_or_else(absent)?;
        return Ok(Answer::with(StatusCode::OK, LEAF, leaf).link(&issuer.url, "up"));
    }
    let text = issuer.chain_of(&certificate, chain).ok_or_else(absent)?;
    let mut answer = Answer::with(StatusCode::OK, CHAIN, text);
    for (number, _) in chains.iter().filter(|(number, _)| *number != wanted) {
        answer = answer.link(&context.urls().chain(serial, *number), "alternate");
    }
    Ok(answer)
}
