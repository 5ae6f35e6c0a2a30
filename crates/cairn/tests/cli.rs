//! The command line from outside: what it prints, with which exit code, and what it never prints.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn cairn(args: &[&str]) -> Output {
    with_input(args, b"")
}

fn with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(args)
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const CANARY: &str = "canary-passphrase-7d1f";

fn init(dir: &Path, more: &[&str]) -> Output {
    let dir = dir.to_str().unwrap();
    let mut args = vec![
        "ca",
        "init",
        dir,
        "--name",
        "Acme Widgets",
        "--url",
        "https://ca1.widgets.internal",
    ];
    args.extend(more);
    with_input(&args, format!("{CANARY}\n").as_bytes())
}

#[test]
fn help_is_as_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    let mut pages = String::new();
    for args in [
        &["--help"][..],
        &["ca", "--help"],
        &["ca", "init", "--help"],
        &["ca", "serve", "--help"],
        &["ca", "list", "--help"],
        &["ca", "show", "--help"],
        &["ca", "issue", "--help"],
        &["ca", "revoke", "--help"],
        &["ca", "eab", "add", "--help"],
        &["ca", "eab", "list", "--help"],
        &["ca", "eab", "revoke", "--help"],
        &["ca", "ari", "move", "--help"],
        &["ca", "backup", "--help"],
        &["ca", "restore", "--help"],
        &["ca", "dev", "--help"],
    ] {
        let output = cairn(args);
        assert!(output.status.success(), "{args:?}");
        assert!(output.stderr.is_empty(), "help is data");
        pages.push_str(&format!(
            "$ cairn {}\n{}\n",
            args.join(" "),
            text(&output.stdout)
        ));
    }
    if std::env::var_os("CAIRN_BLESS").is_some() && std::env::var_os("CI").is_none() {
        std::fs::write(&path, &pages).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        pages, reviewed,
        "run with CAIRN_BLESS=1 to write tests/help.txt anew"
    );
}

#[test]
fn init_prints_what_was_made_and_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("widgets-ca");
    let output = init(&dir, &["--permit-dns", "widgets.internal"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    for line in [
        "Root ",
        "Acme Widgets Root R1",
        "Issuing ",
        "may sign: widgets.internal and below",
        "P-256",
        "not stored anywhere",
        "move keys/root.key.pem offline",
        "https://ca1.widgets.internal/directory",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    assert!(err.contains("next: cairn ca serve --dir "), "{err}");
    // T-CA-125
    assert!(!out.contains(CANARY) && !err.contains(CANARY));
}

#[test]
fn init_gives_one_object_with_json() {
    let folder = tempfile::tempdir().unwrap();
    let output = init(&folder.path().join("ca"), &["--json", "--unlock", "file"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["changed"], true);
    assert_eq!(
        object["directory"],
        "https://ca1.widgets.internal/directory"
    );
    assert!(
        object["passphrase_file"]
            .as_str()
            .unwrap()
            .ends_with("keys/passphrase")
    );
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn errors_say_what_why_and_what_next_with_the_right_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    assert!(init(&dir, &[]).status.success());
    let shown = dir.to_str().unwrap();
    let toml = dir.join("cairn.toml");
    let good = std::fs::read_to_string(&toml).unwrap();
    let mut failed = Vec::new();
    let mut check = |what: &str, output: &Output, code: i32, parts: &[&str]| {
        let err = text(&output.stderr);
        let all = parts.iter().all(|part| err.contains(part));
        if output.status.code() != Some(code)
            || !all
            || !output.stdout.is_empty()
            || err.contains(CANARY)
        {
            failed.push(format!("{what}: {:?}\n{err}", output.status.code()));
        }
    };
    check(
        "a second init",
        &init(&dir, &[]),
        2,
        &["error: ", "caused by: ", "is not empty", "hint: "],
    );
    check(
        "a short passphrase",
        &with_input(
            &[
                "ca",
                "init",
                "x",
                "--name",
                "x",
                "--url",
                "https://x.example",
            ],
            b"short\n",
        ),
        2,
        &["15 characters"],
    );
    check(
        "no directory",
        &cairn(&["ca", "serve", "--dir", "/nonexistent"]),
        2,
        &["no CA's directory", "--dir DIR"],
    );
    check(
        "a wrong option",
        &cairn(&["ca", "serve", "--dirs", "x"]),
        2,
        &["--dir"],
    );
    check("a wrong command", &cairn(&["ca", "srve"]), 2, &["serve"]);
    check(
        "a wrong passphrase",
        &with_input(
            &["ca", "serve", "--dir", shown],
            b"wrong passphrase, long\n",
        ),
        1,
        &["does not open with this passphrase"],
    );
    check(
        "a setting with an option of its own",
        &init(
            &folder.path().join("other"),
            &["--set", "url=https://x.example"],
        ),
        2,
        &["--set url", "--url"],
    );
    check(
        "a filter that accounts do not have",
        &cairn(&["ca", "list", "accounts", "--name", "x", "--dir", shown]),
        2,
        &["not listed by name", "account, state"],
    );
    check(
        "a state that orders do not have",
        &cairn(&["ca", "list", "orders", "--state", "foo", "--dir", shown]),
        2,
        &["open, expired, processing, valid, invalid"],
    );
    check(
        "a backup into a directory that is not there",
        &cairn(&["ca", "backup", "--dir", shown, "/nonexistent/b.db"]),
        1,
        &["/nonexistent/b.db", "No such file"],
    );
    let empty = with_input(&["ca", "serve", "--dir", shown], b"\n");
    check("an empty passphrase", &empty, 2, &["passphrase is empty"]);
    // Every user is refused by a loop of links; not every user by a mode.
    let around = folder.path().join("around");
    std::os::unix::fs::symlink(&around, &around).unwrap();
    check(
        "a directory that cannot be looked into",
        &cairn(&["ca", "status", "--dir", around.to_str().unwrap()]),
        1,
        &["cannot look into", "symbolic link"],
    );
    std::fs::write(
        &toml,
        good.replace("ca1.widgets.internal", "ca2.widgets.internal"),
    )
    .unwrap();
    check(
        "another URL",
        &with_input(
            &["ca", "serve", "--dir", shown],
            format!("{CANARY}\n").as_bytes(),
        ),
        2,
        &["https://ca1.widgets.internal", "for ever"],
    );
    std::fs::write(&toml, &good).unwrap();
    check(
        "an http URL",
        &cairn(&["ca", "init", "x", "--name", "x", "--url", "http://x"]),
        2,
        &["https://HOST"],
    );
    std::fs::write(
        &toml,
        good.replace(
            "authorization_life = \"30d\"",
            "authorisation_life = \"30d\"",
        ),
    )
    .unwrap();
    check(
        "a wrong key",
        &cairn(&["ca", "serve", "--dir", shown]),
        2,
        &[
            "cairn.toml:",
            "orders.authorisation_life",
            "did you mean orders.authorization_life?",
        ],
    );
    std::fs::write(
        &toml,
        good.replace("preset = \"private\"", "preset = \"public\""),
    )
    .unwrap();
    check(
        "preset public",
        &cairn(&["ca", "serve", "--dir", shown]),
        2,
        &["Transparency", "private"],
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_root_is_printed_with_its_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    assert!(init(&dir, &[]).status.success());
    let output = cairn(&["ca", "root", "--dir", dir.to_str().unwrap()]);
    assert_eq!(output.stdout, std::fs::read(dir.join("root.pem")).unwrap());
    assert!(text(&output.stderr).starts_with("SHA-256 "));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(["ca", "init", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}
