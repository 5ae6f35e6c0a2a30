//! `cairn ca revoke`: looks the certificates up, says what it will do, asks, does it, and has the lists signed.

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, Write},
    path::Path,
};

use cairn_ca::{
    clock::{Clock, SystemClock},
    operator::{Query, RevokeQuery},
    store::Filter,
};
use cairn_x509::certificate::Certificate;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use super::{directory, query};
use crate::{
    args::{Reason, Revoke},
    failure::{Code, Failure},
    table::{plain, table},
    ui::Ui,
};

/// Serials of one question.
const PAGE: usize = 1000;

/// Revokes certificates by serial, by file, or all unconfirmed ones.
pub(crate) fn run(args: &Revoke, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let what = "nothing was revoked";
    let found = look_up(args, &dir, what)?;
    let (revoked, open): (Vec<Value>, Vec<Value>) = found
        .into_iter()
        .partition(|c| c["state"] == "revoked" && args.reason != Reason::KeyCompromise);
    for certificate in &revoked {
        ui.say(&format!(
            "{} is revoked already, since {}",
            query::member(certificate, "serial"),
            query::member(certificate, "revoked_at")
        ));
    }
    if open.is_empty() {
        ui.result(
            &json!({ "revoked": [], "failed": [], "crls": [], "changed": false }),
            || "nothing to revoke".to_owned(),
        );
        return Ok(());
    }
    if !args.yes {
        confirm(args, &open, ui)?;
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for page in open.chunks(PAGE) {
        let serials = page.iter().map(|c| query::member(c, "serial")).collect();
        let wanted = RevokeQuery {
            serials,
            reason: Some(args.reason.code()),
        };
        let mut answer = query::ask(&dir, Query::Revoke(wanted), what)?;
        for (member, into) in [("revoked", &mut done), ("failed", &mut failed)] {
            if let Some(Value::Array(some)) = answer.get_mut(member) {
                into.append(some);
            }
        }
    }
    // What is revoked is revoked, whatever becomes of the lists now.
    let lists = query::ask(&dir, Query::PublishCrls, "the lists are not signed yet");
    let crls = match &lists {
        Ok(answer) => answer["crls"].clone(),
        Err(_) => json!([]),
    };
    let result =
        json!({ "revoked": done, "failed": failed, "crls": crls, "changed": !done.is_empty() });
    ui.result(&result, || text(&done, &failed));
    say_lists(&lists, &dir, ui);
    if failed.is_empty() {
        return Ok(());
    }
    let code = if done.is_empty() {
        Code::Failed
    } else {
        Code::SomeFailed
    };
    let reasons = failed.iter().map(|f| query::member(f, "detail"));
    Err(Failure {
        causes: reasons.collect(),
        ..Failure::new(format!(
            "{} of {} certificates were not revoked",
            failed.len(),
            failed.len() + done.len()
        ))
        .code(code)
    })
}

/// The certificates as the CA knows them.
fn look_up(args: &Revoke, dir: &Path, what: &str) -> Result<Vec<Value>, Failure> {
    let mut serials: BTreeSet<String> = args
        .serials
        .iter()
        // People paste URLs and openssl's serials.
        .map(|text| {
            let last = text.rsplit('/').next().unwrap_or_default();
            last.replace(':', "").to_ascii_lowercase()
        })
        .collect();
    for path in &args.certificate {
        serials.insert(serial_of(path)?);
    }
    let mut found = Vec::new();
    let serials: Vec<String> = serials.into_iter().collect();
    for page in serials.chunks(PAGE) {
        let mut answer = query::ask(dir, Query::Certificates(page.to_vec()), what)?;
        let unknown = answer["unknown"].get(0).and_then(Value::as_str);
        if let Some(serial) = unknown {
            return Err(Failure::new(format!(
                "{what}: {} is no certificate here",
                plain(serial)
            )));
        }
        if let Some(Value::Array(some)) = answer.get_mut("certificates") {
            found.append(some);
        }
    }
    if args.unconfirmed {
        // An ended one needs no revocation, whether it exists or not.
        let mut filter = Filter {
            unconfirmed: true,
            expires_from: Some(SystemClock::default().wall()),
            limit: PAGE,
            ..Filter::default()
        };
        loop {
            let mut page = query::ask(dir, Query::ListCertificates(filter.clone()), what)?;
            if let Some(Value::Array(some)) = page.get_mut("certificates") {
                found.append(some);
            }
            match page.get("next").and_then(Value::as_i64) {
                Some(next) => filter.after = Some(next),
                None => break,
            }
        }
    }
    Ok(found)
}

/// The serial in a certificate's file.
fn serial_of(path: &Path) -> Result<String, Failure> {
    let what = format!("{} is no certificate", path.display());
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(&what).because(&e))?;
    let der = match bytes.first() {
        Some(&0x30) => bytes,
        _ => CertificateDer::from_pem_slice(&bytes)
            .map_err(|_| Failure::usage(format!("{what} (PEM, CERTIFICATE; or DER)")))?
            .to_vec(),
    };
    let parsed = Certificate::parse(&der).map_err(|e| Failure::usage(&what).because(&e))?;
    parsed.cairn_serial().map_or_else(
        || {
            Err(Failure::usage(format!(
                "{} is not of this CA",
                path.display()
            )))
        },
        |serial| Ok(serial.to_string()),
    )
}

