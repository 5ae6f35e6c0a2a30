//! `cairn ca show`.

use cairn_ca::{
    clock::{Clock, SystemClock},
    operator::Query,
};

use super::{directory, query};
use crate::{args::Show, failure::Failure, ui::Ui, words};

/// One object with its trace.
pub(crate) fn run(args: &Show, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let what = format!("cannot show {}", crate::table::plain(&args.thing));
    let answer = query::ask(&dir, Query::Show(args.thing.clone()), &what)?;
    let now = SystemClock::default().wall();
    ui.result(&answer, || words::outline(&answer, now, 0));
    Ok(())
}
