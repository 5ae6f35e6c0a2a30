//! A stricter gate before the HTTP parser (T-CA-21). hyper takes what RFC 9112 lets a server take: bare LF as line end,
//! two equal Content-Lengths, Content-Length beside Transfer-Encoding. Two parties that read such bytes differently are
//! what request smuggling lives on, so [`Strict`] watches the octets on their way and, at the first one that is not
//! plainly framed, gives the parser octets that no request may hold: it answers 400 and closes.
//!
//! A chunked request is the last on its connection ([`super::listener`] closes after it), so chunks need no watching.
//!
//! The way out is bounded in time: hyper waits for ever for a peer that reads none of its answers.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Sleep},
};

/// Watches one connection's incoming octets, and how long outgoing ones wait.
#[derive(Debug)]
pub(crate) struct Strict<S> {
    inner: S,
    outgoing: Deadline,
    gate: Gate,
    /// Octets of [`POISON`] that were given so far, once the gate has closed.
    poisoned: usize,
}

impl<S> Strict<S> {
    /// `write` bounds the time without progress in writing.
    pub(crate) fn new(inner: S, write: Duration) -> Self {
        Self {
            inner,
            outgoing: Deadline {
                within: write,
                timer: None,
            },
            gate: Gate::default(),
            poisoned: 0,
        }
    }
}

/// No header may hold NUL; the empty line makes sure that the parser looks.
const POISON: &[u8] = b"\0\r\n\r\n";

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.gate.is_closed() {
            let before = buf.filled().len();
            match Pin::new(&mut this.inner).poll_read(cx, buf) {
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            let fresh = buf.filled().get(before..).unwrap_or_default();
            if fresh.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match this.gate.pass(fresh) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(good) => buf.set_filled(before + good),
            }
        }
        let rest = POISON.get(this.poisoned..).unwrap_or_default();
        let give = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..give).unwrap_or_default());
        this.poisoned += give;
        Poll::Ready(Ok(()))
    }
}

