//! `docs/faults.md` and `docs/checks.md` have the tables as they are.

use std::path::{Path, PathBuf};

use cairn_ca::dev::{self, check};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

/// The page has the text between the two marks; `CAIRN_BLESS=1` puts it there.
fn holds(name: &str, what: &str, text: &str) {
    let path = page(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- the {what} -->\n"),
        format!("<!-- end of the {what} -->\n"),
    );
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    let fresh = format!("{before}{begin}{text}{end}{after}");
    if std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(page, fresh, "CAIRN_BLESS=1 writes it");
}

#[test]
fn the_page_on_faults_has_the_table() {
    holds("faults.md", "table", &dev::markdown());
}

#[test]
fn the_page_on_checks_has_every_check_and_what_is_unseen() {
    holds("checks.md", "table", &check::checks_markdown());
    holds("checks.md", "list", &check::unseen_markdown());
}

#[test]
fn the_word_by_which_a_binary_with_faults_is_known_is_in_one() {
    // `crates/cairn/tests/cli.rs` looks for it in the binary that is shipped.
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let word = b"a fault of this test CA";
    assert!(program.windows(word.len()).any(|here| here == word));
}

#[test]
fn examples_of_the_page_are_faults() {
    let page = std::fs::read_to_string(page("faults.md")).unwrap();
    let mut read = 0;
    let mut blocks = page.split("```");
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        if let Some(lines) = block.strip_prefix("text faults\n") {
            for line in lines.lines() {
                let fault = line.split("  ").next().unwrap();
                assert!(fault.parse::<cairn_ca::dev::Fault>().is_ok(), "{line}");
                read += 1;
            }
        } else if let Some(toml) = block.strip_prefix("toml\n") {
            assert!(
                !cairn_ca::dev::Scenario::parse(toml)
                    .unwrap()
                    .faults
                    .is_empty()
            );
            read += 1;
        }
    }
    assert!(read > 5);
}
