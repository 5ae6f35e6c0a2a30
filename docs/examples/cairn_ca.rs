//! A test CA for the tests of an ACME client in Rust. Needs `serde_json`.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running test CA; killed when dropped.
pub struct Ca {
    process: Child,
    /// The directory's URL.
    pub directory: String,
    /// The file with its root.
    pub root: String,
    manage: String,
}

impl Ca {
    /// Starts one, at ports of its own.
    pub fn start(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["ca", "dev", "--json"]);
        for flag in ["--listen", "--manage", "--dns"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let mut process = command.args(words).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = process.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let hello: Value = serde_json::from_str(&line)?;
        let text = |name: &str| hello[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            directory: text("directory"),
            root: text("root"),
            manage: text("manage").replace("http://", ""),
            process,
        })
    }

    /// Calls the management interface; the answer's body.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.manage)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.manage,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Ok(body.to_owned())
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        // Whoever wants its report ends it with SIGTERM.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
