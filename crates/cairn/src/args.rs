//! The command tree: one definition feeds parser, help and errors.

#[cfg(feature = "dev")]
use std::net::SocketAddr;
use std::path::PathBuf;

use cairn_ca::config::{BaseUrl, Unlock};
use cairn_x509::key::KeyKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

/// Certificates without people.
#[derive(Debug, Parser)]
#[command(
    name = "cairn",
    version,
    propagate_version = false,
    disable_help_subcommand = true
)]
#[command(about = "Certificates without people")]
#[command(
    after_help = "Exit codes: 0 done or nothing to do, 1 failed and nothing changed, 2 usage or configuration, 3 some of several failed, 75 try later."
)]
pub(crate) struct Cli {
    /// On every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print the result as one JSON object
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Print nothing but results and errors
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Everywhere"
    )]
    pub(crate) quiet: bool,
    /// Print reasons; -vv: also every exchange, without secrets
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Everywhere")]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be a certificate authority
    #[command(subcommand)]
    Ca(CaCommand),
}

/// `cairn ca …`.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make a CA: root, issuing key, configuration
    Init(Init),
    /// Run the CA
    Serve(Serve),
    /// Show sizes, work in progress, issuers and lists
    Status(Place),
    /// List certificates, orders or accounts
    List(List),
    /// Show one certificate, order, authorization or account with all that belongs to it
    Show(Show),
    /// Issue a certificate without ACME, from a CSR
    Issue(Issue),
    /// Revoke certificates
    Revoke(Revoke),
    /// Give out keys with which accounts are opened (external account binding)
    #[command(subcommand)]
    Eab(EabCommand),
    /// Steer when certificates are renewed (ACME renewal information)
    #[command(subcommand)]
    Ari(AriCommand),
    /// Make issuers and chains beside the first
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print the root certificate
    Root(Place),
    /// Copy the CA's state into one file while it runs
    Backup(Backup),
    /// Put a backup back into a CA's directory
    Restore(Restore),
    /// Run a test CA in memory, for the tests of ACME clients
    #[cfg(feature = "dev")]
    Dev(Box<Dev>),
}

/// Which CA.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The CA's directory [default: the current one, if it holds cairn.toml]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `cairn ca init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to put it: a directory that is empty or not there
    pub(crate) dir: PathBuf,
    /// The CA's name, as its certificates will say it
    #[arg(long)]
    pub(crate) name: String,
    /// Where clients will reach it, for ever [default: this host's full name]
    #[arg(long, value_name = "https://HOST[:PORT]")]
    pub(crate) url: Option<BaseUrl>,
    /// Let the CA sign only for names at and below X
    ///
    /// Writes name constraints into the issuing certificate (X, and the host of --url), lets names below X lead to
    /// private addresses, and makes X a private zone. May be given several times.
    #[arg(long, value_name = "X")]
    pub(crate) permit_dns: Vec<String>,
    /// With --permit-dns: also permit addresses in this range
    ///
    /// Writes them into the name constraints, and a rule by which they are issued for. May be given several times.
    #[arg(long, value_name = "RANGE", requires = "permit_dns")]
    pub(crate) permit_ip: Vec<IpNet>,
    /// Kind of both keys
    #[arg(long, value_enum, default_value = "p256")]
    pub(crate) key_type: KeyType,
    /// Where the server gets the passphrase of its key from
    #[arg(long, value_enum, default_value = "prompt")]
    pub(crate) unlock: UnlockFrom,
    /// Revocation lists among which certificates are spread, for ever
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) crl_shards: u32,
    /// Where http-01 connects for what is permitted [default: 80]
    #[arg(long, value_name = "PORT", requires = "permit_dns", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) http_port: Option<u16>,
    /// Where tls-alpn-01 connects for what is permitted [default: 443]
    #[arg(long, value_name = "PORT", requires = "permit_dns", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) tls_port: Option<u16>,
    /// Write another setting into cairn.toml, such as profile.default.life=24h
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

