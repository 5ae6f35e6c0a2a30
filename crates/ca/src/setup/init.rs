//! `cairn ca init`: everything that a CA is, in one new directory.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_acme::time::Timestamp;
use cairn_x509::key::KeyKind;
use ipnet::IpNet;
use serde::Serialize;

use super::{
    Passphrase, ROOT_KEY, SetupFault, chain,
    files::{create_dir, create_public, create_secret, sync_dir},
    ring,
};
use crate::config::{self, BaseUrl, Config, FILE_NAME, Keys, Unlock};

/// Roots live long enough that nobody distributes a second one soon; half of what X.509 software was seen to bear.
const ROOT_LIFE: Duration = Duration::from_secs(7305 * 86_400);
/// Issuing keys are in daily use, and are replaced well before the root.
pub(super) const ISSUING_LIFE: Duration = Duration::from_secs(1826 * 86_400);

/// Private ranges that inside names lead to (RFC 1918, RFC 4193).
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// Where `localhost` leads (RFC 6761 §6.3).
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Settings that `--set` does not write: what they say stands in other places than the file too.
const FIXED: [(&str, &str); 4] = [
    ("name", "give it by --name"),
    ("url", "give it by --url"),
    ("keys.unlock", "give it by --unlock"),
    ("preset", "a new CA is a private one"),
];

/// What `cairn ca init` was asked for.
#[derive(Debug)]
pub struct InitRequest {
    /// A directory that is empty or not there.
    pub dir: PathBuf,
    /// The CA's name.
    pub name: String,
    /// Where it will be reached, for ever.
    pub url: BaseUrl,
    /// Names that it may sign for; empty: any.
    pub permit_dns: Vec<String>,
    /// Addresses that it may sign for, where names are constrained.
    pub permit_ip: Vec<IpNet>,
    /// Kind of both keys.
    pub key_kind: KeyKind,
    /// Where the server gets the passphrase from.
    pub unlock: Unlock,
    /// Number of CRL shards, for ever.
    pub crl_shards: u32,
    /// Ports of http-01 and tls-alpn-01 for what is permitted.
    pub ports: (Option<u16>, Option<u16>),
    /// Other settings: (dotted key, TOML or bare text).
    pub settings: Vec<(String, String)>,
    /// Now.
    pub now: Timestamp,
}

/// What was made.
#[derive(Debug, Serialize)]
pub struct InitReport {
    /// The CA's directory.
    pub dir: PathBuf,
    /// The root.
    pub root: CertificateReport,
    /// The issuer.
    pub issuing: CertificateReport,
    /// Suffixes that the issuer may sign for; empty: any name.
    pub permitted: Vec<String>,
    /// Ranges of addresses that it may sign for, where names are constrained.
    pub permitted_ip: Vec<IpNet>,
    /// The root's key, to be moved offline.
    pub root_key: PathBuf,
    /// The passphrase's file, if it lies in one.
    pub passphrase_file: Option<PathBuf>,
    /// The systemd credential's name, if it comes from one.
    pub credential: Option<String>,
    /// The directory's URL.
    pub directory: String,
    /// Whether anything on disk changed; always.
    pub changed: bool,
}

/// One certificate that was made.
#[derive(Debug, Serialize)]
pub struct CertificateReport {
    /// Its common name.
    pub name: String,
    /// Its key's kind.
    pub key: String,
    /// Its end.
    pub not_after: Timestamp,
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of its DER, in hex.
    pub sha256: String,
}

/// How to let a person choose a new passphrase.
pub type Choose<'a> = &'a mut dyn FnMut() -> std::io::Result<Passphrase>;

/// Makes a CA. The passphrase is asked for only once everything else is right, and with `Unlock::File` not at all.
///
/// # Errors
/// What stood against it; what had been made by then is taken away again.
pub fn init(request: &InitRequest, choose: Choose<'_>) -> Result<InitReport, SetupFault> {
    let text = configuration(request)?;
    // The file is not written yet: its place in it would help nobody.
    let config = Config::parse(&text, &request.dir.join(FILE_NAME))
        .map_err(|fault| SetupFault::Request(format!("{}: {}", fault.key, fault.reason)))?;
    let made_dir = claim(&request.dir)?;
    let passphrase = match request.unlock {
        Unlock::File => Passphrase::random(),
        Unlock::Prompt | Unlock::SystemdCreds => choose().map_err(SetupFault::Prompt),
    };
    let outcome = passphrase.and_then(|passphrase| build(request, &config, &text, &passphrase));
    if outcome.is_err() {
        // It was empty before: all that is there is ours.
        clear(&request.dir, made_dir);
    }
    outcome
}

