//! Whole attempts against scripted DNS and web servers on loopback.

use std::time::Duration;

use cairn_acme::challenge::Token;
use cairn_acme::identifier::{DnsName, Identifier};
use cairn_acme::problem::ProblemType;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::resolver::Resolver;
use super::super::testing::{Dns, Script, Then, Web, addresses, rule};
use super::super::{Attempt, Bounds, Validator};
use super::*;

const TOKEN: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
const KEY_AUTHORIZATION: &str =
    "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// Stands for the ten seconds of a real attempt; long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(1);

struct Scene {
    validator: Validator,
    rules: NameRules,
    dns: Dns,
}

impl Scene {
    /// Names below `test` lead to loopback, where `web` answers in place of port 80.
    async fn new(web: &Web, tls_port: u16) -> Self {
        let loopback = vec!["127.0.0.1".to_owned()];
        let private = vec!["10.0.0.1".to_owned()];
        let refused = vec!["127.0.0.9".to_owned()];
        let dns = Dns::start(move |asked| {
            let ips = match asked.name.as_str() {
                "nowhere.test" => None,
                "private.test" | "private.a.test" | "private.other.test" => Some(&private),
                "refused.test" | "refused.a.test" | "refused.other.test" => Some(&refused),
                "broken.test" => return vec![asked.reply().code(2).wire()],
                _ => Some(&loopback),
            };
            vec![addresses(asked, ips)]
        })
        .await;
        let validator = validator(&dns);
        let rules = NameRules::new(vec![rule("test", web.address.port(), tls_port)], Vec::new());
        Self {
            validator,
            rules,
            dns,
        }
    }

    async fn attempt(&self, name: &str) -> Attempt {
        let job = Job {
            identifier: Identifier::Dns(DnsName::parse(name).unwrap()),
            challenge: ChallengeType::Http01,
            token: TOKEN.parse::<Token>().unwrap(),
            key_authorization: KEY_AUTHORIZATION.to_owned(),
        };
        let bound = Duration::from_secs(60);
        self.validator.attempt(&job, &self.rules, bound).await
    }

    /// Makes an attempt that must fail.
    async fn fail(&self, name: &str) -> (ProblemType, String, bool) {
        let attempt = self.attempt(name).await;
        assert!(!attempt.trace.steps.is_empty());
        let failure = attempt.outcome.expect_err("it must not pass");
        (
            failure.problem.kind,
            failure.problem.detail,
            failure.transient,
        )
    }
}

/// A validator whose attempts end after [`PATIENCE`].
fn validator(dns: &Dns) -> Validator {
    let resolver = Resolver::new(&[dns.address], Duration::from_secs(3)).unwrap();
    let bounds = Bounds {
        attempt: PATIENCE,
        ..Bounds::default()
    };
    Validator::with_bounds(resolver, bounds)
}

async fn serving(script: Script) -> (Web, Scene) {
    let web = Web::start(move |_| script.clone()).await;
    let scene = Scene::new(&web, 9).await;
    (web, scene)
}

