//! From what Pebble's file, flags and environment say to the settings of a test CA.

use std::{
    hash::{BuildHasher, RandomState},
    net::{SocketAddr, TcpListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use cairn_acme::identifier::DnsName;
use cairn_ca::{
    config::{External, ProfileSettings, Span},
    dev::{Conduct, KeyPlan, ListenerFiles, Naming, Ports, RetryAfter, Settings},
};
use cairn_x509::key::KeyKind;

use super::{
    address,
    configuration::{BadConfiguration, Configuration, ExternalKey, KeyAlgorithm},
    environment::Environment,
};
use crate::in_place_of::go_address::BadAddress;

/// How long the name of a DNS server may be unknown, and between two looks.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// Life of a certificate where nothing is said, as 2.10 has it: 90 days. 2.4, which cannot be told otherwise, has five years
/// (157766400 s); that is `certificateValidityPeriod` here.
const LIFE: u64 = 7_776_000;

/// What 2.10 says of the profile that is there where none is configured; 2.4 has no profiles.
const DESCRIPTION: &str = "The default profile";

/// What Pebble answers for its terms of service.
const TERMS: &str = "data:text/plain,Do%20what%20thou%20wilt";

/// Whose CAA records allow it, where nothing is said.
const CAA_IDENTITY: &str = "pebble.letsencrypt.org";

/// Roots beside the first: each takes its keys.
const ALTERNATES_MAX: u64 = 100;

/// Certificates of a chain.
const LENGTH_MAX: u64 = 100;

/// Bounds that Pebble has not.
const UNBOUNDED: usize = 1_000_000;

/// All that is served.
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// As the file has it.
    pub(super) listen: String,
    /// As the file has it; empty: none.
    pub(super) management: String,
    /// As the file has it.
    pub(super) certificate: String,
    /// As the file has it.
    pub(super) private_key: String,
    /// As the flag has it.
    pub(super) dns: Option<String>,
    /// Profiles by name, or none for the only life there is, each with its seconds.
    pub(super) lives: Vec<(Option<String>, u64)>,
    pub(super) external_keys: Vec<ExternalKey>,
    /// What the file says in vain.
    pub(super) warnings: Vec<String>,
}

impl Plan {
    /// Puts it together.
    ///
    /// # Errors
    /// With the path of the value that cannot be used.
    pub(super) fn of(
        read: Configuration,
        environment: &Environment,
        dns: &str,
        strict: bool,
    ) -> Result<Self, BadConfiguration> {
        let fault = BadConfiguration::at;
        let listen = address::listen(&read.listen)
            .map_err(|e| fault("pebble.listenAddress", format!("{:?}: {e}", read.listen)))?;
        let first = listen
            .first()
            .copied()
            .ok_or_else(|| fault("pebble.listenAddress", "no address".to_owned()))?;
        let publication = free_port()
            .map_err(|e| fault("pebble.listenAddress", format!("no port for CRLs: {e}")))?;
        let mut settings = Settings::local(first, publication)
            .map_err(|e| fault("pebble.listenAddress", format!("{:?}: {e}", read.listen)))?;
        settings.scenario.seed = seed();
        settings.listener = Some(files(&read)?);
        settings.keys = keys(&read, environment)?;
        let mut warnings = Vec::new();
        settings.ocsp_url = read.ocsp_url.clone().filter(|url| {
            let plain = url.starts_with("http://");
            if !plain {
                warnings.push(format!(
                    "pebble.ocspResponderURL: {url:?} is left out: certificates name responders by http:// alone"
                ));
            }
            plain
        });
        settings.conduct = conduct(&read, environment, strict);
        let config = &mut settings.config;
        config.listen.subscribers = listen;
        config.name = "Pebble TEST".to_owned();
        config.accounts.terms = Some(TERMS.to_owned());
        config.accounts.external = match read.external_required {
            true => External::Required,
            // A binding that comes unasked is judged all the same.
            false => External::Optional,
        };
        config.accounts.external_source =
            "take one of pebble.externalAccountMACKeys in the configuration".to_owned();
        config.caa_identities = match read.caa_identities.is_empty() {
            true => vec![CAA_IDENTITY.to_owned()],
            false => read.caa_identities.clone(),
        };
        config.forbidden_names = blocked(&read.blocked, &mut warnings);
        config.limits.pending_orders = UNBOUNDED;
        config.limits.pending_authorizations = UNBOUNDED;
        config.limits.bad_signatures_per_minute = u32::MAX;
        config.orders.names_max = UNBOUNDED;
        config.accounts.contacts_max = UNBOUNDED;
        let lives = profiles(&read, &mut settings);
        if !dns.is_empty() {
            let server = found(dns).map_err(|e| fault("-dnsserver", format!("{dns:?}: {e}")))?;
            settings.config.dns.servers = vec![server];
        }
        Ok(Self {
            settings,
            listen: read.listen,
            management: read.management,
            certificate: read.certificate,
            private_key: read.private_key,
            dns: Some(dns.to_owned()).filter(|dns| !dns.is_empty()),
            lives,
            external_keys: read.external_keys,
            warnings,
        })
    }
}

/// Relative to the working directory.
fn files(read: &Configuration) -> Result<ListenerFiles, BadConfiguration> {
    let path = |key: &str, text: &str| {
        if text.is_empty() {
            return Err(BadConfiguration::at(key, "no file is named"));
        }
        std::path::absolute(Path::new(text)).map_err(|e| BadConfiguration::at(key, e.to_string()))
    };
    Ok(ListenerFiles {
        certificate: path("pebble.certificate", &read.certificate)?,
        key: path("pebble.privateKey", &read.private_key)?,
    })
}

/// With all below them. What is no name blocks nothing, as in Pebble.
fn blocked(names: &[String], warnings: &mut Vec<String>) -> Vec<String> {
    let mut blocked = Vec::new();
    for name in names {
        match DnsName::parse(name) {
            Ok(judged) => blocked.push(format!(".{judged}")),
            Err(why) => warnings.push(format!(
                "pebble.domainBlocklist: {name:?} blocks nothing: {why}"
            )),
        }
    }
    blocked
}

fn keys(read: &Configuration, environment: &Environment) -> Result<KeyPlan, BadConfiguration> {
    let within = |key: &str, number: u64, least: u64, most: u64| {
        let fitting = (least..=most).contains(&number);
        let fits = u8::try_from(number).ok().filter(|_| fitting);
        let why = || BadConfiguration::at(key, format!("{number} is not from {least} to {most}"));
        fits.ok_or_else(why)
    };
    Ok(KeyPlan {
        naming: Naming::Pebble,
        kind: match read.key_algorithm {
            KeyAlgorithm::Rsa => KeyKind::Rsa2048,
            KeyAlgorithm::Ecdsa => KeyKind::P256,
        },
        alternates: within(
            "PEBBLE_ALTERNATE_ROOTS",
            environment.alternates,
            0,
            ALTERNATES_MAX,
        )?,
        length: within("PEBBLE_CHAIN_LENGTH", environment.length, 1, LENGTH_MAX)?,
    })
}

fn conduct(read: &Configuration, environment: &Environment, strict: bool) -> Conduct {
    Conduct {
        validation_pause: environment.pause.unwrap_or(0),
        always_valid: environment.always_valid,
        retry_after: Some(RetryAfter {
            authorization: read.retry_authz,
            order: read.retry_order,
        }),
        profiles: read.profiles.keys().cloned().collect(),
        reuse: Some(environment.reuse),
        nonces_refused: environment.nonces_refused,
        orders_per_page: Some(environment.orders_per_page),
        strict,
        ..Conduct::pebble(Ports {
            http: read.http_port,
            tls: read.tls_port,
        })
    }
}

/// Sets the profiles; the answer is what to tell of their lives.
fn profiles(read: &Configuration, settings: &mut Settings) -> Vec<(Option<String>, u64)> {
    let profile = |seconds, description: &str| ProfileSettings {
        description: Some(description.to_owned()).filter(|text| !text.is_empty()),
        life: Span::from_secs(seconds),
        key_encipherment: true,
        client_auth: true,
        ..ProfileSettings::default()
    };
    let usual = read.validity.unwrap_or(LIFE);
    let profiles = &mut settings.config.profile;
    profiles.default = profile(usual, DESCRIPTION);
    if read.profiles.is_empty() {
        return vec![(None, usual)];
    }
    let mut lives = Vec::new();
    for (name, said) in &read.profiles {
        let seconds = said.validity.unwrap_or(usual);
        let made = profile(seconds, &said.description);
        match name.as_str() {
            cairn_ca::config::DEFAULT_PROFILE => profiles.default = made,
            name => {
                profiles.others.insert(name.to_owned(), made);
            }
        }
        lives.push((Some(name.clone()), seconds));
    }
    lives
}

/// Another one at each start: Pebble's dice are never the same.
fn seed() -> u32 {
    let drawn = RandomState::new().hash_one(());
    u32::try_from(drawn >> 32).unwrap_or_default()
}

/// A port of loopback for CRLs, which Pebble has not: certificates name it, so that it has to be known before.
fn free_port() -> std::io::Result<std::net::SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
/// The server of that name, which containers may start after this one.
fn found(server: &str) -> Result<SocketAddr, BadAddress> {
    let start = Instant::now();
    loop {
        match address::connect(server) {
            Err(BadAddress::Host(_)) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
            other => return other,
        }
    }
}
