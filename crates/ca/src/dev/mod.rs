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
mod dice;
mod disturb;
mod doors;
mod dress;
mod fault;
mod folder;
mod fresh_order;
mod hosts;
mod keys;
pub(crate) mod layout;
mod levers;
pub(crate) mod manage;
mod manners;
pub mod responder;
mod scenario;
mod state;
mod table;
mod test_ca;
mod text;
pub mod transcript;
mod usual;

pub use crate::validation::Ports;
pub use action::{Action, BadValue, Fate, Pointer, Refusal, WrongChain};
pub use check::{Finding, Format, Level, Rule, Verdict};
pub use clock::MovableClock;
pub use conduct::{Conduct, Layout, RetryAfter};
pub use doors::{Doors, Listed};
pub use fault::{Client, Fault, Step, When};
pub use keys::{KeyPlan, Lineage, Made, Naming};
pub use levers::{CertificateStatus, ManageFault};
pub use scenario::{BadScenario, Scenario};
pub use state::{Asked, FaultId, State, Strike};
pub use table::{FAULTS, Hook, Row, markdown};
pub use test_ca::{ListenerFiles, Settings, TestCa, TestCaFault};
pub use text::BadFault;
pub use transcript::{Answered, Delivery, Exchange, Transcript};
pub use usual::Places;

pub(crate) use dice::About;
pub(crate) use disturb::{Disturb, Target};
pub(crate) use dress::Chance;
pub(crate) use fresh_order::FreshOrder;
pub(crate) use keys::MadeIssuer;
pub(crate) use manners::Seen;
pub(crate) use transcript::Pending;
