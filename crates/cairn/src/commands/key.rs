//! `cairn ca key`: issuers and chains beside the first.

use cairn_ca::{
    clock::{Clock, SystemClock},
    setup::{self, CertificateReport, CrossRequest, IssuerRequest},
};

use super::{directory, setup_failure};
use crate::{
    args::{KeyAdd, KeyCrossSign},
    failure::Failure,
    passphrase,
    ui::Ui,
    when,
};

/// Makes an issuer and says how to put it to work.
pub(crate) fn add(args: KeyAdd, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let what = format!("no issuer was made in {}", dir.display());
    let request = IssuerRequest {
        dir,
        name: args.name,
        key_kind: args.key_type.into(),
        root_key: args.root_key,
        now: SystemClock::default().wall(),
    };
    let report = setup::add_issuer(&request, &mut passphrase::ask)
        .map_err(|fault| setup_failure(&what, &fault))?;
    ui.result(&report, || {
        format!(
            "{}\nKey       {} (encrypted)",
            line(&report.issuing),
            report.key.display()
        )
    });
    ui.say(&format!(
        "\nIt signs nothing before cairn.toml names it; then restart the server:\n\n{}",
        report.table
    ));
    Ok(())
}

/// Makes a chain and says how to offer it.
pub(crate) fn cross_sign(args: KeyCrossSign, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let what = format!("no chain was made in {}", args.file.display());
    let request = CrossRequest {
        dir,
        issuer: args.issuer,
        root: args.root,
        root_key: args.root_key,
        file: args.file,
        now: SystemClock::default().wall(),
    };
    let report = setup::cross_sign(&request, &mut passphrase::ask)
        .map_err(|fault| setup_failure(&what, &fault))?;
    ui.result(&report, || {
        let root = report.root.as_deref().unwrap_or("the other root");
        format!("{}\nUnder     {root}", line(&report.certificate))
    });
    ui.say(&format!(
        "\nIt is offered once cairn.toml names it; then restart the server:\n\n{}",
        report.setting
    ));
    Ok(())
}

fn line(made: &CertificateReport) -> String {
    format!(
        "Issuing   {}  {}  until {}  {}",
        made.name,
        made.key,
        when::day(made.not_after),
        made.path.display()
    )
}
