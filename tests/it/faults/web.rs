//! Faults of a web server's configuration, F-38 to F-51, of what stands before it, F-131 and F-132, and of a name that leads to
//! another's, F-07.

use cairn_testkit::http::Reply;

use super::servers::{
    APACHE, APACHE_TLS, GO_TLS, NGINX, PYTHON, RUSTLS, SWAPPED, asked, at, leads_to, place,
};
use super::{NS1, PUBLIC, Row, row};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = statuses();
    rows.extend(ports_of_tls());
    rows.extend(before_the_server());
    rows.extend(redirects());
    rows.extend(contents());
    rows
}

/// The file lies on the subscriber's host, and the name leads to another's, which answers so.
fn elsewhere(
    fault: &'static str,
    name: &'static str,
    says: &'static [&'static str],
    there: &'static str,
) -> Row {
    row(
        fault,
        name,
        "http-01",
        "unauthorized",
        says,
        move |scene, case| {
            scene.dns.add_address(&case.name, PUBLIC);
            let there = Reply::Raw(there.as_bytes().to_vec());
            scene.web.on_host(&case.name, &case.path, there);
        },
    )
}

fn statuses() -> Vec<Row> {
    vec![
        elsewhere(
            "F-07 the old host",
            "f07a.test",
            &[
                "the file was not there. 198.41.0.4:80 answered 404 for {url} (Caddy, type text/html",
                "point the name at the server that has it",
            ],
            "HTTP/1.1 404 Not Found\r\nServer: Caddy\r\nContent-Type: text/html\r\nContent-Length: 44\r\n\r\n\
             <html><title>Hosting of old</title></html>\r\n",
        ),
        elsewhere(
            "F-07 a parking page",
            "f07b.test",
            &[
                "198.41.0.4:80 answered for {url} (parkd/7, type text/html) with a page with the title \
                 \"f07b.test is for sale\"",
                "If the page is a router's or another host's, forward port 80 to the right one, or point the name's A and \
                 AAAA records at it.",
            ],
            "HTTP/1.1 200 OK\r\nServer: parkd/7\r\nContent-Type: text/html\r\nContent-Length: 36\r\n\r\n\
             <title>f07b.test is for sale</title>",
        ),
        at(
            NGINX,
            "F-38 nginx",
            "f38a.test",
            "unauthorized",
            &[
                "the file was not there. 198.41.0.10:80 answered 404 for {url} (nginx/",
                ", type text/html). Put the challenge where that server looks, or point the name at the server that has it",
                "nginx: \"location ^~ /.well-known/acme-challenge/ { root DIR; }\"",
            ],
        ),
        at(
            APACHE,
            "F-38 Apache",
            "f38b.test",
            "unauthorized",
            &[
                "the file was not there. 198.41.0.12:80 answered 404 for {url} (Apache/",
                "Apache: \"Alias /.well-known/acme-challenge/ DIR/\", with \"Require all granted\".",
            ],
        ),
        at(
            PYTHON,
            "F-38 Python",
            "f38c.test",
            "unauthorized",
            &[
                "the file was not there. 198.41.0.14:80 answered 404 for {url} (SimpleHTTP/",
                "Put the challenge where that server looks, or point the name at the server that has it",
            ],
        ),
        // A CA sees no difference between a file that may not be read and a path that is forbidden: it says both.
        row(
            "F-39",
            "f39.test",
            "http-01",
            "unauthorized",
            &[
                "the file could not be fetched. 198.41.0.10:80 answered 403 for {url} (nginx/",
                "let its user read the file and enter every folder above it",
            ],
            |scene, case| {
                place(scene, "private", case, &case.key_authorization);
                scene.dns.add_address(&case.name, NGINX);
            },
        ),
        at(
            NGINX,
            "F-40 nginx",
            "f40a.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 403 for {url} (nginx/",
                "take /.well-known/acme-challenge/ out of rules that deny names with a dot",
                "nginx: \"location ^~ /.well-known/acme-challenge/ { root DIR; }\"",
            ],
        ),
        at(
            APACHE,
            "F-40 Apache",
            "f40b.test",
            "unauthorized",
            &[
                "198.41.0.12:80 answered 403 for {url} (Apache/",
                "take /.well-known/acme-challenge/ out of rules that deny names with a dot",
                "Apache: \"Alias /.well-known/acme-challenge/ DIR/\"",
            ],
        ),
        at(
            NGINX,
            "F-48 a password",
            "f48a.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 401 for {url} (nginx/",
                ", type text/html, realm Staff of Acme)",
                "The path asks for a password: take it off /.well-known/acme-challenge/. nginx: \"auth_basic off;\"",
            ],
        ),
        at(
            NGINX,
            "F-48 a filter",
            "f48b.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 403 for {url} (nginx/",
                "or unknown clients",
            ],
        ),
        at(
            NGINX,
            "F-49",
            "f49a.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 503 for {url} (nginx/",
                ", type text/html, retry after 3600)",
                "exempt /.well-known/acme-challenge/ from its maintenance mode, or order again later",
            ],
        ),
        at(
            NGINX,
            "F-49 a dead backend",
            "f49b.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 502 for {url} (nginx/",
                "The server passes the request on, and none behind it answered: start that one, or let the server serve",
            ],
        ),
    ]
}

