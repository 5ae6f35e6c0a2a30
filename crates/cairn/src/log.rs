//! Log lines on standard error: one line an event, `key=value` or JSON, whatever requesters put into their names and
//! headers (T-CA-119).

use std::{fmt, io::Write};

use cairn_ca::{
    clock::{Clock, SystemClock},
    config::{Log, LogFormat, LogLevel},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

use crate::table::is_unsafe;

/// Characters of one value; what is longer is evidence of nothing but length.
const VALUE_CHARS: usize = 1024;

/// Starts logging for the process. `verbosity` raises the level by one for each `-v`; `quiet` leaves errors alone.
pub(crate) fn start(log: &Log, verbosity: u8, quiet: bool) {
    let levels = [
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ];
    let at = levels.iter().position(|l| *l == log.level).unwrap_or(2) + usize::from(verbosity);
    let at = if quiet { 0 } else { at };
    let level = match levels.get(at).copied().unwrap_or(LogLevel::Trace) {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    // systemd's journal has a time of its own.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = Lines {
        format: log.format,
        level,
        time: !journal || log.format == LogFormat::Json,
        clock: SystemClock::default(),
    };
    // A second start (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

struct Lines {
    format: LogFormat,
    level: Level,
    time: bool,
    clock: SystemClock,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Libraries are heard when something is wrong, or when everything is asked for.
        let own = metadata.target().starts_with("cairn");
        let least = if own || self.level == Level::TRACE {
            self.level
        } else {
            Level::WARN.min(self.level)
        };
        *metadata.level() <= least
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = self.time.then(|| self.clock.wall().to_string());
        let mut line = match self.format {
            LogFormat::Text => text(time.as_deref(), *event.metadata().level(), &fields),
            LogFormat::Json => json(time.as_deref(), *event.metadata().level(), &fields),
        };
        line.push('\n');
        // One write a line, so that lines of several threads never mix; a closed stderr is nobody's loss.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// An event's message and fields, bounded.
#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        let value = bounded(value);
        match field.name() {
            "message" => self.message = value,
            name => self.values.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Cut before it is copied: a header may be a megabyte.
        let end = value
            .char_indices()
            .nth(VALUE_CHARS + 1)
            .map_or(value.len(), |(at, _)| at);
        self.put(field, value.get(..end).unwrap_or_default().to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

fn bounded(mut value: String) -> String {
    if let Some((at, _)) = value.char_indices().nth(VALUE_CHARS) {
        value.truncate(at);
        value.push('…');
    }
    value
}

fn text(time: Option<&str>, level: Level, fields: &Fields) -> String {
    let mut line = String::new();
    if let Some(time) = time {
        line.push_str(time);
        line.push(' ');
    }
    if level != Level::INFO {
        line.push_str(&level.to_string().to_lowercase());
        line.push(' ');
    }
    escape(&mut line, &fields.message, false);
    for (key, value) in &fields.values {
        line.push(' ');
        line.push_str(key);
        line.push('=');
        let bare = !value.is_empty()
            && !value
                .chars()
                .any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || is_unsafe(c));
        if bare {
            line.push_str(value);
        } else {
            line.push('"');
            escape(&mut line, value, true);
            line.push('"');
        }
    }
    line
}

/// Writes the text without anything that could end the line, the quotes or the terminal's peace.
fn escape(line: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '"' | '\\' if quoted => line.extend(['\\', c]),
            c if is_unsafe(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
}

fn json(time: Option<&str>, level: Level, fields: &Fields) -> String {
    let mut object = serde_json::Map::new();
    if let Some(time) = time {
        object.insert("time".to_owned(), time.into());
    }
    object.insert("level".to_owned(), level.to_string().to_lowercase().into());
    object.insert("event".to_owned(), fields.message.clone().into());
    for (key, value) in &fields.values {
        // A field never takes the place of the line's own members.
        let key = if object.contains_key(*key) {
            format!("{key}_")
        } else {
            (*key).to_owned()
        };
        object.insert(key, value.clone().into());
    }
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[(&'static str, &str)]) -> Fields {
        let values = values
            .iter()
            .map(|(k, v)| (*k, bounded((*v).to_owned())))
            .collect();
        Fields {
            message: "issued".to_owned(),
            values,
        }
    }

    #[test]
    fn a_line_is_the_event_and_its_fields() {
        let fields = fields(&[
            ("serial", "04ab"),
            ("names", "a.example,b.example"),
            ("reason", "404 from x"),
        ]);
        assert_eq!(
            text(None, Level::INFO, &fields),
            "issued serial=04ab names=a.example,b.example reason=\"404 from x\""
        );
        assert!(
            text(Some("2026-11-25T02:33:01Z"), Level::WARN, &fields)
                .starts_with("2026-11-25T02:33:01Z warn issued ")
        );
    }

    #[test]
    fn whatever_a_requester_sends_is_one_record() {
        // T-CA-119
        let long = "A".repeat(1 << 20);
        let evil = [
            "x\n{\"level\":\"audit\",\"event\":\"issued\"}",
            "\u{1b}[2J\u{1b}[31m",
            "a\" level=\"audit",
            "\r\n",
            "\u{202e}gpj",
            &long,
        ];
        for value in evil {
            let fields = fields(&[("agent", value), ("level", value)]);
            let line = text(None, Level::INFO, &fields);
            assert!(!line.chars().any(is_unsafe), "{line:?}");
            assert!(line.len() < 3 * VALUE_CHARS);
            let line = json(None, Level::INFO, &fields);
            assert!(!line.contains('\n'));
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(parsed["level"], "info");
            assert_eq!(parsed["event"], "issued");
        }
        let line = text(
            None,
            Level::INFO,
            &fields(&[("agent", "a\" level=\"audit")]),
        );
        assert_eq!(line, r#"issued agent="a\" level=\"audit""#);
    }
}
