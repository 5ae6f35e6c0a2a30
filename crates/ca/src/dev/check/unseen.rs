//! What binds clients and no server can see, each with why.

/// A line for clients that no check is for.
#[derive(Debug, Clone, Copy)]
pub struct Unseen {
    /// The line of the numbering that `docs/conformance.md` has.
    pub line: &'static str,
    /// What it asks for.
    pub asks: &'static str,
    /// Why it is not seen.
    pub why: &'static str,
}

macro_rules! unseen {
    ($($line:literal $asks:literal $why:literal;)+) => {
        &[$(Unseen { line: $line, asks: $asks, why: $why }),+]
    };
}

/// Every one.
pub const UNSEEN: &[Unseen] = unseen! {
    "8555-6.1-1" "only HTTPS" "the listener speaks TLS alone: whoever speaks plain HTTP to it never makes a request";
    "8555-6.7-2" "cope with unknown problem types and bodies that are no JSON" "what it makes of an answer stays inside";
    "8555-6.7.1-2" "may drop the names that subproblems refuse" "a permission";
    "8555-7.1.1-1" "ignore unknown members of the directory" "ignoring leaves no trace";
    "8555-7.1.2-1" "read account objects without optional members" "what it reads stays inside";
    "8555-7.1.2.1-1" "follow `next` through a list of orders until its end" "whether it wants the whole list stays inside; a loop shows as `hot-loop`";
    "8555-7.1.3-4" "not rely on the order of arrays" "what it relies on stays inside";
    "8555-7.1.4-1" "take `wildcard: false`" "what it reads stays inside";
    "8555-7.1.5-1" "ignore unknown challenge types, choose by type" "by what it chooses stays inside";
    "8555-7.1.6-4" "take an order that is born ready or valid" "a client that gives up makes no request; one that goes on wrongly shows as `challenge-ended` or `finalize-ended`";
    "8555-7.1.6-6" "no state goes back" "states are the server's";
    "8555-7.2-2" "get the first nonce by HEAD" "GET is as right: the server has to take both";
    "8555-7.3-4" "not agree to terms without its operator" "consent is given elsewhere";
    "8555-7.3-8" "keep the account's URL with the key" "what it stores stays inside, and asking newAccount for the URL is allowed";
    "8555-7.3.5-6" "store the new key before a key change" "what it stores stays inside";
    "8555-7.4-6" "not take orders and authorizations for new" "what it takes them for stays inside";
    "8555-7.4-10" "take `valid` in the answer to finalize" "what it makes of an answer stays inside; finalizing again shows as `finalize-ended`";
    "8555-7.4.2-5" "choose a chain, compare key and names before use" "choice and comparison stay inside";
    "8555-7.4.2-6" "take a chain with any number of empty lines" "what it reads stays inside";
    "8555-7.5.1-6" "undo what it provisioned" "that is done at its own web or name server";
    "8555-8-1" "take `error` in a challenge that is processing" "what it reads stays inside";
    "8555-8.1-1" "make the key authorization rightly" "it is served elsewhere; the challenge's `error` tells what validation found there";
    "8555-8.2-1" "not answer before the resource is in place" "a validation that fails has many causes; the challenge's `error` names the one it met";
    "8555-8.3-2" "serve http-01 rightly" "it is served elsewhere; the challenge's `error` tells what validation found there";
    "8555-8.3-5" "treat `unauthorized` and `incorrectResponse` alike" "what it makes of an answer stays inside";
    "8555-8.3-6" "remove the file at the end" "that is done at its own web server";
    "8555-8.4-1" "publish dns-01's record rightly" "it is published elsewhere; the challenge's `error` tells what validation found there";
    "8555-8.4-3" "remove the record at the end" "that is done at its own name server";
    "8555-8.4-4" "follow aliases and wait for all name servers" "that is done at its own name servers";
    "8555-11.4-1" "refuse a chain with anything but certificates" "what it installs stays inside";
    "8737-3-2" "make tls-alpn-01's certificate rightly" "it is served elsewhere; the challenge's `error` tells what validation found there";
    "8737-3-3" "answer `acme-tls/1` rightly" "it is served elsewhere; the challenge's `error` tells what validation found there";
    "8737-3-4" "use `acme-tls/1` for nothing else" "a validation asks only that";
    "8737-5-1" "not let users bring certificates for validation" "who made a certificate stays inside";
    "8738-6-1" "answer the reverse name for an IP address" "it is served elsewhere; the challenge's `error` tells what validation found there";
    "9773-4.2-1" "show `explanationURL`" "that is shown elsewhere";
    "9773-4.2-2" "ignore a window that is none" "ignoring leaves no trace";
    "9773-4.2-3" "renew within the window" "an order may be its operator's wish: a window forbids none";
    "9773-4.2-4" "keep renewals under the error back-off" "its back-off is its own; asking without a pause shows as `hot-loop`";
    "9773-4.3-2" "bound the interval, six hours without Retry-After" "how long it will wait is seen only after days";
    "9773-6-1" "ask the CA that issued the certificate" "an unknown name may be of an earlier run of this CA";
    "PROF-3-1" "show the profiles" "that is shown elsewhere";
};

/// The list for `docs/checks.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| line | asks a client to | not seen, for |\n|---|---|---|\n");
    for row in UNSEEN {
        text.push_str(&format!("| {} | {} | {} |\n", row.line, row.asks, row.why));
    }
    text
}
