//! Where the tests find things: all relative to the running test program, so that they hold
//! whatever CARGO_TARGET_DIR says.

use std::path::PathBuf;

/// The target directory: the test program lies in `<target>/<profile>/deps/`.
pub fn target() -> PathBuf {
    profile().parent().expect("a target directory").to_owned()
}

/// The real binary: `CAIRN_BIN`, else the one of the same build.
pub fn cairn() -> PathBuf {
    if let Some(path) = std::env::var_os("CAIRN_BIN") {
        return path.into();
    }
    let path = profile().join("cairn");
    assert!(
        path.exists(),
        "{} is not built: cargo build --workspace --all-targets",
        path.display()
    );
    path
}

/// The Python environment that `make peers` made.
pub fn peers() -> PathBuf {
    let path = match std::env::var_os("CAIRN_PEERS") {
        Some(path) => path.into(),
        None => target().join("peers"),
    };
    assert!(
        path.exists(),
        "{} is missing: run `make peers`",
        path.display()
    );
    path
}

/// The audit folder: every certificate and CRL that the tests see issued.
pub fn issued() -> PathBuf {
    target().join("issued")
}

/// What the tests saw each client do.
pub fn seen() -> PathBuf {
    target().join("seen")
}

fn profile() -> PathBuf {
    let exe = std::env::current_exe().expect("the test program's own path");
    let folder = exe.parent().expect("a folder");
    // Examples and tests lie one folder below the profile's, binaries in it.
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.parent().expect("a profile").to_owned()
    } else {
        folder.to_owned()
    }
}
