//! What a finalize is judged by before anything is built: the rules in force for its names and its profile, and its CSR.

use cairn_acme::problem::{Problem, ProblemType};
use cairn_x509::csr::Csr;

use crate::{
    authority::{issuance as rules, keys, profiles},
    config::DEFAULT_PROFILE,
    model::{Account, Order},
    node::Snapshot,
};

/// Whether the order could still be placed: what was fine to order may be denied since, and an order may wait for days.
pub(super) fn in_force(
    account: &Account,
    order: &Order,
    snapshot: &Snapshot,
) -> Result<(), Problem> {
    let external = account.external.as_ref();
    snapshot.names.judge_for(external, &order.identifiers)?;
    let name = order.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
    match snapshot.profiles.named(name) {
        Some(profile) => profiles::judge(
            &profile.name,
            &profile.settings,
            account.id,
            &order.identifiers,
        ),
        // A profile that is gone is told with the CSR, also to the CA's own orders.
        None => Ok(()),
    }
}

/// What a CSR must be for this order and account, whose profile must still be offered (PROF-4-4).
pub(super) fn csr(
    csr_der: &[u8],
    account: &Account,
    order: &Order,
    snapshot: &Snapshot,
) -> Result<Csr, Problem> {
    if let Some(name) = order.profile.as_deref()
        && snapshot.profiles.named(name).is_none()
    {
        return Err(profiles::withdrawn(name));
    }
    let csr = Csr::parse(csr_der)
        .map_err(|e| Problem::new(ProblemType::BadCsr, format!("the CSR cannot be used: {e}")))?;
    rules::judge_csr(&csr, &order.identifiers)?;
    keys::judge_certificate_key(csr.public_key().spki_der(), &snapshot.blocked)?;
    if csr.public_key().spki_sha256() == account.spki_sha256 {
        return Err(Problem::new(
            ProblemType::BadCsr,
            "the CSR's key is the account's key; a certificate needs a key of its own (RFC 8555 section 11.1)",
        ));
    }
    Ok(csr)
}
