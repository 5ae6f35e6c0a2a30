//! Each check has a talk that breaks it, and one nearby that is right: there it is met, and nothing that is a MUST is found.

mod alarms;
mod requests;
mod sequences;
mod talk;

use std::collections::BTreeSet;

use self::talk::Talk;
use super::{CHECKS, Finding, Level, Rule, UNSEEN, Verdict};

struct Case {
    rule: Rule,
    breaks: fn() -> Talk,
    right: fn() -> Talk,
}

#[test]
fn each_check_is_broken_by_what_is_wrong_and_by_nothing_near_it() {
    let cases: Vec<Case> = requests::cases()
        .into_iter()
        .chain(sequences::cases())
        .collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let broken = (case.breaks)();
        let tally = |talk: &Talk| {
            let mut all = talk.checker.ledger().tallies();
            let found = all.find(|(check, _)| check.rule == case.rule);
            found.map_or((0, 0), |(_, tally)| (tally.met, tally.broken))
        };
        let right = (case.right)();
        let others: Vec<Finding> = right.checker.ledger().findings();
        let musts = |finding: &&Finding| finding.check().level == Level::Must;
        let clean = !others.iter().any(|finding| finding.rule == case.rule)
            && others.iter().find(musts).is_none();
        let (met, _) = tally(&right);
        if tally(&broken).1 != 1 || !clean || met == 0 {
            wrong.push((
                case.rule,
                tally(&broken),
                broken.checker.ledger().findings(),
                others,
                met,
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let covered: BTreeSet<_> = cases.iter().map(|case| case.rule).collect();
    let bare: Vec<_> = CHECKS
        .iter()
        .filter(|check| !covered.contains(&check.rule))
        .map(|check| check.name)
        .collect();
    assert!(bare.is_empty(), "without a case: {bare:?}");
}

/// The lines for clients, (C) and (SC), of RFC 8555 and 8737, 8738, 9773 and the profiles draft.
const LINES: &[&str] = &[
    "8555-5-1",
    "8555-6.1-1",
    "8555-6.1-2",
    "8555-6.1-3",
    "8555-6.1-5",
    "8555-6.2-1",
    "8555-6.2-3",
    "8555-6.2-4",
    "8555-6.2-5",
    "8555-6.2-9",
    "8555-6.3-2",
    "8555-6.4-1",
    "8555-6.5-4",
    "8555-6.5-5",
    "8555-6.5.1-1",
    "8555-6.6-2",
    "8555-6.7-2",
    "8555-6.7.1-2",
    "8555-7.1-3",
    "8555-7.1.1-1",
    "8555-7.1.2-1",
    "8555-7.1.2.1-1",
    "8555-7.1.3-2",
    "8555-7.1.3-4",
    "8555-7.1.4-1",
    "8555-7.1.4-2",
    "8555-7.1.5-1",
    "8555-7.1.6-4",
    "8555-7.1.6-6",
    "8555-7.2-2",
    "8555-7.3-1",
    "8555-7.3-4",
    "8555-7.3-5",
    "8555-7.3-8",
    "8555-7.3.3-1",
    "8555-7.3.4-1",
    "8555-7.3.5-1",
    "8555-7.3.5-6",
    "8555-7.4-6",
    "8555-7.4-8",
    "8555-7.4-10",
    "8555-7.4-15",
    "8555-7.4.1-2",
    "8555-7.4.2-5",
    "8555-7.4.2-6",
    "8555-7.5-1",
    "8555-7.5.1-1",
    "8555-7.5.1-3",
    "8555-7.5.1-6",
    "8555-8-1",
    "8555-8.1-1",
    "8555-8.2-1",
    "8555-8.3-1",
    "8555-8.3-2",
    "8555-8.3-5",
    "8555-8.3-6",
    "8555-8.4-1",
    "8555-8.4-3",
    "8555-8.4-4",
    "8555-11.1-1",
    "8555-11.1-2",
    "8555-11.4-1",
    "8737-3-1",
    "8737-3-2",
    "8737-3-3",
    "8737-3-4",
    "8737-5-1",
    "8738-3-1",
    "8738-3-2",
    "8738-6-1",
    "9773-3-1",
    "9773-4.1-1",
    "9773-4.1-3",
    "9773-4.2-1",
    "9773-4.2-2",
    "9773-4.2-3",
    "9773-4.2-4",
    "9773-4.3-1",
    "9773-4.3-2",
    "9773-4.3-3",
    "9773-5-1",
    "9773-6-1",
    "PROF-3-1",
    "PROF-4-1",
];

#[test]
fn every_line_for_clients_is_checked_or_said_to_be_unseen_and_none_is_both() {
    let checked: BTreeSet<_> = CHECKS.iter().map(|check| check.line).collect();
    let unseen: BTreeSet<_> = UNSEEN.iter().map(|row| row.line).collect();
    assert_eq!(unseen.len(), UNSEEN.len(), "twice");
    let both: Vec<_> = checked.intersection(&unseen).collect();
    assert!(both.is_empty(), "{both:?}");
    let lines: BTreeSet<_> = LINES.iter().copied().collect();
    let missing: Vec<_> = lines
        .iter()
        .filter(|line| !checked.contains(*line) && !unseen.contains(*line))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Lines for servers of which clients have their part too.
    let more: Vec<_> = checked
        .union(&unseen)
        .filter(|line| !lines.contains(*line))
        .collect();
    assert_eq!(
        more,
        [
            &"8555-6.2-7",
            &"8555-7.4-1",
            &"8555-7.4-11",
            &"8555-7.6-1",
            &"V1-4"
        ]
    );
    let names: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), CHECKS.len());
}

#[test]
fn a_should_fails_in_strict_alone() {
    let mut talk = Talk::new();
    assert_eq!(talk.checker.ledger().verdict(true), Verdict::Pass);
    let ask = talk.new_account().no_header("accept-language");
    talk.send(ask);
    assert_eq!(talk.checker.ledger().verdict(false), Verdict::Pass);
    assert_eq!(talk.checker.ledger().verdict(true), Verdict::Fail);
    let ask = talk.new_account().no_header("user-agent");
    talk.send(ask);
    assert_eq!(talk.checker.ledger().verdict(false), Verdict::Fail);
    talk.checker.clear();
    assert_eq!(talk.checker.ledger().verdict(true), Verdict::Pass);
}
