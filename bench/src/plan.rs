//! Which rows are measured, and how: three interleaved runs each, a new server for each run.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::measure::median;
use crate::prefill;
use crate::report::{Row, note};
use crate::responder::Tokens;
use crate::run::{Conditions, Sample, run};
use crate::subjects::{Cairn, Pebble, Running, Stage, Subject};

/// The load under which the special rows are measured, and most bounds are set.
pub(crate) const CLIENTS: usize = 32;
const CLIENTS_OF_PLAIN_ROWS: [usize; 4] = [1, 8, CLIENTS, 64];
const SLOW_FSYNC: Duration = Duration::from_millis(5);
/// Pebble looks through all that it holds at each order and hangs sooner or later: a short run is its best case.
const PEBBLE_DURATION: Duration = Duration::from_secs(3);
/// Certificates that the store is filled from, and with.
const SEED: usize = 64;
const HELD: [usize; 2] = [20_000, 1_000_000];
/// A first guess at certificates a second, for what is prepared.
const GUESS: f64 = 500.0;

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
    tokens: Tokens,
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
    }
    entries
}

impl Bench {
    pub(crate) fn new(stage: Stage, tokens: Tokens, depth: Depth, commit: String) -> Self {
        let (rates, stores) = Default::default();
        Self {
            stage,
            tokens,
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
        let server = match (entry.subject, entry.work) {
            (Subject::Pebble, _) => Pebble::start(&self.stage, folder.path()).await?,
            (Subject::Cairn, Work::Held(count)) => {
                let (ca, _) = self.stores.get(&count).context("a filled store")?;
                ca.serve(&self.stage, Duration::ZERO).await?
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
        let seconds = (self.depth.duration + self.depth.warm_up).as_secs_f64();
        let rate = self.rates.get(&entry).copied().unwrap_or(GUESS);
        let conditions = Conditions {
            expected: (rate * seconds * 1.3) as usize,
            // The bound on memory is for a server that has issued as many.
            at_least: match entry.work {
                Work::Held(count) if count == HELD[0] && self.depth.held_max > count => count,
                _ => 0,
            },
            ..self.conditions(entry)
        };
        let sample = self.run(server, &conditions).await?;
        self.rates.insert(entry, sample.certs_per_s);
        Ok(sample)
    }

    fn conditions(&self, entry: Entry) -> Conditions {
        Conditions {
            clients: entry.clients,
            warm_up: self.depth.warm_up,
            duration: match entry.subject {
                Subject::Cairn => self.depth.duration,
                Subject::Pebble => self.depth.duration.min(PEBBLE_DURATION),
            },
            at_least: 0,
            fresh_tls: entry.work == Work::FreshTls,
            holds: entry.subject == Subject::Cairn && entry.work != Work::NoHold,
            expected: 0,
            series: String::new(),
        }
    }

    async fn run(&mut self, server: Running, conditions: &Conditions) -> Result<Sample> {
        self.runs += 1;
        let conditions = Conditions {
            series: format!("r{}", self.runs),
            ..conditions.clone()
        };
        let ran = run(&server, &self.tokens, &conditions).await;
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
        cpu_ms: middle(|sample| sample.cpu_ms, 3),
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
        ];
        assert_eq!(names, want.map(|name| format!("http-01-{name}")));
    }
}
