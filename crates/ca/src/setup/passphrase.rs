//! The passphrase of the CA's keys, and where it comes from at start.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{FileFault, SetupFault, files};
use crate::config::{Config, Unlock};

/// A passphrase: zeroized when dropped, never printed (T-CA-125).
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The first line of what was typed or read; none when that is empty.
    #[must_use]
    pub fn from_line(bytes: &[u8]) -> Option<Self> {
        let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then(|| Self(Zeroizing::new(line.to_vec())))
    }

    /// A new one of 192 random bits, in letters, digits, `-` and `_`.
    pub(super) fn random() -> Result<Self, SetupFault> {
        let mut seed = Zeroizing::new([0; 24]);
        aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(|_| SetupFault::Random)?;
        Ok(Self(Zeroizing::new(
            cairn_acme::base64url::encode(seed.as_slice()).into_bytes(),
        )))
    }

    /// The bytes that unlock the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// How to ask a person: gets what to ask for.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<Passphrase>;

/// The passphrase, where it lies beside the keys.
pub(super) fn stored(dir: &Path, config: &Config) -> Option<Result<Passphrase, SetupFault>> {
    (config.keys.unlock == Unlock::File).then(|| {
        let path = dir.join(&config.keys.passphrase_file);
        let bytes = files::read_secret(&path)?;
        Passphrase::from_line(&bytes).ok_or(SetupFault::EmptyPassphrase(path))
    })
}

/// Gets the passphrase for a person at work in the CA's directory, who knows what systemd gives to the server alone.
pub(super) fn of_operator(
    dir: &Path,
    config: &Config,
    ask: Ask<'_>,
) -> Result<Passphrase, SetupFault> {
    stored(dir, config).unwrap_or_else(|| prompt(config, ask))
}

fn prompt(config: &Config, ask: Ask<'_>) -> Result<Passphrase, SetupFault> {
    let key = config.keys.issuing_key.display();
    ask(&format!("Passphrase of {key}: ")).map_err(SetupFault::Prompt)
}

/// Gets the passphrase from where `[keys] unlock` says.
pub(super) fn obtain(dir: &Path, config: &Config, ask: Ask<'_>) -> Result<Passphrase, SetupFault> {
    let keys = &config.keys;
    match keys.unlock {
        Unlock::Prompt | Unlock::File => of_operator(dir, config, ask),
        Unlock::SystemdCreds => {
            let place = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let path = place
                .ok_or_else(|| SetupFault::NoCredentials(keys.credential.clone()))?
                .join(&keys.credential);
            // systemd guards this directory itself; owner and mode there are its own.
            let bytes = Zeroizing::new(files::read_public(&path).map_err(|fault| match fault {
                FileFault::Io { error, .. } if error.kind() == ErrorKind::NotFound => {
                    SetupFault::NoCredentials(keys.credential.clone())
                }
                other => other.into(),
            })?);
            Passphrase::from_line(&bytes).ok_or(SetupFault::EmptyPassphrase(path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_and_never_shown() {
        // T-CA-125
        let passphrase = Passphrase::from_line(b"canary-9f2c\r\nrest").unwrap();
        assert_eq!(passphrase.as_bytes(), b"canary-9f2c");
        assert!(!format!("{passphrase:?} {:?}", Some(&passphrase)).contains("canary"));
        assert_eq!(Passphrase::from_line(b"\nx"), None);
        assert_eq!(Passphrase::from_line(b""), None);
    }
}
