//! Which addresses and ports a name may lead the CA to (design section 4; RFC 8555 section 10.4).
//!
//! Pure: every address that validation is about to dial passes [`NameRules::judge`] first, after
//! each resolution and at each redirect.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cairn_acme::identifier::DnsName;
use ipnet::IpNet;
#[cfg(feature = "dev")]
use ipnet::{Ipv4Net, Ipv6Net};

use super::host::Host;
use super::special::{Opens, Special, special_range};

/// One `[[names]]` rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// The rule holds for this name and, unless it is exact, every name below it.
    pub suffix: DnsName,
    /// The rule holds for the name alone.
    pub exact: bool,
    /// Ranges that these names may lead to, besides global addresses.
    pub dial: Vec<IpNet>,
    /// The port used in place of 80.
    pub http_port: Option<u16>,
    /// The port used in place of 443.
    pub tls_port: Option<u16>,
}

impl NameRule {
    fn holds_for(&self, name: &DnsName) -> bool {
        if self.exact {
            self.suffix == *name
        } else {
            name.is_subdomain_of(&self.suffix)
        }
    }
}

/// One `[[addresses]]` rule: its range may be dialled when an address in it is itself what is validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// The rule holds for these addresses.
    pub range: IpNet,
    /// The port used in place of 80.
    pub http_port: Option<u16>,
    /// The port used in place of 443.
    pub tls_port: Option<u16>,
}

/// What the rule for one host says, whichever kind of rule it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// Ranges that the host may lead to, besides global addresses.
    pub dial: &'a [IpNet],
    /// The port used in place of 80.
    pub http_port: Option<u16>,
    /// The port used in place of 443.
    pub tls_port: Option<u16>,
}

impl Rule<'_> {
    fn grants(&self, ip: IpAddr) -> Option<IpNet> {
        self.dial.iter().find(|net| net.contains(&ip)).copied()
    }
}

/// All rules of one configuration snapshot, with the CA's own listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// The most specific first, so that the first match is it: longest suffix, exact before all below.
    names: Vec<NameRule>,
    /// Longest prefix first.
    addresses: Vec<AddressRule>,
    own: Vec<SocketAddr>,
    /// Of a test CA: every host leads wherever DNS says, to these ports first.
    #[cfg(feature = "dev")]
    anywhere: Option<Ports>,
}

/// Where a test CA's validations connect to.
#[cfg(feature = "dev")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// In place of 80.
    pub http: u16,
    /// In place of 443.
    pub tls: u16,
}

/// Why an address may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The range of the rule that grants it; `None` for a global address.
    pub range: Option<IpNet>,
}

/// Why an address may not be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The name of the range that the address lies in.
    pub range: &'static str,
    /// What stands against it.
    pub reason: DenialReason,
}

/// What stands against an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// No rule grants this range to the name.
    NotGranted,
    /// Nothing can grant this range.
    NeverDialled,
    /// The port is neither the usual one nor the rule's own.
    Port,
    /// The CA itself listens there.
    OwnListener,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            DenialReason::NotGranted => write!(f, "{}, not granted to this name", self.range),
            DenialReason::NeverDialled => write!(f, "{}, never a server's address", self.range),
            DenialReason::Port => f.write_str("the port is not one that validation may use"),
            DenialReason::OwnListener => f.write_str("a listener of the CA itself"),
        }
    }
}

impl NameRules {
    /// Builds the rules from configuration values and the addresses that the CA listens on.
    ///
    /// A listener on an unspecified address (`0.0.0.0`, `::`) counts for every loopback address;
    /// the dialer finds its other addresses out with [`NameRules::judge_connected`].
    pub fn new(mut names: Vec<NameRule>, own: Vec<SocketAddr>) -> Self {
        names.sort_by_key(|rule| std::cmp::Reverse((rule.suffix.as_str().len(), rule.exact)));
        Self {
            names,
            addresses: Vec::new(),
            own,
            #[cfg(feature = "dev")]
            anywhere: None,
        }
    }

    /// Lets every host lead wherever DNS says: a test CA's alone.
    #[cfg(feature = "dev")]
    pub(crate) fn open(&mut self, ports: Ports) {
        self.anywhere = Some(ports);
    }

