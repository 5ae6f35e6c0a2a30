//! What was found, counted by check.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CHECKS, Check, Level, Rule};

/// Findings of one check that are kept whole; those behind them are counted.
const KEPT: usize = 100;

/// Something that a client did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub rule: Rule,
    /// The exchanges that show it; the last is the one in which it was done.
    pub exchanges: Vec<u64>,
    /// What was seen, in words.
    pub evidence: String,
    /// Who: the account's URL, or address and User-Agent.
    pub client: String,
}

impl Finding {
    /// What is checked.
    #[must_use]
    pub fn check(&self) -> &'static Check {
        self.rule.check()
    }

    /// As everybody is told of it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let check = self.check();
        json!({
            "check": check.name,
            "section": check.section,
            "level": check.level.word(),
            "exchanges": self.exchanges,
            "evidence": self.evidence,
            "client": self.client,
        })
    }
}

/// One check's count.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How often it was met: the client could have done wrong.
    pub met: u64,
    /// How often it was broken.
    pub broken: u64,
    /// The first of those.
    pub first: Vec<Finding>,
}

impl Tally {
    /// How often it was broken, in words.
    pub(super) fn times(&self) -> String {
        match self.broken {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        }
    }
}

/// Whether clients did right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They did, as far as a server sees.
    Pass,
    /// They did not.
    Fail,
}

/// All counts.
#[derive(Debug, Clone, Default)]
pub struct Ledger(BTreeMap<Rule, Tally>);

impl Ledger {
    /// A check was met and not broken.
    pub(super) fn met(&mut self, rule: Rule) {
        self.0.entry(rule).or_default().met += 1;
    }

    /// A check was met and broken.
    pub(super) fn broken(&mut self, finding: Finding) {
        let tally = self.0.entry(finding.rule).or_default();
        tally.met += 1;
        tally.broken += 1;
        if tally.first.len() < KEPT {
            tally.first.push(finding);
        }
    }

    /// The checks that were met, as the table has them.
    pub fn tallies(&self) -> impl Iterator<Item = (&'static Check, &Tally)> {
        CHECKS
            .iter()
            .filter_map(|check| Some((check, self.0.get(&check.rule)?)))
    }

    /// The findings that are kept.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let all = self.tallies();
        all.flat_map(|(_, tally)| tally.first.iter().cloned())
            .collect()
    }

    /// Whether a MUST was broken, or, if strict, anything.
    #[must_use]
    pub fn verdict(&self, strict: bool) -> Verdict {
        let fails = |check: &Check, tally: &Tally| {
            tally.broken > 0 && (strict || check.level == Level::Must)
        };
        if self.tallies().any(|(check, tally)| fails(check, tally)) {
            Verdict::Fail
        } else {
            Verdict::Pass
        }
    }
}
