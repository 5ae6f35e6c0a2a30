//! The URLs of everything, made from the configured base for ever and never from a Host header (8555-6.4-2, T-CA-132),
//! and the way back from a path to its resource.

use std::fmt;

use cairn_acme::challenge::ChallengeType;
use cairn_x509::certificate::Serial;

#[cfg(feature = "dev")]
use crate::dev::{Layout, layout};
use crate::{
    config::{BadBaseUrl, BaseUrl, PublicationUrl},
    id::{AccountId, AuthorizationId, IssuerId, OrderId},
};

/// Makes URLs under one base.
#[derive(Debug, Clone)]
pub struct Urls {
    /// `https://HOST[:PORT]`, no slash at the end.
    base: String,
    host: String,
    /// `http://HOST[:PORT]`, under which CRLs and issuers are named.
    publication: String,
    /// What the paths of another directory than the first begin with; of the first it is empty.
    prefix: String,
    /// Of a test CA: which paths the resources have.
    #[cfg(feature = "dev")]
    pub(crate) layout: Layout,
}

impl Urls {
    /// Takes both bases as configured; ports that are the scheme's own are left out.
    ///
    /// # Errors
    /// If the base is not `https://HOST[:PORT]`.
    pub fn new(base: &str, publication: &PublicationUrl) -> Result<Self, BadBaseUrl> {
        let base: BaseUrl = base.parse()?;
        let host = base.host();
        let url = if base.port() == 443 {
            format!("https://{host}")
        } else {
            format!("https://{host}:{}", base.port())
        };
        Ok(Self {
            base: url,
            host: host.to_owned(),
            publication: publication.to_string(),
            prefix: String::new(),
            #[cfg(feature = "dev")]
            layout: Layout::default(),
        })
    }

    /// The URLs of another directory of the same server.
    #[must_use]
    pub fn below(&self, directory: &str) -> Self {
        Self {
            prefix: format!("{ACME}/{directory}"),
            ..self.clone()
        }
    }

    /// The same URLs under another base: a test CA's alone.
    #[cfg(feature = "dev")]
    pub(crate) fn set_base(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// What this directory's paths begin with, if it is not the first.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `https://HOST[:PORT]`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// `http://HOST[:PORT]`, under which CRLs and issuers are named.
    #[must_use]
    pub fn publication(&self) -> &str {
        &self.publication
    }

    /// The host of the base URL; also the CA's own name in CAA records.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The directory (RFC 8555 §7.1.1).
    #[must_use]
    pub fn directory(&self) -> String {
        self.of(Route::Directory)
    }

    /// The newNonce resource.
    #[must_use]
    pub fn new_nonce(&self) -> String {
        self.of(Route::NewNonce)
    }

    /// The newAccount resource.
    #[must_use]
    pub fn new_account(&self) -> String {
        self.of(Route::NewAccount)
    }

    /// The newOrder resource.
    #[must_use]
    pub fn new_order(&self) -> String {
        self.of(Route::NewOrder)
    }

    /// The revokeCert resource.
    #[must_use]
    pub fn revoke_cert(&self) -> String {
        self.of(Route::RevokeCert)
    }

    /// Where renewal windows are told, without the certificate's name (RFC 9773 §3).
    #[must_use]
    pub fn renewal_info(&self) -> String {
        self.of(Route::RenewalInfo)
    }

    /// An account, its kid.
    #[must_use]
    pub fn account(&self, id: AccountId) -> String {
        self.of(Route::Account(id))
    }

    /// The newAuthz resource.
    #[must_use]
    pub fn new_authz(&self) -> String {
        self.of(Route::NewAuthz)
    }

    /// The keyChange resource.
    #[must_use]
    pub fn key_change(&self) -> String {
        self.of(Route::KeyChange)
    }

    /// The list of an account's orders, from before one of them.
    #[must_use]
    pub fn orders(&self, account: AccountId, before: Option<OrderId>) -> String {
        self.of(Route::Orders(account, before))
    }

    /// An order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> String {
        self.of(Route::Order(id))
    }

