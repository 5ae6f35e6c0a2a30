//! In place of `pebble-challtestsrv`: its flags, its log, its servers (`cairn_ca::dev::responder`). It reads nothing from
//! the environment.
//!
//! Where it differs: a port in use or no address ends it, in one line and with 2, before anything is logged as served; DNS
//! names are one in any case; a name that is an address has no default address; the log's time is UTC; what is wrong with a
//! body is told in Cairn's words; HTTPS is HTTP/1.1.

use std::{
    error::Error, ffi::OsString, fmt::Display, io, net::SocketAddr, path::Path, process::ExitCode,
    sync::Arc,
};

use cairn_ca::{
    clock::{Clock, SystemClock},
    dev::responder::{Data, Part, Server},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    go_address,
    go_flags::{self, BadFlags, Flag, Flags},
};
use crate::{failure::Failure, hardening, ui::Ui};

const NAME: &str = "pebble-challtestsrv";

const FLAGS: &[Flag] = &[
    Flag {
        name: "http01",
        default: Some(":5002"),
        means: "Comma separated bind addresses/ports for HTTP-01 challenges. Set empty to disable.",
    },
    Flag {
        name: "https01",
        default: Some(":5003"),
        means: "Comma separated bind addresses/ports for HTTPS HTTP-01 challenges. Set empty to disable.",
    },
    Flag {
        name: "dns01",
        default: Some(DNS),
        means: "Comma separated bind addresses/ports for DNS-01 challenges and fake DNS data. Set empty to disable.",
    },
    Flag {
        name: "dnsserver",
        default: Some(DNS),
        means: "The same as -dns01, by its later name.",
    },
    Flag {
        name: "tlsalpn01",
        default: Some(":5001"),
        means: "Comma separated bind addresses/ports for TLS-ALPN-01 challenges. Set empty to disable.",
    },
    Flag {
        name: "doh",
        default: Some(":8443"),
        means: "Comma separated bind addresses/ports for DNS over HTTPS, with -doh-cert and -doh-cert-key. Set empty to disable.",
    },
    Flag {
        name: "doh-cert",
        default: Some(""),
        means: "Path to the PEM certificate of the DNS over HTTPS server.",
    },
    Flag {
        name: "doh-cert-key",
        default: Some(""),
        means: "Path to the PEM key of the DNS over HTTPS server.",
    },
    Flag {
        name: "management",
        default: Some(":8055"),
        means: "Bind address/port for management HTTP interface",
    },
    Flag {
        name: "defaultIPv4",
        default: Some("127.0.0.1"),
        means: "Default IPv4 address for mock DNS responses to A queries",
    },
    Flag {
        name: "defaultIPv6",
        default: Some("::1"),
        means: "Default IPv6 address for mock DNS responses to AAAA queries",
    },
];

const DNS: &str = ":8053";

/// Runs it until SIGTERM or SIGINT.
pub(super) fn run(words: &[OsString]) -> ExitCode {
    let ui = Ui::plain();
    let words: Vec<_> = words
        .iter()
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    let flags = match Flags::parse(FLAGS, &words) {
        Ok(flags) => flags,
        Err(BadFlags::Help) => {
            ui.say(go_flags::usage(NAME, FLAGS).trim_end());
            return ExitCode::SUCCESS;
        }
        Err(bad) => {
            ui.say(&format!(
                "{bad}\n{}",
                go_flags::usage(NAME, FLAGS).trim_end()
            ));
            return ExitCode::from(2);
        }
    };
    match serve(&flags) {
        Ok(()) => ui.finish(),
        Err(failure) => ui.fail(&failure),
    }
}

/// What listens where, and by which flag.
struct Places {
    http: Vec<Place>,
    https: Vec<Place>,
    dns: Vec<Place>,
    tls_alpn: Vec<Place>,
    doh: Vec<Place>,
    management: Vec<Place>,
}

struct Place {
    flag: &'static str,
    text: String,
    address: SocketAddr,
}

impl Places {
    fn read(flags: &Flags) -> Result<Self, Failure> {
        // Whichever was said; -dns01 is every version's.
        let dns = match flags.value("dns01") == DNS {
            true => "dnsserver",
            false => "dns01",
        };
        let files = (flags.value("doh-cert"), flags.value("doh-cert-key"));
        let places = Self {
            http: read("http01", flags)?,
            https: read("https01", flags)?,
            dns: read(dns, flags)?,
            tls_alpn: read("tlsalpn01", flags)?,
            doh: match files {
                ("", _) | (_, "") => Vec::new(),
                _ => read("doh", flags)?,
            },
            management: read("management", flags)?,
        };
        let challenges = [&places.http, &places.https, &places.dns, &places.tls_alpn];
        if challenges
            .into_iter()
            .chain([&places.doh])
            .all(Vec::is_empty)
        {
            return Err(Failure::usage(
                "nothing to serve: -http01, -https01, -dns01 and -tlsalpn01 are all empty",
            ));
        }
        Ok(places)
    }

