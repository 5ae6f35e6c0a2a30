//! The one dialer: a name is resolved once per hop, an address stands for itself; what comes of it is judged, and the connection
//! goes to the very address that passed (T-CA-64 to -66). It knows no proxies (T-CA-71).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::counters::{Counters, bump};
use super::host::Host;
use super::limits::{Permit, TargetLimits};
use super::resolver::{Addresses, LookupFault, Resolver};
use super::rules::{Denied, NameRules};
use super::trace::{Step, Trace, millis};

/// Opens connections to validated hosts.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) resolver: Resolver,
    pub(super) limits: Arc<TargetLimits>,
    pub(super) counters: Arc<Counters>,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Addresses tried in vain before.
    pub(super) failed: Vec<(SocketAddr, ConnectFault)>,
    /// What the host resolved to.
    pub(super) resolved: Addresses,
    /// To be kept for as long as the connection.
    pub(super) permit: Permit,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DialFault {
    Lookup(LookupFault),
    /// Every address was denied.
    NotPermitted(Vec<(IpAddr, Denied)>),
    /// No permitted address could be connected to.
    NoConnection(Vec<(SocketAddr, ConnectFault)>),
    /// `localhost` and names below it have addresses only under a rule.
    Localhost,
}

/// Why one address could not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectFault {
    #[error("refused the connection")]
    Refused,
    #[error("did not answer in time")]
    Timeout,
    #[error("had too many validations running, and this one's time was over")]
    Busy,
    #[error("could not be reached ({0})")]
    Other(io::ErrorKind),
    #[error("is this CA itself")]
    Own,
}

impl Dialer {
    /// Resolves, judges and connects: the first IPv6 address, then the first IPv4 address.
    pub(super) async fn dial(
        &self,
        host: &Host,
        port: u16,
        rules: &NameRules,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Dialed, DialFault> {
        let resolved = self.resolve(host, rules, deadline, trace).await?;
        let candidates = self.judge(host, &resolved.found, port, rules, trace)?;
        let mut failed = Vec::new();
        for (turn, address) in candidates.iter().enumerate() {
            let began = Instant::now();
            // The fallback keeps its share of the time.
            let patience = if turn + 1 < candidates.len() {
                FIRST_CONNECT
            } else {
                CONNECT
            };
            let until = deadline.min(began + patience);
            let tried = self.connect(host, *address, rules, until).await;
            trace.push(Step::Connect {
                address: *address,
                result: tried
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| "connected".to_owned()),
                took_ms: millis(began.elapsed()),
            });
            match tried {
                Ok((stream, permit)) => {
                    let address = *address;
                    return Ok(Dialed {
                        stream,
                        address,
                        failed,
                        resolved,
                        permit,
                    });
                }
                Err(fault) => failed.push((*address, fault)),
            }
        }
        Err(DialFault::NoConnection(failed))
    }

    async fn resolve(
        &self,
        host: &Host,
        rules: &NameRules,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Addresses, DialFault> {
        if let Some(found) = rules.localhost(host) {
            if found.is_empty() {
                trace.push(Step::NotLookedUp {
                    name: host.to_string(),
                    why: "no rule covers names under localhost".to_owned(),
                });
                return Err(DialFault::Localhost);
            }
            return Ok(Addresses {
                found,
                aliases: Vec::new(),
                authenticated: false,
            });
        }
        match host {
            Host::Name(name) => self
                .resolver
                .addresses(name.as_str(), deadline, trace)
                .await
                .map_err(DialFault::Lookup),
            // 8738-4-1: no DNS comes into it.
            Host::Address(address) => Ok(Addresses {
                found: vec![*address],
                aliases: Vec::new(),
                authenticated: false,
            }),
        }
    }

    /// Keeps one address of each family that is permitted.
    fn judge(
        &self,
        host: &Host,
        found: &[IpAddr],
        port: u16,
        rules: &NameRules,
        trace: &mut Trace,
    ) -> Result<Vec<SocketAddr>, DialFault> {
        let mut denied = Vec::new();
        let mut permitted: Vec<SocketAddr> = Vec::new();
        for ip in found {
            match rules.judge(host, *ip, port) {
                Ok(_) if permitted.iter().any(|p| p.is_ipv6() == ip.is_ipv6()) => {}
                Ok(_) => permitted.push(SocketAddr::new(*ip, port)),
                Err(why) => {
                    bump(&self.counters.denied);
                    trace.push(Step::Denied {
                        name: host.to_string(),
                        address: *ip,
                        why: why.to_string(),
                    });
                    denied.push((*ip, why));
                }
            }
        }
        permitted.sort_by_key(SocketAddr::is_ipv4);
        if permitted.is_empty() {
            Err(DialFault::NotPermitted(denied))
        } else {
            Ok(permitted)
        }
    }

    async fn connect(
        &self,
        host: &Host,
        address: SocketAddr,
        rules: &NameRules,
        until: Instant,
    ) -> Result<(TcpStream, Permit), ConnectFault> {
        let permit = match timeout_at(until, self.limits.acquire(address.ip())).await {
            Ok(Some(permit)) => permit,
            _ => return Err(ConnectFault::Busy),
        };
        bump(&self.counters.connects);
        let stream = match timeout_at(until, TcpStream::connect(address)).await {
            Err(_) => return Err(ConnectFault::Timeout),
            Ok(Err(e)) => {
                return Err(match e.kind() {
                    io::ErrorKind::ConnectionRefused => ConnectFault::Refused,
                    io::ErrorKind::TimedOut => ConnectFault::Timeout,
                    kind => ConnectFault::Other(kind),
                });
            }
            Ok(Ok(stream)) => stream,
        };
        let local = stream
            .local_addr()
            .map_err(|e| ConnectFault::Other(e.kind()))?;
        rules
            .judge_connected(host, local.ip(), address)
            .map_err(|_| ConnectFault::Own)?;
        bump(&self.counters.connected);
        Ok((stream, permit))
    }
}

/// Patience with an address when another is left to try.
const FIRST_CONNECT: Duration = Duration::from_secs(3);
/// Patience with the last one.
const CONNECT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
