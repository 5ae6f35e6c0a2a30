//! A test CA without any set-up: what `cairn ca dev` starts, for every name, at addresses of one's own machine.

use std::{net::SocketAddr, path::Path};

use super::{Conduct, KeyPlan, Ports, Scenario, Settings, TestCaFault, conduct, folder};
use crate::{
    config::{self, Config},
    setup,
};

/// Where it is found, and what it asks.
#[derive(Debug, Clone)]
pub struct Places {
    /// ACME over TLS.
    pub listen: SocketAddr,
    /// The management interface, and what a CA publishes.
    pub manage: SocketAddr,
    /// Its own DNS.
    pub dns: SocketAddr,
    /// The DNS server that is asked in place of its own.
    pub dns_server: Option<SocketAddr>,
    /// Where validations connect to.
    pub ports: Ports,
    /// Names and addresses by which clients reach it, besides `localhost` and the loopback addresses; the first is its URL's.
    pub hosts: Vec<String>,
}

/// How CAA records name it.
const IDENTITY: &str = "ca.test";

impl Settings {
    /// For these places; `more` are further settings, as `cairn.toml` names them.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn usual(places: &Places, more: &[(String, String)]) -> Result<Self, TestCaFault> {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let list = |address: SocketAddr| format!("[\"{address}\"]");
        let asked = places.dns_server.unwrap_or_else(|| local(places.dns));
        let mut values: Vec<(String, String)> = [
            ("name", quoted("Cairn TEST")),
            (
                "url",
                quoted(&format!("https://{}", reached(places, places.listen))),
            ),
            (
                "publication_url",
                quoted(&format!("http://{}", reached(places, places.manage))),
            ),
            ("caa_identities", format!("[\"{IDENTITY}\"]")),
            ("listen.subscribers", list(places.listen)),
            ("listen.publication", list(places.manage)),
            ("tls.certificate", quoted(folder::LISTENER[0])),
            ("tls.key", quoted(folder::LISTENER[1])),
            ("dns.servers", list(asked)),
            // A machine that is busy with tests is slow, which is no reason to refuse a request.
            ("limits.queue_age", quoted("10m")),
            ("limits.requests_in_flight", "4096".to_owned()),
            // Clients under test break rules by the thousand.
            ("limits.bad_signatures_per_minute", "1000000".to_owned()),
            ("log.level", quoted("warn")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec();
        for (key, value) in more {
            setup::set(&mut values, key, value)
                .map_err(|fault| TestCaFault::Setting(fault.to_string()))?;
        }
        let written: Vec<(&str, String)> = values
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        let text = config::sample(&written, &[], &[]);
        let config = Config::parse(&text, Path::new("the test CA"))
            .map_err(|fault| TestCaFault::Config(Box::new(fault)))?;
        Ok(Self {
            config,
            scenario: Scenario::default(),
            conduct: Conduct {
                open: Some(places.ports),
                managed: true,
                keeps: Some(conduct::KEPT),
                follow_host: true,
                ..Conduct::default()
            },
            hosts: places.hosts.clone(),
            dns: places.dns_server.is_none().then_some(places.dns),
            dir: None,
            transcript: None,
            keys: KeyPlan::default(),
            listener: None,
            ocsp_url: None,
        })
    }
}

/// Where clients find a listener: by the first name, else by its address. What a CA publishes has its URL's host.
fn reached(places: &Places, listener: SocketAddr) -> String {
    match places.hosts.first() {
        Some(host) => format!("{host}:{}", listener.port()),
        None => local(listener).to_string(),
    }
}

/// Where this machine reaches a listener.
fn local(address: SocketAddr) -> SocketAddr {
    let loopback = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let ip = match address.ip().is_unspecified() {
        true => loopback,
        false => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}
