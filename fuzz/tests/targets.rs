//! Every target over its corpus and over seeded mutations of it; `CAIRN_SOAK` makes the run a hundred times longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, panic, path::PathBuf};

use cairn_fuzz::{Random, TARGETS, mutate};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|f| fs::read(f).unwrap()).collect()
}

#[test]
fn every_target_returns_on_its_corpus_and_on_mutations_of_it() {
    // T-CA-85
    // T-CA-114
    let rounds = if std::env::var_os("CAIRN_SOAK").is_some() {
        2_000_000
    } else {
        20_000
    };
    let mut faults = Vec::new();
    for target in TARGETS {
        let corpus = corpus(target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        let mut random = Random(0x00ca_1e11);
        let mut inputs = corpus.clone();
        inputs.push(Vec::new());
        for round in 0..rounds {
            let input = if round < inputs.len() {
                inputs[round].clone()
            } else {
                let a = &corpus[random.below(corpus.len())];
                let b = &corpus[random.below(corpus.len())];
                mutate(&mut random, a, b)
            };
            if panic::catch_unwind(|| (target.run)(&input)).is_err() {
                faults.push(format!("{}: {}", target.name, input.escape_ascii()));
                break;
            }
        }
    }
    assert!(
        faults.is_empty(),
        "a reader panicked:\n{}",
        faults.join("\n")
    );
}
