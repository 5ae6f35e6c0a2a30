//! The report as JUnit XML, as CI servers read it.

use std::fmt::Write;

use super::{Ledger, Level};

/// A suite with a case for each check that was met. A SHOULD that was broken is a failure in strict alone, and otherwise said
/// on the case's output.
pub(super) fn suite(ledger: &Ledger, strict: bool) -> String {
    let rows: Vec<_> = ledger.tallies().collect();
    let fails = |level: Level, broken: u64| broken > 0 && (strict || level == Level::Must);
    let failed = rows
        .iter()
        .filter(|(check, tally)| fails(check.level, tally.broken))
        .count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"cairn ca dev\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\">\n",
        rows.len()
    );
    for (check, tally) in rows {
        // Writing to a String cannot fail.
        let _ = write!(
            xml,
            "  <testcase classname=\"{} {}\" name=\"{}\"",
            escape(check.section),
            check.level.word(),
            escape(check.name)
        );
        if tally.broken == 0 {
            xml.push_str("/>\n");
            continue;
        }
        let evidence: String = tally
            .first
            .iter()
            .map(|finding| {
                format!(
                    "exchanges {:?}: {} [{}]\n",
                    finding.exchanges, finding.evidence, finding.client
                )
            })
            .collect();
        let evidence = escape(&evidence);
        if fails(check.level, tally.broken) {
            let _ = writeln!(
                xml,
                ">\n    <failure type=\"{}\" message=\"{}, {}\">{evidence}</failure>\n  </testcase>",
                check.level.word(),
                escape(check.wrong),
                tally.times()
            );
        } else {
            let _ = writeln!(
                xml,
                ">\n    <system-out>advice: {}, {}\n{evidence}</system-out>\n  </testcase>",
                escape(check.wrong),
                tally.times()
            );
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text for an element or an attribute. Characters that XML 1.0 cannot have become U+FFFD: clients choose their User-Agent.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
