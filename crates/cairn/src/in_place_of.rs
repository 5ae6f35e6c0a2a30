//! Programs whose place `cairn` takes, called by their names (a symbolic link is enough) or with the name as the first word.
//! Each is a thin translation: nothing inside knows of them.

#[cfg(feature = "dev")]
mod challtestsrv;
#[cfg(feature = "dev")]
mod go_address;
#[cfg(feature = "dev")]
mod go_flags;
#[cfg(feature = "dev")]
mod pebble;

use std::{ffi::OsString, path::Path, process::ExitCode};

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Let's Encrypt's test CA.
    Pebble,
    /// Its server of answers to challenges.
    ChallengeServer,
}

/// The names that programs are called by.
const NAMES: [(&str, Program); 2] = [
    ("pebble", Program::Pebble),
    ("pebble-challtestsrv", Program::ChallengeServer),
];

/// Which program is meant, if it is not `cairn`, and its arguments.
pub(crate) fn meant(mut words: impl Iterator<Item = OsString>) -> Option<(Program, Vec<OsString>)> {
    let called = words.next()?;
    let mut rest = words.peekable();
    let program = named(&called).or_else(|| {
        let program = named(rest.peek()?)?;
        rest.next();
        Some(program)
    })?;
    Some((program, rest.collect()))
}

fn named(word: &OsString) -> Option<Program> {
    let name = Path::new(word).file_name()?.to_str()?;
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, program)| *program)
}

/// Says that this build has none of them.
#[cfg(not(feature = "dev"))]
pub(crate) fn run(program: Program, _: &[OsString]) -> ExitCode {
    let name = NAMES
        .iter()
        .find(|(_, known)| *known == program)
        .map_or("", |(name, _)| *name);
    let failure = crate::failure::Failure::usage(format!(
        "this cairn cannot take {name}'s place: it was built without the test CA"
    ))
    .hint("use a cairn that was built with feature dev, as it is by default".to_owned());
    crate::ui::Ui::plain().fail(&failure)
}

/// Runs the program that is meant.
#[cfg(feature = "dev")]
pub(crate) fn run(program: Program, args: &[OsString]) -> ExitCode {
    match program {
        Program::ChallengeServer => challtestsrv::run(args),
        Program::Pebble => pebble::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<(Program, Vec<OsString>)> {
        meant(words.iter().map(OsString::from))
    }

    #[test]
    fn the_name_or_the_first_word_says_which_program_is_meant() {
        let rest = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            of(&["/usr/bin/pebble", "-strict"]),
            Some((Program::Pebble, rest(&["-strict"])))
        );
        assert_eq!(
            of(&["cairn", "pebble-challtestsrv", "-doh", ""]),
            Some((Program::ChallengeServer, rest(&["-doh", ""])))
        );
        assert_eq!(
            of(&["./pebble", "pebble"]),
            Some((Program::Pebble, rest(&["pebble"])))
        );
        assert_eq!(of(&["cairn", "ca", "pebble"]), None);
        assert_eq!(of(&["cairn"]), None);
        assert_eq!(of(&[]), None);
    }
}