    /// What is granted to everybody, if all is.
    #[cfg(feature = "dev")]
    fn granted_to_all(&self, ip: IpAddr) -> Option<Granted> {
        self.anywhere?;
        let range = ALL.into_iter().find(|net| net.contains(&ip));
        Some(Granted { range })
    }

    #[cfg(not(feature = "dev"))]
    fn granted_to_all(&self, _: IpAddr) -> Option<Granted> {
        None
    }

    /// Adds the rules for hosts that are addresses.
    #[must_use]
    pub fn with_addresses(mut self, mut addresses: Vec<AddressRule>) -> Self {
        addresses.sort_by_key(|rule| std::cmp::Reverse(rule.range.prefix_len()));
        self.addresses = addresses;
        self
    }

    /// Finds the most specific rule for a host.
    pub fn rule_for(&self, host: &Host) -> Option<Rule<'_>> {
        #[cfg(feature = "dev")]
        if let Some(ports) = self.anywhere {
            return Some(Rule {
                dial: &ALL,
                http_port: Some(ports.http),
                tls_port: Some(ports.tls),
            });
        }
        match host {
            Host::Name(name) => {
                let rule = self.names.iter().find(|rule| rule.holds_for(name))?;
                Some(Rule {
                    dial: &rule.dial,
                    http_port: rule.http_port,
                    tls_port: rule.tls_port,
                })
            }
            Host::Address(address) => {
                let mut rules = self.addresses.iter();
                let rule = rules.find(|rule| rule.range.contains(address))?;
                Some(Rule {
                    dial: std::slice::from_ref(&rule.range),
                    http_port: rule.http_port,
                    tls_port: rule.tls_port,
                })
            }
        }
    }

    /// Tells the port to use for plain HTTP with a host.
    pub fn http_port(&self, host: &Host) -> u16 {
        self.rule_for(host)
            .and_then(|rule| rule.http_port)
            .unwrap_or(HTTP)
    }

    /// Tells the port to use for TLS with a host.
    pub fn tls_port(&self, host: &Host) -> u16 {
        self.rule_for(host)
            .and_then(|rule| rule.tls_port)
            .unwrap_or(TLS)
    }

    /// Judges whether an address may be an identifier: global, or in a range that a rule names.
    ///
    /// # Errors
    ///
    /// [`Denied`] names the address's range.
    pub fn judge_identifier(&self, ip: IpAddr) -> Result<Granted, Denied> {
        if let Some(granted) = self.granted_to_all(ip) {
            return Ok(granted);
        }
        judge_address(self.rule_for(&Host::Address(ip)), ip)
    }

    /// Gives the addresses of `localhost` and names below it, which are never looked up (RFC 6761
    /// section 6.3).
    ///
    /// Such a name has addresses only under a rule, else the list is empty.
    pub fn localhost(&self, host: &Host) -> Option<Vec<IpAddr>> {
        let Host::Name(name) = host else {
            return None;
        };
        // A test CA's DNS may be told what it says of any name.
        #[cfg(feature = "dev")]
        if self.anywhere.is_some() {
            return None;
        }
        if !is_localhost(name) {
            return None;
        }
        Some(match self.rule_for(host) {
            Some(_) => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
            None => Vec::new(),
        })
    }

    /// Judges whether a host may lead the CA to this address and port.
    ///
    /// # Errors
    ///
    /// [`Denied`] names the address's range.
    pub fn judge(&self, host: &Host, ip: IpAddr, port: u16) -> Result<Granted, Denied> {
        if let Some(granted) = self.granted_to_all(ip) {
            return Ok(granted);
        }
        let rule = self.rule_for(host);
        let granted = judge_address(rule, ip)?;
        let rules_own = rule.is_some_and(|r| r.http_port == Some(port) || r.tls_port == Some(port));
        if port != HTTP && port != TLS && !rules_own {
            return Err(Denied {
                range: "port",
                reason: DenialReason::Port,
            });
        }
        // A rule that sends validation to the port of a listener of ours, inside a range of its
        // own, says so explicitly; anything less would let a subscriber reach them.
        if self.is_own(ip, port) && !(rules_own && granted.range.is_some()) {
            return Err(Denied {
                range: "own listener",
                reason: DenialReason::OwnListener,
            });
        }
        Ok(granted)
    }

    /// Judges whether a zone's server of this name may be asked at this address, on the port of DNS: the owner of the
    /// zone chose both.
    ///
    /// # Errors
    ///
    /// [`Denied`] names the address's range.
    pub(super) fn judge_name_server(&self, host: &Host, ip: IpAddr) -> Result<Granted, Denied> {
        if let Some(granted) = self.granted_to_all(ip) {
            return Ok(granted);
        }
        let granted = judge_address(self.rule_for(host), ip)?;
        if self.is_own(ip, DNS) {
            return Err(Denied {
                range: "own listener",
                reason: DenialReason::OwnListener,
            });
        }
        Ok(granted)
    }

    /// Judges a connection once more by its own end: one that starts and ends at the same address
    /// has reached this host, perhaps a listener of the CA on an unspecified address.
    ///
    /// # Errors
    ///
    /// [`Denied`] when the port is one that the CA listens on.
    pub fn judge_connected(
        &self,
        host: &Host,
        local: IpAddr,
        peer: SocketAddr,
    ) -> Result<(), Denied> {
        if self.granted_to_all(local).is_some() {
            return Ok(());
        }
        let everywhere = |own: &SocketAddr| own.ip().is_unspecified() && own.port() == peer.port();
        if local != peer.ip() || !self.own.iter().any(everywhere) {
            return Ok(());
        }
        let rule = self.rule_for(host);
        let port = Some(peer.port());
        if rule.is_some_and(|r| {
            (r.http_port == port || r.tls_port == port) && r.grants(peer.ip()).is_some()
        }) {
            return Ok(());
        }
        Err(Denied {
            range: "own listener",
            reason: DenialReason::OwnListener,
        })
    }

    fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        self.own.iter().any(|own| {
            let listens = own.ip().to_canonical();
            own.port() == port && (listens == ip || (listens.is_unspecified() && ip.is_loopback()))
        })
    }
}

