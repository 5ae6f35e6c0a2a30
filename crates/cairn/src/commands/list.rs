//! `cairn ca list`.

use cairn_ca::{
    clock::{Clock, SystemClock},
    operator::Query,
    store::Filter,
};
use serde_json::Value;

use super::{directory, query};
use crate::{
    args::{List, Listed},
    failure::Failure,
    table::table,
    ui::Ui,
};

/// Certificates, orders or accounts, newest first.
pub(crate) fn run(args: &List, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let account = args.account.as_deref().map(|id| {
        let id = id.rsplit('/').next().unwrap_or_default();
        id.parse()
            .map_err(|e| Failure::usage("--account is no account of a CA").because(&e))
    });
    let filter = Filter {
        name: args.name.clone(),
        account: account.transpose()?,
        state: args.state.clone(),
        expires_before: args
            .expires_within
            .map(|span| SystemClock::default().wall().plus(span.duration())),
        unconfirmed: args.unconfirmed,
        serial: None,
        // People read a screen; programs want all, or say what they want.
        limit: args
            .limit
            .unwrap_or(if ui.is_json() { usize::MAX } else { 100 }),
    };
    let (query, member, columns): (_, _, &[&str]) = match args.what {
        Listed::Certificates => (
            Query::ListCertificates(filter),
            "certificates",
            &["serial", "state", "not_after", "names"],
        ),
        Listed::Orders => (
            Query::ListOrders(filter),
            "orders",
            &["id", "status", "expires", "account", "identifiers"],
        ),
        Listed::Accounts => (
            Query::ListAccounts(filter),
            "accounts",
            &["id", "status", "created_at", "contacts"],
        ),
    };
    let answer = query::ask(
        &dir,
        query,
        &format!("cannot list the {member} of {}", dir.display()),
    )?;
    ui.result(&answer, || text(&answer, member, columns));
    Ok(())
}

fn text(answer: &Value, member: &str, columns: &[&str]) -> String {
    let items = answer
        .get(member)
        .or(Some(answer))
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if items.is_empty() {
        return format!("no {member}");
    }
    let heading: Vec<String> = columns
        .iter()
        .map(|c| c.to_uppercase().replace('_', " "))
        .collect();
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            columns
                .iter()
                .map(|column| query::member(item, column))
                .collect()
        })
        .collect();
    table(&heading, &rows)
}
