//! What the store keeps and the rules decide on: the domain's own types, apart from the wire's (`cairn_acme::object`)
//! and from the tables' (`store/sqlite`).

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

mod external;
mod revocation;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use cairn_acme::{
    challenge::{ChallengeType, Token},
    contact::Contact,
    identifier::Identifier,
    key::{PublicKey, Thumbprint},
    problem::Problem,
    renewal::CertId,
    status::{AccountStatus, AuthorizationStatus, ChallengeStatus},
    time::Timestamp,
};
use cairn_x509::certificate::Serial;
use serde::{Deserialize, Serialize};

pub use self::external::{ExternalAccount, ExternalKey, ExternalKeyState};
pub use self::revocation::{
    ListedEntry, PublishedList, Revocation, RevocationReason, RevokedBy, ShardState,
};
use crate::id::{AccountId, AuthorizationId, BootId, DirectoryId, IssuerId, OrderId};

/// An account (RFC 8555 §7.1.2).
#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub directory: DirectoryId,
    pub key: PublicKey,
    pub thumbprint: Thumbprint,
    /// SHA-256 of the key's SubjectPublicKeyInfo, by which certificate keys are compared with account keys.
    pub spki_sha256: [u8; 32],
    pub status: AccountStatus,
    pub contacts: Vec<Contact>,
    pub terms_agreed: bool,
    /// To which; none where there were none, or where it agreed before that was kept.
    pub terms: Option<AgreedTerms>,
    /// The exact URL that the account was given; its kid for life, also after the base URL moved.
    pub url: String,
    /// The external account key that opened it, if one did.
    pub external: Option<ExternalAccount>,
    pub created_at: Timestamp,
}

/// Terms of service that an account agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedTerms {
    pub url: String,
    pub at: Timestamp,
}

/// How far an order is, as stored. `ready` is not stored: it is an open order all of whose authorizations are valid,
/// so that concluding a validation writes one row and an expiry none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Pending or ready, by its authorizations.
    Open,
    /// Finalize was accepted; issuance is under way.
    Processing,
    /// The certificate is there.
    Valid,
    /// It will never be.
    Invalid,
}

/// An order (RFC 8555 §7.1.3).
#[derive(Debug, Clone)]
pub struct Order {
    pub id: OrderId,
    pub account: AccountId,
    pub directory: DirectoryId,
    /// Lower-cased, sorted, without duplicates; never changes.
    pub identifiers: Vec<Identifier>,
    pub not_before: Option<Timestamp>,
    pub not_after: Option<Timestamp>,
    /// The profile by name: as asked for, else the default.
    pub profile: Option<String>,
    /// The profile version that was in force at newOrder.
    pub profile_hash: [u8; 32],
    /// The certificate that this one shall replace (RFC 9773 §5).
    pub replaces: Option<CertId>,
    /// Equal for orders that ask for the same (directory, identifiers, profile, dates, replaces).
    pub fingerprint: i64,
    pub state: OrderState,
    pub expires: Timestamp,
    /// In the order of `identifiers`; never changes.
    pub authorizations: Vec<AuthorizationId>,
    pub certificate: Option<CertificateKey>,
    pub error: Option<Problem>,
    /// Serials that were given to this order so far; three at most.
    pub attempts: u8,
    pub created_at: Timestamp,
}

/// An authorization with its challenges inline (RFC 8555 §7.1.4); all its challenges carry one token.
#[derive(Debug, Clone)]
pub struct Authorization {
    pub id: AuthorizationId,
    pub account: AccountId,
    /// The order that it was made for, if for one. A pending authorization belongs to no other.
    pub order: Option<OrderId>,
    pub directory: DirectoryId,
    /// Without `*.`; `wildcard` tells.
    pub identifier: Identifier,
    pub wildcard: bool,
    /// As stored; `expired` follows from `expires` and the clock.
    pub status: AuthorizationStatus,
    pub expires: Timestamp,
    pub token: Token,
    pub challenges: Vec<Challenge>,
    pub evidence: Option<Evidence>,
    /// JSON of the validation's trace, all of it, for the operator.
    pub trace: Option<String>,
    pub created_at: Timestamp,
}

impl Authorization {
    /// The identifier as it was ordered, with its `*.` if it is a wildcard.
    #[must_use]
    pub fn ordered(&self) -> Identifier {
        match &self.identifier {
            Identifier::Dns(name) if self.wildcard => Identifier::WildcardDns(name.clone()),
            other => other.clone(),
        }
    }
}

/// A challenge (RFC 8555 §8).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Challenge {
    pub kind: ChallengeType,
    pub status: ChallengeStatus,
    pub validated: Option<Timestamp>,
    pub error: Option<Problem>,
    /// Computed with the key that was current when the response arrived (RFC 8555 §8.3); decides whatever happens to
    /// the key after.
    pub key_authorization: Option<String>,
}

