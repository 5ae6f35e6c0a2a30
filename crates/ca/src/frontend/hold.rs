//! Held answers: waiting is the server's work (design.md §2.8). A request is held only for work that already runs, in
//! bounds per account, address and node; it keeps neither a transaction nor a place among the requests in work. A client
//! that hangs up frees its hold, since its request is dropped.

use std::pin::pin;

use cairn_acme::problem::Problem;
use tokio::time;

use super::context::Context;
use crate::{id::AccountId, limits::Held};

/// Asks for a place to hold this answer.
pub(crate) fn place(context: &Context, account: AccountId) -> Option<Held> {
    context.ca.limits.hold(account, context.address).ok()
}

/// Looks at an aggregate until the work that it awaits has ended or the time for holding is over, and returns what was
/// seen last. `look` says what it sees and whether awaited work runs. Without a place it looks once.
pub(crate) async fn until_done<T, F>(
    context: &Context,
    held: Option<Held>,
    id: &[u8; 16],
    look: impl Fn() -> F,
) -> Result<T, Problem>
where
    F: Future<Output = Result<(T, bool), Problem>>,
{
    let Some(_held) = held else {
        return Ok(look().await?.0);
    };
    let watch = context.ca.holds.watch(id);
    let deadline = time::Instant::now() + context.ca.limits.hold_time();
    loop {
        // Interest comes before the look: a change in between wakes it.
        let mut changed = pin!(watch.changed());
        changed.as_mut().enable();
        let (seen, running) = look().await?;
        if !running {
            return Ok(seen);
        }
        let _no_work = context.place.pause();
        if time::timeout_at(deadline, changed).await.is_err() {
            return Ok(seen);
        }
    }
}
