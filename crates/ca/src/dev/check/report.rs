//! The report on the clients: text for people, an object for programs, JUnit XML for a CI.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Check, Ledger, Level, Tally, Verdict, junit};

/// Findings of one check that the text shows.
const SHOWN: usize = 3;

/// In which form a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One object: `verdict` (`pass` or `fail`), `strict`, and `checks`, each with `check`, `section`, `level`, `wrong`,
    /// `met` and `broken` (how often), and `findings`, each with `exchanges`, `evidence` and `client`.
    Json,
    /// A suite with a case for each check that was met.
    Junit,
}

/// The report.
#[must_use]
pub fn report(ledger: &Ledger, format: Format, strict: bool) -> String {
    match format {
        Format::Text => text(ledger, strict),
        Format::Json => object(ledger, strict).to_string(),
        Format::Junit => junit::suite(ledger, strict),
    }
}

fn text(ledger: &Ledger, strict: bool) -> String {
    let (met, broken) = ledger.tallies().fold((0, 0), |(met, broken), (_, tally)| {
        (met + 1, broken + usize::from(tally.broken > 0))
    });
    if met == 0 {
        return "No client was here: nothing was checked.\n".to_owned();
    }
    let mut text = String::new();
    for (level, title) in [
        (Level::Must, "Broken"),
        (
            Level::Should,
            if strict { "Broken (SHOULD)" } else { "Advice" },
        ),
    ] {
        let rows: Vec<_> = ledger
            .tallies()
            .filter(|(check, tally)| check.level == level && tally.broken > 0)
            .collect();
        if !rows.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{title}:");
        }
        for (check, tally) in rows {
            row(&mut text, check, tally);
        }
    }
    let verdict = match ledger.verdict(strict) {
        Verdict::Pass => "No MUST was broken",
        Verdict::Fail => "The client fails",
    };
    let _ = writeln!(
        text,
        "{verdict}. Checks that applied: {met}, of them broken: {broken}."
    );
    text
}

fn row(text: &mut String, check: &Check, tally: &Tally) {
    let _ = writeln!(
        text,
        "  {} ({}, {}), {}: {}",
        check.name,
        check.section,
        check.level.word(),
        tally.times(),
        check.wrong
    );
    for finding in tally.first.iter().take(SHOWN) {
        let numbers: Vec<_> = finding.exchanges.iter().map(|n| format!("#{n}")).collect();
        let _ = writeln!(
            text,
            "    {} {} [{}]",
            numbers.join(", "),
            finding.evidence,
            finding.client
        );
    }
    if tally.broken > SHOWN as u64 {
        let _ = writeln!(text, "    and {} more", tally.broken - SHOWN as u64);
    }
}

fn object(ledger: &Ledger, strict: bool) -> Value {
    let checks = ledger.tallies().map(|(check, tally)| {
        let findings = tally.first.iter().map(|finding| {
            json!({
                "exchanges": finding.exchanges,
                "evidence": finding.evidence,
                "client": finding.client,
            })
        });
        json!({
            "check": check.name,
            "section": check.section,
            "level": check.level.word(),
            "wrong": check.wrong,
            "met": tally.met,
            "broken": tally.broken,
            "findings": findings.collect::<Vec<_>>(),
        })
    });
    json!({
        "verdict": match ledger.verdict(strict) {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
        },
        "strict": strict,
        "checks": checks.collect::<Vec<_>>(),
    })
}
