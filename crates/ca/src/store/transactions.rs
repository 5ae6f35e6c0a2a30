//! The named transactions: what each loads; the decision is `authority`'s.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

mod external;
mod internal;
mod revocations;

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use cairn_acme::{problem::Problem, time::Timestamp};
use cairn_x509::certificate::Serial;

use super::{Changes, Decision, RowFault, Rows, SigningPermit, Transaction};
use crate::{
    authority::{accounts, audit, authorizations, issuance, orders, validations},
    id::{AccountId, AuthorizationId, BootId, IssuerId, OrderId},
    model::{
        Account, AuditEvent, Authorization, IssuerRecord, Order, StoredCrl, Work, WorkSubject,
    },
};

pub use self::{
    external::{AddExternalKey, RevokeExternalKey},
    internal::{CreateGrantedOrder, CreateOwnOrder, InternalName, InternalOrder},
    revocations::{Claimant, Revoke},
};
pub use crate::authority::{
    accounts::{AccountFound, ChangeKey, CreateAccount, UpdateAccount},
    authorizations::{CreateAuthorization, DeactivateAuthorization, Seed},
    external::ExternalClaim,
    issuance::{BeginIssuance, ConcludeIssuance, FailIssuance},
    orders::{CreateOrder, OrderPlaced, OrderPolicy},
    replacements::{ClaimHolder, Predecessor, Replaced},
    validations::{
        BeginValidation, ConcludeValidation, NoteValidationAttempt, Target, ValidationBegun,
    },
};

impl Transaction for CreateAccount {
    const NAME: &'static str = "create_account";
    type Answer = AccountFound;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<AccountFound>, RowFault> {
        let existing = rows
            .account_by_key(self.directory, &self.key.thumbprint())
            .await?;
        let makes = existing.is_none() && !self.only_return_existing;
        let is_certificate_key = makes
            && rows
                .is_live_certificate_key(&self.spki_sha256, self.now)
                .await?;
        let is_blocked_key = makes && rows.is_blocked_key(&self.spki_sha256).await?;
        let external = match &self.external {
            ExternalClaim::Verified { key, .. } if makes => rows.external_key(*key).await?,
            _ => None,
        };
        Ok(accounts::create(
            self,
            accounts::Applicant {
                existing,
                is_certificate_key,
                is_blocked_key,
                external,
            },
        ))
    }
}

impl Transaction for UpdateAccount {
    const NAME: &'static str = "update_account";
    type Answer = Account;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Account>, RowFault> {
        let account = rows.account(self.account).await?;
        let unfinished = if self.deactivate {
            rows.unfinished_orders(self.account).await?
        } else {
            Vec::new()
        };
        Ok(accounts::update(self, account, unfinished))
    }
}

impl Transaction for ChangeKey {
    const NAME: &'static str = "change_key";
    type Answer = Account;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Account>, RowFault> {
        let account = rows.account(self.account).await?;
        let holder = rows
            .account_by_key(self.directory, &self.new.thumbprint())
            .await?;
        let is_certificate_key = rows
            .is_live_certificate_key(&self.spki_sha256, self.now)
            .await?;
        let is_blocked_key = rows.is_blocked_key(&self.spki_sha256).await?;
        Ok(accounts::change_key(
            self,
            account,
            holder,
            (is_certificate_key, is_blocked_key),
        ))
    }
}

impl Transaction for CreateAuthorization {
    const NAME: &'static str = "create_authorization";
    type Answer = Authorization;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Authorization>, RowFault> {
        let account = rows.account(self.account).await?;
        Ok(authorizations::create(self, account))
    }
}

impl Transaction for CreateOrder {
    const NAME: &'static str = "create_order";
    type Answer = OrderPlaced;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<OrderPlaced>, RowFault> {
        let mut candidates = Vec::new();
        for order in rows
            .open_orders(self.account, orders::fingerprint(self))
            .await?
        {
            let authorizations = authorizations_of(rows, &order).await?;
            candidates.push((order, authorizations));
        }
        let known = self.known(rows).await?;
        Ok(orders::create(
            self,
            known.account,
            candidates,
            known.valid,
            known.predecessor,
        ))
    }
}

