//! A connection that its requests' faults can end or slow down, above TLS: an answer stops short, but never in the middle of
//! a record.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Sleep},
};

use crate::dev::Delivery;

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As it is.
    Plain,
    /// Up to so many octets of its body, or not at all.
    Cut {
        /// None: not even its head.
        body: Option<usize>,
    },
    /// Its body in pieces.
    Drip {
        /// Of a piece.
        octets: usize,
        /// After a piece.
        pause: Duration,
    },
}

/// What the handler of a connection's requests says to its stream.
#[derive(Debug)]
pub(super) struct Wire(Mutex<Going>);

#[derive(Debug)]
struct Going {
    manner: Manner,
    /// Octets of the head's end that were seen: four when the body has begun.
    end: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self(Mutex::new(Going {
            manner: Manner::Plain,
            end: 0,
        }))
    }
}

impl Wire {
    /// How the next answer travels.
    pub(super) fn set(&self, manner: Manner) {
        *self.going() = Going { manner, end: 0 };
    }

    /// How much of the next answer can arrive.
    pub(super) fn delivery(&self) -> Delivery {
        match self.going().manner {
            Manner::Plain => Delivery::Whole,
            // A client that is tired of waiting goes in the midst of it.
            Manner::Drip { .. } | Manner::Cut { body: Some(_) } => Delivery::Part,
            Manner::Cut { body: None } => Delivery::None,
        }
    }

    fn going(&self) -> MutexGuard<'_, Going> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of an answer's head.
const END: &[u8; 4] = b"\r\n\r\n";

impl Going {
    /// How many of these octets may go now, and whether a pause follows. None at all is the end.
    fn allow(&self, octets: &[u8]) -> (usize, Option<Duration>) {
        let head = self.head(octets).0;
        let body = octets.len() - head;
        match self.manner {
            Manner::Plain => (octets.len(), None),
            Manner::Cut { body: None } => (0, None),
            Manner::Cut { body: Some(left) } => (head + body.min(left), None),
            Manner::Drip { .. } if head > 0 => (head, None),
            Manner::Drip { octets, pause } => (body.min(octets), Some(pause)),
        }
    }

    /// Octets of these that belong to the head, and how much of its end is seen after them.
    fn head(&self, octets: &[u8]) -> (usize, usize) {
        let mut end = self.end;
        for (at, octet) in octets.iter().enumerate() {
            if end == END.len() {
                return (at, end);
            }
            end = match END.get(end) {
                Some(next) if next == octet => end + 1,
                _ => usize::from(*octet == b'\r'),
            };
        }
        (octets.len(), end)
    }

    /// These went.
    fn went(&mut self, octets: &[u8]) {
        let (head, end) = self.head(octets);
        self.end = end;
        if let Manner::Cut { body: Some(left) } = &mut self.manner {
            *left = left.saturating_sub(octets.len() - head);
        }
    }
}

/// A stream on such a wire.
#[derive(Debug)]
pub(super) struct Wired<S> {
    inner: S,
    wire: Arc<Wire>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Wired<S> {
    pub(super) fn new(inner: S, wire: Arc<Wire>) -> Self {
        Self {
            inner,
            wire,
            pause: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wired<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wired<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(cx));
            this.pause = None;
        }
        let (allowed, pause) = this.wire.going().allow(buf);
        let now = buf.get(..allowed).unwrap_or_default();
        if now.is_empty() && !buf.is_empty() {
            // What went before shall arrive.
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, now))?;
        this.wire
            .going()
            .went(now.get(..written).unwrap_or_default());
        if let Some(pause) = pause {
            // What was written must go before the pause, not after it.
            let _ = Pin::new(&mut this.inner).poll_flush(cx);
            this.pause = Some(Box::pin(time::sleep(pause)));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
