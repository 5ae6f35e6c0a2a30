//! The web server that http-01 asks (RFC 8555 §8.3).

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::proofs::{Method, Proofs};

const PATH: &str = "GET /.well-known/acme-challenge/";
/// Longer requests are not a CA's.
const REQUEST_MAX: usize = 8 << 10;

/// Serves on a free port of the loopback for as long as the program runs.
pub(crate) async fn start(proofs: Proofs) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        // Descriptors may run out for a moment when a subject hangs; the next accept may work again.
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, proofs.clone()))),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, proofs: Proofs) {
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut request).await {
            Ok(1..) if request.len() <= REQUEST_MAX => {}
            _ => return,
        }
    }
    // The peer may be gone; it knows best.
    let _ = stream.write_all(reply(&request, &proofs).as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn reply(request: &[u8], proofs: &Proofs) -> String {
    let request = String::from_utf8_lossy(request);
    let token = request
        .strip_prefix(PATH)
        .and_then(|rest| rest.split(' ').next());
    let (status, body) = match token.and_then(|token| proofs.at(Method::Http01, token)) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_answered_until_its_proof_is_dropped() {
        let proofs = Proofs::default();
        let shown = proofs.show(Method::Http01, "a", "tok", "print");
        let request = b"GET /.well-known/acme-challenge/tok HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(reply(request, &proofs).ends_with("\r\n\r\ntok.print"));
        drop(shown);
        assert!(reply(request, &proofs).starts_with("HTTP/1.1 404"));
    }
}