/// F-51
fn ports_of_tls() -> Vec<Row> {
    vec![
        at(
            SWAPPED,
            "F-51 nginx",
            "f51a.test",
            "unauthorized",
            &[
                "198.41.0.11:80 answered 400 for {url} (nginx/",
                "The port speaks TLS, so plain HTTP is refused: take the TLS (\"ssl\") off port 80.",
            ],
        ),
        at(
            APACHE_TLS,
            "F-51 Apache",
            "f51b.test",
            "unauthorized",
            &[
                "198.41.0.13:80 answered 400 for {url} (Apache/",
                "The port speaks TLS, so plain HTTP is refused: take the TLS (\"ssl\") off port 80.",
            ],
        ),
        at(
            GO_TLS,
            "F-51 Go",
            "f51c.test",
            "unauthorized",
            &[
                "198.41.0.21:80 answered 400 for {url}",
                "The port speaks TLS, so plain HTTP is refused: take the TLS (\"ssl\") off port 80.",
            ],
        ),
        at(
            RUSTLS,
            "F-51 rustls",
            "f51d.test",
            "connection",
            &[
                "at 198.41.0.24:80 there was no HTTP/1 answer but \"\\x15\\x03\\x03",
                " for {url}. That is TLS: the port speaks HTTPS only.",
            ],
        ),
    ]
}

fn before_the_server() -> Vec<Row> {
    vec![
        // The cache was asked before the file was there, and still says so.
        row(
            "F-131 a cache",
            "f131a.test",
            "http-01",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 404 for {url} (nginx/",
                "type text/html, cache HIT)",
                "The answer may be a cache's: exempt the path from it and empty it",
            ],
            |scene, case| {
                assert!(asked(NGINX, case).contains("X-Cache: MISS"));
                leads_to(scene, case, NGINX);
                assert!(asked([127, 0, 0, 21], case).ends_with(&case.key_authorization));
            },
        ),
        // A network of caches is at no tester's hand: its headers are.
        row(
            "F-131 a network of caches",
            "f131b.test",
            "http-01",
            "unauthorized",
            &[
                "198.41.0.4:80 answered 404 for {url} (edge, via 1.1 varnish, age 287, cache HIT)",
                "The answer may be a cache's: exempt the path from it and empty it",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PUBLIC);
                let answer = "HTTP/1.1 404 Not Found\r\nServer: edge\r\nVia: 1.1 varnish\r\nAge: 287\r\nX-Cache: HIT\r\n\
                              Content-Length: 0\r\n\r\n";
                let answer = Reply::Raw(answer.as_bytes().to_vec());
                scene.web.on_host(&case.name, &case.path, answer);
            },
        ),
        // The balancer gives the subscriber's own look to the node that has the file, and the CA's to the other.
        row(
            "F-132",
            "f132.test",
            "http-01",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 404 for {url} (nginx/",
                "of several servers behind one address, each needs it",
            ],
            |scene, case| {
                leads_to(scene, case, NGINX);
                assert!(asked(NGINX, case).ends_with(&case.key_authorization));
            },
        ),
    ]
}

