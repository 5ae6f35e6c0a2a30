//! The doors of a test CA: faults on demand, and a clock that a test moves. There is one such layer; the client's tests meet
//! their hostile server in it too.
//!
//! A fault is data: [`FAULTS`] is the table of what there is, a [`Fault`] one row of it with its values, whom it strikes and
//! how often. [`State`] decides, purely, which ones a request meets; `answer` and `chain` alter answers, purely;
//! `frontend/faults.rs` is the edge that does it to connections. Nothing of this is in a build without feature `dev`, and a
//! node gets it only from [`TestCa`], which makes a store in memory and keys of its own: no type leads from here to a durable
//! store or to keys that were loaded (design §4).

mod action;
mod answer;
mod chain;
pub mod check;
mod clock;
mod conduct;
mod disturb;
mod doors;
mod fault;
mod keys;
mod scenario;
mod state;
mod table;
mod test_ca;
mod text;
pub mod transcript;

pub use crate::validation::Ports;
pub use action::{Action, BadValue, Fate, Pointer, Refusal, WrongChain};
pub use check::{Finding, Format, Level, Rule, Verdict};
pub use clock::MovableClock;
pub use conduct::Conduct;
pub use doors::{Doors, Listed};
pub use fault::{Client, Fault, Step, When};
pub use scenario::{BadScenario, Scenario};
pub use state::{Asked, FaultId, State, Strike};
pub use table::{FAULTS, Hook, Row, markdown};
pub use test_ca::{Settings, TestCa, TestCaFault};
pub use text::BadFault;
pub use transcript::{Answered, Delivery, Exchange, Transcript};

pub(crate) use disturb::{Disturb, Target};
pub(crate) use transcript::Pending;
