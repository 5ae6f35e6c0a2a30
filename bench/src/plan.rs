//! Which rows are measured, and how: three interleaved runs each, a new server for each run.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cairn_acme::renewal::CertId;
use tempfile::TempDir;

use crate::client::{self, Task};
use crate::measure::{cpu, median, quantile, rss_mib};
use crate::prepare::Shape;
use crate::proofs::{Method, Proofs};
use crate::report::{Row, note};
use crate::run::{Conditions, Sample, run};
use crate::subjects::{Cairn, Dev, Pebble, Running, Stage, Subject, Watched};
use crate::{prefill, revocation};

/// The load under which the special rows are measured, and most bounds are set.
pub(crate) const CLIENTS: usize = 32;
const CLIENTS_OF_PLAIN_ROWS: [usize; 4] = [1, 8, CLIENTS, 64];
/// Fewer where each of them does much at once.
pub(crate) const CLIENTS_OF_LARGE_WORK: usize = 8;
const SLOW_FSYNC: Duration = Duration::from_millis(5);
/// Pebble looks through all that it holds at each order and hangs sooner or later: a short run is its best case.
const PEBBLE_DURATION: Duration = Duration::from_secs(3);
/// Certificates that the store is filled from, and with.
const SEED: usize = 64;
const HELD: [usize; 2] = [20_000, 1_000_000];
/// Certificates that a test CA comes to hold.
const GROWN: [usize; 2] = [20_000, 100_000];
/// As many clients as one machine's tests may start, and for how long.
pub(crate) const CLIENTS_OF_THE_MINUTE: usize = 128;
const MINUTE: Duration = Duration::from_secs(60);
/// Starts of a program in one run.
const STARTS: usize = 20;
/// Names of the largest order.
const NAMES: usize = 100;
/// Certificates whose renewal information is asked for.
const LOOKED_AT: usize = 5000;
/// A first guess at certificates a second, for what is prepared; and at most so many names are.
const GUESS: f64 = 500.0;
const PREPARED_MAX: f64 = 12_000.0;

/// What is done, beside the plain case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// The plain case: one name, kept-alive connections, answers held.
    Plain,
    /// The server holds no answer; the client asks until it is there.
    NoHold,
    /// A new connection for each certificate.
    FreshTls,
    /// Each flush takes five milliseconds more.
    SlowFsync,
    /// So many certificates are in the store already.
    Held(usize),
    /// The answer is a TXT record.
    Dns,
    /// The answer is a certificate of the name's TLS server.
    Alpn,
    /// A hundred names in one order.
    Names,
    /// `*.` and a name.
    Wildcard,
    /// A certificate is replaced when its window says so.
    Renew,
    /// Renewal information alone, of many certificates.
    Look,
    /// Ten thousand certificates are revoked while clients obtain theirs.
    Revoke,
    /// A test CA keeps and checks every exchange.
    Checked,
    /// The plain case for a minute.
    Minute,
    /// The plain case until so many certificates are there.
    Grown(usize),
    /// From the program's start to its directory.
    Start,
}

/// One row to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) subject: Subject,
    pub(crate) work: Work,
    pub(crate) clients: usize,
}

/// How thoroughly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depth {
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) warm_up: Duration,
    /// The largest number of held certificates.
    pub(crate) held_max: usize,
}

/// Measures entries.
pub(crate) struct Bench {
    stage: Stage,
    proofs: Proofs,
    depth: Depth,
    commit: String,
    rates: HashMap<Entry, f64>,
    stores: HashMap<usize, (Cairn, TempDir)>,
    runs: usize,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("http-01"),
            Self::NoHold => f.write_str("http-01-no-hold"),
            Self::FreshTls => f.write_str("http-01-fresh-tls"),
            Self::SlowFsync => f.write_str("http-01-slow-fsync"),
            Self::Held(count) => write!(f, "http-01-held-{count}"),
            Self::Dns => f.write_str("dns-01"),
            Self::Alpn => f.write_str("tls-alpn-01"),
            Self::Names => write!(f, "names-{NAMES}"),
            Self::Wildcard => f.write_str("wildcard"),
            Self::Renew => f.write_str("renew-ari"),
            Self::Look => f.write_str("renewal-info"),
            Self::Revoke => write!(f, "revoke-{}", revocation::REVOKED),
            Self::Checked => f.write_str("http-01-checked"),
            Self::Minute => f.write_str("http-01-minute"),
            Self::Grown(count) => write!(f, "dev-memory-{count}"),
            Self::Start => f.write_str("dev-start"),
        }
    }
}

