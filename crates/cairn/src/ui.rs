//! The only printer: data on standard output, talk on standard error. Colour never carries meaning alone.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde::Serialize;

use crate::{args::Global, failure::Failure};

/// What the user asked to see, and how.
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    verbose: u8,
    colour: bool,
}

impl Ui {
    /// As the command line says; colour only on a terminal and without `NO_COLOR`.
    pub(crate) fn new(global: &Global) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            colour: io::stderr().is_terminal() && !no_color,
        }
    }

    /// Without a wish of anybody's.
    pub(crate) fn plain() -> Self {
        Self::new(&Global {
            json: false,
            quiet: false,
            verbose: 0,
        })
    }

    /// Whether the result is for a program.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nothing but results and errors is wanted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How often `-v` was given.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// Gives the command's result: `--json` the object, else its text.
    pub(crate) fn result<T: Serialize>(&self, object: &T, text: impl FnOnce() -> String) {
        let out = match self.json {
            true => serde_json::to_string_pretty(object).unwrap_or_default(),
            false => text(),
        };
        self.out(out.trim_end());
    }

    /// Gives data that is the same with and without `--json`.
    pub(crate) fn out(&self, text: &str) {
        written(writeln!(io::stdout(), "{text}"));
    }

    /// Says what happens; silent with `--quiet`, and with `--json` since the result says it.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet && !self.json {
            written(writeln!(io::stderr(), "{text}"));
        }
    }

    /// Says why; with `-v`.
    pub(crate) fn reason(&self, text: &str) {
        if self.verbose > 0 && !self.quiet {
            written(writeln!(io::stderr(), "{text}"));
        }
    }

    /// Says what deserves attention, on any verbosity but `--quiet`.
    pub(crate) fn warn(&self, text: &str) {
        if !self.quiet {
            written(writeln!(
                io::stderr(),
                "{} {text}",
                self.paint("33", "warning:")
            ));
        }
    }

    /// Says what went wrong and gives the exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        let text = failure.to_string();
        let text = match text.strip_prefix("error:") {
            Some(rest) => format!("{}{rest}", self.paint("31", "error:")),
            None => text,
        };
        written(writeln!(io::stderr(), "{text}"));
        ExitCode::from(failure.code as u8)
    }

    /// Ends a command that went well.
    pub(crate) fn finish(&self) -> ExitCode {
        written(io::stdout().flush());
        ExitCode::SUCCESS
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[1;{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Help goes to standard output and is a success; a wrong command line to standard error, with exit code 2.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    let colour =
        error.use_stderr() && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if colour {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    if error.use_stderr() {
        written(write!(io::stderr(), "{text}"));
        return ExitCode::from(2);
    }
    written(write!(io::stdout(), "{text}"));
    ExitCode::SUCCESS
}

/// A reader that went away ends the command quietly: `cairn ca list | head`.
#[expect(clippy::exit, reason = "nobody is left to tell")]
fn written(result: io::Result<()>) {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        // Neither stream works: there is no place left to say so.
        _ => {}
    }
}