/// Why an authorization is valid; copied into the certificate's row so that it outlives the authorization.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Evidence {
    pub method: Method,
    pub validated_at: Timestamp,
    pub addresses: Vec<IpAddr>,
    pub detail: String,
    /// What the CAA records said then; absent where CAA is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<CaaCheck>,
}

/// A look at the CAA records of a name that let this CA issue (RFC 8659 §5). One that did not is a problem and an audit
/// row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaaCheck {
    /// The identifier that it was made for, with its `*.`: one name's check is never another's.
    pub name: String,
    /// When the first question was asked.
    pub checked_at: Timestamp,
    /// The name whose set was relevant; absent when there was none up to the top of the climb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_at: Option<String>,
    /// Where aliases led from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// That set, as a zone file has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// The server that answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<SocketAddr>,
    /// A resolver that is trusted for it says that every answer of the climb was validated by DNSSEC.
    pub dnssec: bool,
    /// Why nothing was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<String>,
}

/// How control of an identifier was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// By a challenge of RFC 8555 or its extensions.
    #[serde(rename = "challenge")]
    Challenge(ChallengeType),
    /// The CA's own host name, for its own listener.
    #[serde(rename = "own-host")]
    OwnHost,
    /// An operator's word, for one issuance.
    #[serde(rename = "operator-grant")]
    OperatorGrant,
}

/// A certificate's key in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateKey {
    pub issuer: IssuerId,
    pub serial: Serial,
}

/// What is known of one serial's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// The permission to sign was given; the signature is not stored yet.
    Permitted,
    /// Signature stored and verified.
    Issued,
    /// The permission was given, and whether a signature exists is not known: counted, listed, revocable.
    Unconfirmed,
}

/// A certificate, from the permission to sign it. Its DER is stored once: `tbs` before the signature, `signature` after.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub key: CertificateKey,
    pub account: AccountId,
    pub order: OrderId,
    pub directory: DirectoryId,
    pub state: CertificateState,
    pub names: Vec<Identifier>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub tbs: Vec<u8>,
    /// Signature value without its BIT STRING wrapping.
    pub signature: Option<Vec<u8>>,
    pub spki_sha256: [u8; 32],
    pub profile_hash: [u8; 32],
    pub crl_shard: u32,
    pub lint: String,
    /// JSON: for each name method, when, addresses; account and key thumbprint.
    pub evidence: String,
    /// The signed finalize request as it arrived (for the CA's own: the CSR).
    pub request: Vec<u8>,
    pub created_at: Timestamp,
    pub issued_at: Option<Timestamp>,
    pub revocation: Option<Revocation>,
}

/// A certificate that its operator wants replaced soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Since when; its renewal window lies before.
    pub at: Timestamp,
    /// URL of a page that says why.
    pub explanation: Option<String>,
}

/// What a certificate's renewal window is made from (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalFacts {
    pub key: CertificateKey,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub set_aside: Option<SetAside>,
}

/// A piece of follow-up work, as data (design.md §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    pub subject: WorkSubject,
    /// The process incarnation that owns it.
    pub boot: BootId,
    /// Every conclusion is conditional on it; a take-over raises it.
    pub generation: u32,
    pub attempts: u32,
    /// The lease ends here, by the database's clock.
    pub until: Timestamp,
}

impl Work {
    /// The same with a new lease: it is neither begun again nor counted as another try.
    #[must_use]
    pub fn renewed(self, lease: Duration, now: Timestamp) -> Self {
        Self {
            until: now.plus(lease),
            ..self
        }
    }
}

/// What a work row is about; one row at most for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkSubject {
    /// Validate this challenge.
    Validate {
        /// Whose authorization.
        account: AccountId,
        /// The authorization.
        authorization: AuthorizationId,
        /// Which of its challenges.
        challenge: ChallengeType,
    },
    /// Sign this order's certificate.
    Issue {
        /// Whose order.
        account: AccountId,
        /// The order.
        order: OrderId,
    },
}

/// One audit row, written in the transaction that it describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    pub at: Timestamp,
    /// `account-created`, `order-created`, `issued`, `refused` …
    pub event: &'static str,
    pub account: Option<AccountId>,
    pub order: Option<OrderId>,
    pub serial: Option<Serial>,
    /// A JSON object; never keys or bodies.
    pub detail: String,
}

/// An issuer as the store knows it.
#[derive(Debug, Clone)]
pub struct IssuerRecord {
    pub id: IssuerId,
    pub certificate_der: Vec<u8>,
    pub crl_shards: u32,
    pub created_at: Timestamp,
}

/// A published CRL.
#[derive(Debug, Clone)]
pub struct StoredCrl {
    pub issuer: IssuerId,
    pub shard: u32,
    pub number: u64,
    pub this_update: Timestamp,
    pub next_update: Timestamp,
    /// It lists every revocation of the shard up to this place in their order.
    pub reach: i64,
    /// Whether it came by schedule: such a one takes leave of certificates that expired (RFC 5280 §3.3).
    pub regular: bool,
    pub der: Vec<u8>,
}

/// Who asked: goes into audit rows and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requester {
    pub address: Option<IpAddr>,
}
