//! One exchange: a request, its answer as it was sent, and what is known of how it went.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use cairn_acme::time::Timestamp;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use super::Transcript;
use crate::{
    clock::Clock,
    dev::{Finding, Step},
};

/// How much of an answer can have arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// All of it, as far as the server can tell.
    #[default]
    Whole,
    /// Perhaps, or a part of it.
    Part,
    /// Nothing.
    None,
}

/// An answer as it was sent.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answered {
    /// Takes a response apart.
    pub(crate) async fn of(response: Response<Full<Bytes>>) -> Self {
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        }
    }

    /// Puts it together again.
    pub(crate) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// An exchange.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// By which it is named, in the order in which requests came.
    pub number: u64,
    /// On which connection.
    pub connection: u64,
    /// When the request came.
    pub at: Timestamp,
    /// The same since the transcript was begun.
    pub arrived: Duration,
    /// When the answer was ready, or the client had gone.
    pub answered: Duration,
    /// How far the CA's clock had been moved ahead of the machine's when it came.
    pub ahead: Duration,
    /// Where from.
    pub peer: IpAddr,
    /// Which resource was asked; none for what is no resource.
    pub step: Option<Step>,
    /// The method.
    pub method: Method,
    /// The path, with its query.
    pub path: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Bytes,
    /// None: the client went away before there was one, or was sent none.
    pub answer: Option<Answered>,
    /// How much of the answer can have arrived.
    pub delivery: Delivery,
    /// The faults that struck.
    pub faults: Vec<&'static str>,
    /// What the client did wrong in it.
    pub findings: Vec<Finding>,
}

/// An exchange that is under way. Kept when it is answered; when it is dropped before, the client has gone.
#[derive(Debug)]
pub(crate) struct Pending {
    transcript: Arc<Transcript>,
    exchange: Option<Exchange>,
}

impl Pending {
    /// Begins one.
    pub(crate) fn begin(
        transcript: Arc<Transcript>,
        (connection, peer): (u64, IpAddr),
        head: &http::request::Parts,
        body: &Bytes,
        ahead: Duration,
    ) -> Self {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let arrived = transcript.machine.monotonic();
        let exchange = Exchange {
            number: transcript.next.fetch_add(1, Ordering::Relaxed),
            connection,
            at: transcript.machine.wall(),
            arrived,
            answered: arrived,
            ahead,
            peer,
            step: None,
            method: head.method.clone(),
            path: path.to_owned(),
            headers: head.headers.clone(),
            body: body.clone(),
            answer: None,
            delivery: Delivery::None,
            faults: Vec::new(),
            findings: Vec::new(),
        };
        Self {
            transcript,
            exchange: Some(exchange),
        }
    }

    /// Which resource is asked, and what strikes the request.
    pub(crate) fn meets(&mut self, step: Option<Step>, faults: Vec<&'static str>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.step = step;
            exchange.faults = faults;
        }
    }

    /// Ends it with an answer.
    pub(crate) fn end(mut self, answer: Answered, delivery: Delivery) {
        if let Some(exchange) = &mut self.exchange {
            exchange.answer = Some(answer);
            exchange.delivery = delivery;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.answered = self.transcript.machine.monotonic();
            self.transcript.keep(exchange);
        }
    }
}