/// What a new order is judged by, beside equal orders.
pub(crate) struct Known {
    pub(crate) account: Option<Account>,
    /// For each identifier, the newest valid authorization.
    pub(crate) valid: Vec<Option<Authorization>>,
    pub(crate) predecessor: Option<Predecessor>,
}

impl CreateOrder {
    pub(crate) async fn known<R: Rows>(&self, rows: &R) -> Result<Known, RowFault> {
        let account = rows.account(self.account).await?;
        let mut valid = Vec::with_capacity(self.identifiers.len());
        for identifier in &self.identifiers {
            valid.push(
                rows.valid_authorization(
                    self.account,
                    self.directory,
                    &identifier.base(),
                    identifier.is_wildcard(),
                )
                .await?,
            );
        }
        let predecessor = match &self.replaces {
            Some(replaced) => Some(predecessor_of(rows, self.account, replaced).await?),
            None => None,
        };
        Ok(Known {
            account,
            valid,
            predecessor,
        })
    }
}

/// The certificate to be replaced, and the order that claims it already.
async fn predecessor_of<R: Rows>(
    rows: &R,
    account: AccountId,
    replaced: &Replaced,
) -> Result<Predecessor, RowFault> {
    let claimant = rows.replacement(&replaced.id).await?;
    // Only the certificate's own account can have claimed it.
    let order = match claimant {
        Some(id) => rows.order(account, id).await?,
        None => None,
    };
    let authorizations = match &order {
        Some(order) => authorizations_of(rows, order).await?,
        None => Vec::new(),
    };
    Ok(Predecessor {
        certificate: rows.certificate(replaced.key).await?,
        claimant: claimant.map(|id| ClaimHolder {
            id,
            order,
            authorizations,
        }),
    })
}

/// Finds the equal order that is open, and makes none: for an account at its bound.
#[derive(Debug, Clone)]
pub struct FindOrder {
    pub wanted: CreateOrder,
    /// The answer when there is none.
    pub full: Problem,
}

impl Transaction for FindOrder {
    const NAME: &'static str = "find_order";
    type Answer = OrderPlaced;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<OrderPlaced>, RowFault> {
        let decision = self.wanted.run(rows).await?;
        Ok(match decision.answer {
            Ok(placed) if placed.created => Decision::refuse(self.full.clone()),
            answer => Decision { answer, ..decision },
        })
    }
}

async fn authorizations_of<R: Rows>(
    rows: &R,
    order: &Order,
) -> Result<Vec<Authorization>, RowFault> {
    let mut found = Vec::with_capacity(order.authorizations.len());
    for id in &order.authorizations {
        found.extend(rows.authorization(order.account, *id).await?);
    }
    Ok(found)
}

impl Transaction for DeactivateAuthorization {
    const NAME: &'static str = "deactivate_authorization";
    type Answer = Authorization;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Authorization>, RowFault> {
        let account = rows.account(self.account).await?;
        let authorization = rows.authorization(self.account, self.authorization).await?;
        // Orders are looked at only when they will change: a repeat must not cost the writer anything.
        let resting = match &authorization {
            Some(found) if authorizations::can_be_deactivated(found, self.now) => {
                rows.open_orders_on(self.account, self.authorization)
                    .await?
            }
            _ => Vec::new(),
        };
        Ok(authorizations::deactivate(
            self,
            account,
            authorization,
            resting,
        ))
    }
}

impl Transaction for BeginValidation {
    const NAME: &'static str = "begin_validation";
    type Answer = ValidationBegun;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<ValidationBegun>, RowFault> {
        let account = rows.account(self.target.account).await?;
        let authorization = rows
            .authorization(self.target.account, self.target.authorization)
            .await?;
        let work = rows.work(&self.target.subject()).await?;
        Ok(validations::begin(self, account, authorization, work))
    }
}

impl Transaction for NoteValidationAttempt {
    const NAME: &'static str = "note_validation_attempt";
    type Answer = Option<Authorization>;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Option<Authorization>>, RowFault> {
        let authorization = rows
            .authorization(self.target.account, self.target.authorization)
            .await?;
        let work = rows.work(&self.target.subject()).await?;
        Ok(validations::note_attempt(self, authorization, work))
    }
}

