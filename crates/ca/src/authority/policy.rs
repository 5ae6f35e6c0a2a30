//! Which identifiers may be ordered here: what the issuing certificate is constrained to, what is never issued for, what
//! `[[names]]` and `[[addresses]]` allow or deny, what belongs to nobody. Rules compare parsed names at label boundaries
//! and addresses by range (T-CA-62).

use std::net::IpAddr;

use cairn_acme::{
    identifier::{DnsName, Identifier, NameFault, parse_suffix},
    problem::{Problem, ProblemType, Subproblem},
};
use cairn_x509::certificate::NameConstraints;
use ipnet::IpNet;

use super::{
    order_request::identifiers_refused,
    public_suffix::{Standing, standing},
};
use crate::{model::ExternalAccount, validation::NameRules};

/// What this CA issues for.
#[derive(Debug, Clone, Default)]
pub struct NamePolicy {
    /// The name constraints of each certificate that may come to be the issuer: before the key is known, all hold.
    pub constraints: Vec<NameConstraints>,
    /// Never issued for, whatever a rule says.
    pub forbidden: Vec<NamePattern>,
    /// The rules on names.
    pub names: Vec<NameGrant>,
    /// The rules on addresses.
    pub addresses: Vec<AddressGrant>,
    /// Where validation may connect to; an address that it may not is none to order.
    pub reachable: NameRules,
    /// Whether names have to stand under a registry of the public DNS.
    pub public: bool,
    /// Of a test CA: every name and address may be ordered but the forbidden ones.
    #[cfg(feature = "dev")]
    pub anything: bool,
}

/// Names that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// This name.
    pub name: DnsName,
    /// And all below it.
    pub below: bool,
}

/// What a `[[names]]` rule says about issuing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGrant {
    /// For which names.
    pub pattern: NamePattern,
    /// Issued for, or not; nothing said leaves it to a less specific rule.
    pub allow: Option<bool>,
}

/// What an `[[addresses]]` rule says about issuing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressGrant {
    /// For which addresses.
    pub range: IpNet,
    /// As with names.
    pub allow: Option<bool>,
}

/// What is asked for, as rules on names see it.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    base: &'a DnsName,
    wildcard: bool,
}

impl NamePattern {
    /// Reads `NAME`, that name alone, or `.NAME`, with all below it.
    ///
    /// # Errors
    /// When it is no DNS name.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        Ok(Self {
            name: parse_suffix(text)?,
            below: text.starts_with('.'),
        })
    }

    /// Whether a name is covered, and of a wildcard all that it stands for; addresses never are.
    pub(super) fn covers_identifier(&self, identifier: &Identifier) -> bool {
        match identifier {
            Identifier::Dns(base) => self.covers(Asked {
                base,
                wildcard: false,
            }),
            Identifier::WildcardDns(base) => self.covers(Asked {
                base,
                wildcard: true,
            }),
            Identifier::Ip(_) => false,
        }
    }

    /// Whether everything that is asked for is covered. A wildcard is covered only by what holds below its base.
    fn covers(&self, asked: Asked<'_>) -> bool {
        if self.below {
            asked.base.is_subdomain_of(&self.name)
        } else {
            !asked.wildcard && *asked.base == self.name
        }
    }

    /// Whether some of what is asked for is touched: a wildcard also stands for a name one label below its base.
    fn touches(&self, asked: Asked<'_>) -> bool {
        self.covers(asked) || (asked.wildcard && self.name.parent().as_ref() == Some(asked.base))
    }

    /// The more specific has the longer name; at one name, exactly that name before all below it.
    fn precision(&self) -> (usize, bool) {
        (self.name.as_str().len(), !self.below)
    }

    fn describe(&self) -> String {
        if self.below {
            format!("{} and below", self.name)
        } else {
            self.name.to_string()
        }
    }
}

impl NamePolicy {
    /// Judges all identifiers and names each offending one.
    ///
    /// # Errors
    /// `rejectedIdentifier`.
    pub fn judge(&self, identifiers: &[Identifier]) -> Result<(), Problem> {
        self.judge_for(None, identifiers)
    }