/// Makes sure that the directory is there and empty; says whether it was made.
fn claim(dir: &Path) -> Result<bool, SetupFault> {
    match create_dir(dir) {
        Ok(()) => Ok(true),
        Err(super::FileFault::Exists { .. }) => {
            let io = |error| super::FileFault::Io {
                path: dir.to_owned(),
                error,
            };
            match std::fs::read_dir(dir).map_err(io)?.next() {
                None => Ok(false),
                Some(entry) => {
                    let found = entry
                        .map_err(io)?
                        .file_name()
                        .to_string_lossy()
                        .into_owned();
                    Err(SetupFault::NotEmpty {
                        dir: dir.to_owned(),
                        found,
                    })
                }
            }
        }
        Err(fault) => Err(fault.into()),
    }
}

fn clear(dir: &Path, made_dir: bool) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        let _ = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
    }
    if made_dir {
        let _ = std::fs::remove_dir(dir);
    }
}

fn build(
    request: &InitRequest,
    config: &Config,
    text: &str,
    passphrase: &Passphrase,
) -> Result<InitReport, SetupFault> {
    let dir = &request.dir;
    let Keys {
        issuing_key,
        ring_key,
        issuing_certificate,
        root_certificate,
        passphrase_file,
        credential,
        ..
    } = &config.keys;
    let permitted = permitted(request);
    let made = chain::make(&chain::Wanted {
        name: &request.name,
        kind: request.key_kind,
        permitted_dns: &permitted,
        permitted_ip: &request.permit_ip,
        passphrase: passphrase.as_bytes(),
        now: request.now,
        root_life: ROOT_LIFE,
        issuing_life: ISSUING_LIFE,
    })?;

    create_dir(&dir.join("keys"))?;
    create_secret(&dir.join(ROOT_KEY), made.root_key_pem.as_bytes())?;
    create_secret(&dir.join(issuing_key), made.issuing_key_pem.as_bytes())?;
    ring::make(&dir.join(ring_key), passphrase)?;
    if request.unlock == Unlock::File {
        let line = zeroize::Zeroizing::new([passphrase.as_bytes(), b"\n"].concat());
        create_secret(&dir.join(passphrase_file), &line)?;
    }
    create_public(&dir.join(root_certificate), made.root.pem.as_bytes())?;
    create_public(&dir.join(issuing_certificate), made.issuing.pem.as_bytes())?;
    chain::found_store(dir, &made.issuing.der, request, &config.publication())?;
    // Last: a directory with cairn.toml is a whole CA.
    create_public(&dir.join(FILE_NAME), text.as_bytes())?;
    sync_dir(&dir.join("keys"))?;
    sync_dir(dir)?;

    let report = |made: &chain::Made, path: &Path| CertificateReport {
        name: made.name.clone(),
        key: chain::kind_name(request.key_kind).to_owned(),
        not_after: made.not_after,
        path: dir.join(path),
        sha256: made.sha256.clone(),
    };
    Ok(InitReport {
        dir: dir.clone(),
        root: report(&made.root, root_certificate),
        issuing: report(&made.issuing, issuing_certificate),
        permitted,
        permitted_ip: request.permit_ip.clone(),
        root_key: dir.join(ROOT_KEY),
        passphrase_file: (request.unlock == Unlock::File).then(|| dir.join(passphrase_file)),
        credential: (request.unlock == Unlock::SystemdCreds).then(|| credential.clone()),
        directory: format!("{}/directory", request.url),
        changed: true,
    })
}

/// The name constraints: what was permitted, and the CA's own host, which must be able to have a certificate too.
fn permitted(request: &InitRequest) -> Vec<String> {
    let mut suffixes: Vec<String> = request
        .permit_dns
        .iter()
        .map(|s| s.to_ascii_lowercase())
        .collect();
    if !suffixes.is_empty() {
        let host = request.url.host();
        let within = |suffix: &String| host == suffix || host.ends_with(&format!(".{suffix}"));
        if !suffixes.iter().any(within) {
            suffixes.push(host.to_owned());
        }
    }
    suffixes
}

