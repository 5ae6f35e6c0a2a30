//! What the tests saw each client do: one small file for each client, server and thing, written into the target directory
//! and compared with `docs/clients.md` after all tests (`tests/seen.rs`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::places;

/// The server that the tests are about.
pub const CAIRN: &str = "Cairn";
/// The server that judges the tests' own scripts.
pub const PEBBLE: &str = "Pebble";

/// The folder of what the test CA found.
const JUDGED: &str = "judged";

/// What a client may do with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "`title` says what each is")]
pub enum What {
    Http01,
    Dns01,
    TlsAlpn01,
    Wildcard,
    Address,
    Rsa2048,
    P256,
    P384,
    AccountRsa,
    AccountP256,
    AccountP384,
    ExternalAccount,
    Update,
    KeyChange,
    Deactivation,
    Renewal,
    RenewalInfo,
    AlternateChain,
    Revocation,
    RevocationByKey,
}

impl What {
    /// All, as the document's tables have them.
    pub const TABLES: [(&'static str, &'static [Self]); 4] = [
        (
            "Challenges and identifiers",
            &[
                Self::Http01,
                Self::Dns01,
                Self::TlsAlpn01,
                Self::Wildcard,
                Self::Address,
            ],
        ),
        (
            "Keys of certificates and of accounts",
            &[
                Self::Rsa2048,
                Self::P256,
                Self::P384,
                Self::AccountRsa,
                Self::AccountP256,
                Self::AccountP384,
            ],
        ),
        (
            "Accounts",
            &[
                Self::ExternalAccount,
                Self::Update,
                Self::KeyChange,
                Self::Deactivation,
            ],
        ),
        (
            "Certificates",
            &[
                Self::Renewal,
                Self::RenewalInfo,
                Self::AlternateChain,
                Self::Revocation,
                Self::RevocationByKey,
            ],
        ),
    ];

    /// What a column is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Wildcard => "wildcard",
            Self::Address => "IP address",
            Self::Rsa2048 => "RSA 2048",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::AccountRsa => "account RSA",
            Self::AccountP256 => "account P-256",
            Self::AccountP384 => "account P-384",
            Self::ExternalAccount => "external account",
            Self::Update => "contact changed",
            Self::KeyChange => "key changed",
            Self::Deactivation => "deactivated",
            Self::Renewal => "renewed",
            Self::RenewalInfo => "ARI",
            Self::AlternateChain => "alternate chain",
            Self::Revocation => "revoked by account",
            Self::RevocationByKey => "revoked by key",
        }
    }
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The client has no such thing: its help has not this word.
    Lacks(String),
    /// The client has it, but it does not work here; why.
    Fails(String),
}

/// One thing that a test saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The client's name, with where it comes from if there are several.
    pub client: String,
    /// Its version as it says itself.
    pub version: String,
    /// [`CAIRN`] or [`PEBBLE`].
    pub server: String,
    /// What it was asked to do.
    pub what: What,
    /// How it went.
    pub outcome: Outcome,
}

/// A breach of the RFC by a client, as the test CA named it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Breach {
    /// The check's name.
    pub check: String,
    /// Document and section.
    pub section: String,
    /// MUST or SHOULD.
    pub level: String,
    /// Method and step of the request by which it was done.
    pub request: String,
    /// What was seen, without what another run has otherwise.
    pub evidence: String,
}

/// How a client did under the eyes of the test CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The client's name.
    pub client: String,
    /// Whether the server had faults.
    pub faults: bool,
    /// What it did wrong.
    pub breaches: Vec<Breach>,
}

/// Keeps what was found of a client, in place of what was found before.
///
/// # Panics
/// If the file can't be written.
pub fn keep_judged(judged: &Judged) {
    let words = format!("{}-{}", judged.client, judged.faults);
    write(&places::seen().join(JUDGED), &words, judged);
}

/// All that was found of clients.
///
/// # Panics
/// If a file is no such record.
pub fn all_judged() -> Vec<Judged> {
    read(&places::seen().join(JUDGED))
}

/// Keeps a record, in place of an earlier one of the same thing.
///
/// # Panics
/// If the file can't be written.
pub fn keep(record: &Record) {
    let words = format!("{}-{}-{:?}", record.client, record.server, record.what);
    write(&places::seen(), &words, record);
}

/// All records, by client.
///
/// # Panics
/// If a file is no record.
pub fn all() -> Vec<Record> {
    read(&places::seen())
}

fn write(folder: &Path, words: &str, record: &impl Serialize) {
    std::fs::create_dir_all(folder).expect("a folder for what was seen");
    let plain = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_lowercase(),
        false => '-',
    };
    let name: String = words.chars().map(plain).collect();
    // Written aside and renamed: tests run side by side.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let aside = folder.join(format!("{name}.{}-{number}", std::process::id()));
    let json = serde_json::to_vec(record).expect("a record");
    std::fs::write(&aside, json).expect("a record's file");
    std::fs::rename(&aside, folder.join(format!("{name}.json"))).expect("a record's file");
}

fn read<R: DeserializeOwned>(folder: &Path) -> Vec<R> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("a record's file");
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    files.iter().map(read).collect()
}
