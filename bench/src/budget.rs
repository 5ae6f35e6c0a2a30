//! The bounds that Cairn keeps, judged on a report.

use crate::plan::{CLIENTS, CLIENTS_OF_LARGE_WORK, CLIENTS_OF_THE_MINUTE};
use crate::report::{Report, Row};
use crate::revocation::REVOKED;
use crate::subjects::Subject;

/// The time of one verification for which the bounds on CPU are set; a slower machine has more.
const VERIFY_US: f64 = 60.0;

/// One bound and what was measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) bound: String,
    pub(crate) measured: String,
    pub(crate) kept: bool,
}

/// The bounds whose rows are there.
pub(crate) fn judge(report: &Report) -> Vec<Verdict> {
    let cairn = |work: &str, clients| report.row(Subject::Cairn, work, clients);
    let mut verdicts = Vec::new();
    let mut at_most = |what: &str, bound: f64, measured: f64, unit: &str| {
        verdicts.push(verdict(
            what,
            ("at most", bound),
            measured,
            unit,
            measured <= bound,
        ));
    };
    if let Some(row) = cairn("http-01", CLIENTS) {
        at_most(
            "CPU a certificate, 32 clients",
            scaled(1.75, row),
            row.cpu_ms,
            "ms",
        );
        if let Some(best) = pebbles_best(report) {
            at_most(
                "CPU a certificate, 32 clients: a quarter of Pebble's best",
                best / 4.0,
                row.cpu_ms,
                "ms",
            );
        }
        at_most("p99, 32 clients", 100.0, row.p99_ms, "ms");
        at_most("fsyncs a certificate, 32 clients", 0.8, row.fsyncs, "");
        at_most(
            "signed requests a certificate, 32 clients",
            5.0,
            row.requests,
            "",
        );
    }
    if let Some(row) = cairn("http-01", 64) {
        at_most(
            "CPU a certificate, 64 clients",
            scaled(1.6, row),
            row.cpu_ms,
            "ms",
        );
        at_most("hangs, 64 clients", 0.0, f64::from(u8::from(row.hung)), "");
    }
    if let Some(row) = cairn("http-01-held-20000", CLIENTS) {
        at_most("memory after 20,000 certificates", 60.0, row.rss_mib, "MiB");
    }
    if let Some(row) = cairn("names-100", CLIENTS_OF_LARGE_WORK) {
        at_most(
            "CPU a name, orders of 100 names",
            scaled(0.9, row),
            row.cpu_ms,
            "ms",
        );
    }
    if let Some(row) = cairn("revoke-10000", CLIENTS_OF_LARGE_WORK).filter(|row| row.is_measure()) {
        let seconds = REVOKED as f64 / row.certs_per_s;
        at_most("10,000 revoked and on the list", 5.0, seconds, "s");
        at_most("p99 of others' requests meanwhile", 100.0, row.p99_ms, "ms");
    }
    dev(report, &mut at_most);
    if let (Some(empty), Some(full)) = (
        cairn("http-01", CLIENTS),
        cairn("http-01-held-1000000", CLIENTS),
    ) {
        let ratio = (full.cpu_ms / full.verify_us) / (empty.cpu_ms / empty.verify_us);
        let more = (ratio - 1.0) * 100.0;
        at_most(
            "CPU with 1,000,000 certificates held, over that of an empty store",
            10.0,
            more,
            "%",
        );
    }
    let mut at_least = |what: &str, bound: f64, measured: f64| {
        let kept = measured >= bound;
        verdicts.push(verdict(what, ("at least", bound), measured, "", kept));
    };
    if let Some(row) = cairn("http-01", CLIENTS) {
        at_least("certificates a second, 32 clients", 600.0, row.certs_per_s);
    }
    if let Some(row) = cairn("renewal-info", CLIENTS).filter(|row| row.is_measure()) {
        let what = "answers on renewal a CPU second";
        at_least(what, 20_000.0, 1000.0 / row.cpu_ms);
    }
    verdicts
}

/// The test CA's.
fn dev(report: &Report, at_most: &mut impl FnMut(&str, f64, f64, &str)) {
    let row = |work: &str, clients| report.row(Subject::CairnDev, work, clients);
    let measured = |work, clients| row(work, clients).filter(|row| row.is_measure());
    if let Some(row) = measured("dev-start", 1) {
        at_most("test CA: start to directory", 50.0, row.p50_ms, "ms");
    }
    let plain = measured("http-01", CLIENTS);
    if let (Some(row), Some(best)) = (plain, pebbles_best(report)) {
        let what = "test CA: CPU a certificate, a quarter of Pebble's best";
        at_most(what, best / 4.0, row.cpu_ms, "ms");
    }
    for (count, bound) in [(20_000, 100.0), (100_000, 300.0)] {
        let Some(row) = row(&format!("dev-memory-{count}"), CLIENTS) else {
            continue;
        };
        let what = format!("test CA: memory after {count} certificates");
        at_most(&what, bound, row.rss_mib, "MiB");
        if let Some(plain) = plain {
            let more = (row.cpu_ms / row.verify_us) / (plain.cpu_ms / plain.verify_us) - 1.0;
            let what = format!("test CA: CPU of {count} certificates, over that of the first");
            at_most(&what, 10.0, more * 100.0, "%");
        }
    }
    if let (Some(plain), Some(checked)) = (plain, measured("http-01-checked", CLIENTS)) {
        let what = "test CA: CPU with transcript and checks, times that without";
        at_most(what, 2.0, checked.cpu_ms / plain.cpu_ms, "");
    }
    if let Some(row) = row("http-01-minute", CLIENTS_OF_THE_MINUTE) {
        let hung = f64::from(u8::from(row.hung));
        at_most("test CA: hangs, 128 clients for a minute", 0.0, hung, "");
    }
}

