//! From the configuration's rules on names and addresses to what is issued for and what is connected to.

use std::net::SocketAddr;

use cairn_acme::identifier::{DnsName, parse_suffix};
use cairn_x509::certificate::{Certificate, NameConstraints};

use crate::{
    authority::policy::{AddressGrant, NameGrant, NamePattern, NamePolicy},
    config::{self, Config, Preset},
    validation::{AddressRule, NameRule, NameRules},
};

/// What is issued for where each of these may come to be the issuer.
pub(crate) fn policy<'a>(
    config: &Config,
    issuers: impl IntoIterator<Item = &'a Certificate>,
    reachable: &NameRules,
) -> Result<NamePolicy, String> {
    let mut constraints: Vec<NameConstraints> = Vec::new();
    for issuer in issuers {
        if !constraints.contains(issuer.constraints()) {
            constraints.push(issuer.constraints().clone());
        }
    }
    Ok(NamePolicy {
        constraints,
        forbidden: forbidden(config)?,
        names: name_grants(config)?,
        addresses: address_grants(config),
        reachable: reachable.clone(),
        public: config.preset == Preset::Public,
        #[cfg(feature = "dev")]
        anything: false,
    })
}

/// Where names and addresses may lead.
pub(crate) fn rules(config: &Config, own: Vec<SocketAddr>) -> Result<NameRules, String> {
    let names = config.names.iter().map(|rule| {
        Ok(NameRule {
            suffix: suffix_of(rule)?,
            exact: rule.exact,
            dial: rule.dial.clone(),
            http_port: rule.http_port,
            tls_port: rule.tls_port,
        })
    });
    // What is never issued for is never connected to either.
    let allowed = |rule: &&config::AddressRule| rule.allow != Some(false);
    let addresses = config
        .addresses
        .iter()
        .filter(allowed)
        .map(|rule| AddressRule {
            range: rule.range,
            http_port: rule.http_port,
            tls_port: rule.tls_port,
        });
    Ok(NameRules::new(names.collect::<Result<_, String>>()?, own)
        .with_addresses(addresses.collect()))
}

/// A `[[names]]` rule's suffix.
fn suffix_of(rule: &config::NameRule) -> Result<DnsName, String> {
    parse_suffix(&rule.suffix)
        .map_err(|_| format!("[[names]] suffix = \"{}\" is no DNS name", rule.suffix))
}

fn name_grants(config: &Config) -> Result<Vec<NameGrant>, String> {
    let grant = |rule: &config::NameRule| {
        let pattern = NamePattern {
            name: suffix_of(rule)?,
            below: !rule.exact,
        };
        Ok(NameGrant {
            pattern,
            allow: rule.allow,
        })
    };
    config.names.iter().map(grant).collect()
}

fn address_grants(config: &Config) -> Vec<AddressGrant> {
    let grant = |rule: &config::AddressRule| AddressGrant {
        range: rule.range,
        allow: rule.allow,
    };
    config.addresses.iter().map(grant).collect()
}

fn forbidden(config: &Config) -> Result<Vec<NamePattern>, String> {
    let pattern = |text: &String| {
        NamePattern::parse(text)
            .map_err(|fault| format!("forbidden_names: \"{text}\" is no DNS name: {fault}"))
    };
    config.forbidden_names.iter().map(pattern).collect()
}
