//! `cairn ca serve` from outside: start, reload, stop, and what it keeps to itself.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use cairn_testkit::free_port;
use rustix::process::{Pid, Signal, kill_process};

const CANARY: &str = "canary-passphrase-91c4";
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    _folder: tempfile::TempDir,
    dir: PathBuf,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn made() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("ca");
    let url = format!("https://localhost:{}", free_port().port());
    let publication = format!("listen.publication=[\"{}\"]", free_port());
    let mut child = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(["ca", "init"])
        .arg(&dir)
        .args([
            "--name",
            "Test",
            "--url",
            &url,
            "--permit-dns",
            "localhost",
            "--set",
            &publication,
            "--quiet",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(CANARY.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    (folder, dir)
}

fn serve() -> Server {
    let (folder, dir) = made();
    let mut child = spawn(&dir);
    let lines = lines(&mut child);
    let mut server = Server {
        _folder: folder,
        dir,
        child,
        lines,
        said: Vec::new(),
    };
    server.wait_for("cairn ca: serving https://localhost:");
    server
}

fn spawn(dir: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cairn"))
        .args(["ca", "serve", "-vv", "--dir"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(CANARY.as_bytes())
        .unwrap();
    child
}

fn lines(child: &mut Child) -> Receiver<String> {
    let (send, lines) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    lines
}

impl Server {
    fn wait_for(&mut self, words: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.said.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
        panic!("no {words:?} in:\n{}", self.said.join("\n"));
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn proc(&self, file: &str) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|w| w == needle.as_bytes())
}

#[test]
fn a_server_keeps_its_passphrase_to_itself_and_leaves_no_core() {
    // T-CA-125
    let mut server = serve();
    for file in ["cmdline", "environ"] {
        assert!(!contains(&server.proc(file), CANARY), "{file}");
    }
    let limits = String::from_utf8(server.proc("limits")).unwrap();
    let core = limits
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().filter(|w| *w == "0").count(),
        2,
        "{core}"
    );
    // Files of /proc/PID belong to root once the process is not dumpable; for root itself the flag cannot be seen so.
    server.signal(Signal::ABORT);
    let status = server.child.wait().unwrap();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped());
    while let Ok(line) = server.lines.recv_timeout(Duration::from_secs(5)) {
        server.said.push(line);
    }
    assert!(
        !server.said.join("\n").contains(CANARY),
        "{}",
        server.said.join("\n")
    );
}

#[test]
fn a_wrong_configuration_leaves_the_old_one_in_force() {
    let mut server = serve();
    let path = server.dir.join("cairn.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("names_max = 100", "names_maxx = 100")).unwrap();
    server.signal(Signal::HUP);
    let line = server.wait_for("configuration not reloaded");
    for part in [
        "cairn.toml:",
        "orders.names_maxx",
        "did you mean orders.names_max?",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    std::fs::write(&path, good.replace("names_max = 100", "names_max = 10")).unwrap();
    server.signal(Signal::HUP);
    server.wait_for("configuration reloaded");
}

#[test]
fn sigterm_ends_a_server_in_good_order_and_it_starts_again() {
    let mut server = serve();
    server.signal(Signal::TERM);
    assert!(server.child.wait().unwrap().success());
    server.child = spawn(&server.dir);
    server.lines = lines(&mut server.child);
    server.wait_for("cairn ca: serving https://localhost:");
    server.signal(Signal::INT);
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let server = serve();
    let output = spawn(&server.dir).wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("does not start"), "{err}");
}

#[test]
fn a_taken_port_costs_no_certificate() {
    let (_folder, dir) = made();
    let text = std::fs::read_to_string(dir.join("cairn.toml")).unwrap();
    let line = text
        .lines()
        .find(|l| l.starts_with("publication = "))
        .unwrap();
    let address = line.split('"').nth(1).unwrap();
    let _taken = std::net::TcpListener::bind(address).unwrap();
    let output = spawn(&dir).wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("cannot listen on") && err.contains("ss -ltnp"),
        "{err}"
    );
    assert_eq!(err.matches("Address already in use").count(), 1, "{err}");
    assert!(
        !err.contains("issued serial") && !err.contains("crl signed"),
        "{err}"
    );
}

#[test]
fn status_and_lists_come_from_the_server_and_from_the_store_alone() {
    let mut server = serve();
    let dir = server.dir.to_str().unwrap().to_owned();
    let ask = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cairn"))
            .arg("ca")
            .args(words)
            .args(["--dir", &dir, "--json"])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let all: &[&[&str]] = &[
        &["status"],
        &["list"],
        &["list", "orders"],
        &["list", "accounts"],
        &["list", "--unconfirmed"],
    ];
    let running: Vec<_> = all.iter().map(|words| ask(words)).collect();
    // The listener's own certificate is a certificate like any other.
    let certificates = running[1]["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 1, "{certificates:?}");
    let serial = certificates[0]["serial"].as_str().unwrap().to_owned();
    let shown = ask(&["show", &serial]);
    assert!(shown.to_string().contains("localhost"), "{shown}");
    server.signal(Signal::TERM);
    assert!(server.child.wait().unwrap().success());
    let alone: Vec<_> = all.iter().map(|words| ask(words)).collect();
    assert_eq!(running[1..], alone[1..]);
}

#[test]
fn a_backup_restored_elsewhere_serves_under_a_new_epoch() {
    let mut server = serve();
    let backup = server.dir.with_file_name("backup.db");
    let cairn = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_cairn"))
            .arg("ca")
            .args(words)
            .output()
            .unwrap()
    };
    let dir = server.dir.to_str().unwrap().to_owned();
    let file = backup.to_str().unwrap();
    let output = cairn(&["backup", "--dir", &dir, file]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let again = cairn(&["backup", "--dir", &dir, file]);
    assert_eq!(again.status.code(), Some(1), "a backup was overwritten");
    server.signal(Signal::TERM);
    assert!(server.child.wait().unwrap().success());
    // Another place with the keys and the configuration, without the store.
    let elsewhere = server.dir.with_file_name("elsewhere");
    std::fs::create_dir_all(elsewhere.join("keys")).unwrap();
    std::fs::copy(server.dir.join("cairn.toml"), elsewhere.join("cairn.toml")).unwrap();
    let output = cairn(&["restore", file, elsewhere.to_str().unwrap()]);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.contains("root.pem") && err.contains("issuing.key.pem"),
        "{err}"
    );
    for name in [
        "cairn.toml",
        "root.pem",
        "issuing.pem",
        "keys/issuing.key.pem",
    ] {
        std::fs::copy(server.dir.join(name), elsewhere.join(name)).unwrap();
    }
    let output = cairn(&["restore", file, elsewhere.to_str().unwrap(), "--json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let restored: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(restored["epoch"].as_u64().unwrap() >= 2, "{restored}");
    assert!(
        !cairn(&["restore", file, elsewhere.to_str().unwrap()])
            .status
            .success(),
        "a store was overwritten"
    );
    server.child = spawn(&elsewhere);
    server.lines = lines(&mut server.child);
    server.wait_for("cairn ca: serving https://localhost:");
}
