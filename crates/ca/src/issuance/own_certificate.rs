//! The subscribers' listener's own certificate: by an internal order through the one issuance function, renewed by itself
//! when a third of its life is left, without a restart; or from the operator's files.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use cairn_acme::{identifier::Identifier, time::Timestamp};
use cairn_x509::{
    certificate::Certificate,
    csr::build_csr,
    key::{KeyKind, PrivateKey},
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tracing::{error, info};
use zeroize::Zeroizing;

use super::internal::{self, InternalFault};
use crate::{
    fault::Causes,
    node::Ca,
    store::{CreateOwnOrder, TxError},
};

/// The least time between two looks at the certificate's age.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after a failed renewal. Each try places an order, and may issue a certificate.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Why there is no certificate for the listener.
#[derive(Debug, thiserror::Error)]
pub enum OwnCertificateFault {
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key or the certificate is not usable.
    #[error("the listener's certificate cannot be used: {0}")]
    Unusable(String),
    /// The transaction's.
    #[error("the CA could not issue its own certificate")]
    Issuance(#[from] TxError),
    /// The order did not end well.
    #[error("the CA's own order: {0}")]
    Order(InternalFault),
}

impl From<InternalFault> for OwnCertificateFault {
    fn from(fault: InternalFault) -> Self {
        match fault {
            InternalFault::Transaction(error) => Self::Issuance(error),
            fault => Self::Order(fault),
        }
    }
}

/// Hands rustls the certificate in force.
#[derive(Debug, Default)]
pub struct OwnCertificate {
    current: ArcSwapOption<CertifiedKey>,
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl OwnCertificate {
    /// Takes the operator's files.
    ///
    /// # Errors
    /// When they cannot be read or do not fit each other.
    pub fn from_files(&self, certificate: &Path, key: &Path) -> Result<(), OwnCertificateFault> {
        self.put(Self::read_files(certificate, key)?);
        Ok(())
    }

    /// Reads the operator's files and puts nothing in force yet.
    ///
    /// # Errors
    /// As [`OwnCertificate::from_files`].
    pub fn read_files(certificate: &Path, key: &Path) -> Result<CertifiedKey, OwnCertificateFault> {
        certified(&read(certificate)?, &Zeroizing::new(read(key)?))
    }

    /// Puts it in force, from the next handshake on.
    pub fn put(&self, certified: CertifiedKey) {
        self.current.store(Some(Arc::new(certified)));
    }

    fn install(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), OwnCertificateFault> {
        self.put(certified(chain_pem, key_pem)?);
        Ok(())
    }

    /// Loads the certificate of the last run, or issues one.
    ///
    /// # Errors
    /// When neither works: without a certificate nobody can be served.
    pub async fn start(&self, ca: &Arc<Ca>, dir: &Path) -> Result<(), OwnCertificateFault> {
        let files = Files::under(dir);
        if let Some((chain, key)) = files.load()
            && is_good(ca, &chain).await
            && self.install(&chain, &key).is_ok()
        {
            return Ok(());
        }
        self.renew(ca, &files).await
    }

    /// Renews for ever.
    pub async fn run(self: Arc<Self>, ca: Arc<Ca>, dir: PathBuf) {
        let files = Files::under(&dir);
        let mut failures = 0;
        loop {
            tokio::time::sleep(pause(usual(&ca, &files), failures)).await;
            if let Some((chain, _)) = files.load()
                && is_good(&ca, &chain).await
            {
                failures = 0;
                continue;
            }
            match self.renew(&ca, &files).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    error!(
                        error = %Causes(&error), again_in = ?pause(usual(&ca, &files), failures),
                        "the CA's own certificate was not renewed; it tries again"
                    );
                }
            }
        }
    }

    async fn renew(&self, ca: &Arc<Ca>, files: &Files) -> Result<(), OwnCertificateFault> {
        let unusable = |e: &dyn std::fmt::Display| OwnCertificateFault::Unusable(e.to_string());
        let key = PrivateKey::generate(KeyKind::P256).map_err(|e| unusable(&e))?;
        let snapshot = ca.snapshot.load_full();
        let host = Identifier::parse("dns", snapshot.urls.host())
            .map_err(|_| unusable(&"the url's host is no DNS name"))?;
        let csr = build_csr(&key, &[host.to_string()]).map_err(|e| unusable(&e))?;
        let chain = issue(ca, host, &csr).await?;
        let pkcs8 = key.to_pkcs8_der().map_err(|e| unusable(&e))?;
        let key_pem = Zeroizing::new(cairn_x509::certificate::pem("PRIVATE KEY", &pkcs8));
        files.save(chain.as_bytes(), key_pem.as_bytes())?;
        self.install(chain.as_bytes(), key_pem.as_bytes())?;
        info!(host = snapshot.urls.host(), "own certificate renewed");
        Ok(())
    }
}

fn leaf(chain_pem: &[u8]) -> Option<Certificate> {
    let der = CertificateDer::from_pem_slice(chain_pem).ok()?;
    Certificate::parse(&der).ok()
}

fn certified(chain_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, OwnCertificateFault> {
    let unusable = |e: &dyn std::fmt::Display| OwnCertificateFault::Unusable(e.to_string());
    let chain = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| unusable(&e))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|e| unusable(&e))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|e| unusable(&e))
}