/// Runs while the peer takes nothing, and starts anew with each octet that it takes.
#[derive(Debug)]
struct Deadline {
    within: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.timer = None;
            return polled;
        }
        let within = self.within;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(time::sleep(within)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.outgoing.bound(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.outgoing.bound(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.outgoing.bound(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.outgoing.bound(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// Where in a message the next octet lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the request line (or before it).
    Start,
    /// In a header line.
    Header,
    /// That many octets of body follow.
    Body(u64),
    /// After a chunked head: the connection's last message.
    Tail,
    /// Something was not plain.
    Closed,
}

/// The framing of one connection. Pure: octets in, verdict out.
#[derive(Debug)]
pub(crate) struct Gate {
    at: At,
    /// The start of the current line: enough for the two headers that frame.
    line: [u8; LINE],
    /// Octets of the line so far, also those that `line` has no room for.
    length: usize,
    after_cr: bool,
    content_length: Option<u64>,
    chunked: bool,
}

/// `transfer-encoding: chunked` and `content-length: ` with 20 digits fit several times.
const LINE: usize = 96;

impl Default for Gate {
    fn default() -> Self {
        Self {
            at: At::Start,
            line: [0; LINE],
            length: 0,
            after_cr: false,
            content_length: None,
            chunked: false,
        }
    }
}

impl Gate {
    fn is_closed(&self) -> bool {
        self.at == At::Closed
    }

    /// Looks at octets. `Err` closes the gate and says how many of them were good.
    pub(crate) fn pass(&mut self, octets: &[u8]) -> Result<(), usize> {
        let mut position = 0;
        while let Some(&octet) = octets.get(position) {
            match self.at {
                At::Closed => return Err(position),
                At::Tail => return Ok(()),
                At::Body(left) => {
                    let here = octets.len() - position;
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(here);
                    position += taken;
                    self.at = match left - taken as u64 {
                        0 => At::Start,
                        left => At::Body(left),
                    };
                }
                At::Start | At::Header => {
                    if self.head(octet).is_none() {
                        self.at = At::Closed;
                        return Err(position);
                    }
                    position += 1;
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, octet: u8) -> Option<()> {
        match (octet, self.after_cr) {
            (b'\n', true) => {
                self.after_cr = false;
                let length = std::mem::take(&mut self.length);
                return self.end_line(length);
            }
            // A bare LF, a CR with something else behind it, a control character.
            (b'\n', false) | (_, true) => return None,
            (b'\r', false) => self.after_cr = true,
            (0..=8 | 11..=31 | 127, false) => return None,
            // A header line that starts with white space would continue the one before (obs-fold).
            (b' ' | b'\t', false) if self.length == 0 => return None,
            (octet, false) => {
                if let Some(place) = self.line.get_mut(self.length) {
                    *place = octet;
                }
                self.length += 1;
            }
        }
        Some(())
    }

    fn end_line(&mut self, length: usize) -> Option<()> {
        if self.at == At::Start {
            // An empty line before a request is not ours to skip: two parsers may count it differently.
            if length == 0 {
                return None;
            }
            self.at = At::Header;
            return Some(());
        }
        if length == 0 {
            self.at = match (self.chunked, self.content_length) {
                (true, Some(_)) => return None,
                (true, None) => At::Tail,
                (false, None | Some(0)) => At::Start,
                (false, Some(length)) => At::Body(length),
            };
            (self.chunked, self.content_length) = (false, None);
            return Some(());
        }
        let seen = self.line.get(..length.min(LINE))?;
        let colon = seen.iter().position(|b| *b == b':').unwrap_or(seen.len());
        let (name, value) = seen.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            // Digits alone, once, and the whole line seen.
            let plain = length <= LINE
                && !value.is_empty()
                && value.len() <= 18
                && value.iter().all(u8::is_ascii_digit);
            if !plain || self.content_length.is_some() {
                return None;
            }
            self.content_length = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
        } else if name.trim_ascii().eq_ignore_ascii_case(b"transfer-encoding") {
            if length > LINE || self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            self.chunked = true;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(octets: &[u8]) -> Result<(), usize> {
        Gate::default().pass(octets)
    }

    #[test]
    fn plain_requests_pass_in_any_slicing() {
        let two = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe\n\0oGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(verdict(two), Ok(()));
        for size in 1..two.len() {
            let mut gate = Gate::default();
            for part in two.chunks(size) {
                assert_eq!(gate.pass(part), Ok(()), "slices of {size}");
            }
            assert_eq!(gate.at, At::Start);
        }
    }

    #[test]
    fn ambiguous_framing_closes_the_gate() {
        // T-CA-21
        let cases: &[(&str, &[u8])] = &[
            ("two equal content-lengths", b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
            ("two content-lengths", b"POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n"),
            ("list of lengths", b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n"),
            ("signed length", b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n"),
            ("hex length", b"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n"),
            ("huge length", b"POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n"),
            ("no length value", b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n"),
            ("length and chunked", b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("chunked and length", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
            ("twice chunked", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            ("other coding", b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            ("quoted coding", b"POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"),
            ("space before colon", b"POST / HTTP/1.1\r\nContent-Length : 5\r\nTransfer-Encoding : chunked\r\n\r\n"),
            ("fold", b"POST / HTTP/1.1\r\nX: a\r\n b\r\n\r\n"),
            ("fold of the first line", b"POST / HTTP/1.1\r\n X: a\r\n\r\n"),
            ("tab fold", b"POST / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n"),
            ("bare LF in a header", b"POST / HTTP/1.1\r\nX: a\nContent-Length: 3\r\n\r\n"),
            ("bare LF after the request line", b"GET / HTTP/1.1\nHost: x\n\n"),
            ("bare CR", b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n"),
            ("two CRs", b"GET / HTTP/1.1\r\r\n\r\n"),
            ("NUL", b"GET / HTTP/1.1\r\nX: \0\r\n\r\n"),
            ("empty line first", b"\r\nGET / HTTP/1.1\r\n\r\n"),
            ("vertical tab before chunked", b"POST / HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n"),
        ];
        let passed: Vec<_> = cases
            .iter()
            .filter(|(_, octets)| verdict(octets).is_ok())
            .map(|(name, _)| name)
            .collect();
        assert!(passed.is_empty(), "{passed:?}");
    }

    #[test]
    fn a_long_content_length_line_closes_the_gate() {
        let mut octets = b"POST / HTTP/1.1\r\nContent-Length:".to_vec();
        octets.extend_from_slice(&[b' '; 200]);
        octets.extend_from_slice(b"5\r\n\r\n");
        assert!(verdict(&octets).is_err());
    }

    #[tokio::test]
    async fn after_the_gate_closes_the_parser_reads_poison_and_the_end() {
        use tokio::io::AsyncReadExt;
        let octets: &[u8] = b"GET / HTTP/1.1\r\nX: a\nGET /smuggled HTTP/1.1\r\n\r\n";
        let mut read = Vec::new();
        Strict::new(octets, Duration::from_secs(1))
            .read_to_end(&mut read)
            .await
            .unwrap();
        assert_eq!(read, b"GET / HTTP/1.1\r\nX: a\0\r\n\r\n");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_ends_the_writing_and_one_that_takes_a_little_does_not() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let within = Duration::from_secs(1);
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut strict = Strict::new(ours, within);
        // Slower in all than the bound, but never idle for so long.
        let reader = tokio::spawn(async move {
            for _ in 0..8 {
                time::sleep(within / 5).await;
                theirs.read_exact(&mut [0; 4]).await.unwrap();
            }
            theirs
        });
        strict.write_all(&[b'x'; 32]).await.unwrap();
        let _silent = reader.await.unwrap();
        strict.write_all(b"full").await.unwrap();
        let fault = strict.write_all(b"x").await.unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
    }

    proptest::proptest! {
        #[test]
        fn the_gate_never_panics_and_what_it_passes_does_not_depend_on_slices(octets: Vec<u8>, size in 1_usize..64) {
            let whole = verdict(&octets);
            let mut gate = Gate::default();
            let mut good = 0;
            let mut sliced = Ok(());
            for part in octets.chunks(size) {
                match gate.pass(part) {
                    Ok(()) => good += part.len(),
                    Err(here) => { sliced = Err(good + here); break; }
                }
            }
            proptest::prop_assert_eq!(whole, sliced);
        }
    }
}
