//! An error with what is behind it as one line, for log lines and answers that have no place for a chain.

use std::{error::Error, fmt};

/// Displays an error and its causes, joined by colons.
#[derive(Debug)]
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Foreign errors may repeat their source's text in their own.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Fault {
        #[error("cannot read x")]
        Plain(#[source] std::io::Error),
        #[error("cannot read x: {0}")]
        Repeating(#[source] std::io::Error),
    }

    #[test]
    fn causes_are_said_once() {
        let io = || std::io::Error::other("disk on fire");
        for fault in [Fault::Plain(io()), Fault::Repeating(io())] {
            assert_eq!(Causes(&fault).to_string(), "cannot read x: disk on fire");
        }
    }
}
