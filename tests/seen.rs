//! `docs/clients.md` against what the clients' tests saw: `make test` runs this after them, and `CAIRN_BLESS=1` rewrites
//! the document from it. The prose before the marker is written by hand.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cairn_testkit::seen::{self, Breach, Judged, Outcome, Record, What};

const MARKER: &str =
    "<!-- From here on made by `make docs` from what the tests saw; don't edit. -->\n";

type Clients = BTreeMap<(String, String), BTreeMap<What, Outcome>>;

/// What each client, with its version, did with this server.
fn of(records: &[Record], server: &str) -> Clients {
    let mut clients = Clients::new();
    for record in records.iter().filter(|record| record.server == server) {
        let client = (record.client.clone(), record.version.clone());
        let row = clients.entry(client).or_default();
        row.insert(record.what, record.outcome.clone());
    }
    clients
}

fn columns() -> impl Iterator<Item = What> {
    What::TABLES
        .into_iter()
        .flat_map(|(_, columns)| columns.iter().copied())
}

/// When a breach was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Always,
    Quiet,
    Faults,
}

impl Seen {
    fn words(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Quiet => "without faults",
            Self::Faults => "with faults",
        }
    }
}

/// What each client did wrong, and when.
fn breaches(judged: &[Judged]) -> BTreeMap<String, BTreeMap<Breach, Seen>> {
    let mut all = BTreeMap::<String, BTreeMap<Breach, Seen>>::new();
    for one in judged {
        let row = all.entry(one.client.clone()).or_default();
        for breach in &one.breaches {
            let seen = if one.faults {
                Seen::Faults
            } else {
                Seen::Quiet
            };
            row.entry(breach.clone())
                .and_modify(|other| *other = Seen::Always)
                .or_insert(seen);
        }
    }
    all
}

/// What the test CA found.
fn findings(judged: &[Judged]) -> String {
    let mut text = "\n## What checks find\n\n| Client | Check | Request | What was seen | When |\n|---|---|---|---|---|\n"
        .to_owned();
    let mut right = Vec::new();
    for (client, row) in breaches(judged) {
        if row.is_empty() {
            right.push(client.clone());
        }
        for (breach, seen) in row {
            let Breach {
                check,
                section,
                level,
                request,
                evidence,
            } = breach;
            writeln!(
                text,
                "| {client} | `{check}`, {level} ({section}) | {request} | {evidence} | {} |",
                seen.words()
            )
            .unwrap();
        }
    }
    writeln!(text, "\nNothing was found of: {}.", right.join(", ")).unwrap();
    text
}

/// The tables, and the reason of each thing that fails or is not there.
fn document(cairn: &Clients, pebble: &Clients, judged: &[Judged]) -> String {
    let mut text = String::new();
    for (title, columns) in What::TABLES {
        let heads: Vec<_> = columns.iter().map(|what| what.title()).collect();
        writeln!(text, "\n## {title}\n\n| Client | {} |", heads.join(" | ")).unwrap();
        writeln!(text, "|---|{}", "---|".repeat(heads.len())).unwrap();
        for ((client, version), row) in cairn {
            write!(text, "| {client} {version} |").unwrap();
            for what in columns {
                let cell = match row.get(what) {
                    Some(Outcome::Done) => "yes",
                    Some(Outcome::Lacks(_)) => "–",
                    Some(Outcome::Fails(_)) => "no",
                    None => "",
                };
                write!(text, " {cell} |").unwrap();
            }
            text.push('\n');
        }
    }
    text += "\n## What does not work, and why\n\n";
    let mut count = 0;
    for ((client, _), row) in cairn {
        for what in columns() {
            if let Some(Outcome::Fails(why)) = row.get(&what) {
                writeln!(text, "- {client}, {}: {why}.", what.title()).unwrap();
                count += 1;
            }
        }
    }
    if count == 0 {
        text += "Nothing that a client has.\n";
    }
    text += "\n## Beside Pebble\n\nThe same scripts against Debian's Pebble did:\n\n";
    for ((client, _), row) in pebble {
        let done = columns().filter(|what| row.get(what) == Some(&Outcome::Done));
        let done: Vec<_> = done.map(What::title).collect();
        writeln!(text, "- {client}: {}", done.join(", ")).unwrap();
    }
    text + &findings(judged)
}

#[test]
fn the_table_of_clients_is_what_the_tests_saw() {
    let records = seen::all();
    assert!(
        !records.is_empty(),
        "nothing was seen: run the other suites first"
    );
    let (cairn, pebble) = (of(&records, seen::CAIRN), of(&records, seen::PEBBLE));
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for ((client, version), row) in &cairn {
        if !names.insert(client) {
            faults.push(format!(
                "{client} was seen in two versions, one of them {version}"
            ));
        }
        // Nothing is left unsaid: it does it, has it not, or fails.
        let silent = columns().filter(|what| !row.contains_key(what));
        faults.extend(silent.map(|what| format!("{client}: nothing is said of {}", what.title())));
    }
    let judged = seen::all_judged();
    for client in &names {
        for with in [false, true] {
            let was_judged = |one: &Judged| one.client == **client && one.faults == with;
            if !judged.iter().any(was_judged) {
                faults.push(format!("{client} was not judged, faults: {with}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/clients.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (prose, table) = text.split_once(MARKER).unwrap();
    let made = document(&cairn, &pebble, &judged);
    if std::env::var_os("CAIRN_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path, format!("{prose}{MARKER}{made}")).unwrap();
        return;
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (table, made) = (lines(table), lines(&made));
    let gone: Vec<_> = table.difference(&made).collect();
    let new: Vec<_> = made.difference(&table).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "docs/clients.md says what was not seen, `make docs` rewrites it\nsays: {gone:#?}\nseen: {new:#?}"
    );
}
