//! Pebble's place: its flags, its configuration, its environment, its words on standard output and its management interface
//! over a test CA. A thin translation: nothing inside knows of it.
//!
//! Defaults are those of 2.10; where 2.4, which Debian has, differs, the place says so.

mod address;
mod configuration;
mod environment;
mod management;
mod settings;
mod tell;

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use cairn_ca::{
    config::{Log, LogLevel},
    dev::{Lineage, TestCa, TestCaFault},
    node::StartFault,
};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    configuration::{BadConfiguration, Configuration},
    environment::Environment,
    management::Management,
    settings::Plan,
    tell::Teller,
};
use super::go_flags::{BadFlags, Flag, Flags, usage};
use crate::{failure::Failure, hardening, log, ui::Ui};

/// The flags of 2.10; 2.4 has no `-version`.
const FLAGS: &[Flag] = &[
    Flag {
        name: "config",
        default: Some("test/config/pebble-config.json"),
        means: "File path to the Pebble configuration file",
    },
    Flag {
        name: "dnsserver",
        default: Some(""),
        means: "Define a custom DNS server address (ex: 192.168.0.56:5053 or 8.8.8.8:53).",
    },
    Flag {
        name: "strict",
        default: None,
        means: "Enable strict mode to test upcoming API breaking changes",
    },
    Flag {
        name: "version",
        default: None,
        means: "Print the software version",
    },
];

/// What `-version` says: whose place is taken, and by what.
const VERSION: &str = concat!("2.10 (cairn ", env!("CARGO_PKG_VERSION"), ")");

/// Runs in Pebble's place.
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let ui = Ui::plain();
    let words: Vec<String> = args
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let flags = match Flags::parse(FLAGS, &words) {
        Ok(flags) => flags,
        Err(fault) => return misused(&fault, &ui),
    };
    if flags.is_on("version") {
        ui.out(&format!("Pebble version: {VERSION}"));
        return ui.finish();
    }
    if flags.value("config").is_empty() {
        ui.say(usage("pebble", FLAGS).trim_end());
        return ExitCode::FAILURE;
    }
    match serve(&flags, &ui) {
        Ok(code) => code,
        Err(failure) => ui.fail(&failure),
    }
}

/// As Go does: help is asked for and no failure, all else is, with 2.
fn misused(fault: &BadFlags, ui: &Ui) -> ExitCode {
    let help = usage("pebble", FLAGS);
    if *fault == BadFlags::Help {
        ui.say(help.trim_end());
        return ExitCode::SUCCESS;
    }
    ui.say(&format!("{fault}\n{}", help.trim_end()));
    ExitCode::from(2)
}

fn serve(flags: &Flags, ui: &Ui) -> Result<ExitCode, Failure> {
    let quiet = Log {
        level: LogLevel::Warn,
        ..Log::default()
    };
    log::start(&quiet, 0, false);
    hardening::raise_open_files();
    // Fails only if somebody was faster, with the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let teller = Teller::new(ui);
    if flags.is_on("strict") {
        ui.out("Running in strict mode");
    }
    teller.line("Starting Pebble ACME server");
    let environment = Environment::read(|name| std::env::var(name).ok());
    let plan = read(flags.value("config"), ui)
        .and_then(|read| {
            Plan::of(
                read,
                &environment,
                flags.value("dnsserver"),
                flags.is_on("strict"),
            )
        })
        .map_err(|fault| Failure::usage(fault.to_string()))?;
    for warning in &plan.warnings {
        ui.warn(warning);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new("pebble does not start").because(&e))?;
    runtime.block_on(run_until_stopped(plan, &environment, &teller))
}

fn read(path: &str, ui: &Ui) -> Result<Configuration, BadConfiguration> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| BadConfiguration::at(format!("-config {path}"), error.to_string()))?;
    let (read, warnings) = Configuration::parse(&text)?;
    for warning in warnings {
        ui.warn(&warning);
    }
    Ok(read)
}

async fn run_until_stopped(
    plan: Plan,
    environment: &Environment,
    teller: &Teller<'_>,
) -> Result<ExitCode, Failure> {
    // Before anything listens: a signal during the start ends it in good order too.
    let cannot = |e: std::io::Error| Failure::new("pebble does not start").because(&e);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let management = Management::bind(&plan).map_err(|fault| Failure::usage(fault.to_string()))?;
    if let Some(url) = &plan.settings.ocsp_url {
        teller.line(&format!(
            "Setting OCSP responder URL for issued certificates to {url:?}"
        ));
    }
    let ca = TestCa::start(plan.settings.clone())
        .await
        .map_err(|fault| unstarted(&plan, &fault))?;
    for (kid, secret) in &plan.external_keys {
        ca.add_external_key(kid, secret.clone())
            .await
            .map_err(|e| Failure::new("pebble does not start").because(&e))?;
    }
    let ca = Arc::new(ca);
    ca.lineages().iter().for_each(|line| born(teller, line));
    teller.ways(&plan, environment);
    let serving = match management {
        Some(management) => {
            let serving = management.serve(Arc::clone(&ca)).map_err(cannot)?;
            teller.managed(&plan.management, ca.lineages().len());
            Some(serving)
        }
        None => {
            teller.line("Management interface is disabled");
            None
        }
    };
    teller.line(&format!("Listening on: {}", plan.listen));
    teller.line(&format!(
        "ACME directory available at: https://{}/dir",
        plan.listen
    ));
    // As a shell tells of a process that the signal has ended, which is how Pebble ends.
    let code = tokio::select! {
        _ = terminate.recv() => 128 + 15,
        _ = interrupt.recv() => 128 + 2,
    };
    if let Some(serving) = serving {
        serving.stop().await;
    }
    if let Some(ca) = Arc::into_inner(ca) {
        ca.shutdown().await;
    }
    Ok(ExitCode::from(code))
}

/// What Pebble tells of each root.
fn born(teller: &Teller<'_>, line: &Lineage) {
    teller.issuer("root", &line.root);
    for made in &line.issuing {
        teller.issuer("intermediate", made);
    }
    let names: Vec<&str> = std::iter::once(&line.root)
        .chain(&line.issuing)
        .map(|made| made.name.as_str())
        .collect();
    teller.line(&format!("Generated issuance chain: {}", names.join(" -> ")));
}

/// One line with the key's path, where a key is at fault.
fn unstarted(plan: &Plan, fault: &TestCaFault) -> Failure {
    match fault {
        TestCaFault::Start(StartFault::Listen {
            what: "subscribers",
            source,
            ..
        }) => Failure::usage(format!(
            "pebble.listenAddress: cannot listen on {}: {source}",
            plan.listen
        )),
        TestCaFault::Start(StartFault::OwnCertificate(_)) => {
            Failure::usage(format!("pebble.certificate: {}: {fault}", plan.certificate))
        }
        other => Failure::new("pebble does not start").because(other),
    }
}
