//! What happens by chance at a test CA, drawn from the scenario's seed: a run with one client at a time can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;

/// What is drawn about; each is drawn by itself, so that how often a client looks does not move the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The places in a list.
    Places,
    /// The profile of an order.
    Profile,
    /// Whether an authorization is taken over.
    Reuse,
    /// How long a validation waits.
    Pause,
    /// Whether a time is told as a date.
    Date,
}

/// Draws numbers.
#[derive(Debug)]
pub(crate) struct Dice {
    key: hmac::Key,
    thrown: [AtomicU64; 5],
}

impl Dice {
    pub(super) fn new(seed: u32) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &seed.to_be_bytes()),
            thrown: Default::default(),
        }
    }

    /// The next number about this, below `end`; 0 where there is none.
    pub(crate) fn throw(&self, about: About, end: u64) -> u64 {
        let about = about as usize;
        let thrown = self.thrown.get(about);
        let turn = thrown.map_or(0, |thrown| thrown.fetch_add(1, Ordering::Relaxed));
        // Three numbers, where a fault's draw has two.
        let number = number(&self.key, &[0, about as u64, turn]);
        u64::try_from((u128::from(number) * u128::from(end)) >> 64).unwrap_or_default()
    }
}

/// The number that belongs to these.
pub(super) fn number(key: &hmac::Key, of: &[u64]) -> u64 {
    let message: Vec<u8> = of.iter().flat_map(|n| n.to_be_bytes()).collect();
    let tag = hmac::sign(key, &message);
    tag.as_ref()
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_one_thing_does_not_move_another() {
        let draws =
            |dice: &Dice, about| -> Vec<u64> { (0..64).map(|_| dice.throw(about, 6)).collect() };
        let (one, again, other) = (Dice::new(7), Dice::new(7), Dice::new(8));
        let first = draws(&one, About::Profile);
        draws(&again, About::Places);
        assert_eq!(first, draws(&again, About::Profile));
        assert_ne!(first, draws(&other, About::Profile));
        assert_ne!(first, draws(&one, About::Reuse));
        let all = (0..6).all(|face| first.contains(&face));
        assert!(all && first.iter().all(|face| *face < 6), "{first:?}");
        assert_eq!(one.throw(About::Pause, 0), 0);
    }
}
