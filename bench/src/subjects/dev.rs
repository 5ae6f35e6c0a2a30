//! Cairn's test CA, as a client's author starts it, with the load generator's DNS in place of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Running, Stage, Start, answers_ok, free_port, local};

/// `cairn ca dev`.
pub(crate) struct Dev;

/// Whether the clients' every exchange is kept and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// As `cairn ca dev` starts.
    Usual,
    /// With a transcript of all, and checks.
    Checked,
}

impl Dev {
    pub(crate) async fn start(stage: &Stage, folder: &Path, watched: Watched) -> Result<Running> {
        let (listen, manage) = (local(free_port()?), local(free_port()?));
        let dir = folder.join("dev");
        let mut command = Self::command(stage, listen, manage);
        command.arg("--dir").arg(&dir);
        if watched == Watched::Checked {
            command
                .arg("--check-client")
                .arg("--transcript")
                .arg(folder.join("transcript"));
        }
        let start = Start {
            command,
            folder,
            address: listen,
            directory: format!("https://{listen}/directory"),
            root_pem: &|| std::fs::read(dir.join("root.pem")).context("root.pem"),
            flush_delay: Duration::ZERO,
            ready: &|| answers_ok(manage, "/health/ready"),
        };
        start.spawn(&stage.preload).await
    }

    fn command(stage: &Stage, listen: SocketAddr, manage: SocketAddr) -> Command {
        let mut command = Command::new(&stage.cairn);
        command
            .args(["ca", "dev", "--listen", &listen.to_string()])
            .args(["--manage", &manage.to_string()])
            .args(["--dnsserver", &stage.dns.to_string()])
            .args(["--http-port", &stage.responder.port().to_string()])
            .args(["--tls-port", &stage.alpn.port().to_string()]);
        command
    }
}
