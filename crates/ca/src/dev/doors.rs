//! The doors of one test CA: the faults in force behind a lock, its clock, its listening sockets.

use std::{
    collections::HashMap,
    fmt,
    net::Shutdown,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cairn_x509::certificate::Serial;
use socket2::Socket;

use super::{
    About, Action, Asked, Chance, Conduct, Fault, FaultId, MovableClock, Scenario, State, Strike,
    Transcript, When, WrongChain, chain,
    dice::Dice,
    hosts::Hosts,
    keys::{KeysFault, OtherIssuer},
    responder,
};
use crate::{
    clock::{Clock, SystemClock},
    id::{ExternalKeyId, OrderId},
    node::Snapshot,
};

/// Orders whose signature is delayed; beyond them none is.
const SLOW: usize = 10_000;

/// What a test reaches a running test CA by.
pub struct Doors {
    state: Mutex<State>,
    clock: Arc<MovableClock>,
    /// Outages are as long as they are, however far a test moves the clock.
    machine: SystemClock,
    sockets: Mutex<Vec<Socket>>,
    outages: AtomicU64,
    issuer: OtherIssuer,
    conduct: Conduct,
    root_pem: String,
    transcript: Option<Arc<Transcript>>,
    names: Option<Arc<responder::Data>>,
    ocsp_url: Option<String>,
    /// What renewalInfo answers for a certificate, as it was set, in place of what it would.
    renewals: Mutex<HashMap<Serial, String>>,
    /// External account keys under kids that others chose.
    kids: Mutex<HashMap<String, ExternalKeyId>>,
    dice: Dice,
    hosts: Hosts,
    /// How long the signature waits for orders that are being finalized.
    slow: Mutex<HashMap<OrderId, Duration>>,
}

/// What doors are made of, beside the faults.
pub(super) struct Parts {
    pub(super) conduct: Conduct,
    pub(super) clock: Arc<MovableClock>,
    pub(super) issuer: OtherIssuer,
    pub(super) root_pem: String,
    pub(super) transcript: Option<Transcript>,
    /// What its own DNS says.
    pub(super) names: Option<Arc<responder::Data>>,
    pub(super) ocsp_url: Option<String>,
}

/// A fault in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// By which it is taken out.
    pub id: FaultId,
    /// What it is.
    pub fault: Fault,
    /// Requests that it was for.
    pub met: u64,
    /// Of them those that it struck.
    pub struck: u64,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors")
            .field("state", &self.state)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Doors {
    pub(super) fn new(scenario: Scenario, parts: Parts) -> Self {
        let Parts {
            conduct,
            clock,
            issuer,
            root_pem,
            transcript,
            names,
            ocsp_url,
        } = parts;
        let mut state = State::new(scenario.seed);
        if conduct.nonces_refused > 0 {
            state.add(Fault {
                when: When::Percent(conduct.nonces_refused.min(100)),
                ..Fault::new(Action::BadNonce)
            });
        }
        let dice = Dice::new(scenario.seed);
        for fault in scenario.faults {
            state.add(fault);
        }
        Self {
            state: Mutex::new(state),
            clock,
            machine: SystemClock::default(),
            sockets: Mutex::default(),
            outages: AtomicU64::new(0),
            issuer,
            conduct,
            root_pem,
            transcript: transcript.map(Arc::new),
            names,
            ocsp_url,
            renewals: Mutex::default(),
            kids: Mutex::default(),
            dice,
            hosts: Hosts::default(),
            slow: Mutex::default(),
        }
    }

    /// Puts a fault in force.
    pub fn add(&self, fault: Fault) -> FaultId {
        self.state().add(fault)
    }

    /// Takes one out; false if it is not there.
    pub fn remove(&self, id: FaultId) -> bool {
        self.state().remove(id)
    }

    /// Takes all out, and connections are taken again.
    pub fn clear(&self) {
        self.state().clear();
    }

    /// Those in force, in the order in which they came.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let state = self.state();
        let listed = state.list().map(|(id, fault, met, struck)| Listed {
            id,
            fault: fault.clone(),
            met,
            struck,
        });
        listed.collect()
    }

    /// The clock that everything in the CA reads.
    #[must_use]
    pub fn clock(&self) -> &MovableClock {
        &self.clock
    }

    /// How the CA behaves.
    #[must_use]
    pub fn conduct(&self) -> &Conduct {
        &self.conduct
    }

    /// Whom clients trust.
    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// What its own DNS says, if it has one.
    pub(crate) fn names(&self) -> Option<&responder::Data> {
        self.names.as_deref()
    }

    /// What clients said and were told, if it is kept.
    #[must_use]
    pub fn transcript(&self) -> Option<&Arc<Transcript>> {
        self.transcript.as_ref()
    }

    /// The OCSP responder that certificates name.
    pub(crate) fn ocsp_url(&self) -> Option<&str> {
        self.ocsp_url.as_deref()
    }

    /// What renewalInfo answers for that certificate, if a test has set it.
    pub(crate) fn renewal(&self, serial: Serial) -> Option<String> {
        locked(&self.renewals).get(&serial).cloned()
    }

    pub(super) fn set_renewal(&self, serial: Serial, text: String) {
        locked(&self.renewals).insert(serial, text);
    }

    /// The external account key under a kid that is not of the CA's own making.
    pub(crate) fn external_key(&self, kid: &str) -> Option<ExternalKeyId> {
        locked(&self.kids).get(kid).copied()
    }

    pub(super) fn name_external_key(&self, kid: String, id: ExternalKeyId) {
        locked(&self.kids).insert(kid, id);
    }

    /// Draws a number below `end`.
    pub(crate) fn throw(&self, about: About, end: u64) -> u64 {
        self.dice.throw(about, end)
    }

    /// The snapshot for requests that come under this host.
    pub(crate) fn snapshot(&self, host: Option<&str>, configured: Arc<Snapshot>) -> Arc<Snapshot> {
        match host.filter(|_| self.conduct.follow_host) {
            Some(host) => self.hosts.snapshot(host, &configured),
            None => configured,
        }
    }

    /// A URL under any host that was followed, as it is under that base.
    pub(crate) fn moved(&self, url: &str, base: &str) -> Option<String> {
        self.hosts.moved(url, base)
    }

    /// A URL under each host that was followed.
    pub(crate) fn under_each_host(&self, url: &str) -> Vec<String> {
        self.hosts.under_each(url)
    }

    /// How long the next validation waits before it asks.
    pub(crate) fn validation_pause(&self) -> Duration {
        let end = self.conduct.validation_pause.into();
        Duration::from_secs(self.throw(About::Pause, end))
    }

    /// Any of the profiles, where an order that names none gets any.
    pub(crate) fn random_profile(&self, mut offered: Vec<String>) -> Option<String> {
        if !self.conduct.random_profile || offered.is_empty() {
            return None;
        }
        let place = self.place_of(About::Profile, offered.len());
        Some(offered.swap_remove(place))
    }

    /// For so many identifiers, whether each takes over a valid authorization; none where the usual rules hold.
    pub(crate) fn reuse(&self, identifiers: usize) -> Option<Vec<bool>> {
        let percent = self.conduct.reuse?;
        let each = (0..identifiers).map(|_| self.throw(About::Reuse, 100) < percent.into());
        Some(each.collect())
    }

    /// Lets the order's signature wait, if it comes to one.
    pub(crate) fn slow_down(&self, order: OrderId, pause: Duration) {
        let mut slow = locked(&self.slow);
        if slow.len() < SLOW {
            slow.insert(order, pause);
        }
    }

    /// How long the order's signature waits; told once.
    pub(crate) fn take_slowness(&self, order: OrderId) -> Option<Duration> {
        let mut slow = locked(&self.slow);
        slow.remove(&order)
    }

    fn place_of(&self, about: About, places: usize) -> usize {
        let end = u64::try_from(places).unwrap_or(u64::MAX);
        usize::try_from(self.throw(about, end)).unwrap_or_default()
    }

    pub(crate) fn asks_for_accounts(&self) -> bool {
        self.state().asks_for_accounts()
    }

    pub(crate) fn decide(&self, asked: &Asked) -> Vec<Strike> {
        let now = self.machine.monotonic();
        self.state().decide(asked, now)
    }

    pub(crate) fn hides(&self, id: FaultId, object: &str, looks: u32, is_look: bool) -> bool {
        self.state().hides(id, object, looks, is_look)
    }

    pub(crate) fn wrong_chain(&self, kind: WrongChain, right: &[u8]) -> Result<String, KeysFault> {
        chain::wrong(kind, right, &self.issuer)
    }

    /// Keeps a hand on a listening socket, to close it at once.
    pub(crate) fn watch(&self, socket: Socket) {
        self.sockets().push(socket);
    }

    /// Begins an outage: whoever connects is refused, until those who accept find it over.
    pub(crate) fn go_down(&self) {
        self.outages.fetch_add(1, Ordering::SeqCst);
        self.close();
    }

    /// Closes the sockets. One that listens and is shut down keeps its port and may listen again (Linux); one that does not
    /// listen would hand the shutdown on to every connection that it later takes.
    pub(crate) fn close(&self) {
        for socket in self.sockets().iter() {
            let closed = match socket.is_listener() {
                Ok(true) => socket.shutdown(Shutdown::Read),
                other => other.map(drop),
            };
            if let Err(error) = closed {
                tracing::warn!(%error, "the listener cannot be closed for a time");
            }
        }
    }

    /// How many outages there were.
    pub(crate) fn outages(&self) -> u64 {
        self.outages.load(Ordering::SeqCst)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().is_down(self.machine.monotonic())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Socket>> {
        locked(&self.sockets)
    }
}

/// The lock, whoever panicked beside it: each change under it is whole.
pub(super) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Chance for Doors {
    fn place(&self, end: usize) -> usize {
        self.place_of(About::Places, end)
    }

    fn date(&self) -> bool {
        self.throw(About::Date, 2) == 1
    }
}
