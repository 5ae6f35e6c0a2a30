//! `cairn ca eab`: keys with which accounts are opened.

use cairn_ca::{
    clock::{Clock, SystemClock},
    operator::{ExternalKeyQuery, Query},
    store::Filter,
};
use serde_json::Value;

use super::{directory, list, query};
use crate::{
    args::{EabAdd, EabList, EabRevoke},
    failure::Failure,
    ui::Ui,
    words,
};

/// Makes a key and prints it: its secret is never shown again.
pub(crate) fn add(args: &EabAdd, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let wanted = ExternalKeyQuery {
        owner: args.owner.clone(),
        allowed: args.names.clone(),
        many: args.many,
        expires: args.expires,
    };
    let answer = query::ask(&dir, Query::AddExternalKey(wanted), "no key was made")?;
    ui.result(&answer, || text(&answer));
    ui.say(
        "\nThe HMAC key is shown this once: the CA keeps it sealed. Hand both over on a way that you trust.",
    );
    if let Ok(config) = cairn_ca::setup::parse_config(&dir)
        && config.accounts.external == cairn_ca::config::External::Off
    {
        ui.warn(
            "accounts.external is \"off\": keys are ignored until cairn.toml says \"optional\" or \"required\" there",
        );
    }
    Ok(())
}

fn text(answer: &Value) -> String {
    // As of the key's own moment: "in 7 days", where 7 were asked for.
    let now = words::moment(&answer["created_at"]).unwrap_or_else(|| SystemClock::default().wall());
    let member = |name: &str| query::member(answer, name);
    let cell = |name: &str| words::cell(answer, name, now);
    let opens = match answer["many"] == true {
        true => "any number of accounts",
        false => "one account",
    };
    let until = match cell("expires") {
        end if end.is_empty() => String::new(),
        end => format!(", {end} at the latest"),
    };
    let may_order = match cell("allowed") {
        names if names.is_empty() => "whatever this CA issues for".to_owned(),
        names => names,
    };
    let (id, secret) = (member("id"), member("hmac_key"));
    let mut lines = vec![
        format!("Key id     {id}"),
        format!("HMAC key   {secret}"),
        format!("Opens      {opens}{until}"),
        format!("May order  {may_order}"),
    ];
    if !member("owner").is_empty() {
        lines.push(format!("Owner      {}", member("owner")));
    }
    lines.push(format!(
        "\ncertbot    --eab-kid {id} --eab-hmac-key {secret}\nlego       --eab --kid {id} --hmac {secret}"
    ));
    lines.join("\n")
}

/// Lists keys, newest first.
pub(crate) fn list(args: &EabList, ui: &Ui) -> Result<(), Failure> {
    const COLUMNS: list::Columns = &[
        ("id", "KEY ID"),
        ("state", "STATE"),
        ("owner", "OWNER"),
        ("allowed", "MAY ORDER"),
        ("expires", "EXPIRES"),
        ("accounts", "ACCOUNTS"),
        ("account", "NEWEST ACCOUNT"),
    ];
    let dir = directory(&args.place)?;
    let filter = Filter {
        account: list::account(args.account.as_deref())?,
        state: args.state.clone(),
        ..Filter::default()
    };
    let what = format!("cannot list the external account keys of {}", dir.display());
    list::show(ui, (filter, args.limit), ("keys", COLUMNS), |filter| {
        query::ask(&dir, Query::ListExternalKeys(filter), &what)
    })
}

/// Takes a key back.
pub(crate) fn revoke(args: &EabRevoke, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let question = Query::RevokeExternalKey(args.key.clone());
    let answer = query::ask(&dir, question, "no key was taken back")?;
    let member = |name: &str| query::member(&answer, name);
    ui.result(&answer, || match answer["changed"] == true {
        true => format!("Revoked    {}", member("id")),
        false => format!("Revoked    {} (it was already)", member("id")),
    });
    if answer["accounts"] != 0 {
        ui.say(&format!(
            "\nIt opens no account any more. Those that it opened ({}) go on, with what it allowed them: cairn ca show {}",
            member("accounts"),
            member("id")
        ));
    }
    Ok(())
}
