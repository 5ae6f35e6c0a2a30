//! Command lines as Go's `flag` package reads them: `-flag value`, `--flag=value`, switches without a value or with
//! `=true`, and the end of flags at the first word that is none, or at `--`.

use std::fmt::Write;

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    /// Its name, without a hyphen.
    pub(super) name: &'static str,
    /// What it is before anything is said; `None` for a switch that is off.
    pub(super) default: Option<&'static str>,
    /// What it means.
    pub(super) means: &'static str,
}

/// A wrong command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFlags {
    /// `-h`, `-help`: no fault, but Go treats it as one.
    #[error("flag: help requested")]
    Help,
    /// None of the flags.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// No value follows.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// A switch with an odd value.
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    NotBoolean {
        /// The switch.
        name: String,
        /// What it was given.
        value: String,
    },
    /// Hyphens alone.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
}

/// What was said.
#[derive(Debug)]
pub(super) struct Flags {
    known: &'static [Flag],
    said: Vec<(&'static str, String)>,
}

impl Flags {
    /// Reads the words. What follows the flags is left out, as the programs do.
    ///
    /// # Errors
    /// As Go says it.
    pub(super) fn parse(known: &'static [Flag], words: &[String]) -> Result<Self, BadFlags> {
        let mut said = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                break;
            };
            if flag == "-" {
                break;
            }
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            if flag.starts_with(['-', '=']) {
                return Err(BadFlags::Syntax(word.clone()));
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let Some(row) = known.iter().find(|row| row.name == name) else {
                return Err(match name {
                    "h" | "help" => BadFlags::Help,
                    name => BadFlags::Unknown(name.to_owned()),
                });
            };
            let value = match (row.default, value) {
                (None, value) => boolean(name, value.unwrap_or_else(|| "true".to_owned()))?,
                (Some(_), Some(value)) => value,
                (Some(_), None) => words
                    .next()
                    .ok_or_else(|| BadFlags::NoValue(name.to_owned()))?
                    .clone(),
            };
            said.push((row.name, value));
        }
        Ok(Self { known, said })
    }

    /// The value that was said last, or the default.
    pub(super) fn value(&self, name: &str) -> &str {
        let said = self.said.iter().rev().find(|(said, _)| *said == name);
        let default = || {
            let row = self.known.iter().find(|row| row.name == name)?;
            row.default
        };
        said.map_or_else(|| default().unwrap_or_default(), |(_, value)| value)
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name) == "true"
    }
}

fn boolean(name: &str, value: String) -> Result<String, BadFlags> {
    match value.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".to_owned()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".to_owned()),
        _ => Err(BadFlags::NotBoolean {
            name: name.to_owned(),
            value,
        }),
    }
}

/// What `-h` shows.
pub(super) fn usage(program: &str, known: &[Flag]) -> String {
    let mut text = format!("Usage of {program}:\n");
    let mut known: Vec<_> = known.iter().collect();
    known.sort_by_key(|flag| flag.name);
    for flag in known {
        // Writing to a String cannot fail.
        let _ = match flag.default {
            None => writeln!(text, "  -{}\n    \t{}", flag.name, flag.means),
            Some("") => writeln!(text, "  -{} string\n    \t{}", flag.name, flag.means),
            Some(default) => writeln!(
                text,
                "  -{} string\n    \t{} (default {default:?})",
                flag.name, flag.means
            ),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag {
            name: "config",
            default: Some("a.json"),
            means: "A file",
        },
        Flag {
            name: "dnsserver",
            default: Some(""),
            means: "An address",
        },
        Flag {
            name: "strict",
            default: None,
            means: "Be strict",
        },
    ];

    fn parse(words: &[&str]) -> Result<Flags, BadFlags> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        Flags::parse(FLAGS, &words)
    }

    #[test]
    fn flags_are_read_in_every_form_that_go_reads() {
        let rows: [(&[&str], &str, &str, bool); 9] = [
            (&[], "a.json", "", false),
            (&["-config", "b", "-strict"], "b", "", true),
            (&["--config=b", "--strict=1"], "b", "", true),
            (&["-config", "b", "-config", "c"], "c", "", false),
            (&["-config", "-strict"], "-strict", "", false),
            (&["-strict=false", "-dnsserver="], "a.json", "", false),
            (&["-strict", "false", "-dnsserver", "x"], "a.json", "", true),
            (&["--", "-strict"], "a.json", "", false),
            (&["-", "-strict"], "a.json", "", false),
        ];
        let mut wrong = Vec::new();
        for (words, config, server, strict) in rows {
            let flags = parse(words).unwrap();
            let got = (
                flags.value("config"),
                flags.value("dnsserver"),
                flags.is_on("strict"),
            );
            if got != (config, server, strict) {
                wrong.push(format!("{words:?}: {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_wrong_flag_is_told_in_gos_words() {
        let rows = [
            (&["-nope"][..], "flag provided but not defined: -nope"),
            (&["-config"], "flag needs an argument: -config"),
            (
                &["-strict=maybe"],
                "invalid boolean value \"maybe\" for -strict: parse error",
            ),
            (&["---strict"], "bad flag syntax: ---strict"),
            (&["-=x"], "bad flag syntax: -=x"),
            (&["-h"], "flag: help requested"),
        ];
        for (words, text) in rows {
            assert_eq!(parse(words).unwrap_err().to_string(), text);
        }
        assert!(
            usage("pebble", FLAGS)
                .contains("  -config string\n    \tA file (default \"a.json\")\n")
        );
    }
}