fn judge_address(rule: Option<Rule<'_>>, ip: IpAddr) -> Result<Granted, Denied> {
    let Some(special) = special_range(ip) else {
        return Ok(Granted { range: None });
    };
    let denied = |reason| {
        Err(Denied {
            range: special.name,
            reason,
        })
    };
    if special.opens == Opens::Never {
        return denied(DenialReason::NeverDialled);
    }
    let range = rule.and_then(|rule| {
        rule.dial
            .iter()
            .find(|net| net.contains(&ip) && is_explicit(net, &special))
            .copied()
    });
    let Some(range) = range else {
        return denied(DenialReason::NotGranted);
    };
    // Packets end at the IPv4 address, so it has to be granted as well.
    if let Some(embedded) = special.embedded {
        judge_address(rule, embedded.into())?;
    }
    Ok(Granted { range: Some(range) })
}

/// Tells whether a rule's range is explicit enough for a special range.
fn is_explicit(net: &IpNet, special: &Special) -> bool {
    match special.opens {
        Opens::Never => false,
        Opens::Alone => net.prefix_len() == net.max_prefix_len(),
        Opens::Within => {
            IpNet::new(special.base, special.bits).is_ok_and(|special| special.contains(net))
        }
        Opens::Covered => true,
    }
}

/// Tells whether a name is `localhost` or below it: it is then never looked up (RFC 6761 section 6.3).
pub(super) fn is_localhost(name: &DnsName) -> bool {
    covers("localhost", name.as_str())
}

/// Tells whether `name` is `suffix` or lies below it, at label boundaries.
pub(super) fn covers(suffix: &str, name: &str) -> bool {
    match name.strip_suffix(suffix) {
        Some("") => true,
        Some(rest) => rest.ends_with('.'),
        None => false,
    }
}

/// Every address.
#[cfg(feature = "dev")]
const ALL: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
];

/// The port of plain HTTP, RFC 8555 section 8.3.
const HTTP: u16 = 80;
/// The port of TLS, RFC 8737 section 3 and the target of redirects to https.
const TLS: u16 = 443;

/// The port of DNS servers.
pub(super) const DNS: u16 = 53;

#[cfg(test)]
mod tests;
