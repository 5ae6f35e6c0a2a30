//! A scripted HTTP server on raw TCP for http-01: tokens, any other answer, any misbehaviour,
//! a log. It speaks HTTP/1.1 by hand, so that it can also break it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Thread;

/// Where http-01 looks (RFC 8555 §8.3).
pub const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The longest request head that the responder reads.
const HEAD: usize = 64 * 1024;

/// What a request gets.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this body.
    Body(Vec<u8>),
    /// A status with this body.
    Status(u16, String),
    /// A status with this `Location`.
    Redirect(u16, String),
    /// These bytes as they are, then the end of the connection.
    Raw(Vec<u8>),
    /// 200 with this body, a byte each so long.
    Slow(Vec<u8>, Duration),
    /// A status line and headers without end.
    EndlessHeaders,
    /// A good head and a body without end.
    EndlessBody,
    /// Reads the request and says nothing until the peer gives up.
    Hang,
    /// Closes without a word.
    Close,
    /// Resets the connection.
    Reset,
    /// Answers late.
    Delay(Duration, Box<Reply>),
    /// This often the reply, then whatever stands below it.
    Times(u32, Box<Reply>),
}

/// One request that came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target as it came.
    pub target: String,
    /// The Host header's value.
    pub host: String,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Who asked.
    pub from: SocketAddr,
    /// When.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Script {
    /// By `host` and target, or by target alone (host empty).
    replies: HashMap<(String, String), Reply>,
    tokens: HashMap<String, String>,
    thumbprint: Option<String>,
    otherwise: Option<Reply>,
    log: Vec<Request>,
    open: usize,
    most_open: usize,
}

/// A running responder; ends when dropped.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _thread: Thread,
}

impl Responder {
    /// Starts on this address; port 0 takes a free one.
    ///
    /// # Panics
    /// If the address can't be bound.
    pub fn start(address: impl Into<SocketAddr>) -> Self {
        let address = address.into();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = script.clone();
        let (thread, address) = Thread::start("http", move || async move {
            let listener = TcpListener::bind(address).await;
            let listener = listener.unwrap_or_else(|error| panic!("http: {address}: {error}"));
            let address = listener.local_addr().expect("a bound address");
            tokio::spawn(async move {
                while let Ok((stream, from)) = listener.accept().await {
                    tokio::spawn(serve(stream, from, shared.clone()));
                }
            });
            address
        });
        Self {
            address,
            script,
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

    /// Serves a key authorization for a token.
    pub fn token(&self, token: &str, key_authorization: &str) -> &Self {
        self.lock()
            .tokens
            .insert(token.to_owned(), key_authorization.to_owned());
        self
    }

    /// Takes a token back.
    pub fn remove_token(&self, token: &str) -> &Self {
        self.lock().tokens.remove(token);
        self
    }

    /// Answers every token for the account key with this thumbprint.
    pub fn answer_for(&self, thumbprint: &str) -> &Self {
        self.lock().thumbprint = Some(thumbprint.to_owned());
        self
    }

    /// Scripts the reply for a target, whatever the host; goes before tokens.
    pub fn on(&self, target: &str, reply: Reply) -> &Self {
        self.on_host("", target, reply)
    }

    /// Scripts the reply for a target of one host (as the Host header has it); goes before all.
    pub fn on_host(&self, host: &str, target: &str, reply: Reply) -> &Self {
        self.lock()
            .replies
            .insert((host.to_owned(), target.to_owned()), reply);
        self
    }

    /// The reply for all that is not scripted; 404 else.
    pub fn otherwise(&self, reply: Reply) -> &Self {
        self.lock().otherwise = Some(reply);
        self
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// The most connections that were ever open at once.
    pub fn most_open(&self) -> usize {
        self.lock().most_open
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no test panicked here")
    }
}

impl Script {
    fn reply(&mut self, request: &Request) -> Reply {
        let target = request.target.as_str();
        for host in [request.host.as_str(), ""] {
            let scripted = self.replies.get_mut(&(host.to_owned(), target.to_owned()));
            if let Some(reply) = scripted.and_then(take) {
                return reply;
            }
        }
        if let Some(token) = target.strip_prefix(CHALLENGES) {
            if let Some(body) = self.tokens.get(token) {
                return Reply::Body(body.clone().into_bytes());
            }
            if let Some(thumbprint) = &self.thumbprint {
                return Reply::Body(format!("{token}.{thumbprint}").into_bytes());
            }
        }
        let otherwise = self.otherwise.as_mut().and_then(take);
        otherwise.unwrap_or_else(|| Reply::Status(404, String::from("nothing here\n")))
    }
}

/// The reply to give now; `None` when its times are over.
fn take(reply: &mut Reply) -> Option<Reply> {
    match reply {
        Reply::Times(0, _) => None,
        Reply::Times(left, inner) => {
            *left -= 1;
            Some((**inner).clone())
        }
        reply => Some(reply.clone()),
    }
}

/// Counts a connection for as long as it lives, also when its task is dropped.
struct Open(Arc<Mutex<Script>>);

impl Open {
    fn new(script: Arc<Mutex<Script>>) -> Self {
        if let Ok(mut script) = script.lock() {
            script.open += 1;
            script.most_open = script.most_open.max(script.open);
        }
        Self(script)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Ok(mut script) = self.0.lock() {
            script.open -= 1;
        }
    }
}

async fn serve(mut stream: TcpStream, from: SocketAddr, script: Arc<Mutex<Script>>) {
    let _open = Open::new(script.clone());
    let mut pending = Vec::new();
    while let Some(request) = read_head(&mut stream, from, &mut pending).await {
        let mut reply = {
            let mut script = script.lock().expect("no test panicked here");
            script.log.push(request.clone());
            script.reply(&request)
        };
        while let Reply::Delay(delay, inner) = reply {
            tokio::time::sleep(delay).await;
            reply = *inner;
        }
        let keep = !request
            .headers
            .iter()
            .any(|(name, value)| name == "connection" && value.eq_ignore_ascii_case("close"));
        if send(&mut stream, reply).await.is_err() || !keep {
            return;
        }
    }
}

/// Writes a reply; an error ends the connection.
async fn send(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    let end = || Err(std::io::ErrorKind::ConnectionAborted.into());
    match reply {
        Reply::Body(body) => {
            stream
                .write_all(&[head(200, "", body.len()), body].concat())
                .await
        }
        Reply::Status(status, body) => {
            let body = body.into_bytes();
            stream
                .write_all(&[head(status, "", body.len()), body].concat())
                .await
        }
        Reply::Redirect(status, location) => {
            stream
                .write_all(&head(status, &format!("Location: {location}\r\n"), 0))
                .await
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            end()
        }
        Reply::Slow(body, pause) => {
            stream.write_all(&head(200, "", body.len())).await?;
            for byte in body {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(pause).await;
            }
            Ok(())
        }
        Reply::EndlessHeaders => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            forever(stream, b"X-More: and more and more and more\r\n").await
        }
        Reply::EndlessBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            forever(stream, &[b'a'; 1024]).await
        }
        Reply::Hang => {
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            end()
        }
        Reply::Reset => {
            stream.set_zero_linger()?;
            end()
        }
        Reply::Close | Reply::Delay(..) | Reply::Times(..) => end(),
    }
}

async fn forever(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(bytes).await?;
        tokio::task::yield_now().await;
    }
}

