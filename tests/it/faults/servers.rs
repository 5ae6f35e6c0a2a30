//! The servers that are set up wrongly: nginx, Apache (Debian), Caddy, Traefik (PyPI), Python's http.server, OpenSSL's
//! s_server and Go's net/http. Their configurations are `peers/faults.*`.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cairn_testkit::process::{Process, Signal};
use cairn_testkit::{peers, wait_for};

use super::{Case, Row, Scene, row};
use crate::clients::go;

/// nginx: sites at 80 and 443.
pub(super) const NGINX: [u8; 4] = [198, 41, 0, 10];
/// nginx with TLS at 80 and none at 443.
pub(super) const SWAPPED: [u8; 4] = [198, 41, 0, 11];
/// Apache's sites at 80; nginx at 443, which knows no name.
pub(super) const APACHE: [u8; 4] = [198, 41, 0, 12];
/// Apache with TLS at 80.
pub(super) const APACHE_TLS: [u8; 4] = [198, 41, 0, 13];
pub(super) const PYTHON: [u8; 4] = [198, 41, 0, 14];
/// Python's server, stopped: the system takes connections for it.
pub(super) const STOPPED: [u8; 4] = [198, 41, 0, 15];
/// s_server with TLS 1.2 and no protocols.
pub(super) const FRONT: [u8; 4] = [198, 41, 0, 16];
/// s_server with TLS 1.1 alone.
pub(super) const OLD: [u8; 4] = [198, 41, 0, 17];
/// s_server with h2 alone.
pub(super) const H2: [u8; 4] = [198, 41, 0, 18];
/// s_server that selects acme-tls/1 for its own certificate.
pub(super) const EAGER: [u8; 4] = [198, 41, 0, 19];
/// Go: a router's page at 80, a site at 443.
pub(super) const GO: [u8; 4] = [198, 41, 0, 20];
/// Go with TLS at 80.
pub(super) const GO_TLS: [u8; 4] = [198, 41, 0, 21];
pub(super) const CADDY: [u8; 4] = [198, 41, 0, 22];
pub(super) const TRAEFIK: [u8; 4] = [198, 41, 0, 23];
/// rustls at 80.
pub(super) const RUSTLS: [u8; 4] = [198, 41, 0, 24];
pub(super) const ALL: [[u8; 4]; 15] = [
    NGINX, SWAPPED, APACHE, APACHE_TLS, PYTHON, STOPPED, FRONT, OLD, H2, EAGER, GO, GO_TLS, CADDY,
    TRAEFIK, RUSTLS,
];
/// nginx with the old folder.
pub(super) const NGINX6: &str = "2001:503:ba3e::2:32";

const PATIENCE: Duration = Duration::from_secs(120);

/// A row whose name leads to this server, which has the right file in its folder.
pub(super) fn at(
    server: [u8; 4],
    fault: &'static str,
    name: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
) -> Row {
    row(fault, name, "http-01", kind, says, move |scene, case| {
        leads_to(scene, case, server);
    })
}

pub(super) fn leads_to(scene: &Scene, case: &Case, server: [u8; 4]) {
    place(scene, "www", case, &case.key_authorization);
    scene.dns.add_address(&case.name, server);
}