    /// An order's finalize resource.
    #[must_use]
    pub fn finalize(&self, id: OrderId) -> String {
        self.of(Route::Finalize(id))
    }

    /// An authorization.
    #[must_use]
    pub fn authorization(&self, id: AuthorizationId) -> String {
        self.of(Route::Authorization(id))
    }

    /// One challenge of an authorization.
    #[must_use]
    pub fn challenge(&self, id: AuthorizationId, kind: ChallengeType) -> String {
        self.of(Route::Challenge(id, kind))
    }

    /// A certificate with its usual chain.
    #[must_use]
    pub fn certificate(&self, serial: Serial) -> String {
        self.chain(serial, 0)
    }

    /// A certificate with one of its chains: 0 is the usual one.
    #[must_use]
    pub fn chain(&self, serial: Serial, chain: u8) -> String {
        self.of(Route::Certificate(serial, chain))
    }

    /// Any resource.
    #[must_use]
    pub fn of(&self, route: Route) -> String {
        use fmt::Write;
        #[cfg(feature = "dev")]
        if self.layout == Layout::Pebble {
            return format!("{}{}{}", self.base, self.prefix, layout::path(route));
        }
        let mut url = String::with_capacity(self.base.len() + self.prefix.len() + 64);
        url.push_str(&self.base);
        let start = url.len();
        // Writing to a String cannot fail.
        let _ = write!(url, "{route}");
        if !self.prefix.is_empty() {
            // Below its own prefix a resource lies as the first directory's do below /acme.
            let general = match url.get(start..) {
                Some(path) if path.starts_with(ACME) => ACME.len(),
                _ => 0,
            };
            url.replace_range(start..start + general, &self.prefix);
        }
        url
    }

    /// The resource of a path, from behind this directory's prefix. Each resource has one spelling; any other is none.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Route> {
        #[cfg(feature = "dev")]
        if self.layout == Layout::Pebble {
            return layout::parse(path);
        }
        if self.prefix.is_empty() {
            Route::parse(path)
        } else {
            Route::parse_below(path)
        }
    }

    /// The certificate's name at the end of a path to its renewal information.
    #[must_use]
    pub fn renewed<'p>(&self, path: &'p str) -> Option<&'p str> {
        let resource = self.renewal_info();
        path.strip_prefix(resource.strip_prefix(self.base.as_str())?)?
            .strip_prefix('/')
    }

    /// A CRL shard, over plain HTTP (RFC 5280 §4.2.1.13).
    #[must_use]
    pub fn crl(&self, issuer: &IssuerId, shard: u32) -> String {
        format!("{}{}", self.publication, crl_path(*issuer, shard))
    }

    /// An issuer's certificate, over plain HTTP (RFC 5280 §4.2.2.1).
    #[must_use]
    pub fn issuer(&self, issuer: IssuerId) -> String {
        format!("{}{}", self.publication, issuer_path(issuer))
    }

    /// The root certificate, over plain HTTP.
    #[must_use]
    pub fn root(&self) -> String {
        format!("{}{ROOT_PATH}", self.publication)
    }

    /// Whose account a kid names, as far as its form tells: nothing is ever fetched (T-CA-06).
    #[must_use]
    pub fn kid(&self, kid: &str) -> Kid {
        let (own, below) = self.accounts();
        match kid
            .strip_prefix(self.base.as_str())
            .and_then(|path| path.strip_prefix(own))
            .and_then(|path| path.strip_prefix(below))
        {
            None => Kid::Foreign,
            Some(id) => id.parse().map_or(Kid::Unknown, Kid::Account),
        }
    }

    /// What an account's path begins with, in two parts.
    fn accounts(&self) -> (&str, &str) {
        #[cfg(feature = "dev")]
        if self.layout == Layout::Pebble {
            return (&self.prefix, layout::ACCOUNT);
        }
        match self.prefix.as_str() {
            "" => (ACME, BELOW_ACCOUNT),
            prefix => (prefix, BELOW_ACCOUNT),
        }
    }
}