/// `cairn.toml`, from the request.
fn configuration(request: &InitRequest) -> Result<String, SetupFault> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let list = |items: &[String]| toml::Value::from(items.to_vec()).to_string();
    let port = request.url.port();
    let publication = if port == 443 { 80 } else { 14480 };
    let mut values = vec![
        ("name".to_owned(), quoted(&request.name)),
        ("url".to_owned(), quoted(&request.url.to_string())),
        ("private_zones".to_owned(), list(&request.permit_dns)),
        (
            "listen.subscribers".to_owned(),
            list(&addresses(request.url.is_local(), port)),
        ),
        (
            "listen.publication".to_owned(),
            list(&addresses(request.url.is_local(), publication)),
        ),
        (
            "keys.unlock".to_owned(),
            toml::Value::try_from(request.unlock)
                .map(|v| v.to_string())
                .unwrap_or_default(),
        ),
    ];
    for (key, value) in &request.settings {
        if let Some((_, instead)) = FIXED.iter().find(|(fixed, _)| fixed == key) {
            return Err(SetupFault::Request(format!("--set {key}: {instead}")));
        }
        set(&mut values, key, value)?;
    }
    let name_rules: Vec<_> = request
        .permit_dns
        .iter()
        .map(|suffix| name_rule(suffix, request.ports))
        .collect();
    let address_rules: Vec<_> = request
        .permit_ip
        .iter()
        .map(|range| address_rule(*range, request.ports))
        .collect();
    let sample = |values: &[(String, String)]| {
        let values: Vec<(&str, String)> = values
            .iter()
            .map(|(k, v)| (k.as_str(), v.clone()))
            .collect();
        config::sample(&values, &name_rules, &address_rules)
    };
    // Written out as it follows from the listeners now: they may move later, it may not. A wrong text is told by who
    // reads it next.
    let text = sample(&values);
    if let Ok(config) = Config::parse(&text, &request.dir.join(FILE_NAME)) {
        values.retain(|(key, _)| key != "publication_url");
        values.push((
            "publication_url".to_owned(),
            quoted(&config.publication().to_string()),
        ));
        return Ok(sample(&values));
    }
    Ok(text)
}

/// Puts a setting of a command line (`--set KEY=VALUE`) in the place of another value of it.
pub(crate) fn set(
    values: &mut Vec<(String, String)>,
    key: &str,
    value: &str,
) -> Result<(), SetupFault> {
    if !config::SETTINGS
        .iter()
        .any(|s| !s.is_repeated() && s.path() == key)
    {
        return Err(SetupFault::Request(match config::nearest(key) {
            // Known in a file, where its table can be written.
            Some(near) if near == key => format!(
                "--set {key}: only profile.default is written here; add the table to cairn.toml"
            ),
            Some(near) => format!("--set {key}: no such setting; did you mean {near}?"),
            None => format!("--set {key}: no such setting"),
        }));
    }
    // Text needs no quotes on a command line; what is TOML already stays.
    let toml = format!("x = {value}").parse::<toml::Table>().is_ok() && !value.contains('\n');
    let value = match toml {
        true => value.to_owned(),
        false => toml::Value::from(value).to_string(),
    };
    values.retain(|(known, _)| known != key);
    values.push((key.to_owned(), value));
    Ok(())
}

/// Where the names below a permitted suffix may lead.
fn name_rule(suffix: &str, ports: (Option<u16>, Option<u16>)) -> config::Rule {
    let suffix = suffix.to_ascii_lowercase();
    let local = suffix == "localhost" || suffix.ends_with(".localhost");
    let ranges: &[&str] = if local { &LOOPBACK } else { &PRIVATE };
    let mut rule = vec![
        ("suffix", toml::Value::from(suffix).to_string()),
        ("dial", toml::Value::from(ranges.to_vec()).to_string()),
    ];
    rule.extend(port_settings(ports));
    rule
}

/// A permitted range: its addresses are issued for, and connected to.
fn address_rule(range: IpNet, ports: (Option<u16>, Option<u16>)) -> config::Rule {
    let range = toml::Value::from(range.to_string()).to_string();
    let mut rule = vec![("range", range)];
    rule.extend(port_settings(ports));
    rule
}

fn port_settings(
    (http_port, tls_port): (Option<u16>, Option<u16>),
) -> impl Iterator<Item = (&'static str, String)> {
    let settings = [("http_port", http_port), ("tls_port", tls_port)];
    settings
        .into_iter()
        .filter_map(|(key, port)| Some((key, port?.to_string())))
}

/// All addresses, or this machine's own for a CA that only it can reach; IPv6 where the machine has it.
fn addresses(local: bool, port: u16) -> Vec<String> {
    let (v4, v6) = match local {
        true => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        false => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
    };
    let mut addresses = vec![SocketAddr::from((v4, port)).to_string()];
    if TcpListener::bind((v6, 0)).is_ok() {
        addresses.push(SocketAddr::from((v6, port)).to_string());
    }
    addresses
}
