//! The real `cairn` binary as a CA for one test: made by `cairn ca init`, configured by its own
//! `cairn.toml`, served by `cairn ca serve`, killed and restarted at will.
//!
//! Meant for a namespace of the test's own ([`TestCa::namespace`]): the CA has 127.0.0.1:443 and
//! :80 and is called `ca.test`; names below `test` are asked of 127.0.0.1:53 and may lead to
//! 127.0.0.0/8, where 127.0.0.2 is free for responders and peers.

mod settings;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::acme::Client;
use crate::netns::Namespace;
use crate::process::Process;
use crate::{issued, places};

/// Where the CA listens for subscribers.
pub const SUBSCRIBERS: &str = "127.0.0.1:443";
/// Where the CA publishes.
pub const PUBLICATION: &str = "127.0.0.1:80";
/// Where responders and peers listen, and names below `test` shall lead.
pub const HOST: [u8; 4] = [127, 0, 0, 2];
/// Where the CA asks DNS.
pub const RESOLVER: ([u8; 4], u16) = ([127, 0, 0, 1], 53);

/// What `cairn ca init` and a server that prompts are given.
pub const PASSPHRASE: &str = "correct horse battery staple";

const URL: &str = "https://ca.test";
/// The time that a start, a reload or a stop may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a CA shall be, before it is made.
#[derive(Debug, Clone)]
pub struct Builder {
    arguments: Vec<String>,
    settings: Vec<(String, String)>,
    tables: String,
    place: Option<PathBuf>,
    environment: Vec<(String, String)>,
    unlock: &'static str,
}

/// A CA in a folder of its own; killed and removed when dropped.
#[derive(Debug)]
pub struct TestCa {
    folder: PathBuf,
    /// Removes the folder at the end, unless the test gave its own.
    _kept: Option<TempDir>,
    environment: Vec<(String, String)>,
    prompts: bool,
    process: Option<Process>,
}

impl Builder {
    /// A further argument of `cairn ca init`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets a key of `cairn.toml`, such as `orders.life`, to a TOML value.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds tables at the end of `cairn.toml`, such as a `[[names]]` rule.
    #[must_use]
    pub fn tables(mut self, toml: &str) -> Self {
        self.tables += toml;
        self.tables.push('\n');
        self
    }

    /// Puts the CA into this folder, such as a small disk's, in place of a temporary one.
    #[must_use]
    pub fn place(mut self, folder: &Path) -> Self {
        self.place = Some(folder.to_owned());
        self
    }

    /// Sets a variable in the server's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Protects the keys with [`PASSPHRASE`], which the server reads from its standard input.
    #[must_use]
    pub fn prompts(mut self) -> Self {
        self.unlock = "prompt";
        self
    }

    /// Makes the CA without serving it.
    ///
    /// # Panics
    /// If `cairn ca init` fails.
    pub fn init(self) -> TestCa {
        let kept = match self.place {
            Some(_) => None,
            None => Some(tempfile::tempdir().expect("a temporary folder")),
        };
        let own = kept.as_ref().map(|folder| folder.path().to_owned());
        let ca = TestCa {
            folder: self.place.or(own).expect("one of both"),
            _kept: kept,
            environment: self.environment,
            prompts: self.unlock == "prompt",
            process: None,
        };
        let mut command = Command::new(places::cairn());
        command
            .args(["ca", "init"])
            .arg(ca.dir())
            .args(["--name", "Test", "--url", URL]);
        command
            .args(["--unlock", self.unlock])
            .args(&self.arguments);
        let output = with_passphrase(&mut command);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "cairn ca init: {}\n{err}",
            output.status
        );
        ca.edit(|mut text| {
            for (key, value) in &self.settings {
                text = settings::set(&text, key, value);
            }
            format!("{text}\n{}", self.tables)
        });
        issued::keep_root(&ca.root());
        ca
    }

    /// Makes the CA and serves it.
    pub fn start(self) -> TestCa {
        let mut ca = self.init();
        ca.start();
        ca
    }
}

