//! `docs/performance.md`, made from a report.

use std::fmt::Write;

use crate::budget::judge;
use crate::report::Report;

const METHOD: &str = include_str!("method.md");

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut text = String::from(
        "# Performance\n\n<!-- Made by `make bench` with --write-docs; don't edit. -->\n\n",
    );
    let machine = report.machine.as_object().into_iter().flatten();
    let machine = machine.map(|(name, value)| match value.as_str() {
        Some(value) => format!("{name} {value}"),
        None => format!("{name} {value}"),
    });
    let machine: Vec<String> = machine.collect();
    let mut commits: Vec<&str> = report.rows.iter().map(|row| row.commit.as_str()).collect();
    commits.dedup();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "Machine: {}. Commit: {}.\n",
        machine.join(", "),
        commits.join(", ")
    );
    text.push_str(&report.table());
    text.push_str("\n## Bounds\n\n| bound | | measured | |\n|---|---|---|---|\n");
    for verdict in judge(report) {
        let kept = if verdict.kept { "kept" } else { "**missed**" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {kept} |",
            verdict.what, verdict.bound, verdict.measured
        );
    }
    text.push('\n');
    text.push_str(METHOD);
    text
}
