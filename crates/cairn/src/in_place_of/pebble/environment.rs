//! Pebble's environment, read here and nowhere else, parsed as Pebble parses: what it cannot read it takes for unset.

/// Percent of good nonces that are refused unless something else is said.
const NONCES_REFUSED: u8 = 5;

/// Percent of valid authorizations that new orders take over.
const REUSE: u8 = 50;

/// Seconds that a validation waits at most.
const PAUSE: u32 = 5;

/// Orders of a page.
const ORDERS_PER_PAGE: usize = 3;

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    /// `PEBBLE_VA_NOSLEEP`, `PEBBLE_VA_SLEEPTIME`: seconds that a validation waits at most; none: it does not wait.
    pub(super) pause: Option<u32>,
    /// Whether `PEBBLE_VA_SLEEPTIME` has said so.
    pub(super) pause_is_set: bool,
    /// `PEBBLE_VA_ALWAYS_VALID`.
    pub(super) always_valid: bool,
    /// `PEBBLE_WFE_NONCEREJECT`.
    pub(super) nonces_refused: u8,
    /// `PEBBLE_AUTHZREUSE`.
    pub(super) reuse: u8,
    /// `PEBBLE_ALTERNATE_ROOTS`.
    pub(super) alternates: u64,
    /// `PEBBLE_CHAIN_LENGTH`.
    pub(super) length: u64,
    /// `PEBBLE_WFE_ORDERS_PER_PAGE`.
    pub(super) orders_per_page: usize,
}

impl Environment {
    /// Reads it by name.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| get(name)?.parse::<i64>().ok();
        let is_on = |name: &str| get(name).is_some_and(|text| is_true(&text));
        let said = number("PEBBLE_VA_SLEEPTIME").and_then(|n| u32::try_from(n).ok());
        let said = said.filter(|seconds| *seconds > 0);
        let no_pause = is_on("PEBBLE_VA_NOSLEEP");
        let refused = match number("PEBBLE_WFE_NONCEREJECT") {
            None => NONCES_REFUSED,
            // All of them would leave no way to begin.
            Some(n) if n > 100 => 99,
            Some(n) => u8::try_from(n).unwrap_or(0),
        };
        let reuse = number("PEBBLE_AUTHZREUSE").and_then(|n| u8::try_from(n).ok());
        let pages = number("PEBBLE_WFE_ORDERS_PER_PAGE").and_then(|n| usize::try_from(n).ok());
        let count = |name: &str| number(name).and_then(|n| u64::try_from(n).ok());
        Self {
            pause: (!no_pause).then(|| said.unwrap_or(PAUSE)),
            pause_is_set: said.is_some() && !no_pause,
            always_valid: is_on("PEBBLE_VA_ALWAYS_VALID"),
            nonces_refused: refused,
            reuse: reuse.filter(|percent| *percent <= 100).unwrap_or(REUSE),
            alternates: count("PEBBLE_ALTERNATE_ROOTS").unwrap_or(0),
            length: count("PEBBLE_CHAIN_LENGTH").unwrap_or(1),
            orders_per_page: pages.filter(|n| *n > 0).unwrap_or(ORDERS_PER_PAGE),
        }
    }
}

/// Go's strconv.ParseBool.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str) -> Environment {
        Environment::read(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn without_a_word_it_is_as_pebble_without_a_word() {
        let environment = Environment::read(|_| None);
        assert_eq!(
            environment,
            Environment {
                pause: Some(5),
                pause_is_set: false,
                always_valid: false,
                nonces_refused: 5,
                reuse: 50,
                alternates: 0,
                length: 1,
                orders_per_page: 3,
            }
        );
    }

    /// Each row was tried with Debian's Pebble, which says at its start what it understood.
    #[test]
    fn values_are_understood_as_pebble_understands_them() {
        let pause = |value| of("PEBBLE_VA_SLEEPTIME", value).pause;
        assert_eq!(["7", "0", "-3", "x"].map(pause), [7, 5, 5, 5].map(Some));
        let quick = |value| of("PEBBLE_VA_NOSLEEP", value).pause.is_none();
        assert_eq!(
            ["1", "true", "x", "", "0"].map(quick),
            [true, true, false, false, false]
        );
        let refused = |value| of("PEBBLE_WFE_NONCEREJECT", value).nonces_refused;
        assert_eq!(
            ["200", "100", "90", "-3", "x", "0"].map(refused),
            [99, 100, 90, 0, 5, 0]
        );
        let reuse = |value| of("PEBBLE_AUTHZREUSE", value).reuse;
        assert_eq!(["101", "-1", "100", "x"].map(reuse), [50, 50, 100, 50]);
        let pages = |value| of("PEBBLE_WFE_ORDERS_PER_PAGE", value).orders_per_page;
        assert_eq!(["0", "15", "-1"].map(pages), [3, 15, 3]);
        let valid = |value| of("PEBBLE_VA_ALWAYS_VALID", value).always_valid;
        assert_eq!(["1", "true", "0"].map(valid), [true, true, false]);
        let roots = |value| of("PEBBLE_ALTERNATE_ROOTS", value).alternates;
        assert_eq!(["2", "-1", "x"].map(roots), [2, 0, 0]);
        let length = |value| of("PEBBLE_CHAIN_LENGTH", value).length;
        assert_eq!(["3", "-1", "0"].map(length), [3, 1, 0]);
    }
}
