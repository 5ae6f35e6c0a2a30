//! Faults as a table of a file, TOML or JSON: a seed, and one record for each fault.
//!
//! ```toml
//! seed = 7
//!
//! [[fault]]
//! fault = "refuse"
//! value = "503//5"
//! step = "finalize"
//! when = "once"
//! ```

use serde::{Deserialize, Serialize};

use super::{BadFault, Client, Fault, text};

/// What a run of a test CA begins with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Decides what `P%` strikes; the same seed and the same requests meet the same faults.
    pub seed: u32,
    /// In force from the start, in this order.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
}

/// A file that is no scenario.
#[derive(Debug, thiserror::Error)]
#[error("the scenario cannot be read: {0}")]
pub struct BadScenario(String);

impl Scenario {
    /// Reads TOML, or JSON if it begins with a brace.
    ///
    /// # Errors
    /// Where it is wrong.
    pub fn parse(text: &str) -> Result<Self, BadScenario> {
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| BadScenario(error.to_string()))
        } else {
            toml::from_str(text).map_err(|error| BadScenario(in_line(text, &error)))
        }
    }
}

/// What is wrong and where, in one line.
fn in_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        ),
        None => error.message().to_owned(),
    }
}

/// A fault, field for field as text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    fault: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<String>,
}

impl TryFrom<Record> for Fault {
    type Error = BadFault;

    fn try_from(record: Record) -> Result<Self, BadFault> {
        let step = record.step.map(|name| text::step(&name)).transpose()?;
        let action = text::named(&record.fault, record.value.as_deref())?;
        let when = record
            .when
            .map(|text| text.parse().map_err(|()| BadFault::Condition(text)))
            .transpose()?;
        Ok(Self {
            account: record.account.filter(|account| !account.is_empty()),
            client: record.client.filter(|c| !c.is_empty()).map(Client::from),
            when: when.unwrap_or_default(),
            ..Self::at(step, action)?
        })
    }
}

impl From<&Fault> for Record {
    fn from(fault: &Fault) -> Self {
        Self {
            fault: fault.action.name().to_owned(),
            value: fault.action.value(),
            step: fault.step.map(|step| step.name().to_owned()),
            account: fault.account.clone(),
            client: fault.client.as_ref().map(ToString::to_string),
            when: Some(fault.when.to_string()),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Record::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Record::deserialize(deserializer)?
            .try_into()
            .map_err(serde::de::Error::custom)
    }
}
