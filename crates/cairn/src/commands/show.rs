//! `cairn ca show`.

use cairn_ca::operator::Query;

use super::{directory, query};
use crate::{args::Show, failure::Failure, ui::Ui};

/// One object with its trace.
pub(crate) fn run(args: &Show, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    // People paste URLs and openssl's serials.
    let thing = args
        .thing
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .replace(':', "");
    let what = format!("cannot show {}", crate::table::plain(&thing));
    let answer = query::ask(&dir, Query::Show(thing), &what)?;
    ui.result(&answer, || query::outline(&answer, 0));
    Ok(())
}
