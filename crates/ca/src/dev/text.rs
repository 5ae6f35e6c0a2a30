//! A fault as one line of text:
//!
//! ```text
//! [STEP:]FAULT[=VALUE] [once | first=N | nth=N | P%] [account=ID] [client=ADDRESS-OR-AGENT]
//! ```
//!
//! A value with white space or quotes stands in quotes, as a JSON string. `503` is short for `refuse=503`, and
//! `bad-nonce=20%` for `bad-nonce 20%`.

use std::{fmt, str::FromStr};

use super::{Action, BadValue, Client, FAULTS, Fault, Step, When};

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// Nothing is said.
    #[error("a fault is [STEP:]FAULT[=VALUE] and, after it, how often and whom it strikes")]
    Empty,
    /// A quoted value without end, or with escapes that JSON does not know.
    #[error("the quotes of {0} do not end well")]
    Quotes(String),
    /// No row of the table.
    #[error("there is no fault {name:?}{}", nearest.as_ref().map_or_else(String::new, |n| format!("; did you mean {n}?")))]
    Unknown {
        /// The name.
        name: String,
        /// The most similar one.
        nearest: Option<&'static str>,
    },
    /// No step.
    #[error("there is no step {name:?}{}", nearest.as_ref().map_or_else(String::new, |n| format!("; did you mean {n}?")))]
    Step {
        /// The name.
        name: String,
        /// The most similar one.
        nearest: Option<&'static str>,
    },
    /// The action has no meaning there.
    #[error("{fault} strikes {at} alone, not {step}")]
    Elsewhere {
        /// The action.
        fault: &'static str,
        /// Where it strikes.
        at: String,
        /// Where it was put.
        step: &'static str,
    },
    /// The action's value.
    #[error(transparent)]
    Value(#[from] BadValue),
    /// What follows the action.
    #[error(
        "{0:?} is none of once, first=N, nth=N, P% (1 to 100), account=ID, client=ADDRESS-OR-AGENT"
    )]
    Condition(String),
    /// Said twice.
    #[error("{0:?} says for the second time how often or whom it strikes")]
    Twice(String),
}

impl FromStr for Fault {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let mut words = words(text)?.into_iter();
        let first = words.next().ok_or(BadFault::Empty)?;
        let mut when = None;
        let (step, action) = action(&first, &mut when)?;
        let mut fault = Self::at(step, action)?;
        for word in words {
            let (name, value) = split(&word)?;
            let twice = match (name, value) {
                ("account", Some(account)) if !account.is_empty() => {
                    fault.account.replace(account).is_some()
                }
                ("client", Some(client)) if !client.is_empty() => {
                    fault.client.replace(Client::from(client)).is_some()
                }
                _ => {
                    let said = word
                        .parse()
                        .map_err(|()| BadFault::Condition(word.clone()))?;
                    when.replace(said).is_some()
                }
            };
            if twice {
                return Err(BadFault::Twice(word));
            }
        }
        fault.when = when.unwrap_or_default();
        Ok(fault)
    }
}

impl Fault {
    /// At that step, if the action knows it.
    pub(super) fn at(step: Option<Step>, action: Action) -> Result<Self, BadFault> {
        let known = steps_of(&action);
        if let Some(step) = step
            && !known.is_empty()
            && !known.contains(&step)
        {
            let names: Vec<_> = known.iter().map(|step| step.name()).collect();
            return Err(BadFault::Elsewhere {
                fault: action.name(),
                at: names.join(", "),
                step: step.name(),
            });
        }
        Ok(Self {
            step,
            ..Self::new(action)
        })
    }
}

/// The steps that an action knows; none: all.
pub(super) fn steps_of(action: &Action) -> &'static [Step] {
    let row = FAULTS.iter().find(|row| row.name == action.name());
    row.map_or(&[], |row| row.steps)
}

/// An action by name and value.
pub(super) fn named(name: &str, value: Option<&str>) -> Result<Action, BadFault> {
    let Some(read) = Action::parse(name, value) else {
        return Err(BadFault::Unknown {
            name: name.to_owned(),
            nearest: similar(name, FAULTS.iter().map(|row| row.name)),
        });
    };
    Ok(read?)
}

