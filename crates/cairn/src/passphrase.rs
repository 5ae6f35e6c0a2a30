//! Asking for a passphrase: on the terminal without echo, or from a pipe; never from arguments or the environment,
//! which other processes may read (T-CA-125).

use std::io::{self, IsTerminal, Read};

use cairn_ca::setup::Passphrase;
use zeroize::Zeroizing;

/// A passphrase that protects a CA's key; NIST SP 800-63B-4 §3.1.1.2 asks for 15 characters where nothing else does.
const LEAST: usize = 15;
/// What a pipe may hold.
const MAX_BYTES: u64 = 4096;

/// Asks for the passphrase of an existing key.
pub(crate) fn ask(prompt: &str) -> io::Result<Passphrase> {
    let line = match io::stdin().is_terminal() {
        true => Zeroizing::new(rpassword::prompt_password(prompt)?.into_bytes()),
        false => from_pipe()?,
    };
    Passphrase::from_line(&line)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the passphrase is empty"))
}

/// Asks for a new one: twice on a terminal, once from a pipe.
pub(crate) fn choose() -> io::Result<Passphrase> {
    let short = |p: &Passphrase| p.as_bytes().len() < LEAST;
    let too_short = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a passphrase has at least {LEAST} characters"),
        )
    };
    if !io::stdin().is_terminal() {
        let passphrase = ask("")?;
        return if short(&passphrase) {
            Err(too_short())
        } else {
            Ok(passphrase)
        };
    }
    let passphrase = ask(&format!(
        "New passphrase for the CA's keys (at least {LEAST} characters): "
    ))?;
    if short(&passphrase) {
        return Err(too_short());
    }
    if ask("The same again: ")? != passphrase {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the two differ",
        ));
    }
    Ok(passphrase)
}

fn from_pipe() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize));
    io::stdin().lock().take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
