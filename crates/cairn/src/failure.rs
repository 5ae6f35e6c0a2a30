//! What went wrong, as a person needs it: what, why, what to do next, and the exit code.

use std::{error::Error, fmt};

/// Exit codes (docs/ca.md). 0 is done, or nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Nothing changed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A limit, or a busy server: the same command may work later.
    TryLater = 75,
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What failed, one line.
    pub(crate) what: String,
    /// Its causes, from the nearest.
    pub(crate) causes: Vec<String>,
    /// The next command or change to try.
    pub(crate) hint: Option<String>,
    /// How the process ends.
    pub(crate) code: Code,
}

impl Failure {
    /// A failure that changed nothing.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            causes: Vec::new(),
            hint: None,
            code: Code::Failed,
        }
    }

    /// A wrong command line or configuration.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self {
            code: Code::Usage,
            ..Self::new(what)
        }
    }

    /// Adds an error and what is behind it.
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Some errors repeat their source's text in their own.
            let before = self.causes.last().unwrap_or(&self.what);
            if !before.ends_with(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds the next thing to try.
    pub(crate) fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into().or(self.hint);
        self
    }

    /// Sets the exit code.
    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_next() {
        let io = std::io::Error::other("disk on fire");
        let failure = Failure::new("cannot write x")
            .because(&io)
            .hint("df -h".to_owned());
        assert_eq!(
            failure.to_string(),
            "error: cannot write x\n  caused by: disk on fire\n\nhint: df -h"
        );
    }
}
