//! `cairn ca ari`.

use cairn_ca::operator::Query;

use super::{directory, query};
use crate::{args::AriMove, failure::Failure, ui::Ui};

/// Moves renewal windows into the past: of all the certificates that are named, or of none.
pub(crate) fn set_aside(args: &AriMove, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let question = Query::SetAside {
        serials: args.serials.clone(),
        explanation: args.reason.clone(),
    };
    let answer = query::ask(&dir, question, "no renewal window was moved")?;
    ui.result(&answer, || {
        let line = |what: &str, member: &str| match query::member(&answer, member) {
            serials if serials.is_empty() => String::new(),
            serials => format!("{what}{serials}\n"),
        };
        line("Moved      ", "moved") + &line("As it was  ", "unchanged")
    });
    ui.say("\nClients that know ACME renewal information replace them when they ask next, within hours.");
    Ok(())
}
