//! Fakes on loopback: a scripted DNS server over UDP and TCP, and a web server that sends whatever
//! octets a test wants.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cairn_acme::identifier::DnsName;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NULL, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::dns_message::Query;
use super::rules::NameRule;

/// An answer under construction.
#[derive(Clone)]
pub(super) struct Reply(Message);

impl Reply {
    pub(super) fn to(query: &Query) -> Self {
        Self::to_wire(query.wire())
    }

    pub(super) fn to_wire(query: &[u8]) -> Self {
        let mut message = Message::from_vec(query).unwrap();
        message.metadata.message_type = MessageType::Response;
        message.metadata.recursion_available = true;
        message.metadata.authentic_data = false;
        message.edns = None;
        Self(message)
    }

    pub(super) fn answer(mut self, record: Record) -> Self {
        self.0.add_answer(record);
        self
    }

    pub(super) fn authority(mut self, record: Record) -> Self {
        self.0.add_authority(record);
        self
    }

    pub(super) fn code(mut self, code: u16) -> Self {
        self.0.metadata.response_code = ResponseCode::from_low(u8::try_from(code).unwrap());
        self
    }

    /// With the server's word that DNSSEC proves it.
    pub(super) fn authenticated(mut self) -> Self {
        self.0.metadata.authentic_data = true;
        self
    }

    pub(super) fn wire(&self) -> Vec<u8> {
        self.0.to_vec().unwrap()
    }
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(absolute(owner), 0, data)
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).unwrap()
}

pub(super) fn record_a(owner: &str, ip: &str) -> Record {
    record(owner, RData::A(A(ip.parse().unwrap())))
}

pub(super) fn record_aaaa(owner: &str, ip: &str) -> Record {
    record(owner, RData::AAAA(AAAA(ip.parse().unwrap())))
}

pub(super) fn record_cname(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(absolute(target))))
}

pub(super) fn record_txt(owner: &str, strings: &[&[u8]]) -> Record {
    record(owner, RData::TXT(TXT::from_bytes(strings.to_vec())))
}

/// A CAA record of any octets, right or not.
pub(super) fn record_caa(owner: &str, rdata: &[u8]) -> Record {
    let rdata = match rdata {
        [] => NULL::new(),
        rdata => NULL::with(rdata.to_vec()),
    };
    let code = RecordType::CAA;
    record(owner, RData::Unknown { code, rdata })
}

pub(super) fn record_soa(owner: &str) -> Record {
    let name = absolute(owner);
    record(
        owner,
        RData::SOA(SOA::new(name.clone(), name, 1, 1, 1, 1, 1)),
    )
}

/// One query as the fake server saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) tcp: bool,
    /// In lower case, without the trailing dot.
    pub(super) name: String,
    pub(super) kind: RecordType,
    pub(super) wire: Vec<u8>,
    /// How many queries came before it.
    pub(super) turn: usize,
}

impl Asked {
    pub(super) fn reply(&self) -> Reply {
        Reply::to_wire(&self.wire)
    }
}

