//! `docs/conformance.md`, `docs/security.md` and `docs/explained.md` against the tests: a row names the tests that carry its id as a comment
//! inside their body, or says what it waits for. `CAIRN_BLESS=1` rewrites the last column of all from the tests.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each with the least number of its rows: more come, none goes.
const DOCUMENTS: [(&str, usize); 3] = [
    ("docs/conformance.md", 182),
    ("docs/security.md", 135),
    ("docs/explained.md", 71),
];

/// What the numbers of requirements begin with: an RFC, the profiles draft, the Baseline Requirements.
const TEXTS: [&str; 8] = [
    "8555-", "5280-", "8737-", "8738-", "8659-", "8657-", "9773-", "PROF-",
];

/// The faults that a CA is to explain in a problem document: every one of the catalogue that it sees (its last column has
/// a P), but for F-35, which needs several vantage points, and F-83 to F-85, which need limits. The catalogue is not part
/// of this repository, hence this list.
const EXPLAINED: [u32; 67] = [
    1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 15, 16, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
    37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 48, 49, 50, 51, 55, 56, 57, 58, 63, 64, 65, 66, 67, 68,
    69, 72, 73, 74, 76, 78, 79, 80, 81, 82, 86, 96, 98, 99, 100, 131, 132,
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let name = entry.file_name();
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                rust_files(&path, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Ids in a comment line: `8555-7.4-2`, `5280-5-1`, `PROF-4-2`, `T-CA-13`, `R-03`, `F-22`.
fn ids(comment: &str) -> Vec<String> {
    comment
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| {
            let numbered = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
            word.strip_prefix("T-CA-").is_some_and(numbered)
                || (word.len() == 4 && word.strip_prefix("R-").is_some_and(numbered))
                || (word.len() <= 5 && word.strip_prefix("F-").is_some_and(numbered))
                || TEXTS
                    .iter()
                    .any(|p| word.strip_prefix(p).is_some_and(|rest| rest.contains('-')))
        })
        .map(str::to_owned)
        .collect()
}

/// Each id with the tests whose bodies carry it. An ignored test shows nothing.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let root = root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(&root).unwrap().display().to_string();
        let mut is_test = false;
        let mut ignored = false;
        // The name of the test that we are in, and the indentation at which it closes.
        let mut inside: Option<(String, usize)> = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim();
            if let Some((name, closes_at)) = &inside {
                if let Some((_, comment)) = code.split_once("//") {
                    for id in ids(comment) {
                        found
                            .entry(id)
                            .or_default()
                            .insert(format!("{place}::{name}"));
                    }
                }
                if code == "}" && indent == *closes_at {
                    inside = None;
                }
                continue;
            }
            if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
                is_test = true;
            } else if code.starts_with("#[ignore") {
                ignored = true;
            } else if is_test && (code.starts_with("fn ") || code.starts_with("async fn ")) {
                let name = code.trim_start_matches("async ").trim_start_matches("fn ");
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !ignored {
                    inside = Some((name, indent));
                }
                is_test = false;
                ignored = false;
            }
        }
    }
    found
}

/// A table row: id, text, shown by.
fn row(line: &str) -> Option<(&str, &str, &str)> {
    let mut cells = line
        .strip_prefix("| ")?
        .strip_suffix(" |")?
        .rsplitn(2, " | ");
    let last = cells.next()?;
    let (id, text) = cells.next()?.split_once(" | ")?;
    let is_id = ["T-CA-", "R-", "F-"]
        .iter()
        .chain(&TEXTS)
        .any(|p| id.starts_with(p));
    is_id.then_some((id, text, last))
}

#[test]
fn each_row_names_the_tests_that_carry_its_id_or_says_what_it_waits_for() {
    let shown = shown();
    let bless = std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none();
    let mut faults = Vec::new();
    for (document, least) in DOCUMENTS {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap();
        let mut rewritten = String::new();
        let mut rows = 0;
        for line in text.lines() {
            let Some((id, text, last)) = row(line) else {
                rewritten.push_str(line);
                rewritten.push('\n');
                continue;
            };
            rows += 1;
            let (tests, waits) = match last.split_once("; ") {
                Some((tests, waits)) if tests.starts_with('`') => (tests, Some(waits)),
                _ if last.starts_with('`') => (last, None),
                _ => ("", Some(last)),
            };
            let want = shown.get(id).map(|tests| {
                let shown: Vec<String> = tests.iter().take(3).map(|t| format!("`{t}`")).collect();
                let more = tests.len().saturating_sub(3);
                if more > 0 {
                    format!("{} and {more} more", shown.join(", "))
                } else {
                    shown.join(", ")
                }
            });
            // 'with X' stays beside the tests: a part of the line still waits for X.
            let waits = waits.filter(|w| {
                w.starts_with("with ")
                    || w.starts_with("later")
                    || (want.is_none() && *w == "not yet")
            });
            let want = match (want, waits) {
                (Some(tests), Some(waits)) => format!("{tests}; {waits}"),
                (Some(tests), None) => tests,
                (None, Some(waits)) => waits.to_owned(),
                (None, None) => "not yet".to_owned(),
            };
            if want != last {
                faults.push(format!(
                    "{document}: {id}: says «{last}», the tests say «{want}»"
                ));
            }
            let _ = tests;
            rewritten.push_str(&format!("| {id} | {text} | {want} |\n"));
        }
        assert!(rows >= least, "{document} has lost rows: {rows} are left");
        if bless {
            fs::write(&path, rewritten).unwrap();
        }
    }
    assert!(
        faults.is_empty() || bless,
        "run again with CAIRN_BLESS=1, or mend the tests:\n{}",
        faults.join("\n")
    );
}

#[test]
fn every_fault_that_a_ca_sees_has_a_row_and_a_test() {
    let text = fs::read_to_string(root().join("docs/explained.md")).unwrap();
    let rows: BTreeMap<&str, &str> = text.lines().filter_map(row).map(|r| (r.0, r.2)).collect();
    let missing: Vec<String> = EXPLAINED
        .iter()
        .map(|number| format!("F-{number:02}"))
        .filter(|id| {
            !rows
                .get(id.as_str())
                .is_some_and(|last| last.starts_with('`'))
        })
        .collect();
    assert!(missing.is_empty(), "no test shows {missing:?}");
}