impl Transaction for ConcludeValidation {
    const NAME: &'static str = "conclude_validation";
    type Answer = Authorization;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Authorization>, RowFault> {
        let account = rows.account(self.target.account).await?;
        let authorization = rows
            .authorization(self.target.account, self.target.authorization)
            .await?;
        let work = rows.work(&self.target.subject()).await?;
        // Only a failure ends the order; a success shows through the authorization.
        let order = match &self.outcome {
            Err(_) => order_of(rows, authorization.as_ref()).await?,
            Ok(_) => None,
        };
        Ok(validations::conclude(
            self,
            account,
            authorization,
            work,
            order,
        ))
    }
}

/// The order that an authorization was made for, if it was made for one.
async fn order_of<R: Rows>(
    rows: &R,
    authorization: Option<&Authorization>,
) -> Result<Option<Order>, RowFault> {
    match authorization.and_then(|a| Some((a.account, a.order?))) {
        Some((account, order)) => rows.order(account, order).await,
        None => Ok(None),
    }
}

/// The permission to sign, and the order that it is for.
#[derive(Debug)]
pub struct IssuanceBegun {
    /// Signs the stored bytes once.
    pub permit: SigningPermit,
    /// Now processing.
    pub order: Order,
}

impl Transaction for BeginIssuance {
    const NAME: &'static str = "begin_issuance";
    type Answer = IssuanceBegun;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<IssuanceBegun>, RowFault> {
        let order = rows.order(self.account, self.order).await?;
        let authorizations = match &order {
            Some(order) => authorizations_of(rows, order).await?,
            None => Vec::new(),
        };
        let proof = issuance::IssuanceProof {
            account: rows.account(self.account).await?,
            order,
            authorizations,
            work: rows
                .work(&WorkSubject::Issue {
                    account: self.account,
                    order: self.order,
                })
                .await?,
            stop: rows
                .issuance_stop(self.certificate.key.issuer, &self.certificate.profile_hash)
                .await?,
            is_account_key: rows
                .is_account_key_hash(&self.certificate.spki_sha256)
                .await?,
            is_blocked_key: rows.is_blocked_key(&self.certificate.spki_sha256).await?,
        };
        let Decision { changes, answer } = issuance::begin(self, proof);
        // The permit leaves the store only with the answer, which is sent after COMMIT.
        let answer = answer.map(|permission| IssuanceBegun {
            permit: SigningPermit {
                key: self.certificate.key,
                tbs: Arc::from(self.certificate.tbs.as_slice()),
                generation: permission.generation,
            },
            order: permission.order,
        });
        Ok(Decision { changes, answer })
    }
}

impl Transaction for ConcludeIssuance {
    const NAME: &'static str = "conclude_issuance";
    type Answer = Order;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Order>, RowFault> {
        let order = rows.order(self.account, self.order).await?;
        let certificate = rows.certificate(self.certificate).await?;
        let work = rows
            .work(&WorkSubject::Issue {
                account: self.account,
                order: self.order,
            })
            .await?;
        Ok(issuance::conclude(self, order, certificate, work))
    }
}

impl Transaction for FailIssuance {
    const NAME: &'static str = "fail_issuance";
    type Answer = Option<Work>;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Option<Work>>, RowFault> {
        let order = rows.order(self.account, self.order).await?;
        let certificate = certificate_of(rows, order.as_ref()).await?;
        let work = rows
            .work(&WorkSubject::Issue {
                account: self.account,
                order: self.order,
            })
            .await?;
        Ok(issuance::fail(self, order, certificate, work))
    }
}

async fn certificate_of<R: Rows>(
    rows: &R,
    order: Option<&Order>,
) -> Result<Option<crate::model::Certificate>, RowFault> {
    match order.and_then(|o| o.certificate) {
        Some(key) => rows.certificate(key).await,
        None => Ok(None),
    }
}

/// Takes over what other process incarnations began, and what ran past its lease and does not run here any more.
#[derive(Debug, Clone)]
pub struct TakeOver {
    pub boot: BootId,
    pub lease: Duration,
    pub limit: usize,
    pub now: Timestamp,
    /// What runs in this process.
    pub running: Running,
}

/// Work that runs in this process: its rows are this boot's own, however long it takes and wherever the clock is set.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Whose challenges are being validated.
    pub validations: HashSet<AuthorizationId>,
    /// Whose certificates are being signed.
    pub issuances: HashSet<OrderId>,
}

