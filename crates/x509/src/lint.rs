//! Our lints, over the very bytes that are about to be signed (design.md §2.6). Each rule cites its clause. Bytes that a
//! lint refuses are never signed (T-CA-98).

mod ca;
mod crl;
mod leaf;

use std::fmt;

pub use ca::{lint_issuing, lint_root};
pub use crl::lint_crl;
pub use leaf::{LeafExpectation, lint_leaf};

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// The rule's name.
    pub id: &'static str,
    /// Where it is written.
    pub clause: &'static str,
    /// What was found.
    pub text: String,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.id, self.clause, self.text)
    }
}

/// A clean run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LintReport {
    /// How many rules were applied.
    pub rules: u32,
}

impl fmt::Display for LintReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clean: {} rules of lint version {VERSION}", self.rules)
    }
}

/// Rises with every change of the rules; stored with each certificate.
pub const VERSION: u32 = 1;

/// Collects what a run finds.
#[derive(Default)]
pub(crate) struct Run {
    rules: u32,
    findings: Vec<LintFinding>,
}

impl Run {
    /// Applies one rule.
    pub(crate) fn rule(
        &mut self,
        id: &'static str,
        clause: &'static str,
        holds: bool,
        text: impl FnOnce() -> String,
    ) {
        self.rules += 1;
        if !holds {
            self.findings.push(LintFinding {
                id,
                clause,
                text: text(),
            });
        }
    }

    pub(crate) fn end(self) -> Result<LintReport, Vec<LintFinding>> {
        if self.findings.is_empty() {
            Ok(LintReport { rules: self.rules })
        } else {
            Err(self.findings)
        }
    }
}

#[cfg(test)]
mod tests;
