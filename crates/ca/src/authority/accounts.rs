//! Accounts (RFC 8555 §7.3): find or create, update, deactivate.

#![expect(
    missing_docs,
    reason = "fields are named for what the RFC and the design call them"
)]

use cairn_acme::{
    contact::Contact,
    key::{PublicKey, Thumbprint},
    problem::{Problem, ProblemType},
    status::AccountStatus,
    time::Timestamp,
};

use super::{
    audit,
    external::{self, ExternalClaim},
};
use crate::{
    id::{AccountId, DirectoryId},
    model::{Account, AgreedTerms, ExternalAccount, ExternalKey, Order, OrderState, Requester},
    store::{Changes, Decision},
};

/// A directory's terms of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where they can be read; other terms have another URL.
    pub url: String,
    /// Since when who has not agreed to them orders nothing; none: never, who agreed once goes on.
    pub enforced_from: Option<Timestamp>,
}

impl Terms {
    /// Whether the account may go on ordering (RFC 8555 §7.3.3).
    ///
    /// # Errors
    /// `userActionRequired`, with where to read and how to agree.
    pub fn judge(&self, account: &Account, now: Timestamp) -> Result<(), Problem> {
        let enforced = self.enforced_from.is_some_and(|from| from <= now);
        let agreed = account.terms.as_ref();
        if !enforced || agreed.is_some_and(|agreed| agreed.url == self.url) {
            return Ok(());
        }
        let (url, before) = (&self.url, agreed.map(|agreed| &agreed.url));
        let before = match before {
            Some(before) => format!("this account agreed to {before}"),
            None => "it is not known to which this account agreed".to_owned(),
        };
        Err(self.needed(format!(
            "the terms of service are those at {url} now, and {before}: read them, then POST {{\"termsOfServiceAgreed\": true}} to the account's URL, {}",
            account.url
        )))
    }

    fn needed(&self, detail: String) -> Problem {
        let mut problem = Problem::new(ProblemType::UserActionRequired, detail);
        problem.instance = Some(self.url.clone());
        let link = ("terms-of-service".to_owned(), self.url.clone());
        problem.links.push(link);
        problem
    }

    fn agreed(&self, at: Timestamp) -> AgreedTerms {
        AgreedTerms {
            url: self.url.clone(),
            at,
        }
    }
}

/// What newAccount asks for.
#[derive(Debug, Clone)]
pub struct CreateAccount {
    pub id: AccountId,
    pub directory: DirectoryId,
    pub url: String,
    pub key: PublicKey,
    pub spki_sha256: [u8; 32],
    pub contacts: Vec<Contact>,
    pub terms_agreed: bool,
    pub only_return_existing: bool,
    /// The directory's terms, if it has some.
    pub terms: Option<Terms>,
    pub external: ExternalClaim,
    pub requester: Requester,
    pub now: Timestamp,
}

/// What the store knows of it.
#[derive(Debug, Clone, Default)]
pub struct Applicant {
    /// The account of that key.
    pub existing: Option<Account>,
    /// Whether an unexpired certificate has the key.
    pub is_certificate_key: bool,
    /// Whether others were shown to have it.
    pub is_blocked_key: bool,
    /// The external account key that is claimed.
    pub external: Option<ExternalKey>,
}

/// What newAccount answers.
#[derive(Debug, Clone)]
pub struct AccountFound {
    /// The account.
    pub account: Account,
    /// Whether this request made it.
    pub created: bool,
}

/// The answer to every request of an account that is no longer valid (8555-7.3.6-2).
#[must_use]
pub fn not_valid(status: AccountStatus) -> Problem {
    let state = match status {
        AccountStatus::Deactivated => "deactivated by its owner",
        _ => "revoked by this server",
    };
    Problem::new(
        ProblemType::Unauthorized,
        format!("the account was {state}; it stays so: register a new key"),
    )
    .status(401)
}

