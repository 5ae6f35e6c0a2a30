//! `cairn ca list`.

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock},
    id::AccountId,
    operator::Query,
    store::Filter,
};
use serde_json::{Value, json};

use super::{directory, query};
use crate::{
    args::{List, Listed},
    failure::Failure,
    table::table,
    ui::Ui,
    words,
};

/// Rows that people are shown unless they ask for more.
const SCREEN: usize = 100;
/// Members of an answer with their headings.
pub(super) type Columns = &'static [(&'static str, &'static str)];

/// Rows of one question.
const PAGE: usize = 1000;

/// Certificates, orders or accounts, newest first.
pub(crate) fn run(args: &List, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let now = SystemClock::default().wall();
    let filter = Filter {
        name: args.name.as_deref().map(str::to_ascii_lowercase),
        account: account(args.account.as_deref())?,
        state: args.state.clone(),
        expires_from: args.expires_within.map(|_| now),
        expires_before: args.expires_within.map(|span| now.plus(span.duration())),
        unconfirmed: args.unconfirmed,
        serial: None,
        after: None,
        limit: 0,
    };
    let (query, member, columns): (fn(Filter) -> Query, _, Columns) = match args.what {
        Listed::Certificates => (
            Query::ListCertificates,
            "certificates",
            &[
                ("serial", "SERIAL"),
                ("state", "STATE"),
                ("not_after", "VALID UNTIL"),
                ("names", "NAMES"),
            ],
        ),
        Listed::Orders => (
            Query::ListOrders,
            "orders",
            &[
                ("id", "ORDER"),
                ("status", "STATE"),
                ("expires", "EXPIRES"),
                ("account", "ACCOUNT"),
                ("identifiers", "NAMES"),
            ],
        ),
        Listed::Accounts => (
            Query::ListAccounts,
            "accounts",
            &[
                ("id", "ACCOUNT"),
                ("status", "STATE"),
                ("created_at", "MADE"),
                ("owner", "OWNER"),
                ("contacts", "CONTACTS"),
            ],
        ),
    };
    let what = format!("cannot list the {member} of {}", dir.display());
    show(ui, (filter, args.limit), (member, columns), |filter| {
        query::ask(&dir, query(filter), &what)
    })
}

/// `--account` of a list: an account's id or its URL.
pub(super) fn account(given: Option<&str>) -> Result<Option<AccountId>, Failure> {
    let parse = |id: &str| {
        let id = id.rsplit('/').next().unwrap_or_default();
        id.parse()
            .map_err(|e| Failure::usage("--account is no account of a CA").because(&e))
    };
    given.map(parse).transpose()
}

/// Shows what `ask` answers under `member`, as far as is wanted.
pub(super) fn show(
    ui: &Ui,
    (filter, limit): (Filter, Option<usize>),
    (member, columns): (&str, Columns),
    ask: impl Fn(Filter) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    let now = SystemClock::default().wall();
    // People read a screen; programs want all, or say what they want.
    let limit = limit.unwrap_or(if ui.is_json() { usize::MAX } else { SCREEN });
    let (items, more) = pages(filter, limit, member, ask)?;
    let answer = json!({ member: items, "more": more });
    ui.result(&answer, || text(&items, member, columns, now));
    if more {
        ui.say("there are more: --limit N shows them");
    }
    Ok(())
}

/// Asks page by page, so that neither side holds more than it must.
fn pages(
    mut filter: Filter,
    limit: usize,
    member: &str,
    ask: impl Fn(Filter) -> Result<Value, Failure>,
) -> Result<(Vec<Value>, bool), Failure> {
    let mut items = Vec::new();
    loop {
        filter.limit = PAGE.min(limit - items.len());
        let mut answer = ask(filter.clone())?;
        if let Some(Value::Array(page)) = answer.get_mut(member) {
            items.append(page);
        }
        match answer.get("next").and_then(Value::as_i64) {
            None => return Ok((items, false)),
            Some(_) if items.len() >= limit => return Ok((items, true)),
            next => filter.after = next,
        }
    }
}

fn text(items: &[Value], member: &str, columns: Columns, now: Timestamp) -> String {
    if items.is_empty() {
        return format!("no {member}");
    }
    let heading: Vec<&str> = columns.iter().map(|(_, heading)| *heading).collect();
    let row = |item: &Value| {
        columns
            .iter()
            .map(|(member, _)| words::cell(item, member, now))
            .collect()
    };
    table(
        &heading,
        &items.iter().map(row).collect::<Vec<Vec<String>>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_asked_for_page_by_page() {
        let ask = |filter: Filter| {
            let from = filter.after.unwrap_or(0);
            let to = (from + filter.limit as i64).min(2500);
            let items: Vec<i64> = (from..to).collect();
            Ok(json!({ "orders": items, "next": (to < 2500).then_some(to) }))
        };
        for (limit, count, more) in [
            (usize::MAX, 2500, false),
            (10, 10, true),
            (1000, 1000, true),
            (2500, 2500, false),
        ] {
            let (items, said) = pages(Filter::default(), limit, "orders", ask).unwrap();
            assert_eq!((items.len(), said), (count, more), "{limit}");
        }
    }
}
