//! Why there is no connection: the look-up, the rules, the network.

use std::net::{IpAddr, SocketAddr};

use cairn_acme::problem::ProblemType;

use super::super::Failure;
use super::super::dialer::{ConnectFault, DialFault};
use super::super::dns_message::{DnsFault, RecordKind};
use super::super::host::Host;
use super::super::inquiry::{Doubt, Doubted};
use super::super::resolver::LookupFault;
use super::super::rules::Denied;

/// The failure of a dial for `subject`. `what` is what should listen there, `after` is what led to the host.
pub(in super::super) fn tell_dial(
    subject: &Host,
    host: &Host,
    fault: &DialFault,
    what: &str,
    after: &str,
) -> Failure {
    let plain = |kind, text: String, transient| {
        Failure::plain(kind, format!("{subject}: {text}{after}"), transient)
    };
    match fault {
        DialFault::Lookup(fault) => lookup_doubt(subject, host, fault, after).failure(),
        DialFault::Localhost => plain(
            ProblemType::Dns,
            "names under localhost lead to this CA's own host, and no rule of this CA allows \
             that. Use a name with an address of its own, or add a [[names]] rule with that \
             suffix."
                .to_owned(),
            false,
        ),
        DialFault::NotPermitted(denied) if matches!(host, Host::Address(_)) => plain(
            ProblemType::Connection,
            format!(
                "this CA may not connect to {}. Ask its operator for an [[addresses]] rule \
                 that grants the range.",
                list(denied)
            ),
            false,
        ),
        DialFault::NotPermitted(denied) => plain(
            ProblemType::Dns,
            format!(
                "{host} leads to {}, where this CA may not connect for this name. Point the \
                 name at an address that this CA may reach, use dns-01, which connects nowhere, \
                 or ask its operator for a rule that grants the range.",
                list(denied)
            ),
            false,
        ),
        DialFault::NoConnection(failed) => plain(
            ProblemType::Connection,
            format!(
                "no connection. {}. {}",
                failures(failed),
                no_connection_remedy(host, failed, what)
            ),
            !failed.iter().all(|(_, fault)| *fault == ConnectFault::Own),
        ),
    }
}

fn lookup_doubt(subject: &Host, host: &Host, fault: &LookupFault, after: &str) -> Doubt {
    let (kind, cause, remedy) = match fault {
        LookupFault::NoSuchName => (
            RecordKind::A,
            format!("{host} has no DNS entry: the answer was NXDOMAIN{after}."),
            "Add an A or AAAA record, or correct the spelling.",
        ),
        LookupFault::NoRecords => (
            RecordKind::A,
            format!("{host} exists in DNS, but has neither an A nor an AAAA record{after}."),
            "Add one, or use dns-01, which needs none.",
        ),
        LookupFault::Failed { kind, fault } => (
            *kind,
            format!("the look-up of {kind} records of {host} failed: {fault}{after}."),
            dns_remedy(fault),
        ),
    };
    Doubt {
        problem: ProblemType::Dns,
        subject: subject.to_string(),
        name: host.to_string(),
        kind,
        what: Doubted::from(fault),
        cause,
        remedy: remedy.to_owned(),
        wanted: None,
        transient: fault.is_transient(),
    }
}

/// A refusal comes from the host itself, silence from something before it, and "unreachable" from here.
fn no_connection_remedy(host: &Host, failed: &[(SocketAddr, ConnectFault)], what: &str) -> String {
    let any = |wanted: fn(&ConnectFault) -> bool| failed.iter().any(|(_, fault)| wanted(fault));
    let port = failed.first().map_or(0, |(address, _)| address.port());
    let mut text = Vec::new();
    if any(|fault| *fault == ConnectFault::Refused) {
        text.push(format!(
            "See that {what} listens there: the refusal came from the host, so no firewall swallows the packets. Behind \
             a router, port {port} has to be forwarded to it."
        ));
    }
    if any(|fault| *fault == ConnectFault::Timeout) {
        text.push(format!(
            "Where not even a refusal comes back, a firewall or a router drops the packets: open TCP port {port} for \
             everybody in the host's firewall, at the provider, in the router."
        ));
    }
    if any(|fault| matches!(fault, ConnectFault::Other(_))) {
        text.push(
            "This CA has no way to that address: correct the record, or the routes and firewalls before it."
                .to_owned(),
        );
    }
    if any(|fault| matches!(fault, ConnectFault::Busy | ConnectFault::Own)) {
        text.push("Order again later, and see where the name leads.".to_owned());
    }
    let six = failed.iter().find(|(address, _)| address.is_ipv6());
    if let (Host::Name(_), Some((six, _))) = (host, six) {
        text.push(format!(
            "IPv6 is tried first: the AAAA record {} has to be right as well, or go.",
            six.ip()
        ));
    }
    text.join(" ")
}

pub(in super::super) fn failures(failed: &[(SocketAddr, ConnectFault)]) -> String {
    let each: Vec<String> = failed
        .iter()
        .map(|(address, fault)| format!("{address} {fault}"))
        .collect();
    each.join("; ")
}

/// Names the ranges, never whether something answers there.
fn list(denied: &[(IpAddr, Denied)]) -> String {
    let mut each: Vec<String> = denied
        .iter()
        .take(4)
        .map(|(ip, why)| format!("{ip} ({})", why.range))
        .collect();
    if denied.len() > each.len() {
        each.push(format!("{} more", denied.len() - each.len()));
    }
    each.join(" and ")
}

/// What helps against a failed look-up as far as the answer itself tells.
pub(in super::super) fn dns_remedy(fault: &DnsFault) -> &'static str {
    match fault {
        DnsFault::ServerFailure => {
            "The zone's name servers fail or its DNSSEC signatures do not verify; their operator \
             has to repair that."
        }
        DnsFault::Timeout | DnsFault::Unreachable(_) => {
            "Either the zone's name servers or this CA's resolver do not answer; try again later."
        }
        DnsFault::AliasLoop(_) | DnsFault::AliasChain => {
            "Correct the CNAME records: one of them has to lead to a name with records."
        }
        _ => "The zone's name servers have to give a proper answer.",
    }
}
