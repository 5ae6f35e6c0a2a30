//! What must fit together in a configuration, and what preset `public` demands.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use cairn_acme::challenge::ChallengeType;

use super::{
    Config, Dnssec, Preset, PublicationUrl, Span, Unlock, base_url::is_host_name, profiles,
};
use crate::validation::is_global;

/// Names of one order, at most (RFC 8555 names none; a certificate of more is refused by clients' buffers first).
const NAMES_MAX: usize = 100;
/// `NAME Issuing I1` must fit X.520's 64 characters of a common name.
const NAME_CHARS_MAX: usize = 50;

/// It is part of a sentence.
const SOURCE_CHARS_MAX: usize = 300;

/// Fills in what follows from other settings.
pub(super) fn complete(config: &mut Config) {
    if config.listen.subscribers.is_empty() {
        config.listen.subscribers = everywhere(config.url.port());
    }
    if config.listen.publication.is_empty() {
        config.listen.publication = everywhere(if config.url.port() == 443 { 80 } else { 14480 });
    }
    let lower = |text: &mut String| text.make_ascii_lowercase();
    config
        .names
        .iter_mut()
        .for_each(|rule| lower(&mut rule.suffix));
    config.private_zones.iter_mut().for_each(lower);
    config.caa_identities.iter_mut().for_each(lower);
    config.forbidden_names.iter_mut().for_each(lower);
    for rule in &mut config.addresses {
        rule.range = rule.range.trunc();
    }
    // uacme stops at the first challenge of a type that has no token, so those that everybody knows come first.
    let named = std::mem::take(&mut config.orders.challenges);
    let listed = ChallengeType::ALL
        .iter()
        .filter(|kind| named.contains(kind));
    config.orders.challenges = listed.copied().collect();
}

fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![
        (Ipv4Addr::UNSPECIFIED, port).into(),
        (Ipv6Addr::UNSPECIFIED, port).into(),
    ]
}

/// The first thing that does not fit: the setting's key and why.
pub(super) fn check(config: &Config) -> Option<(String, String)> {
    let named = || name(config);
    named()
        .or_else(|| listen(config))
        .or_else(|| paths(config))
        .or_else(|| lives(config))
        .or_else(|| bounds(config))
        .or_else(|| names(config))
        .or_else(|| addresses(config))
        .or_else(|| caa(config))
        .or_else(|| profiles::check(&config.profile))
        .map(|(key, reason)| (key, reason.to_owned()))
}

