//! The tls-alpn-01 challenge (RFC 8737, RFC 8738 section 6): one handshake that offers `acme-tls/1` alone, and its
//! certificate judged. Nothing is sent after it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cairn_acme::challenge::ChallengeType;
use cairn_acme::problem::ProblemType;
use cairn_x509::acme_identifier::{self, ChallengeFault, Named};
use cairn_x509::certificate::Certificate;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, join};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::dialer::{ConnectFault, Dialed, Dialer};
use super::explain::{failures, tell_dial};
use super::host::Host;
use super::overheard::{FirstOctets, Overheard};
use super::rules::NameRules;
use super::tls::fault;
use super::trace::{Step, Trace, excerpt};
use super::{Evidence, Failure, Job};

/// The protocol of the challenge; it is for nothing else (8737-3-4).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Makes the handshake and judges its certificate.
pub(super) async fn attempt(
    dialer: &Dialer,
    tls: &Arc<ClientConfig>,
    job: &Job,
    host: &Host,
    rules: &NameRules,
    deadline: Instant,
    trace: &mut Trace,
) -> Result<Evidence, Failure> {
    let port = rules.tls_port(host);
    let dialed = match dialer.dial(host, port, rules, deadline, trace).await {
        Ok(dialed) => dialed,
        Err(fault) => {
            return Err(tell_dial(host, host, &fault, "a TLS server", ""));
        }
    };
    let Dialed {
        stream,
        address,
        failed,
        resolved,
        permit: _permit,
    } = dialed;
    let outcome = match shake(tls, host, stream, deadline, trace).await {
        Ok(shown) => judge(&shown, job, host, trace),
        Err(cause) => Err(cause),
    };
    match outcome {
        Ok(()) => Ok(Evidence {
            method: ChallengeType::TlsAlpn01,
            resolved: resolved.found,
            addresses: vec![address],
            place: format!("TLS server of {host}, port {port}"),
            authenticated_dns: resolved.authenticated,
        }),
        Err(cause) => {
            if Instant::now() >= deadline {
                trace.push(Step::OutOfTime);
            }
            let story = Story {
                host,
                address,
                failed: &failed,
            };
            Err(story.tell(&cause, job))
        }
    }
}

/// What a handshake showed.
struct Shown {
    protocol: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
}

/// What ended an attempt after the connection stood.
#[derive(Debug)]
enum Cause {
    Timeout,
    TooMuch,
    NoProtocol,
    UnknownName(&'static str),
    Handshake(String),
    /// Something that is no TLS, by its first octets.
    NotTls(Vec<u8>),
    /// Another protocol than the challenge's, or none, and the certificate that came with it.
    Protocol {
        selected: Option<Vec<u8>>,
        certificate: Option<Vec<u8>>,
    },
    NoCertificate,
    Certificate(ChallengeFault),
}

async fn shake(
    tls: &Arc<ClientConfig>,
    host: &Host,
    stream: tokio::net::TcpStream,
    deadline: Instant,
    trace: &mut Trace,
) -> Result<Shown, Cause> {
    let name =
        ServerName::try_from(host.server_name()).map_err(|e| Cause::Handshake(e.to_string()))?;
    let (read, write) = stream.into_split();
    let (read, first) = Overheard::new(read);
    let bounded = join(read.take(HANDSHAKE_MAX), write);
    let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, bounded);
    let ended = timeout_at(deadline, handshake).await;
    let mut stream = match ended {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            trace.push(Step::Tls {
                result: error.to_string(),
            });
            return Err(cause_of(&error, &first));
        }
        Err(_) => {
            trace.push(Step::Tls {
                result: "no answer in time".to_owned(),
            });
            return Err(Cause::Timeout);
        }
    };
    let session = stream.get_ref().1;
    let shown = Shown {
        protocol: session.alpn_protocol().map(<[u8]>::to_vec),
        certificate: session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.to_vec()),
    };
    trace.push(Step::Tls {
        result: format!(
            "{:?}, protocol {}",
            session.protocol_version(),
            shown
                .protocol
                .as_deref()
                .map_or_else(|| "none".to_owned(), excerpt)
        ),
    });
    // 8737-3-5: at once, whatever it showed. A server that does not take the farewell is left.
    let farewell = deadline.min(Instant::now() + FAREWELL);
    let _ = timeout_at(farewell, stream.shutdown()).await;
    Ok(shown)
}

fn cause_of(error: &std::io::Error, first: &FirstOctets) -> Cause {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            Cause::NoProtocol
        }
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            Cause::UnknownName("unrecognized_name")
        }
        // What rustls says of a name without a certificate.
        Some(rustls::Error::AlertReceived(AlertDescription::AccessDenied)) => {
            Cause::UnknownName("access_denied")
        }
        Some(rustls::Error::InvalidMessage(
            rustls::InvalidMessage::HandshakePayloadTooLarge
            | rustls::InvalidMessage::CertificatePayloadTooLarge,
        )) => Cause::TooMuch,
        Some(rustls::Error::InvalidMessage(_)) if !first.are_tls() => Cause::NotTls(first.octets()),
        _ => Cause::Handshake(fault(error)),
    }
}

