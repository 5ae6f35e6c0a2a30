//! `docs/faults.md` has the table of faults as it is.

use std::path::Path;

#[test]
fn the_page_on_faults_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- the table -->\n", "<!-- end of the table -->\n");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let fresh = format!("{before}{begin}{}{end}{after}", cairn_ca::dev::markdown());
    if std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(page, fresh, "CAIRN_BLESS=1 writes it");
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    let page = std::fs::read_to_string(path).unwrap();
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