/// Shows what will be done and asks a person for it.
fn confirm(args: &Revoke, open: &[Value], ui: &Ui) -> Result<(), Failure> {
    let not_asked = || {
        Failure::usage("nothing was revoked: nobody is there to be asked")
            .hint("--yes revokes without asking".to_owned())
    };
    if ui.is_json() || !std::io::stdin().is_terminal() {
        return Err(not_asked());
    }
    ui.warn(&preview(args, open));
    let mut out = std::io::stderr();
    let _ = write!(out, "Revoke? Nothing takes it back. [y/N] ");
    let _ = out.flush();
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|_| not_asked())?;
    match line.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was revoked: you said no")),
    }
}

fn preview(args: &Revoke, open: &[Value]) -> String {
    const SHOWN: usize = 20;
    let columns = ["serial", "state", "not_after", "names"];
    let rows: Vec<Vec<String>> = open
        .iter()
        .take(SHOWN)
        .map(|c| {
            columns
                .iter()
                .map(|column| query::member(c, column))
                .collect()
        })
        .collect();
    let mut text = format!(
        "{} will be revoked for good, reason {}\n{}",
        count(open.len()),
        args.reason.code(),
        table(&["SERIAL", "STATE", "NOT AFTER", "NAMES"], &rows)
    );
    if open.len() > SHOWN {
        text.push_str(&format!("\n… and {} more", open.len() - SHOWN));
    }
    if args.reason == Reason::KeyCompromise {
        text.push_str(
            "\nTheir keys are blocked: no certificate and no account will have them again.",
        );
    }
    text
}

fn count(certificates: usize) -> String {
    match certificates {
        1 => "1 certificate".to_owned(),
        n => format!("{n} certificates"),
    }
}

fn text(done: &[Value], failed: &[Value]) -> String {
    let line = |c: &Value| {
        let member = |name: &str| query::member(c, name);
        vec![member("serial"), member("reason"), member("names")]
    };
    let mut text = table(
        &["REVOKED", "REASON", "NAMES"],
        &done.iter().map(line).collect::<Vec<_>>(),
    );
    for fault in failed {
        text.push_str(&format!(
            "\nnot revoked: {}: {}",
            query::member(fault, "serial"),
            query::member(fault, "detail")
        ));
    }
    text
}

/// What became of the lists.
fn say_lists(lists: &Result<Value, Failure>, dir: &Path, ui: &Ui) {
    let answer = match lists {
        Ok(answer) => answer,
        Err(failure) => {
            ui.warn(&format!(
                "the lists are not signed yet ({}); the server does it within a minute, or says why not",
                failure.causes.join(": ")
            ));
            return;
        }
    };
    if answer["running"] != true {
        ui.say(&format!(
            "\nThe lists are signed when the server starts: cairn ca serve --dir {}",
            dir.display()
        ));
        return;
    }
    for list in answer["crls"].as_array().into_iter().flatten() {
        let (shard, number) = (query::member(list, "shard"), query::member(list, "number"));
        match list.get("error") {
            None => ui.say(&format!("CRL of shard {shard}: number {number} lists them")),
            Some(error) => ui.warn(&format!(
                "the CRL of shard {shard} could not be signed, and the one before stays published: {}; the server tries again",
                plain(error.as_str().unwrap_or_default())
            )),
        }
    }
}
