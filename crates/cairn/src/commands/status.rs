//! `cairn ca status`.

use cairn_ca::operator::Query;

use super::{directory, query};
use crate::{args::Place, failure::Failure, ui::Ui};

/// Sizes, work, issuers, lists.
pub(crate) fn run(place: &Place, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(place)?;
    let answer = query::ask(
        &dir,
        Query::Status,
        &format!("cannot show the state of {}", dir.display()),
    )?;
    ui.result(&answer, || query::outline(&answer, 0));
    Ok(())
}
