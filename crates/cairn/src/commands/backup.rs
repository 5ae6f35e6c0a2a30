//! `cairn ca backup`.

use cairn_ca::{operator::Query, setup};

use super::{directory, query, setup_failure};
use crate::{args::Backup, failure::Failure, ui::Ui};

/// Copies the store into one new file while the server goes on.
pub(crate) fn run(args: &Backup, ui: &Ui) -> Result<(), Failure> {
    let dir = directory(&args.place)?;
    let what = format!("no backup was made of {}", dir.display());
    if args.file.exists() {
        return Err(Failure::new(what).because(&std::io::Error::other(format!(
            "{} exists; nothing is overwritten",
            args.file.display()
        ))));
    }
    // The server has another working directory.
    let file = std::path::absolute(&args.file).map_err(|e| Failure::new(&what).because(&e))?;
    let answer = query::ask(&dir, Query::Backup(file.clone()), &what)?;
    ui.result(&answer, || {
        format!(
            "Backup     {}   (accounts, orders, certificates; no keys)",
            file.display()
        )
    });
    let beside: Vec<_> = setup::needed_files(&dir)
        .map_err(|fault| setup_failure(&what, &fault))?
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    ui.say(&format!(
        "\nnext: keep with it, on another machine, what a restored CA needs: {}\n      cairn ca restore {} DIR, where DIR has those files, brings the CA back",
        beside.join(", "),
        file.display()
    ));
    Ok(())
}
