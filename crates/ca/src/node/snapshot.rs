//! One configuration in force, with what is made from it once.

use std::{collections::BTreeMap, net::SocketAddr};

use cairn_x509::weak::BlockedKeys;

#[cfg(feature = "dev")]
use crate::dev::Conduct;
use crate::{
    authority::{caa::CaaPolicy, policy::NamePolicy},
    borders,
    config::{Config, Preset, ProfileSettings},
    directories::Directories,
    frontend::Urls,
    id::DirectoryId,
    issuance::{Issuers, Profiles},
    metrics::Metrics,
    model::Account,
    validation::NameRules,
};

/// One configuration in force. A request and an issuance keep the snapshot that they began with.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// As written.
    pub config: Config,
    /// Made from the configured URL: those of the first directory, and what belongs to none.
    pub urls: Urls,
    /// All directories.
    pub directories: Directories,
    /// Which names are issued for where the key decides who signs.
    pub names: NamePolicy,
    /// Where a profile names the issuer, under that name.
    names_of_issuers: BTreeMap<String, NamePolicy>,
    /// Where validation may connect to.
    pub rules: NameRules,
    /// How CAA records name this CA.
    pub caa: CaaPolicy,
    /// What may be ordered.
    pub profiles: Profiles,
    /// Keys that are refused.
    pub blocked: BlockedKeys,
    /// Whether the server repeats a validation that failed transiently; never under `public`.
    pub retries: bool,
}

impl Snapshot {
    /// Judges a configuration against the issuers that it shall serve.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn build(
        config: Config,
        blocked: BlockedKeys,
        issuers: &Issuers,
        directories: &[DirectoryId],
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let urls = urls(&config)?;
        let directories = Directories::new(&config, &urls, directories, metrics);
        let profiles = Profiles::new(&config.profile);
        let own: Vec<SocketAddr> = config
            .listen
            .subscribers
            .iter()
            .chain(&config.listen.publication)
            .copied()
            .collect();
        let rules = borders::rules(&config, own)?;
        let policy = |settings: &ProfileSettings| {
            let issuers = issuers.of_profile(settings);
            let certificates = issuers.iter().map(|signing| &signing.issuer.certificate);
            borders::policy(&config, certificates, &rules)
        };
        let mut names_of_issuers = BTreeMap::new();
        for (_, settings) in config.profile.iter() {
            if let Some(name) = &settings.issuer {
                names_of_issuers.insert(name.clone(), policy(settings)?);
            }
        }
        Ok(Self {
            names: policy(&ProfileSettings::default())?,
            names_of_issuers,
            rules,
            caa: caa_policy(&config),
            retries: config.preset != Preset::Public,
            urls,
            directories,
            profiles,
            blocked,
            config,
        })
    }

    /// Behaves as a test CA's conduct says. Where it is open, every border on names and addresses is away but the forbidden
    /// names.
    #[cfg(feature = "dev")]
    pub(super) fn behave(&mut self, conduct: &Conduct) {
        if let Some(ports) = conduct.open {
            self.rules.open(ports);
            self.names.anything = true;
            for names in self.names_of_issuers.values_mut() {
                names.anything = true;
            }
        }
        self.retries &= conduct.retries;
        self.caa.unasked = !conduct.caa || conduct.always_valid;
        if !conduct.profiles.is_empty() {
            self.directories.offer(conduct.profiles.clone());
        }
        for urls in self.directories.urls_mut().chain([&mut self.urls]) {
            urls.layout = conduct.layout;
        }
    }

    /// The same with the subscribers' URLs under another base: a test CA's, which follows the Host.
    #[cfg(feature = "dev")]
    pub(crate) fn based_at(&self, base: &str) -> Self {
        let mut moved = self.clone();
        for urls in moved.directories.urls_mut().chain([&mut moved.urls]) {
            urls.set_base(base);
        }
        moved
    }

    /// An account's URL as its directory has it now.
    #[must_use]
    pub fn account_url(&self, account: &Account) -> String {
        let directory = self.directories.with_id(account.directory);
        directory
            .map_or(&self.urls, |d| &d.urls)
            .account(account.id)
    }

    /// Which names are issued for under a profile.
    #[must_use]
    pub fn names_of(&self, profile: &ProfileSettings) -> &NamePolicy {
        let own = profile.issuer.as_ref();
        own.and_then(|name| self.names_of_issuers.get(name))
            .unwrap_or(&self.names)
    }
}

pub(super) fn urls(config: &Config) -> Result<Urls, String> {
    Urls::new(&config.url.to_string(), &config.publication()).map_err(|e| e.to_string())
}

fn caa_policy(config: &Config) -> CaaPolicy {
    let mut identities = config.caa_identities.clone();
    // An address is no issuer domain name; such a CA has one only by configuration.
    if identities.is_empty() && config.url.is_named() {
        identities.push(config.url.host().to_owned());
    }
    CaaPolicy {
        identities,
        account_prefixes: config.caa_account_prefixes.clone(),
        private_zones: config.private_zones.clone(),
        #[cfg(feature = "dev")]
        unasked: false,
    }
}