    /// The same for an account, which an external key may have opened for certain names only.
    ///
    /// # Errors
    /// `rejectedIdentifier`.
    pub fn judge_for(
        &self,
        external: Option<&ExternalAccount>,
        identifiers: &[Identifier],
    ) -> Result<(), Problem> {
        let faults: Vec<Subproblem> = identifiers
            .iter()
            .filter_map(|identifier| {
                let fault = self.fault(identifier);
                let fault = fault.or_else(|| external?.fault(identifier));
                fault.map(|detail| {
                    Subproblem::new(
                        ProblemType::RejectedIdentifier,
                        format!("{identifier}: {detail}"),
                        identifier.clone(),
                    )
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
        match identifier {
            Identifier::Dns(base) => self.name_fault(Asked {
                base,
                wildcard: false,
            }),
            Identifier::WildcardDns(base) => self.name_fault(Asked {
                base,
                wildcard: true,
            }),
            Identifier::Ip(address) => self.address_fault(*address),
        }
    }

    #[cfg(feature = "dev")]
    fn allows_anything(&self) -> bool {
        self.anything
    }

    #[cfg(not(feature = "dev"))]
    #[expect(clippy::unused_self, reason = "a test CA's answer depends on it")]
    fn allows_anything(&self) -> bool {
        false
    }

    fn name_fault(&self, asked: Asked<'_>) -> Option<String> {
        if self.allows_anything() {
            return self.forbidden(asked);
        }
        self.constrained(asked)
            .or_else(|| self.forbidden(asked))
            .or_else(|| self.ungranted(asked))
            .or_else(|| self.nobodys(asked))
    }

    /// 5280-4.2.1.10-1: outside the constraints no client would accept the certificate.
    fn constrained(&self, asked: Asked<'_>) -> Option<String> {
        let name = if asked.wildcard {
            format!("*.{}", asked.base)
        } else {
            asked.base.to_string()
        };
        let by = self.constraints.iter().find(|c| !c.permits_dns(&name))?;
        let permitted = by.permitted_dns();
        Some(if permitted.is_empty() {
            "this CA's certificate excludes it (name constraints); use another CA".to_owned()
        } else {
            format!(
                "this CA may sign only for {} and below (its certificate's name constraints); order such a name or use another CA",
                permitted.join(", ")
            )
        })
    }

    fn forbidden(&self, asked: Asked<'_>) -> Option<String> {
        let by = self.forbidden.iter().find(|p| p.touches(asked))?;
        Some(format!(
            "this CA never issues for {} (its list of forbidden names); order another name",
            by.describe()
        ))
    }

    fn ungranted(&self, asked: Asked<'_>) -> Option<String> {
        let said = || {
            self.names
                .iter()
                .filter_map(|g| Some((&g.pattern, g.allow?)))
        };
        let decides = said()
            .filter(|(pattern, _)| pattern.covers(asked))
            .max_by_key(|(pattern, _)| pattern.precision());
        // What a rule denies below the base, the wildcard would give away.
        let given_away = said().find(|(pattern, allow)| {
            !allow && asked.wildcard && !pattern.covers(asked) && pattern.touches(asked)
        });
        match (decides, given_away) {
            (Some((pattern, false)), _) | (_, Some((pattern, _))) => Some(format!(
                "a rule of this CA denies {}; order another name, or ask the operator",
                pattern.describe()
            )),
            (Some((_, true)), None) => None,
            (None, None) => {
                let allowed: Vec<String> = said()
                    .filter(|(_, allow)| *allow)
                    .map(|(pattern, _)| pattern.describe())
                    .collect();
                (!allowed.is_empty()).then(|| {
                    format!(
                        "no rule of this CA allows it; it issues for {}",
                        listed(&allowed)
                    )
                })
            }
        }
    }

    /// Public suffixes, names of one label, top-level domains that nobody has.
    fn nobodys(&self, asked: Asked<'_>) -> Option<String> {
        let base = asked.base;
        let standing = standing(base);
        if standing == Standing::PublicSuffix {
            // BR 3.2.2.6: unless the whole suffix is the applicant's.
            let owned = !self.public
                && self
                    .names
                    .iter()
                    .any(|g| g.allow == Some(true) && g.pattern.name == *base);
            return (!owned).then(|| {
                format!(
                    "{base} is a public suffix, under which names of many owners stand; order names below it"
                )
            });
        }
        if self.public && standing == Standing::UnknownTopLevel {
            return Some(
                "its top-level domain is not one of the public DNS; order a public name".to_owned(),
            );
        }
        let known = self
            .names
            .iter()
            .any(|g| g.pattern.covers(asked) && g.allow != Some(false));
        (base.label_count() < 2 && !known).then(|| {
            "a name of one label belongs to nobody; use a full domain name, or let the operator add a [[names]] rule for it".to_owned()
        })
    }

    fn address_fault(&self, address: IpAddr) -> Option<String> {
        if self.allows_anything() {
            return None;
        }
        // Rules for the IPv4 address would not see it in its other writing (RFC 6052).
        if let IpAddr::V6(six) = address
            && six.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
        {
            return Some(
                "it is an IPv4 address behind a translator (64:ff9b::/96); order the IPv4 address"
                    .to_owned(),
            );
        }
        if let Some(by) = self.constraints.iter().find(|c| !c.permits_ip(address)) {
            let permitted = by.permitted_ranges();
            return Some(if permitted.is_empty() {
                "this CA may sign for no such address (its certificate's name constraints); order a name or use another CA".to_owned()
            } else {
                format!(
                    "this CA may sign only for addresses in {} (its certificate's name constraints); use another CA",
                    permitted.join(", ")
                )
            });
        }
        let said = || {
            self.addresses
                .iter()
                .filter_map(|g| Some((g.range, g.allow?)))
        };
        let decides = said()
            .filter(|(range, _)| range.contains(&address))
            .max_by_key(|(range, _)| range.prefix_len());
        match decides {
            Some((range, false)) => {
                return Some(format!(
                    "a rule of this CA denies {range}; order another address, or ask the operator"
                ));
            }
            Some((_, true)) => {}
            None => {
                let allowed: Vec<String> = said()
                    .filter(|(_, allow)| *allow)
                    .map(|(range, _)| range.to_string())
                    .collect();
                if !allowed.is_empty() {
                    return Some(format!(
                        "no rule of this CA allows it; it issues for {}",
                        listed(&allowed)
                    ));
                }
            }
        }
        // 8738-9-1
        let denied = self.reachable.judge_identifier(address).err()?;
        Some(format!(
            "it is no global address ({}); order a global one, or let the operator add an [[addresses]] rule for it",
            denied.range
        ))
    }
}

/// A few of many.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 5;
    let few: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}

#[cfg(test)]
mod tests;
