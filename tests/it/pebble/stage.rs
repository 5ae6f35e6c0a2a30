//! A folder with Debian's example of a configuration, whoever is started from it, and the foreign clients that look at it.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use cairn_testkit::{netns::Namespace, peers, places, process::Process, wait_for};

/// Debian's example; its paths lead into Pebble's source.
const EXAMPLE: &str = "/usr/share/doc/pebble/examples/pebble-config.json";

/// A start makes RSA keys, on a slow machine several seconds long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn stage() -> Namespace {
    Namespace::new().seconds(600)
}

/// Who is called `pebble`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Debian,
    Cairn,
}

impl Subject {
    /// A folder of its own with certificate, configuration and the program's name.
    pub(crate) fn place(self) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        let example = std::fs::read_to_string(EXAMPLE).unwrap();
        let example = example.replace("test/certs/localhost/", "");
        let program = match self {
            Self::Debian => PathBuf::from("/usr/bin/pebble"),
            Self::Cairn => folder.path().join("pebble"),
        };
        if self == Self::Cairn {
            symlink(places::cairn(), &program).unwrap();
        }
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let mut place = Place {
            config: serde_json::from_str(&example).unwrap(),
            folder,
            program,
        };
        place.write();
        place
    }
}

pub(crate) struct Place {
    pub(crate) config: Value,
    folder: TempDir,
    program: PathBuf,
}

impl Place {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets a key of the configuration.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.config["pebble"][key] = value;
        self.write();
    }

    fn write(&mut self) {
        std::fs::write(self.path("pebble.json"), self.config.to_string()).unwrap();
    }

    /// The program, in its folder, with validations that ask nobody and no dice.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(self.folder.path());
        command
            .env("TMPDIR", self.path("tmp"))
            .env("PEBBLE_VA_ALWAYS_VALID", "1")
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0");
        command
    }

    /// Starts it from its configuration, and returns when both of its ports answer.
    pub(crate) fn start(&self, environment: &[(&str, &str)]) -> Process {
        let mut command = self.command(&["-config", "pebble.json"]);
        command.envs(environment.iter().copied());
        let process = Process::start("pebble", &mut command);
        let ready = |line: &str| line.contains("ACME directory available at: ");
        process.wait_line(PATIENCE, ready).expect("pebble's line");
        for port in [14000, 15000] {
            let up = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
            wait_for(PATIENCE, up).expect("pebble listens");
        }
        process
    }

    /// Fetches from the management interface into a file.
    pub(crate) fn keep(&self, path: &str) -> String {
        let shown = at(path, &[]);
        assert_eq!(shown.status, 200, "{path}");
        let file = self.path(&path.replace('/', "-"));
        std::fs::write(&file, shown.body).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

/// An answer as curl saw it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Shown {
    /// All values of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Asks the management interface.
pub(crate) fn at(path: &str, words: &[&str]) -> Shown {
    curl(&format!("https://localhost:15000/{path}"), words)
}

pub(crate) fn directory(place: &Place) -> Shown {
    let root = place.path("cert.pem");
    let trusting = ["--cacert", root.to_str().unwrap()];
    curl("https://localhost:14000/dir", &trusting)
}

pub(crate) fn curl(url: &str, words: &[&str]) -> Shown {
    let mut curl = peers::system("curl");
    curl.args(["--silent", "--show-error", "--http1.1", "--include"]);
    let output = curl
        .arg("--insecure")
        .args(words)
        .arg(url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{url}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    };
    Shown {
        status: status.parse().unwrap(),
        headers: lines.filter_map(header).collect(),
        body: body.to_owned(),
    }
}

/// Obtains a certificate with lego; the chain's file.
pub(crate) fn lego(place: &Place, name: &str, run: &[&str]) -> PathBuf {
    let home = format!("lego-{}", run.join("-").replace(' ', "-"));
    let words: Vec<&str> = ["run"].iter().chain(run).copied().collect();
    assert!(try_lego(place, &home, name, &[], &words), "lego {words:?}");
    place.path(&home).join(format!("certificates/{name}.crt"))
}

/// Whether lego did it, with options of its own and a command with its.
pub(crate) fn try_lego(
    place: &Place,
    home: &str,
    name: &str,
    options: &[&str],
    command: &[&str],
) -> bool {
    let mut lego = peers::system("lego");
    lego.env("LEGO_CA_CERTIFICATES", place.path("cert.pem"));
    lego.args(["--server", "https://localhost:14000/dir", "--accept-tos"]);
    lego.args(["--email", "one@example.org", "--domains", name, "--path"]);
    lego.arg(place.path(home)).args(options);
    lego.args(["--http", "--http.port", "127.0.0.1:5002"]);
    peers::run(lego.args(command)).status.success()
}

/// What openssl says of a file.
pub(crate) fn openssl(words: &[&str], file: impl AsRef<Path>) -> String {
    let mut openssl = peers::system("openssl");
    let output = openssl.args(words).arg("-in").arg(file.as_ref()).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}
