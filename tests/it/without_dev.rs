//! A build without the test CA: nothing of it is there, and whoever calls it by Pebble's name is told so.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use cairn_testkit::places;

/// What `scripts/suites.py` builds: the same profile, feature `dev` off.
fn program() -> PathBuf {
    let program = places::cairn().with_file_name("cairn-without-dev");
    assert!(
        program.exists(),
        "{} is missing; `make test` builds it",
        program.display()
    );
    program
}

#[test]
fn a_build_without_the_test_ca_refuses_pebbles_names_with_words() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pebble", "pebble-challtestsrv"] {
        let link = folder.path().join(name);
        symlink(program(), &link).unwrap();
        let output = Command::new(&link).arg("-strict").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let told = format!("error: this cairn cannot take {name}'s place: it was built without");
        assert!(said.starts_with(&told), "{said}");
    }
    let output = Command::new(program())
        .args(["ca", "dev"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("unrecognized subcommand 'dev'"), "{said}");
}

#[test]
fn a_build_without_the_test_ca_has_nothing_of_it() {
    // design 4: words that only the test CA says.
    let octets = std::fs::read(program()).unwrap();
    let whole = std::fs::read(places::cairn()).unwrap();
    for word in [
        "end-authorization",
        "PEBBLE_VA_ALWAYS_VALID",
        "/set-servfail",
        "TEST Issuing",
    ] {
        let has = |octets: &[u8]| octets.windows(word.len()).any(|w| w == word.as_bytes());
        assert!(has(&whole), "{word} is no longer a word of the test CA");
        assert!(!has(&octets), "{word}");
    }
}
