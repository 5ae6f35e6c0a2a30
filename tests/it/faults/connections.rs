//! Faults between the CA and the web server, F-28 to F-37: the layer that broke is named, and what it shows that it was not.

use super::servers::{GO, NGINX, NGINX6, STOPPED, at, leads_to};
use super::{DEAD, DEAD6, DROPS, Row, ip, row};

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
        at(
            STOPPED,
            "F-30",
            "f30.test",
            "connection",
            &[
                "at 198.41.0.15:80 there was no complete answer in time for {url}.",
                "The connection stood, so no firewall is in the way, but not one octet came back: the program there hangs.",
                "See its log and its workers; it has to answer with HTTP within 10 seconds.",
            ],
        ),
        at(
            NGINX,
            "F-31 reset",
            "f31a.test",
            "connection",
            &[
                "at 198.41.0.10:80 there was no complete answer: the connection broke",
                "was cut after the request (0 octets came back)",
                "Exempt /.well-known/acme-challenge/",
            ],
        ),
        at(
            NGINX,
            "F-31 nginx 444",
            "f31b.test",
            "connection",
            &[
                "at 198.41.0.10:80 there was no complete answer: the connection ended early",
                "(0 octets came back): by the server, or by a filter before it.",
            ],
        ),
        row(
            "F-32",
            "f32a.test",
            http,
            "unauthorized",
            &[
                "[2001:503:ba3e::2:31]:80 refused the connection; 198.41.0.10:80 answered 404 for {url}",
                "Put the challenge where that server looks",
            ],
            |scene, case| {
                scene
                    .dns
                    .add_address(&case.name, NGINX)
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
                leads_to(scene, case, NGINX);
                scene.dns.add_address(&case.name, ip(DEAD6));
            },
        ),
        row(
            "F-33",
            "f33.test",
            http,
            "unauthorized",
            &[
                "[2001:503:ba3e::2:32]:80 answered 404 for {url} (nginx/",
                "its answer counts: 198.41.0.10 (A) was not asked. If 2001:503:ba3e::2:32 (AAAA) is another server, \
                 remove that record.",
            ],
            |scene, case| {
                leads_to(scene, case, NGINX);
                scene.dns.add_address(&case.name, ip(NGINX6));
            },
        ),
        at(
            GO,
            "F-37",
            "f37.test",
            "unauthorized",
            &[
                "198.41.0.20:80 answered for {url} (SpeedLine 7490 httpd, type text/html)",
                "a page with the title \"SpeedLine 7490 - Login\"",
                "If the page is a router's or another host's, forward port 80 to the right one, or point the name's A and \
                 AAAA records at it.",
            ],
        ),
    ]
}
