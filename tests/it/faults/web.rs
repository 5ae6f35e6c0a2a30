//! Faults of a web server's configuration, F-38 to F-51, of what stands before it, F-131 and F-132,
//! and of a name that leads to another's, F-07. The answers are
//! those of nginx and of a cache, octet by octet.

use cairn_testkit::http::Reply;

use super::{Case, NS1, PUBLIC, Row, row};

/// The answer of a server that names itself.
fn answer(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Raw(
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )
}

/// A row whose web server replies so to the challenge's path.
fn reply(
    fault: &'static str,
    name: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
    reply: impl Fn(&Case) -> Reply + Send + Sync + 'static,
) -> Row {
    row(fault, name, "http-01", kind, says, move |scene, case| {
        scene.dns.add_address(&case.name, PUBLIC);
        scene.web.on_host(&case.name, &case.path, reply(case));
    })
}

const NGINX: &str = "Server: nginx/1.22.1\r\nContent-Type: text/html\r\n";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = statuses();
    rows.extend(redirects());
    rows.extend(contents());
    rows
}

/// The file lies on the subscriber's host, and the name leads to another, which answers so.
fn elsewhere(
    fault: &'static str,
    name: &'static str,
    says: &'static [&'static str],
    there: fn() -> Reply,
) -> Row {
    row(
        fault,
        name,
        "http-01",
        "unauthorized",
        says,
        move |scene, case| {
            scene.dns.add_address(&case.name, PUBLIC);
            let file = Reply::Body(case.key_authorization.clone().into_bytes());
            scene.bare.on_host(&case.name, &case.path, file);
            scene.web.on_host(&case.name, &case.path, there());
        },
    )
}

