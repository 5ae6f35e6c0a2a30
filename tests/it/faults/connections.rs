//! Faults between the CA and the web server, F-28 to F-37: the layer that broke is named, and what it shows that it was not.

use cairn_testkit::http::Reply;

use super::{DEAD, DEAD6, DROPS, PUBLIC, PUBLIC6, Row, ip, row};

pub(super) fn rows() -> Vec<Row> {
    let http = "http-01";
    vec![
        row(
            "F-28",
            "f28.test",
            http,
            "connection",
            &[
                "no connection. 198.41.0.5:80 refused the connection.",
                "See that a web server listens there: the refusal came from the host, so no firewall swallows the packets.",
                "port 80 has to be forwarded",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, DEAD);
            },
        ),
        row(
            "F-29",
            "f29.test",
            http,
            "connection",
            &[
                "no connection. 198.41.0.9:80 did not answer in time.",
                "Where not even a refusal comes back, a firewall or a router drops the packets: open TCP port 80",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, DROPS);
            },
        ),
        row(
            "F-30",
            "f30.test",
            http,
            "connection",
            &[
                "at 198.41.0.4:80 there was no complete answer in time for {url}.",
                "The connection stood, so no firewall is in the way, but not one octet came back: the program there hangs.",
                "See its log and its workers",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PUBLIC);
                scene.web.on_host(&case.name, &case.path, Reply::Hang);
            },
        ),
        row(
            "F-31 reset",
            "f31a.test",
            http,
            "connection",
            &[
                "at 198.41.0.4:80 there was no complete answer: the connection broke",
                "was cut after the request (0 octets came back)",
                "Exempt /.well-known/acme-challenge/",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PUBLIC);
                scene.web.on_host(&case.name, &case.path, Reply::Reset);
            },
        ),
        row(
            "F-31 nginx 444",
            "f31b.test",
            http,
            "connection",
            &[
                "at 198.41.0.4:80 there was no complete answer: the connection ended early",
                "(0 octets came back): by the server, or by a filter before it.",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PUBLIC);
                scene.web.on_host(&case.name, &case.path, Reply::Close);
            },
        ),
        row(
            "F-32",
            "f32a.test",
            http,
            "unauthorized",
            &[
                "[2001:503:ba3e::2:31]:80 refused the connection; 198.41.0.4:80 answered 404 for {url}",
                "Put the challenge where that server looks",
            ],
            |scene, case| {
                scene
                    .dns
                    .add_address(&case.name, PUBLIC)
                    .add_address(&case.name, ip(DEAD6));
            },
        ),
        row(
            "F-32 both dead",
            "f32b.test",
            http,
            "connection",
            &[
                "[2001:503:ba3e::2:31]:80 refused the connection; 198.41.0.5:80 refused the connection",
                "IPv6 is tried first: the AAAA record 2001:503:ba3e::2:31 has to be right as well, or go.",
            ],
            |scene, case| {
                scene
                    .dns
                    .add_address(&case.name, DEAD)
                    .add_address(&case.name, ip(DEAD6));
            },
        ),
        row(
            "F-32 tolerated",
            "f32c.test",
            http,
            "",
            &[],
            |scene, case| {
                let file = Reply::Body(case.key_authorization.clone().into_bytes());
                scene.web.on_host(&case.name, &case.path, file);
                scene
                    .dns
                    .add_address(&case.name, PUBLIC)
                    .add_address(&case.name, ip(DEAD6));
            },
        ),
        row(
            "F-33",
            "f33.test",
            http,
            "unauthorized",
            &[
                "[2001:503:ba3e::2:30]:80 answered 404 for {url}",
                "its answer counts: 198.41.0.4 (A) was not asked. If 2001:503:ba3e::2:30 (AAAA) is another server, \
                 remove that record.",
            ],
            |scene, case| {
                let file = Reply::Body(case.key_authorization.clone().into_bytes());
                scene.web.on_host(&case.name, &case.path, file);
                let gone = Reply::Status(404, String::new());
                scene.web6.on_host(&case.name, &case.path, gone);
                scene
                    .dns
                    .add_address(&case.name, PUBLIC)
                    .add_address(&case.name, ip(PUBLIC6));
            },
        ),
        row(
            "F-37",
            "f37.test",
            http,
            "unauthorized",
            &[
                "198.41.0.4:80 answered for {url} (SpeedLine 7490 httpd, type text/html)",
                "a page with the title \"SpeedLine 7490 - Login\"",
                "If the page is a router's or another host's, forward port 80 to the right one.",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PUBLIC);
                let page = "<html><title>SpeedLine 7490 - Login</title></html>";
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nServer: SpeedLine 7490 httpd\r\nContent-Type: text/html\r\nContent-Length: \
                     {}\r\n\r\n{page}",
                    page.len()
                );
                let answer = Reply::Raw(answer.into_bytes());
                scene.web.on_host(&case.name, &case.path, answer);
            },
        ),
    ]
}
