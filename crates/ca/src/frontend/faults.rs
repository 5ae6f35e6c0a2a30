//! The edge of a test CA's faults: what they do to requests, answers and connections. Which of them a request meets, and
//! what an altered answer is, is decided in [`crate::dev`].

mod doorway;
mod wire;

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use cairn_acme::{
    jws::{Envelope, KeyRef},
    key::PublicKey,
    limits::BODY,
    problem::{Problem, ProblemType},
};
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time,
};

pub(crate) use self::doorway::Doorway;
use self::wire::{Manner, Wire, Wired};
use super::{Bounds, Route, Urls, answer::Answer, connection, dispatch, intake};
use crate::{
    dev::{
        Action, Answered, Asked, Delivery, Disturb, Doors, Pending, Refusal, Seen, Step, Strike,
        Target,
    },
    id::AccountId,
    node::Ca,
};

/// Answers the requests of one connection, with the faults that they meet.
pub(crate) async fn serve<S>(
    ca: Arc<Ca>,
    doors: Arc<Doors>,
    stream: S,
    address: IpAddr,
    bounds: Bounds,
    stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let wire = Arc::new(Wire::default());
    let stream = Wired::new(stream, Arc::clone(&wire));
    let connection = doors.transcript().map_or(0, |kept| kept.connection());
    connection::run(stream, bounds, stop, |request| {
        let visit = Visit {
            ca: Arc::clone(&ca),
            doors: Arc::clone(&doors),
            wire: Arc::clone(&wire),
            address,
            connection,
        };
        visit.answer(request, bounds)
    })
    .await;
}

/// One request at a test CA.
struct Visit {
    ca: Arc<Ca>,
    doors: Arc<Doors>,
    wire: Arc<Wire>,
    address: IpAddr,
    /// Its number in the transcript.
    connection: u64,
}

impl Visit {
    async fn answer(self, request: Request<Incoming>, bounds: Bounds) -> Response<Full<Bytes>> {
        self.wire.set(Manner::Plain);
        let (head, body) = request.into_parts();
        let body = match connection::body(body, BODY, bounds.body).await {
            Ok(body) => body,
            Err(fault) => {
                let response = Answer::problem(&intake::unreadable(fault)).finish(None, None);
                let answered = Answered::of(response).await;
                if let Some(pending) = self.note(&head, &Bytes::new()) {
                    pending.end(answered.clone(), Delivery::Whole);
                }
                return answered.response();
            }
        };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = dispatch::host_of(&head.headers, &head.uri);
        let snapshot = self.ca.snapshot_at(host);
        let (place, route) = snapshot.directories.find(path);
        let urls = &snapshot.directories.at(place).urls;
        let mut pending = self.note(&head, &body);
        let envelope = Envelope::parse(&body).ok();
        let asked = self.describe(&head, route, envelope.as_ref()).await;
        let strikes = self.doors.decide(&asked);
        if let Some(pending) = &mut pending {
            let faults = strikes.iter().map(|strike| strike.action.name()).collect();
            pending.meets(asked.step, faults);
        }
        for strike in &strikes {
            tracing::info!(target: "cairn", fault = strike.action.name(), path, "a fault strikes");
            self.before(route, &asked, &strike.action).await;
        }
        let turned_away = self.doors.conduct().turns_away(&Seen {
            step: asked.step,
            agent: &asked.agent,
            payload: envelope.as_ref().map(|e| e.payload.as_slice()),
        });
        let request = (&head, route, envelope.as_ref());
        let instead = strikes
            .iter()
            .find_map(|strike| self.instead(request, urls, &strike.action));
        let instead = instead.or_else(|| {
            let answer = Answer::problem(&turned_away?);
            self.spend_nonce(envelope.as_ref());
            Some(self.finish(answer, &head.method, route, urls))
        });
        let object = match route {
            Some(Route::Finalize(id)) => Route::Order(id).to_string(),
            _ => path.to_owned(),
        };
        let response = match instead {
            Some(response) => response,
            None => {
                let request = Request::from_parts(head, Full::new(body));
                dispatch::answer(Arc::clone(&self.ca), self.address, request, bounds).await
            }
        };
        if let Some(Route::Finalize(order)) = route {
            // One that came to no signature does not slow the next one down.
            self.doors.take_slowness(order);
        }
        // A look is a POST-as-GET; what finalize and challenge themselves answer counts as none.
        let is_look = envelope.is_some_and(|envelope| envelope.payload.is_empty());
        let altered = self
            .after(response, &strikes, asked.step, (&object, is_look))
            .await;
        if let Some(pending) = pending {
            pending.end(altered.clone(), self.wire.delivery());
        }
        altered.response()
    }