/// What a kid names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kid {
    /// An account URL of this directory, if the account exists and is of this directory.
    Account(AccountId),
    /// Under this directory's accounts, but no id of one.
    Unknown,
    /// Not an account URL of this directory.
    Foreign,
}

/// Where a CRL shard lies on the publication listener.
#[must_use]
pub fn crl_path(issuer: IssuerId, shard: u32) -> String {
    format!("{}{shard}.crl", crl_folder(issuer))
}

/// Where all of an issuer's CRLs lie.
#[must_use]
pub fn crl_folder(issuer: IssuerId) -> String {
    format!("/crl/{issuer}/")
}

/// Where an issuer's certificate lies on the publication listener.
#[must_use]
pub fn issuer_path(issuer: IssuerId) -> String {
    format!("/issuer/{issuer}.crt")
}

/// Where the root certificate lies on the publication listener.
pub const ROOT_PATH: &str = "/root.crt";

/// One resource of the subscribers' listener. `Display` is its path, [`Route::parse`] the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
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
    /// §7.1.2.
    Account(AccountId),
    /// §7.1.2.1: the orders made before this one; without one, the newest.
    Orders(AccountId, Option<OrderId>),
    /// What looks like an account URL but is none: answered as an account of somebody else (8555-7.3.2-2).
    NoAccount,
    /// §7.1.3.
    Order(OrderId),
    /// §7.4.
    Finalize(OrderId),
    /// §7.1.4.
    Authorization(AuthorizationId),
    /// §7.1.5.
    Challenge(AuthorizationId, ChallengeType),
    /// §7.4.2: with the chain of this number, 0 being the usual one, which its path does not name.
    Certificate(Serial, u8),
    /// RFC 9773 §4.1: with whatever follows, which its handler judges, so that a wrong name is told from a wrong path.
    RenewalInfo,
}

impl Route {
    /// Finds the resource of a path of the first directory. Each resource has one spelling; any other is none.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        match path {
            DIRECTORY => Some(Self::Directory),
            path => Self::resource(path.strip_prefix(ACME)?),
        }
    }

    /// The same of a path of another directory, from behind its prefix.
    #[must_use]
    pub fn parse_below(path: &str) -> Option<Self> {
        match path {
            DIRECTORY => Some(Self::Directory),
            path => Self::resource(path),
        }
    }

    fn resource(path: &str) -> Option<Self> {
        match path {
            "/new-nonce" => return Some(Self::NewNonce),
            "/new-account" => return Some(Self::NewAccount),
            "/new-order" => return Some(Self::NewOrder),
            "/new-authz" => return Some(Self::NewAuthz),
            "/key-change" => return Some(Self::KeyChange),
            "/revoke-cert" => return Some(Self::RevokeCert),
            "/renewal-info" => return Some(Self::RenewalInfo),
            _ => {}
        }
        let (kind, rest) = path.strip_prefix('/')?.split_once('/')?;
        match (kind, rest.split_once('/')) {
            ("account", None) => Some(rest.parse().map_or(Self::NoAccount, Self::Account)),
            ("account", Some((id, rest))) => Some(orders(id, rest).unwrap_or(Self::NoAccount)),
            ("order", None) => rest.parse().ok().map(Self::Order),
            ("order", Some((id, "finalize"))) => id.parse().ok().map(Self::Finalize),
            ("authorization", None) => rest.parse().ok().map(Self::Authorization),
            ("challenge", Some((id, kind))) => {
                Some(Self::Challenge(id.parse().ok()?, kind.parse().ok()?))
            }
            ("renewal-info", None) => Some(Self::RenewalInfo),
            ("certificate", None) => Some(Self::Certificate(one_spelling(rest)?, 0)),
            ("certificate", Some((id, chain))) => Some(Self::Certificate(
                one_spelling(id)?,
                one_spelling(chain).filter(|n| *n != 0)?,
            )),
            _ => None,
        }
    }

    /// The route's name in metrics and log lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::NewNonce => "new-nonce",
            Self::NewAccount => "new-account",
            Self::NewOrder => "new-order",
            Self::NewAuthz => "new-authz",
            Self::KeyChange => "key-change",
            Self::Orders(..) => "orders",
            Self::RevokeCert => "revoke-cert",
            Self::Account(_) | Self::NoAccount => "account",
            Self::Order(_) => "order",
            Self::Finalize(_) => "finalize",
            Self::Authorization(_) => "authorization",
            Self::Challenge(..) => "challenge",
            Self::Certificate(..) => "certificate",
            Self::RenewalInfo => "renewal-info",
        }
    }

    /// The methods that it answers (RFC 8555 §6.3), as the Allow header has them.
    #[must_use]
    pub const fn methods(self) -> &'static str {
        match self {
            Self::Directory | Self::NewNonce => "GET, HEAD, POST",
            Self::RenewalInfo => "GET, HEAD",
            _ => "POST",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str(DIRECTORY),
            Self::NewNonce => f.write_str("/acme/new-nonce"),
            Self::NewAccount => f.write_str("/acme/new-account"),
            Self::NewOrder => f.write_str("/acme/new-order"),
            Self::NewAuthz => f.write_str("/acme/new-authz"),
            Self::KeyChange => f.write_str("/acme/key-change"),
            Self::Orders(id, None) => write!(f, "{ACCOUNT}{id}/orders"),
            Self::Orders(id, Some(before)) => write!(f, "{ACCOUNT}{id}/orders/{before}"),
            Self::RevokeCert => f.write_str("/acme/revoke-cert"),
            Self::Account(id) => write!(f, "{ACCOUNT}{id}"),
            Self::NoAccount => f.write_str(ACCOUNT),
            Self::Order(id) => write!(f, "/acme/order/{id}"),
            Self::Finalize(id) => write!(f, "/acme/order/{id}/finalize"),
            Self::Authorization(id) => write!(f, "/acme/authorization/{id}"),
            Self::Challenge(id, kind) => write!(f, "/acme/challenge/{id}/{}", kind),
            Self::Certificate(serial, 0) => write!(f, "/acme/certificate/{serial}"),
            Self::Certificate(serial, chain) => write!(f, "/acme/certificate/{serial}/{chain}"),
            Self::RenewalInfo => f.write_str("/acme/renewal-info"),
        }
    }
}