/// Finds the key's account or makes one (RFC 8555 §7.3, §7.3.1).
#[must_use]
pub fn create(input: &CreateAccount, applicant: Applicant) -> Decision<AccountFound> {
    if let Some(account) = applicant.existing {
        return if account.status == AccountStatus::Valid {
            Decision::unchanged(AccountFound {
                account,
                created: false,
            })
        } else {
            Decision::refuse(not_valid(account.status))
        };
    }
    if input.only_return_existing {
        return Decision::refuse(Problem::new(
            ProblemType::AccountDoesNotExist,
            "no account has this key, and onlyReturnExisting asks not to make one",
        ));
    }
    if let (Some(terms), false) = (&input.terms, input.terms_agreed) {
        let url = &terms.url;
        let detail = format!(
            "an account needs consent to the terms of service at {url}: read them, then send termsOfServiceAgreed: true (many clients: --agree-tos)"
        );
        return Decision::refuse(terms.needed(detail));
    }
    if applicant.is_blocked_key {
        // T-CA-39
        return Decision::refuse(Problem::new(
            ProblemType::BadPublicKey,
            format!(
                "the account key is refused: {}",
                super::revocations::BLOCKED
            ),
        ));
    }
    if applicant.is_certificate_key {
        // T-CA-38
        return Decision::refuse(Problem::new(
            ProblemType::BadPublicKey,
            "the key is that of an unexpired certificate from this server; an account needs a key of its own",
        ));
    }
    // Last, so that nothing uses up a key but the account that it opens.
    let consumed = match &input.external {
        ExternalClaim::None => None,
        ExternalClaim::Refused(problem) => return Decision::refuse(Problem::clone(problem)),
        ExternalClaim::Verified {
            binding, source, ..
        } => {
            let used_by = (input.directory, input.id, input.now);
            match external::consume(applicant.external, used_by, source) {
                Ok(key) => Some((key, binding.clone())),
                Err(problem) => return Decision::refuse(problem),
            }
        }
    };
    let bound = consumed.as_ref().map(|(key, binding)| ExternalAccount {
        key: key.id,
        owner: key.owner.clone(),
        allowed: key.allowed.clone(),
        binding: binding.clone(),
    });
    let opened_with = bound.as_ref().map(|bound| bound.key.to_string());
    let account = Account {
        id: input.id,
        directory: input.directory,
        key: input.key.clone(),
        thumbprint: input.key.thumbprint(),
        spki_sha256: input.spki_sha256,
        status: AccountStatus::Valid,
        contacts: input.contacts.clone(),
        terms_agreed: input.terms_agreed,
        terms: input
            .terms
            .as_ref()
            .filter(|_| input.terms_agreed)
            .map(|terms| terms.agreed(input.now)),
        url: input.url.clone(),
        external: bound,
        created_at: input.now,
    };
    let mut detail = vec![("address", address(&input.requester))];
    detail.extend(opened_with.map(|key| ("external_key", key)));
    let detail: Vec<(&str, &str)> = detail.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let changes = Changes {
        insert_accounts: vec![account.clone()],
        update_external_keys: consumed.map(|(key, _)| key).into_iter().collect(),
        audit: vec![audit(
            input.now,
            "account-created",
            Some(account.id),
            None,
            &detail,
        )],
        ..Changes::default()
    };
    Decision {
        changes,
        answer: Ok(AccountFound {
            account,
            created: true,
        }),
    }
}

pub(super) fn address(requester: &Requester) -> String {
    requester
        .address
        .map_or_else(|| "none".to_owned(), |a| a.to_string())
}

/// What a POST to the account URL asks for.
#[derive(Debug, Clone)]
pub struct UpdateAccount {
    pub account: AccountId,
    pub contacts: Option<Vec<Contact>>,
    pub deactivate: bool,
    /// The directory's terms, which the account agrees to.
    pub agrees_to: Option<Terms>,
    pub requester: Requester,
    pub now: Timestamp,
}

