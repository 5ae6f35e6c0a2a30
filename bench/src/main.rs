//! The load generator: a closed loop of ACME clients on Cairn and on Debian's Pebble, in one run, into
//! `target/bench.json`, a table and `docs/performance.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod alpn;
mod budget;
mod client;
mod connection;
mod dns;
mod document;
mod measure;
mod order;
mod plan;
mod polling;
mod prefill;
mod prepare;
mod proofs;
mod report;
mod responder;
mod revocation;
mod run;
mod subjects;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use crate::measure::Preload;
use crate::plan::{Bench, Depth};
use crate::proofs::Proofs;
use crate::report::{Report, note, print};
use crate::subjects::{Stage, Subject};

/// Compare Cairn with Pebble
#[derive(Debug, Parser)]
struct Args {
    /// Redo one part and keep other rows: all of the CA, or its plain rows alone
    #[arg(value_enum)]
    part: Option<Part>,
    /// The same as the argument
    #[arg(long, value_enum, value_name = "PART", conflicts_with = "part")]
    only: Option<Part>,
    /// The cairn to measure [default: build it]
    #[arg(long, value_name = "PATH")]
    cairn_bin: Option<PathBuf>,
    /// How long each run counts
    #[arg(long, value_name = "N", default_value_t = 8)]
    seconds: u64,
    /// One short run of each row, a small store, into target/bench-quick.json
    #[arg(long)]
    quick: bool,
    /// Measure only this one
    #[arg(long, value_enum)]
    subject: Vec<Subject>,
    /// Measure only rows of this work
    #[arg(long)]
    work: Vec<String>,
    /// Measure only rows of so many clients
    #[arg(long)]
    clients: Vec<usize>,
    /// Write docs/performance.md from the rows
    #[arg(long)]
    write_docs: bool,
}

/// A part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All rows of the CA
    Ca,
    /// The plain rows of the CA
    #[value(name = "http-01")]
    Http01,
}

fn main() -> ExitCode {
    match start(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            note(&format!("{fault:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args) -> Result<()> {
    ensure!(
        rustls::crypto::aws_lc_rs::default_provider()
            .install_default()
            .is_ok(),
        "another TLS provider is installed"
    );
    // One thread is enough for all clients and leaves the other cores to the subject.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, bench(args))
}

async fn bench(args: &Args) -> Result<()> {
    let checkout = checkout()?;
    let target = checkout.join("target");
    let folder = target.join("bench-work");
    std::fs::create_dir_all(&folder)?;
    let folder = tempfile::tempdir_in(&folder)?;
    let subjects = match args.subject.as_slice() {
        [] => vec![Subject::Cairn, Subject::CairnDev, Subject::Pebble],
        some => some.to_vec(),
    };
    let cairn = match &args.cairn_bin {
        Some(path) => path
            .canonicalize()
            .with_context(|| path.display().to_string())?,
        None if subjects.iter().any(|s| *s != Subject::Pebble) => build(&checkout)?,
        None => PathBuf::new(),
    };
    let proofs = Proofs::default();
    let stage = Stage {
        dns: dns::start(proofs.clone()).await?,
        responder: responder::start(proofs.clone()).await?,
        alpn: alpn::start(proofs.clone()).await?,
        preload: Preload::build(folder.path())?,
        folder: folder.path().to_owned(),
        cairn,
    };
    let depth = if args.quick {
        Depth {
            rounds: 1,
            duration: Duration::from_secs(3),
            warm_up: Duration::from_millis(500),
            held_max: 20_000,
        }
    } else {
        let duration = Duration::from_secs(args.seconds);
        Depth {
            rounds: 3,
            duration,
            warm_up: Duration::from_secs(1),
            held_max: 1_000_000,
        }
    };
    let plain_only = args.part.or(args.only) == Some(Part::Http01);
    let mut entries = plan::entries(&subjects, plain_only, depth);
    entries.retain(|entry| {
        let work = args.work.is_empty() || args.work.contains(&entry.work.to_string());
        work && (args.clients.is_empty() || args.clients.contains(&entry.clients))
    });
    let rows = Bench::new(stage, proofs, depth, commit(&checkout))
        .rows(&entries)
        .await?;

    let path = target.join(if args.quick {
        "bench-quick.json"
    } else {
        "bench.json"
    });
    let report = Report {
        machine: report::machine(),
        rows,
    }
    .keeping(Report::read(&path));
    report.write(&path)?;
    print(&report.table());
    for verdict in budget::judge(&report) {
        let kept = if verdict.kept { "kept  " } else { "MISSED" };
        print(&format!(
            "{kept}  {}: {} ({})",
            verdict.what, verdict.measured, verdict.bound
        ));
    }
    if args.write_docs {
        let page = checkout.join("docs/performance.md");
        std::fs::write(&page, document::page(&report))
            .with_context(|| page.display().to_string())?;
    }
    Ok(())
}

/// The checkout that this program belongs to.
fn checkout() -> Result<PathBuf> {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").context("start it with cargo: make bench")?;
    Ok(Path::new(&package)
        .parent()
        .context("the package's folder")?
        .to_owned())
}

/// Builds the program that users have.
fn build(checkout: &Path) -> Result<PathBuf> {
    note("building cairn");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--locked", "-p", "cairn"])
        .current_dir(checkout);
    ensure!(command.status()?.success(), "cairn does not build");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(checkout.join(target).join("release/cairn"))
}

/// The commit that is measured; with a mark if the files are not that commit's.
fn commit(checkout: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(checkout)
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])
        .is_some_and(|changes| !changes.is_empty());
    format!("{commit}{}", if changed { "-changed" } else { "" })
}
