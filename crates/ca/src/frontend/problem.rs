//! The one place where an internal error becomes a problem document. The match is exhaustive; what the store says of
//! itself goes to the log and never to the client (8555-6.7-5).

use std::time::Duration;

use cairn_acme::problem::{Problem, ProblemType};

use crate::store::{StoreError, TxError};

/// When a server that cannot write may be asked again.
const AFTER_A_FULL_DISK: Duration = Duration::from_secs(60);

/// When a server that stops may be asked again: another process is likely to answer then.
const AFTER_A_STOP: Duration = Duration::from_secs(5);

/// A transaction's refusal or failure, as the client is told it.
pub(crate) fn of_transaction(error: TxError) -> Problem {
    match error {
        TxError::Refused(problem) => *problem,
        TxError::Collision => {
            tracing::error!(target: "cairn", "a unique value was drawn twice: the random source is suspect");
            unavailable(
                "the server could not finish this; nothing was done, come again",
                Duration::from_secs(1),
            )
        }
        TxError::Store(error) => of_store(error),
    }
}

/// The store's failure, as the client is told it.
pub(crate) fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Overloaded(wait) => unavailable(
            "the server has more work than it can finish soon; nothing was done, come again",
            wait,
        ),
        StoreError::ReadOnly(reason) => {
            let incident = incident();
            tracing::error!(target: "cairn", %incident, reason = %reason, "a request was refused: the store is read-only");
            unavailable(
                &format!(
                    "the server cannot write at present; nothing was done, come again. If it lasts, give the CA's operator the \
                     number of this incident, {incident}"
                ),
                AFTER_A_FULL_DISK,
            )
        }
        StoreError::Failed(reason) => {
            let incident = incident();
            tracing::error!(target: "cairn", %incident, reason = %reason, "a request failed in the store");
            Problem::server_internal(format!(
                "the server failed; its operator has been told why, under the number of this incident, {incident}"
            ))
        }
        StoreError::Closed => unavailable(
            "the server is stopping; nothing was done, come again",
            AFTER_A_STOP,
        ),
    }
}

/// What stands in the answer and in the log, so that an operator finds the reason that the client is not told.
fn incident() -> String {
    let mut random = [0; 5];
    // Without random octets there is nothing to find it by, and still an answer.
    let _ = aws_lc_rs::rand::fill(&mut random);
    data_encoding::HEXLOWER.encode(&random)
}

fn unavailable(detail: &str, wait: Duration) -> Problem {
    Problem::new(ProblemType::ServerInternal, detail)
        .status(503)
        .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_internal_error_has_its_status_and_leaks_nothing() {
        // 8555-6.7-5
        let cases = [
            (
                TxError::Refused(Box::new(Problem::malformed("said"))),
                400,
                false,
            ),
            (TxError::Collision, 503, true),
            (
                TxError::Store(StoreError::Overloaded(Duration::from_secs(3))),
                503,
                true,
            ),
            (
                TxError::Store(StoreError::ReadOnly("/var/secret is full".to_owned())),
                503,
                true,
            ),
            (
                TxError::Store(StoreError::Failed("SELECT secret".to_owned())),
                500,
                false,
            ),
            (TxError::Store(StoreError::Closed), 503, true),
        ];
        for (error, status, again) in cases {
            let name = error.to_string();
            let problem = of_transaction(error);
            assert_eq!(
                (problem.status, problem.retry_after.is_some()),
                (status, again),
                "{name}"
            );
            assert!(!problem.to_json().contains("secret"), "{name}");
        }
    }
}
