//! Enforces the shape of the house: who may import whom, what the pure crates may not know, and
//! how long a file may be.
//!
//! The rule is about normal dependencies. A new crate of ours must be entered here first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate of ours, and which of ours it may import. An arrow never runs back.
const MAY_IMPORT: [(&str, &[&str]); 8] = [
    ("cairn-acme", &[]),
    ("cairn-x509", &[]),
    ("cairn-ca", &["cairn-acme", "cairn-x509"]),
    ("cairn", &["cairn-acme", "cairn-x509", "cairn-ca"]),
    ("cairn-testkit", &[]),
    ("cairn-interop", &["cairn-testkit"]),
    ("cairn-bench", &["cairn-acme", "cairn-x509"]),
    ("cairn-fuzz", &["cairn-acme", "cairn-x509", "cairn-ca"]),
];

/// Crates that know no socket, file, clock, database or runtime.
const PURE: [&str; 2] = ["cairn-acme", "cairn-x509"];

/// What would bring one in, at any depth.
const IMPURE: [&str; 11] = [
    "tokio",
    "mio",
    "hyper",
    "hyper-util",
    "socket2",
    "rustix",
    "rusqlite",
    "rustls",
    "tempfile",
    "tracing",
    "url",
];

/// Lines at which a file must have been split.
const LINES: usize = 800;

#[test]
fn no_crate_imports_against_the_arrows() {
    let metadata = metadata();
    let rules = BTreeMap::from(MAY_IMPORT);
    let mut wrong = Vec::new();
    for package in ours(&metadata) {
        let name = text(&package["name"]);
        let Some(allowed) = rules.get(name) else {
            wrong.push(format!("{name} is not entered in house.rs"));
            continue;
        };
        for dependency in list(&package["dependencies"]) {
            let other = text(&dependency["name"]);
            let own = other == "cairn" || other.starts_with("cairn-");
            // `kind` is null for a normal dependency, else `dev` or `build`.
            if own && dependency["kind"].is_null() && !allowed.contains(&other) {
                wrong.push(format!("{name} imports {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_crates_reach_no_socket_clock_database_or_runtime() {
    let metadata = metadata();
    let names: BTreeMap<_, _> = list(&metadata["packages"])
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let nodes: BTreeMap<_, _> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| (text(&node["id"]), node))
        .collect();
    let mut wrong = Vec::new();
    for (id, name) in names.iter().filter(|(_, name)| PURE.contains(name)) {
        let mut seen = BTreeSet::new();
        let mut open = vec![(*id, (*name).to_owned())];
        while let Some((id, path)) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            if IMPURE.contains(&names[id]) {
                wrong.push(path.clone());
            }
            for dependency in list(&nodes[id]["deps"]) {
                let normal = |kind: &Value| kind["kind"].is_null();
                if list(&dependency["dep_kinds"]).iter().any(normal) {
                    let next = text(&dependency["pkg"]);
                    open.push((next, format!("{path} → {}", names[next])));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_build_without_the_test_ca_lacks_its_doors() {
    // One member that turned the feature on would turn it on in the binary of every build of the workspace.
    let metadata = metadata_with(&["--no-default-features"]);
    let ours: Vec<_> = ours(&metadata).collect();
    let ca = ours
        .iter()
        .find(|package| text(&package["name"]) == "cairn-ca");
    let id = text(&ca.unwrap()["id"]);
    assert!(ca.unwrap()["features"]["dev"].is_array(), "it was renamed");
    let nodes = list(&metadata["resolve"]["nodes"]);
    let node = nodes.iter().find(|node| text(&node["id"]) == id);
    let on: Vec<_> = list(&node.unwrap()["features"]).iter().map(text).collect();
    assert!(!on.contains(&"dev"), "{on:?}");
}

#[test]
fn no_file_has_outgrown_its_concept() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    assert!(files.len() > 10, "the walk found the sources");
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    let long = files
        .iter()
        .map(|path| (lines(path), path))
        .filter(|(lines, _)| *lines > LINES);
    let long: Vec<_> = long.collect();
    assert!(
        long.is_empty(),
        "split these (more than {LINES} lines): {long:#?}"
    );
}

/// Every Rust file of the project, without what was built.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn metadata() -> Value {
    metadata_with(&[])
}

fn metadata_with(features: &[&str]) -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version=1", "--offline", "--locked"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    command.args(features);
    let output = command.current_dir(root()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ours(metadata: &Value) -> impl Iterator<Item = &Value> {
    let members: BTreeSet<_> = list(&metadata["workspace_members"])
        .iter()
        .map(text)
        .collect();
    list(&metadata["packages"])
        .iter()
        .filter(move |package| members.contains(text(&package["id"])))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
