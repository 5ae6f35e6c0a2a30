//! One UDP socket to one DNS server, shared by many queries: a random port, a connected peer, a
//! large receive buffer and one task that hands answers out (speed.md: a socket for each query was
//! the dearer way).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::counters::{Counters, bump};
use super::dns_message::{Belongs, Query};

/// What comes back for a query.
#[derive(Debug)]
pub(super) enum Letter {
    /// A message with the query's id.
    Answer(Vec<u8>),
    /// The system says that nobody receives at the server's address.
    Unreachable,
}

/// Where letters of one look-up arrive, from whichever server it has asked.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    letters: Mutex<Vec<(usize, Letter)>>,
    bell: Notify,
}

impl Mailbox {
    fn post(&self, server: usize, letter: Letter) {
        lock(&self.letters).push((server, letter));
        self.bell.notify_one();
    }

    /// Waits for the next letter.
    pub(super) async fn next(&self) -> (usize, Letter) {
        loop {
            if let Some(letter) = lock(&self.letters).pop() {
                return letter;
            }
            self.bell.notified().await;
        }
    }
}

/// A socket with its receive task, which ends with it.
#[derive(Debug)]
pub(super) struct Channel {
    inner: Arc<Inner>,
    task: AbortHandle,
    uses: AtomicU32,
}

#[derive(Debug)]
struct Inner {
    udp: UdpSocket,
    pending: Mutex<HashMap<u16, Pending>>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Pending {
    query: Arc<Query>,
    server: usize,
    mailbox: Arc<Mailbox>,
}

impl Channel {
    pub(super) fn open(server: SocketAddr, counters: Arc<Counters>) -> io::Result<Arc<Self>> {
        let local: SocketAddr = if server.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = Socket::new(
            Domain::for_address(server),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        // Best effort: the system may cap it.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        // The kernel draws the port at random; the connection lets only the server's packets in.
        socket.bind(&local.into())?;
        socket.connect(&server.into())?;
        let inner = Arc::new(Inner {
            udp: UdpSocket::from_std(socket.into())?,
            pending: Mutex::default(),
            counters,
        });
        let task = tokio::spawn(receive(Arc::clone(&inner))).abort_handle();
        Ok(Arc::new(Self {
            inner,
            task,
            uses: AtomicU32::new(0),
        }))
    }

    /// Tells whether the socket has served long enough for one port.
    pub(super) fn is_worn(&self) -> bool {
        self.uses.load(Ordering::Relaxed) >= USES || self.task.is_finished()
    }

    /// Registers a query; `None` when its id is in use, then another is to be drawn.
    pub(super) fn register(
        self: &Arc<Self>,
        query: Arc<Query>,
        server: usize,
        mailbox: &Arc<Mailbox>,
    ) -> Option<Registered> {
        match lock(&self.inner.pending).entry(query.id()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(slot) => {
                slot.insert(Pending {
                    query: Arc::clone(&query),
                    server,
                    mailbox: Arc::clone(mailbox),
                });
            }
        }
        self.uses.fetch_add(1, Ordering::Relaxed);
        Some(Registered {
            channel: Arc::clone(self),
            query,
        })
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A query that waits for its answer; dropped, it waits no more.
#[derive(Debug)]
pub(super) struct Registered {
    channel: Arc<Channel>,
    pub(super) query: Arc<Query>,
}

impl Registered {
    /// Sends the query, the first time or again.
    pub(super) async fn send(&self) -> io::Result<()> {
        bump(&self.channel.inner.counters.dns_queries);
        self.channel
            .inner
            .udp
            .send(self.query.wire())
            .await
            .map(|_| ())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut pending = lock(&self.channel.inner.pending);
        // An answered query has left already, and its id may belong to another by now.
        if let Entry::Occupied(entry) = pending.entry(self.query.id())
            && Arc::ptr_eq(&entry.get().query, &self.query)
        {
            entry.remove();
        }
    }
}

async fn receive(inner: Arc<Inner>) {
    let mut buffer = vec![0_u8; DATAGRAM];
    loop {
        match inner.udp.recv(&mut buffer).await {
            Ok(length) => inner.deliver(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => inner.refuse_all(),
            // Whatever it is, it must not turn into a busy loop.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl Inner {
    fn deliver(&self, bytes: &[u8]) {
        let id = match bytes {
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => return bump(&self.counters.dns_ignored),
        };
        let mut pending = lock(&self.pending);
        let related = pending
            .get(&id)
            .is_some_and(|waiting| waiting.query.belongs(bytes) != Belongs::No);
        if !related {
            return bump(&self.counters.dns_ignored);
        }
        let waiting = pending.remove(&id);
        drop(pending);
        if let Some(waiting) = waiting {
            waiting
                .mailbox
                .post(waiting.server, Letter::Answer(bytes.to_vec()));
        }
    }

    fn refuse_all(&self) {
        let waiting = std::mem::take(&mut *lock(&self.pending));
        for pending in waiting.into_values() {
            pending.mailbox.post(pending.server, Letter::Unreachable);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for the answers of many look-ups at once (speed.md pitfall 4).
const RECEIVE_BUFFER: usize = 1 << 20;
/// No answer is larger than the 1232 octets offered; a larger one fails to parse.
const DATAGRAM: usize = 4096;
/// Queries after which a socket, and so its port, is replaced (T-CA-79).
const USES: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(20);