/// The step with that name.
pub(super) fn step(name: &str) -> Result<Step, BadFault> {
    Step::named(name).ok_or_else(|| BadFault::Step {
        name: name.to_owned(),
        nearest: similar(name, Step::ALL.iter().map(|(_, known)| *known)),
    })
}

/// The name that was meant, if one is so similar that it can be told: a third of it is wrong at most.
fn similar(said: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let each = known.map(|name| (strsim::damerau_levenshtein(name, said), name));
    let (distance, name) = each.min()?;
    (distance <= (said.len() / 3).min(3)).then_some(name)
}

/// `[STEP:]FAULT[=VALUE]`; a value that says how often goes to `when`.
fn action(word: &str, when: &mut Option<When>) -> Result<(Option<Step>, Action), BadFault> {
    let equals = word.find('=').unwrap_or(word.len());
    let (step, rest) = match word.split_once(':') {
        Some((name, rest)) if name.len() < equals => (Some(self::step(name)?), rest),
        _ => (None, word),
    };
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok((step, named("refuse", Some(rest))?));
    }
    let (name, value) = split(rest)?;
    let takes_none = FAULTS
        .iter()
        .any(|row| row.name == name && row.value.is_empty());
    if takes_none && let Some(how_often) = value.as_deref().filter(|v| v.ends_with('%')) {
        let said = percent(how_often);
        *when = Some(said.ok_or_else(|| BadFault::Condition(how_often.to_owned()))?);
        return Ok((step, named(name, None)?));
    }
    Ok((step, named(name, value.as_deref())?))
}

/// Words between white space; white space in quotes parts none.
fn words(text: &str) -> Result<Vec<String>, BadFault> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if !quoted && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        word.push(c);
    }
    if quoted {
        return Err(BadFault::Quotes(word));
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    Ok(words)
}

/// `NAME[=VALUE]`, the value without its quotes.
fn split(word: &str) -> Result<(&str, Option<String>), BadFault> {
    let Some((name, value)) = word.split_once('=') else {
        return Ok((word, None));
    };
    if !value.starts_with('"') {
        return Ok((name, Some(value.to_owned())));
    }
    let value = serde_json::from_str(value).map_err(|_| BadFault::Quotes(word.to_owned()))?;
    Ok((name, Some(value)))
}

/// As [`split`] reads it.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
    if plain {
        value.to_owned()
    } else {
        serde_json::Value::from(value).to_string()
    }
}

fn percent(text: &str) -> Option<When> {
    let number = text.strip_suffix('%')?.parse().ok()?;
    (1..=100).contains(&number).then_some(When::Percent(number))
}

impl FromStr for When {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| text.parse().ok().filter(|n| *n > 0).ok_or(());
        match text.split_once('=') {
            None if text == "always" => Ok(Self::Always),
            None if text == "once" => Ok(Self::First(1)),
            None => percent(text).ok_or(()),
            Some(("first", n)) => number(n).map(Self::First),
            Some(("nth", n)) => number(n).map(Self::Nth),
            Some(_) => Err(()),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::First(1) => f.write_str("once"),
            Self::First(n) => write!(f, "first={n}"),
            Self::Nth(n) => write!(f, "nth={n}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl From<String> for Client {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(address) => Self::Address(address),
            Err(_) => Self::Agent(text),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Agent(agent) => f.write_str(agent),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.step {
            write!(f, "{}:", step.name())?;
        }
        f.write_str(self.action.name())?;
        if let Some(value) = self.action.value() {
            write!(f, "={}", quoted(&value))?;
        }
        if self.when != When::Always {
            write!(f, " {}", self.when)?;
        }
        if let Some(account) = &self.account {
            write!(f, " account={}", quoted(account))?;
        }
        if let Some(client) = &self.client {
            write!(f, " client={}", quoted(&client.to_string()))?;
        }
        Ok(())
    }
}