/// An address to listen at or to ask: a name could have several.
#[cfg(feature = "dev")]
fn socket(text: &str) -> Result<SocketAddr, String> {
    let why = "an IP address and a port are needed, as in 127.0.0.1:14000 or [::1]:14000";
    text.parse().map_err(|_| why.to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("wanted: KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Kinds of the CA's own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyType {
    /// ECDSA on P-256
    P256,
    /// ECDSA on P-384
    P384,
    /// RSA of 2048 bits
    Rsa2048,
    /// RSA of 3072 bits
    Rsa3072,
    /// RSA of 4096 bits
    Rsa4096,
}

impl From<KeyType> for KeyKind {
    fn from(key: KeyType) -> Self {
        match key {
            KeyType::P256 => Self::P256,
            KeyType::P384 => Self::P384,
            KeyType::Rsa2048 => Self::Rsa2048,
            KeyType::Rsa3072 => Self::Rsa3072,
            KeyType::Rsa4096 => Self::Rsa4096,
        }
    }
}

/// Where the passphrase comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnlockFrom {
    /// A person at the terminal, or standard input
    Prompt,
    /// A file in the CA's directory, made now
    File,
    /// systemd's credentials
    SystemdCreds,
}

impl From<UnlockFrom> for Unlock {
    fn from(from: UnlockFrom) -> Self {
        match from {
            UnlockFrom::Prompt => Self::Prompt,
            UnlockFrom::File => Self::File,
            UnlockFrom::SystemdCreds => Self::SystemdCreds,
        }
    }
}

/// `cairn ca serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// `cairn ca list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// What to list
    #[arg(value_enum, default_value = "certificates")]
    pub(crate) what: Listed,
    /// Only with this name; certificates and orders
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only of this account
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// Only in this state, as the list shows it
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only what is good now and expires within this time, such as 30d; certificates and orders
    #[arg(long, value_name = "SPAN")]
    pub(crate) expires_within: Option<cairn_ca::config::Span>,
    /// Only certificates whose permission to sign was given and whose signature is not known
    #[arg(long)]
    pub(crate) unconfirmed: bool,
    /// At most so many, newest first [default: 100; with --json all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// What `cairn ca list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    /// What was issued
    Certificates,
    /// What was ordered
    Orders,
    /// Who may order
    Accounts,
}

/// `cairn ca show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// A serial number in hex, or the URL of an order, authorization, challenge, certificate or account, or its last part
    pub(crate) thing: String,
}

/// `cairn ca issue`.
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// The certificate request, PEM or DER
    ///
    /// Its names and its key are the certificate's; nothing else is taken from it. Nobody is asked whether the names are
    /// the requester's: that is yours to know. The policy on names and keys holds all the same.
    #[arg(long, value_name = "FILE")]
    pub(crate) csr: PathBuf,
    /// What the certificate is like [default: the CA's default profile]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

/// `cairn ca eab …`.
#[derive(Debug, Subcommand)]
pub(crate) enum EabCommand {
    /// Make a key and print it, once
    Add(EabAdd),
    /// List keys, without their secrets
    List(EabList),
    /// Take a key back
    Revoke(EabRevoke),
}

/// `cairn ca eab add`.
#[derive(Debug, Args)]
pub(crate) struct EabAdd {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Which directory's accounts it opens [default: the first's]
    #[arg(long, value_name = "NAME")]
    pub(crate) directory: Option<String>,
    /// Whom it is for; shown in lists and in refusals
    #[arg(long, value_name = "TEXT")]
    pub(crate) owner: Option<String>,
    /// For how long it opens accounts, such as 7d; accounts stay [default: for ever]
    #[arg(long, value_name = "SPAN")]
    pub(crate) expires: Option<cairn_ca::config::Span>,
    /// It opens any number of accounts [default: one]
    #[arg(long)]
    pub(crate) many: bool,
    /// What its accounts may order [default: whatever the CA issues for]
    ///
    /// NAME is that name alone, .NAME that name and all below it, a range such as 10.8.0.0/16 addresses. Separated by
    /// commas. The CA's own rules hold as well.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
}

/// `cairn ca eab list`.
#[derive(Debug, Args)]
pub(crate) struct EabList {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only in this state: open, used, expired or revoked
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only the one that opened this account
    #[arg(long, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// At most so many, newest first [default: 100; with --json all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// `cairn ca eab revoke`.
#[derive(Debug, Args)]
pub(crate) struct EabRevoke {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// The key's id
    #[arg(value_name = "KID")]
    pub(crate) key: String,
}

/// `cairn ca ari …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AriCommand {
    /// Tell the clients of these certificates to replace them now
    Move(AriMove),
}

/// `cairn ca ari move`.
#[derive(Debug, Args)]
pub(crate) struct AriMove {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Serial numbers in hex, or certificates' URLs
    #[arg(required = true, value_name = "SERIAL")]
    pub(crate) serials: Vec<String>,
    /// A page that says why; clients show it to their operators
    #[arg(long, value_name = "URL")]
    pub(crate) reason: Option<String>,
}

/// `cairn ca revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Serial numbers in hex, or certificates' URLs
    #[arg(value_name = "SERIAL", required_unless_present_any = ["certificate", "unconfirmed"])]
    pub(crate) serials: Vec<String>,
    /// A certificate's file, PEM or DER; of a chain the first one. May be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Vec<PathBuf>,
    /// All serials whose permission to sign was given and whose signature is not known
    #[arg(long)]
    pub(crate) unconfirmed: bool,
    /// Why
    #[arg(long, value_enum, default_value = "unspecified")]
    pub(crate) reason: Reason,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// Why a certificate is revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reason {
    /// None is said
    Unspecified,
    /// Others have the key: it is blocked for certificates and accounts
    KeyCompromise,
    /// The certificate's holder changed
    AffiliationChanged,
    /// Another certificate takes its place
    Superseded,
    /// The names are no longer its holder's
    CessationOfOperation,
    /// The CA takes it away
    PrivilegeWithdrawn,
}

impl Reason {
    /// As CRLReason has it.
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }
}

