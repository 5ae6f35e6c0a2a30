//! How a test CA behaves, beside its faults, other than one in earnest.

use crate::validation::Ports;

/// How a test CA behaves. The default is as a CA in earnest.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// Every name and address is issued for, wherever it leads; validations connect to these ports. None: as the
    /// configuration's rules say.
    pub open: Option<Ports>,
    /// The publication listener is the management interface too.
    pub managed: bool,
}
