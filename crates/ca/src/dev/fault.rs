//! One fault: what it does, at which step, to whom, how often.

use std::net::IpAddr;

use super::Action;
use crate::frontend::Route;

/// A step of the protocol: the resource that is asked, by RFC 8555's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// RFC 8555 §7.1.1.
    Directory,
    /// §7.2.
    NewNonce,
    /// §7.3.
    NewAccount,
    /// §7.4.
    NewOrder,
    /// §7.4.1.
    NewAuthz,
    /// §7.3.5.
    KeyChange,
    /// §7.6.
    RevokeCert,
    /// RFC 9773 §4.
    RenewalInfo,
    /// §7.1.2.
    Account,
    /// §7.1.2.1.
    Orders,
    /// §7.1.3.
    Order,
    /// §7.4.
    Finalize,
    /// §7.1.4.
    Authorization,
    /// §7.5.1.
    Challenge,
    /// §7.4.2.
    Certificate,
}

impl Step {
    /// All, with their names.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Directory, "directory"),
        (Self::NewNonce, "newNonce"),
        (Self::NewAccount, "newAccount"),
        (Self::NewOrder, "newOrder"),
        (Self::NewAuthz, "newAuthz"),
        (Self::KeyChange, "keyChange"),
        (Self::RevokeCert, "revokeCert"),
        (Self::RenewalInfo, "renewalInfo"),
        (Self::Account, "account"),
        (Self::Orders, "orders"),
        (Self::Order, "order"),
        (Self::Finalize, "finalize"),
        (Self::Authorization, "authorization"),
        (Self::Challenge, "challenge"),
        (Self::Certificate, "certificate"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(step, _)| *step == self)
            .map_or("", |(_, name)| name)
    }

    /// The step with that name; `authz` and `cert`, as people say, are understood too.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = match name {
            "authz" => "authorization",
            "cert" => "certificate",
            name => name,
        };
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(step, _)| *step)
    }

    /// The step that a request for this resource is.
    pub(crate) const fn of(route: &Route) -> Self {
        match route {
            Route::Directory => Self::Directory,
            Route::NewNonce => Self::NewNonce,
            Route::NewAccount => Self::NewAccount,
            Route::NewOrder => Self::NewOrder,
            Route::NewAuthz => Self::NewAuthz,
            Route::KeyChange => Self::KeyChange,
            Route::RevokeCert => Self::RevokeCert,
            Route::RenewalInfo => Self::RenewalInfo,
            Route::Account { .. } | Route::NoAccount => Self::Account,
            Route::Orders { .. } => Self::Orders,
            Route::Order { .. } => Self::Order,
            Route::Finalize { .. } => Self::Finalize,
            Route::Authorization { .. } => Self::Authorization,
            Route::Challenge { .. } => Self::Challenge,
            Route::Certificate { .. } => Self::Certificate,
        }
    }

    /// Whether its requests are signed.
    #[must_use]
    pub const fn is_signed(self) -> bool {
        !matches!(self, Self::Directory | Self::NewNonce | Self::RenewalInfo)
    }
}

/// Which client a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// The one at this address.
    Address(IpAddr),
    /// Those whose User-Agent holds this text.
    Agent(String),
}

/// Which of the requests that a fault is for it strikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum When {
    /// Each.
    #[default]
    Always,
    /// So many, from the first on.
    First(u32),
    /// That one alone, counted from 1.
    Nth(u32),
    /// So many in a hundred, by the seed.
    Percent(u8),
}

/// A fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What happens.
    pub action: Action,
    /// Where; every step that the action knows if none is said.
    pub step: Option<Step>,
    /// To whose requests: an account's id (the end of its URL) or its key's thumbprint (RFC 7638).
    pub account: Option<String>,
    /// To which client's requests.
    pub client: Option<Client>,
    /// How often.
    pub when: When,
}

impl Fault {
    /// Strikes always, everywhere, everybody.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            action,
            step: None,
            account: None,
            client: None,
            when: When::Always,
        }
    }
}
