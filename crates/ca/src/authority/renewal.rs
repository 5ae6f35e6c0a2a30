//! When a certificate should be renewed (RFC 9773 §4.2): a pure function of its serial, its dates and the plan's version,
//! so that every node and every restart says the same; and the operator's way to move it into the past.

use std::time::Duration;

use cairn_acme::{problem::Problem, renewal::SuggestedWindow, time::Timestamp};
use cairn_x509::certificate::Serial;

use super::audit;
use crate::{
    model::{AuditEvent, Certificate, CertificateState, RenewalFacts, SetAside},
    store::{Changes, Decision, SetCertificatesAside},
};

/// The version of the rules below. Another number moves every window a little: only a change of the rules may do that.
pub const PLAN: u8 = 1;

/// Lives below this are renewed at their half, others when a third is left.
const SHORT: i64 = 10 * 86_400;

/// How long after a move the window begins at the latest; half of it is the window (as Boulder's).
const MOVED: i64 = 3600;

/// When a client shall ask again, unless the certificate's life is short.
const ASK_AGAIN: i64 = 6 * 3600;

/// The window in which the certificate should be renewed. It starts before it ends, lies inside the validity, and those
/// of certificates that were issued in the same second do not start in the same second.
#[must_use]
pub fn window(facts: &RenewalFacts, plan: u8) -> SuggestedWindow {
    let (first, last) = (facts.not_before.as_seconds(), facts.not_after.as_seconds());
    if let Some(aside) = &facts.set_aside {
        return moved(aside.at.as_seconds().min(last), first);
    }
    let life = last.saturating_sub(first).saturating_add(1).max(2);
    let (from, width) = if life < SHORT {
        // The half is in the middle of them all.
        (life / 2 - life / 10, life / 10)
    } else {
        (life - life / 3, life / 50)
    };
    let start = first + from + spread(&facts.key.serial, plan, width);
    fitted(start, start + width, first, last)
}

/// Wholly in the past of the move, inside the validity if the certificate is a few seconds old.
fn moved(at: i64, first: i64) -> SuggestedWindow {
    let span = at.saturating_sub(first).clamp(2, MOVED);
    SuggestedWindow {
        start: Timestamp::from_seconds(at - span),
        end: Timestamp::from_seconds(at - span / 2),
    }
}

fn fitted(start: i64, end: i64, first: i64, last: i64) -> SuggestedWindow {
    let end = end.max(start + 1).min(last);
    let start = start.max(first).min(end - 1);
    SuggestedWindow {
        start: Timestamp::from_seconds(start),
        end: Timestamp::from_seconds(end),
    }
}

/// When to ask again: six hours, a fifth more or less by serial, but at most a tenth of the life, so that a short one is
/// asked for often enough (9773-4.3-2).
#[must_use]
pub fn ask_again(facts: &RenewalFacts, plan: u8) -> Duration {
    let life = facts.not_after.since(facts.not_before).as_secs() + 1;
    let fifth = ASK_AGAIN / 5;
    let asked = ASK_AGAIN - fifth + spread(&facts.key.serial, plan ^ 0xff, 2 * fifth);
    Duration::from_secs(
        u64::try_from(asked)
            .unwrap_or_default()
            .min(life / 10)
            .max(1),
    )
}

/// A number below `bound` that is the serial's own. Serials carry 128 random bits; the mixing keeps one plan's numbers
/// from telling another's.
fn spread(serial: &Serial, plan: u8, bound: i64) -> i64 {
    let mut eight = [0; 8];
    for (into, octet) in eight.iter_mut().zip(serial.as_bytes().iter().rev()) {
        *into = *octet;
    }
    let mut mixed = u64::from_be_bytes(eight) ^ (u64::from(plan) << 56);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let bound = u64::try_from(bound).unwrap_or_default().max(1);
    i64::try_from(mixed % bound).unwrap_or_default()
}

/// What moving did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AsideMoved {
    /// Set aside by this, or given another explanation.
    pub moved: Vec<Serial>,
    /// As it was.
    pub unchanged: Vec<Serial>,
}

