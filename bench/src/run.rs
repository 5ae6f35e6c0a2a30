//! One run: a server, its clients in a closed loop, and what was counted between two moments.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::client::{self, Client, Scene, Tally, Task};
use crate::measure::{VerifyTimer, cpu, median, quantile, rss_mib};
use crate::polling::Polling;
use crate::prepare::Shape;
use crate::proofs::Proofs;
use crate::subjects::Running;

/// Nothing finished for so long is a hang.
const HANG: Duration = Duration::from_secs(15);
/// Nothing finished for so long is looked at for longer.
const STALL: Duration = Duration::from_secs(1);
/// How often the clock and the memory are looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// The end of a run that waits for a number of certificates, for each thousand of them.
const COUNT_PATIENCE: Duration = Duration::from_secs(6);

/// Certificates that each client has before it renews them one after the other.
const OWNED: usize = 16;

/// How a run goes.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    pub(crate) clients: usize,
    pub(crate) task: Task,
    pub(crate) shape: Shape,
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

/// What one run came to. `p50_ms` and `p99_ms` are a certificate's, counts and CPU are for one name of it; where
/// something else is done over and over, for one of that.
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
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) cpu: Duration,
    pub(crate) flushes: u64,
    requests: u64,
    proven: u64,
    octets: u64,
}

/// Runs the clients against a server that is ready.
pub(crate) async fn run(
    server: &Running,
    proofs: &Proofs,
    conditions: &Conditions,
) -> Result<Sample> {
    let scene = scene(server, proofs, conditions).await?;
    let clients = clients(&scene, conditions).await?;
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
    let took = between(&tally.finished.borrow(), &begin, &end);
    // Of large orders, few end within a run: their names are counted instead.
    let units = match conditions.shape.names {
        1 => took.len() as f64,
        _ => (end.proven - begin.proven) as f64,
    };
    let each = |total: f64| if units > 0.0 { total / units } else { 0.0 };
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

/// What the clients of a run have in common.
pub(crate) async fn scene(
    server: &Running,
    proofs: &Proofs,
    conditions: &Conditions,
) -> Result<Rc<Scene>> {
    let shape = conditions.shape;
    let prepared = shape.prepare(&conditions.series, conditions.expected)?;
    let work = prepared
        .into_iter()
        .chain(shape.more(conditions.series.clone()));
    Ok(Rc::new(Scene {
        target: server.target.clone(),
        directory: client::directory(&server.target, &server.directory)
            .await
            .context("the directory")?,
        proofs: proofs.clone(),
        task: conditions.task.clone(),
        fresh_tls: conditions.fresh_tls,
        polling: [
            Polling::new(conditions.holds),
            Polling::new(conditions.holds),
        ],
        work: RefCell::new(Box::new(work)),
        tally: Tally::default(),
    }))
}

/// The clients, with all that they need before the clock runs.
pub(crate) async fn clients(scene: &Rc<Scene>, conditions: &Conditions) -> Result<Vec<Client>> {
    let mut getting_ready = JoinSet::new();
    for number in 0..conditions.clients {
        let mut client = Client::new(Rc::clone(scene))?;
        client.register().await.context("newAccount")?;
        let scene = Rc::clone(scene);
        let all = conditions.clients;
        getting_ready.spawn_local(async move {
            match &scene.task {
                Task::Obtain(_) => {}
                Task::Renew => {
                    for _ in 0..OWNED {
                        let prepared = scene.work.borrow_mut().next();
                        client.own(&prepared.context("no more work")?).await?;
                    }
                }
                // Each once, by one of them: what is asked for again is what counts.
                Task::Look(names) => {
                    for turn in (number..names.len()).step_by(all) {
                        client.look(names, turn).await?;
                    }
                }
            }
            Ok::<_, anyhow::Error>(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(ready) = getting_ready.join_next().await {
        clients.push(ready??);
    }
    Ok(clients)
}

/// The milliseconds of what was finished between two moments.
pub(crate) fn between(finished: &[(Instant, Duration)], begin: &Moment, end: &Moment) -> Vec<f64> {
    finished
        .iter()
        .filter(|(at, _)| *at > begin.at && *at <= end.at)
        .map(|(_, took)| took.as_secs_f64() * 1e3)
        .collect()
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
    let patience = COUNT_PATIENCE.mul_f64(conditions.at_least as f64 / 1e3);
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
        let enough = finished() >= conditions.at_least || begin.at.elapsed() > patience;
        if warm && long_enough && enough {
            return Ok((begin, Moment::now(server, tally)?, rss, false));
        }
    }
}

impl Moment {
    pub(crate) fn now(server: &Running, tally: &Tally) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            cpu: cpu(server.pid()).context("the server ended")?,
            flushes: server.flushes.count()?,
            requests: tally.requests.load(Relaxed),
            proven: tally.proven.load(Relaxed),
            octets: tally.octets.load(Relaxed),
        })
    }
}
