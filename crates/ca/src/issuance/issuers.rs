//! The issuers side by side, and which of them signs what: the one that the profile names, else the one for the kind of
//! the certificate's key.

use std::sync::Arc;

use cairn_x509::{certificate::Certificate, key::PublicKey};

use super::{
    issuer::{Chain, Issuer},
    signer::Signer,
};
use crate::{
    config::{DEFAULT_ISSUER, LeafKey, ProfileSettings},
    id::IssuerId,
    model,
    node::Snapshot,
};

/// What an issuer is made of when a node starts.
pub struct IssuerParts {
    /// Its name in the configuration.
    pub name: String,
    /// The unlocked key's signer.
    pub signer: Arc<dyn Signer>,
    /// The issuing certificate, DER.
    pub certificate: Vec<u8>,
    /// What may follow a certificate of it, the usual first.
    pub chains: Vec<Chain>,
    /// Kinds of keys whose certificates it signs; of the first issuer: none, it has what is left.
    pub leaf_keys: Vec<LeafKey>,
}

/// An issuer with its key.
pub struct Signing {
    /// The issuer.
    pub issuer: Arc<Issuer>,
    pub(super) signer: Arc<dyn Signer>,
    /// Whether certificates come to it by the kind of their key.
    claims: bool,
}

impl Signing {
    /// Whether it signs no certificates any more, only its lists.
    #[must_use]
    pub fn is_retired(&self, snapshot: &Snapshot) -> bool {
        let name = self.issuer.name.as_str();
        let mut profiles = snapshot.profiles.iter().map(|p| &p.settings.issuer);
        !self.claims && !profiles.any(|issuer| issuer.as_deref() == Some(name))
    }
}

/// All issuers of a node, the one of `[keys]` first.
pub struct Issuers {
    first: Signing,
    others: Vec<Signing>,
    /// Places in `others`; none is the first.
    rsa: Option<usize>,
    ecdsa: Option<usize>,
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|signing| signing.issuer.id))
            .finish()
    }
}

impl Issuers {
    /// Puts them side by side. The configuration's check saw to it that no two claim one kind of keys.
    #[must_use]
    pub fn new(
        first: (Issuer, Arc<dyn Signer>),
        others: Vec<(Issuer, Arc<dyn Signer>, Vec<LeafKey>)>,
    ) -> Self {
        let claims = |kind| others.iter().position(|(_, _, keys)| keys.contains(&kind));
        let (rsa, ecdsa) = (claims(LeafKey::Rsa), claims(LeafKey::Ecdsa));
        let signing = |issuer, signer, claims| Signing {
            issuer: Arc::new(issuer),
            signer,
            claims,
        };
        Self {
            first: signing(first.0, first.1, rsa.is_none() || ecdsa.is_none()),
            rsa,
            ecdsa,
            others: others
                .into_iter()
                .map(|(issuer, signer, keys)| signing(issuer, signer, !keys.is_empty()))
                .collect(),
        }
    }

    /// The issuer of `[keys]`, whose key is also the CA's own account's.
    #[must_use]
    pub fn first(&self) -> &Arc<Issuer> {
        &self.first.issuer
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Signing> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Who signs a certificate of this profile for that key; none if the profile names an issuer that is no more.
    #[must_use]
    pub fn for_leaf(&self, profile: &ProfileSettings, key: &PublicKey) -> Option<&Signing> {
        match &profile.issuer {
            Some(name) => self.named(name),
            None => Some(self.of_kind(LeafKey::of(key))),
        }
    }

    /// Who may come to sign a certificate of this profile, before its key is known.
    #[must_use]
    pub fn of_profile(&self, profile: &ProfileSettings) -> Vec<&Signing> {
        let mut found: Vec<&Signing> = match &profile.issuer {
            Some(name) => self.named(name).into_iter().collect(),
            None => LeafKey::ALL.map(|kind| self.of_kind(kind)).to_vec(),
        };
        found.dedup_by_key(|signing| signing.issuer.id);
        found
    }

    /// The issuer with this id.
    #[must_use]
    pub fn with_id(&self, id: IssuerId) -> Option<&Signing> {
        self.iter().find(|signing| signing.issuer.id == id)
    }

    /// The issuers that a certificate's own words name: RFC 5280 lets two have one name.
    pub fn of_certificate(&self, presented: &Certificate) -> impl Iterator<Item = &Arc<Issuer>> {
        self.iter()
            .map(|signing| &signing.issuer)
            .filter(|issuer| issuer.certificate.subject_der() == presented.issuer_der())
    }

    /// What follows a stored certificate: it, an empty line, its issuer's usual chain. None without a signature, or if its
    /// issuer is configured no more.
    #[must_use]
    pub fn chain_of(&self, certificate: &model::Certificate) -> Option<String> {
        let signing = self.with_id(certificate.key.issuer)?;
        signing.issuer.chain_of(certificate, signing.issuer.chain())
    }

    fn named(&self, name: &str) -> Option<&Signing> {
        match name {
            DEFAULT_ISSUER => Some(&self.first),
            name => self.others.iter().find(|s| s.issuer.name == name),
        }
    }

    fn of_kind(&self, kind: LeafKey) -> &Signing {
        let place = match kind {
            LeafKey::Rsa => self.rsa,
            LeafKey::Ecdsa => self.ecdsa,
        };
        place
            .and_then(|place| self.others.get(place))
            .unwrap_or(&self.first)
    }
}
