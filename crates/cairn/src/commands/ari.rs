//! `cairn ca ari`.

use cairn_ca::operator::Query;
use serde_json::Value;

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
        let line = |what: &str, member: &str| {
            let serials = answer.get(member).and_then(Value::as_array);
            let serials: Vec<&str> = serials
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            match serials.is_empty() {
                true => String::new(),
                false => format!("{what}{}\n", serials.join(" ")),
            }
        };
        line("Moved      ", "moved") + &line("As it was  ", "unchanged")
    });
    ui.say("\nClients that know ACME renewal information replace them when they ask next, within hours.");
    Ok(())
}
