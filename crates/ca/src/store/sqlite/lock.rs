//! One server for a directory: an exclusive lock on a file that names its holder.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::OpenError;

const NAME: &str = "cairn.lock";

/// Held as long as the store is open; the kernel drops it with the process.
#[derive(Debug)]
pub(super) struct DirectoryLock(
    #[expect(dead_code, reason = "the lock lives as long as the file is open")] File,
);

/// Takes the directory, or says who has it.
pub(super) fn acquire(dir: &Path) -> Result<DirectoryLock, OpenError> {
    let path = dir.join(NAME);
    let io = |error| OpenError::Io {
        path: path.clone(),
        source: error,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without its pid the refusal still stands.
            let _ = (&mut file).take(32).read_to_string(&mut holder);
            return Err(OpenError::InUse {
                dir: dir.to_owned(),
                pid: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(DirectoryLock(file))
}