/// The rows of these subjects; the plain ones alone, or all.
pub(crate) fn entries(subjects: &[Subject], plain_only: bool, depth: Depth) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |subject, work, clients| {
        if subjects.contains(&subject) {
            entries.push(Entry {
                subject,
                work,
                clients,
            });
        }
    };
    for clients in CLIENTS_OF_PLAIN_ROWS {
        add(Subject::Cairn, Work::Plain, clients);
        add(Subject::CairnDev, Work::Plain, clients);
        add(Subject::Pebble, Work::Plain, clients);
    }
    if !plain_only {
        add(Subject::Cairn, Work::NoHold, CLIENTS);
        add(Subject::Cairn, Work::FreshTls, CLIENTS);
        add(Subject::Pebble, Work::FreshTls, CLIENTS);
        add(Subject::Cairn, Work::SlowFsync, CLIENTS);
        for count in HELD.into_iter().filter(|count| *count <= depth.held_max) {
            add(Subject::Cairn, Work::Held(count), CLIENTS);
        }
        for work in [Work::Dns, Work::Alpn, Work::Wildcard] {
            add(Subject::Cairn, work, CLIENTS);
            add(Subject::Pebble, work, CLIENTS);
        }
        add(Subject::Cairn, Work::Names, CLIENTS_OF_LARGE_WORK);
        add(Subject::Cairn, Work::Renew, CLIENTS);
        add(Subject::Cairn, Work::Look, CLIENTS);
        add(Subject::Cairn, Work::Revoke, CLIENTS_OF_LARGE_WORK);
        add(Subject::CairnDev, Work::Start, 1);
        add(Subject::Pebble, Work::Start, 1);
        add(Subject::CairnDev, Work::Checked, CLIENTS);
        if depth.held_max > HELD[0] {
            add(Subject::CairnDev, Work::Minute, CLIENTS_OF_THE_MINUTE);
        }
        for count in GROWN.into_iter().filter(|count| *count <= depth.held_max) {
            add(Subject::CairnDev, Work::Grown(count), CLIENTS);
        }
    }
    entries
}

impl Bench {
    pub(crate) fn new(stage: Stage, proofs: Proofs, depth: Depth, commit: String) -> Self {
        let (rates, stores) = Default::default();
        Self {
            stage,
            proofs,
            depth,
            commit,
            rates,
            stores,
            runs: 0,
        }
    }