type Found = Option<(String, &'static str)>;

fn found(wrong: bool, key: &str, reason: &'static str) -> Found {
    wrong.then(|| (key.to_owned(), reason))
}

fn name(config: &Config) -> Found {
    let name = &config.name;
    let bad = name.trim() != name || name.is_empty() || name.chars().any(char::is_control);
    found(
        bad,
        "name",
        "a name has no control characters and no space at its ends",
    )
    .or_else(|| {
        found(
            name.chars().count() > NAME_CHARS_MAX,
            "name",
            "a name has at most 50 characters",
        )
    })
}

fn listen(config: &Config) -> Found {
    let listen = &config.listen;
    let zero = |list: &[SocketAddr]| list.iter().any(|a| a.port() == 0);
    found(
        zero(&listen.subscribers),
        "listen.subscribers",
        "port 0 is none that a client could know",
    )
    .or_else(|| {
        found(
            zero(&listen.publication),
            "listen.publication",
            "port 0 is none that a client could know",
        )
    })
    .or_else(|| {
        let twice = listen.publication.iter().any(|p| {
            listen.subscribers.iter().any(|s| {
                let same_family = s.is_ipv4() == p.is_ipv4();
                let meet = s.ip() == p.ip() || s.ip().is_unspecified() || p.ip().is_unspecified();
                s.port() == p.port() && same_family && meet
            })
        });
        found(
            twice,
            "listen.publication",
            "the subscribers' listener has that port already",
        )
    })
}

fn paths(config: &Config) -> Found {
    let (tls, keys) = (&config.tls, &config.keys);
    let empty = |path: &Path| path.as_os_str().is_empty();
    if !config.url.is_named() && tls.certificate.is_none() && tls.key.is_none() {
        let reason = "is an address: the CA issues for names only, so set tls.certificate and tls.key, or use a name";
        return Some(("url".to_owned(), reason));
    }
    found(
        config.publication().host() != config.url.host(),
        "publication_url",
        "its host is that of url",
    )
    .or_else(|| {
        found(
            tls.certificate.is_some() && tls.key.is_none(),
            "tls.certificate",
            "goes with tls.key: both or none",
        )
    })
    .or_else(|| {
        found(
            tls.key.is_some() && tls.certificate.is_none(),
            "tls.key",
            "goes with tls.certificate: both or none",
        )
    })
    .or_else(|| {
        found(
            keys.unlock == Unlock::File && empty(&keys.passphrase_file),
            "keys.passphrase_file",
            "unlock = \"file\" needs one",
        )
    })
    .or_else(|| {
        // The name becomes a file below $CREDENTIALS_DIRECTORY.
        let bad = keys.credential.is_empty()
            || keys.credential.contains(['/', '\0'])
            || keys.credential.starts_with('.');
        found(
            bad,
            "keys.credential",
            "a credential's name is one file name",
        )
    })
    .or_else(|| found(empty(&keys.issuing_key), "keys.issuing_key", "empty"))
    .or_else(|| found(empty(&keys.ring_key), "keys.ring_key", "empty"))
    .or_else(|| {
        found(
            empty(&keys.issuing_certificate),
            "keys.issuing_certificate",
            "empty",
        )
    })
    .or_else(|| {
        found(
            empty(&keys.root_certificate),
            "keys.root_certificate",
            "empty",
        )
    })
}

fn lives(config: &Config) -> Found {
    let (orders, crl) = (&config.orders, &config.crl);
    let minute = Span::from_secs(60);
    let short = [
        ("orders.life", orders.life, minute),
        (
            "orders.authorization_life",
            orders.authorization_life,
            minute,
        ),
        (
            "orders.pending_authorization_life",
            orders.pending_authorization_life,
            minute,
        ),
        ("crl.every", crl.every, minute),
        ("dns.timeout", config.dns.timeout, Span::from_millis(10)),
        (
            "limits.queue_age",
            config.limits.queue_age,
            Span::from_millis(10),
        ),
        ("sweep.orders_after", config.sweep.orders_after, minute),
        (
            "sweep.audit_after",
            config.sweep.audit_after,
            Span::from_days(1),
        ),
    ];
    let short = short.iter().find(|(_, span, least)| span < least);
    short
        .map(|(key, _, _)| ((*key).to_owned(), "too short to work with"))
        .or_else(|| {
            found(
                crl.every >= crl.life,
                "crl.every",
                "must be shorter than crl.life, or lists run out before the next",
            )
        })
        .or_else(|| {
            found(
                config.limits.hold > Span::from_secs(10),
                "limits.hold",
                "more than 10s: clients give up first",
            )
        })
        .or_else(|| {
            found(
                config.dns.timeout > Span::from_secs(10),
                "dns.timeout",
                "more than 10s would outlast the validation",
            )
        })
}

fn bounds(config: &Config) -> Found {
    let limits = &config.limits;
    let zero = [
        ("accounts.contacts_max", config.accounts.contacts_max),
        ("limits.requests_in_flight", limits.requests_in_flight),
        ("limits.pending_orders", limits.pending_orders),
        (
            "limits.pending_authorizations",
            limits.pending_authorizations,
        ),
        (
            "limits.bad_signatures_per_minute",
            limits.bad_signatures_per_minute as usize,
        ),
    ];
    zero.iter()
        .find(|(_, value)| *value == 0)
        .map(|(key, _)| ((*key).to_owned(), "0 would refuse everybody"))
        .or_else(|| {
            found(
                !(1..=NAMES_MAX).contains(&config.orders.names_max),
                "orders.names_max",
                "from 1 to 100",
            )
        })
        .or_else(|| {
            found(
                config.orders.challenges.is_empty(),
                "orders.challenges",
                "none: nobody could show control of anything",
            )
        })
        .or_else(|| {
            let few = limits.pending_authorizations < config.orders.names_max;
            found(
                few,
                "limits.pending_authorizations",
                "must be at least orders.names_max, or the largest order never fits",
            )
        })
        .or_else(|| {
            let terms = config.accounts.terms.as_deref();
            let bad = terms.is_some_and(|t| {
                !(t.starts_with("https://") || t.starts_with("http://"))
                    || t.contains(|c: char| c.is_control() || c == ' ')
            });
            found(bad, "accounts.terms", "is the URL of a page")
        })
        .or_else(|| {
            let source = &config.accounts.external_source;
            let bad = source.trim().is_empty()
                || source.chars().any(char::is_control)
                || source.chars().count() > SOURCE_CHARS_MAX;
            found(
                bad,
                "accounts.external_source",
                "is one line of text, at most 300 characters",
            )
        })
}

fn names(config: &Config) -> Found {
    for (n, rule) in config.names.iter().enumerate() {
        let key = |field: &str| format!("names[{n}].{field}");
        if !is_host_name(&rule.suffix) {
            return Some((
                key("suffix"),
                "a suffix is a domain name without a dot or a star at its ends",
            ));
        }
        if config
            .names
            .iter()
            .take(n)
            .any(|earlier| earlier.suffix == rule.suffix && earlier.exact == rule.exact)
        {
            return Some((key("suffix"), "an earlier rule has the same suffix"));
        }
        if rule.http_port == Some(0) {
            return Some((key("http_port"), "from 1 to 65535"));
        }
        if rule.tls_port == Some(0) {
            return Some((key("tls_port"), "from 1 to 65535"));
        }
    }
    let forbidden = config
        .forbidden_names
        .iter()
        .any(|name| !is_host_name(name.strip_prefix('.').unwrap_or(name)));
    if forbidden {
        let reason = "a forbidden name is a domain name, with a dot in front if those below it are meant too";
        return Some(("forbidden_names".to_owned(), reason));
    }
    let zone = config.private_zones.iter().any(|zone| !is_host_name(zone));
    found(
        zone,
        "private_zones",
        "a zone is a domain name without a dot at its ends",
    )
}

fn addresses(config: &Config) -> Found {
    for (n, rule) in config.addresses.iter().enumerate() {
        let key = |field: &str| format!("addresses[{n}].{field}");
        let mut earlier = config.addresses.iter().take(n);
        if earlier.any(|earlier| earlier.range == rule.range) {
            return Some((key("range"), "an earlier rule has the same range"));
        }
        if rule.http_port == Some(0) {
            return Some((key("http_port"), "from 1 to 65535"));
        }
        if rule.tls_port == Some(0) {
            return Some((key("tls_port"), "from 1 to 65535"));
        }
    }
    None
}

fn caa(config: &Config) -> Found {
    let prefix = |text: &String| {
        text.strip_prefix("https://").is_some_and(|rest| {
            rest.contains('/') && rest.bytes().all(|b| b.is_ascii_graphic() && b != b';')
        })
    };
    found(
        !config.caa_identities.iter().all(|name| is_host_name(name)),
        "caa_identities",
        "an identity is a domain name without a dot at its ends",
    )
    .or_else(|| {
        found(
            !config.caa_account_prefixes.iter().all(prefix),
            "caa_account_prefixes",
            "a prefix is an https URL up to where an account's id follows",
        )
    })
    .or_else(|| {
        found(
            config.dns.dnssec == Dnssec::TrustResolver && config.dns.servers.is_empty(),
            "dns.dnssec",
            "\"trust-resolver\" goes with dns.servers: trust is for servers that you name",
        )
    })
}

impl Config {
    /// Under which URL certificates name CRLs and issuers: as set, else the CA's host with the port of the listener.
    #[must_use]
    pub fn publication(&self) -> PublicationUrl {
        let port = self.listen.publication.first().map_or(80, SocketAddr::port);
        self.publication_url
            .clone()
            .unwrap_or_else(|| PublicationUrl::beside(&self.url, port))
    }

    /// What preset `public` still lacks, one line each; empty means that nothing stands against a start.
    #[must_use]
    pub fn missing_for_preset(&self) -> Vec<String> {
        if self.preset == Preset::Private {
            return Vec::new();
        }
        // What this version has not got at all.
        let mut missing: Vec<String> = [
            "DNSSEC validation is not built yet",
            "validation from several perspectives (MPIC) is not built yet",
            "Certificate Transparency is not built yet",
            "keys in a PKCS#11 module are not built yet",
        ]
        .map(str::to_owned)
        .into();
        // What this file has and `public` forbids.
        for (name, profile) in self.profile.iter() {
            if profile.life > Span::from_days(200) {
                missing.push(format!(
                    "profile.{name}.life is {}: public certificates live at most 200d",
                    profile.life
                ));
            }
            if profile.client_auth {
                missing.push(format!(
                    "profile.{name}.client_auth: public certificates are for TLS servers alone"
                ));
            }
        }
        if !self.private_zones.is_empty() {
            missing.push("private_zones: a public CA climbs the DNS to its root".to_owned());
        }
        if !self.url.is_named() || self.url.is_local() {
            missing.push(format!(
                "url is {}: a public CA has a public name",
                self.url
            ));
        }
        for rule in &self.names {
            if rule.http_port.is_some() || rule.tls_port.is_some() {
                missing.push(format!(
                    "names, suffix {}: http_port and tls_port are 80 and 443",
                    rule.suffix
                ));
            }
            if !rule.dial.is_empty() {
                missing.push(format!(
                    "names, suffix {}: dial is refused; public names lead to global addresses",
                    rule.suffix
                ));
            }
        }
        for rule in &self.addresses {
            if rule.http_port.is_some() || rule.tls_port.is_some() {
                missing.push(format!(
                    "addresses, range {}: http_port and tls_port are 80 and 443",
                    rule.range
                ));
            }
            if rule.allow != Some(false) && !is_global(&rule.range) {
                missing.push(format!(
                    "addresses, range {}: public addresses are global",
                    rule.range
                ));
            }
        }
        missing
    }
}
