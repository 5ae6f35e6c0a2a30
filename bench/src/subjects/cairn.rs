//! Cairn as its users have it: `cairn ca init`, its `cairn.toml`, `cairn ca serve`; everything on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

use super::{Running, Stage, Start, answers_ok, free_port, local};
use crate::prepare::ZONE;

/// A CA in a folder of its own.
#[derive(Debug)]
pub(crate) struct Cairn {
    program: PathBuf,
    folder: PathBuf,
    subscribers: SocketAddr,
    publication: SocketAddr,
}

impl Cairn {
    /// Makes a CA in this empty folder.
    pub(crate) fn init(stage: &Stage, folder: &Path) -> Result<Self> {
        let ca = Self {
            program: stage.cairn.clone(),
            folder: folder.to_owned(),
            subscribers: local(free_port()?),
            publication: local(free_port()?),
        };
        let mut command = Command::new(&ca.program);
        command
            .args(["ca", "init"])
            .arg(ca.dir())
            .args(["--name", "Bench", "--unlock", "file"]);
        command.args(["--url", &ca.url()]).stdin(Stdio::null());
        let output = command
            .output()
            .with_context(|| ca.program.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "cairn ca init: {}\n{said}",
            output.status
        );
        ca.configure(|settings| {
            let text = |address: SocketAddr| Value::Array(vec![Value::String(address.to_string())]);
            set(settings, "listen", "subscribers", text(ca.subscribers));
            set(settings, "listen", "publication", text(ca.publication));
            set(settings, "dns", "servers", text(stage.dns));
            let rule = Table::from_iter([
                ("suffix".to_owned(), Value::from(ZONE)),
                ("dial".to_owned(), Value::from(vec!["127.0.0.0/8"])),
                (
                    "http_port".to_owned(),
                    Value::from(i64::from(stage.responder.port())),
                ),
            ]);
            settings.insert("names".to_owned(), Value::Array(vec![Value::Table(rule)]));
            // As `--permit-dns` writes it beside such a rule: CAA is asked for the name and for its zone.
            settings.insert("private_zones".to_owned(), Value::from(vec![ZONE]));
        })?;
        Ok(ca)
    }

    /// Answers are no longer held back.
    pub(crate) fn without_holds(&self) -> Result<()> {
        self.configure(|settings| set(settings, "limits", "hold", Value::from("0s")))
    }

    /// Serves until ready.
    pub(crate) async fn serve(&self, stage: &Stage, flush_delay: Duration) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(["ca", "serve", "--dir"]).arg(self.dir());
        let start = Start {
            command,
            folder: &self.folder,
            address: self.subscribers,
            directory: format!("{}/directory", self.url()),
            root_pem: std::fs::read(self.dir().join("root.pem")).context("root.pem")?,
            flush_delay,
            ready: &|| answers_ok(self.publication, "/health/ready"),
        };
        start.spawn(&stage.preload).await
    }

    /// The CA's directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.join("ca")
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.subscribers.port())
    }

    fn configure(&self, change: impl FnOnce(&mut Table)) -> Result<()> {
        let path = self.dir().join("cairn.toml");
        let mut settings: Table = std::fs::read_to_string(&path)?
            .parse()
            .context("cairn.toml")?;
        change(&mut settings);
        std::fs::write(&path, settings.to_string())?;
        Ok(())
    }
}

fn set(settings: &mut Table, table: &str, key: &str, value: Value) {
    let table = settings
        .entry(table)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Some(table) = table.as_table_mut() {
        table.insert(key.to_owned(), value);
    }
}