/// Answers by path; everything else is the key authorization.
async fn routes(routes: Vec<(&'static str, Script)>) -> (Web, Scene) {
    let web = Web::start(move |head| {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let found = routes.iter().find(|(route, _)| {
            *route == path || (*route == "first" && path.contains("acme-challenge"))
        });
        found.map_or_else(
            || Script::ok(KEY_AUTHORIZATION),
            |(_, script)| script.clone(),
        )
    })
    .await;
    let scene = Scene::new(&web, 9).await;
    (web, scene)
}

#[tokio::test]
async fn the_exact_key_authorization_passes_with_its_evidence() {
    // 8555-8.3-3
    // T-CA-70
    for body in ["", "\n", "\r\n", " \t\r\n\n"] {
        let (web, scene) = serving(Script::ok(&format!("{KEY_AUTHORIZATION}{body}"))).await;
        let attempt = scene.attempt("a.test").await;
        let evidence = attempt.outcome.unwrap();
        assert_eq!(evidence.addresses, [web.address]);
        assert_eq!(
            evidence.place,
            format!("http://a.test/.well-known/acme-challenge/{TOKEN}")
        );
        let requests = web.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].contains("\r\nHost: a.test\r\n"));
        let text = serde_json::to_string(&attempt.trace).unwrap();
        assert!(
            text.contains("looked-up") && text.contains("connected"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn any_other_status_or_body_is_unauthorized_and_final() {
    // T-CA-70
    // 8555-8.3-5
    // R-21
    let k = KEY_AUTHORIZATION;
    let thumbprint = &k[44..];
    let other_thumbprint = format!("{TOKEN}.{}", "A".repeat(43));
    let cases: Vec<(&str, Script)> = vec![
        ("201", Script::status("201 Created", "", k)),
        ("202", Script::status("202 Accepted", "", k)),
        ("204", Script::status("204 No Content", "", "")),
        ("206", Script::status("206 Partial Content", "", k)),
        (
            "300",
            Script::status("300 Multiple Choices", "Location: /x\r\n", k),
        ),
        (
            "303",
            Script::status("303 See Other", "Location: /x\r\n", k),
        ),
        ("304", Script::status("304 Not Modified", "", "")),
        ("401", Script::status("401 Unauthorized", "", k)),
        ("404", Script::status("404 Not Found", "", k)),
        ("500", Script::status("500 Oops", "", k)),
        ("prefix", Script::ok(&format!("x{k}"))),
        ("white space before", Script::ok(&format!(" {k}"))),
        ("suffix", Script::ok(&format!("{k}x"))),
        ("white space inside", Script::ok(&k.replace('.', ". "))),
        ("NUL after", Script::ok(&format!("{k}\0"))),
        ("twice", Script::ok(&format!("{k}\n{k}"))),
        ("token only", Script::ok(TOKEN)),
        ("token and dot", Script::ok(&format!("{TOKEN}."))),
        ("thumbprint only", Script::ok(thumbprint)),
        (
            "another account's thumbprint",
            Script::ok(&other_thumbprint),
        ),
        ("other case", Script::ok(&k.to_lowercase())),
        (
            "reflected path",
            Script::ok(&format!("/.well-known/acme-challenge/{TOKEN}")),
        ),
        ("byte order mark", Script::ok(&format!("\u{feff}{k}"))),
        ("empty", Script::ok("")),
        ("quoted", Script::ok(&format!("\"{k}\""))),
        (
            "padded past the bound",
            Script::ok(&format!("{k}{}", " ".repeat(2000))),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, script) in cases {
        let (_web, scene) = serving(script).await;
        let (kind, detail, transient) = scene.fail("a.test").await;
        if kind != ProblemType::Unauthorized || transient {
            wrong.push(format!("{name}: {kind:?} {detail}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn each_layer_has_its_problem_type_and_a_remedy() {
    // 8555-8.3-5
    let (web, scene) = serving(Script::status("404 Not Found", "Server: nginx/1.2\r\n", "")).await;
    let at = web.address;
    let url = format!("http://a.test/.well-known/acme-challenge/{TOKEN}");
    let (_, detail, _) = scene.fail("a.test").await;
    assert_eq!(
        detail,
        format!(
            "a.test: the file was not there. {at} answered 404 for {url} (nginx/1.2). Put the \
             challenge where that server looks, or point the name at the server that has it; of \
             several servers behind one address, each needs it. nginx: \"location ^~ \
             /.well-known/acme-challenge/ {{ root DIR; }}\"."
        )
    );
    let cases = [
        ("nowhere.test", ProblemType::Dns, false, "has no DNS entry"),
        ("broken.test", ProblemType::Dns, true, "SERVFAIL"),
        (
            "private.test",
            ProblemType::Dns,
            false,
            "10.0.0.1 (private use, RFC 1918)",
        ),
        (
            "refused.test",
            ProblemType::Connection,
            true,
            "refused the connection",
        ),
        ("demo.localhost", ProblemType::Dns, false, "[[names]]"),
    ];
    let mut wrong = Vec::new();
    for (name, kind, transient, text) in cases {
        let got = scene.fail(name).await;
        if (&got.0, got.2) != (&kind, transient)
            || !got.1.contains(text)
            || !got.1.starts_with(name)
        {
            wrong.push(format!("{name}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_name_without_any_address_record_and_one_with_a_dead_ipv6_address_are_told() {
    // 8555-8.3-5
    let web = Web::start(|_| Script::status("404 Not Found", "", "")).await;
    let dns = Dns::zone(&[("empty.test", &[]), ("six.test", &["::1", "127.0.0.1"])]).await;
    let mut scene = Scene::new(&web, 9).await;
    scene.validator = validator(&dns);
    let (kind, detail, _) = scene.fail("empty.test").await;
    assert_eq!(kind, ProblemType::Dns);
    assert!(
        detail.contains("neither an A nor an AAAA record"),
        "{detail}"
    );
    let (kind, detail, _) = scene.fail("six.test").await;
    assert_eq!(kind, ProblemType::Unauthorized);
    let port = web.address.port();
    let both = format!("[::1]:{port} refused the connection; 127.0.0.1:{port} answered 404");
    assert!(detail.contains(&both), "{detail}");
}

#[tokio::test]
async fn only_the_four_redirects_are_followed_and_each_hop_is_looked_up_again() {
    // 8555-8.3-4
    // T-CA-65
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let (web, scene) = routes(vec![(
            "first",
            Script::redirect(status, "http://other.test/x"),
        )])
        .await;
        let evidence = scene.attempt("a.test").await.outcome.unwrap();
        assert_eq!(evidence.place, "http://other.test/x", "{status}");
        assert_eq!(evidence.addresses.len(), 2);
        assert_eq!(scene.dns.asked().len(), 4);
        let second = &web.requests()[1];
        assert!(
            second.contains("\r\nHost: other.test\r\n") && !second.contains("Cookie"),
            "{second}"
        );
    }
}

#[tokio::test]
async fn redirects_end_at_ten_and_at_loops() {
    // T-CA-67
    // 8555-8.3-4
    let web = Web::start(|head| {
        let path = head.split(' ').nth(1).unwrap();
        let n: usize = path.rsplit('/').next().unwrap().parse().unwrap_or(0);
        if n == 10 {
            Script::ok(KEY_AUTHORIZATION)
        } else {
            Script::redirect("302 Found", &format!("/{}", n + 1))
        }
    })
    .await;
    let scene = Scene::new(&web, 9).await;
    scene.attempt("a.test").await.outcome.unwrap();
    assert_eq!(web.requests().len(), 11);

    let endless = Web::start(|head| {
        let path = head.split(' ').nth(1).unwrap();
        let n: usize = path.rsplit('/').next().unwrap().parse().unwrap_or(0);
        Script::redirect("302 Found", &format!("/{}", n + 1))
    })
    .await;
    let scene = Scene::new(&endless, 9).await;
    let (kind, detail, transient) = scene.fail("a.test").await;
    assert_eq!((kind, transient), (ProblemType::Connection, false));
    assert!(detail.contains("more than 10 redirects"), "{detail}");
    assert_eq!(endless.requests().len(), 11);

    let (itself, scene) = routes(vec![
        ("/x", Script::redirect("302 Found", "/y")),
        ("/y", Script::redirect("302 Found", "/x")),
        ("first", Script::redirect("302 Found", "/x")),
    ])
    .await;
    let (kind, detail, _) = scene.fail("a.test").await;
    assert_eq!(kind, ProblemType::Connection);
    assert!(detail.contains("asked before"), "{detail}");
    assert_eq!(itself.requests().len(), 3);
}

#[tokio::test]
async fn hostile_locations_end_the_attempt_without_a_further_request() {
    // T-CA-67
    let long = format!("http://a.test/{}", "x".repeat(8000));
    let mut wrong = Vec::new();
    for location in [
        "http://a@10.0.0.1/",
        "gopher://a.test/",
        "file:///etc/passwd",
        "http://x.test:22/",
        "http://[::1]/",
        "http://2130706433/",
        "http://127.0.0.1/",
        "http://x\\@y/",
        "../",
        "",
        &long,
    ] {
        let (web, scene) = routes(vec![("first", Script::redirect("302 Found", location))]).await;
        let (kind, detail, transient) = scene.fail("a.test").await;
        if kind != ProblemType::Connection || transient || web.requests().len() != 1 {
            wrong.push(format!("{location:.40}: {kind:?} {detail}"));
        }
        assert!(detail.len() < 900, "{detail}");
    }
    let (_web, scene) = routes(vec![("first", Script::redirect("302 Found", "//evil/"))]).await;
    assert_eq!(scene.fail("a.test").await.0, ProblemType::Connection);
    let (_web, scene) = routes(vec![(
        "first",
        Script::redirect("302 Found", "/x\r\nLocation: /y"),
    )])
    .await;
    assert_eq!(scene.fail("a.test").await.0, ProblemType::Connection);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_redirect_to_https_is_followed_whatever_the_certificate() {
    // 8555-8.3-4
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["wrong.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls_port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let body = KEY_AUTHORIZATION;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            std::future::pending::<()>().await;
        }
    });
    let web = Web::start(|_| Script::redirect("301 Moved", "https://a.test/x")).await;
    let scene = Scene::new(&web, tls_port).await;
    let attempt = scene.attempt("a.test").await;
    assert_eq!(attempt.outcome.unwrap().place, "https://a.test/x");
    assert!(
        attempt
            .trace
            .steps
            .iter()
            .any(|s| matches!(s, Step::Tls { .. }))
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    });
    let plain = Scene::new(&web, plain_port).await;
    let (kind, detail, transient) = plain.fail("a.test").await;
    assert_eq!((kind, transient), (ProblemType::Tls, false), "{detail}");
    assert!(detail.contains("not TLS"), "{detail}");
}

#[tokio::test]
async fn slow_and_broken_servers_end_as_transient_connection_problems_by_the_deadline() {
    // T-CA-68
    // 8555-8.3-5
    let head = "HTTP/1.1 200 OK\r\nX-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    let cases = [
        ("slow loris", Script::drip(head, PATIENCE / 20)),
        ("silence", Script::send("").then(Then::Hold)),
        ("reset at once", Script::send("").then(Then::Reset)),
        (
            "reset mid body",
            Script::send("HTTP/1.1 200 OK\r\nContent-Length: 87\r\n\r\nLoq").then(Then::Reset),
        ),
        (
            "end mid body",
            Script::send("HTTP/1.1 200 OK\r\nContent-Length: 87\r\n\r\nLoq"),
        ),
        (
            "endless body, then silence",
            Script::send("HTTP/1.1 200 OK\r\nContent-Length: 88\r\n\r\nLoq").then(Then::Hold),
        ),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for (name, script) in cases {
        tasks.spawn(async move {
            let (_web, scene) = serving(script).await;
            let began = Instant::now();
            (name, scene.fail("a.test").await, began.elapsed())
        });
    }
    let mut wrong = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (name, (kind, detail, transient), took) = done.unwrap();
        if kind != ProblemType::Connection || !transient || took > PATIENCE * 2 {
            wrong.push(format!(
                "{name}: {kind:?} {transient} after {took:?}: {detail}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn hostile_octets_end_as_connection_problems_at_once() {
    // T-CA-68
    let cases = [
        ("HTTP/0.9", Script::send(KEY_AUTHORIZATION)),
        (
            "HTTP/2 preface",
            Script::send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ),
        (
            "gzip",
            Script::status("200 OK", "Content-Encoding: gzip\r\n", "\x1f"),
        ),
        (
            "endless headers",
            Script::send(format!("HTTP/1.1 200 OK\r\n{}", "A: b\r\n".repeat(9000))),
        ),
        (
            "1xx flood",
            Script::send("HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)),
        ),
        (
            "two lengths",
            Script::status(
                "200 OK",
                "Content-Length: 87\r\nContent-Length: 88\r\n",
                KEY_AUTHORIZATION,
            ),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, script) in cases {
        let (_web, scene) = serving(script.then(Then::Hold)).await;
        let began = Instant::now();
        let (kind, detail, transient) = scene.fail("a.test").await;
        if kind != ProblemType::Connection || transient || began.elapsed() > Duration::from_secs(5)
        {
            wrong.push(format!("{name}: {kind:?} {transient} {detail}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_is_quoted_is_short_escaped_and_from_harmless_headers() {
    // T-CA-69
    let body = format!("<b>\0\x1b[31m{}the secret", "x".repeat(80));
    let headers = format!(
        "Server: <nginx>\r\nContent-Type: text/html\r\nRetry-After: 9\r\nSet-Cookie: session=1\r\n\
         X-Powered-By: inner\r\nWWW-Authenticate: Digest realm=\"office\", nonce=\"abc\"\r\n\
         X-Long: {}\r\n",
        "y".repeat(3000)
    );
    let (_web, scene) = serving(Script::status("200 OK", &headers, &body)).await;
    let (_, detail, _) = scene.fail("a.test").await;
    assert!(
        detail.contains(r"\x3cnginx\x3e, type text/html, retry after 9, realm office"),
        "{detail}"
    );
    assert!(detail.contains(r"\x3cb\x3e\x00\x1b[31mxxx"), "{detail}");
    for hidden in [
        "secret", "session", "inner", "nonce", "yyyy", "\0", "\x1b", "<",
    ] {
        assert!(!detail.contains(hidden), "{hidden}: {detail}");
    }
}

#[tokio::test]
async fn nothing_is_told_of_hosts_beyond_the_identifiers_own_name() {
    // T-CA-69
    let mut told = Vec::new();
    for host in [
        "private.other.test",
        "refused.other.test",
        "nowhere.test",
        "open.other.test",
        "127x.example",
    ] {
        let (_web, scene) = routes(vec![
            (
                "first",
                Script::redirect("302 Found", &format!("http://{host}/x")),
            ),
            (
                "/x",
                Script::status("200 OK", "Server: hidden\r\n", "an inside page"),
            ),
        ])
        .await;
        let (kind, detail, transient) = scene.fail("a.test").await;
        told.push((kind, detail.replace(host, "HOST"), transient));
    }
    assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:#?}");
    assert!(
        told[0].1.contains("not reachable, not permitted"),
        "{told:#?}"
    );
    assert!(!told[0].1.contains("hidden") && !told[0].1.contains("inside"));

    let (_web, scene) = routes(vec![(
        "first",
        Script::redirect("302 Found", "http://private.a.test/x"),
    )])
    .await;
    let (kind, detail, _) = scene.fail("a.test").await;
    assert_eq!(kind, ProblemType::Dns);
    assert!(
        detail.contains("10.0.0.1 (private use, RFC 1918)"),
        "its own name: {detail}"
    );
}

#[tokio::test]
async fn the_operator_sees_all_of_it_in_the_trace() {
    // T-CA-69
    let (_web, scene) = routes(vec![
        (
            "first",
            Script::redirect("302 Found", "http://open.other.test/x"),
        ),
        (
            "/x",
            Script::status("200 OK", "Server: inner\r\n", "an inside page"),
        ),
    ])
    .await;
    let attempt = scene.attempt("a.test").await;
    let text = serde_json::to_string(&attempt.trace).unwrap();
    for seen in [
        "open.other.test",
        "inner",
        "an inside page",
        "302",
        KEY_AUTHORIZATION,
    ] {
        assert!(text.contains(seen), "{seen}: {text}");
    }
}

#[tokio::test]
async fn the_path_is_fixed_and_the_sub_domain_shows_nothing_for_its_parent() {
    // R-18
    let (web, scene) = serving(Script::ok(KEY_AUTHORIZATION)).await;
    let evidence = scene.attempt("sub.a.test").await.outcome.unwrap();
    assert!(
        evidence
            .place
            .starts_with("http://sub.a.test/.well-known/acme-challenge/")
    );
    let line = format!("GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\nHost: sub.a.test\r\n");
    assert!(web.requests()[0].starts_with(&line));
    let asked: Vec<String> = scene
        .dns
        .asked()
        .into_iter()
        .map(|asked| asked.name)
        .collect();
    assert_eq!(asked, ["sub.a.test", "sub.a.test"]);
}

#[tokio::test]
async fn a_method_that_cannot_show_control_is_refused_and_never_dialled() {
    // 8555-8.3-6
    let (web, scene) = serving(Script::ok(KEY_AUTHORIZATION)).await;
    let job = Job {
        identifier: Identifier::WildcardDns(DnsName::parse("a.test").unwrap()),
        challenge: ChallengeType::Http01,
        token: TOKEN.parse::<Token>().unwrap(),
        key_authorization: KEY_AUTHORIZATION.to_owned(),
    };
    let attempt = scene.validator.attempt(&job, &scene.rules, PATIENCE).await;
    assert_eq!(
        attempt.outcome.unwrap_err().problem.kind,
        ProblemType::ServerInternal
    );
    assert!(web.requests().is_empty());
}

/// Runs the plain attempt in a process whose environment names a dead proxy.
#[test]
fn proxies_of_the_environment_are_ignored() {
    // T-CA-71
    let inner = concat!(
        "validation::http01::tests::",
        "the_exact_key_authorization_passes_with_its_evidence"
    );
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", inner]);
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        child.env(variable, "http://127.0.0.1:9");
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
