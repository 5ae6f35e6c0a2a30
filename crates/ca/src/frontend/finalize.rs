//! Finalize (RFC 8555 §7.4): the order's state first, then the CSR, then issuance; held until it ends.

use cairn_acme::{base64url, object::Finalize, problem::Problem, status::OrderStatus};

use super::{
    answer::Answer,
    context::Context,
    envelope::{Raw, Verified},
    order, problem,
};
use crate::id::OrderId;

pub(crate) async fn post(
    context: &Context,
    id: OrderId,
    request: Verified<Raw>,
) -> Result<Answer, Problem> {
    let request = request.object::<Finalize>()?;
    let account = request.signer();
    let found = order::load(context, account.id, id).await?;
    let authorizations = order::authorizations_of(context, &found).await?;
    // 8555-7.4-9: whatever the CSR is; the transaction asks again.
    let status = order::status(context, &found, &authorizations);
    if status != OrderStatus::Ready {
        return Err(Problem::order_not_ready(match status {
            OrderStatus::Pending => {
                "the order is pending: some of its authorizations are not valid yet".to_owned()
            }
            OrderStatus::Invalid => match &found.error {
                Some(error) => format!("the order is invalid: {}. Place a new one.", error.detail),
                None if found.expires > context.ca.clock.wall() => {
                    "the order is invalid: an authorization of it has expired or was deactivated. Place a new one: those \
                     that are still valid are taken over."
                        .to_owned()
                }
                None => format!(
                    "the order expired at {}, and now it is {}. Place a new one: authorizations that are still valid are \
                     taken over.",
                    found.expires,
                    context.ca.clock.wall()
                ),
            },
            status => format!("the order is {status}: only a ready one can be finalized"),
        }));
    }
    let csr = base64url::decode(&request.payload().csr).map_err(|fault| {
        Problem::malformed(format!("csr is not base64url of a DER request: {fault}"))
    })?;
    let issuance = &context.ca.issuance;
    issuance
        .finalize(
            &context.ca,
            account,
            &found,
            &authorizations,
            &csr,
            request.request(),
        )
        .await
        .map_err(problem::of_transaction)?;
    order::await_issuance(context, account.id, id).await
}
