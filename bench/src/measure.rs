//! What is read of a process from outside, and the middle of many numbers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    ParsedPublicKey,
};

/// USER_HZ, which Linux promises to every program whatever the kernel counts in.
const TICKS_A_SECOND: u64 = 100;
/// The kernel tells pages; on the machines that we measure they have this size.
const PAGE_KIB: u64 = 4;

/// User and system time of a process, its finished children included.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).context("/proc/PID/stat is not what it was")?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

/// utime, stime, cutime and cstime: fields 14 to 17 of proc_pid_stat(5).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The program's name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let times = rest.split_whitespace().skip(11).take(4);
    times.map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Resident memory.
pub(crate) fn rss_mib(pid: u32) -> Result<f64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .context("/proc/PID/statm")?
        .parse()?;
    Ok((pages * PAGE_KIB) as f64 / 1024.0)
}

/// The preload library of `preload/fsync.c`, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Preload(PathBuf);

/// The counters of one process under the preload library.
#[derive(Debug)]
pub(crate) struct Flushes(PathBuf);

impl Preload {
    /// Compiles it into this folder.
    pub(crate) fn build(folder: &Path) -> Result<Self> {
        let source = folder.join("fsync.c");
        let library = folder.join("libcairn_bench_fsync.so");
        std::fs::write(&source, include_str!("../preload/fsync.c"))?;
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-Wall", "-shared", "-fPIC", "-o"])
            .args([&library, &source]);
        ensure!(
            cc.status().context("cc")?.success(),
            "cc could not build the preload library"
        );
        Ok(Self(library))
    }

    /// Puts the library before this command's C library.
    pub(crate) fn watch(
        &self,
        command: &mut Command,
        folder: &Path,
        delay: Duration,
    ) -> Result<Flushes> {
        let counters = folder.join("flushes");
        std::fs::write(&counters, [0; 16])?;
        command
            .env("LD_PRELOAD", &self.0)
            .env("CAIRN_BENCH_FLUSHES", &counters);
        command.env("CAIRN_BENCH_FLUSH_DELAY_MS", delay.as_millis().to_string());
        Ok(Flushes(counters))
    }
}

impl Flushes {
    /// fsync and fdatasync so far.
    pub(crate) fn count(&self) -> Result<u64> {
        let bytes = std::fs::read(&self.0)?;
        let (counters, _) = bytes.as_chunks::<8>();
        Ok(counters
            .iter()
            .map(|counter| u64::from_ne_bytes(*counter))
            .sum())
    }
}

/// A thread that times P-256 verifications while others work.
#[derive(Debug)]
pub(crate) struct VerifyTimer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl VerifyTimer {
    const EVERY: Duration = Duration::from_millis(100);
    const BURST: usize = 5;

    pub(crate) fn start() -> Result<Self> {
        let unspecified = |_| anyhow::anyhow!("the cryptographic library failed");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unspecified)?;
        let message = [7; 512];
        let signature = key
            .sign(&SystemRandom::new(), &message)
            .map_err(unspecified)?;
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !stopped.load(Relaxed) {
                std::thread::sleep(Self::EVERY);
                for _ in 0..Self::BURST {
                    let start = Instant::now();
                    let verified = public.verify_sig(&message, signature.as_ref());
                    let took = start.elapsed().as_secs_f64() * 1e6;
                    times.extend(verified.map(|()| took).ok());
                }
            }
            times
        });
        Ok(Self { stop, thread })
    }

    /// The median in microseconds.
    pub(crate) fn finish(self) -> f64 {
        self.stop.store(true, Relaxed);
        median(&self.thread.join().unwrap_or_default())
    }
}

/// The middle one; 0 of none.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5)
}

/// The number below which this part of the others lies; 0 of none.
pub(crate) fn quantile(numbers: &[f64], part: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 9 9 9 9 10 20 3 4 20 0 1 0 5";
        assert_eq!(cpu_ticks(stat), Some(37));
    }

    #[test]
    fn quantiles_are_numbers_that_were_measured() {
        let numbers = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(
            (median(&numbers), quantile(&numbers, 0.99), median(&[])),
            (3.0, 5.0, 0.0)
        );
    }

    #[test]
    fn flushes_of_a_watched_process_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let preload = Preload::build(folder.path()).unwrap();
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", "count=1", "conv=fsync", "status=none"]);
        command.arg(format!("of={}", folder.path().join("x").display()));
        let flushes = preload
            .watch(&mut command, folder.path(), Duration::from_millis(5))
            .unwrap();
        let start = Instant::now();
        assert!(command.status().unwrap().success());
        assert_eq!(flushes.count().unwrap(), 1);
        assert!(start.elapsed() >= Duration::from_millis(5));
    }
}