/// As often as the timing says, or a tenth of the certificate's life, so that one of a minute is renewed in time.
fn usual(ca: &Ca, files: &Files) -> Duration {
    let life = files.load().and_then(|(chain, _)| {
        let leaf = leaf(&chain)?;
        u64::try_from(leaf.not_after() - leaf.not_before()).ok()
    });
    let tenth = life.map_or(PAUSE_MAX, |life| Duration::from_secs(life) / 10);
    ca.timing.own_certificate.min(tenth.max(SHORTEST_PAUSE))
}

/// How long to wait before the next look, after so many failures in a row: twice as long for each.
fn pause(usual: Duration, failures: u32) -> Duration {
    usual
        .saturating_mul(2_u32.saturating_pow(failures))
        .min(PAUSE_MAX.max(usual))
}

/// Whether the pair can be served on: not due, and not revoked. A store that cannot be read revokes nothing.
async fn is_good(ca: &Ca, chain_pem: &[u8]) -> bool {
    let Some((leaf, due)) = due_at(ca, chain_pem) else {
        return false;
    };
    if ca.clock.wall() >= due {
        return false;
    }
    match leaf.cairn_serial() {
        Some(serial) => match ca.store.certificate(serial).await {
            Ok(Some(stored)) => stored.revocation.is_none(),
            Ok(None) | Err(_) => true,
        },
        None => false,
    }
}

/// The chain's leaf and when a third of its life is left, if it is of the issuer that would sign it now and for this host.
fn due_at(ca: &Ca, chain_pem: &[u8]) -> Option<(Certificate, Timestamp)> {
    let leaf = leaf(chain_pem)?;
    let snapshot = ca.snapshot.load();
    let profile = &snapshot.profiles.default().settings;
    let issuers = ca.issuance.issuers();
    let issuer = &issuers
        .for_leaf(profile, leaf.public_key())?
        .issuer
        .certificate;
    let host = snapshot.urls.host().to_owned();
    let fits = leaf.issuer_der() == issuer.subject_der() && leaf.dns_names().contains(&host);
    let life = leaf.not_after() - leaf.not_before();
    let due = Timestamp::from_seconds(leaf.not_after() - life / 3);
    fits.then_some((leaf, due))
}

/// Issues for the CA's own host, by an order that is ready by the configuration.
async fn issue(ca: &Arc<Ca>, host: Identifier, csr: &[u8]) -> Result<String, OwnCertificateFault> {
    let profile = Arc::clone(ca.snapshot.load().profiles.default());
    let order = internal::prepare(ca, vec![host], &profile)?;
    let order = ca.store.transact(CreateOwnOrder(order)).await?;
    let certificate = internal::complete(ca, &order, csr, None).await?;
    ca.issuance
        .issuers()
        .chain_of(&certificate)
        .ok_or_else(|| OwnCertificateFault::Unusable("the certificate has no signature".to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, OwnCertificateFault> {
    std::fs::read(path).map_err(|source| OwnCertificateFault::File {
        path: path.to_owned(),
        source,
    })
}

/// Where the pair lies between runs; one file holds both, so that they change together.
struct Files {
    pair: PathBuf,
}

impl Files {
    fn under(dir: &Path) -> Self {
        Self {
            pair: dir.join("keys").join("listener.pem"),
        }
    }

    fn load(&self) -> Option<(Vec<u8>, Zeroizing<Vec<u8>>)> {
        let pair = Zeroizing::new(std::fs::read(&self.pair).ok()?);
        let split = pair.windows(KEY_BEGIN.len()).position(|w| w == KEY_BEGIN)?;
        let (chain, key) = pair.split_at(split);
        Some((chain.to_vec(), Zeroizing::new(key.to_vec())))
    }

    fn save(&self, chain: &[u8], key: &[u8]) -> Result<(), OwnCertificateFault> {
        let fault = |source| OwnCertificateFault::File {
            path: self.pair.clone(),
            source,
        };
        let new = self.pair.with_extension("pem.new");
        let _ = std::fs::remove_file(&new);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(fault)?;
        file.write_all(chain)
            .and_then(|()| file.write_all(key))
            .and_then(|()| file.sync_all())
            .map_err(fault)?;
        std::fs::rename(&new, &self.pair).map_err(fault)
    }
}

const KEY_BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_renewal_is_tried_again_after_twice_the_time_up_to_an_hour() {
        let seconds = |failures| pause(Duration::from_secs(10), failures).as_secs();
        let pauses: Vec<_> = [0, 1, 2, 3, 8, 9, 31, 32, u32::MAX]
            .into_iter()
            .map(seconds)
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 2560, 3600, 3600, 3600, 3600]);
        let rare = Duration::from_secs(2 * 3600);
        assert_eq!(
            pause(rare, 5),
            rare,
            "never more often than without a failure"
        );
    }
}