    /// Begins the exchange in the transcript, if one is kept.
    fn note(&self, head: &Parts, body: &Bytes) -> Option<Pending> {
        let transcript = self.doors.transcript()?;
        let place = (self.connection, self.address);
        let ahead = self.doors.clock().ahead();
        Some(Pending::begin(
            Arc::clone(transcript),
            place,
            head,
            body,
            ahead,
        ))
    }

    async fn describe(
        &self,
        head: &Parts,
        route: Option<Route>,
        envelope: Option<&Envelope>,
    ) -> Asked {
        let agent = head.headers.get(header::USER_AGENT);
        let mut asked = Asked {
            step: route.as_ref().map(Step::of),
            address: self.address,
            agent: agent.map_or_else(String::new, |agent| {
                String::from_utf8_lossy(agent.as_bytes()).into_owned()
            }),
            account: None,
            thumbprint: None,
        };
        match envelope.map(|envelope| &envelope.header.key) {
            Some(KeyRef::Kid(kid)) => {
                let id = kid.rsplit('/').next().unwrap_or_default();
                asked.account = Some(id.to_owned());
                if self.doors.asks_for_accounts()
                    && let Ok(id) = id.parse()
                    && let Ok(Some(account)) = self.ca.store.account(id).await
                {
                    asked.thumbprint = Some(account.thumbprint.to_string());
                }
            }
            Some(KeyRef::Jwk(jwk)) => {
                let key = PublicKey::from_jwk(jwk.as_bytes()).ok();
                asked.thumbprint = key.map(|key| key.thumbprint().to_string());
            }
            None => {}
        }
        asked
    }

    /// Does what comes before the server's work, or follows from the request's coming at all.
    async fn before(&self, route: Option<Route>, asked: &Asked, action: &Action) {
        match action {
            Action::Delay(span) => time::sleep(span.duration()).await,
            Action::SlowSigning(span) => {
                if let Some(Route::Finalize(order)) = route {
                    self.doors.slow_down(order, span.duration());
                }
            }
            Action::Advance(span) => self.doors.clock().advance(span.duration()),
            Action::Down(_) => self.doors.go_down(),
            action => {
                if let Some(target) = target(route, action)
                    && let Some(Ok(account)) = asked.account.as_deref().map(str::parse)
                {
                    self.disturb(account, target).await;
                }
            }
        }
    }

    async fn disturb(&self, account: AccountId, target: Target) {
        let disturb = Disturb {
            account,
            target,
            now: self.ca.clock.wall(),
        };
        if let Err(error) = self.ca.store.transact(disturb).await {
            tracing::error!(target: "cairn", %error, "a fault could not strike the store");
        }
    }

    /// The answer that stands for the server's work, if the action is one that has it undone.
    fn instead(
        &self,
        (head, route, envelope): (&Parts, Option<Route>, Option<&Envelope>),
        urls: &Urls,
        action: &Action,
    ) -> Option<Response<Full<Bytes>>> {
        let mut answer = match action {
            Action::BadNonce => {
                self.spend_nonce(envelope);
                let nonce = envelope.and_then(|e| e.header.nonce.as_deref());
                Answer::problem(&self.doors.conduct().bad_nonce(nonce.unwrap_or_default()))
            }
            Action::Refuse(refusal) => Answer::problem(&problem(refusal)),
            Action::Cut | Action::Down(_) => {
                self.wire.set(Manner::Cut { body: None });
                return Some(Response::new(Full::default()));
            }
            _ => return None,
        };
        if let Action::Refuse(Refusal {
            retry_after: Some(wait),
            ..
        }) = action
        {
            answer = answer.header(header::RETRY_AFTER, wait.clone());
        }
        Some(self.finish(answer, &head.method, route, urls))
    }