/// Changes contacts or deactivates; with the account go its open orders (8555-7.3.6-1). What is being signed is
/// concluded: the permission was given before.
#[must_use]
pub fn update(
    input: &UpdateAccount,
    account: Option<Account>,
    unfinished: Vec<Order>,
) -> Decision<Account> {
    let Some(mut account) = account else {
        return Decision::refuse(Problem::new(
            ProblemType::Unauthorized,
            "the account is not there",
        ));
    };
    if account.status != AccountStatus::Valid {
        return Decision::refuse(not_valid(account.status));
    }
    let mut changes = Changes::default();
    let contacts_change = input
        .contacts
        .as_ref()
        .is_some_and(|c| *c != account.contacts);
    if let Some(contacts) = &input.contacts {
        account.contacts.clone_from(contacts);
    }
    // Again to the same ones is nothing new.
    let agrees = input.agrees_to.as_ref().filter(|terms| {
        account
            .terms
            .as_ref()
            .is_none_or(|agreed| agreed.url != terms.url)
    });
    if let Some(terms) = agrees {
        account.terms_agreed = true;
        account.terms = Some(terms.agreed(input.now));
        changes.audit.push(audit(
            input.now,
            "terms-agreed",
            Some(account.id),
            None,
            &[
                ("address", &address(&input.requester)),
                ("terms", &terms.url),
            ],
        ));
    }
    if input.deactivate {
        account.status = AccountStatus::Deactivated;
        for mut order in unfinished
            .into_iter()
            .filter(|o| o.state == OrderState::Open)
        {
            order.state = OrderState::Invalid;
            order.error = Some(Problem::unauthorized("the account was deactivated"));
            changes.update_orders.push(order);
        }
        changes.audit.push(audit(
            input.now,
            "account-deactivated",
            Some(account.id),
            None,
            &[("address", &address(&input.requester))],
        ));
    } else if contacts_change {
        changes.audit.push(audit(
            input.now,
            "account-updated",
            Some(account.id),
            None,
            &[("address", &address(&input.requester))],
        ));
    }
    if input.deactivate || contacts_change || agrees.is_some() {
        changes.update_accounts.push(account.clone());
    }
    Decision {
        changes,
        answer: Ok(account),
    }
}

/// What keyChange asks for, once both signatures are verified (RFC 8555 §7.3.5).
#[derive(Debug, Clone)]
pub struct ChangeKey {
    pub account: AccountId,
    pub directory: DirectoryId,
    /// The key that signed the outer request.
    pub old: Thumbprint,
    pub new: PublicKey,
    pub spki_sha256: [u8; 32],
    pub requester: Requester,
    pub now: Timestamp,
}

/// Gives the account its new key, and does nothing else: orders and authorizations stay (8555-7.3.5-5).
#[must_use]
pub fn change_key(
    input: &ChangeKey,
    account: Option<Account>,
    holder: Option<Account>,
    (is_certificate_key, is_blocked_key): (bool, bool),
) -> Decision<Account> {
    let Some(mut account) = account else {
        return Decision::refuse(Problem::new(
            ProblemType::Unauthorized,
            "the account is not there",
        ));
    };
    if account.status != AccountStatus::Valid {
        return Decision::refuse(not_valid(account.status));
    }
    // Of two changes at once one wins; the other was signed by a key that is no longer the account's.
    if account.thumbprint != input.old {
        return Decision::refuse(Problem::malformed(
            "the account's key was changed meanwhile; sign with the one in force",
        ));
    }
    if let Some(holder) = holder {
        return Decision::refuse(
            Problem::malformed(
                "the new key is that of an account already (see Location); use a key of its own",
            )
            .status(409)
            .location(holder.url),
        );
    }
    if is_certificate_key {
        return Decision::refuse(Problem::new(
            ProblemType::BadPublicKey,
            "the new key is that of an unexpired certificate from this server; an account needs a key of its own",
        ));
    }
    if is_blocked_key {
        // T-CA-39
        return Decision::refuse(Problem::new(
            ProblemType::BadPublicKey,
            "the new key was shown to be compromised, so it is blocked here; make another",
        ));
    }
    account.thumbprint = input.new.thumbprint();
    account.key = input.new.clone();
    account.spki_sha256 = input.spki_sha256;
    let row = audit(
        input.now,
        "account-key-changed",
        Some(account.id),
        None,
        &[
            ("address", &address(&input.requester)),
            ("key", &account.thumbprint.to_string()),
        ],
    );
    Decision {
        changes: Changes {
            update_accounts: vec![account.clone()],
            audit: vec![row],
            ..Changes::default()
        },
        answer: Ok(account),
    }
}
