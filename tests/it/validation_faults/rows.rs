//! The faults: how each is arranged, and what is said of it.

use std::time::Duration;

use cairn_testkit::{
    dns::{Behaviour, ResponseCode},
    http::Reply,
};

use super::{DEAD, DEAD6, PUBLIC, PUBLIC6, Scene, ip};
use crate::told::{self, Case as Host};

/// No address of a server that a stranger may name (T-CA-64).
const FORBIDDEN: [&str; 29] = [
    "127.0.0.1",
    "127.0.0.2",
    "10.1.2.3",
    "192.168.7.7",
    "172.16.0.1",
    "100.64.0.9",
    "169.254.169.254",
    "0.0.0.0",
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:1::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "100::1",
];

type Row = told::Row<Scene>;

fn row(
    label: &str,
    kind: &'static str,
    says: &[&'static str],
    arrange: impl Fn(&Scene, &Host) + Send + Sync + 'static,
) -> Row {
    Row {
        label: label.to_owned(),
        name: format!("{label}.public.test"),
        challenge: "http-01",
        arrange: Box::new(arrange),
        kind,
        says: says.to_vec(),
    }
}

/// A row whose name leads to [`PUBLIC`], where this is the reply to the challenge's path.
fn reply(
    label: &str,
    kind: &'static str,
    says: &[&'static str],
    reply: impl Fn(&Host) -> Reply + Send + Sync + 'static,
) -> Row {
    row(label, kind, says, move |scene, host| {
        scene.dns.add_address(&host.name, PUBLIC);
        scene.web.on_host(&host.name, &host.path, reply(host));
    })
}

/// A row that redirects to a Location, in which `{}` is the name.
fn redirect(label: &str, kind: &'static str, says: &[&'static str], location: &'static str) -> Row {
    reply(label, kind, says, move |host| {
        Reply::Redirect(302, location.replace("{}", &host.name))
    })
}

pub(super) fn dns_rows() -> Vec<Row> {
    vec![
        row(
            "nxdomain",
            "dns",
            &[
                "has no DNS entry: the answer was NXDOMAIN",
                "Add an A or AAAA record",
            ],
            |_, _| {},
        ),
        row(
            "nodata",
            "dns",
            &["neither an A nor an AAAA record.", "Add one, or use dns-01"],
            |scene, host| {
                scene.dns.add_txt(&host.name, "x");
            },
        ),
        row(
            "servfail",
            "dns",
            &["records of {name} failed: SERVFAIL", "DNSSEC"],
            |scene, host| {
                scene
                    .dns
                    .behave(&host.name, None, Behaviour::Code(ResponseCode::ServFail));
            },
        ),
        row(
            "dns-silent",
            "dns",
            &["no answer in time", "try again later"],
            |scene, host| {
                scene.dns.behave(&host.name, None, Behaviour::Drop);
            },
        ),
        // T-CA-77
        row(
            "cname-loop",
            "dns",
            &["a loop of CNAME records", "Correct the CNAME records"],
            |scene, host| {
                let other = format!("b.{}", host.name);
                scene
                    .dns
                    .add_cname(&host.name, &other)
                    .add_cname(&other, &host.name);
            },
        ),
        row(
            "cname-chain",
            "dns",
            &["CNAME records", "Correct the CNAME records"],
            |scene, host| {
                let link = |n: usize| {
                    if n == 0 {
                        host.name.clone()
                    } else {
                        format!("l{n}.{}", host.name)
                    }
                };
                for n in 0..100 {
                    scene.dns.add_cname(&link(n), &link(n + 1));
                }
                scene.dns.add_address(&link(100), PUBLIC);
            },
        ),
    ]
}

pub(super) fn connection_rows() -> Vec<Row> {
    vec![
        row(
            "unreachable",
            "connection",
            &["198.41.0.99:80 could not be reached", "firewall"],
            |scene, host| {
                scene.dns.add_address(&host.name, [198, 41, 0, 99]);
            },
        ),
        row("v6-first", "", &[], |scene, host| {
            scene
                .dns
                .add_address(&host.name, PUBLIC)
                .add_address(&host.name, ip(PUBLIC6));
            scene.web6.on_host(
                &host.name,
                &host.path,
                Reply::Body(host.key_authorization.clone().into_bytes()),
            );
        }),
        reply(
            "a-byte-a-second",
            "connection",
            &["no complete answer in time"],
            |host| {
                Reply::Slow(
                    host.key_authorization.clone().into_bytes(),
                    Duration::from_secs(1),
                )
            },
        ),
        reply(
            "endless-headers",
            "connection",
            &["an HTTP head of more than"],
            |_| Reply::EndlessHeaders,
        ),
        reply(
            "endless-body",
            "unauthorized",
            &[
                "the file has other content",
                "more than 1024 octets that begin with",
            ],
            |_| Reply::EndlessBody,
        ),
        reply(
            "gzip",
            "connection",
            &["content coding, though none was offered"],
            |_| {
                Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00".to_vec())
            },
        ),
        reply(
            "http-0.9",
            "connection",
            &["no HTTP/1 answer but"],
            |host| Reply::Raw(host.key_authorization.clone().into_bytes()),
        ),
        reply("h2", "connection", &["no HTTP/1 answer but"], |_| {
            Reply::Raw(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d".to_vec())
        }),
        reply("interim-flood", "connection", &["interim answers"], |_| {
            Reply::Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000))
        }),
        reply("huge-length", "unauthorized", &["other content"], |_| {
            let mut raw =
                b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n".to_vec();
            raw.resize(4096, b'x');
            Reply::Raw(raw)
        }),
    ]
}

