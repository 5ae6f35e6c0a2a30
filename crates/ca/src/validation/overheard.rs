//! The first octets that a connection brought, for the text about what listens there when it is not what should.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// A reader that keeps a copy of its first octets.
#[derive(Debug)]
pub(super) struct Overheard<R> {
    inner: R,
    first: FirstOctets,
}

/// The copy.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstOctets(Arc<Mutex<Vec<u8>>>);

impl<R> Overheard<R> {
    pub(super) fn new(inner: R) -> (Self, FirstOctets) {
        let first = FirstOctets::default();
        let copy = first.clone();
        (Self { inner, first }, copy)
    }
}

impl FirstOctets {
    pub(super) fn octets(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether they begin as a record of TLS does: an alert or a handshake of major version 3 (RFC 8446 section 5.1).
    pub(super) fn are_tls(&self) -> bool {
        matches!(self.octets().as_slice(), [0x15 | 0x16, 3, ..] | [])
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Overheard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let mut first = self.first.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FIRST.saturating_sub(first.len());
        let new = buffer.filled().get(before..).unwrap_or_default();
        first.extend(new.iter().take(room));
        Poll::Ready(Ok(()))
    }
}

/// Octets kept.
const FIRST: usize = 24;
