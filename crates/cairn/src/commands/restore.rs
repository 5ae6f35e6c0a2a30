//! `cairn ca restore`.

use cairn_ca::{node, store};
use serde::Serialize;

use super::directory;
use crate::{
    args::{Place, Restore},
    failure::Failure,
    ui::Ui,
};

/// What was restored.
#[derive(Serialize)]
struct Restored {
    /// Where.
    dir: std::path::PathBuf,
    /// From what.
    backup: std::path::PathBuf,
    /// The new epoch: serials, CRL numbers and nonces of the lost time can't come again.
    epoch: u8,
    /// Something changed; always.
    changed: bool,
}

/// Puts a backup into a directory without a store, under a new epoch.
pub(crate) fn run(args: &Restore, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&Place {
        dir: Some(args.dir.clone()),
    })?;
    let what = format!("nothing was restored into {}", dir.display());
    let epoch = store::restore(&args.backup, &node::location(&dir))
        .map_err(|fault| Failure::new(what).because(&fault))?;
    let restored = Restored {
        dir: dir.clone(),
        backup: args.backup.clone(),
        epoch,
        changed: true,
    };
    ui.result(&restored, || {
        format!("Restored   {}   epoch {epoch}: serials, CRL numbers and nonces of the lost time can't come again", dir.display())
    });
    ui.say(&format!("\nnext: cairn ca serve --dir {}", dir.display()));
    Ok(())
}