/// The least CPU of a certificate that Pebble was seen to spend.
fn pebbles_best(report: &Report) -> Option<f64> {
    let pebbles = report
        .rows
        .iter()
        .filter(|row| row.subject == Subject::Pebble && row.work == "http-01");
    pebbles
        .filter(|row| row.is_measure())
        .map(|row| row.cpu_ms)
        .min_by(f64::total_cmp)
}

fn scaled(bound: f64, row: &Row) -> f64 {
    bound * (row.verify_us / VERIFY_US).max(1.0)
}

fn verdict(
    what: &str,
    (side, bound): (&str, f64),
    measured: f64,
    unit: &str,
    kept: bool,
) -> Verdict {
    let number = |number: f64| {
        let text = if number.abs() < 10.0 {
            format!("{number:.2}")
        } else {
            format!("{number:.0}")
        };
        format!("{text} {unit}").trim_end().to_owned()
    };
    Verdict {
        what: what.to_owned(),
        bound: format!("{side} {}", number(bound)),
        measured: number(measured),
        kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    fn report(change: impl Fn(&mut Row)) -> Report {
        let mut rows = vec![
            example(Subject::Cairn, "http-01", 32),
            example(Subject::Pebble, "http-01", 32),
            example(Subject::Cairn, "http-01-held-1000000", 32),
        ];
        rows.iter_mut().for_each(change);
        Report {
            machine: serde_json::Value::Null,
            rows,
        }
    }

    #[test]
    fn bounds_on_time_grow_with_the_time_of_a_verification() {
        let slow = |row: &mut Row| (row.cpu_ms, row.verify_us) = (row.cpu_ms * 1.3, 80.0);
        let missed: Vec<_> = judge(&report(slow))
            .into_iter()
            .filter(|verdict| !verdict.kept)
            .collect();
        assert_eq!(missed, []);
    }

    #[test]
    fn a_pebble_none_of_whose_runs_finished_is_no_measure() {
        let hung = |row: &mut Row| {
            if row.subject == Subject::Pebble {
                (row.hung, row.cpu_ms) = (true, 0.0);
            }
        };
        let names: Vec<_> = judge(&report(hung))
            .into_iter()
            .map(|verdict| verdict.what)
            .collect();
        assert!(
            !names.iter().any(|name| name.contains("Pebble")),
            "{names:?}"
        );
    }

    #[test]
    fn what_is_done_over_and_over_is_judged_by_its_rate() {
        let row = |work, clients, certs_per_s, cpu_ms| Row {
            certs_per_s,
            cpu_ms,
            ..example(Subject::Cairn, work, clients)
        };
        let judged = |rows| {
            let report = Report {
                machine: serde_json::Value::Null,
                rows,
            };
            judge(&report).iter().map(|v| v.kept).collect::<Vec<_>>()
        };
        let good = [
            row("names-100", CLIENTS_OF_LARGE_WORK, 9.0, 0.89),
            row("renewal-info", CLIENTS, 9000.0, 0.049),
            row("revoke-10000", CLIENTS_OF_LARGE_WORK, 2001.0, 1.0),
        ];
        assert_eq!(judged(good.to_vec()), [true; 4]);
        let bad = [
            row("names-100", CLIENTS_OF_LARGE_WORK, 9.0, 0.91),
            row("renewal-info", CLIENTS, 9000.0, 0.051),
            row("revoke-10000", CLIENTS_OF_LARGE_WORK, 1999.0, 1.0),
        ];
        assert_eq!(judged(bad.to_vec()), [false, false, true, false]);
    }

    #[test]
    fn a_full_store_may_cost_a_tenth_more() {
        let dear = |row: &mut Row| row.cpu_ms *= if row.work == "http-01" { 1.0 } else { 1.11 };
        let missed: Vec<_> = judge(&report(dear))
            .into_iter()
            .filter(|verdict| !verdict.kept)
            .collect();
        assert!(
            matches!(missed.as_slice(), [one] if one.what.contains("1,000,000")),
            "{missed:?}"
        );
    }
}
