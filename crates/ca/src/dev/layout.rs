//! Pebble's resource paths, both ways. The ids in them are Cairn's own.

use std::fmt::Display;

use cairn_x509::certificate::Serial;

use crate::{frontend::Route, id::OrderId};

/// A path of the subscribers' listener, below a directory's prefix.
#[must_use]
pub(crate) fn path(route: Route) -> String {
    let below = |folder: &str, id: &dyn Display| format!("{folder}{id}");
    match route {
        Route::Directory => DIRECTORY.to_owned(),
        Route::NewNonce => NEW_NONCE.to_owned(),
        Route::NewAccount => NEW_ACCOUNT.to_owned(),
        Route::NewOrder => NEW_ORDER.to_owned(),
        Route::NewAuthz => NEW_AUTHZ.to_owned(),
        Route::KeyChange => KEY_CHANGE.to_owned(),
        Route::RevokeCert => REVOKE_CERT.to_owned(),
        Route::RenewalInfo => RENEWAL_INFO.to_owned(),
        Route::NoAccount => ACCOUNT.to_owned(),
        Route::Account(id) => below(ACCOUNT, &id),
        Route::Orders(id, None) => below(ORDERS, &id),
        Route::Orders(id, Some(before)) => format!("{ORDERS}{id}{PAGE}{before}"),
        Route::Order(id) => below(ORDER, &id),
        Route::Finalize(id) => below(FINALIZE, &id),
        Route::Authorization(id) => below(AUTHORIZATION, &id),
        // Pebble's challenges have ids of their own; here one is its authorization's and its type.
        Route::Challenge(id, kind) => format!("{CHALLENGE}{id}-{kind}"),
        Route::Certificate(serial, 0) => below(CERTIFICATE, &serial),
        Route::Certificate(serial, chain) => format!("{CERTIFICATE}{serial}{ALTERNATE}{chain}"),
    }
}

/// The way back: each resource has one spelling.
#[must_use]
pub(crate) fn parse(path: &str) -> Option<Route> {
    let found = find(path)?;
    // Of renewal information the handler judges what follows, and of accounts what is none.
    let open = matches!(found, Route::RenewalInfo | Route::NoAccount);
    (open || self::path(found) == path).then_some(found)
}

fn find(path: &str) -> Option<Route> {
    match path {
        DIRECTORY => return Some(Route::Directory),
        NEW_NONCE => return Some(Route::NewNonce),
        NEW_ACCOUNT => return Some(Route::NewAccount),
        NEW_ORDER => return Some(Route::NewOrder),
        NEW_AUTHZ => return Some(Route::NewAuthz),
        KEY_CHANGE => return Some(Route::KeyChange),
        REVOKE_CERT => return Some(Route::RevokeCert),
        _ => {}
    }
    if let Some(id) = path.strip_prefix(ACCOUNT) {
        return Some(id.parse().map_or(Route::NoAccount, Route::Account));
    }
    if let Some(rest) = path.strip_prefix(ORDERS) {
        return Some(orders(rest).unwrap_or(Route::NoAccount));
    }
    if let Some(id) = path.strip_prefix(ORDER) {
        return id.parse().ok().map(Route::Order);
    }
    if let Some(id) = path.strip_prefix(FINALIZE) {
        return id.parse().ok().map(Route::Finalize);
    }
    if let Some(id) = path.strip_prefix(AUTHORIZATION) {
        return id.parse().ok().map(Route::Authorization);
    }
    if let Some(rest) = path.strip_prefix(CHALLENGE) {
        let (id, kind) = rest.split_at_checked(ID)?;
        let kind = kind.strip_prefix('-')?.parse().ok()?;
        return Some(Route::Challenge(id.parse().ok()?, kind));
    }
    if let Some(rest) = path.strip_prefix(CERTIFICATE) {
        return match rest.split_once(ALTERNATE) {
            None => serial(rest, 0),
            Some((id, chain)) => serial(id, chain.parse().ok()?),
        };
    }
    let rest = path.strip_prefix(RENEWAL_INFO)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(Route::RenewalInfo)
}

