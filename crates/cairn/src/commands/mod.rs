//! One file a command.

mod ari;
mod backup;
#[cfg(feature = "dev")]
mod dev;
mod eab;
mod init;
mod issue;
mod key;
mod list;
mod query;
mod restore;
mod revoke;
mod root;
mod serve;
mod show;
mod status;

use std::{io::ErrorKind, path::PathBuf};

use cairn_ca::{config::FILE_NAME, setup::SetupFault};

use crate::{
    args::{AriCommand, CaCommand, Command, EabCommand, KeyCommand, Place},
    failure::{Code, Failure},
    ui::Ui,
};

/// Runs the command.
pub(crate) fn run(command: Command, ui: &Ui) -> Result<(), Failure> {
    let Command::Ca(command) = command;
    match command {
        CaCommand::Init(args) => init::run(args, ui),
        CaCommand::Serve(args) => serve::run(&args, ui),
        CaCommand::Status(place) => status::run(&place, ui),
        CaCommand::List(args) => list::run(&args, ui),
        CaCommand::Show(args) => show::run(&args, ui),
        CaCommand::Issue(args) => issue::run(&args, ui),
        CaCommand::Revoke(args) => revoke::run(&args, ui),
        CaCommand::Eab(EabCommand::Add(args)) => eab::add(&args, ui),
        CaCommand::Eab(EabCommand::List(args)) => eab::list(&args, ui),
        CaCommand::Eab(EabCommand::Revoke(args)) => eab::revoke(&args, ui),
        CaCommand::Ari(AriCommand::Move(args)) => ari::set_aside(&args, ui),
        CaCommand::Key(KeyCommand::Add(args)) => key::add(args, ui),
        CaCommand::Key(KeyCommand::CrossSign(args)) => key::cross_sign(args, ui),
        CaCommand::Root(place) => root::run(&place, ui),
        CaCommand::Backup(args) => backup::run(&args, ui),
        CaCommand::Restore(args) => restore::run(&args, ui),
        #[cfg(feature = "dev")]
        CaCommand::Dev(args) => dev::run(&args, ui),
    }
}

/// The CA's directory: as said, else the current one if it is one.
fn directory(place: &Place) -> Result<PathBuf, Failure> {
    let (dir, said) = match &place.dir {
        Some(dir) => (dir.clone(), true),
        None => (PathBuf::from("."), false),
    };
    match dir.join(FILE_NAME).metadata() {
        Ok(found) if found.is_file() => return Ok(dir),
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(Failure::new(format!("cannot look into {}", dir.display())).because(&error));
        }
        _ => {}
    }
    let what = match said {
        true => format!(
            "{} is no CA's directory: it has no {FILE_NAME}",
            dir.display()
        ),
        false => format!("which CA? The current directory has no {FILE_NAME}"),
    };
    Err(Failure::usage(what)
        .hint("name the directory that `cairn ca init` made: --dir DIR".to_owned()))
}

/// A fault of setup, as a person needs it.
fn setup_failure(what: &str, fault: &SetupFault) -> Failure {
    let code = if fault.is_configuration() {
        Code::Usage
    } else {
        Code::Failed
    };
    Failure::new(what)
        .because(fault)
        .hint(fault.hint())
        .code(code)
}

/// A runtime for commands that ask a server.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new("cannot start").because(&e))
}
