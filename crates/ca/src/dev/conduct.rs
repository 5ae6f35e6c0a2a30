//! How a test CA behaves, beside its faults, other than one in earnest.

use crate::validation::Ports;

/// How a test CA behaves. The default is as a CA in earnest; [`Conduct::pebble`] is as Pebble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduct {
    /// Every name and address is issued for, wherever it leads; validations connect to these ports. None: as the
    /// configuration's rules say.
    pub open: Option<Ports>,
    /// The publication listener is the management interface too.
    pub managed: bool,
    /// Orders that ended, with their authorizations and audit rows, of which so many are kept: what is in memory alone must
    /// not grow for ever. Of older certificates what is delivered is kept. None: all, until the configuration's sweep.
    pub keeps: Option<u32>,
    /// Which paths the resources have.
    pub layout: Layout,
    /// URLs are made from the Host that a request names, in place of the configured one.
    pub follow_host: bool,
    /// Answers wait for the work that they are about.
    pub holds: bool,
    /// A validation that failed transiently is tried again.
    pub retries: bool,
    /// Before a validation passes a random number of whole seconds, below this one.
    pub validation_pause: u32,
    /// Every validation succeeds, and nothing is asked for it.
    pub always_valid: bool,
    /// CAA records are looked up and obeyed.
    pub caa: bool,
    /// Finalize shows the order in processing, even if its certificate is there at once.
    pub finalize_processing: bool,
    /// Retry-After of what is under way. None: as the work suggests.
    pub retry_after: Option<RetryAfter>,
    /// Identifiers, authorizations and challenges stand in another order in each answer.
    pub shuffles: bool,
    /// The profiles on offer, the first for orders that name none. Empty: all that are configured.
    pub profiles: Vec<String>,
    /// An order that names no profile gets any of those on offer.
    pub random_profile: bool,
    /// How often, in percent, a valid authorization is taken over by a new order; an equal order that is open then never
    /// is. None: as a CA in earnest, which takes over both whenever it can.
    pub reuse: Option<u8>,
    /// How many good nonces of a hundred are refused: a fault in force from the start.
    pub nonces_refused: u8,
    /// Orders of one page of an account's list. None: as a CA in earnest.
    pub orders_per_page: Option<usize>,
    /// A response to a challenge is `{}` and nothing else, and no payload has the member `resource` of ACME's drafts.
    pub strict: bool,
    /// Requests without User-Agent are refused.
    pub wants_agent: bool,
}

/// Ended orders that a test CA of people's tests remembers.
pub(super) const KEPT: u32 = 2000;

/// Which paths the resources have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Cairn's own.
    #[default]
    Cairn,
    /// Pebble's, with the directory's members, media types and words for a bad nonce that go with them.
    Pebble,
}

/// How many seconds later a client shall look again, told as such or as a date; none leaves the header out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter {
    /// At an authorization with a challenge in processing.
    pub authorization: Option<u32>,
    /// At an order that is in processing.
    pub order: Option<u32>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            open: None,
            managed: false,
            keeps: None,
            layout: Layout::Cairn,
            follow_host: false,
            holds: true,
            retries: true,
            validation_pause: 0,
            always_valid: false,
            caa: true,
            finalize_processing: false,
            retry_after: None,
            shuffles: false,
            profiles: Vec::new(),
            random_profile: false,
            reuse: None,
            nonces_refused: 0,
            orders_per_page: None,
            strict: false,
            wants_agent: false,
        }
    }
}

impl Conduct {
    /// As Pebble 2.10 started without a setting, with validations that connect to these ports.
    #[must_use]
    pub fn pebble(ports: Ports) -> Self {
        Self {
            open: Some(ports),
            managed: false,
            keeps: Some(KEPT),
            layout: Layout::Pebble,
            follow_host: true,
            holds: false,
            retries: false,
            validation_pause: 5,
            always_valid: false,
            caa: false,
            finalize_processing: true,
            retry_after: Some(RetryAfter {
                authorization: Some(3),
                order: Some(5),
            }),
            shuffles: true,
            profiles: Vec::new(),
            random_profile: true,
            reuse: Some(50),
            nonces_refused: 5,
            orders_per_page: Some(3),
            strict: false,
            wants_agent: true,
        }
    }
}
