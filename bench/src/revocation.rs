//! Many certificates revoked at once through the operator's door, while clients obtain theirs: how long until all are on
//! the published list, and how long the others' requests take meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::measure::{VerifyTimer, median, quantile, rss_mib};
use crate::proofs::Proofs;
use crate::run::{Conditions, Moment, Sample, between, clients, scene};
use crate::subjects::{Cairn, Running};

/// How often it is looked whether the command has ended.
const GLANCE: Duration = Duration::from_millis(5);

/// Certificates that are revoked.
pub(crate) const REVOKED: usize = 10_000;

/// Runs the clients, and the command once they are warm. Of the sample, the times are those of the clients' requests
/// while the command ran; rate, CPU and flushes are for each revoked certificate, with all that the clients cost.
pub(crate) async fn run(
    server: &Running,
    ca: &Cairn,
    proofs: &Proofs,
    conditions: &Conditions,
) -> Result<Sample> {
    let serials: Vec<String> = ca
        .serials(REVOKED)?
        .iter()
        .map(ToString::to_string)
        .collect();
    ensure!(serials.len() == REVOKED, "{} certificates", serials.len());
    let scene = scene(server, proofs, conditions).await?;
    let mut loops = JoinSet::new();
    for client in clients(&scene, conditions).await? {
        loops.spawn_local(client.run());
    }
    let verify = VerifyTimer::start()?;
    tokio::time::sleep(conditions.warm_up).await;

    let tally = &scene.tally;
    let begin = Moment::now(server, tally)?;
    let mut command = ca.revoke(&serials)?;
    let mut rss = 0_f64;
    let status = loop {
        tokio::time::sleep(GLANCE).await;
        rss = rss.max(rss_mib(server.pid()).context("the server ended")?);
        if let Some(status) = command.try_wait()? {
            break status;
        }
    };
    let end = Moment::now(server, tally)?;
    loops.shutdown().await;
    ensure!(status.success(), "cairn ca revoke: {status}");
    let listed = ca.crl()?.entries().len();
    ensure!(listed == REVOKED, "{listed} of {REVOKED} are on the list");

    let took = between(&tally.answered.borrow(), &begin, &end);
    let seconds = end.at.duration_since(begin.at).as_secs_f64();
    let each = |total: f64| total / REVOKED as f64;
    Ok(Sample {
        certs: REVOKED,
        certs_per_s: REVOKED as f64 / seconds,
        p50_ms: median(&took),
        p99_ms: quantile(&took, 0.99),
        cpu_ms: each(end.cpu.saturating_sub(begin.cpu).as_secs_f64() * 1e3),
        rss_mib: rss,
        fsyncs: each((end.flushes - begin.flushes) as f64),
        requests: 0.0,
        bytes: 0.0,
        verify_us: verify.finish(),
        hung: false,
        failed: tally.failed.load(std::sync::atomic::Ordering::Relaxed),
        first_failure: tally.first_failure.borrow().clone(),
    })
}