/// A DNS server; its script gives the messages to send back, in order.
pub(super) struct Dns {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Dns {
    pub(super) async fn start<F>(script: F) -> Self
    where
        F: Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static,
    {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let script = Arc::new(script);
        let answer = {
            let log = Arc::clone(&log);
            move |tcp: bool, wire: &[u8]| {
                let message = Message::from_vec(wire).unwrap();
                let question = &message.queries[0];
                let mut name = question.name.to_ascii().to_ascii_lowercase();
                name.pop();
                let mut log = log.lock().unwrap();
                let turn = log.len();
                let kind = question.query_type;
                let asked = Asked {
                    tcp,
                    name,
                    kind,
                    wire: wire.to_vec(),
                    turn,
                };
                log.push(asked.clone());
                script(&asked)
            }
        };
        let over_tcp = answer.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                for message in answer(false, &buffer[..length]) {
                    udp.send_to(&message, from).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut wire = vec![0; usize::from(length)];
                stream.read_exact(&mut wire).await.unwrap();
                for message in over_tcp(true, &wire) {
                    let length = u16::try_from(message.len()).unwrap();
                    let _ = stream.write_all(&length.to_be_bytes()).await;
                    let _ = stream.write_all(&message).await;
                }
            }
        });
        Self { address, log }
    }

    /// A server that knows addresses of names, and nothing else.
    pub(super) async fn zone(names: &[(&str, &[&str])]) -> Self {
        let names: HashMap<String, Vec<String>> = names
            .iter()
            .map(|(name, ips)| {
                (
                    (*name).to_owned(),
                    ips.iter().map(ToString::to_string).collect(),
                )
            })
            .collect();
        Self::start(move |asked| vec![addresses(asked, names.get(&asked.name))]).await
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

/// Answers with the addresses of the family asked for; NXDOMAIN without a list.
pub(super) fn addresses(asked: &Asked, ips: Option<&Vec<String>>) -> Vec<u8> {
    let Some(ips) = ips else {
        return asked.reply().code(3).wire();
    };
    let mut reply = asked.reply();
    for ip in ips {
        match (ip.parse::<IpAddr>().unwrap(), asked.kind) {
            (IpAddr::V4(_), RecordType::A) => reply = reply.answer(record_a(&asked.name, ip)),
            (IpAddr::V6(_), RecordType::AAAA) => reply = reply.answer(record_aaaa(&asked.name, ip)),
            _ => {}
        }
    }
    reply.wire()
}

/// What a web server does after its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Close,
    Hold,
    Reset,
}

/// What a web server sends, each part after a pause.
#[derive(Clone, Debug)]
pub(super) struct Script {
    parts: Vec<(Duration, Vec<u8>)>,
    then: Then,
}

impl Script {
    pub(super) fn send(octets: impl AsRef<[u8]>) -> Self {
        Self {
            parts: vec![(Duration::ZERO, octets.as_ref().to_vec())],
            then: Then::Close,
        }
    }

    pub(super) fn ok(body: &str) -> Self {
        Self::status(
            "200 OK",
            &format!("Content-Length: {}\r\n", body.len()),
            body,
        )
    }

    pub(super) fn status(status: &str, headers: &str, body: &str) -> Self {
        Self::send(format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}"))
    }

    pub(super) fn redirect(status: &str, location: &str) -> Self {
        Self::status(
            status,
            &format!("Location: {location}\r\nContent-Length: 0\r\n"),
            "",
        )
    }

    pub(super) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// Sends the octets one by one with a pause before each.
    pub(super) fn drip(octets: &str, pause: Duration) -> Self {
        let parts = octets.bytes().map(|octet| (pause, vec![octet])).collect();
        Self {
            parts,
            then: Then::Hold,
        }
    }

    pub(super) async fn play(self, mut stream: TcpStream) {
        for (pause, octets) in self.parts {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if stream.write_all(&octets).await.is_err() {
                return;
            }
        }
        match self.then {
            Then::Close => {
                let _ = stream.shutdown().await;
                let _ = stream.read(&mut [0; 1]).await;
            }
            Then::Hold => std::future::pending().await,
            Then::Reset => {
                socket2::SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
        }
    }
}

/// A web server.
pub(super) struct Web {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Starts one whose answer depends on the head of the request.
    pub(super) async fn start<F>(respond: F) -> Self
    where
        F: Fn(&str) -> Script + Send + Sync + 'static,
    {
        Self::start_at("127.0.0.1:0", respond).await
    }

    pub(super) async fn start_at<F>(address: &str, respond: F) -> Self
    where
        F: Fn(&str) -> Script + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&log);
        let respond = Arc::new(respond);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, respond) = (Arc::clone(&seen), Arc::clone(&respond));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(octet) => head.push(octet),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    seen.lock().unwrap().push(head.clone());
                    respond(&head).play(stream).await;
                });
            }
        });
        Self { address, log }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// A rule that sends a suffix to a port of loopback.
pub(super) fn rule(suffix: &str, http_port: u16, tls_port: u16) -> NameRule {
    NameRule {
        suffix: DnsName::parse(suffix).unwrap(),
        exact: false,
        dial: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        http_port: Some(http_port),
        tls_port: Some(tls_port),
    }
}