    /// All entries once, then all again: what the machine does meanwhile falls on all alike.
    pub(crate) async fn rows(&mut self, entries: &[Entry]) -> Result<Vec<Row>> {
        for entry in entries {
            if let Work::Held(count) = entry.work {
                let store = self
                    .filled(count)
                    .await
                    .with_context(|| format!("the store of {}", entry.work))?;
                self.stores.insert(count, store);
            }
        }
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); entries.len()];
        for round in 1..=self.depth.rounds {
            for (entry, samples) in entries.iter().zip(&mut samples) {
                // What takes minutes is long enough to be measured once.
                if round > 1 && matches!(entry.work, Work::Minute | Work::Grown(_)) {
                    continue;
                }
                let Entry {
                    subject,
                    work,
                    clients,
                } = entry;
                let what = format!("round {round}: {} {work} {clients}", subject.name());
                let sample = self.sample(*entry).await.with_context(|| what.clone())?;
                note(&format!(
                    "{what}: {:.0}/s, p50 {:.1} ms, CPU {:.2} ms{}",
                    sample.certs_per_s,
                    sample.p50_ms,
                    sample.cpu_ms,
                    if sample.hung { ", HUNG" } else { "" }
                ));
                if let Some(failure) = &sample.first_failure {
                    note(&format!(
                        "  {} failed, the first with: {failure}",
                        sample.failed
                    ));
                }
                samples.push(sample);
            }
        }
        let rows = entries.iter().zip(&samples);
        Ok(rows
            .map(|(entry, samples)| summary(*entry, samples, &self.commit))
            .collect())
    }

    async fn sample(&mut self, entry: Entry) -> Result<Sample> {
        let folder = tempfile::tempdir_in(&self.stage.folder)?;
        let seconds = (self.depth.duration + self.depth.warm_up).as_secs_f64();
        let rate = self.rates.get(&entry).copied().unwrap_or(GUESS);
        let base = self.conditions(entry);
        let expected = match base.task {
            Task::Obtain(_) => (rate * seconds * 1.3).min(PREPARED_MAX / base.shape.names as f64),
            Task::Renew | Task::Look(_) => 0.0,
        };
        let mut conditions = Conditions {
            expected: expected as usize,
            // The bound on memory is for a server that has issued as many.
            at_least: match entry.work {
                Work::Held(count) if count == HELD[0] && self.depth.held_max > count => count,
                Work::Grown(count) => count,
                _ => 0,
            },
            ..base
        };
        let server = match (entry.subject, entry.work) {
            (subject, Work::Start) => return self.starts(subject).await,
            (Subject::CairnDev, work) => {
                let watched = match work {
                    Work::Checked => Watched::Checked,
                    _ => Watched::Usual,
                };
                Dev::start(&self.stage, folder.path(), watched).await?
            }
            (Subject::Pebble, _) => Pebble::start(&self.stage, folder.path()).await?,
            (Subject::Cairn, Work::Held(count)) => {
                let (ca, _) = self.stores.get(&count).context("a filled store")?;
                ca.serve(&self.stage, Duration::ZERO).await?
            }
            (Subject::Cairn, Work::Revoke) => return self.revocation(conditions).await,
            (Subject::Cairn, Work::Look) => {
                let (ca, _folder) = self.filled(LOOKED_AT).await?;
                let key_id = ca.issuer()?.key_id().to_owned();
                let names = ca.serials(LOOKED_AT)?;
                let names = names.iter().map(|serial| {
                    let id = CertId::new(&key_id, serial.as_bytes())?;
                    anyhow::Ok(id.to_string())
                });
                conditions.task = Task::Look(Rc::new(names.collect::<Result<_>>()?));
                let server = ca.serve(&self.stage, Duration::ZERO).await?;
                return self.run(server, &conditions).await;
            }
            (Subject::Cairn, work) => {
                let ca = Cairn::init(&self.stage, folder.path())?;
                if work == Work::NoHold {
                    ca.without_holds()?;
                }
                let delay = match work {
                    Work::SlowFsync => SLOW_FSYNC,
                    _ => Duration::ZERO,
                };
                ca.serve(&self.stage, delay).await?
            }
        };
        let sample = self.run(server, &conditions).await?;
        self.rates.insert(entry, sample.certs_per_s);
        Ok(sample)
    }

    /// Starts the program over and over: the time from its start to its directory, its CPU, its memory.
    async fn starts(&self, subject: Subject) -> Result<Sample> {
        let (mut times, mut spent, mut rss) = (Vec::new(), Duration::ZERO, 0_f64);
        for _ in 0..STARTS {
            let folder = tempfile::tempdir_in(&self.stage.folder)?;
            let start = Instant::now();
            let server = match subject {
                Subject::Pebble => Pebble::start(&self.stage, folder.path()).await?,
                _ => Dev::start(&self.stage, folder.path(), Watched::Usual).await?,
            };
            client::directory(&server.target, &server.directory).await?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            spent += cpu(server.pid())?;
            rss = rss.max(rss_mib(server.pid())?);
            server.stop().await?;
        }
        Ok(Sample {
            certs: STARTS,
            p50_ms: median(&times),
            p99_ms: quantile(&times, 0.99),
            cpu_ms: spent.as_secs_f64() * 1e3 / STARTS as f64,
            rss_mib: rss,
            ..Sample::default()
        })
    }

    /// Each time with a store of its own: what is revoked stays so.
    async fn revocation(&mut self, conditions: Conditions) -> Result<Sample> {
        let (ca, _folder) = self.filled(revocation::REVOKED).await?;
        let server = ca.serve(&self.stage, Duration::ZERO).await?;
        let conditions = self.numbered(&conditions);
        let sample = revocation::run(&server, &ca, &self.proofs, &conditions).await?;
        server.stop().await?;
        Ok(sample)
    }

    fn conditions(&self, entry: Entry) -> Conditions {
        Conditions {
            clients: entry.clients,
            task: match entry.work {
                Work::Dns | Work::Wildcard => Task::Obtain(Method::Dns01),
                Work::Alpn => Task::Obtain(Method::TlsAlpn01),
                Work::Renew => Task::Renew,
                _ => Task::Obtain(Method::Http01),
            },
            shape: Shape {
                names: if entry.work == Work::Names { NAMES } else { 1 },
                wildcard: entry.work == Work::Wildcard,
            },
            warm_up: self.depth.warm_up,
            duration: match (entry.subject, entry.work) {
                (_, Work::Minute) => MINUTE,
                (Subject::Pebble, _) => self.depth.duration.min(PEBBLE_DURATION),
                _ => self.depth.duration,
            },
            at_least: 0,
            fresh_tls: entry.work == Work::FreshTls,
            holds: entry.subject != Subject::Pebble && entry.work != Work::NoHold,
            expected: 0,
            series: String::new(),
        }
    }

    /// The names of each run are its own.
    fn numbered(&mut self, conditions: &Conditions) -> Conditions {
        self.runs += 1;
        Conditions {
            series: format!("r{}", self.runs),
            ..conditions.clone()
        }
    }

    async fn run(&mut self, server: Running, conditions: &Conditions) -> Result<Sample> {
        let conditions = self.numbered(conditions);
        let ran = run(&server, &self.proofs, &conditions).await;
        let sample = ran.unwrap_or_else(|fault| Sample {
            // One that does not even open accounts, or that ended, is no better.
            hung: true,
            first_failure: Some(format!("{fault:#}\n{}", server.last_words())),
            ..Sample::default()
        });
        if sample.hung {
            // It would not stop either.
            drop(server);
        } else {
            server.stop().await?;
        }
        Ok(sample)
    }

    /// A CA with so many certificates: a few issued, the rest copied from them.
    async fn filled(&mut self, count: usize) -> Result<(Cairn, TempDir)> {
        let folder = tempfile::tempdir_in(&self.stage.folder)?;
        let ca = Cairn::init(&self.stage, folder.path())?;
        let entry = Entry {
            subject: Subject::Cairn,
            work: Work::Held(count),
            clients: 8,
        };
        let conditions = Conditions {
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
            at_least: SEED,
            expected: SEED,
            ..self.conditions(entry)
        };
        let server = ca.serve(&self.stage, Duration::ZERO).await?;
        let seed = self.run(server, &conditions).await?;
        ensure!(!seed.hung, "no certificates: {:?}", seed.first_failure);
        note(&format!("filling a store with {count} certificates"));
        prefill::fill(&ca.dir(), count)?;
        Ok((ca, folder))
    }
}

