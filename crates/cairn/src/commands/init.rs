//! `cairn ca init`.

use cairn_ca::{
    clock::{Clock, SystemClock},
    config::Unlock,
    setup::{self, InitReport, InitRequest},
};

use super::setup_failure;
use crate::{args::Init, failure::Failure, passphrase, table::table, ui::Ui, when};

/// Makes a CA and says what was made and what comes next.
pub(crate) fn run(args: Init, ui: &Ui) -> Result<(), Failure> {
    let shown = args.dir.display().to_string();
    let what = format!("no CA was made in {shown}");
    let url = match args.url {
        Some(url) => url,
        None => default_url().map_err(|e| {
            Failure::usage(&what)
                .because(&e)
                .hint("choose one: --url https://HOST".to_owned())
        })?,
    };
    let request = InitRequest {
        dir: args.dir,
        name: args.name,
        url,
        permit_dns: args.permit_dns,
        permit_ip: args.permit_ip,
        key_kind: args.key_type.into(),
        unlock: Unlock::from(args.unlock),
        crl_shards: args.crl_shards,
        ports: (args.http_port, args.tls_port),
        settings: args.settings,
        now: SystemClock::default().wall(),
    };
    let report = setup::init(&request, &mut passphrase::choose)
        .map_err(|fault| setup_failure(&what, &fault))?;
    ui.result(&report, || text(&report));
    ui.say(&format!("\nnext: cairn ca serve --dir {}", quoted(&shown)));
    Ok(())
}

/// This host's full name; the ports that this user may have.
fn default_url() -> Result<cairn_ca::config::BaseUrl, cairn_ca::config::BadBaseUrl> {
    let host = setup::full_name();
    let port = if rustix::process::geteuid().is_root() {
        ""
    } else {
        ":14443"
    };
    format!("https://{host}{port}").parse()
}

fn text(report: &InitReport) -> String {
    let certificate = |label: &str, made: &setup::CertificateReport, more: String| {
        vec![
            format!("{label:<8}"),
            made.name.clone(),
            made.key.clone(),
            format!("until {}", when::day(made.not_after)),
            more,
        ]
    };
    let mut may = match report.permitted.as_slice() {
        [] => "may sign: any name".to_owned(),
        some => format!("may sign: {} and below", some.join(", ")),
    };
    for range in &report.permitted_ip {
        may.push_str(&format!(", {range}"));
    }
    let rows = [
        certificate("Root", &report.root, report.root.path.display().to_string()),
        certificate("Issuing", &report.issuing, may),
    ];
    let [heading, rest @ ..] = &rows;
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let mut text = table(&heading, rest);
    let keys = report
        .root_key
        .parent()
        .map(|p| p.display().to_string())
        .unwrap_or_default();
    let passphrase = match (&report.passphrase_file, &report.credential) {
        (Some(file), _) => format!(
            "the passphrase lies beside them, in {}: who copies both has the keys",
            file.display()
        ),
        (None, Some(name)) => {
            format!("the server gets the passphrase from systemd's credential \"{name}\"")
        }
        (None, None) => "the passphrase is not stored anywhere".to_owned(),
    };
    for (label, value) in [
        ("Keys", format!("{keys}/ (encrypted; {passphrase})")),
        (
            "Root key",
            "move keys/root.key.pem offline: serving does not need it".to_owned(),
        ),
        (
            "URL",
            format!(
                "{}   (kept for ever: --url chooses another)",
                report.directory
            ),
        ),
    ] {
        text.push_str(&format!("\n{label:<10}{value}"));
    }
    if let Some(name) = &report.credential {
        text.push_str(&format!(
            "\n\nSeal the passphrase for this machine, and name it in the unit:\n  systemd-ask-password -n | systemd-creds encrypt --name={name} - /etc/credstore.encrypted/{name}\n  LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}"
        ));
    }
    text
}

/// As a shell takes it.
fn quoted(path: &str) -> String {
    let bare = !path.is_empty()
        && path
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-+@:".contains(c));
    if bare {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_path_is_printed_as_a_shell_takes_it() {
        assert_eq!(quoted("widgets-ca"), "widgets-ca");
        assert_eq!(quoted("it's $(x)"), "'it'\\''s $(x)'");
    }
}
