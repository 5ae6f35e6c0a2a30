//! Debian's Pebble, Let's Encrypt's own test server: what a test's script is judged by before Cairn is. Or Cairn called by
//! that name, with the same configuration, flags and environment.
//!
//! Meant for a namespace of the test's own that knows [`NAME`]. It asks DNS at 127.0.0.1:53 and validates at the real
//! ports 80 and 443.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::places;
use crate::process::Process;

/// The host of its URLs; the namespace's hosts file leads it to 127.0.0.1.
pub const NAME: &str = "pebble.test";

const LISTEN: &str = "127.0.0.1:14000";

/// The time that a start may take on a loaded machine; RSA keys are made in it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who is called `pebble`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Debian's package.
    Debian,
    /// Cairn, through a link of that name.
    Cairn,
}

/// A running Pebble; killed when dropped.
#[derive(Debug)]
pub struct Pebble {
    program: Program,
    root: PathBuf,
    process: Process,
}

impl Pebble {
    /// Serves from this folder, where its own certificate lies too; refuses so many nonces of a hundred without cause.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start(folder: &Path, refused_nonces: u32) -> Self {
        Self::start_as(Program::Debian, folder, refused_nonces)
    }

    /// The same with this program of that name.
    ///
    /// # Panics
    /// If it does not listen in time.
    pub fn start_as(program: Program, folder: &Path, refused_nonces: u32) -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let (root, key) = (folder.join("pebble.pem"), folder.join("pebble.key.pem"));
        std::fs::write(&root, made.cert.pem()).expect("a file for Pebble");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file for Pebble");
        let config = json!({ "pebble": {
            "listenAddress": LISTEN,
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": root,
            "privateKey": key,
            "httpPort": 80,
            "tlsPort": 443,
        }});
        let file = folder.join("pebble.json");
        std::fs::write(&file, config.to_string()).expect("a file for Pebble");
        let mut command = match program {
            Program::Debian => Command::new("pebble"),
            Program::Cairn => {
                let link = folder.join("pebble");
                std::os::unix::fs::symlink(places::cairn(), &link).expect("a link to cairn");
                Command::new(link)
            }
        };
        command
            .args(["-strict", "-dnsserver", "127.0.0.1:53", "-config"])
            .arg(&file)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", refused_nonces.to_string())
            // Each order is validated: that is what is looked at.
            .env("PEBBLE_AUTHZREUSE", "0")
            // What is killed removes nothing; the test's folder goes at its end.
            .env("TMPDIR", folder);
        let process = Process::start("pebble", &mut command);
        let up = || std::net::TcpStream::connect(LISTEN).ok();
        crate::wait_for(PATIENCE, up).expect("pebble listens");
        Self {
            program,
            root,
            process,
        }
    }

    /// Who it is.
    pub fn program(&self) -> Program {
        self.program
    }

    /// The directory's URL.
    pub fn directory(&self) -> String {
        format!("https://{NAME}:14000/dir")
    }

    /// The certificate that its listener shows, which signs itself.
    pub fn root_path(&self) -> &Path {
        &self.root
    }

    /// What it said so far.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }
}
