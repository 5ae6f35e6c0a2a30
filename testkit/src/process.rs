//! A child process whose lines are kept: waited for, printed when its test fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

#[derive(Debug, Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

/// A running child; killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a command; its stdout and stderr are read line by line.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        Self::start_with(name, command, &[])
    }

    /// Starts a command with these bytes on its standard input, then the end of it.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn start_with(name: &str, command: &mut Command, input: &[u8]) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // Few bytes: the pipe holds them, whether they are read or not.
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(input).ok();
        }
        let lines = Arc::new(Lines::default());
        let readers = vec![
            keep(child.stdout.take().expect("a pipe"), lines.clone()),
            keep(child.stderr.take().expect("a pipe"), lines.clone()),
        ];
        Self {
            name: name.to_owned(),
            child,
            lines,
            readers,
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Every line so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line; `None` if none came in time.
    pub fn wait_line(&self, patience: Duration, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let end = Instant::now() + patience;
        let mut lines = self
            .lines
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            if let Some(line) = lines.iter().skip(seen).find(|line| wanted(line)) {
                return Some(line.clone());
            }
            seen = lines.len();
            let left = end.checked_duration_since(Instant::now())?;
            let waited = self.lines.more.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process id"), signal).expect("a signal to our own child");
    }

    /// A file of its own in `/proc`, such as `environ`; empty if there is none.
    pub fn proc(&self, name: &str) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/{name}", self.id())).unwrap_or_default()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = String::from_utf8_lossy(&self.proc("status")).into_owned();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map_or(0, |kib| kib * 1024)
    }

    /// Kills it as a crash would (SIGKILL) and reaps it.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// How it ended, with its last line read; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("our own child")?;
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
        Some(status)
    }

    /// Waits for its end; `None` if it did not end in time.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        crate::wait_for(patience, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("-- {} said:", self.name);
            for line in self.lines() {
                println!("   {line}");
            }
        }
    }
}

fn keep(pipe: impl Read + Send + 'static, lines: Arc<Lines>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            lines
                .lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
            lines.more.notify_all();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_waited_for_and_the_end_is_seen() {
        let mut shell = Process::start(
            "sh",
            Command::new("sh").args(["-c", "echo one; cat; exit 3"]),
        );
        assert!(
            shell
                .wait_line(Duration::from_secs(5), |line| line == "one")
                .is_some()
        );
        assert_eq!(
            shell
                .wait(Duration::from_secs(5))
                .and_then(|status| status.code()),
            Some(3)
        );
        assert!(
            shell
                .wait_line(Duration::from_millis(10), |line| line == "two")
                .is_none()
        );
    }
}