    /// Whatever the nonce was, it is worth nothing after this.
    fn spend_nonce(&self, envelope: Option<&Envelope>) {
        if let Some(nonce) = envelope.and_then(|e| e.header.nonce.as_deref()) {
            let _ = self.ca.nonces.burn(nonce, self.ca.clock.monotonic());
        }
    }

    /// An answer of the edge, with what every answer has.
    fn finish(
        &self,
        answer: Answer,
        method: &Method,
        route: Option<Route>,
        urls: &Urls,
    ) -> Response<Full<Bytes>> {
        let with_nonce = method == Method::POST || route == Some(Route::NewNonce);
        let nonce = with_nonce.then(|| self.ca.nonces.mint(self.ca.clock.monotonic()));
        let index = (route != Some(Route::Directory)).then(|| urls.directory());
        answer.finish(nonce.as_deref(), index.as_deref())
    }

    /// Alters the answer, and how it travels.
    async fn after(
        &self,
        response: Response<Full<Bytes>>,
        strikes: &[Strike],
        step: Option<Step>,
        (object, is_look): (&str, bool),
    ) -> Answered {
        let mut altered = Answered::of(response).await;
        let (conduct, now) = (self.doors.conduct(), self.ca.clock.wall());
        conduct.dress(&mut altered, step, now, &*self.doors);
        for strike in strikes {
            match &strike.action {
                Action::Lost => self.wire.set(Manner::Cut { body: None }),
                Action::CutAfter(octets) => self.wire.set(Manner::Cut {
                    body: Some(usize::try_from(*octets).unwrap_or_default()),
                }),
                Action::Drip(octets, pause) => self.wire.set(Manner::Drip {
                    octets: usize::try_from(*octets).unwrap_or(1),
                    pause: pause.duration(),
                }),
                Action::Processing(looks) => {
                    if let Some(step) = step
                        && altered.has_ended()
                        && self.doors.hides(strike.id, object, *looks, is_look)
                    {
                        altered.unfinish(step);
                    }
                }
                Action::Chain(kind) if altered.status == StatusCode::OK => {
                    match self.doors.wrong_chain(*kind, &altered.body) {
                        Ok(chain) => altered.body = chain.into(),
                        Err(error) => {
                            tracing::error!(target: "cairn", %error, "a wrong chain could not be made");
                        }
                    }
                }
                action => altered.alter(action),
            }
        }
        altered
    }
}

/// What in the store the action strikes.
fn target(route: Option<Route>, action: &Action) -> Option<Target> {
    match (route?, action) {
        (Route::Authorization(id) | Route::Challenge(id, _), Action::Authorization(fate)) => {
            Some(Target::Authorization(id, *fate))
        }
        (Route::Order(id) | Route::Finalize(id), Action::Authorization(fate)) => {
            Some(Target::FirstOf(id, *fate))
        }
        (Route::Order(id) | Route::Finalize(id), Action::OrderInvalid) => Some(Target::Order(id)),
        _ => None,
    }
}

fn problem(refusal: &Refusal) -> Problem {
    let kind = match (&refusal.kind, refusal.status) {
        (Some(kind), _) => ProblemType::from_uri(&format!("urn:ietf:params:acme:error:{kind}")),
        (None, 429) => ProblemType::RateLimited,
        (None, 401 | 403) => ProblemType::Unauthorized,
        (None, 500..) => ProblemType::ServerInternal,
        (None, _) => ProblemType::Malformed,
    };
    Problem::new(kind, "a fault of this test CA").status(refusal.status)
}