/// `cairn ca key …`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make another issuer under the CA's root
    Add(KeyAdd),
    /// Have another root certify an issuer's key, as a second chain
    CrossSign(KeyCrossSign),
}

/// `cairn ca key add`.
#[derive(Debug, Args)]
pub(crate) struct KeyAdd {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// The issuer's name
    pub(crate) name: String,
    /// Kind of its key
    #[arg(long, value_enum)]
    pub(crate) key_type: KeyType,
    /// The root's key [default: keys/root.key.pem in the CA's directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: Option<PathBuf>,
}

/// `cairn ca key cross-sign`.
#[derive(Debug, Args)]
pub(crate) struct KeyCrossSign {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where to put the chain
    pub(crate) file: PathBuf,
    /// Whose key [default: the issuer of [keys]]
    #[arg(long, value_name = "NAME")]
    pub(crate) issuer: Option<String>,
    /// The other root's certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// The other root's key
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: PathBuf,
}

/// `cairn ca backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Which CA.
    #[command(flatten)]
    pub(crate) place: Place,
    /// The file to make; it is never overwritten
    pub(crate) file: PathBuf,
}

/// `cairn ca restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// What `cairn ca backup` made
    pub(crate) backup: PathBuf,
    /// A CA's directory with its keys and cairn.toml, whose server does not run
    pub(crate) dir: PathBuf,
    /// Restore over a store that is there, and keep that under another name
    #[arg(long)]
    pub(crate) replace: bool,
    /// A CRL of this CA that was published after the backup; what it lists stays revoked. May be given several times
    ///
    /// The copies in DIR/crls and the store that is replaced are read in any case.
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Vec<PathBuf>,
    /// The epoch to go on with, above all that this CA ever had; needed only if the store that is replaced can't be read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=127))]
    pub(crate) epoch: Option<u8>,
}

/// `cairn ca dev`.
#[cfg(feature = "dev")]
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where ACME is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:14000", value_parser = socket)]
    pub(crate) listen: SocketAddr,
    /// Where the management interface is, and CRLs
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:14001", value_parser = socket)]
    pub(crate) manage: SocketAddr,
    /// Where its own DNS answers
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:14053", value_parser = socket)]
    pub(crate) dns: SocketAddr,
    /// Ask this DNS server in place of its own
    #[arg(long, value_name = "ADDRESS", conflicts_with = "dns", value_parser = socket)]
    pub(crate) dnsserver: Option<SocketAddr>,
    /// Where http-01 connects
    #[arg(long, value_name = "PORT", default_value_t = 5002, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) http_port: u16,
    /// Where tls-alpn-01 connects
    #[arg(long, value_name = "PORT", default_value_t = 5001, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) tls_port: u16,
    /// A name or address by which clients reach it, besides localhost. May be given several times
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Vec<String>,
    /// Where root.pem is put, and stays [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Another setting of cairn.toml, such as profile.default.life=24h. May be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// A fault in force from the start, such as bad-nonce=20% or 'finalize:503 once'. May be given several times
    #[arg(long, value_name = "FAULT", help_heading = "Faults")]
    pub(crate) fault: Vec<cairn_ca::dev::Fault>,
    /// Faults from a file, TOML or JSON
    #[arg(long, value_name = "FILE", help_heading = "Faults")]
    pub(crate) scenario: Option<PathBuf>,
    /// What chance follows from, so that a run can be repeated [default: the scenario's, else 0]
    #[arg(long, value_name = "N", help_heading = "Faults")]
    pub(crate) seed: Option<u32>,
    /// List all faults and end
    #[arg(long, help_heading = "Faults")]
    pub(crate) list_faults: bool,
    /// Write every exchange to a file, a line of JSON each
    #[arg(long, value_name = "FILE", help_heading = "What clients do")]
    pub(crate) transcript: Option<PathBuf>,
    /// Fail at the end if clients broke a MUST of the RFCs, as the report says; strict: a SHOULD too
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "must", help_heading = "What clients do")]
    pub(crate) check_client: Option<CheckClient>,
    /// Put that report into a file: JSON if it ends in .json, JUnit XML if in .xml, else text
    #[arg(
        long,
        value_name = "FILE",
        requires = "check_client",
        help_heading = "What clients do"
    )]
    pub(crate) report: Option<PathBuf>,
}

/// What fails a check of clients.
#[cfg(feature = "dev")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckClient {
    /// A MUST that was broken
    Must,
    /// A SHOULD too
    Strict,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_option_takes_a_secret() {
        // T-CA-125: other users read /proc/PID/cmdline.
        fn walk(command: &clap::Command, into: &mut Vec<String>) {
            into.extend(command.get_arguments().map(|a| a.get_id().to_string()));
            command.get_subcommands().for_each(|c| walk(c, into));
        }
        let mut ids = Vec::new();
        walk(&Cli::command(), &mut ids);
        assert!(
            !ids.iter()
                .any(|id| id.contains("pass") || id.contains("pin") || id.contains("secret")),
            "{ids:?}"
        );
    }
}