fn orders(rest: &str) -> Option<Route> {
    let (id, before): (_, Option<OrderId>) = match rest.split_once(PAGE) {
        None => (rest, None),
        Some((id, before)) => (id, Some(before.parse().ok()?)),
    };
    Some(Route::Orders(id.parse().ok()?, before))
}

fn serial(text: &str, chain: u8) -> Option<Route> {
    let serial: Serial = text.parse().ok()?;
    Some(Route::Certificate(serial, chain))
}

/// Octets of a public id's text.
const ID: usize = 22;

const DIRECTORY: &str = "/dir";
const NEW_NONCE: &str = "/nonce-plz";
const NEW_ACCOUNT: &str = "/sign-me-up";
const NEW_ORDER: &str = "/order-plz";
/// Pebble has no such resource, and its directory names none.
const NEW_AUTHZ: &str = "/authz-plz";
const KEY_CHANGE: &str = "/rollover-account-key";
const REVOKE_CERT: &str = "/revoke-cert";
const RENEWAL_INFO: &str = "/draft-ietf-acme-ari-03/renewalInfo";
/// What an account's id follows.
pub(crate) const ACCOUNT: &str = "/my-account/";
const ORDERS: &str = "/list-orderz/";
const PAGE: &str = "/page/";
const ORDER: &str = "/my-order/";
const FINALIZE: &str = "/finalize-order/";
const AUTHORIZATION: &str = "/authZ/";
const CHALLENGE: &str = "/chalZ/";
const CERTIFICATE: &str = "/certZ/";
const ALTERNATE: &str = "/alternate/";

#[cfg(test)]
mod tests {
    use cairn_acme::challenge::ChallengeType;

    use super::*;
    use crate::id::{AccountId, AuthorizationId};

    #[test]
    fn every_route_has_one_path_of_pebbles_and_comes_back_from_it() {
        let (account, order) = (
            AccountId::from_bytes([1; 16]),
            OrderId::from_bytes([0xff; 16]),
        );
        let (authorization, serial) = (
            AuthorizationId::from_bytes([9; 16]),
            Serial::new(1, 2, [3; 16]),
        );
        let mut routes = vec![
            Route::Directory,
            Route::NewNonce,
            Route::NewAccount,
            Route::NewOrder,
            Route::NewAuthz,
            Route::KeyChange,
            Route::RevokeCert,
            Route::RenewalInfo,
            Route::NoAccount,
            Route::Account(account),
            Route::Orders(account, None),
            Route::Orders(account, Some(order)),
            Route::Order(order),
            Route::Finalize(order),
            Route::Authorization(authorization),
            Route::Certificate(serial, 0),
            Route::Certificate(serial, 2),
        ];
        routes.extend(
            ChallengeType::ALL
                .iter()
                .map(|kind| Route::Challenge(authorization, *kind)),
        );
        let lost: Vec<_> = routes
            .into_iter()
            .filter(|route| parse(&path(*route)) != Some(*route))
            .collect();
        assert!(lost.is_empty(), "{lost:?}");
        let other = [
            "/directory".to_owned(),
            "/acme/new-order".to_owned(),
            "/dir/".to_owned(),
            format!("/my-order/{order}/"),
            format!("/chalZ/{authorization}"),
            format!("/chalZ/{authorization}-http-02"),
            format!("/certZ/{serial}/alternate/0"),
            format!("/certZ/{serial}/alternate/02"),
            "/draft-ietf-acme-ari-03/renewalInformation".to_owned(),
        ];
        let found: Vec<_> = other.iter().filter(|path| parse(path).is_some()).collect();
        assert!(found.is_empty(), "{found:?}");
        let named = format!("{RENEWAL_INFO}/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        assert_eq!(parse(&named), Some(Route::RenewalInfo));
    }
}
