//! Secret files: made 0600 by O_EXCL, read only when nobody else could have (T-CA-124).

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Keys, certificates and passphrases are small.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file was not made or not read.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is there already, and nothing is overwritten.
    #[error("{} exists; nothing is overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else could have read or changed it.
    #[error("{}: {reason}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// How.
        reason: String,
        /// The command that puts it right.
        remedy: String,
    },
    /// Too large for what it should be.
    #[error("{}: larger than 1 MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl FileFault {
    /// The next command to try.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { remedy, .. } => Some(remedy.clone()),
            _ => None,
        }
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FileFault {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => FileFault::Exists { path },
        _ => FileFault::Io { path, error },
    }
}

/// Makes a directory for its owner alone.
pub(super) fn create_dir(path: &Path) -> Result<(), FileFault> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(io_at(path))
}

/// Makes a file that only its owner reads, from its creation on whatever the umask says.
pub(crate) fn create_secret(path: &Path, bytes: &[u8]) -> Result<(), FileFault> {
    create(path, bytes, 0o600)
}

/// Makes a file that anybody may read.
pub(crate) fn create_public(path: &Path, bytes: &[u8]) -> Result<(), FileFault> {
    create(path, bytes, 0o644)
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileFault> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(path)?;
        // The umask may have taken the owner's own bits.
        file.set_permissions(PermissionsExt::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_at(path))
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), FileFault> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(io_at(path))
}

/// Reads a key or passphrase that is the reader's own, no symbolic link, and closed to everybody else.
///
/// # Errors
/// What was wrong with the file, with the command that puts it right.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileFault> {
    let exposed = |reason: String, remedy: String| FileFault::Exposed {
        path: path.to_owned(),
        reason,
        remedy,
    };
    // Never through a link: whoever may change the link chooses the key. Never a FIFO that blocks the start.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(exposed(
                "is a symbolic link; a secret is read from its own place only".to_owned(),
                "put the file itself there, or name its real path in cairn.toml".to_owned(),
            ));
        }
        Err(error) => return Err(io_at(path)(error)),
    };
    let meta = file.metadata().map_err(io_at(path))?;
    let shown = path.display();
    if !meta.is_file() {
        return Err(exposed(
            "is not a regular file".to_owned(),
            format!("ls -l {shown}"),
        ));
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        return Err(exposed(
            format!(
                "belongs to user {}, the server runs as user {me}",
                meta.uid()
            ),
            format!("chown {me} {shown}"),
        ));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(exposed(
            format!(
                "has mode {:04o}: others than its owner may use it",
                meta.mode() & 0o7777
            ),
            format!("chmod 600 {shown}"),
        ));
    }
    // Who may rename in its directory may replace it.
    let parent = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let above = std::fs::metadata(parent).map_err(io_at(parent))?;
    if above.mode() & 0o022 != 0 || (above.uid() != me && above.uid() != 0) {
        return Err(FileFault::Exposed {
            path: parent.to_owned(),
            reason: format!(
                "others may replace files in it (user {}, mode {:04o})",
                above.uid(),
                above.mode() & 0o7777
            ),
            remedy: format!("chown {me} {0} && chmod 700 {0}", parent.display()),
        });
    }
    read_bounded(file, path)
}

/// Reads a file that need not be secret.
///
/// # Errors
/// What the system said, or that it is too large.
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileFault> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path);
    let file = file.map_err(io_at(path))?;
    read_bounded(file, path).map(|bytes| bytes.to_vec())
}

fn read_bounded(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, FileFault> {
    let size = file.metadata().map_err(io_at(path))?.len().min(MAX_BYTES);
    // All at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io_at(path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileFault::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> tempfile::TempDir {
        // 0700 by tempfile.
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_secret_is_0600_from_its_creation_and_never_overwritten() {
        // T-CA-124
        let dir = dir();
        let path = dir.path().join("key");
        let before = rustix::process::umask(rustix::fs::Mode::empty());
        let made = create_secret(&path, b"one");
        rustix::process::umask(before);
        made.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(
            create_secret(&path, b"two"),
            Err(FileFault::Exists { .. })
        ));
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"one");
        // A dangling link is not followed to a place of somebody's choice.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(create_secret(&link, b"three").is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_secret_that_others_could_reach_is_refused_with_its_remedy() {
        // T-CA-124
        let dir = dir();
        let path = dir.path().join("key");
        create_secret(&path, b"x").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let fault = read_secret(&path).expect_err("a readable key was taken");
            assert!(
                fault.to_string().contains(&format!("{mode:04o}")),
                "{fault}"
            );
            assert_eq!(
                fault.hint().unwrap(),
                format!("chmod 600 {}", path.display())
            );
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(
            read_secret(&link)
                .expect_err("a link was followed")
                .to_string()
                .contains("symbolic link")
        );
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(
            read_secret(&fifo)
                .expect_err("a FIFO was read")
                .to_string()
                .contains("regular file")
        );
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(
            read_secret(&path)
                .expect_err("a shared directory was taken")
                .to_string()
                .contains("replace")
        );
    }

    #[test]
    fn a_secret_of_another_owner_is_refused() {
        // T-CA-124
        let dir = dir();
        let path = dir.path().join("key");
        create_secret(&path, b"x").unwrap();
        // Only root may give files away; elsewhere the case cannot be made.
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            let fault = read_secret(&path)
                .expect_err("a stranger's key was taken")
                .to_string();
            assert!(fault.contains("12345"), "{fault}");
        }
    }

    #[test]
    fn an_endless_file_is_refused() {
        assert!(matches!(
            read_public(Path::new("/dev/zero")),
            Err(FileFault::TooLarge { .. })
        ));
    }
}
