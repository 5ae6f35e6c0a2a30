//! A scripted DNS server over UDP and TCP: a table of names, a table of misbehaviours, a log.
//!
//! It answers as a resolver would (recursion available, CNAMEs followed within its own table).
//! A name with no record of the type asked for, or above one that has, is NODATA; any other is
//! NXDOMAIN.

mod answer;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, NULL, TXT};
use hickory_proto::rr::{Name, RData};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub use hickory_proto::op::ResponseCode;
pub use hickory_proto::rr::RecordType;

use crate::server::Thread;

/// What the server does in place of a plain answer.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers with this code and nothing else, such as `ServFail`.
    Code(ResponseCode),
    /// SERVFAIL with this extended error (RFC 8914), but the plain answer to whoever turns checking off, as a validating
    /// resolver does with what is bogus.
    Bogus(u16, String),
    /// Answers late.
    Delay(Duration),
    /// Never answers.
    Drop,
    /// Answers under another message id.
    WrongId,
    /// Answers a question for another name.
    WrongName,
    /// Answers with the question's letters in the other case.
    WrongCase,
    /// Answers without the question section.
    NoQuestion,
    /// Over UDP: truncated and empty; over TCP: the whole answer.
    Truncate,
    /// Truncated over TCP too.
    TruncateAlways,
    /// Answers from another port than was asked.
    WrongPort,
    /// Sends these bytes after the question's own message id.
    Raw(Vec<u8>),
    /// Over UDP: so many forged answers under other message ids, then the true one.
    Flood(u16),
    /// This often the behaviour, then plain answers.
    Times(u32, Box<Behaviour>),
}

/// One question that came in.
#[derive(Debug, Clone)]
pub struct Question {
    /// The name asked for, in lower case, without its last dot.
    pub name: String,
    /// The name as it came, to see 0x20 mixing.
    pub raw_name: String,
    /// The record type asked for.
    pub kind: RecordType,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Who asked.
    pub from: SocketAddr,
    /// When.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Tables {
    records: BTreeMap<String, Vec<RData>>,
    /// Every name below one of these has these records, unless it has its own.
    wildcards: BTreeMap<String, Vec<RData>>,
    behaviours: HashMap<(String, Option<RecordType>), Behaviour>,
    /// A file each name whose lines are its TXT records: what programs of a test's own set.
    folder: Option<PathBuf>,
    /// Zones with their serial; without one, a name's zone is the name above it.
    zones: BTreeMap<String, u32>,
    /// Zones that are another server's: its name and address.
    referrals: BTreeMap<String, (String, IpAddr)>,
    authentic: bool,
    authoritative: bool,
    log: Vec<Question>,
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    tables: Arc<Mutex<Tables>>,
    _thread: Thread,
}

impl Server {
    /// Starts on this address, both UDP and TCP; port 0 takes a free one.
    ///
    /// # Panics
    /// If the address can't be bound.
    pub fn start(address: impl Into<SocketAddr>) -> Self {
        let address = address.into();
        let tables = Arc::new(Mutex::new(Tables::default()));
        let shared = tables.clone();
        let (thread, address) = Thread::start("dns", move || async move {
            let (udp, tcp) = bind(address).await;
            let address = udp.local_addr().expect("a bound address");
            tokio::spawn(serve_udp(Arc::new(udp), shared.clone()));
            tokio::spawn(serve_tcp(tcp, shared));
            address
        });
        Self {
            address,
            tables,
            _thread: thread,
        }
    }

