//! One binary for all targets: `CAIRN_FUZZ_TARGET` names the one of this run, so that its corpus is that of `make test`.
#![no_main]

use std::sync::LazyLock;

use cairn_fuzz::{TARGETS, Target};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("CAIRN_FUZZ_TARGET").expect("CAIRN_FUZZ_TARGET");
    let found = TARGETS.into_iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("no target is called {name}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
