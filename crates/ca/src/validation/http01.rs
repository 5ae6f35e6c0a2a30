//! The http-01 challenge (RFC 8555 section 8.3, RFC 8738 section 5): one attempt, with its trace.

use std::sync::Arc;

use cairn_acme::challenge::ChallengeType;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::counters::bump;
use super::dialer::{Dialed, Dialer};
use super::explain::{Cause, Story};
use super::host::Host;
use super::http_answer::{Head, HttpFault};
use super::http_fetch::{Fetched, exchange, request};
use super::redirect::{NotFollowed, REDIRECTS_MAX, Scheme, Target, follow};
use super::rules::NameRules;
use super::tls::fault;
use super::trace::{Step, Trace, excerpt, millis};
use super::{Evidence, Failure, Job};

/// Fetches the file along its redirects and compares it.
pub(super) async fn attempt(
    dialer: &Dialer,
    tls: &Arc<ClientConfig>,
    job: &Job,
    host: &Host,
    rules: &NameRules,
    deadline: Instant,
    trace: &mut Trace,
) -> Result<Evidence, Failure> {
    let mut target = Target::first(host, job.token.as_str());
    let mut asked: Vec<Target> = Vec::new();
    let mut evidence = Evidence {
        method: ChallengeType::Http01,
        resolved: Vec::new(),
        addresses: Vec::new(),
        place: String::new(),
        authenticated_dns: true,
    };
    loop {
        let mut hop = Hop {
            target: &target,
            dialed: None,
        };
        let outcome = hop.run(dialer, tls, rules, deadline, trace).await;
        if let Some(dialed) = &hop.dialed {
            evidence.resolved.extend(&dialed.resolved.found);
            evidence.addresses.push(dialed.address);
            evidence.authenticated_dns &= dialed.resolved.authenticated;
        }
        let cause = match outcome {
            Err(cause) => cause,
            Ok(fetched) => match judge(&fetched, &job.key_authorization, trace) {
                Verdict::Equal => {
                    evidence.place = target.to_string();
                    return Ok(evidence);
                }
                Verdict::Differs(cause) => cause,
                Verdict::Redirect(location) => {
                    let next = next_target(&target, &asked, &location, rules);
                    match next {
                        Ok(next) => {
                            bump(&dialer.counters.redirects);
                            asked.push(std::mem::replace(&mut target, next));
                            continue;
                        }
                        Err(why) => {
                            trace.push(Step::NotFollowed {
                                location: excerpt(location.as_deref().unwrap_or_default()),
                                why: why.to_string(),
                            });
                            Cause::NotFollowed {
                                status: fetched.head.status,
                                location: location.unwrap_or_default(),
                                why,
                            }
                        }
                    }
                }
            },
        };
        if Instant::now() >= deadline {
            trace.push(Step::OutOfTime);
        }
        let story = Story {
            host,
            target: &target,
            redirects: asked.len(),
            answered: hop.dialed.as_ref().map(|dialed| dialed.address),
            failed: hop.dialed.as_ref().map_or(&[], |dialed| &dialed.failed),
            resolved: hop
                .dialed
                .as_ref()
                .map_or(&[], |dialed| &dialed.resolved.found),
            expected: &job.key_authorization,
        };
        return Err(story.tell(&cause));
    }
}

/// One request and its answer.
struct Hop<'a> {
    target: &'a Target,
    /// Set once a connection stands; its stream has been used up by then.
    dialed: Option<HopEnd>,
}

/// What remains of a connection.
struct HopEnd {
    address: std::net::SocketAddr,
    failed: Vec<(std::net::SocketAddr, super::dialer::ConnectFault)>,
    resolved: super::resolver::Addresses,
}

