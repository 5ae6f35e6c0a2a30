//! A name server of our own: every name is at 127.0.0.1 and has nothing else. Over UDP, and over TCP for those who
//! prefer it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use hickory_proto::op::{Edns, Message, MessageType, Metadata};
use hickory_proto::rr::{RData, Record, RecordType, rdata};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Bursts of 64 clients, a few queries each, must not be dropped here.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Serves on a free port of the loopback for as long as the program runs.
pub(crate) async fn start() -> Result<SocketAddr> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = tcp.local_addr()?;
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket
        .bind(&address.into())
        .context("the name server's port is free for TCP but not for UDP")?;
    let udp = UdpSocket::from_std(socket.into())?;
    tokio::spawn(serve_udp(udp));
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            tokio::spawn(serve_tcp(stream));
        }
    });
    Ok(address)
}

async fn serve_udp(socket: UdpSocket) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let reply = buffer.get(..length).and_then(answer);
        if let Some(reply) = reply {
            // A lost answer is asked for again.
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

async fn serve_tcp(mut stream: TcpStream) -> Option<()> {
    loop {
        let length = stream.read_u16().await.ok()?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await.ok()?;
        let reply = answer(&query)?;
        let mut framed = u16::try_from(reply.len()).ok()?.to_be_bytes().to_vec();
        framed.extend(reply);
        stream.write_all(&framed).await.ok()?;
    }
}

/// A is 127.0.0.1; all else is there without data. `None` for what is not a query.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = Message::new(
        query.metadata.id,
        MessageType::Response,
        query.metadata.op_code,
    );
    reply.metadata = Metadata::response_from_request(&query.metadata);
    reply.metadata.recursion_available = true;
    for question in &query.queries {
        if question.query_type() == RecordType::A {
            let address = RData::A(rdata::A(Ipv4Addr::LOCALHOST));
            reply.add_answer(Record::from_rdata(question.name().clone(), 60, address));
        }
        reply.add_query(question.clone());
    }
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        reply.set_edns(edns);
    }
    reply.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{OpCode, Query};
    use hickory_proto::rr::Name;

    fn ask(kind: RecordType) -> Message {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(
            Name::from_ascii("C1.bench.test.").unwrap(),
            kind,
        ));
        Message::from_vec(&answer(&query.to_vec().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn every_name_leads_to_the_loopback() {
        let reply = ask(RecordType::A);
        assert_eq!(reply.metadata.id, 7);
        let addresses: Vec<_> = reply
            .answers
            .iter()
            .map(|record| record.data.clone())
            .collect();
        assert_eq!(addresses, [RData::A(rdata::A(Ipv4Addr::LOCALHOST))]);
    }

    #[test]
    fn no_name_has_an_ipv6_address() {
        assert!(ask(RecordType::AAAA).answers.is_empty());
    }
}