/// What is written as it would be printed.
fn one_spelling<T: std::str::FromStr + fmt::Display>(text: &str) -> Option<T> {
    let parsed: T = text.parse().ok()?;
    (parsed.to_string() == text).then_some(parsed)
}

/// `ID/orders` and `ID/orders/BEFORE`.
fn orders(id: &str, rest: &str) -> Option<Route> {
    let id = id.parse().ok()?;
    let before = match rest.strip_prefix("orders")? {
        "" => None,
        rest => Some(rest.strip_prefix('/')?.parse().ok()?),
    };
    Some(Route::Orders(id, before))
}

const DIRECTORY: &str = "/directory";
const ACME: &str = "/acme";
const ACCOUNT: &str = "/acme/account/";
const BELOW_ACCOUNT: &str = "/account/";

#[cfg(test)]
mod tests {
    use super::*;

    fn urls() -> Urls {
        let publication = "http://ca.example.test:14480".parse().unwrap();
        Urls::new("https://ca.example.test:14443", &publication).unwrap()
    }

    #[test]
    fn routes_round_trip_through_their_paths() {
        let (order, authorization) = (
            OrderId::from_bytes([7; 16]),
            AuthorizationId::from_bytes([9; 16]),
        );
        let serial = Serial::new(1, 2, [3; 16]);
        let routes = [
            Route::Directory,
            Route::NewNonce,
            Route::NewAccount,
            Route::NewOrder,
            Route::NewAuthz,
            Route::KeyChange,
            Route::RevokeCert,
            Route::RenewalInfo,
            Route::Account(AccountId::from_bytes([1; 16])),
            Route::Orders(AccountId::from_bytes([1; 16]), None),
            Route::Orders(AccountId::from_bytes([1; 16]), Some(order)),
            Route::Order(order),
            Route::Finalize(order),
            Route::Authorization(authorization),
            Route::Challenge(authorization, ChallengeType::Http01),
            Route::Challenge(authorization, ChallengeType::TlsAlpn01),
            Route::Certificate(serial, 0),
            Route::Certificate(serial, 1),
            Route::Certificate(serial, 255),
        ];
        for route in routes {
            assert_eq!(Route::parse(&route.to_string()), Some(route));
        }
    }