impl TestCa {
    /// A CA as the module's head describes it, to be changed.
    pub fn builder() -> Builder {
        let builder = Builder {
            arguments: vec![],
            settings: vec![],
            tables: String::new(),
            place: None,
            environment: vec![],
            unlock: "file",
        };
        builder
            .set("listen.subscribers", &format!("[\"{SUBSCRIBERS}\"]"))
            .set("listen.publication", &format!("[\"{PUBLICATION}\"]"))
            .set("dns.servers", "[\"127.0.0.1:53\"]")
            // A slow disk of the test's machine turns nobody away.
            .set("limits.queue_age", "\"60s\"")
            .tables("[[names]]\nsuffix = \"test\"\ndial = [\"127.0.0.0/8\"]")
    }

    /// A namespace that knows `ca.test`.
    pub fn namespace() -> Namespace {
        Namespace::new().host([127, 0, 0, 1], "ca.test")
    }

    /// Serves until ready.
    ///
    /// # Panics
    /// If it ends before that, or is not ready in time.
    pub fn start(&mut self) {
        if let Err(status) = self.try_start() {
            panic!("cairn ca serve ended: {status}");
        }
    }

    /// Serves until ready; the exit status if it ends before.
    ///
    /// # Errors
    /// If the server ends; [`log`](Self::log) has its reasons.
    pub fn try_start(&mut self) -> Result<(), ExitStatus> {
        let input = match self.prompts {
            true => format!("{PASSPHRASE}\n"),
            false => String::new(),
        };
        self.try_start_with(input.as_bytes())
    }

    /// The same with these bytes on the server's standard input.
    ///
    /// # Errors
    /// If the server ends; [`log`](Self::log) has its reasons.
    pub fn try_start_with(&mut self, input: &[u8]) -> Result<(), ExitStatus> {
        let process = self.process.insert(self.spawn(input));
        let ready = || match process.ended() {
            Some(status) => Some(Err(status)),
            None => get(PUBLICATION, "/health/ready")
                .filter(|(status, _)| *status == 200)
                .map(|_| Ok(())),
        };
        match crate::wait_for(PATIENCE, ready) {
            Some(answer) => answer,
            None => panic!(
                "cairn ca serve is not ready after {PATIENCE:?}: {:#?}",
                self.log()
            ),
        }
    }

    /// Serves until it answers, ready or not; `false` if it ends before that.
    ///
    /// # Panics
    /// If it does neither in time.
    pub fn try_start_unready(&mut self) -> bool {
        let process = self.process.insert(self.spawn(&[]));
        let alive = || match process.ended() {
            Some(_) => Some(false),
            None => get(PUBLICATION, "/health/live").map(|_| true),
        };
        crate::wait_for(PATIENCE, alive).expect("it neither serves nor ends")
    }

    fn spawn(&self, input: &[u8]) -> Process {
        let mut command = Command::new(places::cairn());
        command.args(["ca", "serve", "--dir"]).arg(self.dir());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::start_with("cairn ca serve", &mut command, input)
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// Kills it as a crash would and serves again.
    pub fn crash(&mut self) {
        self.kill();
        self.start();
    }

    /// SIGTERM; waits for the end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("a running CA");
        process.signal(Signal::TERM);
        process
            .wait(PATIENCE)
            .unwrap_or_else(|| panic!("still there {PATIENCE:?} after SIGTERM"))
    }

    /// SIGHUP: the configuration is read anew. Returns at once; wait for the log line.
    pub fn reload(&self) {
        self.process
            .as_ref()
            .expect("a running CA")
            .signal(Signal::HUP);
    }

