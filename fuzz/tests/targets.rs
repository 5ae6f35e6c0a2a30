//! Every target over its corpus and over seeded mutations of it; `CAIRN_SOAK` makes the run a hundred times longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs, panic,
    path::PathBuf,
    time::{Duration, Instant},
};

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

/// Texts and octets on which a reader that is not linear would work for long.
fn adversarial() -> Vec<(&'static str, Vec<u8>)> {
    const SIZE: usize = 64 * 1024;
    let repeated = |text: &[u8]| text.iter().copied().cycle().take(SIZE).collect::<Vec<u8>>();
    let after = |head: &str, text: &[u8]| [head.as_bytes(), &repeated(text)].concat();
    let mut dns = vec![0; 12];
    dns[2] = 0x80;
    dns[7] = 0xff;
    dns.extend((0..SIZE / 2).flat_map(|n| (0xc000 | (n as u16 & 0x3fff)).to_be_bytes()));
    vec![
        ("one letter", repeated(b"a")),
        ("labels", repeated(b"a.")),
        ("dots", repeated(b".")),
        ("hyphens", repeated(b"xn--")),
        ("white space", repeated(b" \t")),
        ("lines", repeated(b"\r\n")),
        ("folded lines", repeated(b"X: y\r\n ")),
        ("percent signs", repeated(b"%")),
        ("mailto", after("{\"contact\":[\"mailto:", b"a@")),
        ("contacts", after("{\"contact\":[", b"\"mailto:a@b\",")),
        (
            "identifiers",
            after("{\"identifiers\":[", b"{\"type\":\"dns\"},"),
        ),
        ("brackets", repeated(b"[")),
        ("objects", repeated(b"{\"a\":")),
        ("escapes", after("\"", b"\\u0041")),
        ("base64url", after("{\"protected\":\"", b"e30")),
        ("PEM", repeated(b"-----BEGIN CERTIFICATE-----\n")),
        ("nested sequences", repeated(&[0x30, 0x80])),
        ("long lengths", repeated(&[0x30, 0x84, 0, 0, 0xff, 0xf0])),
        (
            "chunks",
            after(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"1;a=b\r\nx\r\n",
            ),
        ),
        ("headers", after("HTTP/1.1 200 OK\r\n", b"a:\r\n")),
        ("tables", repeated(b"[[names]]\n")),
        ("keys", repeated(b"a.")),
        ("DNS pointers", dns),
    ]
}

#[test]
fn every_target_reads_64_kib_of_the_worst_in_linear_time() {
    // T-CA-114
    let mut slow = Vec::new();
    for target in TARGETS {
        for (what, input) in adversarial() {
            // The best of several: the machine may take the processor away in any of them.
            let tries = (0..5).map(|_| {
                let began = Instant::now();
                (target.run)(&input);
                began.elapsed()
            });
            let took = tries.min().unwrap();
            if took > Duration::from_millis(250) {
                slow.push(format!("{}: {what}: {took:?}", target.name));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn every_target_returns_on_its_corpus_and_on_mutations_of_it() {
    // T-CA-85
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
