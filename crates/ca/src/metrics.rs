//! Counters and gauges, as OpenMetrics text on the operator's socket. What a request touches is resolved once: a count
//! in the hot path is one atomic addition, without a look-up by label.

use std::{
    sync::{OnceLock, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use cairn_acme::problem::Problem;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::frontend::urls::Route;
use crate::store::TransactionOutcome;

/// What one node counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Requests,
    directories: Family<ByDirectory, Counter>,
    problems: Family<ByType, Counter>,
    took: Histogram,
    transactions: Transactions,
    validations: Validations,
    issuances: Issuances,
    revocations: Counter,
    crl_failures: Counter,
    shed: Counter,
    /// Open connections of the subscribers' listener.
    pub connections: Gauge,
    /// Requests in work, held ones not counted.
    pub requests_in_flight: Gauge,
    /// Answers that are held.
    pub held: Gauge,
    /// Transactions that wait for the writer.
    pub queue: Gauge,
    /// Age of the oldest of them, in seconds.
    pub queue_age: Gauge<f64, AtomicU64>,
    /// Nonces made in this window.
    pub nonces: Gauge,
    /// Octets of memory of the used ones.
    pub nonce_memory: Gauge,
    crls: Family<ByCrl, Gauge>,
    rows: Family<ByTable, Gauge>,
    /// Octets of the database file.
    pub store_size: Gauge,
    /// Serials whose signature is not known.
    pub unconfirmed: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDirectory {
    directory: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByType {
    problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTransaction {
    transaction: &'static str,
    outcome: &'static str,
}

#[derive(Debug)]
struct Validations {
    valid: Counter,
    invalid: Counter,
    failed_attempts: Counter,
}

#[derive(Debug)]
struct Issuances {
    issued: Counter,
    failed: Counter,
    stopped: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByCrl {
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTable {
    table: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The counter of a directory's requests, to be kept.
    pub(crate) fn directory(&self, name: &str) -> Counter {
        let directory = name.to_owned();
        self.directories
            .get_or_create_owned(&ByDirectory { directory })
    }

    /// Registers everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("cairn");
        let requests = Requests::default();
        registry.register(
            "requests",
            "Answers of the subscribers' listener",
            requests.family.clone(),
        );
        let directories = Family::default();
        registry.register(
            "directory_requests",
            "The same answers by directory",
            directories.clone(),
        );
        let problems = Family::default();
        registry.register("problems", "Refusals by problem type", problems.clone());
        let took = Histogram::new([
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
        ]);
        registry.register_with_unit(
            "request_duration",
            "From a request's head to its answer, holds included",
            Unit::Seconds,
            took.clone(),
        );
        let transactions = Transactions::default();
        registry.register(
            "transactions",
            "Transactions by name",
            transactions.family.clone(),
        );
        registry.register_with_unit(
            "transaction_duration",
            "From enqueueing to COMMIT",
            Unit::Seconds,
            transactions.took.clone(),
        );
        let outcomes = Family::<ByOutcome, Counter>::default();
        registry.register("validations", "Concluded validations", outcomes.clone());
        let [valid, invalid] = ["valid", "invalid"]
            .map(|outcome| outcomes.get_or_create_owned(&ByOutcome { outcome }));
        let failed_attempts = Counter::default();
        registry.register(
            "validation_attempts_failed",
            "Failed attempts of validations",
            failed_attempts.clone(),
        );
        let validations = Validations {
            valid,
            invalid,
            failed_attempts,
        };
        let outcomes = Family::<ByOutcome, Counter>::default();
        registry.register("issuances", "Concluded issuances", outcomes.clone());
        let [issued, failed] = ["issued", "failed"]
            .map(|outcome| outcomes.get_or_create_owned(&ByOutcome { outcome }));
        let stopped = Counter::default();
        registry.register(
            "signing_stopped",
            "Signatures refused because the clocks disagree",
            stopped.clone(),
        );
        let issuances = Issuances {
            issued,
            failed,
            stopped,
        };
        let revocations = Counter::default();
        registry.register("revocations", "Revoked certificates", revocations.clone());
        let crl_failures = Counter::default();
        registry.register(
            "crl_failures",
            "CRLs that could not be made",
            crl_failures.clone(),
        );
        let shed = Counter::default();
        registry.register(
            "shed",
            "Requests told to come again before any work",
            shed.clone(),
        );
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connections = gauge(
            "connections",
            "Open connections of the subscribers' listener",
        );
        let requests_in_flight = gauge("requests_in_flight", "Requests in work");
        let held = gauge("held", "Answers that are held until work ends");
        let queue = gauge("store_queue", "Transactions that wait for the writer");
        let nonces = gauge("nonces_minted", "Nonces made since the window opened");
        let nonce_memory = gauge("nonce_memory_bytes", "Memory of the used nonces");
        let store_size = gauge("store_size_bytes", "Size of the database file");
        let unconfirmed = gauge(
            "certificates_unconfirmed",
            "Serials whose signature is not known",
        );
        let queue_age = Gauge::<f64, AtomicU64>::default();
        registry.register_with_unit(
            "store_queue_age",
            "Age of the oldest waiting transaction",
            Unit::Seconds,
            queue_age.clone(),
        );
        let crls = Family::default();
        registry.register(
            "crl_next_update_timestamp_seconds",
            "When the published CRL of the shard ends",
            crls.clone(),
        );
        let rows = Family::default();
        registry.register("store_rows", "Rows by table", rows.clone());
        Self {
            registry,
            requests,
            directories,
            problems,
            took,
            transactions,
            validations,
            issuances,
            revocations,
            crl_failures,
            shed,
            connections,
            requests_in_flight,
            held,
            queue,
            queue_age,
            nonces,
            nonce_memory,
            crls,
            rows,
            store_size,
            unconfirmed,
        }
    }

    /// Counts an answer; no route is a path that is none.
    pub fn request(&self, route: Option<Route>, status: u16, took: Duration) {
        self.requests
            .count(route.map_or("none", Route::name), status);
        self.took.observe(took.as_secs_f64());
    }

    /// Counts a refusal.
    pub fn problem(&self, problem: &Problem) {
        self.problems
            .get_or_create(&ByType {
                problem: problem.kind.name().to_owned(),
            })
            .inc();
    }

    /// Counts a request that admission turned away.
    pub fn shed(&self) {
        self.shed.inc();
    }

    /// Counts a transaction.
    pub fn transaction(&self, name: &'static str, ended: TransactionOutcome, took: Duration) {
        self.transactions.count(name, ended);
        self.transactions.took.observe(took.as_secs_f64());
    }

    /// Counts a validation that was concluded.
    pub fn validation_concluded(&self, valid: bool) {
        if valid {
            &self.validations.valid
        } else {
            &self.validations.invalid
        }
        .inc();
    }

    /// Counts one failed attempt of a validation.
    pub fn validation_attempt_failed(&self) {
        self.validations.failed_attempts.inc();
    }

    /// Counts an issued certificate.
    pub fn issued(&self) {
        self.issuances.issued.inc();
    }

    /// Counts an issuance that ended without a certificate.
    pub fn issuance_failed(&self) {
        self.issuances.failed.inc();
    }

    /// Counts a time that signing was refused because the clocks disagree.
    pub fn signing_stopped(&self) {
        self.issuances.stopped.inc();
    }

    /// Counts a certificate that was revoked.
    pub fn revoked(&self) {
        self.revocations.inc();
    }

    /// Counts a CRL that could not be made.
    pub fn crl_failed(&self) {
        self.crl_failures.inc();
    }

    /// Notes the end of a published CRL, in seconds since the epoch.
    pub fn crl(&self, path: &str, next_update: i64) {
        self.crls
            .get_or_create(&ByCrl {
                path: path.to_owned(),
            })
            .set(next_update);
    }

    /// Notes how many rows a table has.
    pub fn rows(&self, table: &'static str, rows: i64) {
        self.rows.get_or_create(&ByTable { table }).set(rows);
    }

    /// All of it as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(8192);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// One counter for each (route, status), found by two short scans and made at first use.
#[derive(Debug)]
struct Requests {
    family: Family<ByRoute, Counter>,
    cells: Vec<[OnceLock<Counter>; STATUSES.len()]>,
}

const ROUTES: [&str; 16] = [
    "new-nonce",
    "new-order",
    "challenge",
    "finalize",
    "authorization",
    "order",
    "certificate",
    "new-account",
    "directory",
    "revoke-cert",
    "new-authz",
    "key-change",
    "orders",
    "account",
    "renewal-info",
    "none",
];

/// The last cell stands for every other.
const STATUSES: [u16; 14] = [
    200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415, 429, 503, 500,
];

impl Default for Requests {
    fn default() -> Self {
        Self {
            family: Family::default(),
            cells: ROUTES
                .iter()
                .map(|_| std::array::from_fn(|_| OnceLock::new()))
                .collect(),
        }
    }
}

impl Requests {
    fn count(&self, route: &'static str, status: u16) {
        let row = ROUTES
            .iter()
            .position(|known| *known == route)
            .unwrap_or(ROUTES.len() - 1);
        let column = STATUSES
            .iter()
            .position(|known| *known == status)
            .unwrap_or(STATUSES.len() - 1);
        let Some(cell) = self.cells.get(row).and_then(|row| row.get(column)) else {
            return;
        };
        cell.get_or_init(|| {
            let (route, status) = (
                ROUTES.get(row).copied().unwrap_or("none"),
                STATUSES.get(column).copied().unwrap_or(500),
            );
            self.family.get_or_create_owned(&ByRoute { route, status })
        })
        .inc();
    }
}

/// Counters of transactions, by the address of their static name.
#[derive(Debug)]
struct Transactions {
    family: Family<ByTransaction, Counter>,
    known: RwLock<Vec<(&'static str, [Counter; 3])>>,
    took: Histogram,
}

impl Default for Transactions {
    fn default() -> Self {
        let took = Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0]);
        Self {
            family: Family::default(),
            known: RwLock::default(),
            took,
        }
    }
}

impl Transactions {
    fn count(&self, name: &'static str, ended: TransactionOutcome) {
        if !self.count_known(name, ended) {
            let cells = ["committed", "refused", "failed"].map(|outcome| {
                self.family.get_or_create_owned(&ByTransaction {
                    transaction: name,
                    outcome,
                })
            });
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if !known.iter().any(|(other, _)| *other == name) {
                known.push((name, cells));
            }
            drop(known);
            self.count_known(name, ended);
        }
    }

    fn count_known(&self, name: &'static str, ended: TransactionOutcome) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some((_, [committed, refused, failed])) =
            known.iter().find(|(other, _)| *other == name)
        else {
            return false;
        };
        match ended {
            TransactionOutcome::Granted => committed.inc(),
            TransactionOutcome::Refused => refused.inc(),
            TransactionOutcome::Failed => failed.inc(),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.request(Some(Route::NewOrder), 201, Duration::from_millis(3));
        metrics.request(None, 404, Duration::from_millis(1));
        metrics.request(Some(Route::Directory), 418, Duration::from_millis(1));
        metrics.problem(&Problem::malformed("x"));
        metrics.transaction(
            "create_order",
            TransactionOutcome::Granted,
            Duration::from_millis(4),
        );
        metrics.transaction(
            "create_order",
            TransactionOutcome::Refused,
            Duration::from_millis(4),
        );
        metrics.validation_concluded(true);
        metrics.issued();
        metrics.crl("/crl/ab/0.crl", 1_900_000_000);
        metrics.connections.inc();
        let text = metrics.text();
        for line in [
            "cairn_requests_total{route=\"new-order\",status=\"201\"} 1",
            "cairn_requests_total{route=\"none\",status=\"404\"} 1",
            "cairn_requests_total{route=\"directory\",status=\"500\"} 1",
            "cairn_problems_total{problem=\"malformed\"} 1",
            "cairn_transactions_total{transaction=\"create_order\",outcome=\"committed\"} 1",
            "cairn_transactions_total{transaction=\"create_order\",outcome=\"refused\"} 1",
            "cairn_validations_total{outcome=\"valid\"} 1",
            "cairn_issuances_total{outcome=\"issued\"} 1",
            "cairn_crl_next_update_timestamp_seconds{path=\"/crl/ab/0.crl\"} 1900000000",
            "cairn_connections 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_route_has_its_own_row() {
        for route in [
            Route::Directory,
            Route::NewNonce,
            Route::NewAccount,
            Route::NewOrder,
            Route::RevokeCert,
            Route::NoAccount,
        ] {
            assert!(ROUTES.contains(&route.name()), "{}", route.name());
        }
    }
}