    /// Starts on a free port of 127.0.0.1.
    pub fn local() -> Self {
        Self::start(([127, 0, 0, 1], 0))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an A or AAAA record.
    pub fn add_address(&self, name: &str, address: impl Into<IpAddr>) -> &Self {
        self.add(name, address_record(address.into()))
    }

    /// Adds a TXT record of one string.
    pub fn add_txt(&self, name: &str, text: &str) -> &Self {
        self.add(name, RData::TXT(TXT::new(vec![text.to_owned()])))
    }

    /// Adds a TXT record of several strings.
    pub fn add_txt_strings(&self, name: &str, strings: Vec<String>) -> &Self {
        self.add(name, RData::TXT(TXT::new(strings)))
    }

    /// Takes TXT records from this folder too: a file for each name in lower case, a record for each of its lines.
    pub fn txt_folder(&self, folder: &Path) -> &Self {
        self.lock().folder = Some(folder.to_owned());
        self
    }

    /// Makes `name` an alias.
    pub fn add_cname(&self, name: &str, target: &str) -> &Self {
        self.add(name, RData::CNAME(CNAME(absolute(target))))
    }

    /// Adds a CAA record with its flags as they go over the wire.
    pub fn add_caa(&self, name: &str, flags: u8, tag: &str, value: &str) -> &Self {
        let mut caa = CAA::new_issue(flags & 0x80 != 0, None, Vec::new());
        caa.reserved_flags = flags & 0x7f;
        caa.tag = tag.to_owned();
        caa.value = value.as_bytes().to_vec();
        self.add(name, RData::CAA(caa))
    }

    /// Adds any record.
    pub fn add(&self, name: &str, data: RData) -> &Self {
        self.lock().records.entry(key(name)).or_default().push(data);
        self
    }

    /// Gives an address to every name below `suffix` that has no records of its own.
    pub fn add_wildcard(&self, suffix: &str, address: impl Into<IpAddr>) -> &Self {
        let record = address_record(address.into());
        self.lock()
            .wildcards
            .entry(key(suffix))
            .or_default()
            .push(record);
        self
    }

    /// Removes a name's records and behaviours.
    pub fn clear(&self, name: &str) -> &Self {
        let name = key(name);
        let mut tables = self.lock();
        tables.records.remove(&name);
        tables.wildcards.remove(&name);
        tables.behaviours.retain(|(other, _), _| *other != name);
        drop(tables);
        self
    }

    /// Misbehaves for a name and type; for every type if `None`.
    pub fn behave(
        &self,
        name: &str,
        kind: impl Into<Option<RecordType>>,
        behaviour: Behaviour,
    ) -> &Self {
        self.lock()
            .behaviours
            .insert((key(name), kind.into()), behaviour);
        self
    }

    /// Sets the AD bit of every answer, as a validating resolver would.
    pub fn authentic(&self, authentic: bool) -> &Self {
        self.lock().authentic = authentic;
        self
    }

    /// Sets the AA bit of every answer, as a zone's own server would.
    pub fn authoritative(&self, authoritative: bool) -> &Self {
        self.lock().authoritative = authoritative;
        self
    }

    /// Makes a name the apex of a zone with this serial.
    pub fn add_zone(&self, name: &str, serial: u32) -> &Self {
        self.lock().zones.insert(key(name), serial);
        self
    }

    /// Refers whoever asks for names of a zone to its server, with the address.
    pub fn refer(&self, zone: &str, server: &str, address: impl Into<IpAddr>) -> &Self {
        let to = (server.to_owned(), address.into());
        self.lock().referrals.insert(key(zone), to);
        self
    }

    /// Adds an NS record.
    pub fn add_ns(&self, zone: &str, server: &str) -> &Self {
        self.add(zone, RData::NS(NS(absolute(server))))
    }

    /// Adds a record of any type by its octets.
    pub fn add_raw(&self, name: &str, code: RecordType, octets: &[u8]) -> &Self {
        let rdata = NULL::with(octets.to_vec());
        self.add(name, RData::Unknown { code, rdata })
    }

    /// Every question so far.
    pub fn log(&self) -> Vec<Question> {
        self.lock().log.clone()
    }

    /// How often this was asked.
    pub fn count(&self, name: &str, kind: RecordType) -> usize {
        let name = key(name);
        self.lock()
            .log
            .iter()
            .filter(|asked| asked.name == name && asked.kind == kind)
            .count()
    }

    /// Forgets the log.
    pub fn clear_log(&self) -> &Self {
        self.lock().log.clear();
        self
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.tables.lock().expect("no test panicked here")
    }
}

/// The same port on both; with port 0 the UDP port may be taken on TCP, so more than one try.
async fn bind(address: SocketAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..20 {
        let udp = UdpSocket::bind(address).await;
        let udp = udp.unwrap_or_else(|error| panic!("dns: cannot bind {address}: {error}"));
        match TcpListener::bind(udp.local_addr().expect("a bound address")).await {
            Ok(tcp) => return (udp, tcp),
            Err(error) => assert_eq!(address.port(), 0, "dns: cannot bind {address}: {error}"),
        }
    }
    panic!("dns: no port free for both UDP and TCP");
}

async fn serve_udp(socket: Arc<UdpSocket>, tables: Arc<Mutex<Tables>>) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = buffer.get(..length).unwrap_or_default().to_vec();
        let (socket, tables) = (socket.clone(), tables.clone());
        tokio::spawn(async move {
            let Some(reply) = answer::to(&question, from, false, &tables) else {
                return;
            };
            tokio::time::sleep(reply.delay).await;
            for forged in &reply.forged {
                socket.send_to(forged, from).await.ok();
            }
            if reply.wrong_port {
                let other = SocketAddr::new(socket.local_addr().expect("bound").ip(), 0);
                if let Ok(other) = UdpSocket::bind(other).await {
                    other.send_to(&reply.bytes, from).await.ok();
                }
            } else {
                socket.send_to(&reply.bytes, from).await.ok();
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, tables: Arc<Mutex<Tables>>) {
    while let Ok((stream, from)) = listener.accept().await {
        tokio::spawn(serve_stream(stream, from, tables.clone()));
    }
}

async fn serve_stream(mut stream: TcpStream, from: SocketAddr, tables: Arc<Mutex<Tables>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut question = vec![0; usize::from(length)];
        if stream.read_exact(&mut question).await.is_err() {
            return;
        }
        let Some(reply) = answer::to(&question, from, true, &tables) else {
            continue;
        };
        tokio::time::sleep(reply.delay).await;
        let length = u16::try_from(reply.bytes.len()).expect("an answer under 64 KiB");
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(&reply.bytes);
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

fn address_record(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{}.", key(name))).expect("a DNS name")
}
