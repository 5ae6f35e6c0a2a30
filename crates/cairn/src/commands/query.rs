//! Asks a CA: over its operator socket while a server runs, else its store itself.

use std::path::Path;

use cairn_ca::operator::{self, AskFault, Query, QueryFault};
use serde_json::Value;

use super::small_runtime;
use crate::{
    failure::{Code, Failure},
    table::plain,
};

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

/// A member of an answer as one line of text; absent and null are empty.
pub(crate) fn member(object: &Value, name: &str) -> String {
    match object.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(Value::Array(items)) => {
            let texts = items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned));
            plain(&texts.collect::<Vec<_>>().join(","))
        }
        Some(other) => plain(&other.to_string()),
    }
}
