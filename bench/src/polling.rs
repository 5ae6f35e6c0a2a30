//! When to ask again. A subject that holds its answers is asked when it says; one that doesn't, when the answer should
//! be there: its best case, far better than real clients' seconds, and seldom more than one question.

use std::cell::Cell;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(5);
const LEAST: Duration = Duration::from_millis(2);
const MOST: Duration = Duration::from_secs(1);

/// What was learnt about one kind of wait.
#[derive(Debug)]
pub(crate) struct Polling {
    heed_retry_after: bool,
    usual: Cell<Duration>,
}

/// One wait.
#[derive(Debug)]
pub(crate) struct Wait {
    since: Instant,
    sleep: Duration,
    step: Duration,
    heed: bool,
    repeated: bool,
}

impl Polling {
    pub(crate) fn new(heed_retry_after: bool) -> Self {
        Self {
            heed_retry_after,
            usual: Cell::new(FIRST),
        }
    }

    pub(crate) fn start(&self, retry_after: Option<Duration>) -> Wait {
        let usual = self.usual.get();
        let heed = self.heed_retry_after;
        let sleep = retry_after.filter(|_| heed).unwrap_or(usual);
        Wait {
            since: Instant::now(),
            sleep,
            step: (usual / 4).clamp(LEAST, MOST),
            heed,
            repeated: false,
        }
    }

    /// A little less next time if the first question sufficed, else as long as it took.
    pub(crate) fn done(&self, wait: &Wait) {
        let usual = self.usual.get();
        let learnt = match wait.repeated {
            false => usual.mul_f64(0.95),
            true => (usual + wait.since.elapsed().min(MOST)) / 2,
        };
        self.usual.set(learnt.max(LEAST));
    }
}

impl Wait {
    pub(crate) async fn next(&mut self) {
        tokio::time::sleep(self.sleep).await;
    }

    /// Not yet.
    pub(crate) fn again(&mut self, retry_after: Option<Duration>) {
        self.repeated = true;
        self.sleep = retry_after.filter(|_| self.heed).unwrap_or(self.step);
        self.step = (self.step * 2).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_heeded_only_where_answers_are_held() {
        let said = Some(Duration::from_secs(3));
        assert_eq!(Polling::new(true).start(said).sleep, Duration::from_secs(3));
        assert_eq!(Polling::new(false).start(said).sleep, FIRST);
    }

    #[test]
    fn waits_that_were_too_long_become_shorter() {
        let polling = Polling::new(false);
        polling.usual.set(Duration::from_millis(400));
        for _ in 0..100 {
            polling.done(&polling.start(None));
        }
        assert!(
            polling.usual.get() < Duration::from_millis(5),
            "{polling:?}"
        );
    }
}