/// Writes a challenge's file below a folder.
pub(super) fn place(scene: &Scene, folder: &str, case: &Case, content: &str) {
    let file = scene.folder.path().join(folder).join(&case.path[1..]);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// What a server answers to the challenge's request, head and body.
pub(super) fn asked(server: impl Into<IpAddr>, case: &Case) -> String {
    let mut stream = TcpStream::connect((server.into(), 80)).unwrap();
    let (path, name) = (&case.path, &case.name);
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The folders that the servers read, and a certificate for this name.
fn furnish(folder: &Path, certificate_of: &[&str]) {
    let names: Vec<String> = certificate_of
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("site.pem", &made.cert.pem());
    write("site.key", &made.signing_key.serialize_pem());
    for name in ["www", "old", "private", "shop", "temp"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    write(
        "shop/index.html",
        "<!doctype html><title>Shop</title><div id=app>",
    );
    let mode = |name: &str, mode| {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    mode("private", 0o700);
}

/// Starts a server and waits until it listens.
fn start(name: &str, command: &mut Command, listens: &[([u8; 4], u16)]) -> Process {
    let mut process = Process::start(name, command);
    for (address, port) in listens {
        let address = SocketAddr::from((Ipv4Addr::from(*address), *port));
        let up = wait_for(PATIENCE, || {
            assert!(process.ended().is_none(), "{name}: {:#?}", process.lines());
            TcpStream::connect(address).ok()
        });
        assert!(up.is_some(), "{name} does not listen at {address}");
    }
    process
}

fn nginx(folder: &Path) -> Process {
    // Its certificates lie beside its configuration.
    fs::copy(peer("faults.nginx.conf"), folder.join("nginx.conf")).unwrap();
    let mut nginx = peers::system("nginx");
    nginx.args(["-e", "stderr", "-c", "nginx.conf", "-p"]);
    start("nginx", nginx.arg(folder), &[(NGINX, 80), (NGINX, 443)])
}

fn peer(name: &str) -> String {
    format!("{}/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn go(folder: &Path) -> Process {
    let program = folder.join("faulty_servers");
    let mut compiler = peers::system("go");
    compiler.current_dir(folder).env("HOME", folder);
    go::build(compiler, "faulty_servers.go", &program);
    let mut servers = peers::system(program.to_str().unwrap());
    servers.current_dir(folder).args(["site.pem", "site.key"]);
    let mut listens = Vec::new();
    for (address, port) in [(GO, 80), (GO, 443), (GO_TLS, 80)] {
        servers.arg(format!("{}:{port}", Ipv4Addr::from(address)));
        listens.push((address, port));
    }
    start("go", &mut servers, &listens)
}

fn python(folder: &Path, server: [u8; 4]) -> Process {
    let mut python = peers::system("python3");
    let address = Ipv4Addr::from(server).to_string();
    python.args(["-m", "http.server", "--bind", &address, "--directory"]);
    start(
        "python",
        python.arg(folder.join("old")).arg("80"),
        &[(server, 80)],
    )
}

/// For rows of the network.
pub(super) fn of_the_network(folder: &Path) -> Vec<Process> {
    furnish(folder, &["site.test"]);
    let stopped = python(folder, STOPPED);
    stopped.signal(Signal::STOP);
    vec![nginx(folder), go(folder), stopped]
}

/// For rows of a web server.
pub(super) fn of_the_web(folder: &Path) -> Vec<Process> {
    furnish(folder, &["site.test"]);
    let mut apache = peers::system("apache2");
    apache
        .args(["-DFOREGROUND", "-f", &peer("faults.httpd.conf")])
        .env("FOLDER", folder);
    vec![
        nginx(folder),
        go(folder),
        python(folder, PYTHON),
        start("apache2", &mut apache, &[(APACHE, 80), (APACHE_TLS, 80)]),
    ]
}

/// For rows of a TLS server.
pub(super) fn of_tls(folder: &Path) -> Vec<Process> {
    furnish(folder, &["front.f55a.test", "f55a.test"]);
    let openssl = |server: [u8; 4], words: &[&str]| {
        let mut openssl = peers::system("openssl");
        let address = format!("{}:443", Ipv4Addr::from(server));
        openssl.current_dir(folder).args(["s_server", "-quiet"]);
        openssl.args(["-cert", "site.pem", "-key", "site.key", "-accept", &address]);
        start("s_server", openssl.args(words), &[(server, 443)])
    };
    let caddyfile = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tstorage file_system {}/caddy\n}}\n\
         https://f56d.test {{\n\tbind {}\n\ttls internal\n\trespond hello\n}}\n",
        folder.display(),
        Ipv4Addr::from(CADDY),
    );
    fs::write(folder.join("Caddyfile"), caddyfile).unwrap();
    let mut caddy = peers::command("caddy");
    caddy.current_dir(folder).env("HOME", folder);
    caddy.args(["run", "--config", "Caddyfile"]);
    let routes = "http:\n  routers:\n    site:\n      rule: Host(`f56e.test`)\n      entryPoints: [tls]\n      \
                  service: ping@internal\n      tls: {}\n";
    fs::write(folder.join("routes.yml"), routes).unwrap();
    let mut traefik = peers::command("traefik");
    traefik.current_dir(folder).env("HOME", folder);
    traefik
        .args(["--global.checknewversion=false", "--ping.manualrouting"])
        .args(["--global.sendanonymoususage=false"])
        .args(["--providers.file.filename=routes.yml"])
        .arg(format!(
            "--entrypoints.tls.address={}:443",
            Ipv4Addr::from(TRAEFIK)
        ));
    vec![
        nginx(folder),
        go(folder),
        openssl(FRONT, &["-tls1_2"]),
        openssl(OLD, &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]),
        openssl(H2, &["-alpn", "h2"]),
        openssl(EAGER, &["-alpn", "acme-tls/1"]),
        start("caddy", &mut caddy, &[(CADDY, 443)]),
        start("traefik", &mut traefik, &[(TRAEFIK, 443)]),
    ]
}
