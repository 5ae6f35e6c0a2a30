//! `cairn ca restore`.

use std::path::PathBuf;

use cairn_acme::time::Timestamp;
use cairn_ca::{
    clock::{Clock, SystemClock},
    setup,
    store::{self, RestoreError},
};
use serde::Serialize;

use super::{directory, setup_failure};
use crate::{
    args::{Place, Restore},
    failure::Failure,
    ui::Ui,
    when,
};

/// What was restored.
#[derive(Serialize)]
struct Restored {
    /// Where.
    dir: PathBuf,
    /// From what.
    backup: PathBuf,
    /// The new epoch: serials, CRL numbers and nonces of the lost time can't come again.
    epoch: u8,
    /// The newest moment that the backup knows; what came after it is lost.
    until: Timestamp,
    /// Where the state that was there before lies now.
    replaced: Option<PathBuf>,
    /// Revocations of the lost time that were taken over.
    revocations: usize,
    /// Accounts and authorizations that are ended now, and account keys that were changed.
    ended: usize,
    /// External account keys that were taken back.
    external_keys: usize,
    /// Something changed; always.
    changed: bool,
}

/// Puts a backup into a directory whose server does not run, under a new epoch.
pub(crate) fn run(args: &Restore, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&Place {
        dir: Some(args.dir.clone()),
    })?;
    let what = format!("nothing was restored into {}", dir.display());
    setup::check_restore(&args.backup, &dir).map_err(|fault| setup_failure(&what, &fault))?;
    let now = SystemClock::default().wall();
    let published =
        setup::published_lists(&dir, &args.crl).map_err(|fault| setup_failure(&what, &fault))?;
    for ignored in &published.ignored {
        ui.warn(&format!("a copy of a CRL is of no use: {ignored}"));
    }
    let (lists, replace, epoch) = (&published.lists, args.replace, args.epoch);
    let restored = store::restore(&args.backup, lists, &dir, now, replace, epoch);
    let report = restored.map_err(|fault| {
        let hint = match fault {
            RestoreError::Exists(_) => Some(
                "--replace restores all the same and keeps what is there under another name"
                    .to_owned(),
            ),
            RestoreError::Unreadable(_) => Some("--epoch N names it".to_owned()),
            _ => None,
        };
        Failure::new(&what).because(&fault).hint(hint)
    })?;
    if let Some(reason) = &report.unread {
        ui.warn(&format!(
            "the replaced store could not be read: what was revoked since the backup is known from published lists alone; keys that were blocked, accounts that were deactivated and account keys that were changed since are not: {reason}"
        ));
    }
    let restored = Restored {
        dir,
        backup: args.backup.clone(),
        epoch: report.epoch,
        until: report.until,
        replaced: report.replaced,
        revocations: report.revocations,
        ended: report.ended,
        external_keys: report.external_keys,
        changed: true,
    };
    ui.result(&restored, || text(&restored, now));
    ui.say(&format!(
        "\nnext: cairn ca serve --dir {}",
        restored.dir.display()
    ));
    Ok(())
}

fn text(restored: &Restored, now: Timestamp) -> String {
    let mut text = format!(
        "Restored   {}   as it was {}\nEpoch      {}: serials, CRL numbers and nonces of the lost time can't come again",
        restored.dir.display(),
        when::both(restored.until, now),
        restored.epoch,
    );
    if restored.revocations > 0 {
        text.push_str(&format!(
            "\nRevoked    {} certificates more than the backup knew",
            restored.revocations
        ));
    }
    if restored.ended > 0 {
        text.push_str(&format!(
            "\nEnded      {} accounts, authorizations and account keys that the backup had as valid",
            restored.ended
        ));
    }
    if restored.external_keys > 0 {
        text.push_str(&format!(
            "\nEAB keys   {} taken back: nobody knows which were used since; give out others (cairn ca eab add)",
            restored.external_keys
        ));
    }
    if let Some(replaced) = &restored.replaced {
        text.push_str(&format!("\nBefore     kept in {}", replaced.display()));
    }
    text
}
