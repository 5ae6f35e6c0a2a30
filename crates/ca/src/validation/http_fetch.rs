//! One GET over one connection, without a client library: a request in one write, an answer
//! within bounds of octets and time (8555-8.3-4, T-CA-68).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::http_answer::{Body, Head, HttpFault, INTERIM_MAX, parse_head};
use super::redirect::Target;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) head: Head,
    /// Unless the status is 200 only what came with the head of a 400.
    pub(super) body: Vec<u8>,
    /// There was more than the bound.
    pub(super) is_over: bool,
}

/// Writes the request for a target: no credentials, no cookies, nothing from the hop before.
pub(super) fn request(target: &Target) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\
         Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
        target.path,
        target.host_header(),
    )
    .into_bytes()
}

/// Sends a request and reads its answer; the body only where it counts.
/// `received` counts the octets that came, also those of an answer that never ends.
pub(super) async fn exchange<S>(
    stream: &mut S,
    request: &[u8],
    received: &mut usize,
) -> Result<Fetched, HttpFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut buffer = Vec::with_capacity(FIRST_READ);
    let mut interim = 0;
    let head = loop {
        match parse_head(&buffer)? {
            Some(head) if head.status >= 200 => break head,
            Some(head) => {
                interim += 1;
                // 101 would switch to a protocol that nobody asked for.
                if interim > INTERIM_MAX || head.status == 101 {
                    return Err(HttpFault::TooManyInterim);
                }
                buffer.drain(..head.length);
            }
            None => {
                let count = stream.read_buf(&mut buffer).await.map_err(broken)?;
                if count == 0 {
                    return Err(HttpFault::Short);
                }
                *received += count;
            }
        }
    };
    if head.status != 200 {
        // What a server says to a request that is right tells what it takes its port for.
        let body = match head.status {
            400 => buffer.get(head.length..).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        return Ok(Fetched {
            head,
            body,
            is_over: false,
        });
    }
    let mut body = Body::new(head.framing()?);
    let mut done = body.push(buffer.get(head.length..).unwrap_or_default())?;
    while !done {
        buffer.clear();
        let count = stream.read_buf(&mut buffer).await.map_err(broken)?;
        if count == 0 {
            body.end()?;
            break;
        }
        *received += count;
        done = body.push(&buffer)?;
    }
    Ok(Fetched {
        head,
        is_over: body.is_over(),
        body: body.content().to_vec(),
    })
}

fn broken(error: io::Error) -> HttpFault {
    match error.kind() {
        // rustls reports a connection that ends without close_notify so.
        io::ErrorKind::UnexpectedEof => HttpFault::Short,
        kind => HttpFault::Broken(kind.to_string()),
    }
}

/// How Cairn names itself to validated servers.
const USER_AGENT: &str = concat!("cairn-validation/", env!("CARGO_PKG_VERSION"));
/// Room for the usual answer in one read.
const FIRST_READ: usize = 2048;

#[cfg(test)]
mod tests;
