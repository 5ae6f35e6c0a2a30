//! The servers that are measured: made, started, waited for and ended by us.

mod cairn;
mod dev;
mod pebble;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) use cairn::Cairn;
pub(crate) use dev::{Dev, Watched};
pub(crate) use pebble::Pebble;

use crate::connection::Target;
use crate::measure::{Flushes, Preload};

/// Pebble makes keys and Cairn opens its own before they listen; a large store is looked through.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a clean stop.
const GRACE: Duration = Duration::from_secs(10);

/// Which server.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// Ours.
    Cairn,
    /// Our test CA.
    CairnDev,
    /// Debian's package.
    Pebble,
}

/// What all subjects need from us.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) dns: SocketAddr,
    pub(crate) responder: SocketAddr,
    pub(crate) alpn: SocketAddr,
    pub(crate) preload: Preload,
    /// For what is made and thrown away; on a real disk.
    pub(crate) folder: PathBuf,
    pub(crate) cairn: PathBuf,
}

/// A server at work; killed when dropped.
pub(crate) struct Running {
    process: Process,
    pub(crate) target: Target,
    pub(crate) directory: String,
    pub(crate) flushes: Flushes,
}

struct Process {
    child: Child,
    log: PathBuf,
}

/// A server about to be started.
struct Start<'a> {
    command: Command,
    folder: &'a Path,
    address: SocketAddr,
    directory: String,
    /// Known once it is ready.
    root_pem: &'a dyn Fn() -> Result<Vec<u8>>,
    flush_delay: Duration,
    ready: &'a dyn Fn() -> bool,
}

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cairn => "cairn",
            Self::CairnDev => "cairn-dev",
            Self::Pebble => "pebble",
        }
    }
}

impl Start<'_> {
    /// Spawns it and waits; meanwhile our other servers go on.
    async fn spawn(mut self, preload: &Preload) -> Result<Running> {
        let log = self.folder.join("log");
        let program = self.command.get_program().to_string_lossy().into_owned();
        let flushes = preload.watch(&mut self.command, self.folder, self.flush_delay)?;
        let out = File::create(&log)?;
        self.command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = self.command.spawn().with_context(|| program.clone())?;
        let mut process = Process { child, log };
        let since = Instant::now();
        while !(self.ready)() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{program} ended: {status}\n{}", process.last_words());
            }
            if since.elapsed() > PATIENCE {
                bail!(
                    "{program} is not ready after {PATIENCE:?}\n{}",
                    process.last_words()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Running {
            process,
            target: Target::new(self.address, &(self.root_pem)()?)?,
            directory: self.directory,
            flushes,
        })
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// SIGTERM; the end is waited for, and enforced when it doesn't come.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("a process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let since = Instant::now();
        while self.process.child.try_wait()?.is_none() && since.elapsed() < GRACE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        self.process.last_words()
    }
}

impl Process {
    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(15)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now, outside the range from which outgoing connections take theirs.
fn free_port() -> Result<u16> {
    const FIRST: u16 = 21_000;
    const LAST: u16 = 31_000;
    static NEXT: AtomicU16 = AtomicU16::new(FIRST);
    for _ in FIRST..LAST {
        let port = NEXT.fetch_add(1, Relaxed);
        if port < LAST && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {LAST}")
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Whether a plain GET is answered with 200.
fn answers_ok(address: SocketAddr, path: &str) -> bool {
    let get = || -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut head = vec![0; 12];
        stream.read_exact(&mut head)?;
        Ok(head)
    };
    get().is_ok_and(|head| head.ends_with(b" 200"))
}
