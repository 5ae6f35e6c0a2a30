//! `target/bench.json`, and the table that people read.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::subjects::Subject;

/// One row. `cpu_ms`, `fsyncs`, `requests` (signed ones) and `bytes` (on the wire, both ways) are for one certificate, in
/// `names-100` for one name, in `renewal-info` and `revoke-10000` for one answer and one revocation, which `certs` then
/// counts; `certs` is the sum of all runs, `rss_mib` the most that was seen, the others are medians of the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    pub(crate) work: String,
    pub(crate) clients: usize,
    pub(crate) certs: usize,
    pub(crate) certs_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) rss_mib: f64,
    pub(crate) fsyncs: f64,
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
    pub(crate) verify_us: f64,
    pub(crate) hung: bool,
    pub(crate) commit: String,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: Value,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// What an earlier run left; nothing if there was none, or of another form.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }

    /// The rows of `earlier` that this run did not redo come behind its own.
    pub(crate) fn keeping(mut self, earlier: Option<Self>) -> Self {
        let kept = earlier.map(|earlier| earlier.rows).unwrap_or_default();
        let kept = kept
            .into_iter()
            .filter(|old| !self.rows.iter().any(|new| new.key() == old.key()));
        let kept: Vec<_> = kept.collect();
        self.rows.extend(kept);
        // The plain rows come first, then others as they were; each load with its subjects.
        let works: Vec<String> = self.rows.iter().map(|row| row.work.clone()).collect();
        self.rows.sort_by_key(|row| {
            let first = works.iter().position(|work| *work == row.work);
            (row.work != "http-01", first, row.clients, row.subject)
        });
        self
    }

    pub(crate) fn row(&self, subject: Subject, work: &str, clients: usize) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.key() == (subject, work, clients))
    }

    /// The table, as Markdown that is readable as it is.
    pub(crate) fn table(&self) -> String {
        const HEADS: [&str; 13] = [
            "work", "clients", "subject", "certs/s", "×", "p50 ms", "p99 ms", "CPU ms", "÷",
            "RSS MiB", "fsyncs", "requests", "KiB",
        ];
        let mut lines: Vec<Vec<String>> = vec![HEADS.map(str::to_owned).to_vec()];
        lines.extend(self.rows.iter().map(|row| self.line(row)));
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Writing to a String does not fail.
                let _ = match column {
                    0 | 2 => write!(text, "| {cell:<width$} "),
                    _ => write!(text, "| {cell:>width$} "),
                };
            }
            text.push_str("|\n");
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let (dashes, end) = (
                        "-".repeat(width + 1),
                        if matches!(column, 0 | 2) { "-" } else { ":" },
                    );
                    let _ = write!(text, "|{dashes}{end}");
                }
                text.push_str("|\n");
            }
        }
        text
    }

    fn line(&self, row: &Row) -> Vec<String> {
        let pebble = Some(row).filter(|row| row.subject != Subject::Pebble);
        let pebble = pebble.and_then(|row| self.row(Subject::Pebble, &row.work, row.clients));
        let pebble = pebble.filter(|pebble| pebble.is_measure());
        let ratio = |more: f64, less: f64| match less > 0.0 {
            true => format!("{:.1}", more / less),
            false => String::new(),
        };
        vec![
            row.work.clone(),
            row.clients.to_string(),
            format!(
                "{}{}",
                row.subject.name(),
                if row.hung { " (hung)" } else { "" }
            ),
            format!("{:.0}", row.certs_per_s),
            pebble
                .map(|pebble| ratio(row.certs_per_s, pebble.certs_per_s))
                .unwrap_or_default(),
            format!("{:.1}", row.p50_ms),
            format!("{:.1}", row.p99_ms),
            match row.cpu_ms {
                small @ ..0.1 if small > 0.0 => format!("{small:.3}"),
                cpu => format!("{cpu:.2}"),
            },
            pebble
                .map(|pebble| ratio(pebble.cpu_ms, row.cpu_ms))
                .unwrap_or_default(),
            format!("{:.0}", row.rss_mib),
            format!("{:.2}", row.fsyncs),
            format!("{:.1}", row.requests),
            format!("{:.1}", row.bytes / 1024.0),
        ]
    }
}

impl Row {
    /// Whether a run finished.
    pub(crate) fn is_measure(&self) -> bool {
        self.cpu_ms > 0.0
    }

    fn key(&self) -> (Subject, &str, usize) {
        (self.subject, &self.work, self.clients)
    }
}

/// The machine that all rows are from.
pub(crate) fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory = memory.and_then(|kib| kib.trim_end_matches(" kB").parse::<u64>().ok());
    let pebble = std::process::Command::new("dpkg-query")
        .args(["-W", "-f", "${Version}", "pebble"])
        .output();
    serde_json::json!({
        "cpu": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory_mib": memory.map(|kib| kib / 1024),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "pebble": pebble.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()),
    })
}

/// The result, on standard output.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// A line on how it goes, on standard error.
#[expect(clippy::print_stderr, reason = "progress")]
pub(crate) fn note(text: &str) {
    eprintln!("bench: {text}");
}

#[cfg(test)]
pub(crate) fn example(subject: Subject, work: &str, clients: usize) -> Row {
    Row {
        subject,
        work: work.to_owned(),
        clients,
        certs: 9,
        certs_per_s: 700.0,
        p50_ms: 40.0,
        p99_ms: 80.0,
        cpu_ms: if subject == Subject::Cairn { 1.5 } else { 9.0 },
        rss_mib: 40.0,
        fsyncs: 0.3,
        requests: 5.0,
        bytes: 9000.0,
        verify_us: 60.0,
        hung: false,
        commit: "abc".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_not_redone_are_kept() {
        let old = Report {
            machine: Value::Null,
            rows: vec![
                example(Subject::Cairn, "http-01", 1),
                example(Subject::Cairn, "http-01-no-hold", 32),
            ],
        };
        let mut redone = example(Subject::Cairn, "http-01", 1);
        redone.certs = 10;
        let new = Report {
            machine: Value::Null,
            rows: vec![redone.clone()],
        };
        let rows = new.keeping(Some(old)).rows;
        assert_eq!(
            rows,
            [redone, example(Subject::Cairn, "http-01-no-hold", 32)]
        );
    }

    #[test]
    fn a_row_has_exactly_the_documented_members() {
        let row = serde_json::to_value(example(Subject::Pebble, "http-01", 8)).unwrap();
        let mut names: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
        let mut want = [
            "subject",
            "work",
            "clients",
            "certs",
            "certs_per_s",
            "p50_ms",
            "p99_ms",
            "cpu_ms",
            "rss_mib",
            "fsyncs",
            "requests",
            "bytes",
            "verify_us",
            "hung",
            "commit",
        ];
        names.sort();
        want.sort_unstable();
        assert_eq!(names, want);
        assert_eq!(row["subject"], "pebble");
    }

    #[test]
    fn the_table_compares_with_pebble_under_the_same_load() {
        let rows = vec![
            example(Subject::Cairn, "http-01", 8),
            example(Subject::Pebble, "http-01", 8),
        ];
        let table = Report {
            machine: Value::Null,
            rows,
        }
        .table();
        let line = table.lines().nth(2).unwrap();
        assert!(line.contains("| 6.0 |"), "{table}");
    }
}