    /// The calls that there are.
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::History];
        if !self.http.is_empty() || !self.https.is_empty() {
            parts.push(Part::Http);
        }
        if !self.dns.is_empty() || !self.doh.is_empty() {
            parts.push(Part::Dns);
        }
        if !self.tls_alpn.is_empty() {
            parts.push(Part::TlsAlpn);
        }
        parts
    }
}

fn read(flag: &'static str, flags: &Flags) -> Result<Vec<Place>, Failure> {
    let texts = flags.value(flag).split(',').map(str::trim);
    let places = texts.filter(|text| !text.is_empty()).map(|text| {
        let address = go_address::listen(text).map_err(|bad| unfit(flag, text, &bad))?;
        Ok(Place {
            flag,
            text: text.to_owned(),
            address,
        })
    });
    places.collect()
}

/// One line: a script's author sees the flag and the reason.
fn unfit(flag: &str, text: &str, error: &dyn Error) -> Failure {
    let mut what = format!("-{flag}: {text:?}: {error}");
    if let Some(source) = error.source() {
        what.push_str(&format!(": {source}"));
    }
    Failure::usage(what)
}

fn serve(flags: &Flags) -> Result<(), Failure> {
    hardening::raise_open_files();
    // Fails only if somebody was faster, with the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new("the challenge server does not start").because(&e))?;
    runtime.block_on(serve_until_told(flags))
}

async fn serve_until_told(flags: &Flags) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new("the challenge server does not start").because(&e);
    // Before anything listens: a signal during the start ends it in good order too.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let places = Places::read(flags)?;
    let (ipv4, ipv6) = (flags.value("defaultIPv4"), flags.value("defaultIPv6"));
    let data = Arc::new(Data::new(ipv4, ipv6));
    let mut servers = start(&places, &data, flags)?;
    if places.parts().contains(&Part::Dns) {
        for (kind, default) in [("A", ipv4), ("AAAA", ipv6)] {
            if !default.is_empty() {
                line(format_args!(
                    "Answering {kind} queries with {default} by default"
                ));
            }
        }
    }
    line("Starting challenge servers");
    servers.extend(open(
        &places.management,
        "Starting management server",
        |address| Server::management(&data, address, places.parts(), |did| line(did)),
    )?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    line("Caught signals. Shutting down");
    line("Shutting down management server");
    for server in servers {
        server.stop().await;
    }
    line("Goodbye!");
    Ok(())
}

/// Everything but the management: what it answers for is there before it is.
fn start(places: &Places, data: &Arc<Data>, flags: &Flags) -> Result<Vec<Server>, Failure> {
    let certificate = Path::new(flags.value("doh-cert"));
    let key = Path::new(flags.value("doh-cert-key"));
    let mut servers = open(&places.http, "Creating HTTP-01 challenge server", |a| {
        Server::http(data, a)
    })?;
    servers.extend(open(
        &places.https,
        "Creating HTTPS HTTP-01 challenge server",
        |a| Server::https(data, a),
    )?);
    servers.extend(open(
        &places.dns,
        "Creating TCP and UDP DNS-01 challenge server",
        |a| Server::dns(data, a),
    )?);
    servers.extend(open(&places.doh, "Creating DoH server", |a| {
        Server::doh(data, a, certificate, key)
    })?);
    servers.extend(open(
        &places.tls_alpn,
        "Creating TLS-ALPN-01 challenge server",
        |a| Server::tls_alpn(data, a),
    )?);
    Ok(servers)
}

/// Opens a server at each place. Scripts wait for its line, so the socket is there before it.
fn open(
    places: &[Place],
    what: &str,
    start: impl Fn(SocketAddr) -> io::Result<Server>,
) -> Result<Vec<Server>, Failure> {
    let opened = places.iter().map(|place| {
        let server = start(place.address).map_err(|e| unfit(place.flag, &place.text, &e))?;
        line(format_args!("{what} on {}", place.text));
        Ok(server)
    });
    opened.collect()
}

/// A line of the log, on standard output, with the time in UTC.
fn line(text: impl Display) {
    let now = SystemClock::default().wall().to_string();
    let now = now.replace('-', "/").replace('T', " ");
    let now = now.trim_end_matches('Z');
    Ui::plain().out(&format!("{NAME} - {now} {text}"));
}
