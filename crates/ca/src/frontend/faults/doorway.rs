//! A listening socket that is closed for a time: the kernel refuses connections, and the port stays ours.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use socket2::Socket;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time,
};

use crate::{dev::Doors, frontend::connection::Listening};

/// The kernel's queue of a socket that listens again.
const BACKLOG: i32 = 1024;

/// How often it is looked whether an outage is over: tests end some before their time.
const LOOK: Duration = Duration::from_millis(10);

/// Hands out connections while the doors' state lets it.
#[derive(Debug)]
pub(crate) struct Doorway {
    doors: Arc<Doors>,
    socket: Socket,
    /// The runtime's side of the socket, and the outage that it comes after. The runtime never forgets that a socket was
    /// shut down, so each outage needs a new one.
    open: Mutex<(Option<TcpListener>, u64)>,
}

impl Doorway {
    /// # Errors
    /// As the system says of a second handle.
    pub(crate) fn new(doors: Arc<Doors>, listener: TcpListener) -> io::Result<Self> {
        let handle = || listener.as_fd().try_clone_to_owned().map(Socket::from);
        let (socket, watched) = (handle()?, handle()?);
        doors.watch(watched);
        let outages = doors.outages();
        Ok(Self {
            doors,
            socket,
            open: Mutex::new((Some(listener), outages)),
        })
    }

    fn listen_again(&self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?;
        TcpListener::from_std(self.socket.try_clone()?.into())
    }
}

impl Listening for Doorway {
    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut open = self.open.lock().await;
        loop {
            let outages = self.doors.outages();
            if let (Some(listener), after) = &*open
                && *after == outages
            {
                match listener.accept().await {
                    Err(_) if self.doors.outages() != outages => {}
                    accepted => return accepted,
                }
            }
            open.0 = None;
            if self.doors.is_down() {
                // The next outage may have come while this one was ended.
                self.doors.close();
            }
            while self.doors.is_down() {
                time::sleep(LOOK).await;
            }
            let outages = self.doors.outages();
            *open = (Some(self.listen_again()?), outages);
        }
    }
}

impl Drop for Doorway {
    fn drop(&mut self) {
        // The doors keep a handle; a server that has stopped must not look as if it listened.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
