//! `cairn ca dev` for one client: it judges the client, and ends with its report.
//!
//! Meant for a namespace of the test's own ([`TestCa::namespace`](crate::ca::TestCa::namespace)): it is called `ca.test`, asks
//! DNS at 127.0.0.1:53 and validates at the real ports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::places;
use crate::process::{Process, Signal};
use crate::seen::Breach;

/// The time that a start or an end may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running test CA; killed when dropped.
#[derive(Debug)]
pub struct Judged {
    directory: String,
    root: PathBuf,
    report: PathBuf,
    transcript: PathBuf,
    process: Process,
}

/// What it said of its clients at its end.
#[derive(Debug)]
pub struct Judgement {
    /// How many requests it got.
    pub requests: usize,
    /// How many of them met a fault.
    pub faults: usize,
    /// Every thing that they did wrong, once.
    pub breaches: Vec<Breach>,
}

impl Judged {
    /// Serves, with these faults, which chance strikes alike in every run.
    ///
    /// # Panics
    /// If it is not ready in time.
    pub fn start(folder: &Path, faults: &[&str]) -> Self {
        let (report, transcript) = (folder.join("report.json"), folder.join("transcript.jsonl"));
        let mut command = Command::new(places::cairn());
        command.args(["ca", "dev", "--json", "--check-client", "--seed", "1"]);
        command.args(["--host", "ca.test", "--dnsserver", "127.0.0.1:53"]);
        command.args(["--http-port", "80", "--tls-port", "443", "--dir"]);
        command.arg(folder.join("dev"));
        command.arg("--report").arg(&report);
        command.arg("--transcript").arg(&transcript);
        for fault in faults {
            command.args(["--fault", fault]);
        }
        let process = Process::start("cairn ca dev", &mut command);
        let hello = process.wait_line(PATIENCE, |line| line.starts_with("{\"directory\""));
        let hello = hello.expect("the test CA starts");
        let hello: Value = serde_json::from_str(&hello).expect("one object");
        let text = |name: &str| hello[name].as_str().expect("a text").to_owned();
        Self {
            directory: text("directory"),
            root: text("root").into(),
            report,
            transcript,
            process,
        }
    }

    /// The directory's URL.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// What its own certificate and those that it issues are checked with.
    pub fn root_path(&self) -> &Path {
        &self.root
    }

    /// Ends it as its user does, and reads what it reports.
    ///
    /// # Panics
    /// If it does not end in time, or otherwise than its report says.
    pub fn end(&mut self) -> Judgement {
        self.process.signal(Signal::TERM);
        let status = self.process.wait(PATIENCE).expect("the test CA ends");
        let read = |path: &Path| std::fs::read_to_string(path).expect("a file of the test CA");
        let report: Value = serde_json::from_str(&read(&self.report)).expect("a report");
        let code = match report["verdict"].as_str() {
            Some("pass") => 0,
            Some("fail") => 1,
            _ => panic!("no verdict: {report}"),
        };
        assert_eq!(status.code(), Some(code), "{report}");
        let line = |line: &str| serde_json::from_str(line).expect("a line of the transcript");
        let exchanges: Vec<Value> = read(&self.transcript).lines().map(line).collect();
        let struck = |one: &&Value| one["faults"].as_array().is_some_and(|all| !all.is_empty());
        Judgement {
            requests: exchanges.len(),
            faults: exchanges.iter().filter(struck).count(),
            breaches: breaches(&report, &exchanges),
        }
    }
}

/// What was found, each with the first request by which it was done.
fn breaches(report: &Value, exchanges: &[Value]) -> Vec<Breach> {
    let requests: BTreeMap<u64, String> = exchanges
        .iter()
        .map(|one| (number(&one["number"]), request(one)))
        .collect();
    let mut all = Vec::<Breach>::new();
    for check in list(&report["checks"]) {
        let text = |name: &str| check[name].as_str().expect("a text").to_owned();
        for finding in list(&check["findings"]) {
            let last = list(&finding["exchanges"]).last().expect("an exchange");
            let request = requests
                .get(&number(last))
                .expect("it is in the transcript");
            let breach = Breach {
                check: text("check"),
                section: text("section"),
                level: text("level"),
                request: request.clone(),
                evidence: steady(finding["evidence"].as_str().expect("words")),
            };
            let is_same =
                |one: &Breach| one.check == breach.check && one.evidence == breach.evidence;
            if !all.iter().any(is_same) {
                all.push(breach);
            }
        }
    }
    all
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

/// Method and step.
fn request(exchange: &Value) -> String {
    let method = exchange["method"].as_str().expect("a method");
    match exchange["step"].as_str() {
        Some(step) => format!("{method} {step}"),
        None => method.to_owned(),
    }
}

/// The evidence without what another run has otherwise: numbers of exchanges, measured times, names of objects.
fn steady(evidence: &str) -> String {
    let mut measured = false;
    let words = evidence.split(' ').map(|word| {
        let was_measured = std::mem::replace(&mut measured, word == "after");
        if word.starts_with('#') || (was_measured && word.parse::<f64>().is_ok()) {
            return "…".to_owned();
        }
        match word.rsplit_once('/') {
            // What an object of the CA is called.
            Some((place, name)) if place.contains("/acme/") && name.len() > 12 => {
                let end: String = name
                    .chars()
                    .filter(|letter| "\",".contains(*letter))
                    .collect();
                format!("{place}/…{end}")
            }
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
