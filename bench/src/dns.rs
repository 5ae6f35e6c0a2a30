//! A name server of our own: every name is at 127.0.0.1, has the TXT record of the dns-01 proof that is shown for it
//! (RFC 8555 §8.4), and nothing else. Over UDP, and over TCP for those who prefer it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use hickory_proto::op::{Edns, Message, MessageType, Metadata};
use hickory_proto::rr::{RData, Record, RecordType, rdata};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::proofs::{Method, Proofs};

/// Bursts of 64 clients, a few queries each, must not be dropped here.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Serves on a free port of the loopback for as long as the program runs.
pub(crate) async fn start(proofs: Proofs) -> Result<SocketAddr> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = tcp.local_addr()?;
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket
        .bind(&address.into())
        .context("the name server's port is free for TCP but not for UDP")?;
    let udp = UdpSocket::from_std(socket.into())?;
    tokio::spawn(serve_udp(udp, proofs.clone()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            tokio::spawn(serve_tcp(stream, proofs.clone()));
        }
    });
    Ok(address)
}

async fn serve_udp(socket: UdpSocket, proofs: Proofs) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let reply = buffer
            .get(..length)
            .and_then(|query| answer(query, &proofs));
        if let Some(reply) = reply {
            // A lost answer is asked for again.
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

async fn serve_tcp(mut stream: TcpStream, proofs: Proofs) -> Option<()> {
    loop {
        let length = stream.read_u16().await.ok()?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await.ok()?;
        let reply = answer(&query, &proofs)?;
        let mut framed = u16::try_from(reply.len()).ok()?.to_be_bytes().to_vec();
        framed.extend(reply);
        stream.write_all(&framed).await.ok()?;
    }
}

/// A is 127.0.0.1, TXT the proof; all else is there without data. `None` for what is not a query.
fn answer(query: &[u8], proofs: &Proofs) -> Option<Vec<u8>> {
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
        let data = match question.query_type() {
            RecordType::A => Some(RData::A(rdata::A(Ipv4Addr::LOCALHOST))),
            RecordType::TXT => {
                // Resolvers draw the letters' case.
                let name = question.name().to_ascii().to_ascii_lowercase();
                let proof = proofs.at(Method::Dns01, name.trim_end_matches('.'));
                proof.map(|proof| RData::TXT(rdata::TXT::new(vec![proof])))
            }
            _ => None,
        };
        if let Some(data) = data {
            reply.add_answer(Record::from_rdata(question.name().clone(), 60, data));
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

    fn ask(name: &str, kind: RecordType, proofs: &Proofs) -> Message {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        Message::from_vec(&answer(&query.to_vec().unwrap(), proofs).unwrap()).unwrap()
    }

    #[test]
    fn every_name_leads_to_the_loopback() {
        let reply = ask("C1.bench.test.", RecordType::A, &Proofs::default());
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
        let reply = ask("C1.bench.test.", RecordType::AAAA, &Proofs::default());
        assert!(reply.answers.is_empty());
    }

    #[test]
    fn a_proof_is_the_txt_record_of_its_name_in_any_case() {
        let proofs = Proofs::default();
        let _shown = proofs.show(Method::Dns01, "c1.bench.test", "tok", "print");
        let texts = |name| ask(name, RecordType::TXT, &proofs).answers.len();
        assert_eq!(texts("_Acme-Challenge.C1.bench.test."), 1);
        assert_eq!(texts("_acme-challenge.c2.bench.test."), 0);
    }
}
