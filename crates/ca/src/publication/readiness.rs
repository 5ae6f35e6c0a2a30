//! Whether a node may be sent requests; what is not well says why.

use cairn_acme::time::Timestamp;
use serde::Serialize;

use super::Shelf;
use crate::{frontend::urls::crl_folder, issuance::Signing, node::Ca};

/// A reading of the node's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    faults: Vec<Fault>,
}

/// One thing that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which part.
    pub part: &'static str,
    /// What is wrong with it, for the operator.
    pub reason: String,
}

impl Readiness {
    /// Reads the node now.
    #[must_use]
    pub fn of(ca: &Ca, now: Timestamp) -> Self {
        let snapshot = ca.snapshot.load();
        let issuers = ca.issuance.issuers();
        let is_active = |signing: &&Signing| !signing.is_retired(&snapshot);
        // The last lists of an issuer that signs no more end with it, and none comes after them. Nobody renews the list of
        // an issuer that left the configuration; the start says so.
        let is_last = |path: &str, end: Timestamp| {
            let mut all = issuers.iter();
            let of = all.find(|signing| path.starts_with(&crl_folder(signing.issuer.id)));
            of.is_none_or(|signing| {
                let last = signing.issuer.certificate.not_after();
                !is_active(&signing) && (end.as_seconds() >= last || now.as_seconds() > last)
            })
        };
        let mut read = Self::judge(ca.store.read_only_reason(), &ca.crls, now, is_last);
        // T-CA-96: the alarm of a clock that stepped.
        let mut clocks = issuers
            .iter()
            .filter(is_active)
            .filter_map(|s| ca.issuance.clock_fault(ca, &s.issuer));
        read.faults.extend(clocks.next().map(|reason| Fault {
            part: "clock",
            reason,
        }));
        let overdue = ca.publisher.overdue(ca.clock.monotonic());
        read.faults.extend(overdue.into_iter().map(|((issuer, shard), why)| Fault {
            part: "crl",
            reason: format!("the CRL of issuer {issuer}, shard {shard}, could not be renewed for a minute or more, and the one before stays published: {why}"),
        }));
        read
    }

    /// Judges what was read: a store that takes no writes, and CRLs that near their end unrenewed (T-CA-104).
    fn judge(
        store: Option<String>,
        shelf: &Shelf,
        now: Timestamp,
        is_last: impl Fn(&str, Timestamp) -> bool,
    ) -> Self {
        let mut faults: Vec<_> = store
            .map(|reason| Fault {
                part: "store",
                reason,
            })
            .into_iter()
            .collect();
        faults.extend(shelf.list().into_iter().filter_map(|(path, file)| {
            let end = file.fresh_until.filter(|end| !is_last(&path, *end))?;
            let life = end.since(file.modified);
            (end.since(now) < life / 8).then(|| Fault {
                part: "crl",
                reason: format!("{path} ends at {end} and was not renewed: look for errors of the signer and the store"),
            })
        }));
        Self { faults }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.faults.is_empty()
    }

    /// What is wrong.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::publication::File;

    #[test]
    fn a_node_is_not_ready_before_a_crl_ends_or_while_the_store_takes_no_writes() {
        // T-CA-104
        const DAY: Duration = Duration::from_secs(86_400);
        let now = Timestamp::from_seconds(1_800_000_000);
        let shelf = Shelf::default();
        shelf.put(
            "/crl/ab/0.crl".to_owned(),
            File::crl(vec![1], now, now.plus(DAY * 7)),
        );
        assert!(Readiness::judge(None, &shelf, now.plus(DAY * 6), |_, _| false).is_ready());
        let late = Readiness::judge(
            None,
            &shelf,
            now.plus(DAY * 7).minus(Duration::from_secs(3600)),
            |_, _| false,
        );
        assert_eq!(late.faults().first().unwrap().part, "crl");
        let full = Readiness::judge(Some("the disk is full".to_owned()), &shelf, now, |_, _| {
            false
        });
        assert_eq!(full.faults().first().unwrap().reason, "the disk is full");
    }
}
