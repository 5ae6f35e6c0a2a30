//! The real `cairn ca dev`: started as a client's tests start it, known by the one line that it says with `--json`, asked by
//! its management interface, and ended by a signal.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::acme::Client;
use crate::http::Responder;
use crate::places;
use crate::process::Process;

/// The time that a start or an end may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far the ports of two of them lie apart.
const APART: u16 = 10;

/// A running test CA; killed when dropped.
#[derive(Debug)]
pub struct DevCa {
    process: Process,
    hello: Value,
    http_port: u16,
}

/// What the management interface answered.
#[derive(Debug)]
pub struct Told {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Told {
    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The command, for tests of what it says before it serves.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(places::cairn());
    command.args(["ca", "dev"]).args(words);
    command
}

impl DevCa {
    /// Starts one at its usual ports.
    ///
    /// # Panics
    /// If it does not serve.
    pub fn start(words: &[&str]) -> Self {
        Self::at(0, words)
    }

    /// Starts one at ports of its own, so that several serve beside each other; number 0 has the usual ones.
    ///
    /// # Panics
    /// If it does not serve.
    pub fn at(number: u16, words: &[&str]) -> Self {
        let port = |usual: u16| usual + number * APART;
        let (listen, manage, dns) = (port(14_000), port(14_001), port(14_053));
        let mut command = command(&[]);
        command.arg("--json");
        if number > 0 {
            for (flag, port) in [("--listen", listen), ("--manage", manage), ("--dns", dns)] {
                command.arg(flag).arg(format!("127.0.0.1:{port}"));
            }
            for (flag, usual) in [("--http-port", 5002), ("--tls-port", 5001)] {
                command.arg(flag).arg(port(usual).to_string());
            }
        }
        let process = Process::start("cairn ca dev", command.args(words));
        let line = process.wait_line(PATIENCE, |line| line.starts_with('{'));
        let hello = line.and_then(|line| serde_json::from_str(&line).ok());
        Self {
            hello: hello.expect("a line of JSON when it serves"),
            process,
            http_port: port(5002),
        }
    }

    /// A member of what it said.
    ///
    /// # Panics
    /// If it said nothing of that.
    pub fn said(&self, name: &str) -> &str {
        self.hello[name].as_str().expect("a text that it said")
    }

    /// The directory's URL.
    pub fn directory(&self) -> String {
        self.said("directory").to_owned()
    }

    /// The file with its root.
    pub fn root_path(&self) -> PathBuf {
        self.said("root").into()
    }

    /// Where http-01 connects.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// What answers its http-01.
    pub fn responder(&self) -> Responder {
        Responder::start(([127, 0, 0, 1], self.http_port))
    }

    /// A raw client without account, whose certificates nobody judges: they may come from another time.
    ///
    /// # Panics
    /// If there is no directory.
    pub async fn client(&self) -> Client {
        let root = std::fs::read_to_string(self.root_path()).expect("root.pem");
        Client::connect(&self.directory(), &root).await.unjudged()
    }

    /// Calls the management interface.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Told {
        let authority = self.said("manage").trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).expect("the management interface");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Told {
            status: status.expect("a status"),
            body: body.to_owned(),
        }
    }

    /// Puts a fault in force; its id.
    ///
    /// # Panics
    /// If it is none.
    pub fn fault(&self, fault: &str) -> u64 {
        let told = self.call("POST", "/faults", &json!({ "fault": fault }).to_string());
        assert_eq!(told.status, 201, "{fault}: {}", told.body);
        told.json()["id"].as_u64().expect("an id")
    }

    /// Every exchange so far.
    ///
    /// # Panics
    /// If there is no transcript.
    pub fn transcript(&self) -> Vec<Value> {
        let told = self.call("GET", "/transcript", "");
        assert_eq!(told.status, 200, "{}", told.body);
        let line = |line| serde_json::from_str(line).expect("a line of JSON");
        told.body.lines().map(line).collect()
    }

    /// Ends it by a signal; its exit code and all that it said.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(mut self, signal: Signal) -> (Option<i32>, Vec<String>) {
        self.process.signal(signal);
        let status = self.process.wait(PATIENCE).expect("it ends when told to");
        (status.code(), self.process.lines())
    }
}
