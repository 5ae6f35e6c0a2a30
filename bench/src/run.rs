//! One run: a server, its clients in a closed loop, and what was counted between two moments.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::client::{self, Client, Scene, Tally};
use crate::measure::{VerifyTimer, cpu, median, quantile, rss_mib};
use crate::polling::Polling;
use crate::prepare;
use crate::responder::Tokens;
use crate::subjects::Running;

/// Nothing finished for so long is a hang.
const HANG: Duration = Duration::from_secs(15);
/// Nothing finished for so long is looked at for longer.
const STALL: Duration = Duration::from_secs(1);
/// How often the clock and the memory are looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// The end of a run that waits for a number of certificates.
const COUNT_PATIENCE: Duration = Duration::from_secs(120);

/// How a run goes.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    pub(crate) clients: usize,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    /// Go on until so many certificates are there.
    pub(crate) at_least: usize,
    pub(crate) fresh_tls: bool,
    /// The subject holds its answers back: Retry-After is heeded.
    pub(crate) holds: bool,
    /// Certificates to prepare.
    pub(crate) expected: usize,
    /// Keeps names of runs on one store apart.
    pub(crate) series: String,
}

/// What one run came to. Counts and times are for one certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) certs: usize,
    pub(crate) certs_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) rss_mib: f64,
    pub(crate) fsyncs: f64,
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
    pub(crate) verify_us: f64,
    pub(crate) hung: bool,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
}

/// All counters at one moment.
struct Moment {
    at: Instant,
    cpu: Duration,
    flushes: u64,
    requests: u64,
    octets: u64,
}

/// Runs the clients against a server that is ready.
pub(crate) async fn run(
    server: &Running,
    tokens: &Tokens,
    conditions: &Conditions,
) -> Result<Sample> {
    let prepared = prepare::prepare(&conditions.series, conditions.expected)?;
    let work = prepared
        .into_iter()
        .chain(prepare::more(conditions.series.clone()));
    let scene = Rc::new(Scene {
        target: server.target.clone(),
        directory: client::directory(&server.target, &server.directory)
            .await
            .context("the directory")?,
        tokens: tokens.clone(),
        fresh_tls: conditions.fresh_tls,
        polling: [
            Polling::new(conditions.holds),
            Polling::new(conditions.holds),
        ],
        work: RefCell::new(Box::new(work)),
        tally: Tally::default(),
    });
    let mut clients = Vec::new();
    for _ in 0..conditions.clients {
        let mut client = Client::new(Rc::clone(&scene))?;
        client.register().await.context("newAccount")?;
        clients.push(client);
    }
    let mut loops = JoinSet::new();
    for client in clients {
        loops.spawn_local(client.run());
    }
    let verify = VerifyTimer::start()?;
    let watched = watch(server, &scene.tally, conditions).await;
    loops.shutdown().await;
    let verify_us = verify.finish();
    let (begin, end, rss_mib, hung) = watched?;

    let tally = &scene.tally;
    let finished = tally.finished.borrow();
    let inside = finished
        .iter()
        .filter(|(at, _)| *at > begin.at && *at <= end.at);
    let took: Vec<f64> = inside.map(|(_, took)| took.as_secs_f64() * 1e3).collect();
    let each = |total: f64| {
        if took.is_empty() {
            0.0
        } else {
            total / took.len() as f64
        }
    };
    Ok(Sample {
        certs: took.len(),
        certs_per_s: took.len() as f64 / end.at.duration_since(begin.at).as_secs_f64(),
        p50_ms: median(&took),
        p99_ms: quantile(&took, 0.99),
        cpu_ms: each(end.cpu.saturating_sub(begin.cpu).as_secs_f64() * 1e3),
        rss_mib,
        fsyncs: each((end.flushes - begin.flushes) as f64),
        requests: each((end.requests - begin.requests) as f64),
        bytes: each((end.octets - begin.octets) as f64),
        verify_us,
        hung,
        failed: tally.failed.load(Relaxed),
        first_failure: tally.first_failure.borrow().clone(),
    })
}

/// The first and the last moment of what counts, the most memory seen, and whether the server hung.
async fn watch(
    server: &Running,
    tally: &Tally,
    conditions: &Conditions,
) -> Result<(Moment, Moment, f64, bool)> {
    let start = Instant::now();
    let finished = || tally.finished.borrow().len();
    let last = || tally.finished.borrow().last().map_or(start, |(at, _)| *at);
    let mut rss = 0_f64;
    let mut begin = Moment::now(server, tally)?;
    let mut warm = false;
    loop {
        tokio::time::sleep(GLANCE).await;
        rss = rss.max(rss_mib(server.pid()).context("the server ended")?);
        if last().elapsed() > HANG {
            return Ok((begin, Moment::now(server, tally)?, rss, true));
        }
        // A first certificate may take long when all clients come at once.
        if !warm && start.elapsed() >= conditions.warm_up && finished() > 0 {
            begin = Moment::now(server, tally)?;
            warm = true;
        }
        // A stall at the end is waited out: it may be a hang.
        let long_enough = begin.at.elapsed() >= conditions.duration && last().elapsed() < STALL;
        let enough = finished() >= conditions.at_least || begin.at.elapsed() > COUNT_PATIENCE;
        if warm && long_enough && enough {
            return Ok((begin, Moment::now(server, tally)?, rss, false));
        }
    }
}

impl Moment {
    fn now(server: &Running, tally: &Tally) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            cpu: cpu(server.pid()).context("the server ended")?,
            flushes: server.flushes.count()?,
            requests: tally.requests.load(Relaxed),
            octets: tally.octets.load(Relaxed),
        })
    }
}
