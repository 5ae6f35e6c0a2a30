//! Which addresses and ports a name may lead the CA to (design section 4; RFC 8555 section 10.4).
//!
//! Pure: every address that validation is about to dial passes [`NameRules::judge`] first, after
//! each resolution and at each redirect.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cairn_acme::identifier::DnsName;
use ipnet::IpNet;

use super::special::{Opens, Special, special_range};

/// One `[[names]]` rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRule {
    /// The rule holds for this name and every name below it.
    pub suffix: DnsName,
    /// Ranges that these names may lead to, besides global addresses.
    pub dial: Vec<IpNet>,
    /// The port used in place of 80.
    pub http_port: Option<u16>,
    /// The port used in place of 443.
    pub tls_port: Option<u16>,
}

impl NameRule {
    fn grants(&self, ip: IpAddr) -> Option<IpNet> {
        self.dial.iter().find(|net| net.contains(&ip)).copied()
    }
}

/// All rules of one configuration snapshot, with the CA's own listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRules {
    /// Longest suffix first, so that the first match is the most specific one.
    rules: Vec<NameRule>,
    own: Vec<SocketAddr>,
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
    pub fn new(mut rules: Vec<NameRule>, own: Vec<SocketAddr>) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.suffix.as_str().len()));
        Self { rules, own }
    }

    /// Finds the most specific rule for a name.
    pub fn rule_for(&self, name: &DnsName) -> Option<&NameRule> {
        self.rules
            .iter()
            .find(|rule| covers(rule.suffix.as_str(), name.as_str()))
    }

    /// Tells the port to use for plain HTTP with a name.
    pub fn http_port(&self, name: &DnsName) -> u16 {
        self.rule_for(name)
            .and_then(|rule| rule.http_port)
            .unwrap_or(HTTP)
    }

    /// Tells the port to use for TLS with a name.
    pub fn tls_port(&self, name: &DnsName) -> u16 {
        self.rule_for(name)
            .and_then(|rule| rule.tls_port)
            .unwrap_or(TLS)
    }

    /// Gives the addresses of `localhost` and names below it, which are never looked up (RFC 6761
    /// section 6.3).
    ///
    /// Such a name has addresses only under a rule, else the list is empty.
    pub fn localhost(&self, name: &DnsName) -> Option<Vec<IpAddr>> {
        if !covers("localhost", name.as_str()) {
            return None;
        }
        Some(match self.rule_for(name) {
            Some(_) => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
            None => Vec::new(),
        })
    }

    /// Judges whether `name` may lead the CA to this address and port.
    ///
    /// # Errors
    ///
    /// [`Denied`] names the address's range.
    pub fn judge(&self, name: &DnsName, ip: IpAddr, port: u16) -> Result<Granted, Denied> {
        let rule = self.rule_for(name);
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

    /// Judges a connection once more by its own end: one that starts and ends at the same address
    /// has reached this host, perhaps a listener of the CA on an unspecified address.
    ///
    /// # Errors
    ///
    /// [`Denied`] when the port is one that the CA listens on.
    pub fn judge_connected(
        &self,
        name: &DnsName,
        local: IpAddr,
        peer: SocketAddr,
    ) -> Result<(), Denied> {
        let everywhere = |own: &SocketAddr| own.ip().is_unspecified() && own.port() == peer.port();
        if local != peer.ip() || !self.own.iter().any(everywhere) {
            return Ok(());
        }
        let rule = self.rule_for(name);
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

fn judge_address(rule: Option<&NameRule>, ip: IpAddr) -> Result<Granted, Denied> {
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

/// Tells whether `name` is `suffix` or lies below it, at label boundaries.
pub(super) fn covers(suffix: &str, name: &str) -> bool {
    match name.strip_suffix(suffix) {
        Some("") => true,
        Some(rest) => rest.ends_with('.'),
        None => false,
    }
}

/// The port of plain HTTP, RFC 8555 section 8.3.
const HTTP: u16 = 80;
/// The port of TLS, RFC 8737 section 3 and the target of redirects to https.
const TLS: u16 = 443;

#[cfg(test)]
mod tests;
