//! What a process that holds a signing key gives up.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use crate::failure::Failure;

/// Lets the process open as many files as the system grants it: each connection is one.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // What the system does not grant is found out, and said, when connections are accepted.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

/// No core file, no debugger of the same user, no `/proc/PID/mem` (T-CA-125).
pub(crate) fn forbid_dumps() -> Result<(), Failure> {
    let fault = |error: rustix::io::Errno| {
        Failure::new("the system does not let this process forbid core dumps")
            .because(&std::io::Error::from(error))
    };
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(fault)?;
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )
    .map_err(fault)
}
