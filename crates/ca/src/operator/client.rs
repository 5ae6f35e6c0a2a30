//! Asks a running server over its socket; or, when none runs, the store itself.

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixStream, time};

use super::{
    SOCKET,
    query::{self, Query, QueryFault},
};

/// How long a server may take; a backup of a large store takes a while.
const PATIENCE: Duration = Duration::from_secs(600);

/// Octets of an answer.
const ANSWER: usize = 256 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    /// The socket is there and does not serve.
    #[error("the server's socket does not answer")]
    Socket(#[source] io::Error),
    /// The server answers something else.
    #[error("the server's answer is not understood: {0}")]
    Answer(String),
    /// The server refuses the query.
    #[error("{0}")]
    Refused(String),
    /// The query has no meaning.
    #[error("{0}")]
    Unfit(String),
    /// The same question may be answered later.
    #[error("{0}")]
    Busy(String),
    /// The query, asked of the store.
    #[error(transparent)]
    Query(#[from] QueryFault),
}

/// Asks the CA of that directory: its server if one runs, else its store.
///
/// # Errors
/// If neither answers, or what is asked for is not there.
pub async fn ask(dir: &Path, query: Query) -> Result<Value, AskFault> {
    match UnixStream::connect(dir.join(SOCKET)).await {
        Ok(stream) => {
            let body =
                serde_json::to_vec(&query).map_err(|error| AskFault::Answer(error.to_string()))?;
            let (status, body) = exchange(stream, Method::POST, "/query", body).await?;
            let value: Value = serde_json::from_slice(&body)
                .map_err(|error| AskFault::Answer(error.to_string()))?;
            if status == StatusCode::OK {
                return Ok(value);
            }
            let why = value
                .get("error")
                .and_then(Value::as_str)
                .unwrap_or("the server refuses the query")
                .to_owned();
            Err(match status {
                StatusCode::BAD_REQUEST => AskFault::Unfit(why),
                StatusCode::SERVICE_UNAVAILABLE => AskFault::Busy(why),
                _ => AskFault::Refused(why),
            })
        }
        // No socket, or one that a killed server left.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(query::answer_offline(dir, query).await?)
        }
        Err(error) => Err(AskFault::Socket(error)),
    }
}

/// Reads one of the socket's resources, such as `/metrics`.
///
/// # Errors
/// If no server answers.
pub async fn get(dir: &Path, path: &str) -> Result<(u16, String), AskFault> {
    let stream = UnixStream::connect(dir.join(SOCKET))
        .await
        .map_err(AskFault::Socket)?;
    let (status, body) = exchange(stream, Method::GET, path, Vec::new()).await?;
    Ok((status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
}

async fn exchange(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), AskFault> {
    let unclear = |error: &dyn std::fmt::Display| AskFault::Answer(error.to_string());
    let whole = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unclear(&error))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "operator")
            .body(Full::<Bytes>::from(body))
            .map_err(|error| unclear(&error))?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| unclear(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER)
            .collect()
            .await
            .map_err(|error| unclear(&error))?
            .to_bytes();
        connection.abort();
        Ok((status, body))
    };
    time::timeout(PATIENCE, whole)
        .await
        .map_err(|_| AskFault::Answer(format!("nothing after {} s", PATIENCE.as_secs())))?
}
