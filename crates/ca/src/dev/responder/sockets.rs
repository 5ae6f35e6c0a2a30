//! Listening sockets as Go opens them: `[::]` is every address of both families.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// The kernel's queue of connections not yet accepted.
const BACKLOG: i32 = 1024;

/// Tries at a port that is free on both TCP and UDP.
const TRIES: usize = 20;

pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = or_ipv4(address, |address| {
        let socket = open(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    })?;
    TcpListener::from_std(socket.into())
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = or_ipv4(address, |address| {
        let socket = open(address, Type::DGRAM, Protocol::UDP)?;
        socket.bind(&address.into())?;
        Ok(socket)
    })?;
    UdpSocket::from_std(socket.into())
}

/// The same port on both; port 0 takes one that is free on both.
pub(super) fn udp_and_tcp(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let udp = udp(address)?;
        match tcp(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if address.port() != 0 || left == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A machine without IPv6 still has all its IPv4 addresses.
fn or_ipv4(
    address: SocketAddr,
    open: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<Socket> {
    let error = match open(address) {
        Ok(socket) => return Ok(socket),
        Err(error) => error,
    };
    let no_ipv6 = matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable
    ) || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    match address.is_ipv6() && address.ip().is_unspecified() && no_ipv6 {
        true => open((Ipv4Addr::UNSPECIFIED, address.port()).into()),
        false => Err(error),
    }
}
