//! An address whose packets vanish: a listener that takes nothing and whose queue is full, so that the kernel drops every
//! further request for a connection. Needs no packet filter.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};

/// Connections that a queue of no length takes are few.
const MOST: usize = 100;
/// How long a connection on this host may take until it counts as dropped.
const PATIENCE: Duration = Duration::from_millis(500);

/// The listener with the connections that fill it.
#[derive(Debug)]
pub struct FullQueue {
    _listener: OwnedFd,
    _waiting: Vec<TcpStream>,
}

impl FullQueue {
    /// Listens there and fills the queue.
    ///
    /// # Panics
    /// If the address can't be bound, or the queue never fills.
    pub fn start((ip, port): (Ipv4Addr, u16)) -> Self {
        let address = SocketAddrV4::new(ip, port);
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&listener, &address).unwrap_or_else(|error| panic!("cannot bind {address}: {error}"));
        listen(&listener, 0).expect("a listener");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address.into(), PATIENCE) {
            waiting.push(stream);
            assert!(waiting.len() < MOST, "the queue never fills");
        }
        Self {
            _listener: listener,
            _waiting: waiting,
        }
    }
}
