//! A copy of each published CRL in the CA's directory, apart from the store. A restore reads them: what was revoked since
//! its backup stays revoked (T-CA-122).

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use crate::model::StoredCrl;

/// Writes it beside the name and moves it into place, so that a reader finds the old or the new one whole.
pub(super) async fn keep(folder: PathBuf, crl: StoredCrl) -> io::Result<()> {
    tokio::task::spawn_blocking(move || write(folder, &crl))
        .await
        .map_err(io::Error::other)?
}

fn write(folder: PathBuf, crl: &StoredCrl) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    let path = folder.join(format!("{}-{}.crl", crl.issuer, crl.shard));
    let new = path.with_extension("crl.new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&crl.der)?;
    file.sync_all()?;
    fs::rename(&new, &path)
}