pub(super) fn content_rows() -> Vec<Row> {
    let status = |label: &str, status: u16, says: &'static str| {
        reply(
            label,
            "unauthorized",
            &[says, "198.41.0.4:80 answered", "{url}"],
            move |host| Reply::Status(status, host.key_authorization.clone()),
        )
    };
    let body = |label: &str, change: fn(&str) -> String| {
        reply(
            label,
            "unauthorized",
            &[
                "the file has other content",
                "Serve the key authorization of this challenge",
            ],
            move |host| Reply::Body(change(&host.key_authorization).into_bytes()),
        )
    };
    vec![
        // T-CA-70
        status("status-201", 201, "could not be fetched"),
        status("status-206", 206, "could not be fetched"),
        status("status-404-right-body", 404, "was not there"),
        status("status-500", 500, "could not be fetched"),
        body("prefix", |ka| format!("x{ka}")),
        body("suffix", |ka| format!("{ka}x")),
        body("token-only", |ka| ka.split('.').next().unwrap().to_owned()),
        body("leading-space", |ka| format!(" {ka}")),
        body("upper-case", |ka| ka.to_ascii_uppercase()),
        body("empty", |_| String::new()),
        reply("trailing-space", "", &[], |host| {
            Reply::Body(format!("{}\r\n \t", host.key_authorization).into_bytes())
        }),
        // T-CA-69
        reply(
            "html-and-ansi",
            "unauthorized",
            &["\"\\x3chtml\\x3e\\x1b[2J", "…"],
            |_| {
                let mut page = b"<html>\x1b[2J\x00<svg onload=alert(1)>".to_vec();
                page.resize(80, b'.');
                page.extend(b"CANARY-SECRET");
                Reply::Body(page)
            },
        ),
        reply(
            "evidence",
            "unauthorized",
            &[
                "answered 503",
                "nginx/9.9",
                "retry after 120",
                "realm inside",
            ],
            |_| {
                Reply::Raw(
                b"HTTP/1.1 503 No\r\nServer: nginx/9.9\r\nRetry-After: 120\r\nX-Secret: CANARY-SECRET\r\n\
                  WWW-Authenticate: Digest realm=\"inside\", nonce=\"CANARY-SECRET\"\r\nContent-Length: 0\r\n\r\n"
                    .to_vec(),
            )
            },
        ),
    ]
}

