//! A test CA's node. Nothing that was there before signs or is kept: its store is in memory, its keys are those that the test
//! CA made, and [`OpenParts`] has no place for others.

use std::{path::PathBuf, sync::Arc};

use cairn_x509::weak::BlockedKeys;

use super::{Extras, Node, NodeParts, StartFault, Timing};
use crate::{
    clock::Clock,
    config::Config,
    dev::{Doors, MadeIssuer},
    ring::KeyRing,
    store::Location,
};

/// What a test CA's node is started with.
pub(crate) struct OpenParts {
    /// Of its public files.
    pub(crate) dir: PathBuf,
    /// By which it serves.
    pub(crate) config: Config,
    /// Made at this start.
    pub(crate) issuer: MadeIssuer,
    /// Where time comes from.
    pub(crate) clock: Arc<dyn Clock>,
    /// How long it waits for what.
    pub(crate) timing: Timing,
    /// By which tests reach it.
    pub(crate) doors: Arc<Doors>,
}

impl Node {
    /// Starts a test CA's node.
    ///
    /// # Errors
    /// Says what is missing; nothing is left running.
    pub(crate) async fn start_open(parts: OpenParts) -> Result<Self, StartFault> {
        let OpenParts {
            dir,
            config,
            issuer,
            clock,
            timing,
            doors,
        } = parts;
        let root_certificate = issuer.root_der().to_vec();
        let system = |error: &dyn std::fmt::Display| StartFault::System(error.to_string());
        let parts = NodeParts {
            dir,
            config,
            issuer: issuer.into_parts().map_err(|e| system(&e))?,
            issuers: Vec::new(),
            ring: KeyRing::ephemeral().map_err(|e| system(&e))?,
            root_certificate,
            blocked: BlockedKeys::default(),
            clock,
            location: Location::Memory,
            timing,
            faults: None,
        };
        Self::start_with(parts, Extras { doors: Some(doors) }).await
    }
}

/// Where an open test CA finds names before it asks the system's servers.
pub(super) fn hosts_file(doors: &Doors) -> Option<PathBuf> {
    let open = doors.conduct().open;
    open.map(|_| PathBuf::from("/etc/hosts"))
}
