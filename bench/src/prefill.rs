//! Fills a stopped CA's store with certificates: rows of real size, copied from ones that were really issued.

use std::path::Path;

use anyhow::{Result, bail};

/// Copies rows until there are so many certificates.
pub(crate) fn fill(_dir: &Path, _count: usize) -> Result<()> {
    bail!("waits for the store's schema")
}
