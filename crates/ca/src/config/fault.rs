//! What is wrong in a configuration file, and where.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// A fault of the configuration: path, line, key, and the nearest valid key where one is near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file.
    pub path: PathBuf,
    /// From 1; 0 where the fault has no place in the file.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The setting, dotted: `orders.life`.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

impl ConfigFault {
    /// A fault at the place of `span` in `text`.
    pub(super) fn at(
        path: &Path,
        text: &str,
        span: Option<Range<usize>>,
        key: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (line, column) = match span {
            Some(span) => place(text, span.start),
            None => (0, 0),
        };
        Self {
            path: path.to_owned(),
            line,
            column,
            key: key.into(),
            reason: reason.into(),
            hint: None,
        }
    }

    /// Adds what was probably meant.
    pub(super) fn hinted(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Line and column, from 1, of a byte of the text.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (line, column)
}

/// The reason without control characters, so that a line of the file cannot become a line of the log (T-CA-119).
impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        f.write_str(": ")?;
        let mut said = String::new();
        if !self.key.is_empty() {
            said.push_str(&self.key);
            said.push_str(": ");
        }
        said.push_str(&self.reason);
        if let Some(hint) = &self.hint {
            said.push_str("; ");
            said.push_str(hint);
        }
        for c in said.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFault {}
