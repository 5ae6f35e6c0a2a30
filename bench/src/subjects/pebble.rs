//! Let's Encrypt's Pebble, as Debian has it, told to lose no time: no sleep before validation, no nonce refused without
//! cause, no authorization used again, so that each certificate is a validation.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Running, Stage, Start, free_port, local};

/// A Pebble with a new configuration; it keeps all else in memory.
pub(crate) struct Pebble;

impl Pebble {
    pub(crate) async fn start(stage: &Stage, folder: &Path) -> Result<Running> {
        let port = free_port()?;
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, own.cert.pem())?;
        std::fs::write(&key, own.signing_key.serialize_pem())?;
        let configuration = json!({"pebble": {
            "listenAddress": local(port),
            "managementListenAddress": "",
            "certificate": certificate,
            "privateKey": key,
            "httpPort": stage.responder.port(),
            "tlsPort": stage.alpn.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        let path = folder.join("pebble.json");
        std::fs::write(&path, configuration.to_string())?;
        let mut command = Command::new("pebble");
        command
            .arg("-config")
            .arg(&path)
            .arg("-dnsserver")
            .arg(stage.dns.to_string());
        command
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", "0");
        let start = Start {
            command,
            folder,
            address: local(port),
            directory: format!("https://localhost:{port}/dir"),
            root_pem: &|| Ok(own.cert.pem().into_bytes()),
            flush_delay: Duration::ZERO,
            ready: &|| TcpStream::connect(local(port)).is_ok(),
        };
        start
            .spawn(&stage.preload)
            .await
            .context("Debian's pebble; `make peers` installs it")
    }
}
