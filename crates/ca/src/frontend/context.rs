//! One request's surroundings: the configuration that it began with and keeps, who asks, for what, when.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use cairn_acme::{problem::Problem, time::Timestamp};

use super::{Kid, Route, Urls, admission::Place};
use crate::{
    directories::Directory,
    id::IdSeed,
    model::{Account, Requester},
    node::{Ca, Snapshot},
};

/// What a handler works with besides its verified request.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) ca: Arc<Ca>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The place of its directory; none is the first.
    pub(crate) directory: Option<usize>,
    pub(crate) address: IpAddr,
    pub(crate) route: Route,
    /// As requested; what a protected `url` must end with.
    pub(crate) path: String,
    /// Civil time at the request's arrival.
    pub(crate) now: Timestamp,
    /// Monotonic time at the request's arrival.
    pub(crate) arrived: Duration,
    /// The request's place among those in work.
    pub(crate) place: Place,
}

impl Context {
    /// The directory that was asked.
    pub(crate) fn directory(&self) -> &Directory {
        self.snapshot.directories.at(self.directory)
    }

    /// Its URLs.
    pub(crate) fn urls(&self) -> &Urls {
        &self.directory().urls
    }

    /// Whose account a kid names.
    pub(crate) fn kid(&self, kid: &str) -> Kid {
        #[cfg(feature = "dev")]
        if let Some(doors) = &self.ca.doors
            && let Some(moved) = doors.moved(kid, self.urls().base())
        {
            return self.urls().kid(&moved);
        }
        self.urls().kid(kid)
    }

    /// The URL that the account was given, at a test CA that follows the Host as it is there.
    pub(crate) fn account_url(&self, account: &Account) -> String {
        #[cfg(feature = "dev")]
        if self
            .ca
            .doors
            .as_ref()
            .is_some_and(|d| d.conduct().follow_host)
        {
            return self.urls().account(account.id);
        }
        account.url.clone()
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester {
            address: Some(self.address),
        }
    }
}

/// Draws the random half of a public id.
pub(crate) fn seed() -> Result<IdSeed, Problem> {
    random()
}

/// Draws random octets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut octets = [0; N];
    rand::fill(&mut octets).map_err(|_| {
        tracing::error!(target: "cairn", "the random source failed");
        Problem::server_internal("the server failed; its operator has been told why")
    })?;
    Ok(octets)
}
