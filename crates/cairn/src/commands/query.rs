//! Asks a CA: over its operator socket while a server runs, else its store itself.

use std::path::Path;

use cairn_ca::operator::{self, AskFault, Query, QueryFault};
use serde_json::Value;

use super::small_runtime;
use crate::failure::{Code, Failure};

/// The answer to a query, wherever it comes from.
pub(crate) fn ask(dir: &Path, query: Query, what: &str) -> Result<Value, Failure> {
    let runtime = small_runtime()?;
    runtime
        .block_on(operator::ask(dir, query))
        .map_err(|fault| {
            let code = code_of(&fault);
            Failure::new(what).because(&fault).code(code)
        })
}

/// Whether the question is at fault, or may be answered later.
fn code_of(fault: &AskFault) -> Code {
    use cairn_ca::store::{OpenError, StoreError};
    match fault {
        AskFault::Unfit(_) | AskFault::Query(QueryFault::Unfit(_)) => Code::Usage,
        // A server that is just starting has the store and not yet the socket.
        AskFault::Busy(_)
        | AskFault::Query(
            QueryFault::Store(StoreError::Overloaded(_))
            | QueryFault::Open(OpenError::InUse { .. }),
        ) => Code::TryLater,
        _ => Code::Failed,
    }
}