fn head(status: u16, extra: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status} Scripted\r\n{extra}Content-Length: {length}\r\n\r\n").into_bytes()
}

/// Reads one request's head; `None` at the end of the connection.
async fn read_head(
    stream: &mut TcpStream,
    from: SocketAddr,
    pending: &mut Vec<u8>,
) -> Option<Request> {
    let end = loop {
        if let Some(end) = pending.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if pending.len() > HEAD || stream.read_buf(pending).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(pending.get(..end)?).into_owned();
    pending.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let split = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.filter_map(split).collect();
    let host = headers
        .iter()
        .find(|(name, _)| name == "host")
        .map(|(_, value)| value.clone());
    let (method, target) = (words.next()?, words.next()?);
    let at = Instant::now();
    Some(Request {
        method,
        target,
        host: host.unwrap_or_default(),
        headers,
        from,
        at,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn get(responder: &Responder, target: &str) -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(responder.address())?;
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn tokens_scripts_and_the_default_are_served_and_logged() {
        let responder = Responder::local();
        responder
            .token("t1", "t1.thumb")
            .on("/moved", Reply::Redirect(302, "/t".into()));
        let first = format!("{CHALLENGES}t1");
        responder.on_host(
            "a.test",
            &first,
            Reply::Times(1, Box::new(Reply::Status(503, "".into()))),
        );
        assert!(
            get(&responder, &first)
                .unwrap()
                .starts_with("HTTP/1.1 503 ")
        );
        assert!(
            get(&responder, &first)
                .unwrap()
                .ends_with("\r\n\r\nt1.thumb")
        );
        assert!(
            get(&responder, "/moved")
                .unwrap()
                .contains("Location: /t\r\n")
        );
        assert!(
            get(&responder, "/else")
                .unwrap()
                .starts_with("HTTP/1.1 404 ")
        );
        responder.answer_for("other");
        assert!(
            get(&responder, &format!("{CHALLENGES}t2"))
                .unwrap()
                .ends_with("t2.other")
        );
        assert_eq!(responder.log().len(), 5);
        assert_eq!(responder.log()[0].host, "a.test");
        assert!(responder.most_open() >= 1);
    }

    #[test]
    fn a_reset_is_seen_as_one() {
        let responder = Responder::local();
        responder.otherwise(Reply::Reset);
        let error = get(&responder, "/").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
