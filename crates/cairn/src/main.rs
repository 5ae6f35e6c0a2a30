//! Certificates without people: the one binary.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod args;
mod commands;
mod failure;
mod hardening;
mod in_place_of;
mod log;
mod passphrase;
mod table;
mod ui;
mod when;
mod words;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// Requests allocate on one thread and the store's writer frees on another, which costs the system's allocator a tenth of
/// the server's time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if let Some((program, args)) = in_place_of::meant(std::env::args_os()) {
        return in_place_of::run(program, &args);
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ui::usage(&error),
    };
    let ui = ui::Ui::new(&cli.global);
    match commands::run(cli.command, &ui) {
        Ok(()) => ui.finish(),
        Err(failure) => ui.fail(&failure),
    }
}