impl Running {
    fn has(&self, subject: &WorkSubject) -> bool {
        match subject {
            WorkSubject::Validate { authorization, .. } => self.validations.contains(authorization),
            WorkSubject::Issue { order, .. } => self.issuances.contains(order),
        }
    }
}

/// One piece of work to go on with.
#[derive(Debug, Clone)]
pub enum Resumed {
    /// Validate again.
    Validation {
        /// Its row.
        work: Work,
        /// Whose challenge.
        authorization: Box<Authorization>,
    },
    /// Issue under a new serial.
    Issuance {
        /// Its row.
        work: Work,
        /// The order, still processing.
        order: Box<Order>,
    },
}

impl Transaction for TakeOver {
    const NAME: &'static str = "take_over";
    /// What goes on, and whether more rows may wait.
    type Answer = (Vec<Resumed>, bool);

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Self::Answer>, RowFault> {
        let abandoned = rows.abandoned_work(self.boot, self.now, self.limit).await?;
        let more = abandoned.len() == self.limit;
        let mut all = Changes::default();
        let mut resumed = Vec::new();
        let terms = (self.boot, self.lease, self.now);
        for work in abandoned {
            if work.boot == self.boot && self.running.has(&work.subject) {
                all.put_work.push(work.renewed(self.lease, self.now));
                continue;
            }
            match work.subject.clone() {
                WorkSubject::Validate {
                    account,
                    authorization,
                    ..
                } => {
                    let authorization = rows.authorization(account, authorization).await?;
                    let order = order_of(rows, authorization.as_ref()).await?;
                    let (changes, next) = validations::take_over(work, authorization, order, terms);
                    all.merge(changes);
                    resumed.extend(next.map(|(work, a)| Resumed::Validation {
                        work,
                        authorization: Box::new(a),
                    }));
                }
                WorkSubject::Issue { account, order } => {
                    let order = rows.order(account, order).await?;
                    let certificate = certificate_of(rows, order.as_ref()).await?;
                    let (changes, next) =
                        issuance::take_over(work, order.clone(), certificate, terms);
                    all.merge(changes);
                    if let (Some(work), Some(order)) = (next, order) {
                        resumed.push(Resumed::Issuance {
                            work,
                            order: Box::new(order),
                        });
                    }
                }
            }
        }
        Ok(Decision {
            changes: all,
            answer: Ok((resumed, more)),
        })
    }
}

impl Changes {
    /// Puts another decision's changes behind these.
    pub fn merge(&mut self, other: Self) {
        self.insert_accounts.extend(other.insert_accounts);
        self.update_accounts.extend(other.update_accounts);
        self.insert_orders.extend(other.insert_orders);
        self.update_orders.extend(other.update_orders);
        self.insert_authorizations
            .extend(other.insert_authorizations);
        self.update_authorizations
            .extend(other.update_authorizations);
        self.insert_certificates.extend(other.insert_certificates);
        self.update_certificates.extend(other.update_certificates);
        self.revoke_certificates.extend(other.revoke_certificates);
        self.block_keys.extend(other.block_keys);
        self.claim_replacements.extend(other.claim_replacements);
        self.set_aside.extend(other.set_aside);
        self.put_work.extend(other.put_work);
        self.delete_work.extend(other.delete_work);
        self.insert_issuers.extend(other.insert_issuers);
        self.put_profiles.extend(other.put_profiles);
        self.reserve_crl_numbers.extend(other.reserve_crl_numbers);
        self.put_crls.extend(other.put_crls);
        self.insert_external_keys.extend(other.insert_external_keys);
        self.update_external_keys.extend(other.update_external_keys);
        self.audit.extend(other.audit);
    }
}

/// Makes the issuer known to the store, or finds that the store is another CA's.
#[derive(Debug, Clone)]
pub struct RegisterIssuer {
    pub issuer: IssuerRecord,
    /// Whether an unknown issuer may be added (`ca init`), or must be there (`ca serve`).
    pub add: bool,
}

