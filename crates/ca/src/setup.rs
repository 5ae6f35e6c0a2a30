//! A CA's directory: made once by [`init`], read at each start by [`load`]. Nothing in it is ever overwritten.
//!
//! ```text
//! DIR/cairn.toml  root.pem  issuing.pem  keys/root.key.pem  keys/issuing.key.pem  keys/ring.key.pem
//! [keys/passphrase]  the store
//! ```

mod chain;
mod files;
mod host;
mod init;
mod issuers;
mod key;
mod lists;
mod load;
mod passphrase;
mod ring;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use files::{FileFault, read_public, read_secret};
#[cfg(feature = "dev")]
pub(crate) use files::{create_public, create_secret};
pub use host::full_name;
#[cfg(feature = "dev")]
pub(crate) use init::set;
pub use init::{CertificateReport, Choose, InitReport, InitRequest, init};
pub use issuers::LoadedIssuer;
pub use key::{CrossReport, CrossRequest, IssuerReport, IssuerRequest, add_issuer, cross_sign};
pub use lists::{PublishedLists, published_lists};
pub use load::{
    Loaded, check_restore, load, needed_files, parse_config, read_blocked, read_config, root,
};
pub use passphrase::{Ask, Passphrase};

use crate::{config::ConfigFault, store::OpenError};

/// Where the root's key lies until somebody takes it offline.
pub const ROOT_KEY: &str = "keys/root.key.pem";

/// Why a CA was not made, or does not start.
#[derive(Debug, thiserror::Error)]
pub enum SetupFault {
    /// `init` wants a place of its own.
    #[error("{} is not empty: it has {found}", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// A file in it.
        found: String,
    },
    /// A file was not made, read, or safe.
    #[error(transparent)]
    File(#[from] FileFault),
    /// `cairn.toml` is wrong.
    #[error(transparent)]
    Config(Box<ConfigFault>),
    /// Preset `public` lacks something.
    #[error("preset \"public\" is not complete here:\n  - {}", .0.join("\n  - "))]
    Preset(Vec<String>),
    /// The request cannot make a CA.
    #[error("{0}")]
    Request(String),
    /// Nobody gave a passphrase.
    #[error("no passphrase: {0}")]
    Prompt(std::io::Error),
    /// The passphrase's file has none.
    #[error("{} has no passphrase in its first line", .0.display())]
    EmptyPassphrase(PathBuf),
    /// Not started by systemd with the credential.
    #[error("unlock = \"systemd-creds\", but systemd gave no credential {0:?}")]
    NoCredentials(String),
    /// The key does not open.
    #[error("{} does not open with this passphrase", .0.display())]
    WrongPassphrase(PathBuf),
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// The key belongs to another certificate.
    #[error("{} is not the key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// What a server needs beside a backup is not there.
    #[error("a server needs what is missing: {}", list(.0))]
    Missing(Vec<PathBuf>),
    /// The backup of another CA.
    #[error("{} is the backup of another CA: it knows no issuer with the key of {}", backup.display(), certificate.display())]
    OtherCa {
        /// The backup.
        backup: PathBuf,
        /// This CA's issuing certificate.
        certificate: PathBuf,
    },
    /// The backup cannot be read.
    #[error("the backup {} cannot be read", path.display())]
    Backup {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The store did not take the issuer.
    #[error("the store: {0}")]
    Store(String),
    /// Keys or certificates could not be made.
    #[error("{0}")]
    Crypto(String),
    /// The system's random source failed.
    #[error("the random source failed")]
    Random,
}

impl From<ConfigFault> for SetupFault {
    fn from(fault: ConfigFault) -> Self {
        Self::Config(Box::new(fault))
    }
}

impl SetupFault {
    /// The next command or change to try.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotEmpty { .. } => Some(
                "choose a directory that is empty or not there; nothing is overwritten".to_owned(),
            ),
            Self::File(fault) => fault.hint(),
            Self::Preset(_) => Some("preset = \"private\" works today".to_owned()),
            Self::NoCredentials(name) => Some(format!(
                "start it as a systemd unit with LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}"
            )),
            Self::Missing(_) => Some(
                "put them there first, from where they are kept beside the backup".to_owned(),
            ),
            Self::OtherCa { .. } => Some(
                "name the directory that has this backup's cairn.toml, root.pem, issuing.pem and keys"
                    .to_owned(),
            ),
            Self::WrongPassphrase(_) => {
                Some("the passphrase is the one chosen at `cairn ca init`".to_owned())
            }
            Self::Mismatch { .. } => Some(
                "put back the pair that `cairn ca init` made, or restore both from one backup"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether what the operator wrote is at fault, rather than the machine.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::Preset(_)
            | Self::Request(_)
            | Self::NotEmpty { .. }
            | Self::EmptyPassphrase(_)
            | Self::NoCredentials(_)
            | Self::Missing(_)
            | Self::OtherCa { .. }
            | Self::File(FileFault::Exposed { .. }) => true,
            // Nothing, too little, or not the same twice.
            Self::Prompt(error) => error.kind() == std::io::ErrorKind::InvalidInput,
            _ => false,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}
