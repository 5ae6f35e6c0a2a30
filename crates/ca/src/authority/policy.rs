//! Which names may be ordered here: what the issuing certificate is constrained to and what `[[names]]` allows or denies.
//! Rules compare parsed names at label boundaries (T-CA-62).

use cairn_acme::{
    identifier::{DnsName, Identifier},
    problem::{Problem, ProblemType, Subproblem},
};

use super::order_request::identifiers_refused;

/// The names that this CA issues for.
#[derive(Debug, Clone, Default)]
pub struct NamePolicy {
    /// The issuing certificate's permitted DNS subtrees; empty: unconstrained.
    pub permitted_dns: Vec<DnsName>,
    /// Suffixes under which a name of a single label (`localhost`) is fine.
    pub known_suffixes: Vec<DnsName>,
}

impl NamePolicy {
    /// Judges all identifiers and names each offending one.
    ///
    /// # Errors
    /// `rejectedIdentifier`.
    pub fn judge(&self, identifiers: &[Identifier]) -> Result<(), Problem> {
        let faults: Vec<Subproblem> = identifiers
            .iter()
            .filter_map(|identifier| {
                self.fault(identifier).map(|detail| Subproblem {
                    kind: ProblemType::RejectedIdentifier,
                    detail,
                    identifier: Some(identifier.clone().into()),
                })
            })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(identifiers_refused(faults))
        }
    }

    fn fault(&self, identifier: &Identifier) -> Option<String> {
        let name = match identifier {
            Identifier::Dns(name) | Identifier::WildcardDns(name) => name,
            _ => return Some(format!("{identifier}: only DNS names are issued for here")),
        };
        // 5280-4.2.1.10-1: outside the constraints no client would accept the certificate.
        if !self.permitted_dns.is_empty()
            && !self.permitted_dns.iter().any(|p| name.is_subdomain_of(p))
        {
            let permitted: Vec<String> =
                self.permitted_dns.iter().map(ToString::to_string).collect();
            return Some(format!(
                "{identifier}: this CA may sign only for {} and below (its certificate's name constraints); order such a name or use another CA",
                permitted.join(", ")
            ));
        }
        if name.label_count() < 2 && !self.known_suffixes.iter().any(|s| name.is_subdomain_of(s)) {
            return Some(format!(
                "{identifier}: a name of one label belongs to nobody; use a full domain name, or let the operator add a [[names]] rule for it"
            ));
        }
        None
    }
}
