//! `cairn ca dev`: a test CA in memory, from its first line to its report.

use std::{
    fs::File,
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use cairn_ca::{
    dev::{
        FAULTS, Format, Places, Ports, Scenario, Settings, TestCa, TestCaFault, Transcript,
        Verdict, transcript,
    },
    node::StartFault,
};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::serve::listen_hint;
use crate::{
    args::{CheckClient, Dev},
    failure::{Code, Failure},
    hardening, log,
    table::table,
    ui::Ui,
};

const WHAT: &str = "the test CA does not start";

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: &Dev, ui: &Ui) -> Result<(), Failure> {
    if args.list_faults {
        list_faults(ui);
        return Ok(());
    }
    hardening::raise_open_files();
    let settings = settings(args)?;
    log::start(&settings.config.log, ui.verbosity(), ui.is_quiet());
    // Fails only if somebody was faster, with the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(WHAT).because(&e))?;
    runtime.block_on(serve(settings, args, ui))
}

/// Every fault in a line.
fn list_faults(ui: &Ui) {
    #[derive(Serialize)]
    struct Row {
        fault: &'static str,
        value: &'static str,
        example: &'static str,
        at: Vec<&'static str>,
        does: &'static str,
    }
    let rows: Vec<Row> = FAULTS
        .iter()
        .map(|row| Row {
            fault: row.name,
            value: row.value,
            example: row.example,
            at: row.steps.iter().map(|step| step.name()).collect(),
            does: row.does,
        })
        .collect();
    ui.result(&rows, || {
        let line = |row: &Row| {
            let value = match row.value {
                "" => String::new(),
                value => format!("={value}"),
            };
            vec![format!("{}{value}", row.fault), row.does.to_owned()]
        };
        let lines: Vec<_> = rows.iter().map(line).collect();
        table(&["FAULT", "WHAT HAPPENS"], &lines)
    });
}

fn settings(args: &Dev) -> Result<Settings, Failure> {
    // Held until all are drawn, so that none is drawn twice.
    let mut drawn = Vec::new();
    let mut settled = |flag: &str, address| {
        settled(address, &mut drawn).map_err(|error| unusable(flag, address, &error))
    };
    let places = Places {
        listen: settled("--listen", args.listen)?,
        manage: settled("--manage", args.manage)?,
        dns: match args.dnsserver {
            None => settled("--dns", args.dns)?,
            Some(_) => args.dns,
        },
        dns_server: args.dnsserver,
        ports: Ports {
            http: args.http_port,
            tls: args.tls_port,
        },
        hosts: args.host.clone(),
    };
    let mut settings =
        Settings::usual(&places, &args.settings).map_err(|fault| failed(&fault, None))?;
    if let Some(path) = &args.scenario {
        settings.scenario = scenario(path)?;
    }
    settings.scenario.faults.extend(args.fault.iter().cloned());
    if let Some(seed) = args.seed {
        settings.scenario.seed = seed;
    }
    settings.dir.clone_from(&args.dir);
    if let Some(path) = &args.report {
        // Now, not when there is a report that would be lost.
        File::create(path).map_err(|error| {
            Failure::usage(format!("--report {} cannot be used", path.display())).because(&error)
        })?;
    }
    settings.transcript = Some(transcript::Settings {
        file: args.transcript.clone(),
    });
    Ok(settings)
}

/// The address with a port of its own, where any will do; the URLs are known before it is listened at.
fn settled(address: SocketAddr, drawn: &mut Vec<TcpListener>) -> io::Result<SocketAddr> {
    if address.port() != 0 {
        return Ok(address);
    }
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    drawn.push(listener);
    Ok(address)
}

fn unusable(flag: &str, address: SocketAddr, error: &io::Error) -> Failure {
    Failure::usage(format!("{flag} {address} cannot be used"))
        .because(error)
        .hint(listen_hint(error, &address.to_string()))
}

fn scenario(path: &Path) -> Result<Scenario, Failure> {
    let shown = || format!("--scenario {} cannot be used", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| Failure::usage(shown()).because(&e))?;
    Scenario::parse(&text).map_err(|e| Failure::usage(shown()).because(&e))
}