fn redirects() -> Vec<Row> {
    vec![
        at(NGINX, "to https with HTTP/2", "tls.test", "", &[]),
        at(
            NGINX,
            "F-43",
            "f43.test",
            "connection",
            &[
                "at 198.41.0.10:80 the redirect was not followed: it leads back to a URL that was asked before.",
                "The answer was 301 to \"http://f43.test/.well-known/acme-challenge/",
                "Remove the redirect that leads back",
            ],
        ),
        at(
            NS1,
            "F-44",
            "f44a.test",
            "connection",
            &[
                "no connection. 198.41.0.7:443 refused the connection.",
                "(after a redirect to https://f44a.test{path})",
                "port 443 has to be forwarded",
            ],
        ),
        at(
            NGINX,
            "F-45",
            "f45.test",
            "connection",
            &[
                "the Location leads to a port that validation does not use.",
                "The answer was 301 to \"https://f45.test:8443/.well-known/",
                "Drop the port from the redirect",
            ],
        ),
        at(
            NGINX,
            "F-46 nginx",
            "f46a.test",
            "connection",
            &[
                "was redirected to https://f46a.test.well-known/acme-challenge/",
                "A slash is missing in the redirect rule, which glues the path to the host: let it lead to https://f46a.test/ and the \
                 path (nginx: \"return 301 https://$host$request_uri;\")",
            ],
        ),
        at(
            APACHE,
            "F-46 Apache",
            "f46e.test",
            "connection",
            &[
                "was redirected to https://f46e.test.well-known/acme-challenge/",
                "A slash is missing in the redirect rule, which glues the path to the host: let it lead to https://f46e.test/ and the \
                 path (nginx: \"return 301 https://$host$request_uri;\")",
            ],
        ),
        // T-CA-67
        at(
            NGINX,
            "F-46 an inside address",
            "f46b.test",
            "connection",
            &[
                "addresses are not followed. The answer was 301 to \"http://10.1.2.3/\".",
                "the usual ports of a host name",
            ],
        ),
        at(
            NGINX,
            "F-46 status 303",
            "f46c.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered 303 for {url} (nginx/",
                "location http://f46c.test/see-other)",
                "Of redirects, 301, 302, 307 and 308 are followed",
            ],
        ),
        at(
            NGINX,
            "F-46 another host",
            "f46d.test",
            "connection",
            &[
                "the request was redirected to http://www.shop.invalid{path}, which was not reachable, not permitted, or did not \
                 have the file",
                "Serve the file under f46d.test itself, or let that server have it.",
            ],
        ),
    ]
}

fn contents() -> Vec<Row> {
    vec![
        at(
            NGINX,
            "F-41",
            "f41.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered for http://f41.test/login?next=/ (nginx/",
                "a page with the title \"Sign in to Acme\"",
                "exempt /.well-known/acme-challenge/ from the redirect to http://f41.test/login?next=/",
                "(after a redirect to http://f41.test/login?next=/)",
            ],
        ),
        at(
            NGINX,
            "F-42",
            "f42a.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered for {url} (nginx/",
                ", type text/html) with a page with the title \"Shop\"",
                "serve /.well-known/acme-challenge/ as files before the rule that catches everything",
            ],
        ),
        at(
            NGINX,
            "F-42 a rewrite",
            "f42b.test",
            "unauthorized",
            &[
                "198.41.0.10:80 answered for {url} (nginx/",
                ", type text/html) with a page with the title \"Shop\"",
                "serve /.well-known/acme-challenge/ as files before the rule that catches everything",
            ],
        ),
        at(
            NGINX,
            "F-50 sub_filter",
            "f50a.test",
            "unauthorized",
            &[
                "{more} octets where {length} belong, the first other one at offset {dot} (\"X{7}\" for \"{8}\")",
                "Something changes the file on its way",
            ],
        ),
        row(
            "F-50 a byte order mark",
            "f50b.test",
            "http-01",
            "unauthorized",
            &["at offset 0", "a byte order mark before it"],
            |scene, case| {
                let marked = format!("\u{feff}{}", case.key_authorization);
                place(scene, "www", case, &marked);
                scene.dns.add_address(&case.name, NGINX);
            },
        ),
        at(
            NGINX,
            "F-50 a script",
            "f50c.test",
            "unauthorized",
            &[
                "offset {length} (\"\\x3cscript\\x3e\" for \"\")",
                "an injected script",
            ],
        ),
        // The other half of F-57 and F-90: another client answers.
        at(
            NGINX,
            "F-50 another account",
            "f50d.test",
            "unauthorized",
            &[
                "the answer of another account",
                "(thumbprint AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, this account's is {thumbprint})",
            ],
        ),
    ]
}