impl Transaction for RegisterIssuer {
    const NAME: &'static str = "register_issuer";
    type Answer = IssuerRecord;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<IssuerRecord>, RowFault> {
        if let Some(known) = rows.issuer(self.issuer.id).await? {
            return Ok(Decision::unchanged(known));
        }
        if !self.add {
            return Ok(Decision::refuse(Problem::server_internal(format!(
                "this store belongs to another CA: it does not know issuer {}",
                self.issuer.id
            ))));
        }
        let changes = Changes {
            insert_issuers: vec![self.issuer.clone()],
            audit: vec![audit(
                self.issuer.created_at,
                "issuer-added",
                None,
                None,
                &[("issuer", &self.issuer.id.to_string())],
            )],
            ..Changes::default()
        };
        Ok(Decision {
            changes,
            answer: Ok(self.issuer.clone()),
        })
    }
}

/// Keeps a profile's text under its hash, for good.
#[derive(Debug, Clone)]
pub struct RegisterProfile {
    pub hash: [u8; 32],
    pub text: String,
}

impl Transaction for RegisterProfile {
    const NAME: &'static str = "register_profile";
    type Answer = ();

    async fn run<R: Rows>(&self, _rows: &R) -> Result<Decision<()>, RowFault> {
        let changes = Changes {
            put_profiles: vec![(self.hash, self.text.clone())],
            ..Changes::default()
        };
        Ok(Decision {
            changes,
            answer: Ok(()),
        })
    }
}

/// Spends the next CRL number of a shard. It rises over everything that was ever reserved and over the seconds of the
/// epoch, so that a restored store cannot go back (T-CA-103).
#[derive(Debug, Clone)]
pub struct ReserveCrlNumber {
    pub issuer: IssuerId,
    pub shard: u32,
    pub now: Timestamp,
}

impl Transaction for ReserveCrlNumber {
    const NAME: &'static str = "reserve_crl_number";
    type Answer = u64;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<u64>, RowFault> {
        let last = rows.crl_number(self.issuer, self.shard).await?;
        let by_time = u64::try_from(self.now.as_seconds()).unwrap_or(0);
        let number = by_time.max(last.saturating_add(1));
        let changes = Changes {
            reserve_crl_numbers: vec![(self.issuer, self.shard, number)],
            ..Changes::default()
        };
        Ok(Decision {
            changes,
            answer: Ok(number),
        })
    }
}

/// Stores a signed CRL before it is published.
#[derive(Debug, Clone)]
pub struct PutCrl {
    pub crl: StoredCrl,
}

impl Transaction for PutCrl {
    const NAME: &'static str = "put_crl";
    type Answer = ();

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<()>, RowFault> {
        let last = rows.crl_number(self.crl.issuer, self.crl.shard).await?;
        if self.crl.number != last {
            return Ok(Decision::refuse(Problem::server_internal(
                "a newer CRL number was reserved meanwhile",
            )));
        }
        let row = audit(
            self.crl.this_update,
            "crl-signed",
            None,
            None,
            &[
                ("issuer", &self.crl.issuer.to_string()),
                ("shard", &self.crl.shard.to_string()),
                ("number", &self.crl.number.to_string()),
            ],
        );
        let changes = Changes {
            put_crls: vec![self.crl.clone()],
            audit: vec![row],
            ..Changes::default()
        };
        Ok(Decision {
            changes,
            answer: Ok(()),
        })
    }
}

/// Audits a refusal that no other transaction describes.
#[derive(Debug, Clone)]
pub struct RecordRefusal {
    pub event: &'static str,
    pub account: Option<AccountId>,
    pub order: Option<OrderId>,
    /// The certificate that it was about.
    pub serial: Option<Serial>,
    /// Whose request it was, where no account says it.
    pub address: Option<IpAddr>,
    pub detail: String,
    pub now: Timestamp,
}

impl Transaction for RecordRefusal {
    const NAME: &'static str = "record_refusal";
    type Answer = ();

    async fn run<R: Rows>(&self, _rows: &R) -> Result<Decision<()>, RowFault> {
        let address = self.address.map(|address| address.to_string());
        let mut detail = vec![("detail", self.detail.as_str())];
        detail.extend(address.as_deref().map(|address| ("address", address)));
        let row = AuditEvent {
            serial: self.serial,
            ..audit(self.now, self.event, self.account, self.order, &detail)
        };
        Ok(Decision {
            changes: Changes {
                audit: vec![row],
                ..Changes::default()
            },
            answer: Ok(()),
        })
    }
}