    #[test]
    fn other_spellings_are_no_route() {
        let order = Route::Order(OrderId::from_bytes([7; 16])).to_string();
        let certificate = Route::Certificate(Serial::new(1, 2, [3; 16]), 0).to_string();
        for path in [
            &format!("{certificate}/"),
            &format!("{certificate}/0"),
            &format!("{certificate}/01"),
            &format!("{certificate}/+1"),
            &format!("{certificate}/256"),
            &format!("{certificate}/1/1"),
            "",
            "/",
            "/Directory",
            "/directory/",
            "/directory?x",
            "//directory",
            "/acme/./new-order",
            "/acme/new%2dorder",
            "/acme/new-order?",
            "/acme/order/",
            "/acme/order/x",
            "/acme/certificate/00",
            &format!("{order}/"),
            &format!("{order}/Finalize"),
            &format!("{order}="),
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    #[test]
    fn kids_of_other_places_are_foreign_and_wrong_ids_unknown() {
        // T-CA-06
        let urls = urls();
        let own = urls.account(AccountId::from_bytes([1; 16]));
        assert_eq!(urls.kid(&own), Kid::Account(AccountId::from_bytes([1; 16])));
        let path = own.strip_prefix(urls.base()).unwrap();
        for foreign in [
            "https://evil/acct/1".to_owned(),
            format!("https://evil:14443{path}"),
            format!("http://ca.example.test:14443{path}"),
            format!("https://ca.example.test{path}"),
            format!("https://CA.example.test:14443{path}"),
            format!("https://ca.example.test:14443.evil{path}"),
            format!("https://ca.example.test:14443/{path}"),
            path.to_owned(),
            urls.new_order(),
            String::new(),
        ] {
            assert_eq!(urls.kid(&foreign), Kid::Foreign, "{foreign}");
        }
        for unknown in [
            format!("{own}/"),
            format!("{own}?x"),
            own.replace('A', "%41"),
            format!("{}/acme/account/18446744073709551616", urls.base()),
        ] {
            assert_eq!(urls.kid(&unknown), Kid::Unknown, "{unknown}");
        }
    }

    #[test]
    fn another_directorys_urls_and_kids_are_its_own() {
        let first = urls();
        let other = first.below("team");
        let id = AccountId::from_bytes([1; 16]);
        let base = "https://ca.example.test:14443";
        assert_eq!(other.directory(), format!("{base}/acme/team/directory"));
        assert_eq!(other.new_order(), format!("{base}/acme/team/new-order"));
        assert_eq!(other.account(id), format!("{base}/acme/team/account/{id}"));
        assert_eq!(other.root(), first.root());
        assert_eq!(other.kid(&other.account(id)), Kid::Account(id));
        assert_eq!(other.kid(&first.account(id)), Kid::Foreign);
        assert_eq!(first.kid(&other.account(id)), Kid::Foreign);
    }

    #[test]
    fn published_urls_are_plain_http_on_the_same_host() {
        let urls = urls();
        assert_eq!(
            urls.crl(&IssuerId([0xab; 16]), 0),
            format!("http://ca.example.test:14480/crl/{}/0.crl", "ab".repeat(16))
        );
        let publication = "http://CA.example.test:80/".parse().unwrap();
        let new = |base| Urls::new(base, &publication).unwrap();
        let standard = new("https://ca.example.test:443/");
        assert_eq!(standard.directory(), "https://ca.example.test/directory");
        assert_eq!(standard.root(), "http://ca.example.test/root.crt");
        assert_eq!(new("https://[::1]:8443").host(), "[::1]");
        for text in ["https://ca.test", "http://ca.test/x", "http://ca.test:0"] {
            assert!(text.parse::<PublicationUrl>().is_err(), "{text}");
        }
    }
}
