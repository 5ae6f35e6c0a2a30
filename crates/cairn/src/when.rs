//! Times both ways: `in 59 days (21 Jan 2027)`.

use cairn_acme::time::Timestamp;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `21 Jan 2027`, in UTC.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    let mut parts = text.split(['-', 'T']);
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let month = month
        .and_then(|m| m.parse::<usize>().ok())
        .and_then(|m| MONTHS.get(m.checked_sub(1)?));
    match (year, month, day) {
        (Some(year), Some(month), Some(day)) => {
            format!("{} {month} {year}", day.trim_start_matches('0'))
        }
        _ => text,
    }
}

/// `in 59 days (21 Jan 2027)`, `3 hours ago (24 Nov 2026)`.
pub(crate) fn both(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", span(at, now), day(at))
}

/// As [`both`], to the second: `3 hours ago (24 Nov 2026 09:00:00 UTC)`.
pub(crate) fn exactly(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let time = text.split('T').nth(1).and_then(|t| t.get(..8));
    format!(
        "{} ({} {} UTC)",
        span(at, now),
        day(at),
        time.unwrap_or_default()
    )
}

/// `in 59 days`, `3 hours ago`.
fn span(at: Timestamp, now: Timestamp) -> String {
    let (span, past) = if at >= now {
        (at.since(now), false)
    } else {
        (now.since(at), true)
    };
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        s if s >= 2 * 86_400 => (s / 86_400, "day"),
        s if s >= 2 * 3_600 => (s / 3_600, "hour"),
        s if s >= 120 => (s / 60, "minute"),
        s => (s, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    match past {
        true => format!("{count} {unit}{plural} ago"),
        false => format!("in {count} {unit}{plural}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_both_ways() {
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let now = at("2026-11-23T12:00:00Z");
        for (then, said) in [
            ("2027-01-21T12:00:00Z", "in 59 days (21 Jan 2027)"),
            ("2026-11-24T12:00:00Z", "in 24 hours (24 Nov 2026)"),
            ("2026-11-23T12:01:00Z", "in 60 seconds (23 Nov 2026)"),
            ("2026-11-23T11:00:00Z", "60 minutes ago (23 Nov 2026)"),
            ("2026-11-01T11:00:00Z", "22 days ago (1 Nov 2026)"),
        ] {
            assert_eq!(both(at(then), now), said);
        }
        assert_eq!(
            exactly(at("2026-11-23T11:00:07Z"), now),
            "59 minutes ago (23 Nov 2026 11:00:07 UTC)"
        );
    }
}