fn statuses() -> Vec<Row> {
    let (unauthorized, connection) = ("unauthorized", "connection");
    vec![
        elsewhere(
            "F-07 the old host",
            "f07a.test",
            &[
                "the file was not there. 198.41.0.4:80 answered 404 for {url} (Caddy, type text/html, a page with the \
                 title \"Hosting of old\")",
                "point the name at the server that has it",
            ],
            || {
                let headers = "Server: Caddy\r\nContent-Type: text/html\r\n";
                let page = "<html><title>Hosting of old</title></html>";
                answer("404 Not Found", headers, page)
            },
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
            || {
                let headers = "Server: parkd/7\r\nContent-Type: text/html\r\n";
                answer("200 OK", headers, "<title>f07b.test is for sale</title>")
            },
        ),
        reply(
            "F-38",
            "f38.test",
            unauthorized,
            &[
                "the file was not there. 198.41.0.4:80 answered 404 for {url} (nginx/1.22.1, type text/html).",
                "Put the challenge where that server looks, or point the name at the server that has it",
                "nginx: \"location ^~ /.well-known/acme-challenge/ { root DIR; }\"",
            ],
            |_| answer("404 Not Found", NGINX, "<html>404</html>"),
        ),
        // A CA sees no difference between a file that may not be read and a path that is forbidden: it says both.
        reply(
            "F-39",
            "f39.test",
            unauthorized,
            &[
                "the file could not be fetched. 198.41.0.4:80 answered 403 for {url} (nginx/1.22.1",
                "let its user read the file and enter every folder above it",
            ],
            |_| answer("403 Forbidden", NGINX, "<html>403</html>"),
        ),
        reply(
            "F-40",
            "f40.test",
            unauthorized,
            &[
                "198.41.0.4:80 answered 403 for {url} (Apache/2.4",
                "take /.well-known/acme-challenge/ out of rules that deny names with a dot",
                "Apache: \"Alias /.well-known/acme-challenge/ DIR/\"",
            ],
            |_| answer("403 Forbidden", "Server: Apache/2.4.65\r\n", ""),
        ),
        reply(
            "F-48 a password",
            "f48a.test",
            unauthorized,
            &[
                "198.41.0.4:80 answered 401 for {url} (nginx/1.22.1, type text/html, realm Staff of Acme)",
                "The path asks for a password: take it off /.well-known/acme-challenge/. nginx: \"auth_basic off;\"",
            ],
            |_| {
                let headers = format!("{NGINX}WWW-Authenticate: Basic realm=\"Staff of Acme\"\r\n");
                answer("401 Unauthorized", &headers, "")
            },
        ),
        reply(
            "F-48 a filter",
            "f48b.test",
            unauthorized,
            &[
                "198.41.0.4:80 answered 403 for {url} (shieldwall)",
                "or unknown clients",
            ],
            |_| answer("403 Forbidden", "Server: shieldwall\r\n", ""),
        ),
        reply(
            "F-49",
            "f49.test",
            unauthorized,
            &[
                "198.41.0.4:80 answered 503 for {url} (nginx/1.22.1, type text/html, retry after 3600)",
                "exempt /.well-known/acme-challenge/ from its maintenance mode, or order again later",
            ],
            |_| {
                let headers = format!("{NGINX}Retry-After: 3600\r\n");
                answer("503 Service Unavailable", &headers, "")
            },
        ),
        reply(
            "F-51 nginx",
            "f51a.test",
            unauthorized,
            &[
                "198.41.0.4:80 answered 400 for {url} (nginx/1.22.1",
                "The port speaks TLS, so plain HTTP is refused: take the TLS (\"ssl\") off port 80.",
            ],
            |_| {
                let page = "<center>The plain HTTP request was sent to HTTPS port</center>";
                answer("400 Bad Request", NGINX, page)
            },
        ),
        reply(
            "F-51 an alert",
            "f51b.test",
            connection,
            &[
                "at 198.41.0.4:80 there was no HTTP/1 answer but \"\\x15\\x03\\x03\\x00\\x02\\x02F\" for {url}.",
                "That is TLS: the port speaks HTTPS only.",
            ],
            |_| Reply::Raw(b"\x15\x03\x03\0\x02\x02F".to_vec()),
        ),
        reply(
            "F-131",
            "f131.test",
            unauthorized,
            &[
                "198.41.0.4:80 answered 404 for {url} (edge, via 1.1 varnish, age 287, cache HIT)",
                "The answer may be a cache's: exempt the path from it and empty it",
            ],
            |_| {
                let headers = "Server: edge\r\nVia: 1.1 varnish\r\nAge: 287\r\nX-Cache: HIT\r\n";
                answer("404 Not Found", headers, "")
            },
        ),
        // One node of two has the file. The CA asks once, meets the other, and can only say what it met.
        elsewhere(
            "F-132",
            "f132.test",
            &[
                "198.41.0.4:80 answered 404 for {url} (node-b)",
                "of several servers behind one address, each needs it",
            ],
            || answer("404 Not Found", "Server: node-b\r\n", ""),
        ),
    ]
}