/// Sets all the certificates aside, or none: one that was never issued refuses the whole, so that nobody believes that
/// the rest was all.
#[must_use]
pub fn set_aside(
    input: &SetCertificatesAside,
    found: Vec<(Option<Certificate>, Option<SetAside>)>,
) -> Decision<AsideMoved> {
    let mut changes = Changes::default();
    let mut answer = AsideMoved::default();
    for (key, (certificate, already)) in input.certificates.iter().zip(found) {
        let Some(certificate) = certificate.filter(|c| c.state == CertificateState::Issued) else {
            return Decision::refuse(
                Problem::malformed(format!(
                    "no certificate with serial {} was issued here; nothing was moved",
                    key.serial
                ))
                .status(404),
            );
        };
        let same = |a: &SetAside| input.explanation.is_none() || input.explanation == a.explanation;
        if already.as_ref().is_some_and(same) || answer.moved.contains(&key.serial) {
            answer.unchanged.push(key.serial);
            continue;
        }
        let aside = SetAside {
            at: already.map_or(input.now, |a| a.at),
            explanation: input.explanation.clone(),
        };
        changes.audit.push(AuditEvent {
            serial: Some(key.serial),
            ..audit(
                input.now,
                "set-aside",
                Some(certificate.account),
                Some(certificate.order),
                &[(
                    "explanation",
                    input.explanation.as_deref().unwrap_or_default(),
                )],
            )
        });
        changes.set_aside.push((*key, aside));
        answer.moved.push(key.serial);
    }
    Decision {
        changes,
        answer: Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{id::IssuerId, model::CertificateKey};

    const DAY: i64 = 86_400;

    fn facts(random: [u8; 16], first: i64, life: i64, aside: Option<i64>) -> RenewalFacts {
        RenewalFacts {
            key: CertificateKey {
                issuer: IssuerId([1; 16]),
                serial: Serial::new(1, 20_000, random),
            },
            not_before: Timestamp::from_seconds(first),
            not_after: Timestamp::from_seconds(first + life - 1),
            set_aside: aside.map(|at| SetAside {
                at: Timestamp::from_seconds(at),
                explanation: None,
            }),
        }
    }

    fn drawn(n: u64) -> [u8; 16] {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        octets[8..].copy_from_slice(&n.wrapping_mul(0xd1b5_4a32_d192_ed03).to_be_bytes());
        octets
    }

    #[test]
    fn a_window_lies_where_its_life_says() {
        // 9773-4.2-5
        const FIRST: i64 = 1_800_000_000;
        let mut wrong = Vec::new();
        for n in 0..1000 {
            for (life, from, to) in [
                (90 * DAY, 60 * DAY, 60 * DAY + 4 * 90 * DAY / 50 / 2),
                (10 * DAY, 10 * DAY - 10 * DAY / 3, 7 * DAY + DAY / 5),
                (398 * DAY, 398 * DAY - 398 * DAY / 3, 398 * DAY * 71 / 100),
                (160 * 3600, 64 * 3600, 96 * 3600),
                (DAY, DAY * 2 / 5, DAY * 3 / 5),
                (60, 24, 36),
            ] {
                let told = window(&facts(drawn(n), FIRST, life, None), PLAN);
                let (start, end) = (
                    told.start.as_seconds() - FIRST,
                    told.end.as_seconds() - FIRST,
                );
                if start < from || end > to || start >= end {
                    wrong.push(format!("{life} s: {start} to {end}, not in {from} to {to}"));
                }
            }
        }
        wrong.truncate(5);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn clients_are_not_steered_to_one_second() {
        // T-CA-131
        let told: Vec<_> = (0..10_000)
            .map(|n| {
                let facts = facts(drawn(n), 1_800_000_000, 90 * DAY, None);
                (window(&facts, PLAN), ask_again(&facts, PLAN))
            })
            .collect();
        let starts: BTreeSet<_> = told.iter().map(|(w, _)| w.start.as_seconds()).collect();
        let asked: BTreeSet<_> = told.iter().map(|(_, again)| *again).collect();
        // 155,520 seconds to start in, 8,640 to ask in: few of ten thousand meet.
        assert!(starts.len() > 9_000, "{} starts", starts.len());
        assert!(asked.len() > 5_000, "{} intervals", asked.len());
        let (first, last) = (starts.first().unwrap(), starts.last().unwrap());
        assert!(last - first > 90 * DAY / 60, "{first} to {last}");
    }

    #[test]
    fn retry_after_is_about_six_hours_or_a_tenth_of_a_short_life() {
        // 9773-4.3-2
        let mut wrong = Vec::new();
        for n in 0..1000 {
            for (life, from, to) in [
                (90 * DAY, 17_280, 25_920),
                (160 * 3600, 17_280, 25_920),
                (DAY, 8640, 8640),
                (60, 6, 6),
                (2, 1, 1),
            ] {
                let again = ask_again(&facts(drawn(n), 0, life, None), PLAN).as_secs();
                if !(from..=to).contains(&again) {
                    wrong.push(format!("{life} s: {again}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    proptest! {
        #[test]
        fn a_window_starts_before_it_ends_inside_the_validity(
            random in any::<[u8; 16]>(),
            first in 0_i64..4_000_000_000,
            life in 2_i64..40 * 366 * DAY,
            plan in any::<u8>(),
        ) {
            // 9773-4.2-1 T-CA-131
            let facts = facts(random, first, life, None);
            let told = window(&facts, plan);
            prop_assert!(told.start < told.end);
            prop_assert!(told.start >= facts.not_before && told.end <= facts.not_after);
            // The same question has the same answer.
            prop_assert_eq!(told, window(&facts, plan));
            let again = ask_again(&facts, plan).as_secs();
            prop_assert!(again >= 1 && (again <= u64::try_from(life).unwrap() / 10 || again == 1));
        }

        #[test]
        fn a_moved_window_is_over_at_the_move(
            random in any::<[u8; 16]>(),
            first in 100_000_i64..4_000_000_000,
            life in 60_i64..3 * 366 * DAY,
            age in 0_i64..4 * 366 * DAY,
        ) {
            let at = first + age;
            let facts = facts(random, first, life, Some(at));
            let told = window(&facts, PLAN);
            prop_assert!(told.start < told.end && told.end.as_seconds() < at);
            if age >= 2 {
                prop_assert!(told.start >= facts.not_before && told.end <= facts.not_after);
            }
        }
    }
}