impl Hop<'_> {
    async fn run(
        &mut self,
        dialer: &Dialer,
        tls: &Arc<ClientConfig>,
        rules: &NameRules,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Fetched, Cause> {
        let port = self.target.port(rules);
        let dialed = dialer
            .dial(&self.target.host, port, rules, deadline, trace)
            .await
            .map_err(Cause::Dial)?;
        let Dialed {
            mut stream,
            address,
            failed,
            resolved,
            permit: _permit,
        } = dialed;
        self.dialed = Some(HopEnd {
            address,
            failed,
            resolved,
        });
        let request = request(self.target);
        bump(&dialer.counters.requests);
        let began = Instant::now();
        let mut received = 0;
        let fetched = match self.target.scheme {
            Scheme::Http => {
                timeout_at(deadline, exchange(&mut stream, &request, &mut received)).await
            }
            Scheme::Https => {
                let host = self.target.host.to_string();
                let host = ServerName::try_from(host).map_err(|e| Cause::Tls(e.to_string()))?;
                let handshake = TlsConnector::from(Arc::clone(tls)).connect(host, stream);
                let mut stream = match timeout_at(deadline, handshake).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(e)) => {
                        trace.push(Step::Tls {
                            result: e.to_string(),
                        });
                        return Err(Cause::Tls(fault(&e)));
                    }
                    Err(_) => {
                        trace.push(Step::Tls {
                            result: "no answer in time".to_owned(),
                        });
                        return Err(Cause::TlsTimeout);
                    }
                };
                let version = stream.get_ref().1.protocol_version();
                trace.push(Step::Tls {
                    result: format!("{version:?}"),
                });
                timeout_at(deadline, exchange(&mut stream, &request, &mut received)).await
            }
        };
        let fetched = fetched.unwrap_or(Err(HttpFault::Timeout));
        trace.push(Step::Fetched {
            url: self.target.to_string(),
            status: fetched
                .as_ref()
                .map_or_else(ToString::to_string, |f| f.head.status.to_string()),
            headers: fetched
                .as_ref()
                .map_or_else(|_| Vec::new(), |f| shown_headers(&f.head)),
            took_ms: millis(began.elapsed()),
        });
        fetched.map_err(|fault| Cause::Http { fault, received })
    }
}

/// What an answer means.
enum Verdict {
    Equal,
    Redirect(Option<Vec<u8>>),
    Differs(Cause),
}

/// Status 200 and the exact key authorization, white space after it aside (T-CA-70).
fn judge(fetched: &Fetched, expected: &str, trace: &mut Trace) -> Verdict {
    let head = &fetched.head;
    match head.status {
        200 => {}
        301 | 302 | 307 | 308 => {
            return Verdict::Redirect(head.header("location").map(<[u8]>::to_vec));
        }
        _ => {
            return Verdict::Differs(Cause::Status {
                head: head.clone(),
                body: fetched.body.clone(),
            });
        }
    }
    let found = fetched.body.trim_ascii_end();
    if found == expected.as_bytes() && !fetched.is_over {
        return Verdict::Equal;
    }
    trace.push(Step::Compared {
        expected: expected.to_owned(),
        found: excerpt(&fetched.body),
    });
    Verdict::Differs(Cause::OtherBody {
        head: head.clone(),
        body: fetched.body.clone(),
        is_over: fetched.is_over,
    })
}

fn next_target(
    target: &Target,
    asked: &[Target],
    location: &Option<Vec<u8>>,
    rules: &NameRules,
) -> Result<Target, NotFollowed> {
    let location = location.as_deref().ok_or(NotFollowed::NoLocation)?;
    let next = follow(target, location, rules)?;
    if next == *target || asked.contains(&next) {
        return Err(NotFollowed::Loop);
    }
    if asked.len() >= REDIRECTS_MAX {
        return Err(NotFollowed::TooMany);
    }
    Ok(next)
}

fn shown_headers(head: &Head) -> Vec<(String, String)> {
    [
        "server",
        "location",
        "content-type",
        "retry-after",
        "www-authenticate",
        "content-length",
    ]
    .iter()
    .filter_map(|name| Some(((*name).to_owned(), excerpt(head.header(name)?))))
    .collect()
}

#[cfg(test)]
mod tests;
