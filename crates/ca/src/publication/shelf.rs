//! What is published now.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use bytes::Bytes;
use cairn_acme::{base64url, time::Timestamp};

use crate::{frontend::urls::crl_path, id::IssuerId, model::StoredCrl};

/// A published file's media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// RFC 5280 §4.2.1.13, RFC 2585.
    Crl,
    /// RFC 2585: one DER certificate.
    Certificate,
}

impl Media {
    /// As Content-Type has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crl => "application/pkix-crl",
            Self::Certificate => "application/pkix-cert",
        }
    }
}

/// One published file.
#[derive(Debug, Clone)]
pub struct File {
    /// Its octets.
    pub body: Bytes,
    /// What they are.
    pub media: Media,
    /// When they were made.
    pub modified: Timestamp,
    /// Until when a cache may keep them; none: they never change.
    pub fresh_until: Option<Timestamp>,
    /// Quoted, strong.
    pub etag: String,
}

impl File {
    /// A certificate: it never changes.
    #[must_use]
    pub fn certificate(der: impl Into<Bytes>, modified: Timestamp) -> Self {
        Self::new(der.into(), Media::Certificate, modified, None)
    }

    /// A CRL, which the next one replaces at `fresh_until`.
    #[must_use]
    pub fn crl(der: impl Into<Bytes>, this_update: Timestamp, fresh_until: Timestamp) -> Self {
        Self::new(der.into(), Media::Crl, this_update, Some(fresh_until))
    }

    fn new(body: Bytes, media: Media, modified: Timestamp, fresh_until: Option<Timestamp>) -> Self {
        let hash = digest::digest(&digest::SHA256, &body);
        let etag = format!(
            "\"{}\"",
            base64url::encode(hash.as_ref().get(..16).unwrap_or_default())
        );
        Self {
            body,
            media,
            modified,
            fresh_until,
            etag,
        }
    }

    /// How long a cache may keep it from now on. A CRL's last tenth is not cached across its end.
    #[must_use]
    pub fn max_age(&self, now: Timestamp) -> Duration {
        const DAY: Duration = Duration::from_secs(86_400);
        self.fresh_until.map_or(DAY, |end| end.since(now).min(DAY))
    }
}

/// All published files by path. Readers take the snapshot of the moment; a change is one swap.
#[derive(Debug, Default)]
pub struct Shelf {
    files: ArcSwap<BTreeMap<String, Arc<File>>>,
    /// Changes are made one after the other; readers never wait for them.
    change: Mutex<()>,
}

impl Shelf {
    /// Publishes a CRL, in place of the shard's one before.
    pub fn put_crl(&self, crl: &StoredCrl) {
        self.put(
            crl_path(crl.issuer, crl.shard),
            File::crl(crl.der.clone(), crl.this_update, crl.next_update),
        );
    }

    /// When the published CRL of the shard was made.
    #[must_use]
    pub fn this_update(&self, issuer: &IssuerId, shard: u32) -> Option<Timestamp> {
        self.files
            .load()
            .get(&crl_path(*issuer, shard))
            .map(|file| file.modified)
    }

    /// Publishes a file at a path, in place of what was there.
    pub fn put(&self, path: String, file: File) {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = BTreeMap::clone(&self.files.load());
        files.insert(path, Arc::new(file));
        self.files.store(Arc::new(files));
    }

    /// The file at that path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Arc<File>> {
        self.files.load().get(path).cloned()
    }

    /// All paths, with the end of each CRL.
    #[must_use]
    pub fn list(&self) -> Vec<(String, Arc<File>)> {
        self.files
            .load()
            .iter()
            .map(|(path, file)| (path.clone(), Arc::clone(file)))
            .collect()
    }
}