/// T-CA-67
pub(super) fn redirect_rows() -> Vec<Row> {
    let not = "the redirect was not followed";
    vec![
        redirect(
            "to-v6-address",
            "connection",
            &[not, "addresses are not followed"],
            "http://[::1]/",
        ),
        redirect(
            "to-number",
            "connection",
            &[not, "host name"],
            "http://2130706433/",
        ),
        redirect(
            "user",
            "connection",
            &[not, "user name"],
            "http://a@10.1.2.3/",
        ),
        redirect(
            "gopher",
            "connection",
            &[not, "neither an http or https URL"],
            "gopher://{}/",
        ),
        redirect(
            "file",
            "connection",
            &[not, "neither an http or https URL"],
            "file:///etc/passwd",
        ),
        redirect(
            "relative",
            "connection",
            &[not, "neither an http or https URL nor a path"],
            "../x",
        ),
        redirect(
            "backslash",
            "connection",
            &[not, "characters that no URL has"],
            "http://x\\@{}/",
        ),
        reply("no-location", "connection", &[not, "no Location"], |_| {
            Reply::Raw(b"HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n".to_vec())
        }),
        reply("long-location", "connection", &[], |_| {
            Reply::Redirect(302, format!("/{}", "a".repeat(65_000)))
        }),
        row(
            "eleven-hops",
            "connection",
            &[not, "more than 10 redirects"],
            |scene, host| {
                scene.dns.add_address(&host.name, PUBLIC);
                scene.web.on_host(
                    &host.name,
                    &host.path,
                    Reply::Redirect(302, String::from("/hop1")),
                );
                for hop in 1..=11 {
                    scene.web.on_host(
                        &host.name,
                        &format!("/hop{hop}"),
                        Reply::Redirect(307, format!("/hop{}", hop + 1)),
                    );
                }
            },
        ),
        row("ten-hops", "", &[], |scene, host| {
            scene.dns.add_address(&host.name, PUBLIC);
            scene.web.on_host(
                &host.name,
                &host.path,
                Reply::Redirect(302, String::from("/hop1")),
            );
            for hop in 1..10 {
                scene.web.on_host(
                    &host.name,
                    &format!("/hop{hop}"),
                    Reply::Redirect(308, format!("http://{}/hop{}", host.name, hop + 1)),
                );
            }
            scene.web.on_host(
                &host.name,
                "/hop10",
                Reply::Body(host.key_authorization.clone().into_bytes()),
            );
        }),
        row(
            "to-tls-that-is-none",
            "tls",
            &[
                "198.41.0.4:443",
                "the TLS handshake failed: the answer was not TLS",
                "after a redirect to https://{name}/",
            ],
            |scene, host| {
                scene.dns.add_address(&host.name, PUBLIC);
                scene.web.on_host(
                    &host.name,
                    &host.path,
                    Reply::Redirect(302, format!("https://{}/", host.name)),
                );
            },
        ),
        // Under the subscriber's own name it is told what is wrong; elsewhere nothing can be learned.
        row(
            "to-inside-of-its-own",
            "dns",
            &[
                "leads to 10.1.2.3 (private",
                "where this CA may not connect",
            ],
            |scene, host| {
                let inner = format!("inner.{}", host.name);
                scene
                    .dns
                    .add_address(&host.name, PUBLIC)
                    .add_address(&inner, ip("10.1.2.3"));
                scene.web.on_host(
                    &host.name,
                    &host.path,
                    Reply::Redirect(302, format!("http://{inner}/")),
                );
            },
        ),
        row(
            "to-inside-elsewhere",
            "connection",
            &["was not reachable, not permitted, or did not have the file"],
            |scene, host| {
                scene
                    .dns
                    .add_address(&host.name, PUBLIC)
                    .add_address("secret.elsewhere.test", ip("10.1.2.3"));
                scene.web.on_host(
                    &host.name,
                    &host.path,
                    Reply::Redirect(302, String::from("http://secret.elsewhere.test/")),
                );
            },
        ),
        row(
            "to-dead-elsewhere",
            "connection",
            &["was not reachable, not permitted, or did not have the file"],
            |scene, host| {
                scene
                    .dns
                    .add_address(&host.name, PUBLIC)
                    .add_address("dead.elsewhere.test", DEAD);
                scene.web.on_host(
                    &host.name,
                    &host.path,
                    Reply::Redirect(302, String::from("http://dead.elsewhere.test/")),
                );
            },
        ),
    ]
}

/// T-CA-64, T-CA-66
pub(super) fn address_rows() -> Vec<Row> {
    let mut rows: Vec<Row> = FORBIDDEN
        .iter()
        .enumerate()
        .map(|(number, address)| {
            let label = format!("forbidden-{number}");
            row(
                &label,
                "dns",
                &[
                    "leads to",
                    "where this CA may not connect for this name",
                    "ask its operator",
                ],
                move |scene, host| {
                    scene.dns.add_address(&host.name, ip(address));
                },
            )
        })
        .collect();
    for (label, order) in [
        ("mixed-inside-first", ["10.1.2.3", "198.41.0.4"]),
        ("mixed-inside-last", ["198.41.0.4", "10.1.2.3"]),
    ] {
        rows.push(row(label, "", &[], move |scene, host| {
            for address in order {
                scene.dns.add_address(&host.name, ip(address));
            }
            scene.web.on_host(
                &host.name,
                &host.path,
                Reply::Body(host.key_authorization.clone().into_bytes()),
            );
        }));
    }
    // The fallback to the other family is judged as well.
    rows.push(row(
        "v6-dead-v4-inside",
        "connection",
        &["[2001:503:ba3e::2:31]:80 refused"],
        |scene, host| {
            scene
                .dns
                .add_address(&host.name, ip("10.1.2.3"))
                .add_address(&host.name, ip(DEAD6));
        },
    ));
    rows.push(Row {
        name: "own-listener.granted.test".to_owned(),
        ..row(
            "own-listener",
            "dns",
            &["leads to 127.0.0.1 (own listener)"],
            |scene, host| {
                scene.dns.add_address(&host.name, ip("127.0.0.1"));
            },
        )
    });
    rows
}