/// 8737-3-6.
fn judge(shown: &Shown, job: &Job, host: &Host, trace: &mut Trace) -> Result<(), Cause> {
    if shown.protocol.as_deref() != Some(PROTOCOL) {
        return Err(Cause::Protocol {
            selected: shown.protocol.clone(),
            certificate: shown.certificate.clone(),
        });
    }
    let Some(certificate) = &shown.certificate else {
        return Err(Cause::NoCertificate);
    };
    let named = match host {
        Host::Name(name) => Named::Dns(name.as_str()),
        Host::Address(address) => Named::Ip(*address),
    };
    acme_identifier::verify(certificate, named, &job.digest()).map_err(|fault| {
        trace.push(Step::Compared {
            expected: format!("an acmeIdentifier certificate of {host}"),
            found: excerpt(fault.to_string().as_bytes()),
        });
        Cause::Certificate(fault)
    })
}

/// Everything that the text is made of.
struct Story<'a> {
    host: &'a Host,
    address: SocketAddr,
    failed: &'a [(SocketAddr, ConnectFault)],
}

impl Story<'_> {
    fn tell(&self, cause: &Cause, job: &Job) -> Failure {
        let (kind, what, transient) = self.explain(cause, job);
        Failure::plain(kind, format!("{}: {what}", self.host), transient)
    }

    fn explain(&self, cause: &Cause, job: &Job) -> (ProblemType, String, bool) {
        let (at, name) = (self.at(), self.host.server_name());
        match cause {
            Cause::Timeout => (
                ProblemType::Tls,
                format!("{at} the TLS handshake did not end in time. See what listens there."),
                true,
            ),
            Cause::TooMuch => (
                ProblemType::Tls,
                format!(
                    "{at} the TLS handshake was larger than any answer to a challenge. See what listens there."
                ),
                false,
            ),
            Cause::NoProtocol => (
                ProblemType::Tls,
                format!(
                    "{at} the TLS server refused the protocol acme-tls/1 (alert 120, no_application_protocol). {REMEDY}"
                ),
                false,
            ),
            Cause::UnknownName(alert) => (
                ProblemType::Tls,
                format!(
                    "{at} the TLS server refused the server name {name} (alert {alert}). {REMEDY}"
                ),
                false,
            ),
            Cause::Handshake(error) => (
                ProblemType::Tls,
                format!("{at} the TLS handshake failed: {error}. {REMEDY}"),
                false,
            ),
            Cause::NotTls(first) => (
                ProblemType::Tls,
                format!(
                    "{at} the TLS handshake failed: the answer was not TLS, it begins with \"{}\". {} {REMEDY}",
                    excerpt(first),
                    if first.starts_with(b"HTTP/") {
                        "That is plain HTTP: let the port speak TLS (nginx: \"listen 443 ssl\")."
                    } else {
                        "See what listens there."
                    }
                ),
                false,
            ),
            Cause::Protocol {
                selected,
                certificate,
            } => (
                ProblemType::Unauthorized,
                format!(
                    "{at} the TLS server did not select the protocol acme-tls/1 (it selected {}), so it answers no \
                     challenge{}. A TLS server that ends connections before the one that answers has to pass them on by \
                     server name and protocol. {REMEDY}",
                    selected
                        .as_deref()
                        .map_or_else(|| "none".to_owned(), |p| format!("\"{}\"", excerpt(p))),
                    certificate
                        .as_deref()
                        .map_or_else(String::new, shown_certificate),
                ),
                false,
            ),
            Cause::NoCertificate => (
                ProblemType::Unauthorized,
                format!("{at} the TLS server showed no certificate. {REMEDY}"),
                false,
            ),
            Cause::Certificate(fault) => (
                ProblemType::Unauthorized,
                format!(
                    "{at} the TLS server showed a certificate for {name} that does not answer the challenge: {}. Its \
                     acmeIdentifier has to be the SHA-256 of this challenge's key authorization, {}.",
                    certificate_fault(fault),
                    hex(&job.digest())
                ),
                false,
            ),
        }
    }

    fn at(&self) -> String {
        let address = self.address;
        if self.failed.is_empty() {
            return format!("at {address}");
        }
        format!("{}; at {address}", failures(self.failed))
    }
}

/// Whose certificate it is: by that an operator knows which server answered.
fn shown_certificate(der: &[u8]) -> String {
    let Ok(certificate) = Certificate::parse(der) else {
        return "; it showed a certificate that cannot be read".to_owned();
    };
    let names = certificate.dns_names();
    let few: Vec<String> = names
        .iter()
        .take(3)
        .map(|name| excerpt(name.as_bytes()))
        .collect();
    let more = match names.len().saturating_sub(few.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let issuer = certificate.issuer_common_name().map_or_else(
        || "an issuer without a name".to_owned(),
        |name| format!("\"{}\"", excerpt(name.as_bytes())),
    );
    format!(
        "; it showed a certificate for \"{}\"{more}, issued by {issuer}",
        few.join(", ")
    )
}

/// The peer's names are quoted, never repeated as they are (T-CA-69).
fn certificate_fault(fault: &ChallengeFault) -> String {
    match fault {
        ChallengeFault::Names { wanted, found } => format!(
            "its subject alternative name is not the one {wanted} alone; it has \"{}\"",
            excerpt(found.as_bytes())
        ),
        other => other.to_string(),
    }
}

fn hex(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}

/// What helps when the TLS server knows nothing of the challenge.
const REMEDY: &str =
    "Let the server of that port answer for tls-alpn-01, or use another challenge.";
/// Octets read of a handshake: rustls takes 64 KiB of certificates, and nobody needs a tenth of it (T-CA-75).
const HANDSHAKE_MAX: u64 = 96 * 1024;
/// How long the end of the connection may take.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
