//! `cairn ca status`: whether it serves, until when it can, what it holds.

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock},
    operator::Query,
};
use serde_json::Value;

use super::{directory, query};
use crate::{args::Place, failure::Failure, table::plain, ui::Ui, when, words::moment};

/// Sizes, work, issuers, lists.
pub(crate) fn run(place: &Place, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(place)?;
    let answer = query::ask(
        &dir,
        Query::Status,
        &format!("cannot show the state of {}", dir.display()),
    )?;
    let now = SystemClock::default().wall();
    ui.result(&answer, || text(&answer, now));
    Ok(())
}

/// The issuer's name before what is said of its list, where there are several.
fn whose(answer: &Value, crl: &Value) -> String {
    let issuers: Vec<&Value> = items(answer, "issuers").collect();
    let id = crl.get("issuer");
    let issuer = issuers.iter().find(|issuer| issuer.get("id") == id);
    let name = issuer.and_then(|issuer| issuer.get("name")?.as_str());
    match name {
        Some(name) if issuers.len() > 1 => format!("{}, ", plain(name)),
        _ => String::new(),
    }
}

fn text(answer: &Value, now: Timestamp) -> String {
    let number = |path: &str| answer.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let mut lines = vec![("State", state(answer))];
    for fault in items(answer, "faults") {
        let said = |member| {
            plain(
                fault
                    .get(member)
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            )
        };
        if said("part") != "store" {
            lines.push(("FAULT", format!("{}: {}", said("part"), said("reason"))));
        }
    }
    if let Some(url) = answer.get("url").and_then(Value::as_str) {
        lines.push(("URL", format!("{}/directory", plain(url))));
    }
    for issuer in items(answer, "issuers") {
        let name = issuer.get("name").or(issuer.get("id"));
        let name = plain(name.and_then(Value::as_str).unwrap_or_default());
        lines.push((
            "Issuer",
            format!("{name}, {}", end(issuer, "not_after", now)),
        ));
    }
    let cut: Vec<_> = items(answer, "profiles_cut")
        .filter_map(Value::as_str)
        .map(plain)
        .collect();
    if !cut.is_empty() {
        lines.push((
            "",
            format!(
                "certificates of {} are cut to its end: renew it",
                cut.join(", ")
            ),
        ));
    }
    lines.extend(resolver(answer).map(|text| ("Resolver", text)));
    for own in items(answer, "own_certificates") {
        lines.push((
            "Listener",
            format!("own certificate, {}", end(own, "not_after", now)),
        ));
    }
    for crl in items(answer, "crls") {
        let shard = crl.get("shard").and_then(Value::as_u64).unwrap_or(0);
        let signed = crl.get("this_update").and_then(moment);
        let signed = signed.map_or_else(String::new, |at| when::both(at, now));
        let end = end(crl, "next_update", now);
        let whose = whose(answer, crl);
        lines.push(("CRL", format!("{whose}shard {shard}: of {signed}, {end}")));
    }
    let unconfirmed = match number("/rows/certificates_unconfirmed") {
        0 => String::new(),
        n => format!("; {n} unconfirmed (cairn ca list --unconfirmed)"),
    };
    let (certificates, last_day) = (
        number("/rows/certificates"),
        number("/rows/certificates_last_day"),
    );
    lines.push((
        "Issued",
        format!("{certificates} certificates, {last_day} of them in the last day{unconfirmed}"),
    ));
    lines.push((
        "Holds",
        format!(
            "{} accounts, {} orders ({} unfinished), {} authorizations, {} audit events",
            number("/rows/accounts"),
            number("/rows/orders"),
            number("/rows/orders_unfinished"),
            number("/rows/authorizations"),
            number("/rows/audit_events"),
        ),
    ));
    let database = number("/bytes/database");
    let mut disk = format!(
        "{} and a log of {}",
        size(database),
        size(number("/bytes/log"))
    );
    if let Some(daily) =
        (u128::from(database) * u128::from(last_day)).checked_div(u128::from(certificates))
        && last_day > 0
        && last_day < certificates
    {
        let daily = u64::try_from(daily).unwrap_or(u64::MAX);
        disk.push_str(&format!(", growing by about {} a day", size(daily)));
    }
    lines.push(("Disk", disk));
    let queue = match number("/queue/length") {
        0 => "empty".to_owned(),
        n => format!("{n} wait, the first for {} ms", number("/queue/age_ms")),
    };
    let under_way = match number("/rows/work") {
        0 => "nothing".to_owned(),
        n => n.to_string(),
    };
    lines.push((
        "Queue",
        format!("{queue}; validations and signatures under way: {under_way}"),
    ));
    let lines = lines
        .iter()
        .map(|(label, value)| format!("{label:<10}{value}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn items<'a>(answer: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    answer
        .get(member)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Only when look-ups fail; without a running server nothing is known.
fn resolver(answer: &Value) -> Option<String> {
    let resolver = answer.get("resolver")?;
    let number = |member| resolver.get(member).and_then(Value::as_u64).unwrap_or(0);
    let (answered, failed) = (number("answered"), number("failed"));
    if failed == 0 {
        return None;
    }
    let servers: Vec<_> = items(resolver, "servers")
        .filter_map(Value::as_str)
        .map(plain)
        .collect();
    let verdict = match resolver.get("broken").and_then(Value::as_bool) {
        Some(true) => ": NOTHING IS ANSWERED, so no name can be validated",
        _ => "",
    };
    Some(format!(
        "{}, {failed} of {} look-ups failed in the last {} minutes{verdict}",
        servers.join(", "),
        answered + failed,
        number("minutes"),
    ))
}

fn state(answer: &Value) -> String {
    match answer.get("read_only").and_then(Value::as_str) {
        Some(reason) => format!("READ-ONLY: {}", plain(reason)),
        None => "reads and writes".to_owned(),
    }
}

/// `ends in 59 days (21 Jan 2027)`, or that it has ended.
fn end(object: &Value, member: &str, now: Timestamp) -> String {
    match object.get(member).and_then(moment) {
        Some(at) if at < now => format!("ENDED {}", when::both(at, now)),
        Some(at) => format!("ends {}", when::both(at, now)),
        None => "its end is not known".to_owned(),
    }
}

/// `12.3 MiB`.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0..MIB => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_says_first_what_matters_in_words() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let answer = json!({
            "read_only": "the disk is full",
            "url": "https://ca1.widgets.internal",
            "issuers": [{ "id": "ab", "name": "Acme Issuing I1", "not_after": "2031-11-22T12:00:00Z" }],
            "own_certificates": [{ "not_after": "2027-01-21T12:00:00Z" }],
            "crls": [{ "shard": 0, "this_update": "2026-11-23T11:00:00Z", "next_update": "2026-11-23T11:30:00Z" }],
            "rows": {
                "accounts": 2, "orders": 9, "orders_unfinished": 1, "authorizations": 10, "certificates": 100,
                "certificates_unconfirmed": 1, "certificates_last_day": 10, "work": 0, "audit_events": 50,
            },
            "bytes": { "database": 13_000_000, "log": 4096 },
            "queue": { "length": 3, "age_ms": 20 },
            "faults": [{ "part": "store", "reason": "told above" }, { "part": "crl", "reason": "it ends soon" }],
            "profiles_cut": ["default"],
            "resolver": { "servers": ["127.0.0.1:53"], "answered": 0, "failed": 7, "minutes": 5, "broken": true },
        });
        assert_eq!(
            text(&answer, now),
            "State     READ-ONLY: the disk is full\n\
             FAULT     crl: it ends soon\n\
             URL       https://ca1.widgets.internal/directory\n\
             Issuer    Acme Issuing I1, ends in 1825 days (22 Nov 2031)\n\
             \x20         certificates of default are cut to its end: renew it\n\
             Resolver  127.0.0.1:53, 7 of 7 look-ups failed in the last 5 minutes: NOTHING IS ANSWERED, so no name can be validated\n\
             Listener  own certificate, ends in 59 days (21 Jan 2027)\n\
             CRL       shard 0: of 60 minutes ago (23 Nov 2026), ENDED 30 minutes ago (23 Nov 2026)\n\
             Issued    100 certificates, 10 of them in the last day; 1 unconfirmed (cairn ca list --unconfirmed)\n\
             Holds     2 accounts, 9 orders (1 unfinished), 10 authorizations, 50 audit events\n\
             Disk      12.3 MiB and a log of 4 KiB, growing by about 1.2 MiB a day\n\
             Queue     3 wait, the first for 20 ms; validations and signatures under way: nothing"
        );
    }
}
