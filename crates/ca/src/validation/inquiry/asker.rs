//! One question to one server, over a socket of its own: inquiries are few, and stay out of the way of validations.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::super::counters::{Counters, bump};
use super::super::dns_question::{Asking, Belongs, QueryRandom, Question};
use super::super::dns_report::{Report, code_name};
use super::super::trace::{Step, excerpt};

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Silence {
    #[error("no answer over UDP or TCP")]
    NoAnswer,
    #[error("not reachable over UDP or TCP")]
    Unreachable,
    #[error("an answer that is no DNS message")]
    Garbled,
    /// No more questions are allowed.
    #[error("not asked")]
    NotAsked,
}

/// Asks, counts, and writes down what was asked and answered.
#[derive(Debug)]
pub(super) struct Asker {
    /// The CA's own recursive servers, the first of them.
    servers: Vec<SocketAddr>,
    left: AtomicUsize,
    steps: Mutex<Vec<Step>>,
    counters: Arc<Counters>,
}

impl Asker {
    pub(super) fn new(servers: Vec<SocketAddr>, counters: Arc<Counters>) -> Self {
        Self {
            servers,
            left: AtomicUsize::new(QUESTIONS),
            steps: Mutex::default(),
            counters,
        }
    }

    pub(super) fn resolver(&self) -> Option<SocketAddr> {
        self.servers.first().copied()
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the CA's own resolver, the next one if the first is silent.
    pub(super) async fn ask(
        &self,
        name: &str,
        kind: RecordType,
        asking: Asking,
    ) -> Result<Report, Silence> {
        let mut last = Err(Silence::NotAsked);
        for server in &self.servers {
            last = self.at(*server, name, kind, asking).await;
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Asks this server.
    pub(super) async fn at(
        &self,
        server: SocketAddr,
        name: &str,
        kind: RecordType,
        asking: Asking,
    ) -> Result<Report, Silence> {
        let take = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.left.fetch_update(order, order, take).is_err() {
            return Err(Silence::NotAsked);
        }
        let mut random: QueryRandom = [0; 34];
        let question = match aws_lc_rs::rand::fill(&mut random) {
            Ok(()) => Question::new(name, kind, asking, &random),
            Err(_) => return Err(Silence::NotAsked),
        };
        let Ok(question) = question else {
            return Err(Silence::NotAsked);
        };
        let answer = self.exchange(server, &question).await;
        let how = match asking {
            Asking::Recursive => "",
            Asking::Unchecked => ", checking off",
            Asking::Direct => ", no recursion",
        };
        self.steps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Step::AskedAgain {
                server,
                question: format!("{kind} of {name}{how}"),
                answer: match &answer {
                    Ok(report) => shown(report),
                    Err(silence) => silence.to_string(),
                },
            });
        answer
    }

    async fn exchange(&self, server: SocketAddr, question: &Question) -> Result<Report, Silence> {
        let over_udp = match self.over_udp(server, question).await {
            Ok(report) if !report.truncated => return Ok(report),
            Ok(_) => Silence::NoAnswer,
            Err(silence) => silence,
        };
        bump(&self.counters.dns_tcp);
        match timeout(TCP, over_tcp(server, question)).await {
            Ok(Ok(Some(report))) => Ok(report),
            Ok(Ok(None)) => Err(Silence::Garbled),
            Ok(Err(_)) | Err(_) => Err(over_udp),
        }
    }

    async fn over_udp(&self, server: SocketAddr, question: &Question) -> Result<Report, Silence> {
        let unreachable = |_: io::Error| Silence::Unreachable;
        let local: IpAddr = if server.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        // The kernel draws the port; the connection lets only the server's packets in.
        let socket = UdpSocket::bind((local, 0)).await.map_err(unreachable)?;
        socket.connect(server).await.map_err(unreachable)?;
        let mut silence = Silence::NoAnswer;
        for _ in 0..SENDS {
            bump(&self.counters.dns_queries);
            socket.send(question.wire()).await.map_err(unreachable)?;
            let read = async {
                let mut buffer = vec![0; DATAGRAM];
                loop {
                    let length = socket.recv(&mut buffer).await.map_err(unreachable)?;
                    let bytes = buffer.get(..length).unwrap_or_default();
                    if let Some(report) = Report::read(question, bytes) {
                        return Ok(report);
                    }
                    if question.belongs(bytes) != Belongs::No {
                        return Err(Silence::Garbled);
                    }
                }
            };
            match timeout(WAIT, read).await {
                Ok(Ok(report)) => return Ok(report),
                Ok(Err(found)) => return Err(found),
                Err(_) => silence = Silence::NoAnswer,
            }
        }
        Err(silence)
    }
}

/// RFC 7766; `None` for what is no answer to the question.
async fn over_tcp(server: SocketAddr, question: &Question) -> io::Result<Option<Report>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.wire().len()).unwrap_or(u16::MAX);
    let message = [&length.to_be_bytes(), question.wire()].concat();
    stream.write_all(&message).await?;
    let length = stream.read_u16().await?;
    let mut answer = Vec::new();
    (&mut stream)
        .take(u64::from(length))
        .read_to_end(&mut answer)
        .await?;
    Ok(Report::read(question, &answer))
}

/// An answer for the operator.
fn shown(report: &Report) -> String {
    let mut text = code_name(report.code);
    if report.authoritative {
        text.push_str(", authoritative");
    }
    text.push_str(&format!(", {} records", report.answers.len()));
    for (code, said) in &report.errors {
        text.push_str(&format!(", EDE {code} \"{}\"", excerpt(said)));
    }
    text
}

/// Questions of one inquiry, so that one failure costs others no more than a page of them.
const QUESTIONS: usize = 40;
/// Times that a question is sent over UDP.
const SENDS: usize = 2;
/// How long each waits.
const WAIT: Duration = Duration::from_millis(350);
/// How long the whole takes over TCP.
const TCP: Duration = Duration::from_millis(500);
/// No answer is larger than the 1232 octets offered; a larger one is cut and fails to parse.
const DATAGRAM: usize = 4096;
