//! A page over HTTPS with a certificate from one's own CA: `make up` runs it. It orders by ACME with the instant-acme
//! crate, answers http-01 on a port of its own, and then serves the page.
//!
//! Usage: `up DIRECTORY-URL ROOT.pem NAME HTTP-01-PORT HTTPS-PORT`

#![allow(
    clippy::print_stdout,
    reason = "a program of its own, not a part of cairn"
)]

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

type Page = Response<Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [directory, root, name, http_port, https_port] = args.as_slice() else {
        bail!("usage: up DIRECTORY-URL ROOT.pem NAME HTTP-01-PORT HTTPS-PORT");
    };
    // Before the CA is asked: a taken port must not cost a certificate.
    let listeners = loopback(https_port.parse()?).await?;
    let (chain, key) = obtain(directory, root, name, http_port.parse()?).await?;
    println!("page: certificate for {name} obtained");

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let page = Bytes::from(PAGE.replace("NAME", name).replace("DIRECTORY", directory));
    println!("page: serving https://{name}:{https_port}/");

    let mut servers = tokio::task::JoinSet::new();
    for listener in listeners {
        let (acceptor, page) = (acceptor.clone(), page.clone());
        servers.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (acceptor, page) = (acceptor.clone(), page.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, move |_| html(page.clone())).await;
                    }
                });
            }
        });
    }
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Orders a certificate: PEM chain and key.
async fn obtain(
    directory: &str,
    root: &str,
    name: &str,
    http_port: u16,
) -> Result<(String, String)> {
    let account = NewAccount {
        contact: &[],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, _) = Account::builder_with_root(root)?
        .create(&account, directory.to_owned(), None)
        .await
        .with_context(|| format!("no account at {directory}"))?;
    let names = [Identifier::Dns(name.to_owned())];
    let mut order = account
        .new_order(&NewOrder::new(&names))
        .await
        .context("no order")?;

    // path → key authorization
    let answers: Arc<Mutex<HashMap<String, String>>> = Arc::default();
    let _responder = respond(http_port, Arc::clone(&answers)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization
            .challenge(ChallengeType::Http01)
            .context("the CA offers no http-01")?;
        let path = format!("/.well-known/acme-challenge/{}", challenge.token);
        let answer = challenge.key_authorization().as_str().to_owned();
        answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path, answer);
        challenge.set_ready().await?;
    }
    match order.poll_ready(&RetryPolicy::default()).await? {
        OrderStatus::Ready => {}
        status => bail!("the order is {status:?}: {:?}", order.state().error),
    }
    let key = rcgen::KeyPair::generate()?;
    let mut request = rcgen::CertificateParams::new(vec![name.to_owned()])?;
    // The crate's placeholder of a subject is no name of ours.
    request.distinguished_name = rcgen::DistinguishedName::new();
    let csr = request.serialize_request(&key)?;
    order.finalize_csr(csr.der()).await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    Ok((chain, key.serialize_pem()))
}

/// Answers http-01 until the returned tasks are dropped: the port is free again for other clients.
async fn respond(
    port: u16,
    answers: Arc<Mutex<HashMap<String, String>>>,
) -> Result<tokio::task::JoinSet<()>> {
    let mut tasks = tokio::task::JoinSet::new();
    for listener in loopback(port).await? {
        let answers = Arc::clone(&answers);
        tasks.spawn(async move {
            // Dropped with the task: the connections end with the listener.
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answers = Arc::clone(&answers);
                open.spawn(serve(stream, move |request| {
                    let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    match answers.get(request.uri().path()) {
                        Some(answer) => Response::new(Full::new(Bytes::from(answer.clone()))),
                        None => {
                            let mut response =
                                Response::new(Full::new(Bytes::from_static(b"not here\n")));
                            *response.status_mut() = http::StatusCode::NOT_FOUND;
                            response
                        }
                    }
                }));
                while open.try_join_next().is_some() {}
            }
        });
    }
    Ok(tasks)
}

/// Listens on this machine's own addresses; IPv6 where it has it.
async fn loopback(port: u16) -> Result<Vec<TcpListener>> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut listeners = vec![
        TcpListener::bind(v4)
            .await
            .with_context(|| format!("cannot listen on {v4}"))?,
    ];
    listeners.extend(TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await);
    Ok(listeners)
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(Request<Incoming>) -> Page,
) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(request))));
    // A browser that goes away is no news.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn html(page: Bytes) -> Page {
    let mut response = Response::new(Full::new(page));
    response.headers_mut().insert(
        "content-type",
        http::HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

const PAGE: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>NAME</title>
<style>body{font:1.1rem/1.5 system-ui;max-width:38rem;margin:12vh auto;padding:0 1rem}code{background:#8882;padding:.1em .3em}</style>
<h1>It works.</h1>
<p>This page came over HTTPS. <code>NAME</code> has a certificate of 24 hours, obtained by ACME from the CA at
<code>DIRECTORY</code>.</p>
<p>Next: <code>docs/ca.md</code>, a CA for your own names.</p>
</html>
";
