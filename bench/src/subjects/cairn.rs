//! Cairn as its users have it: `cairn ca init`, its `cairn.toml`, `cairn ca serve`; everything on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cairn_x509::certificate::{Certificate, Serial};
use cairn_x509::crl::Crl;
use rusqlite::{Connection, OpenFlags, params};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
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
                (
                    "tls_port".to_owned(),
                    Value::from(i64::from(stage.alpn.port())),
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
            root_pem: &|| std::fs::read(self.dir().join("root.pem")).context("root.pem"),
            flush_delay,
            ready: &|| answers_ok(self.publication, "/health/ready"),
        };
        start.spawn(&stage.preload).await
    }

    /// Starts the operator's command that revokes these serials and has the list signed.
    pub(crate) fn revoke(&self, serials: &[String]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(["ca", "revoke", "--yes", "--json", "--dir"])
            .arg(self.dir())
            .args(serials)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.spawn().context("cairn ca revoke")
    }

    /// The published list of what is revoked, of the only shard that `ca init` makes.
    pub(crate) fn crl(&self) -> Result<Crl> {
        let issuer: String =
            self.store()?
                .query_row("SELECT lower(hex(id)) FROM issuers", [], |row| row.get(0))?;
        let mut stream = TcpStream::connect(self.publication)?;
        write!(
            stream,
            "GET /crl/{issuer}/0.crl HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let body = head.and_then(|head| answer.get(head + 4..));
        Ok(Crl::parse(body.context("an answer without a body")?)?)
    }

    /// Serials of certificates in its store, so many.
    pub(crate) fn serials(&self, count: usize) -> Result<Vec<Serial>> {
        let store = self.store()?;
        let mut statement = store.prepare(
            "SELECT c.serial FROM certificates c JOIN certificate_names n ON n.certificate = c.row \
             JOIN certificate_outcomes o ON o.certificate = c.row AND o.state = 1 \
             WHERE n.name LIKE '%.' || ?1 ORDER BY c.row DESC LIMIT ?2",
        )?;
        let count = i64::try_from(count)?;
        let found = statement.query_map(params![ZONE, count], |row| row.get::<_, [u8; 19]>(0))?;
        found
            .map(|serial| Serial::from_bytes(serial?).context("a serial in the store"))
            .collect()
    }

    /// The issuing certificate.
    pub(crate) fn issuer(&self) -> Result<Certificate> {
        let pem = std::fs::read(self.dir().join("issuing.pem")).context("issuing.pem")?;
        Ok(Certificate::parse(&CertificateDer::from_pem_slice(&pem)?)?)
    }

    fn store(&self) -> Result<Connection> {
        let path = self.dir().join("cairn.db");
        Ok(Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY,
        )?)
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