/// The row of some runs: medians of those that finished, the certificates of all, the most memory. Without a run that
/// finished there are no times.
fn summary(entry: Entry, samples: &[Sample], commit: &str) -> Row {
    let finished = samples.iter().filter(|sample| !sample.hung);
    let finished: Vec<_> = finished.collect();
    let middle = |value: fn(&Sample) -> f64, digits: i32| {
        let all: Vec<f64> = finished.iter().map(|sample| value(sample)).collect();
        let scale = 10_f64.powi(digits);
        (median(&all) * scale).round() / scale
    };
    Row {
        subject: entry.subject,
        work: entry.work.to_string(),
        clients: entry.clients,
        certs: samples.iter().map(|sample| sample.certs).sum(),
        certs_per_s: middle(|sample| sample.certs_per_s, 1),
        p50_ms: middle(|sample| sample.p50_ms, 2),
        p99_ms: middle(|sample| sample.p99_ms, 2),
        cpu_ms: middle(|sample| sample.cpu_ms, 4),
        rss_mib: samples
            .iter()
            .map(|sample| (sample.rss_mib * 10.0).round() / 10.0)
            .fold(0.0, f64::max),
        fsyncs: middle(|sample| sample.fsyncs, 3),
        requests: middle(|sample| sample.requests, 2),
        bytes: middle(|sample| sample.bytes, 0),
        verify_us: middle(|sample| sample.verify_us, 1),
        hung: samples.iter().any(|sample| sample.hung),
        commit: commit.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry {
        subject: Subject::Pebble,
        work: Work::Plain,
        clients: 64,
    };

    fn sample(cpu_ms: f64, hung: bool) -> Sample {
        Sample {
            certs: 10,
            cpu_ms,
            hung,
            ..Sample::default()
        }
    }

    #[test]
    fn a_row_is_the_median_of_the_runs_that_finished_and_says_that_one_hung() {
        let row = summary(
            ENTRY,
            &[
                sample(3.0, false),
                sample(90.0, true),
                sample(2.0, false),
                sample(1.0, false),
            ],
            "c",
        );
        assert_eq!((row.cpu_ms, row.certs, row.hung), (2.0, 40, true));
    }

    #[test]
    fn plain_rows_are_both_subjects_at_four_loads() {
        let depth = Depth {
            rounds: 3,
            duration: Duration::ZERO,
            warm_up: Duration::ZERO,
            held_max: 1_000_000,
        };
        let both = [Subject::Cairn, Subject::Pebble];
        assert_eq!(entries(&both, true, depth).len(), 8);
        let names: Vec<_> = entries(&both, false, depth)
            .iter()
            .skip(8)
            .map(|entry| entry.work.to_string())
            .collect();
        let want = [
            "no-hold",
            "fresh-tls",
            "fresh-tls",
            "slow-fsync",
            "held-20000",
            "held-1000000",
        ]
        .map(|name| format!("http-01-{name}"));
        let others = [
            "dns-01",
            "dns-01",
            "tls-alpn-01",
            "tls-alpn-01",
            "wildcard",
            "wildcard",
            "names-100",
            "renew-ari",
            "renewal-info",
            "revoke-10000",
            "dev-start",
        ];
        let want: Vec<_> = want.into_iter().chain(others.map(str::to_owned)).collect();
        assert_eq!(names, want);
    }
}
