//! Where a test CA's public files lie: in a temporary directory that goes with it, or in one that stays. A directory that
//! holds anything but an earlier test CA's files is not touched, least of all a CA's.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{config::FILE_NAME, node::CRL_COPIES, operator::SOCKET};

/// The first line of a test CA's `cairn.toml`, by which a later one knows whose directory it is.
pub(super) const MARK: &str = "# A test CA's, in memory: rewritten at its next start, and read by `cairn ca list --dir` and the like.\n";

/// Whom clients trust.
pub(super) const ROOT: &str = "root.pem";

/// The listener's certificate and key.
pub(super) const LISTENER: [&str; 2] = ["tls.pem", "tls.key.pem"];

/// As a CA's directory has it (`store`), so that one command finds either in use.
const LOCK: &str = "cairn.lock";

const KNOWN: [&str; 6] = [
    FILE_NAME,
    ROOT,
    SOCKET,
    CRL_COPIES,
    LISTENER[0],
    LISTENER[1],
];

/// A directory.
#[derive(Debug)]
pub(super) enum Folder {
    /// Removed at the end.
    Temporary(TempDir),
    /// Left. One test CA at a time has it.
    Kept {
        /// Where, from the root.
        path: PathBuf,
        /// Held as long as the file is open.
        _lock: File,
    },
}

impl Folder {
    /// A new one, gone at the end.
    pub(super) fn temporary() -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("cairn-test-ca-")
            .tempdir()?;
        Ok(Self::Temporary(dir))
    }

    /// That one, emptied of what an earlier test CA left in it.
    pub(super) fn kept(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        std::fs::create_dir_all(&path)?;
        let ours =
            std::fs::read_to_string(path.join(FILE_NAME)).is_ok_and(|text| text.starts_with(MARK));
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name();
            let known = KNOWN.iter().any(|known| name == *known);
            if (!ours || !known) && name != LOCK {
                return Err(io::Error::other(format!(
                    "{} is not empty, and {} is no test CA's: choose an empty directory",
                    path.display(),
                    name.display()
                )));
            }
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(format!(
                "{} is another test CA's, which runs",
                path.display()
            )),
            TryLockError::Error(error) => error,
        })?;
        // Nothing goes before all is known to be a test CA's.
        for name in [ROOT, SOCKET, LISTENER[0], LISTENER[1], FILE_NAME] {
            match std::fs::remove_file(path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(Self::Kept { path, _lock: lock })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept { path, .. } => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_directory_or_an_earlier_test_cas_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let write = |name: &str, text: &str| std::fs::write(path.join(name), text).unwrap();
        {
            let held = Folder::kept(&path).unwrap();
            let fault = Folder::kept(held.path()).unwrap_err();
            assert!(fault.to_string().contains("which runs"), "{fault}");
        }
        write(ROOT, "x");
        assert!(Folder::kept(&path).is_err(), "whose root is it?");
        write(FILE_NAME, &format!("{MARK}name = \"x\"\n"));
        assert!(Folder::kept(&path).is_ok());
        assert!(!path.join(ROOT).exists());
        // design 4: a CA in earnest
        write(FILE_NAME, "name = \"x\"\n");
        write("cairn.db", "");
        let fault = Folder::kept(&path).unwrap_err();
        assert!(fault.to_string().contains("no test CA's"), "{fault}");
        write(FILE_NAME, &format!("{MARK}name = \"x\"\n"));
        assert!(Folder::kept(&path).is_err());
        assert!(path.join("cairn.db").exists() && path.join(FILE_NAME).exists());
    }
}
