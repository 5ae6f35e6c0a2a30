//! `cairn ca serve`: loads, starts the node, obeys signals.

use std::{path::Path, sync::Arc};

use cairn_ca::{
    clock::{Clock, SystemClock},
    node::{self, Node, NodeParts},
    setup::{self, Loaded, LoadedIssuer},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use super::{directory, setup_failure};
use crate::{
    args::Serve,
    failure::{Code, Failure},
    hardening, log, passphrase,
    ui::Ui,
};

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: &Serve, ui: &Ui) -> Result<(), Failure> {
    hardening::forbid_dumps()?;
    hardening::raise_open_files();
    let dir = directory(&args.place)?;
    let what = format!("the CA in {} does not start", dir.display());
    let loaded =
        setup::load(&dir, &mut passphrase::ask).map_err(|fault| setup_failure(&what, &fault))?;
    log::start(&loaded.config.log, ui.verbosity(), ui.is_quiet());
    // Fails only if somebody was faster, with the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Some(path) = &loaded.root_key {
        ui.warn(&format!(
            "the root's key still lies in {}: move it offline, serving does not need it.",
            path.display()
        ));
    }
    warn_of_chains(&loaded, ui);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(&what).because(&e))?;
    runtime.block_on(serve(loaded, &what, ui))
}

/// A chain that has ended stops no start: it is left out.
fn warn_of_chains(loaded: &Loaded, ui: &Ui) {
    let now = SystemClock::default().wall();
    for issuer in std::iter::once(&loaded.issuer).chain(&loaded.issuers) {
        for place in issuer.ended_chains(now) {
            ui.warn(&format!(
                "chain {place} of issuer \"{}\" has ended and is offered to nobody: take it out of alternates once no client asks for it.",
                issuer.name
            ));
        }
    }
}

async fn serve(loaded: Loaded, what: &str, ui: &Ui) -> Result<(), Failure> {
    // Before anything listens: a signal during the start ends it in good order too.
    let mut signals = Signals::new().map_err(|e| Failure::new(what).because(&e))?;
    let dir = loaded.dir.clone();
    let (directory, publication) = (
        format!("{}/directory", loaded.config.url),
        loaded.config.listen.publication.first().copied(),
    );
    let node = start(loaded, what).await?;
    ui.say(&format!("cairn ca: serving {directory}"));
    if let Some(address) = publication {
        ui.reason(&format!(
            "cairn ca: publishing CRLs and certificates on http://{address}/"
        ));
    }
    while let Asked::Reload = signals.next().await {
        reload(&node, &dir).await;
    }
    info!("stopping: requests under way are finished");
    node.shutdown().await;
    Ok(())
}

async fn start(loaded: Loaded, what: &str) -> Result<Node, Failure> {
    let Loaded {
        dir,
        config,
        issuer,
        issuers,
        ring,
        root_certificate,
        blocked,
        ..
    } = loaded;
    let start = |issuer: LoadedIssuer| issuer.start().map_err(|e| Failure::new(what).because(&e));
    let parts = NodeParts {
        location: node::location(&dir),
        dir,
        config,
        issuer: start(issuer)?,
        issuers: issuers.into_iter().map(start).collect::<Result<_, _>>()?,
        ring,
        root_certificate,
        blocked,
        clock: Arc::new(SystemClock::default()),
        timing: node::Timing::default(),
        faults: None,
    };
    Node::start(parts).await.map_err(|fault| {
        let failure = Failure::new(what).because(&fault);
        match &fault {
            node::StartFault::Listen {
                source, address, ..
            } => failure.hint(listen_hint(source, address)),
            // cairn.toml says what this store or key cannot serve.
            node::StartFault::Config(_) => failure.code(Code::Usage),
            _ => failure,
        }
    })
}

pub(super) fn listen_hint(source: &std::io::Error, address: &str) -> Option<String> {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            let port = address.rsplit(':').next().unwrap_or(address);
            Some(format!("see who has the port: ss -ltnp 'sport = :{port}'"))
        }
        std::io::ErrorKind::PermissionDenied => {
            Some("ports below 1024 are root's: run as root, or grant CAP_NET_BIND_SERVICE, or choose others under [listen]".to_owned())
        }
        _ => None,
    }
}

/// A wrong file leaves the old configuration in force.
async fn reload(node: &Node, dir: &Path) {
    let read =
        setup::read_config(dir).and_then(|config| Ok((setup::read_blocked(dir, &config)?, config)));
    match read {
        Err(fault) => {
            error!(reason = %fault, "configuration not reloaded: the old one stays in force")
        }
        Ok((blocked, config)) => {
            if let Err(reason) = node.reload(config, blocked).await {
                error!(
                    reason,
                    "configuration not reloaded: the old one stays in force"
                );
            }
        }
    }
}

enum Asked {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
        }
    }
}