    /// The server's process, to wait for lines and to signal.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running CA")
    }

    /// What the server said since it was last started.
    pub fn log(&self) -> Vec<String> {
        self.process
            .as_ref()
            .map(Process::lines)
            .unwrap_or_default()
    }

    /// Rewrites `cairn.toml`.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let path = self.dir().join("cairn.toml");
        let text = std::fs::read_to_string(&path).expect("cairn.toml");
        std::fs::write(&path, change(text)).expect("cairn.toml");
    }

    /// Sets one key of `cairn.toml`; holds from the next start or reload.
    pub fn set(&self, key: &str, value: &str) {
        self.edit(|text| settings::set(&text, key, value));
    }

    /// Any `cairn ca …` command on this CA's folder: status, stdout, stderr.
    pub fn command(&self, words: &[&str]) -> (ExitStatus, String, String) {
        let mut command = Command::new(places::cairn());
        command.arg("ca").args(words).arg("--dir").arg(self.dir());
        let output = command.output().expect("the cairn binary");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status, text(&output.stdout), text(&output.stderr))
    }

    /// A GET on the operator's socket: status and body; `None` while nobody answers.
    pub fn operator(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        let stream = UnixStream::connect(self.dir().join("operator.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        exchange(stream, path)
    }

    /// The CA's folder.
    pub fn dir(&self) -> PathBuf {
        self.folder.join("ca")
    }

    /// The root certificate's file.
    pub fn root_path(&self) -> PathBuf {
        self.dir().join("root.pem")
    }

    /// The root certificate, PEM.
    pub fn root(&self) -> String {
        std::fs::read_to_string(self.root_path()).expect("root.pem")
    }

    /// The directory's URL.
    pub fn directory(&self) -> String {
        format!("{URL}/directory")
    }

    /// A new raw client, without an account.
    pub async fn client(&self) -> Client {
        Client::connect(&self.directory(), &self.root()).await
    }

    /// A new raw client with an account.
    pub async fn subscriber(&self) -> Client {
        let mut client = self.client().await;
        client.new_account().await.expect(201);
        client
    }

    /// Keeps for the judges what this CA shows of itself: its own listener's chain, and the CRLs
    /// that the certificates seen in this test name.
    fn keep_public(&self) {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "s_client",
            "-connect",
            SUBSCRIBERS,
            "-servername",
            "ca.test",
            "-showcerts",
        ]);
        if let Ok(output) = openssl.stdin(Stdio::null()).output() {
            let said = String::from_utf8_lossy(&output.stdout);
            // Each certificate is printed between two lines of its own, among other talk.
            let mut inside = false;
            let lines = said.lines().filter(|line| {
                inside |= line.starts_with("-----BEGIN CERTIFICATE");
                let keep = inside;
                inside &= !line.starts_with("-----END CERTIFICATE");
                keep
            });
            let chain: Vec<&str> = lines.collect();
            if !chain.is_empty() {
                issued::keep_chain(&(chain.join("\n") + "\n"));
            }
        }
        for url in issued::crl_urls() {
            let path = url
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'));
            let Some((_, path)) = path else { continue };
            if let Some((200, crl)) = get(PUBLICATION, &format!("/{path}")) {
                issued::keep_crl(&crl);
            }
        }
    }
}

impl Drop for TestCa {
    fn drop(&mut self) {
        if self
            .process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
        {
            self.keep_public();
        }
    }
}

/// Runs a command that asks for passphrases on standard input.
fn with_passphrase(command: &mut Command) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the cairn binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may not ask at all and end before it reads.
    stdin.write_all(format!("{PASSPHRASE}\n").as_bytes()).ok();
    drop(stdin);
    child.wait_with_output().expect("our own child")
}

/// A plain GET on the publication listener: status and body; `None` while nobody answers.
pub fn get(address: &str, path: &str) -> Option<(u16, Vec<u8>)> {
    let address: SocketAddr = address.parse().ok()?;
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    exchange(stream, path)
}

fn exchange(mut stream: impl Read + Write, path: &str) -> Option<(u16, Vec<u8>)> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: ca.test\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer);
    Some((head.split(' ').nth(1)?.parse().ok()?, body))
}

/// Whether a path's file holds this text; for what must not be written anywhere.
pub fn holds(path: &Path, text: &str) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes
        .windows(text.len().max(1))
        .any(|window| window == text.as_bytes())
}
