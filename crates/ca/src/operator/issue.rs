//! A certificate without ACME: from a CSR, on an operator's word. The request makes the grant, and from there it is an order
//! of the CA itself that passes the one issuance function: policy on names, key rules, lints, stops, audit (T-CA-121).

use std::{collections::BTreeSet, sync::Arc};

use cairn_acme::{
    base64url,
    identifier::Identifier,
    problem::{Problem, Subproblem},
};
use cairn_x509::csr::Csr;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{OperatorGrant, QueryFault, show};
use crate::{
    authority::order_request::identifiers_refused, issuance::internal, node::Ca,
    store::CreateGrantedOrder,
};

/// What shall be issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueQuery {
    /// The CSR: DER in base64url. Its names are the certificate's, its key is the certificate's; nothing else is taken.
    pub csr: String,
    /// The profile's name; none is the default one.
    #[serde(default)]
    pub profile: Option<String>,
}

/// Issues and gives the chain.
pub(super) async fn issue(ca: &Arc<Ca>, query: &IssueQuery) -> Result<Value, QueryFault> {
    let refused = |problem: Problem| QueryFault::Refused(problem.to_string());
    let der = base64url::decode(&query.csr)
        .map_err(|fault| refused(Problem::bad_csr(format!("the CSR is no DER: {fault}"))))?;
    let csr = Csr::parse(&der)
        .map_err(|fault| refused(Problem::bad_csr(format!("the CSR cannot be used: {fault}"))))?;
    let snapshot = ca.snapshot.load_full();
    let profiles = &snapshot.profiles;
    let profile = match query.profile.as_deref() {
        None => profiles.default(),
        Some(wanted) => profiles.named(wanted).ok_or_else(|| {
            let names: Vec<&str> = profiles.iter().map(|p| p.name.as_str()).collect();
            QueryFault::Refused(format!(
                "there is no profile {wanted:?}; there are {}",
                names.join(", ")
            ))
        })?,
    };
    let names = names_of(&csr, snapshot.config.orders.names_max).map_err(refused)?;
    snapshot
        .names_of(&profile.settings)
        .judge(&names)
        .map_err(refused)?;
    let order = internal::prepare(ca, names.clone(), profile)?;
    let grant = OperatorGrant::new(order.order, names, csr.public_key().spki_sha256());
    let create = CreateGrantedOrder {
        order,
        grant: grant.clone(),
    };
    let order = ca
        .store
        .transact(create)
        .await
        .map_err(internal::InternalFault::from)?;
    let certificate = internal::complete(ca, &order, &der, Some(grant)).await?;
    let chain = ca.issuance.issuers().chain_of(&certificate);
    let mut shown = show::certificate(&certificate);
    if let Some(members) = shown.as_object_mut() {
        members.insert("chain".to_owned(), json!(chain));
        members.insert("changed".to_owned(), json!(true));
    }
    Ok(shown)
}

/// The names that a CSR asks for, sorted and without duplicates.
fn names_of(csr: &Csr, max: usize) -> Result<Vec<Identifier>, Problem> {
    let texts = csr
        .text_names()
        .map(|name| ("dns", name.clone()))
        .chain(csr.ip_addresses().iter().map(|a| ("ip", a.to_string())));
    let (mut names, mut faults) = (BTreeSet::new(), Vec::new());
    for (kind, text) in texts {
        match Identifier::parse(kind, &text) {
            Ok(name) => {
                names.insert(name);
            }
            Err(fault) => faults.push(Subproblem {
                kind: cairn_acme::problem::ProblemType::RejectedIdentifier,
                detail: fault.to_string(),
                identifier: None,
            }),
        }
    }
    if !faults.is_empty() {
        return Err(identifiers_refused(faults));
    }
    if names.is_empty() || names.len() > max {
        return Err(Problem::bad_csr(format!(
            "the CSR has {} names; one certificate carries from 1 to {max}",
            names.len()
        )));
    }
    Ok(names.into_iter().collect())
}