fn failed(fault: &TestCaFault, dir: Option<&Path>) -> Failure {
    let failure = Failure::new(WHAT).because(fault);
    match fault {
        TestCaFault::Start(StartFault::Listen {
            what,
            source,
            address,
        }) => {
            let flag = match *what {
                "subscribers" => "--listen",
                _ => "--manage",
            };
            Failure::usage(format!("{flag} {address} cannot be used"))
                .because(source)
                .hint(listen_hint(source, address))
        }
        TestCaFault::Dns { address, source } => unusable("--dns", *address, source),
        TestCaFault::Transcript(fault) => Failure::usage(fault.to_string()).because(fault),
        TestCaFault::Directory(source) => match dir {
            Some(dir) => {
                Failure::usage(format!("--dir {} cannot be used", dir.display())).because(source)
            }
            None => failure.code(Code::Usage),
        },
        TestCaFault::Config(_) | TestCaFault::Setting(_) => failure.code(Code::Usage),
        _ => failure,
    }
}

/// What a client has to know.
#[derive(Serialize)]
struct Hello {
    directory: String,
    root: String,
    manage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<String>,
    /// How to point a client at it, by the client's name.
    clients: Clients,
}

#[derive(Serialize)]
struct Clients {
    certbot: String,
    lego: String,
    #[serde(rename = "instant-acme")]
    instant_acme: String,
}

impl Hello {
    fn of(ca: &TestCa, manage: SocketAddr, ports: Ports) -> Self {
        let directory = ca.directory().to_owned();
        let root = ca.folder().join("root.pem").display().to_string();
        let (http, clients) = (ports.http, |text: &str| text.to_owned());
        Self {
            clients: Clients {
                certbot: format!(
                    "REQUESTS_CA_BUNDLE={root} certbot certonly --standalone --http-01-port {http} --server {directory} -d a.example"
                ),
                lego: format!(
                    "LEGO_CA_CERTIFICATES={root} lego --server {directory} --http --http.port :{http} --accept-tos -m a@b.example -d a.example run"
                ),
                instant_acme: clients(&format!(
                    "Account::builder_with_root(\"{root}\")?.create(&new, \"{directory}\".to_owned(), None)"
                )),
            },
            directory,
            root,
            manage: format!("http://{manage}"),
            dns: ca.dns().map(|address| address.to_string()),
        }
    }

    fn say(&self, ui: &Ui) {
        if ui.is_json() {
            // One line, so that a program can wait for it.
            return ui.out(&serde_json::to_string(self).unwrap_or_default());
        }
        let mut text = format!(
            "directory {}\nroot {}\nmanage {}\n",
            self.directory, self.root, self.manage
        );
        if let Some(dns) = &self.dns {
            text.push_str(&format!("dns {dns}\n"));
        }
        let Clients {
            certbot,
            lego,
            instant_acme,
        } = &self.clients;
        ui.out(&format!("{text}\n{certbot}\n{lego}\n{instant_acme}\nready"));
    }
}

async fn serve(settings: Settings, args: &Dev, ui: &Ui) -> Result<(), Failure> {
    // Before anything listens: a signal during the start ends it in good order too.
    let listen = |kind| signal(kind).map_err(|e| Failure::new(WHAT).because(&e));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let ports = settings
        .conduct
        .open
        .unwrap_or(Ports { http: 80, tls: 443 });
    let ca = TestCa::start(settings)
        .await
        .map_err(|fault| failed(&fault, args.dir.as_deref()))?;
    let manage = ca.node().publication.first().copied();
    if let Some(manage) = manage {
        Hello::of(&ca, manage, ports).say(ui);
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // What is under way is answered, and judged too.
    let kept = ca.doors().transcript().cloned();
    ca.shutdown().await;
    match kept {
        Some(kept) => conclude(&kept, args.check_client, args.report.as_deref(), ui),
        None => Ok(()),
    }
}

/// Reports what clients did wrong; it fails the run only where that was asked for.
fn conclude(
    kept: &Transcript,
    check: Option<CheckClient>,
    file: Option<&Path>,
    ui: &Ui,
) -> Result<(), Failure> {
    let strict = check == Some(CheckClient::Strict);
    match file {
        Some(path) => {
            let form = match path.extension().and_then(|end| end.to_str()) {
                Some("json") => Format::Json,
                Some("xml") => Format::Junit,
                _ => Format::Text,
            };
            std::fs::write(path, kept.report(form, strict)).map_err(|error| {
                Failure::new(format!(
                    "the report cannot be written to {}",
                    path.display()
                ))
                .because(&error)
            })?;
        }
        None if ui.is_json() => ui.out(&kept.report(Format::Json, strict)),
        None => ui.out(kept.report(Format::Text, strict).trim_end()),
    }
    match kept.verdict(strict) {
        Verdict::Fail if check.is_some() => Err(Failure::new("a client broke the rules of ACME")
            .hint("the report says which, with the exchanges that show it".to_owned())),
        Verdict::Pass | Verdict::Fail => Ok(()),
    }
}
