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
    let report =
        store::restore(&args.backup, &dir, now, args.replace, args.epoch).map_err(|fault| {
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
    let restored = Restored {
        dir,
        backup: args.backup.clone(),
        epoch: report.epoch,
        until: report.until,
        replaced: report.replaced,
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
    if let Some(replaced) = &restored.replaced {
        text.push_str(&format!("\nBefore     kept in {}", replaced.display()));
    }
    text
}