fn redirects() -> Vec<Row> {
    let to = |location: &'static str| move |case: &Case| Reply::Redirect(301, case.fill(location));
    vec![
        reply(
            "F-43",
            "f43.test",
            "connection",
            &[
                "at 198.41.0.4:80 the redirect was not followed: it leads back to a URL that was asked before.",
                "The answer was 301 to \"/.well-known/acme-challenge/",
                "Remove the redirect that leads back",
            ],
            to("{path}"),
        ),
        row(
            "F-44",
            "f44.test",
            "http-01",
            "connection",
            &[
                "no connection. 198.41.0.7:443 refused the connection.",
                "(after a redirect to https://f44.test{path})",
                "port 443 has to be forwarded",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, NS1);
                let location = case.fill("https://{name}{path}");
                let redirect = Reply::Redirect(301, location);
                scene.bare.on_host(&case.name, &case.path, redirect);
            },
        ),
        reply(
            "F-45",
            "f45.test",
            "connection",
            &[
                "the Location leads to a port that validation does not use.",
                "The answer was 301 to \"https://f45.test:8443/.well-known/",
                "Drop the port from the redirect",
            ],
            to("https://{name}:8443{path}"),
        ),
        reply(
            "F-46 glued",
            "f46a.test",
            "connection",
            &[
                "was redirected to https://f46a.test.well-known/acme-challenge/",
                "A slash is missing in the redirect rule, which glues the path to the host: let it lead to \
                 https://f46a.test/ and the path (nginx: \"return 301 https://$host$request_uri;\")",
            ],
            |case| {
                let glued = format!("https://{}{}", case.name, case.path.trim_start_matches('/'));
                Reply::Redirect(301, glued)
            },
        ),
        reply(
            "F-46 an inside address",
            "f46b.test",
            "connection",
            &[
                "addresses are not followed. The answer was 301 to \"http://10.1.2.3/\".",
                "the usual ports of a host name",
            ],
            to("http://10.1.2.3/"),
        ),
        reply(
            "F-46 status 303",
            "f46c.test",
            "unauthorized",
            &[
                "198.41.0.4:80 answered 303 for {url} (location /see-other)",
                "Of redirects, 301, 302, 307 and 308 are followed",
            ],
            |_| Reply::Redirect(303, "/see-other".to_owned()),
        ),
    ]
}

fn contents() -> Vec<Row> {
    let page = || {
        answer(
            "200 OK",
            NGINX,
            "<!doctype html><title>Shop</title><div id=app>",
        )
    };
    vec![
        row(
            "F-41",
            "f41.test",
            "http-01",
            "unauthorized",
            &[
                "198.41.0.4:80 answered for http://f41.test/login?next=/ (nginx/1.22.1, type text/html)",
                "a page with the title \"Sign in to Acme\"",
                "exempt /.well-known/acme-challenge/ from the redirect to http://f41.test/login?next=/",
                "(after a redirect to http://f41.test/login?next=/)",
            ],
            |scene, case| {
                scene.dns.add_address(&case.name, PUBLIC);
                let to = Reply::Redirect(302, "/login?next=/".to_owned());
                let login = "<html><title>Sign in to Acme</title></html>";
                scene.web.on_host(&case.name, &case.path, to).on_host(
                    &case.name,
                    "/login?next=/",
                    answer("200 OK", NGINX, login),
                );
            },
        ),
        reply(
            "F-42",
            "f42.test",
            "unauthorized",
            &[
                "198.41.0.4:80 answered for {url} (nginx/1.22.1, type text/html)",
                "a page with the title \"Shop\"",
                "serve /.well-known/acme-challenge/ as files before the rule that catches everything",
            ],
            move |_| page(),
        ),
        reply(
            "F-50 sub_filter",
            "f50a.test",
            "unauthorized",
            &[
                "{more} octets where {length} belong, the first other one at offset {dot} (\"X{7}\" for \"{8}\")",
                "Something changes the file on its way",
            ],
            |case| {
                let changed = case.key_authorization.replace('.', ".X");
                Reply::Body(changed.into_bytes())
            },
        ),
        reply(
            "F-50 a byte order mark",
            "f50b.test",
            "unauthorized",
            &["at offset 0", "a byte order mark before it"],
            |case| Reply::Body(format!("\u{feff}{}", case.key_authorization).into_bytes()),
        ),
        reply(
            "F-50 a script",
            "f50c.test",
            "unauthorized",
            &[
                "offset {length} (\"\\x3cscript\\x3e\" for \"\")",
                "an injected script",
            ],
            |case| Reply::Body(format!("{}<script>1", case.key_authorization).into_bytes()),
        ),
        // The other half of F-57 and F-90: another client answers.
        reply(
            "F-50 another account",
            "f50d.test",
            "unauthorized",
            &[
                "the answer of another account",
                "(thumbprint AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, this account's is {thumbprint})",
            ],
            |case| {
                let token = case.path.rsplit('/').next().unwrap();
                Reply::Body(format!("{token}.{}", "A".repeat(43)).into_bytes())
            },
        ),
    ]
}
